#!/bin/sh
# Makes the certificates in tests/support/certs/, which are checked in: valid from 2020 to
# 2120. Needs OpenSSL 3. The keys of the two authorities are thrown away.
#
#     tools/make_test_certs.sh
set -eu

out=$(cd "$(dirname "$0")/.." && pwd)/tests/support/certs
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > config << END
[ca]
default_ca = test
[test]
database = index
new_certs_dir = .
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
END
: > index

# name, common name
request() {
  openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1_key.pem"
  openssl req -config config -new -key "$1_key.pem" -subj "/CN=$2" -out "$1.csr"
}

# name, extensions, how it is signed
sign() {
  echo "$2" > "$1.ext"
  name=$1
  shift 2
  openssl ca -config config -batch -notext -in "$name.csr" -extfile "$name.ext" \
    -startdate 20200101000000Z -enddate 21200101000000Z -out "$name.pem" "$@" 2> log ||
    { cat log; exit 1; }
}

# name, common name
authority() {
  request "$1" "$2"
  sign "$1" "basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign
subjectKeyIdentifier=hash" -selfsign -keyfile "$1_key.pem"
}

# name, common name, extension
leaf() {
  request "$1" "$2"
  sign "$1" "basicConstraints=critical,CA:FALSE
$3" -cert ca.pem -keyfile ca_key.pem
}

authority ca "sockpool test authority"
authority other_ca "another sockpool test authority"
leaf server "sockpool test server" "subjectAltName=DNS:localhost,DNS:server.test,IP:127.0.0.1,IP:::1"
leaf client "sockpool test client" "extendedKeyUsage=clientAuth"

mkdir -p "$out"
for file in ca.pem other_ca.pem server.pem server_key.pem client.pem client_key.pem; do
  {
    echo "For the tests of sockpool alone, made by tools/make_test_certs.sh. Trust it nowhere."
    cat "$file"
  } > "$out/$file"
done
