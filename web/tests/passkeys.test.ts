// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { PasskeyError, add, list, logIn, usable } from "../src/model/passkeys";
import * as device from "../src/store/device";

const buffer = (...bytes: number[]) => new Uint8Array(bytes).buffer;
let said: { method: string; path: string; body: unknown; ticket: string | undefined }[] = [], answers: [number, unknown][] = [];

beforeEach(() => {
  localStorage.clear();
  said = [];
  vi.stubGlobal("fetch", (path: string, init: RequestInit) => {
    const headers = init.headers as Record<string, string>;
    said.push({ method: init.method ?? "", path, body: init.body ? JSON.parse(String(init.body)) : undefined, ticket: headers.Authorization });
    const [status, body] = answers.shift() ?? [500, {}];
    return Promise.resolve(new Response(status === 204 ? null : JSON.stringify(body), { status }));
  });
});
afterEach(() => vi.unstubAllGlobals());

const credential = { id: "AQI", rawId: buffer(1, 2), type: "public-key", response: { clientDataJSON: buffer(123, 125), authenticatorData: buffer(0xfb, 0xff),
  signature: buffer(9), userHandle: buffer(7), attestationObject: buffer(0xa0) } };
const browser = (does: object) => vi.stubGlobal("navigator", { credentials: does });

describe("a log-in by passkey", () => {
  const options: [number, unknown] = [200, { publicKey: { challenge: "-_8", rpId: "town.example" } }];
  const success: [number, unknown] = [200, { name: "alice", domain: "town.example", token: "t".repeat(43), expiry: "2026-12-17T12:00:00Z" }];
  it("hands the browser bytes and the server base64url, and gives what the line takes", async () => {
    let asked: PublicKeyCredentialRequestOptions | undefined;
    browser({ get: (o: CredentialRequestOptions) => { asked = o.publicKey; return Promise.resolve(credential); } });
    answers = [options, success];
    const entry = await logIn("town.example");
    expect([...new Uint8Array(asked?.challenge as ArrayBuffer)]).toEqual([0xfb, 0xff]);
    expect(said[1].body).toMatchObject({ agent: entry.agentId, mechanism: "HT-SHA-256-NONE", credential: { rawId: "AQI", response: { authenticatorData: "-_8", userHandle: "Bw" } } });
    expect(entry).toMatchObject({ name: "alice", token: { token: "t".repeat(43), mechanism: "HT-SHA-256-NONE", expires: Date.parse("2026-12-17T12:00:00Z") } });
  });
  it("keeps the name under which the account knows this device", async () => {
    browser({ get: () => Promise.resolve(credential) });
    answers = [options, success, options, success];
    const first = await logIn("town.example");
    expect(device.agentId("alice@town.example")).toBe(first.agentId);
    expect((await logIn("town.example")).agentId).toBe(first.agentId);
  });
  it("tells a refusal of the server, of the person, and of the network apart", async () => {
    const why = () => logIn("town.example").then(() => "", (e: unknown) => (e instanceof PasskeyError ? e.message : "?"));
    browser({ get: () => Promise.resolve(credential) });
    answers = [options, [401, { error: "unauthorized" }]];
    expect(await why()).toBe("unauthorized");
    browser({ get: () => Promise.reject(new DOMException("no", "NotAllowedError")) });
    answers = [options];
    expect(await why()).toBe("cancelled");
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("network")));
    expect(await why()).toBe("lost");
  });
});

describe("passkeys", () => {
  it("are added with the ticket, and not twice on one device", async () => {
    const p = { rp: { id: "town.example" }, user: { id: "Bw", name: "alice", displayName: "alice" }, challenge: "AQ", excludeCredentials: [{ type: "public-key", id: "AQI" }] };
    let asked: PublicKeyCredentialCreationOptions | undefined;
    browser({ create: (o: CredentialCreationOptions) => { asked = o.publicKey; return Promise.resolve(credential); } });
    answers = [[200, { publicKey: p }], [201, {}]];
    await add("ticket", "Phone", "alice@town.example");
    expect([...new Uint8Array(asked?.excludeCredentials?.[0].id as ArrayBuffer)]).toEqual([1, 2]);
    expect(said.map((s) => [s.method, s.path, s.ticket])).toEqual([["POST", "/passkeys/options", "Bearer ticket"], ["POST", "/passkeys", "Bearer ticket"]]);
    expect(said[1].body).toMatchObject({ name: "Phone", credential: { response: { attestationObject: "oA" } } });
    browser({ create: () => Promise.reject(new DOMException("there", "InvalidStateError")) });
    answers = [[200, { publicKey: p }]];
    await expect(add("ticket", "Phone", "alice@town.example")).rejects.toThrow("exists");
  });
  it("are unknown, not none, when the server cannot be asked", async () => {
    answers = [[503, { error: "unavailable" }]];
    await expect(list("ticket")).rejects.toThrow("unavailable");
  });
  it("are offered where the browser can, on a page of their name or below it", () => {
    const at = (hostname: string) => { vi.stubGlobal("location", { hostname }); return usable({ domain: "x", websockets: [], passkeys: "town.example" }); };
    browser({ get: () => undefined });
    vi.stubGlobal("isSecureContext", true);
    expect(at("town.example")).toBe(false);
    vi.stubGlobal("PublicKeyCredential", class {});
    expect([at("town.example"), at("chat.town.example"), at("eviltown.example"), at("localhost")]).toEqual([true, true, false, false]);
    expect(usable({ domain: "x", websockets: [] })).toBe(false);
    vi.stubGlobal("isSecureContext", false);
    expect(at("town.example")).toBe(false);
  });
});
