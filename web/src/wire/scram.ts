// SCRAM-SHA-256 (RFC 5802, RFC 7677), the client's side, through WebCrypto.
// SPDX-License-Identifier: AGPL-3.0-or-later

const utf8 = new TextEncoder();
const ITERATIONS_MAX = 1_000_000; // a server that asks for more wants to keep us busy

function base64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

function unbase64(s: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(s), (c) => c.charCodeAt(0));
}

async function hmac(key: Uint8Array<ArrayBuffer>, message: string): Promise<Uint8Array<ArrayBuffer>> {
  const k = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", k, utf8.encode(message)));
}

async function salted(password: string, salt: Uint8Array<ArrayBuffer>, iterations: number): Promise<Uint8Array<ArrayBuffer>> {
  const k = await crypto.subtle.importKey("raw", utf8.encode(password.normalize("NFKC")), "PBKDF2", false, ["deriveBits"]);
  return new Uint8Array(await crypto.subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt, iterations }, k, 256));
}

export class Scram {
  private readonly nonce = base64(crypto.getRandomValues(new Uint8Array(18)));
  private readonly firstBare: string;
  private serverSignature = "";

  constructor(name: string, private readonly password: string) {
    this.firstBare = `n=${name.replace(/=/g, "=3D").replace(/,/g, "=2C")},r=${this.nonce}`;
  }

  /** The initial response, base64. */
  first(): string {
    return base64(utf8.encode("n,," + this.firstBare));
  }

  /** Answers the server's challenge; null: it is no challenge to answer. */
  async final(challenge: string): Promise<string | null> {
    const serverFirst = new TextDecoder().decode(unbase64(challenge));
    const m = /^r=([^,]+),s=([^,]+),i=(\d+)(?:,|$)/.exec(serverFirst);
    if (!m || !m[1].startsWith(this.nonce) || m[1] === this.nonce || Number(m[3]) > ITERATIONS_MAX) return null;
    const password = await salted(this.password, unbase64(m[2]), Number(m[3]));
    const clientKey = await hmac(password, "Client Key");
    const storedKey = new Uint8Array(await crypto.subtle.digest("SHA-256", clientKey));
    const withoutProof = `c=biws,r=${m[1]}`;
    const authMessage = `${this.firstBare},${serverFirst},${withoutProof}`;
    const signature = await hmac(storedKey, authMessage);
    this.serverSignature = base64(await hmac(await hmac(password, "Server Key"), authMessage));
    return base64(utf8.encode(`${withoutProof},p=${base64(clientKey.map((b, i) => b ^ signature[i]))}`));
  }

  /** Whether the server knows the password's keys too. */
  isServer(success: string): boolean {
    return this.serverSignature !== "" && new TextDecoder().decode(unbase64(success)) === `v=${this.serverSignature}`;
  }
}

/** XEP-0484 with HT-SHA-256-NONE: name NUL HMAC(token, "Initiator"), base64. */
export async function hashedToken(name: string, token: string): Promise<string> {
  const mac = await hmac(utf8.encode(token), "Initiator"), head = utf8.encode(`${name}\0`);
  return base64(new Uint8Array([...head, ...mac]));
}
