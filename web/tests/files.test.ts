// Uploads that are cut: they go on from the byte that the server has, and their message leaves once.
// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Engine } from "../src/model/engine";
import { WAITING_MAX } from "../src/model/files";
import { Session } from "../src/model/session";
import type { Place as Where } from "../src/store/device";
import * as store from "../src/store/messages";
import { NS } from "../src/wire/ns";
import { FakeServer } from "./fake_server";

const BOB = "bob@town.example", SIZE = 1000, BYTES = Uint8Array.from({ length: SIZE }, (_, n) => n % 251);

/** Where the bytes go: a slot that keeps what came when it is cut. */
class Place {
  got = new Uint8Array(0);
  asked: string[] = [];
  cutAt: number[] = []; // so many bytes in all, for each connection
  heads = 200; // what HEAD answers
  resumes = true;
  hang = false;
  gone = new Set<string>(); // sites that do not answer
  doors: string[] = []; // where it was asked

  fetch = async (url: string, how: RequestInit): Promise<Response> => {
    if (this.gone.has(new URL(url).origin)) throw new TypeError("no answer");
    this.asked.push(`${how.method} ${this.got.length}`);
    if (this.heads !== 200) return new Response(null, { status: this.heads });
    return new Response(null, { status: 200, headers: this.resumes ? { "Upload-Offset": String(this.got.length), "Upload-Complete": this.got.length === SIZE ? "?1" : "?0" } : { "Content-Length": String(this.got.length) } });
  };

  xhr(): unknown {
    const place = this;
    return class {
      upload: { onprogress?: (e: object) => void } = {};
      status = 0;
      onloadend = () => undefined;
      private method = "";
      private headers: Record<string, string> = {};
      private at = "";
      open(method: string, url: string) {
        this.method = method;
        this.at = new URL(url).origin;
      }
      setRequestHeader(name: string, value: string) { this.headers[name] = value; }
      abort() { setTimeout(() => this.onloadend(), 0); }
      async send(body: Blob) {
        place.doors.push(this.at);
        if (place.gone.has(this.at)) return void setTimeout(() => this.onloadend(), 0);
        const bytes = new Uint8Array(await body.arrayBuffer()), from = Number(this.headers["Upload-Offset"] ?? 0), cut = place.cutAt.shift() ?? SIZE;
        place.asked.push(`${this.method} ${from}+${bytes.length}`);
        if (this.method === "PUT") place.got = new Uint8Array(0);
        if (from !== place.got.length) throw new Error("a hole");
        const now = bytes.slice(0, cut - from);
        place.got = Uint8Array.from([...place.got, ...now]);
        this.upload.onprogress?.({ loaded: now.length, total: bytes.length });
        if (place.hang) return;
        this.status = place.got.length === SIZE ? 201 : 0;
        setTimeout(() => this.onloadend(), 0);
      }
    };
  }
}

let session: Session, engines: Engine[] = [], place: Place, server: FakeServer, count = 0;
beforeEach(async () => {
  place = new Place();
  vi.stubGlobal("XMLHttpRequest", place.xhr());
  vi.stubGlobal("fetch", place.fetch);
  vi.stubGlobal("navigator", { locks: { request: () => new Promise(() => undefined) } });
  const jid = `files${++count}@town.example`;
  session = await Session.open({ jid, name: "tab", domain: "town.example", agentId: "agent" }, { domain: "town.example", websockets: ["ws://127.0.0.1:1/"] },
    { ended() {}, outdated() {}, arrived() {}, pushDue() {}, out() {} });
  server = new FakeServer(jid);
  server.takesFiles = true;
});
afterEach(() => {
  for (const e of engines) e.stop();
  engines = [];
  session.stop();
  vi.unstubAllGlobals();
});

function line(more: Partial<Where> = {}): Engine {
  const e = new Engine(session.db, { ...session.account, token: { mechanism: "HT-SHA-256-NONE", token: "t", expires: 0, count: 0 } }, { domain: "town.example", websockets: ["ws://one.example/"], ...more },
    { changed() {}, live() {}, ended() {}, arrived() {}, pushDue() {} }, undefined, server.connect);
  engines.push(e);
  e.start();
  return e;
}

const messages = async () => store.before(session.db, BOB, null, 100);
const sent = () => vi.waitFor(async () => expect((await messages())[0].state).toBe("sent"), { timeout: 15000, interval: 20 });
const choose = () => session.sendFile(BOB, new Blob([BYTES]), "film.bin");
const slots = () => server.heard.filter((e) => e.child(NS.upload, "request")).length;

