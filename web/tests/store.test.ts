// SPDX-License-Identifier: AGPL-3.0-or-later
import { beforeEach, describe, expect, it } from "vitest";
import { openStore, type Db } from "../src/store/db";
import * as store from "../src/store/messages";
import { prune } from "../src/store/prune";
import type { Message, Note } from "../src/store/types";
import { MessageWindow, MOST } from "../src/model/window";

let db: Db, count = 0;
beforeEach(async () => { db = await openStore(`test${++count}@town.example`); });

const BOB = "bob@town.example";
const message = (id: string, at: number, more: Partial<Message> = {}): Message => {
  const mine = more.mine ?? false;
  return { key: store.keyOf(BOB, mine ? "me" : BOB, id), chat: BOB, id, from: mine ? "alice@town.example" : BOB, mine, at, body: `body ${id}`, ...more };
};
async function put(m: Message, stamped = true): Promise<boolean> {
  const tx = store.write(db), fresh = await store.putMessage(tx, m, "person", stamped);
  await tx.done;
  return fresh;
}
async function note(kind: Note["kind"], id: string, from: string, at: number, more: Partial<Note> = {}): Promise<void> {
  const tx = store.write(db), target = store.targetOf(BOB, id);
  await store.putNote(tx, BOB, { key: store.noteKey(target, kind, from), target, kind, from, at, ...more });
  await tx.done;
}
const all = async () => (await store.before(db, BOB, null, 100)).map((m) => m.id);

describe("messages", () => {
  it("is one message, however often and from wherever it comes", async () => {
    expect([await put(message("a", 10), false), await put(message("a", 12, { sid: "s1" })), await put(message("a", 12, { sid: "s1" }))]).toEqual([true, false, false]);
    const [m] = await store.before(db, BOB, null, 10);
    expect([m.at, m.sid, (await db.get("chats", BOB))?.unread]).toEqual([12, "s1", 1]);
  });
  it("stands in the order of the server's time", async () => {
    for (const [id, at] of [["c", 30], ["a", 10], ["b", 20]] as const) await put(message(id, at));
    expect(await all()).toEqual(["a", "b", "c"]);
    expect((await db.get("chats", BOB))?.last?.body).toBe("body c");
  });
  it("counts what is unread, and not again what was read", async () => {
    for (const at of [1, 2, 3, 4]) await put(message(`m${at}`, at));
    const tx = store.write(db);
    await store.putRead(tx, BOB, 3);
    await tx.done;
    expect((await db.get("chats", BOB))?.unread).toBe(1);
    await put(message("late", 2.5)); // an older page of the archive
    expect((await db.get("chats", BOB))?.unread).toBe(1);
  });
  it("has read what it answered on another device", async () => {
    await put(message("a", 1));
    await put(message("b", 2, { mine: true, state: "sent" }));
    expect((await db.get("chats", BOB))?.unread).toBe(0);
  });
});

describe("changes of messages", () => {
  it("applies an edit that comes before its message", async () => {
    await note("edit", "a", BOB, 20, { body: "better" });
    await put(message("a", 10));
    expect((await store.before(db, BOB, null, 1))[0]).toMatchObject({ body: "better", edited: true });
  });
  it("lets the newest edit win, in whatever order they come", async () => {
    await put(message("a", 10));
    await note("edit", "a", BOB, 30, { body: "third" });
    await note("edit", "a", BOB, 20, { body: "second" });
    expect((await store.before(db, BOB, null, 1))[0].body).toBe("third");
  });
  it("lets nobody change another's words", async () => {
    await put(message("a", 10));
    await note("edit", "a", "mallory@town.example", 20, { body: "forged" });
    await note("retract", "a", "mallory@town.example", 20);
    expect((await store.before(db, BOB, null, 1))[0].body).toBe("body a");
  });
  it("takes a message back for good, and its words with it", async () => {
    await put(message("a", 10));
    await note("retract", "a", BOB, 20);
    await note("edit", "a", BOB, 30, { body: "back" });
    expect((await store.before(db, BOB, null, 1))[0]).toMatchObject({ retracted: true, body: "" });
    expect((await db.get("chats", BOB))?.last?.retracted).toBe(true);
  });
  it("keeps each person's latest reactions", async () => {
    await put(message("a", 10));
    await note("react", "a", BOB, 1, { emoji: ["👍"] });
    await note("react", "a", "alice@town.example", 2, { emoji: ["❤️", "👍"] });
    await note("react", "a", BOB, 3, { emoji: [] });
    expect((await store.before(db, BOB, null, 1))[0].reactions).toEqual({ "alice@town.example": ["❤️", "👍"] });
  });
});

