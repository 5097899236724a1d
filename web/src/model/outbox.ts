// What waits to be sent. It is in the store before anything is shown as written; it leaves the store when the server has
// counted it (XEP-0198), or when the archive shows it. In between it may be sent again, always under its origin-id, so that
// it lands once (promise 2). Only the leading tab sends.
// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Db } from "../store/db";
import { chatOf, lineOf, write, type Tx } from "../store/messages";
import type { Kept, Outgoing } from "../store/types";
import { parse, type El } from "../wire/xml";
import { NS } from "../wire/ns";
import type { Change } from "./bus";

/** Inside the transaction that also keeps the message. */
export async function enqueue(tx: Tx, o: Outgoing): Promise<void> {
  await tx.objectStore("outbox").add(o);
}

export async function setState(tx: Tx, key: string, state: Kept, why?: string): Promise<string | null> {
  const m = await tx.objectStore("messages").get(key);
  if (!m || m.state === state) return null;
  await tx.objectStore("messages").put({ ...m, state, why });
  const c = await chatOf(tx, m.chat);
  if (c.last?.mine && c.last.at === m.at) await tx.objectStore("chats").put({ ...c, last: lineOf({ ...m, state }) });
  return m.chat;
}

const RUN_AGAIN_BELOW = 1000; // half of what the line takes: each round reads all that waits

export class Outbox {
  private readonly inFlight = new Set<number>();
  private again = false;
  private full = false; // the line takes no more before what went is counted
  private running: Promise<void> | null = null;

  constructor(
    private readonly db: Db,
    private readonly send: (e: El, done: (kept: boolean) => void) => boolean,
    private readonly changed: (c: Change) => void,
    private readonly ready: (o: Outgoing) => boolean = () => true, // a room must be entered first
  ) {}

  /** Sends what waits, in order. Cheap when nothing does. */
  run(): Promise<void> {
    if (this.running) {
      this.again = true;
      return this.running;
    }
    this.running = this.round().finally(() => { this.running = null; });
    return this.running;
  }

  private async round(): Promise<void> {
    do {
      this.again = this.full = false;
      for (const o of await this.db.getAll("outbox")) {
        const n = o.n as number;
        if (this.inFlight.has(n) || o.file || !this.ready(o)) continue;
        this.inFlight.add(n);
        if (!this.send(parse(o.xml, NS.client), (kept) => void this.done(o, kept))) {
          this.inFlight.delete(n);
          this.full = true; // or no line: the next one runs us again
          return;
        }
      }
    } while (this.again);
  }

  private async done(o: Outgoing, kept: boolean): Promise<void> {
    if (kept) await this.leave(o, "sent");
    this.inFlight.delete(o.n as number);
    if (kept && this.full && this.inFlight.size < RUN_AGAIN_BELOW) void this.run();
  }

  /** The first word about it counts: what was refused is counted by the server too, a moment later. */
  private async leave(o: Outgoing, state: Kept, why?: string): Promise<void> {
    const tx = write(this.db), outbox = tx.objectStore("outbox"), n = o.n as number, there = await outbox.get(n) !== undefined;
    await outbox.delete(n);
    const chat = there && o.messageKey ? await setState(tx, o.messageKey, state, why) : null;
    await tx.done;
    if (chat) this.changed({ messages: [chat], chats: true });
  }

  /** The server refused it: it says so, and is not sent again by itself. */
  async refused(id: string, condition: string): Promise<boolean> {
    const o = await this.db.getFromIndex("outbox", "byId", id);
    if (o) await this.leave(o, "failed", condition);
    return o !== undefined;
  }
}
