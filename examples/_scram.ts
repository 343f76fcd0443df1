/** The client's part of SCRAM-SHA-256 (RFC 7677), without channel binding. Used by `_postgres.ts`. */

const encodeBase64 = (bytes: Uint8Array) => btoa(String.fromCharCode(...bytes));
const decodeBase64 = (text: string) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));

const encoder = new TextEncoder();

/** One exchange: the client's two messages, and the check that the server knows the password. */
export class Scram {
  readonly #nonce = encodeBase64(crypto.getRandomValues(new Uint8Array(18)));
  readonly #password: string;
  #signature = "";

  constructor(password: string) {
    this.#password = password;
  }

  /** The header of the client's first message. */
  get first(): string {
    return `n,,${this.#bare}`;
  }

  /** The client's proof in answer to the server's challenge. */
  async final(challenge: string): Promise<string> {
    const fields = fieldsOf(challenge);
    const nonce = fields.get("r") ?? "";
    if (!nonce.startsWith(this.#nonce)) throw new Error("The server has changed the nonce");
    const salted = await stretch(this.#password, fields.get("s") ?? "", Number(fields.get("i")));
    const clientKey = await hmac(salted, "Client Key");
    const storedKey = new Uint8Array(await crypto.subtle.digest("SHA-256", clientKey));
    const unproven = `c=biws,r=${nonce}`;
    const signed = `${this.#bare},${challenge},${unproven}`;
    const signature = await hmac(storedKey, signed);
    this.#signature = encodeBase64(await hmac(await hmac(salted, "Server Key"), signed));
    const proof = clientKey.map((byte, i) => byte ^ signature[i]!);
    return `${unproven},p=${encodeBase64(proof)}`;
  }

  /** Throws if the server does not know the password. */
  verify(outcome: string): void {
    if (fieldsOf(outcome).get("v") === this.#signature) return;
    throw new Error("The server does not know the password");
  }

  get #bare(): string {
    return `n=,r=${this.#nonce}`;
  }
}

function fieldsOf(message: string): Map<string, string> {
  return new Map(message.split(",").map((field) => [field.slice(0, 1), field.slice(2)]));
}

async function stretch(
  password: string,
  salt: string,
  iterations: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const secret = encoder.encode(password);
  const key = await crypto.subtle.importKey("raw", secret, "PBKDF2", false, ["deriveBits"]);
  const how = { name: "PBKDF2", hash: "SHA-256", salt: decodeBase64(salt), iterations };
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