describe("long histories", () => {
  it("moves a bounded window over them", async () => {
    const tx = db.transaction("messages", "readwrite");
    for (let n = 0; n < 2000; n++) void tx.store.put(message(`m${n}`, n));
    await tx.done;
    const w = new MessageWindow(db, BOB, null);
    await w.toEnd();
    for (let n = 0; n < 20; n++) await w.older();
    expect(w.rows.value).toHaveLength(MOST);
    expect([w.atEnd.value, w.rows.value?.[0].at]).toEqual([false, 2000 - 21 * 60]);
    for (let n = 0; n < 25; n++) await w.newer();
    expect([w.atEnd.value, w.rows.value?.at(-1)?.at, w.rows.value?.length]).toEqual([true, 1999, MOST]);
    await w.around({ at: 1000, key: "" });
    expect(w.rows.value?.some((m) => m.at === 1000)).toBe(true);
  });
  it("shows each message once, at every moment, while the archive fills it", async () => {
    for (let n = 290; n < 300; n++) await put(message(`m${n}`, n));
    const doubles: string[] = [], changes: Promise<void>[] = [];
    const w = new MessageWindow(db, BOB, async () => {
      for (let n = 200; n < 290; n++) await put(message(`m${n}`, n));
      changes.push(w.refresh(), w.refresh()); // as is told of a page that came
      return false;
    });
    w.rows.subscribe((rows) => doubles.push(...(rows ?? []).map((m) => m.id).filter((id, n, all) => all.indexOf(id) !== n)));
    await w.toEnd();
    await Promise.all(changes);
    for (const at of [250, 295]) await Promise.all([w.refresh(), w.around({ at, key: "" }), w.older(), w.newer(), w.refresh(), w.toEnd(), w.older()]);
    expect([doubles, w.rows.value?.at(-1)?.id]).toEqual([[], "m299"]);
  });
  it("finds the newest of all chats, and stops when nobody waits", async () => {
    for (let n = 0; n < 20; n++)
      for (const chat of ["ann@t", "zoe@t"]) await put(message(`${chat}${n}`, chat === "ann@t" ? 100 + n : n, { chat, key: store.keyOf(chat, chat, `${n}`), body: "the word" }));
    expect((await store.find(db, "word", 5)).map((m) => [m.chat, m.at])).toEqual([119, 118, 117, 116, 115].map((at) => ["ann@t", at]));
    const tx = db.transaction("messages", "readwrite");
    for (let n = 0; n < 1200; n++) void tx.store.put(message(`m${n}`, n));
    await tx.done;
    let looks = 0;
    await store.find(db, "word", 5, () => ++looks < 2); // three pages there are
    expect(looks).toBe(2);
  });
  it("gives photos and files in bounded pages, newest first, whatever they are", async () => {
    for (let n = 0; n < 150; n++) await put(message(`f${n}`, 100 + Math.floor(n / 2), { file: { name: "x", size: 1, type: n % 3 ? "image/png" : "video/mp4", sticker: n % 50 === 7 || undefined } }));
    await put(message("text", 500));
    const seen: string[] = [];
    for (let place: store.Place | null = null; ;) {
      const rows: Message[] = await store.drawer(db, BOB, place, 20);
      expect(rows.length).toBeLessThanOrEqual(20);
      if (!rows.length) break;
      seen.push(...rows.map((m) => m.id));
      place = rows[rows.length - 1];
    }
    expect([seen.length, new Set(seen).size, seen.includes("f7"), seen.slice(0, 2).sort()]).toEqual([147, 147, false, ["f148", "f149"]]);
  });
  it("gives what is wanted in pages, newest first, and stops when nobody waits any more", async () => {
    for (let n = 0; n < 1200; n++) await put(message(`m${n}`, n));
    const odd = (m: Message) => Number(m.id.slice(1)) % 100 === 1, ids = async (place: store.Place | null, max: number) => (await store.matching(db, BOB, place, max, odd)).map((m) => m.id);
    expect(await ids(null, 3)).toEqual(["m1101", "m1001", "m901"]);
    expect(await ids({ at: 901, key: store.keyOf(BOB, BOB, "m901") }, 99)).toEqual(["m801", "m701", "m601", "m501", "m401", "m301", "m201", "m101", "m1"]);
    let looks = 0;
    expect(await store.matching(db, BOB, null, 99, () => false, () => ++looks < 2)).toEqual([]);
    expect(looks).toBe(2);
  });
  it("goes to a date and to the beginning, and gets from the archive what is not here yet", async () => {
    const old: Message[] = Array.from({ length: 300 }, (_, n) => message(`m${n}`, n * 10));
    for (const m of old.slice(250)) await put(m);
    let asked = 0;
    const w = new MessageWindow(db, BOB, async () => {
      const from = 250 - 50 * ++asked;
      for (const m of old.slice(from, from + 50)) await put(m);
      return from > 0;
    });
    expect([(await w.since(2755)).place?.id, asked]).toEqual(["m276", 0]);
    expect([(await w.since(1995)).place?.id, asked]).toEqual(["m200", 2]);
    expect([await w.since(-Infinity), asked]).toMatchObject([{ place: { id: "m0" }, short: false }, 5]);
    expect(await w.since(999999)).toEqual({ place: null, short: false });
    const offline = new MessageWindow(db, BOB, () => Promise.reject(new Error("lost")));
    expect(await offline.since(-5)).toMatchObject({ place: { id: "m0" }, short: true });
  });
  it("finds Korean words of two syllables", async () => {
    await put(message("a", 1, { body: "내일 병상 배정 회의" }));
    await put(message("b", 2, { body: "병원에서 만나" }));
    expect((await store.find(db, "병상", 10)).map((m) => m.id)).toEqual(["a"]);
    expect((await store.find(db, "만나 병원", 10)).map((m) => m.id)).toEqual(["b"]);
  });
});

