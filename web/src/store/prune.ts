// Old messages are taken off the device; only those that the server's archive has, so that they can come back. SPDX-License-Identifier: AGPL-3.0-or-later
import type { Db } from "./db";
import * as store from "./messages";
import type { Chat, Message } from "./types";

const PAGE = 500, NEAR = 50;

/** Of our own the server's id is not known here at first; but what it has counted is durable. */
const isInArchive = (m: Message): boolean => m.sid !== undefined || m.state === "sent";

/** The id in the archive that a chat's history begins with from now on; undefined: it is to be got anew. */
async function beginsWith(tx: store.Tx, chat: string, after: store.Place): Promise<string | undefined> {
  const next = await tx.objectStore("messages").index("byTime").getAll(store.span(chat, after, null), NEAR);
  return next.find((m) => m.sid)?.sid;
}

/** One page, the oldest first, in one transaction with where the history begins: whoever closes the tab has a history without a gap. Null: there is no more. */
async function prunePage(db: Db, chat: string, from: store.Place | null, until: number): Promise<{ last: store.Place; gone: number } | null> {
  const tx = store.write(db), messages = tx.objectStore("messages");
  const rows = await messages.index("byTime").getAll(store.span(chat, from, { at: until, key: "" }), PAGE), old = rows.filter(isInArchive), last = rows.at(-1);
  for (const m of old) await messages.delete(m.key);
  const c = await tx.objectStore("chats").get(chat);
  if (c && last && old.length) await tx.objectStore("chats").put({ ...c, first: await beginsWith(tx, chat, last), complete: undefined });
  await tx.done;
  return last ? { last: { at: last.at, key: last.key }, gone: old.length } : null;
}

/** Takes away what is older than `at` and has been seen; of groups only where we are in, for the others' archives are closed to us. How many went, and from where. */
export async function prune(db: Db, at: number): Promise<{ gone: number; chats: string[] }> {
  const open = (c: Chat) => c.kind === "person" || c.room?.joined, chats: string[] = [];
  let gone = 0;
  for (const c of (await db.getAll("chats")).filter(open)) {
    let page = await prunePage(db, c.jid, null, Math.min(at, c.readAt)), here = 0;
    for (; page; page = await prunePage(db, c.jid, page.last, Math.min(at, c.readAt))) here += page.gone;
    if (here) chats.push(c.jid);
    gone += here;
  }
  return { gone, chats };
}
