// The device's database: one for each account, made and upgraded here. SPDX-License-Identifier: AGPL-3.0-or-later
import { openDB, deleteDB, type DBSchema, type IDBPDatabase } from "idb";
import type { Chat, Message, Note, Outgoing, Person, StoredFile } from "./types";

export interface Tables extends DBSchema {
  messages: { key: string; value: Message; indexes: { byTime: [string, number, string]; byId: [string, string]; bySid: [string, string]; byFile: [string, string] } };
  notes: { key: string; value: Note; indexes: { byTarget: string } };
  chats: { key: string; value: Chat };
  people: { key: string; value: Person };
  outbox: { key: number; value: Outgoing; indexes: { byId: string } };
  files: { key: string; value: StoredFile };
  values: { key: string; value: unknown };
}

export type Db = IDBPDatabase<Tables>;

const VERSION = 1;

export const nameOf = (jid: string): string => `bongsu:${jid}`;

/** `outdated` is called when a newer version of the app wants to upgrade what we hold open. */
export function openStore(jid: string, outdated?: () => void): Promise<Db> {
  return openDB<Tables>(nameOf(jid), VERSION, {
    upgrade(db, from) {
      if (from < 1) {
        const messages = db.createObjectStore("messages", { keyPath: "key" });
        messages.createIndex("byTime", ["chat", "at", "key"]);
        messages.createIndex("byId", ["chat", "id"]);
        messages.createIndex("bySid", ["chat", "sid"]);
        messages.createIndex("byFile", ["chat", "file.type"]);
        db.createObjectStore("notes", { keyPath: "key" }).createIndex("byTarget", "target");
        db.createObjectStore("chats", { keyPath: "jid" });
        db.createObjectStore("people", { keyPath: "jid" });
        db.createObjectStore("outbox", { keyPath: "n", autoIncrement: true }).createIndex("byId", "id");
        db.createObjectStore("files", { keyPath: "id" });
        db.createObjectStore("values");
      }
    },
    blocking(_now, _next, event) {
      (event.target as IDBDatabase).close();
      outdated?.();
    },
  });
}

export const removeStore = (jid: string): Promise<void> => deleteDB(nameOf(jid));