describe("old messages taken off the device", () => {
  const read = async (at: number) => { const tx = store.write(db); await store.putRead(tx, BOB, at); await tx.done; };

  it("are those that the archive has and that were read, and the history begins behind them", async () => {
    for (let n = 0; n < 1300; n++) await put(message(`m${n}`, n, { sid: n % 10 === 5 ? undefined : `s${n}` }));
    await put(message("unsent", 7.5, { mine: true, state: "waiting" }));
    await put(message("sent", 8.5, { mine: true, state: "sent" }));
    const c = await db.get("chats", BOB);
    await db.put("chats", { ...c!, first: "s0", complete: true });
    await read(1250);
    expect(await prune(db, 1200)).toEqual({ gone: 1081, chats: [BOB] });
    expect([await db.count("messages"), (await store.before(db, BOB, null, 2000))[1].id]).toEqual([221, "unsent"]);
    expect(await db.get("chats", BOB)).toMatchObject({ first: "s1200", readAt: 1250, unread: 49, last: { body: "body m1299" } });
    expect((await db.get("chats", BOB))?.complete).toBeUndefined();
    expect((await prune(db, Infinity)).gone).toBe(45); // not what is unread, nor the last one read
    expect((await db.get("chats", BOB))?.first).toBe("s1250");
  });
  it("stay in a group that one has left, whose archive is closed", async () => {
    const tx = store.write(db);
    for (const [jid, joined] of [["in@rooms.town.example", true], ["left@rooms.town.example", false]] as const) {
      await tx.objectStore("chats").put({ ...store.newChat(jid, "room"), readAt: 10, room: { nick: "alice", joined } });
      await tx.objectStore("messages").put({ ...message("a", 1, { sid: "s" }), key: store.keyOf(jid, "bob", "a"), chat: jid });
    }
    await tx.done;
    expect(await prune(db, 5)).toEqual({ gone: 1, chats: ["in@rooms.town.example"] });
    expect((await db.get("chats", "in@rooms.town.example"))?.first).toBeUndefined();
  });
});
