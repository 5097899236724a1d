// Promise 2 at the app's end: whatever breaks, what was written arrives once. SPDX-License-Identifier: AGPL-3.0-or-later
import { afterEach, describe, expect, it } from "vitest";
import { Engine, here } from "../src/model/engine";
import { enqueue } from "../src/model/outbox";
import * as compose from "../src/model/compose";
import { openStore, type Db } from "../src/store/db";
import * as store from "../src/store/messages";
import type { Message } from "../src/store/types";
import { el, parse } from "../src/wire/xml";
import { FakeServer } from "./fake_server";

const ME = "alice@town.example", BOB = "bob@town.example";
let engine: Engine | null = null, count = 0;
afterEach(() => engine?.stop());

async function until(what: () => boolean | Promise<boolean>, ms = 4000): Promise<void> {
  for (const end = Date.now() + ms; !(await what());) {
    if (Date.now() > end) throw new Error("it did not come true in time");
    await new Promise((r) => setTimeout(r, 5));
  }
}

function start(db: Db, server: FakeServer, pushDue = () => undefined as void): Engine {
  engine = new Engine(db, { jid: ME, name: "alice", domain: "town.example", agentId: "agent", token: { mechanism: "HT-SHA-256-NONE", token: "t", expires: 0, count: 0 } },
    { domain: "town.example", websockets: ["ws://one/", "ws://two/"] }, { changed() {}, live() {}, ended() {}, arrived() {}, pushDue }, undefined, server.connect);
  engine.start();
  return engine;
}

async function write(db: Db, body: string): Promise<Message> {
  const id = crypto.randomUUID(), tx = store.write(db);
  const m: Message = { key: store.keyOf(BOB, "me", id), chat: BOB, id, from: ME, mine: true, at: Date.now(), body, state: "waiting" };
  await store.putMessage(tx, m, "person", false);
  await enqueue(tx, { id, chat: BOB, xml: compose.message(m, { jid: BOB, room: false }).toString(), messageKey: m.key });
  await tx.done;
  return m;
}

const fresh = () => openStore(`engine${++count}@town.example`);
const bodies = (s: FakeServer) => s.kept.filter((k) => k.from === ME).map((k) => k.message.textOf("jabber:client", "body"));
const state = async (db: Db, m: Message) => (await db.get("messages", m.key))?.state;
const waiting = (db: Db) => db.count("outbox");

describe("the outbox", () => {
  it("sends ten messages that were written offline once and in order", async () => {
    const db = await fresh(), server = new FakeServer(), written: Message[] = [];
    for (let n = 0; n < 10; n++) written.push(await write(db, `message ${n}`));
    start(db, server);
    await until(async () => (await waiting(db)) === 0);
    expect(bodies(server)).toEqual(written.map((m) => m.body));
    expect(await state(db, written[9])).toBe("sent");
  });
  it("keeps a message as waiting until it is acknowledged", async () => {
    const db = await fresh(), server = new FakeServer();
    server.acks = false;
    const m = await write(db, "not yet");
    start(db, server);
    await until(() => bodies(server).length === 1);
    expect([await state(db, m), await waiting(db)]).toEqual(["waiting", 1]);
  });
  it("sends again on a resumed stream only what was not counted", async () => {
    const db = await fresh(), server = new FakeServer();
    server.acks = false;
    const e = start(db, server);
    await until(() => e.live.now.line === "online" && !e.live.now.syncing);
    const m = await write(db, "half way");
    e.flush();
    await until(() => bodies(server).length === 1);
    server.cut();
    await until(async () => (await state(db, m)) === "sent");
    expect([bodies(server), server.heard.filter((h) => h.name === "message").length]).toEqual([["half way"], 1]);
  });
  it("finds in the archive what arrived before the line broke for good", async () => {
    const db = await fresh(), server = new FakeServer();
    server.acks = false;
    const m = await write(db, "it arrived");
    const e = start(db, server);
    await until(() => bodies(server).length === 1);
    server.cut(true);
    await until(async () => (await state(db, m)) === "sent");
    expect([bodies(server), await waiting(db), e.live.now.line]).toEqual([["it arrived"], 0, "online"]);
    expect(server.heard.filter((h) => h.name === "message")).toHaveLength(1);
  });
  it("survives twenty breaks at any moment", async () => {
    const db = await fresh(), server = new FakeServer(), written: string[] = [];
    const e = start(db, server);
    for (let n = 0; n < 20; n++) {
      written.push((await write(db, `m${n}`)).body);
      e.flush();
      await new Promise((r) => setTimeout(r, Math.random() * 12));
      server.cut(n % 3 === 0);
      e.hurry();
    }
    await until(async () => (await waiting(db)) === 0, 15000);
    expect(bodies(server)).toEqual(written);
  }, 20000);
  it("tells what the server refused, and does not send it by itself again", async () => {
    const db = await fresh(), server = new FakeServer(), m = await write(db, "no"), e = start(db, server);
    await until(() => bodies(server).length === 1);
    await until(() => e.live.now.line === "online");
    server.say(parse(`<message xmlns='jabber:client' type='error' from='${BOB}' id='${m.id}'><error type='cancel'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`));
    await until(async () => (await state(db, m)) === "failed");
    expect([await waiting(db), (await db.get("messages", m.key))?.why]).toEqual([0, "not-acceptable"]);
  });
  it("tells what was refused before it was counted, and sends it again at once if that is wished", async () => {
    const db = await fresh(), server = new FakeServer(), m = await write(db, "no");
    server.acks = false;
    const e = start(db, server);
    await until(() => bodies(server).length === 1);
    server.say(parse(`<message xmlns='jabber:client' type='error' from='${BOB}' id='${m.id}'><error type='cancel'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`));
    await until(async () => (await state(db, m)) === "failed");
    const tx = store.write(db);
    await enqueue(tx, { id: m.id, chat: BOB, xml: compose.message(m, { jid: BOB, room: false }).toString(), messageKey: m.key });
    await tx.done;
    const before = server.heard.length;
    e.flush();
    await until(() => server.heard.slice(before).some((h) => h.name === "message"));
    server.say(el("urn:xmpp:sm:3", "a", { h: String(server.handled - 1) })); // the first one, which was refused
    await new Promise((r) => setTimeout(r, 50));
    expect([await state(db, m), await waiting(db)]).toEqual(["failed", 1]);
  });
});

