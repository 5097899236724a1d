// Passkeys (WebAuthn): the second way to log in. The pages of the server speak of them over HTTP (docs/passkeys.md); who may is
// told by a ticket, which the line gives. SPDX-License-Identifier: AGPL-3.0-or-later
import * as device from "../store/device";
import type { Token } from "../wire/stream";

export interface Passkey { id: string; name: string; made: string; used: string | null }
export interface Methods { password: boolean; passkeys: Passkey[] }
export interface Entry { name: string; agentId: string; token: Token }

/** "cancelled": the person, or the browser for them; else as the server says (docs/passkeys.md), or "lost". */
export class PasskeyError extends Error {}

const FAST_MECHANISM = "HT-SHA-256-NONE";

/** Whether this browser can, on a page of this name. */
export function usable(place: device.Place): boolean {
  const name = place.passkeys, here = location.hostname;
  return Boolean(name && globalThis.PublicKeyCredential && navigator.credentials && isSecureContext && (here === name || here.endsWith(`.${name}`)));
}

// ---- bytes ----

function bytes(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
}

function text(of: ArrayBuffer | null): string {
  return btoa(String.fromCharCode(...new Uint8Array(of ?? new ArrayBuffer(0)))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

interface Described { type: "public-key"; id: string }
const credentials = (list?: Described[]): PublicKeyCredentialDescriptor[] | undefined => list?.map((c) => ({ ...c, id: bytes(c.id) }));

// ---- the server ----

async function ask(method: string, path: string, body?: unknown, ticket?: string): Promise<unknown> {
  const headers: Record<string, string> = {};
  if (ticket) headers.Authorization = `Bearer ${ticket}`;
  if (body) headers["Content-Type"] = "application/json";
  const answer = await fetch(`/passkeys${path}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store", signal: AbortSignal.timeout(15000) })
    .catch(() => { throw new PasskeyError("lost"); });
  if (answer.status === 204) return null;
  const said = (await answer.json().catch(() => ({}))) as { error?: string };
  if (!answer.ok) throw new PasskeyError(said.error ?? "lost");
  return said;
}

// ---- the browser ----

async function found<T extends AuthenticatorResponse>(asked: Promise<Credential | null>): Promise<PublicKeyCredential & { response: T }> {
  const credential = await asked.catch((e: Error) => { throw new PasskeyError(e.name === "InvalidStateError" ? "exists" : "cancelled"); });
  if (!credential) throw new PasskeyError("cancelled");
  return credential as PublicKeyCredential & { response: T };
}

/** Asks the person for any passkey of this server, and the server for a token that the line takes. */
export async function logIn(domain: string, signal?: AbortSignal): Promise<Entry> {
  const { publicKey } = (await ask("POST", "/login/options")) as { publicKey: { challenge: string } };
  const c = await found<AuthenticatorAssertionResponse>(navigator.credentials.get({ publicKey: { ...publicKey, challenge: bytes(publicKey.challenge) }, signal }));
  const known = device.passkeyOwner(c.id), agentId = known ? device.agentId(known) : crypto.randomUUID();
  const said = (await ask("POST", "/login", {
    agent: agentId, mechanism: FAST_MECHANISM,
    credential: { id: c.id, rawId: text(c.rawId), type: c.type, response: { clientDataJSON: text(c.response.clientDataJSON),
      authenticatorData: text(c.response.authenticatorData), signature: text(c.response.signature), userHandle: text(c.response.userHandle) } },
  })) as { name: string; token: string; expiry: string };
  device.keepAgent(`${said.name}@${domain}`, agentId, c.id);
  return { name: said.name, agentId, token: { mechanism: FAST_MECHANISM, token: said.token, expires: Date.parse(said.expiry), count: 0 } };
}

interface Creation extends Omit<PublicKeyCredentialCreationOptions, "challenge" | "user" | "excludeCredentials"> {
  challenge: string; user: PublicKeyCredentialUserEntity & { id: never }; excludeCredentials: Described[];
}

/** A new one, in whatever keeps passkeys for this person. */
export async function add(ticket: string, name: string, jid: string): Promise<void> {
  const { publicKey: p } = (await ask("POST", "/options", undefined, ticket)) as { publicKey: Creation };
  const publicKey = { ...p, challenge: bytes(p.challenge), user: { ...p.user, id: bytes(p.user.id) }, excludeCredentials: credentials(p.excludeCredentials) };
  const c = await found<AuthenticatorAttestationResponse>(navigator.credentials.create({ publicKey }));
  await ask("POST", "", { name, credential: { id: c.id, rawId: text(c.rawId), type: c.type,
    response: { clientDataJSON: text(c.response.clientDataJSON), attestationObject: text(c.response.attestationObject) } } }, ticket);
  device.keepAgent(jid, device.agentId(jid), c.id);
}

export const list = (ticket: string): Promise<Methods> => ask("GET", "", undefined, ticket) as Promise<Methods>;
export const rename = async (ticket: string, id: string, name: string): Promise<void> => void (await ask("PATCH", `/${id}`, { name }, ticket));
/** From here on passkeys are the only ways in; refused ("denied") where there is none. */
export const removePassword = async (ticket: string): Promise<void> => void (await ask("DELETE", "/password", undefined, ticket));
export const remove = async (ticket: string, id: string): Promise<void> => void (await ask("DELETE", `/${id}`, undefined, ticket));
