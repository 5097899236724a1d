// The bytes of photos and files go to a slot (XEP-0363) on their own, so that text never waits for them. They are kept on the device
// until they are there; the slot is kept before the first of them goes. So an upload that a lost line, a reload or a closed tab
// cuts goes on from the byte that the server has, and its message leaves once, when the server has all of it:
//
//   waiting ─ slot() ─→ has a slot ─ bring() ─→ is there ─ told() ─→ the message waits in the outbox like any other
//      ↑                    │ the slot is of no use any more
//      └────────────────────┘
//
// What went so far lies at one site (slot.at). It goes on there while that site answers; else another site gets all of it, in a slot of
// its own, and still one message leaves.
// Only the leading tab uploads. SPDX-License-Identifier: AGPL-3.0-or-later
import type { Db } from "../store/db";
import { write } from "../store/messages";
import type { Message, Outgoing, Slot } from "../store/types";
import { NS } from "../wire/ns";
import { el, parse } from "../wire/xml";
import * as compose from "./compose";
import type { LiveState } from "./live";
import type { Ask } from "./sync";
import { send, there } from "./transfer";

const STALLED_MS = 10000, MOVED_MS = 1000, TRIES = 6, RETRY_MS = 2000, RETRY_MS_MAX = 60000;

/** Of what waits for its bytes to be there, together: more than that is refused when it is chosen. */
export const WAITING_BYTES_MAX = 1024 ** 3, WAITING_MAX = 200;

interface Moving { id: string; door: string; abort: AbortController; movedAt: number; sent: number }

export class Uploads {
  private running = false;
  private stopped = false;
  private tries = 0;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private moving: Moving | null = null;
  private readonly away = new Set<string>(); // doors that have not answered since the line came up

  constructor(
    private readonly db: Db,
    private readonly ask: Ask,
    private readonly live: LiveState,
    private readonly doors: () => string[], // the web of the sites, the best first
    private readonly toDoor: (url: string, door: string) => string, // the server's address as it is reached there
    private readonly sent: (chat: string) => void,
  ) {}

  /** Everything that waits for its bytes to be there, one after the other. What fails for now is tried again, ever more slowly,
   * for as long as the line is up; a new stream tries it anyway. */
  async run(): Promise<void> {
    if (this.running || this.stopped || !this.live.now.can.upload) return;
    this.running = true;
    clearTimeout(this.retry);
    let again = false;
    try {
      const done = new Set<number>(), next = async () => (await this.db.getAll("outbox")).find((o) => o.file && !done.has(o.n as number));
      for (let o = await next(); o && !this.stopped; o = await next()) {
        done.add(o.n as number);
        again = !(await this.one(o)) || again;
      }
    } finally {
      this.running = false;
    }
    if (again && this.live.now.line === "online") this.retry = setTimeout(() => void this.run().catch(() => undefined), Math.min(RETRY_MS * 2 ** this.tries++, RETRY_MS_MAX));
  }

  /** The line is back, perhaps at another site: what still hangs on a connection of before goes on by another one. */
  lineIsBack(): void {
    const m = this.moving, still = m ? Date.now() - m.movedAt : 0, moved = m !== null && m.door !== this.doors()[0];
    this.tries = 0;
    this.away.clear();
    if (!m || still < (moved ? MOVED_MS : STALLED_MS)) return;
    if (moved) this.away.add(m.door);
    m.abort.abort();
  }

  private door(): string {
    const all = this.doors(), good = all.find((d) => !this.away.has(d));
    if (!good) this.away.clear(); // then all of them again
    return good ?? all[0];
  }

  cancel(id: string): void {
    if (this.moving?.id === id) this.moving.abort.abort();
    this.live.upload(id, null);
  }

  stop(): void {
    clearTimeout(this.retry);
    this.stopped = true;
    this.moving?.abort.abort();
  }

  /** True: nothing is left to do for it, whatever came of it. */
  private async one(o: Outgoing): Promise<boolean> {
    const id = o.file as string, stored = await this.db.get("files", id), m = await this.db.get("messages", o.messageKey as string);
    if (!stored || !m?.file || m.retracted) return this.forget(o);
    this.moving = { id, door: this.door(), abort: new AbortController(), movedAt: Date.now(), sent: 0 };
    try {
      const slot = await this.bring(o, stored.blob, stored.name, m.file.type, this.moving);
      this.tries = 0;
      if (slot) await this.told(o, slot);
      this.live.upload(id, null);
      return true;
    } catch (e) {
      const over = await this.failed(o, e), part = this.live.now.uploads[id]?.part;
      this.live.upload(id, over || part === undefined ? null : { part, moves: false });
      return over;
    } finally {
      this.moving = null;
    }
  }

