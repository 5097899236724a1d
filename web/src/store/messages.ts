// The one place where messages enter the store. Everything here may be done twice: what comes live, as a carbon, from the
// archive or from another tab is the same message, and a change may come before what it changes.
// SPDX-License-Identifier: AGPL-3.0-or-later
import type { IDBPTransaction } from "idb";
import type { Db, Tables } from "./db";
import type { Chat, Message, Note } from "./types";

export const STORES = ["messages", "notes", "chats", "outbox", "files", "values"] as const;
export type Tx = IDBPTransaction<Tables, (typeof STORES)[number][], "readwrite">;

export const write = (db: Db): Tx => db.transaction([...STORES], "readwrite");

export const keyOf = (chat: string, from: string, id: string): string => `${chat}\n${from}\n${id}`;
export const targetOf = (chat: string, id: string): string => `${chat}\n${id}`;
export const noteKey = (target: string, kind: string, from: string): string => `${target}\n${kind}\n${from}`;

export function newChat(jid: string, kind: Chat["kind"]): Chat {
  return { jid, kind, lastAt: 0, unread: 0, readAt: 0 };
}

export async function chatOf(tx: Tx, jid: string, kind: Chat["kind"] = "person"): Promise<Chat> {
  return (await tx.objectStore("chats").get(jid)) ?? newChat(jid, kind);
}

/** What a chat list shows of a message. */
export function lineOf(m: Message): Chat["last"] {
  return { at: m.at, body: m.retracted ? "" : m.body.slice(0, 200), from: m.from, mine: m.mine, file: m.retracted ? undefined : m.file?.sticker ? "sticker" : m.file?.type,
    retracted: m.retracted, notice: m.notice, state: m.state };
}

// ---- notes ----

function fits(m: Message, n: Note): boolean {
  return n.kind === "react" || n.from === m.from || n.from === m.chat; // a room may take back what somebody said
}

/** Changes `m`; true if it did. */
export function applyNote(m: Message, n: Note): boolean {
  if (!fits(m, n)) return false;
  if (n.kind === "react") {
    const next = { ...m.reactions };
    if (n.emoji?.length) next[n.from] = n.emoji;
    else delete next[n.from];
    m.reactions = next;
  } else if (n.kind === "retract") {
    Object.assign(m, { retracted: true, body: "", file: undefined, reply: undefined, reactions: undefined });
  } else if (!m.retracted) {
    Object.assign(m, { body: n.body ?? m.body, edited: true });
  }
  return true;
}

export async function findByRef(tx: Tx, chat: string, id: string): Promise<Message | undefined> {
  const messages = tx.objectStore("messages");
  return (await messages.index("byId").get([chat, id])) ?? (await messages.index("bySid").get([chat, id]));
}

/** Keeps the note and changes its message, if that is here. The newest of one kind from one person counts. */
export async function putNote(tx: Tx, chat: string, n: Note): Promise<Message | undefined> {
  const notes = tx.objectStore("notes"), known = await notes.get(n.key);
  if (known && known.at > n.at) return undefined;
  await notes.put(n);
  const m = await findByRef(tx, chat, n.target.slice(chat.length + 1));
  if (!m || !applyNote(m, n)) return undefined;
  await tx.objectStore("messages").put(m);
  const c = await chatOf(tx, chat);
  if (c.last && c.last.at === m.at && n.kind !== "react") await tx.objectStore("chats").put({ ...c, last: lineOf(m) });
  return m;
}

// ---- messages ----

async function withNotes(tx: Tx, m: Message): Promise<void> {
  const notes = tx.objectStore("notes").index("byTarget");
  for (const id of new Set([m.id, m.sid]))
    for (const n of id ? await notes.getAll(targetOf(m.chat, id)) : []) applyNote(m, n);
}

async function isSent(tx: Tx, m: Message): Promise<void> {
  const outbox = tx.objectStore("outbox");
  for (const n of await outbox.index("byId").getAllKeys(m.id)) await outbox.delete(n);
}

/** The known message with what the new sight of it tells. */
function merge(known: Message, m: Message, stamped: boolean): Message {
  const next = { ...known, sid: known.sid ?? m.sid };
  if (m.sender) next.sender = m.sender;
  if (known.mine && m.state === "sent") next.state = "sent";
  if (stamped) next.at = m.at;
  return next;
}

function intoChat(c: Chat, m: Message): Chat {
  const next = { ...c };
  if (m.at >= c.lastAt || !c.last) Object.assign(next, { lastAt: m.at, last: lineOf(m), hidden: false });
  if (m.sid && !next.first) next.first = m.sid;
  if (m.mine && m.state === "sent") next.readAt = Math.max(c.readAt, m.at);
  if (m.mine && m.state === "sent" && m.at >= c.lastAt) next.unread = 0;
  else if (!m.mine && !m.notice && m.at > next.readAt) {
    next.unread = c.unread + 1;
    next.mentioned = c.mentioned || m.mentions;
  }
  return next;
}

/** `stamped`: its time is the server's. True: nobody had seen it before. */
export async function putMessage(tx: Tx, m: Message, kind: Chat["kind"], stamped: boolean): Promise<boolean> {
  const messages = tx.objectStore("messages");
  const known = (await messages.get(m.key)) ?? (m.sid ? await messages.index("bySid").get([m.chat, m.sid]) : undefined);
  if (m.mine && m.state === "sent") await isSent(tx, m);
  if (known) {
    const next = merge(known, m, stamped);
    if (!known.sid && m.sid) await withNotes(tx, next);
    await messages.put(next);
    const c = await chatOf(tx, m.chat, kind);
    if (c.last?.mine && c.last.at === known.at) await tx.objectStore("chats").put({ ...c, last: lineOf(next), lastAt: Math.max(c.lastAt, next.at) });
    return false;
  }
  await withNotes(tx, m);
  await messages.put(m);
  await tx.objectStore("chats").put(intoChat(await chatOf(tx, m.chat, kind), m));
  return true;
}

