/** The client's part of SCRAM-SHA-256 (RFC 7677), without channel binding. */

const encodeBase64 = (bytes: Uint8Array) => btoa(String.fromCharCode(...bytes));
const decodeBase64 = (text: string) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));

const encoder = new TextEncoder();

/** The header of the client's first message. */
export interface SaslFirst {
  readonly message: string;
  readonly bare: string;
}

/** The client's first message, with a new nonce. */
export function saslFirst(): SaslFirst {
  const nonce = encodeBase64(crypto.getRandomValues(new Uint8Array(18)));
  const bare = `n=,r=${nonce}`;
  return { message: `n,,${bare}`, bare };
}

/** The client's answer to the server's challenge. */
export async function saslFinal(
  { bare }: SaslFirst,
  challenge: string,
  password: string,
): Promise<string> {
  const fields = new Map(challenge.split(",").map((field) => [field[0], field.slice(2)]));
  const salt = decodeBase64(fields.get("s")!);
  const salted = await stretch(password, salt, Number(fields.get("i")));
  const clientKey = await hmac(salted, "Client Key");
  const storedKey = new Uint8Array(await crypto.subtle.digest("SHA-256", clientKey));
  const unproven = `c=biws,r=${fields.get("r")}`;
  const signature = await hmac(storedKey, `${bare},${challenge},${unproven}`);
  const proof = clientKey.map((byte, i) => byte ^ signature[i]!);
  return `${unproven},p=${encodeBase64(proof)}`;
}

async function stretch(
  password: string,
  salt: Uint8Array<ArrayBuffer>,
  iterations: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const key = await crypto.subtle.importKey("raw", encoder.encode(password), "PBKDF2", false, [
    "deriveBits",
  ]);
  const how = { name: "PBKDF2", hash: "SHA-256", salt, iterations };
  return new Uint8Array(await crypto.subtle.deriveBits(how, key, 256));
}

async function hmac(
  secret: Uint8Array<ArrayBuffer>,
  text: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const how = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", secret, how, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, encoder.encode(text)));
}