describe("an upload that is cut", () => {
  it("goes on from the byte that the server has, twice, and its message is sent once", async () => {
    place.cutAt = [300, 700];
    await choose();
    line();
    await sent();
    expect(place.asked).toEqual(["PUT 0+1000", "HEAD 300", "PATCH 300+700", "HEAD 700", "PATCH 700+300"]);
    expect([place.got, slots(), server.kept.length, await session.db.count("files"), await session.db.count("outbox")]).toEqual([BYTES, 1, 1, 0, 0]);
  }, 20000);
  it("goes on in the next tab, with the slot that the first one kept", async () => {
    place.cutAt = [400];
    place.hang = true;
    await choose();
    const first = line();
    await vi.waitFor(() => expect(place.got.length).toBe(400), { timeout: 15000 });
    first.stop();
    server.cut(true);
    place.hang = false;
    line();
    await sent();
    expect(place.asked).toEqual(["PUT 0+1000", "HEAD 400", "PATCH 400+600"]);
    expect([place.got, slots(), server.kept.length]).toEqual([BYTES, 1, 1]);
  }, 20000);
  it("is over when only the answer was lost", async () => {
    place.hang = true;
    await choose();
    const first = line();
    await vi.waitFor(() => expect(place.got.length).toBe(SIZE), { timeout: 15000 });
    first.stop();
    server.cut(true);
    line();
    await sent();
    expect([place.asked, server.kept.length]).toEqual([["PUT 0+1000", "HEAD 1000"], 1]);
  }, 20000);
  it.each([["is gone", (p: Place) => { p.heads = 404; }], ["is of a server that goes on with nothing", (p: Place) => { p.resumes = false; }]])("begins anew when its slot %s", async (_what, change) => {
    place.cutAt = [300];
    change(place);
    await choose();
    line();
    await sent();
    expect(place.asked).toEqual(["PUT 0+1000", "HEAD 300", "PUT 0+1000"]);
    expect([place.got, slots(), server.kept.length]).toEqual([BYTES, 2, 1]);
  }, 20000);
});

describe("an upload whose site is gone", () => {
  const ONE = "https://one.example", TWO = "https://two.example", HERE = location.origin, WHERE = { base: "https://town.example", sites: [ONE, TWO] };

  it("begins anew at another one, and its message is sent once", async () => {
    place.cutAt = [300];
    await choose();
    const e = line(WHERE);
    await vi.waitFor(() => expect(place.got.length).toBe(300), { timeout: 15000 });
    for (const o of [ONE, HERE]) place.gone.add(o);
    await sent();
    expect([place.doors.at(0), place.doors.at(-1), place.got, server.kept.length, await session.db.count("outbox")]).toEqual([ONE, TWO, BYTES, 1, 0]);
    expect(e.live.now.line).toBe("online");
  }, 20000);
  it("goes on where it was as long as that one answers", async () => {
    place.cutAt = [300, 600];
    await choose();
    line(WHERE);
    await sent();
    expect([new Set(place.doors), slots(), place.asked.filter((a) => a.startsWith("PUT")).length]).toEqual([new Set([ONE]), 1, 1]);
  }, 20000);
  it("waits while none answers", async () => {
    for (const o of [ONE, TWO, HERE]) place.gone.add(o);
    await choose();
    line(WHERE);
    await vi.waitFor(() => expect(new Set(place.doors).size).toBe(3), { timeout: 15000 });
    expect((await messages())[0].state).toBe("waiting");
    place.gone.clear();
    await sent();
    expect([place.got, server.kept.length]).toEqual([BYTES, 1]);
  }, 20000);
});

describe("a file that waits", () => {
  it("can be taken back while its bytes are on their way, and then nobody hears of it", async () => {
    place.hang = true;
    place.cutAt = [300];
    await choose();
    const e = line();
    await vi.waitFor(() => expect(Object.values(e.live.now.uploads)[0]?.part).toBe(0.3), { timeout: 15000 });
    const [m] = await messages();
    expect(await session.cancel(m)).toBe(true);
    await e.does.cancelUpload(m.file?.localId as string);
    await vi.waitFor(() => expect(e.live.now.uploads).toEqual({}), { timeout: 15000 });
    await session.send(BOB, "never mind");
    e.flush();
    await sent();
    expect([place.asked, (await messages()).length, await session.db.count("files"), server.kept.length]).toEqual([["PUT 0+1000"], 1, 0, 1]);
  }, 20000);
  it("cannot be taken back once its message is on its way", async () => {
    await choose();
    line();
    await sent();
    expect([await session.cancel((await messages())[0]), (await messages()).length]).toEqual([false, 1]);
  }, 20000);
  it("is refused when too much waits already, and what waits stays", async () => {
    for (let n = 0; n < WAITING_MAX; n++) await session.db.put("files", { id: `f${n}`, blob: new Blob(["x"]), name: "x" });
    await expect(choose()).rejects.toThrow("full");
    expect([await session.db.count("files"), (await messages()).length, await session.db.count("outbox")]).toEqual([WAITING_MAX, 0, 0]);
  });
});