// ---- reading ----

export interface Place { at: number; key: string }

/** Of one chat's messages in the index of time: what is between two places, without them (null: the beginning, the end). */
export const span = (chat: string, from: Place | null, to: Place | null): IDBKeyRange =>
  IDBKeyRange.bound([chat, from?.at ?? -Infinity, from?.key ?? ""], to ? [chat, to.at, to.key] : [chat, Infinity, "\uffff"], from !== null, to !== null);

/** Up to `max` messages right before a place (null: the newest), in order of time: found by the index, read at once. */
export async function before(db: Db, chat: string, place: Place | null, max: number): Promise<Message[]> {
  const range = span(chat, null, place), index = db.transaction("messages").store.index("byTime"), newest = await index.openKeyCursor(range, "prev");
  if (!newest || max < 1) return [];
  const first = max > 1 ? await newest.advance(max - 1) : newest; // null: there are fewer
  return index.getAll(first ? IDBKeyRange.bound(first.key, range.upper, false, range.upperOpen) : range);
}

export function after(db: Db, chat: string, place: Place, max: number): Promise<Message[]> {
  return db.getAllFromIndex("messages", "byTime", span(chat, place, null), max);
}

/** How many of theirs are newer than `at`; counts to `max`. */
export async function unreadSince(tx: Tx, chat: string, at: number, max = 300): Promise<number> {
  const rows = await tx.objectStore("messages").index("byTime").getAll(span(chat, { at, key: "\uffff" }, null), max);
  return rows.filter((m) => !m.mine && !m.notice).length;
}

/** Takes away what was never sent, with its bytes. */
export async function discard(tx: Tx, m: Message): Promise<void> {
  await isSent(tx, m);
  if (m.file?.localId) await tx.objectStore("files").delete(m.file.localId);
  await tx.objectStore("messages").delete(m.key);
  const c = await tx.objectStore("chats").get(m.chat), last = await tx.objectStore("messages").index("byTime").openCursor(span(m.chat, null, null), "prev");
  if (c) await tx.objectStore("chats").put({ ...c, last: last ? lineOf(last.value) : undefined });
}

/** Everything up to `at` has been seen, here or on another device. */
export async function putRead(tx: Tx, chat: string, at: number): Promise<void> {
  const c = await tx.objectStore("chats").get(chat);
  if (!c || at <= c.readAt) return;
  const unread = await unreadSince(tx, chat, at);
  await tx.objectStore("chats").put({ ...c, readAt: at, unread, mentioned: unread > 0 && c.mentioned });
}

export async function putTheirRead(tx: Tx, chat: string, who: string, at: number): Promise<void> {
  const c = await tx.objectStore("chats").get(chat);
  if (c && at > (c.theirs?.[who] ?? 0)) await tx.objectStore("chats").put({ ...c, theirs: { ...c.theirs, [who]: at } });
}

const newest = (rows: Message[], max: number): Message[] => rows.sort((a, b) => b.at - a.at || (b.key < a.key ? -1 : 1)).slice(0, max);

const PAGE = 500;

/** Every message, in pages: a device's history is larger than what should be in memory at once. */
export async function* pages(db: Db, max = PAGE): AsyncGenerator<Message[]> {
  for (let rows = await db.getAll("messages", null, max); rows.length; rows = await db.getAll("messages", IDBKeyRange.lowerBound(rows[rows.length - 1].key, true), max)) yield rows;
}

/** The newest `max` on this device that hold the words: search without a network. The index goes chat by chat, so all of them are
 * looked at; `wanted` says whether anybody still waits for the answer. */
export async function find(db: Db, words: string, max: number, wanted: () => boolean = () => true): Promise<Message[]> {
  const all = words.normalize("NFC").toLowerCase().split(/\s+/).filter(Boolean);
  let out: Message[] = [];
  if (!all.length) return out;
  for await (const rows of pages(db)) {
    if (!wanted()) break;
    out = newest([...out, ...rows.filter((m) => { const body = m.body.normalize("NFC").toLowerCase(); return all.every((w) => body.includes(w)); })], max);
  }
  return out;
}

/** Up to `max` messages of a chat right before a place (null: the newest) that are wanted, newest first. No index knows which those are. */
export async function matching(db: Db, chat: string, place: Place | null, max: number, fits: (m: Message) => boolean, wanted: () => boolean = () => true): Promise<Message[]> {
  const out: Message[] = [];
  for (let at = place; out.length < max && wanted();) {
    const rows = await before(db, chat, at, PAGE);
    out.push(...rows.filter(fits).reverse());
    if (rows.length < PAGE) break;
    at = { at: rows[0].at, key: rows[0].key };
  }
  return out.slice(0, max);
}

const goesBefore = (m: Message, place: Place | null): boolean => !place || m.at < place.at || (m.at === place.at && m.key < place.key);

/** Up to `max` photos and files of a chat right before a place (null: the newest), newest first; stickers are neither. The index
 * knows no time, so all are looked at, one by one. */
export async function drawer(db: Db, chat: string, place: Place | null, max: number): Promise<Message[]> {
  let out: Message[] = [], cursor = await db.transaction("messages").store.index("byFile").openCursor(IDBKeyRange.bound([chat, ""], [chat, "\uffff"]));
  for (; cursor; cursor = await cursor.continue())
    if (!cursor.value.file?.sticker && goesBefore(cursor.value, place) && out.push(cursor.value) >= 2 * max) out = newest(out, max);
  return newest(out, max);
}