  /** Until the server has all of it; null: nobody wants it any more. */
  private async bring(o: Outgoing, bytes: Blob, name: string, type: string, moving: Moving): Promise<Slot | null> {
    for (let tries = 0; tries < TRIES; tries++) {
      const now = await this.db.get("outbox", o.n as number), kept = now?.slot;
      if (!now?.file) return null;
      const slot = kept ?? await this.slot(o, safeName(name, type), bytes.size, type), door = moving.door = slot.at ?? this.door(), url = this.toDoor(slot.put, door);
      const at = kept ? this.away.has(door) ? null : await there(url, slot, bytes.size).catch(() => "no answer" as const) : 0;
      if (at === "all") return slot;
      const next = at === null ? "another slot" : at === "no answer" ? at
        : verdict(await send(url, slot, bytes, at, type, this.progress(moving, at, bytes.size), moving.abort.signal), at, kept !== undefined, moving.sent > at);
      if (next === "done") return slot;
      if (next === "refused") throw new Error("not-acceptable");
      if (next === "another slot") await this.keepSlot(o, undefined);
      if (next === "wait" || moving.abort.signal.aborted || (next === "no answer" && this.isAlone(door))) break;
    }
    throw new Error("again");
  }

  /** Notes that a site does not answer. True: nor is there another one that might. */
  private isAlone(door: string): boolean {
    this.away.add(door);
    return this.door() === door;
  }

  private progress(moving: Moving, from: number, size: number): (sent: number) => void {
    const told = (sent: number) => {
      moving.movedAt = Date.now();
      moving.sent = sent;
      this.live.upload(moving.id, { part: size ? sent / size : 0, moves: true });
    };
    told(from);
    return told;
  }

  private async slot(o: Outgoing, name: string, size: number, type: string): Promise<Slot> {
    const host = this.live.now.can.upload?.host as string;
    const answer = (await this.ask("get", el(NS.upload, "request", { filename: name, size: String(size), "content-type": type }), host)).child(NS.upload, "slot");
    const put = answer?.child(NS.upload, "put"), get = answer?.child(NS.upload, "get")?.attr("url");
    if (!put?.attr("url") || !get) throw new Error("undefined-condition");
    const allowed = ["authorization", "cookie", "expires"]; // XEP-0363 §7
    const slot: Slot = { at: this.door(), put: put.attr("url") as string, get, headers: put.all(NS.upload, "header").map((h): [string, string] => [h.attr("name") ?? "", h.text.replace(/[\r\n]/g, "")])
      .filter(([n]) => allowed.includes(n.toLowerCase())) };
    await this.keepSlot(o, slot);
    return slot;
  }

  private async keepSlot(o: Outgoing, slot: Slot | undefined): Promise<void> {
    const tx = this.db.transaction("outbox", "readwrite"), now = await tx.store.get(o.n as number);
    if (now) await tx.store.put({ ...now, slot });
    await tx.done;
  }

  /** The bytes are there: they leave the device, and the message with its link may go. */
  private async told(o: Outgoing, slot: Slot): Promise<void> {
    const tx = write(this.db), now = await tx.objectStore("outbox").get(o.n as number), m = await tx.objectStore("messages").get(o.messageKey as string);
    if (now?.file && m?.file) {
      const message: Message = { ...m, file: { ...m.file, url: slot.get, localId: undefined } };
      await tx.objectStore("files").delete(now.file);
      await tx.objectStore("messages").put(message);
      const to = parse(now.xml, NS.client);
      await tx.objectStore("outbox").put({ ...now, file: undefined, slot: undefined, xml: compose.message(message, { jid: now.chat, room: to.attr("type") === "groupchat" }).toString() });
    }
    await tx.done;
    this.sent(o.chat);
  }

  private async forget(o: Outgoing): Promise<true> {
    const tx = write(this.db);
    await tx.objectStore("outbox").delete(o.n as number);
    await tx.objectStore("files").delete(o.file as string);
    await tx.done;
    return true;
  }

  /** What cannot be mended by another try is told: true; the rest waits. What was taken back while it was on its way is over too. */
  private async failed(o: Outgoing, e: unknown): Promise<boolean> {
    const condition = (e as { condition?: string }).condition ?? (e as Error).message, passing = !["not-acceptable", "resource-constraint", "not-allowed", "forbidden"].includes(condition);
    if (passing) return (await this.db.get("outbox", o.n as number)) === undefined;
    const tx = write(this.db), m = await tx.objectStore("messages").get(o.messageKey as string);
    await tx.objectStore("outbox").delete(o.n as number);
    if (m) await tx.objectStore("messages").put({ ...m, state: "failed", why: condition });
    await tx.done;
    if (m) this.sent(m.chat);
    return true;
  }
}

/** What an answer to the bytes behind `from` asks for. `kept`: the slot is one of before, and may have expired; `some`: of them went. */
function verdict(status: number, from: number, kept: boolean, some: boolean): "done" | "wait" | "no answer" | "refused" | "ask how far" | "another slot" {
  if (status === 200 || status === 201) return "done";
  if (status === 0 && !some) return "no answer";
  if (status === 0 || status === 429 || status >= 500) return "wait";
  if (status === 413 || (status === 403 && !kept)) return "refused";
  return status === 409 && from > 0 ? "ask how far" : "another slot";
}

const safeName = (name: string, type: string): string => name.replace(/[/\\\u0000-\u001f]/g, "_").slice(-120) || `file.${type.split("/")[1] ?? "bin"}`;
