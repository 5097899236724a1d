// One tab: what is written and what is taken away again. SPDX-License-Identifier: AGPL-3.0-or-later
import { afterEach, describe, expect, it, vi } from "vitest";
import { Engine } from "../src/model/engine";
import { Session } from "../src/model/session";
import * as device from "../src/store/device";
import * as store from "../src/store/messages";
import type { Message } from "../src/store/types";
import { FakeServer } from "./fake_server";

const BOB = "bob@town.example";
let session: Session, engine: Engine | null = null, count = 0, lead = () => undefined as void;
afterEach(() => {
  engine?.stop();
  session.stop();
  vi.unstubAllGlobals();
});

/** A tab that does not lead: the line is with another, which says nothing, until `lead` is called. */
async function tab(jid = `tab${++count}@town.example`): Promise<Session> {
  vi.stubGlobal("navigator", { locks: { request: (_: string, work: () => Promise<void>) => { lead = () => void work(); return new Promise(() => undefined); } } });
  session = await Session.open({ jid, name: "tab", domain: "town.example", agentId: "agent" }, { domain: "town.example", websockets: ["ws://127.0.0.1:1/"] },
    { ended() {}, outdated() {}, arrived() {}, pushDue() {}, out() {} });
  return session;
}

const messages = async () => store.before(session.db, BOB, null, 100);

async function hears(n: number): Promise<Message> {
  const tx = store.write(session.db), m: Message = { key: store.keyOf(BOB, BOB, `b${n}`), chat: BOB, id: `b${n}`, from: BOB, mine: false, at: n, body: `b${n}` };
  await store.putMessage(tx, m, "person", true);
  await tx.done;
  session.chats.value = await session.db.getAll("chats");
  return m;
}

describe("the outbox of a tab without a line", () => {
  it("holds one mark a chat of how far one has read, however far one scrolled", async () => {
    const s = await tab();
    const all: Message[] = [];
    for (let n = 1; n <= 5; n++) all.push(await hears(n));
    for (const m of all) await s.read(BOB, m);
    const out = await s.db.getAll("outbox");
    expect([out.length, out[0].xml.includes(`id='b5'`)]).toEqual([1, true]);
  });
  it("forgets what is discarded, with its bytes", async () => {
    const s = await tab();
    await s.send(BOB, "first");
    await s.sendFile(BOB, new Blob(["bytes"]), "a.txt");
    const [, file] = await messages();
    expect(await s.db.count("files")).toBe(1);
    await s.discard(file);
    expect([(await messages()).length, await s.db.count("outbox"), await s.db.count("files"), s.chat(BOB)?.last?.body]).toEqual([1, 1, 0, "first"]);
  });
});

describe("a tab that is logged out", () => {
  it("complains of nothing when its store is closed while it reads", async () => {
    const s = await tab(), complaints: unknown[] = [], complain = (why: unknown) => complaints.push(why);
    process.on("unhandledRejection", complain);
    const w = s.window(BOB);
    await s.send(BOB, "last words");
    const refreshed = vi.spyOn(w, "refresh");
    s.stop();
    await vi.waitFor(() => expect(refreshed).toHaveBeenCalled(), 10000);
    await new Promise((done) => setTimeout(done));
    process.off("unhandledRejection", complain);
    expect(complaints).toEqual([]);
  });
});

describe("a tab that takes over the line", () => {
  it("goes on with the token that the tab before had last", async () => {
    vi.stubGlobal("WebSocket", class {});
    const s = await tab(), token = { mechanism: "HT-SHA-256-NONE", token: "new", expires: 0, count: 7 };
    s.account.token = { ...token, token: "old", count: 1 };
    device.keepAccount({ ...s.account, token });
    lead();
    expect(device.account()?.token).toEqual({ ...token, count: 8 });
    device.keepAccount(null);
  });
});

describe("what was being typed when a page ended", () => {
  it("is the draft on the next page, once, and of that account alone", async () => {
    const s = await tab();
    await s.draft(BOB, "half a sen");
    await vi.waitFor(() => expect(s.chat(BOB)?.draft).toBe("half a sen"));
    s.lastWords(BOB, "half a sen");
    expect(device.takeWords(s.me)).toEqual([]);
    s.lastWords(BOB, "half a sentence");
    s.stop();
    expect((await tab()).chat(BOB)).toBeUndefined();
    session.stop();
    const again = await tab(s.me);
    expect(again.chat(BOB)?.draft).toBe("half a sentence");
    again.lastWords(BOB, "");
    session.stop();
    expect((await tab(s.me)).chat(BOB)?.draft).toBeUndefined();
    expect(device.takeWords(s.me)).toEqual([]);
  });
});

describe("files", () => {
  it("are tried again, and leave the device once they are at the server", async () => {
    const s = await tab(), server = new FakeServer(s.me), sent: unknown[] = [];
    vi.stubGlobal("XMLHttpRequest", class {
      upload = {};
      status = sent.length ? 201 : 503; // the first try fails
      onloadend = () => undefined;
      open() {}
      setRequestHeader() {}
      send(body: unknown) { sent.push(body); setTimeout(() => this.onloadend(), 0); }
    });
    vi.stubGlobal("fetch", async () => new Response(null, { status: 204, headers: { "Upload-Offset": "0", "Upload-Complete": "?0" } }));
    server.takesFiles = true;
    await s.sendFile(BOB, new Blob(["bytes"]), "a.txt");
    engine = new Engine(s.db, { ...s.account, token: { mechanism: "HT-SHA-256-NONE", token: "t", expires: 0, count: 0 } }, { domain: "town.example", websockets: ["ws://one/"] },
      { changed() {}, live() {}, ended() {}, arrived() {}, pushDue() {} }, undefined, server.connect);
    engine.start();
    await vi.waitFor(async () => expect((await messages())[0].state).toBe("sent"), 6000);
    expect([sent.length, await s.db.count("files"), (await messages())[0].file]).toMatchObject([2, 0, { name: "a.txt", url: "https://town.example/f/1", localId: undefined }]);
  }, 10000);
});