describe("pushes", () => {
  it("are due with each new stream, and when the server says that this browser's are gone", async () => {
    const db = await fresh(), server = new FakeServer();
    let due = 0;
    start(db, server, () => void due++);
    await until(() => due === 1);
    const removed = (node: string, from = ME) => parse(`<message xmlns='jabber:client' type='headline' from='${from}'><removed xmlns='urn:bongsu:push:0' jid='push.town.example' node='${node}'/></message>`);
    server.say(removed("another-browser"));
    server.say(removed("browser-agent", BOB));
    server.say(removed("browser-agent"));
    await until(() => due === 2);
    server.cut();
    await until(() => server.heard.filter((h) => h.name === "authenticate").length === 2);
    server.cut(true); // the second one was resumed: nothing is due
    await until(() => due === 3);
  });
});

describe("what comes", () => {
  it("fills the gap of a time without a line, without doubles", async () => {
    const db = await fresh(), server = new FakeServer();
    for (let n = 0; n < 5; n++) server.write(BOB, `before ${n}`);
    const e = start(db, server);
    await until(async () => (await db.count("messages")) === 5);
    await until(() => !e.live.now.syncing);
    server.write(BOB, "live");
    await until(async () => (await db.count("messages")) === 6);
    server.up = false;
    server.cut(true);
    for (let n = 0; n < 250; n++) server.write(BOB, `meanwhile ${n}`);
    server.up = true;
    await until(async () => (await db.count("messages")) === 256, 8000);
    expect((await db.get("chats", BOB))?.unread).toBe(256);
  }, 15000);
  it.each([["wait", "internal-server-error", 2], ["cancel", "service-unavailable", Infinity]])("sends what waits although the archive answers %s, %s", async (type, condition, times) => {
    const db = await fresh(), server = new FakeServer(), m = await write(db, "all the same");
    server.archiveFails = { type, condition, times };
    server.write(BOB, "while it was away");
    start(db, server);
    await until(async () => (await state(db, m)) === "sent");
    expect(await db.count("messages")).toBe(times === 2 ? 2 : 1);
  });
  it("goes on catching up when the line breaks between two pages and the stream is resumed", async () => {
    const db = await fresh(), server = new FakeServer();
    server.write(BOB, "first");
    start(db, server);
    await until(async () => (await db.count("messages")) === 1);
    server.up = false;
    server.cut(true);
    for (let n = 0; n < 250; n++) server.write(BOB, `meanwhile ${n}`);
    const m = await write(db, "and mine");
    server.afterPage = () => server.cut();
    server.up = true;
    await until(async () => (await state(db, m)) === "sent", 8000);
    expect(await db.count("messages")).toBe(252);
  }, 15000);
  it("answers nobody unasked who may not know that we are here", async () => {
    const db = await fresh(), server = new FakeServer(), e = start(db, server), MALLORY = "mallory@town.example";
    await until(() => e.live.now.line === "online" && !e.live.now.syncing);
    const before = server.heard.length, to = (name: string) => server.heard.slice(before).filter((h) => h.attr("to") === name);
    for (const from of [MALLORY, BOB]) {
      server.say(parse(`<message xmlns='jabber:client' type='chat' from='${from}/x' to='${ME}' id='m-${from}'><body>hi</body><request xmlns='urn:xmpp:receipts'/></message>`));
      server.say(parse(`<message xmlns='jabber:client' type='headline' from='${from}' to='${ME}'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='urn:xmpp:avatar:metadata'>
        <item id='a'><metadata xmlns='urn:xmpp:avatar:metadata'><info id='a'/></metadata></item></items></event></message>`));
    }
    await until(() => to(BOB).length === 2);
    expect([to(MALLORY), await db.get("people", MALLORY), await db.count("messages")]).toEqual([[], undefined, 2]);
  });
  it("keeps the name, the star and the groups of a friend who is added again", async () => {
    const db = await fresh(), server = new FakeServer(), e = start(db, server);
    await until(() => e.live.now.line === "online" && !e.live.now.syncing);
    await e.does.answerFriend(BOB, true);
    await e.does.setFriend(BOB, "Bob", false);
    const items = server.heard.filter((h) => h.attr("type") === "set").flatMap((h) => h.child("jabber:iq:roster", "query")?.elements ?? []);
    expect(items.map((i) => [i.attr("name"), i.elements.map((g) => g.text)])).toEqual([["Bobby", ["★", "Work"]], ["Bob", ["Work"]]]);
  });
  it("keeps what one wrote down about a friend when their card is read", async () => {
    const db = await fresh(), server = new FakeServer(), e = start(db, server);
    await until(() => e.live.now.line === "online" && !e.live.now.syncing);
    await db.put("people", { ...(await db.get("people", BOB))!, card: { phone: "010-1", note: "shift B" } });
    server.card = `<vCard xmlns='vcard-temp'><TEL><NUMBER>02-2</NUMBER></TEL><EMAIL><USERID>bob@x.kr</USERID></EMAIL><PHOTO><TYPE>image/png</TYPE><BINVAL>${"A".repeat(300000)}</BINVAL></PHOTO></vCard>`;
    await e.does.look(BOB);
    expect(await db.get("people", BOB)).toMatchObject({ card: { phone: "010-1", note: "shift B" }, told: { phone: "02-2", email: "bob@x.kr" } });
    expect((await db.get("people", BOB))?.avatarUrl).toBeUndefined();
  });
  it("takes for its own server's what is, and nothing that only begins like it", () => {
    const place = { domain: "town.example", websockets: [], base: "https://town.example" };
    expect(["https://town.example/f/1", "https://town.example.evil.com/f/1", "https://town.example"].map((u) => here(u, place))).toEqual(["http://localhost:5281/f/1", "https://town.example.evil.com/f/1", "https://town.example"]);
  });
  it("keeps the order of what comes in the same instant", async () => {
    const db = await fresh(), server = new FakeServer(), e = start(db, server), words = Array.from({ length: 30 }, (_, n) => `w${n}`);
    await until(() => e.live.now.line === "online" && !e.live.now.syncing);
    for (const w of words) server.write(BOB, w);
    await until(async () => (await db.count("messages")) === 30);
    expect((await store.before(db, BOB, null, 40)).map((m) => m.body)).toEqual(words);
  });
  it("counts a stanza as handled only when it is in the store", async () => {
    const db = await fresh(), server = new FakeServer(), e = start(db, server);
    await until(() => e.live.now.line === "online" && !e.live.now.syncing);
    const before = server.heard.length;
    server.write(BOB, "keep me");
    server.say(el("urn:xmpp:sm:3", "r"));
    await until(() => server.heard.slice(before).some((h) => h.name === "a"));
    expect(await db.count("messages")).toBe(1);
  });
});
