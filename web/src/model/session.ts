// One tab's view of one account: what is shown comes from the store, what is written goes into the store; the line is somewhere,
// perhaps in another tab. So everything here works without it, but for what says that it needs it.
// SPDX-License-Identifier: AGPL-3.0-or-later
import { signal, type Signal } from "@preact/signals";
import { openStore, removeStore, type Db } from "../store/db";
import * as device from "../store/device";
import * as store from "../store/messages";
import { prune } from "../store/prune";
import type { Account, Attachment, Card, Chat, Message, Person } from "../store/types";
import type { End } from "../wire/stream";
import type { El } from "../wire/xml";
import { announcedOf, close, type Announced } from "./announcements";
import { ownOf, type Own } from "./audiences";
import { Bus, type Change } from "./bus";
import * as compose from "./compose";
import { Engine } from "./engine";
import { WAITING_BYTES_MAX, WAITING_MAX } from "./files";
import { nothing, type Live } from "./live";
import { prepare } from "./media";
import { enqueue } from "./outbox";
import { newPerson, REPORTED_MAX, type Wrong } from "./people";
import { MessageWindow } from "./window";

export interface Shell {
  ended(e: End): void; // this device must log in anew
  outdated(): void; // a newer version wants the store
  arrived(chat: Chat, body: string, who: string): void;
  pushDue(): void; // what pushes are ordered for has changed, or the server has lost the order
  out(): void; // another tab logged out
}

const FAR = 250; // what servers give in one page at most

type Does = Engine["does"];

export class Session {
  readonly live = signal<Live>(nothing());
  readonly chats = signal<Chat[] | null>(null); // null: not read yet, which is not the same as none
  readonly people: Signal<Map<string, Person> | null> = signal(null);
  readonly profiles: Signal<Own | null> = signal(null); // one's own and who sees which; null: not known
  readonly announced: Signal<Announced | null> = signal(null);
  readonly turns: Signal<Record<string, number>> = signal({}); // how often messages of a chat have changed
  private readonly windows = new Set<MessageWindow>();
  private engine: Engine | null = null;
  private readonly bus: Bus;
  private clock = 0;
  private release: (() => void) | null = null;
  private closed = false;

  private constructor(readonly db: Db, readonly account: Account, private readonly place: device.Place, private readonly shell: Shell, private readonly password?: string) {
    this.bus = new Bus(`bongsu:${account.jid}`, {
      changed: (c) => void this.refresh(c).catch((e: unknown) => { if (!this.closed) throw e; }), // closed while it read
      live: (l) => { if (!this.engine) this.live.value = l as Live; },
      hello: () => { if (this.engine) this.bus.live(this.engine.live.now); },
      asked: (name, args) => (this.engine ? this.perform(name, args) : null),
      out: () => { this.stop(); shell.out(); },
    });
  }

  static async open(account: Account, place: device.Place, shell: Shell, password?: string): Promise<Session> {
    const db = await openStore(account.jid, () => shell.outdated());
    const s = new Session(db, account, place, shell, password);
    for (const [chat, words] of device.takeWords(account.jid)) await s.change(chat, { draft: words || undefined });
    await s.refresh({ chats: true, people: true, profiles: true, announced: true });
    s.clock = ((await db.get("values", "clock")) as number | undefined) ?? 0;
    s.lead();
    s.bus.hello();
    return s;
  }

  get me(): string {
    return this.account.jid;
  }

  // ---- who holds the line ----

  private lead(): void {
    const work = () => new Promise<void>((resolve) => {
      if (this.closed) return resolve();
      this.release = resolve;
      this.startEngine();
    });
    if (navigator.locks) void navigator.locks.request(`bongsu:${this.me}`, work);
    else void work();
  }

  private startEngine(): void {
    const known = device.account(); // the tab that had the line before may have used up the token that this one began with
    if (known?.jid === this.me) Object.assign(this.account, { token: known.token, site: known.site });
    this.engine = new Engine(this.db, this.account, this.place, {
      changed: (c) => this.bus.changed(c),
      live: (l) => { this.live.value = l; this.bus.live(l); },
      ended: (e) => this.shell.ended(e),
      arrived: (chat, body, who) => this.shell.arrived(chat, body, who),
      pushDue: () => this.shell.pushDue(),
    }, this.password);
    this.engine.start();
  }

  hurry(): void {
    if (this.engine) this.engine.hurry();
    else void this.do("hurry").catch(() => undefined);
  }

  cut(): void {
    this.engine?.cut();
  }

  /** What needs the line: here, or in the tab that has it. Fails when there is none. */
  do<K extends keyof Does>(name: K, ...args: Parameters<Does[K]>): ReturnType<Does[K]> {
    return (this.engine ? this.perform(name, args) : this.bus.ask(name, args)) as ReturnType<Does[K]>;
  }

  private perform(name: string, args: unknown[]): Promise<unknown> {
    const work = this.engine?.does[name as keyof Does] as ((...a: unknown[]) => Promise<unknown>) | undefined;
    return work ? work(...args) : Promise.reject(new Error("unsupported"));
  }

  // ---- what is shown ----

  private async refresh(c: Change): Promise<void> {
    if (this.closed) return;
    if (c.chats) this.chats.value = await this.db.getAll("chats");
    if (c.profiles) this.profiles.value = await ownOf(this.db);
    if (c.announced) this.announced.value = await announcedOf(this.db);
    if (c.people) this.people.value = new Map((await this.db.getAll("people")).map((p) => [p.jid, p]));
    if (c.messages?.length) this.turns.value = { ...this.turns.value, ...Object.fromEntries(c.messages.map((chat) => [chat, (this.turns.value[chat] ?? 0) + 1])) };
    for (const w of this.windows) if (c.messages?.includes(w.chat)) await w.refresh();
  }

  /** The server's clock, as near as we know. */
  now(): number {
    return Date.now() + this.clock;
  }

  async closeAnnouncement(id: string): Promise<void> {
    await close(this.db, id);
    this.bus.changed({ announced: true });
  }

  window(chat: string): MessageWindow {
    const w = new MessageWindow(this.db, chat, (far) => (this.live.value.line === "online" ? this.do("history", chat, far ? FAR : undefined) : Promise.reject(new Error("lost"))));
    this.windows.add(w);
    return w;
  }

  forget(w: MessageWindow): void {
    w.closed = true;
    this.windows.delete(w);
  }

  person(jid: string): Person {
    return this.people.value?.get(jid) ?? newPerson(jid);
  }

  chat(jid: string): Chat | undefined {
    return this.chats.value?.find((c) => c.jid === jid);
  }

  isRoom(jid: string): boolean {
    return this.chat(jid)?.kind === "room";
  }

  private to(jid: string): compose.To {
    return { jid, room: this.isRoom(jid) };
  }

  // ---- what is written ----

  private async change(jid: string, more: Partial<Chat>): Promise<void> {
    const tx = this.db.transaction("chats", "readwrite");
    await tx.store.put({ ...((await tx.store.get(jid)) ?? store.newChat(jid, "person")), ...more });
    await tx.done;
    this.bus.changed({ chats: true });
  }

  pin = (jid: string, pinned: boolean): Promise<void> => this.wish(jid, { pinned: pinned || undefined });
  mute = (jid: string, muted: boolean): Promise<void> => this.wish(jid, { muted: muted || undefined });
  hide = (jid: string): Promise<void> => this.change(jid, { hidden: true });
  show = (jid: string): Promise<void> => this.change(jid, { hidden: false, lastAt: this.chat(jid)?.lastAt || this.now() });
  draft = (jid: string, draft: string): Promise<void> => (this.chat(jid)?.draft ?? "") === draft ? Promise.resolve() : this.change(jid, { draft: draft || undefined });
  /** The page ends: a transaction might not. */
  lastWords(jid: string, draft: string): void {
    if ((this.chat(jid)?.draft ?? "") !== draft) device.keepWords(this.me, jid, draft);
  }

  /** It holds here at once, and on the person's other devices as soon as there is a line. */
  private async wish(jid: string, more: Partial<Chat>): Promise<void> {
    await this.change(jid, { ...more, unsaid: true });
    void this.do("tellWishes").catch(() => undefined); // a new stream tells it
  }

  private flush(): void {
    void this.do("flush").catch(() => undefined);
  }

  /** Kept, shown and queued in one transaction: closing the tab at any moment loses nothing and sends nothing twice. */
  private async write(jid: string, work: (tx: store.Tx) => Promise<void>): Promise<void> {
    const tx = store.write(this.db);
    try {
      await work(tx);
    } catch (e) {
      tx.done.catch(() => undefined);
      throw e;
    }
    await tx.done;
    this.bus.changed({ messages: [jid], chats: true });
    this.flush();
  }

  private async newMessage(tx: store.Tx, jid: string, body: string, more: Partial<Message>): Promise<Message> {
    const c = await store.chatOf(tx, jid, this.isRoom(jid) ? "room" : "person"), id = crypto.randomUUID();
    return { key: store.keyOf(jid, "me", id), chat: jid, id, from: c.kind === "room" ? (c.room?.nick ?? this.me) : this.me, mine: true,
      at: Math.max(this.now(), c.lastAt + 1), body, state: "waiting", ...more };
  }

  async send(jid: string, body: string, more: { reply?: Message; mentions?: { begin: number; end: number; jid: string }[]; forwarded?: boolean; file?: Attachment } = {}): Promise<void> {
    const to = this.to(jid), reply = more.reply && { id: compose.refOf(more.reply, to.room), from: more.reply.from, text: (more.reply.body || more.reply.file?.name || "").slice(0, 200) };
    await this.write(jid, async (tx) => {
      const m = await this.newMessage(tx, jid, body, { reply, forwarded: more.forwarded, file: more.file });
      await store.putMessage(tx, m, to.room ? "room" : "person", false);
      await enqueue(tx, { id: m.id, chat: jid, xml: compose.message(m, to, more.mentions).toString(), messageKey: m.key });
    });
  }

  /** Throws TellsMore, "full" where too much waits already, or what the device's storage says when it is full. */
  async sendFile(jid: string, file: Blob, name: string, more: Partial<Attachment> = {}): Promise<void> {
    const { about, bytes } = await prepare(file, name, more), to = this.to(jid);
    await this.write(jid, async (tx) => {
      const waiting = await tx.objectStore("files").getAll(); // their bytes stay on the disk
      if (waiting.length >= WAITING_MAX || waiting.reduce((n, f) => n + f.blob.size, bytes.size) > WAITING_BYTES_MAX) throw new Error("full");
      await tx.objectStore("files").put({ id: about.localId as string, blob: bytes, name: about.name });
      const m = await this.newMessage(tx, jid, "", { file: about });
      await store.putMessage(tx, m, to.room ? "room" : "person", false);
      await enqueue(tx, { id: m.id, chat: jid, xml: compose.message(m, to).toString(), messageKey: m.key, file: about.localId });
    });
  }

  private change1(of: Message, kind: "edit" | "retract" | "react", stanza: (id: string, to: compose.To) => El, more: { body?: string; emoji?: string[] }): Promise<void> {
    const to = this.to(of.chat), id = crypto.randomUUID(), target = store.targetOf(of.chat, kind === "edit" ? of.id : compose.refOf(of, to.room));
    return this.write(of.chat, async (tx) => {
      await store.putNote(tx, of.chat, { key: store.noteKey(target, kind, of.mine || kind !== "react" ? of.from : this.nickIn(of.chat)), target, kind,
        from: kind === "react" ? this.nickIn(of.chat) : of.from, at: this.now(), ...more });
      await enqueue(tx, { id, chat: of.chat, xml: stanza(id, to).toString() });
    });
  }

  /** What we are called in a chat, as reactions and read marks name us. */
  nickIn(jid: string): string {
    return this.chat(jid)?.room?.nick ?? this.me;
  }

  edit(of: Message, text: string): Promise<void> {
    return this.change1(of, "edit", (id, to) => compose.edit(id, of, text, to), { body: text });
  }

  retract(of: Message, note: string): Promise<void> {
    return this.change1(of, "retract", (id, to) => compose.retract(id, of, to, note), {});
  }

  react(of: Message, emoji: string[]): Promise<void> {
    return this.change1(of, "react", (id, to) => compose.react(id, of, to, emoji), { emoji });
  }

  /** With the last messages that came from them. */
  async report(jid: string, why: Wrong): Promise<void> {
    const theirs = await store.matching(this.db, jid, null, REPORTED_MAX, (m) => !m.mine && m.sid !== undefined);
    await this.do("report", jid, why, theirs.map((m) => m.sid as string).reverse());
  }

  /** The second way to reach somebody: it stays on the device. */
  async keepCard(jid: string, card: Card): Promise<void> {
    const tx = this.db.transaction("people", "readwrite");
    await tx.store.put({ ...((await tx.store.get(jid)) ?? newPerson(jid)), card });
    await tx.done;
    this.bus.changed({ people: true });
  }

  /** Again, after it was refused; under the same id, so that it cannot be there twice. */
  async retry(m: Message): Promise<void> {
    const to = this.to(m.chat);
    await this.write(m.chat, async (tx) => {
      await tx.objectStore("messages").put({ ...m, state: "waiting", why: undefined });
      await enqueue(tx, { id: m.id, chat: m.chat, xml: compose.message(m, to).toString(), messageKey: m.key, file: m.file?.url ? undefined : m.file?.localId });
    });
  }

  /** Takes back what still waits for its bytes to be there, so that nobody has seen it. False: it is on its way. */
  async cancel(m: Message): Promise<boolean> {
    let waited = false;
    await this.write(m.chat, async (tx) => {
      waited = Boolean((await tx.objectStore("outbox").index("byId").get(m.id))?.file);
      if (waited) await store.discard(tx, m);
    });
    if (waited && m.file?.localId) void this.do("cancelUpload", m.file.localId).catch(() => undefined);
    return waited;
  }

  discard(m: Message): Promise<void> {
    return this.write(m.chat, (tx) => store.discard(tx, m));
  }

  /** The person has seen the chat up to this message. */
  async read(jid: string, last: Message): Promise<void> {
    const c = this.chat(jid), to = this.to(jid), ref = compose.refOf(last, to.room);
    if (!c || (last.at <= c.readAt && c.unread === 0)) return;
    const id = crypto.randomUUID();
    await this.write(jid, async (tx) => {
      await store.putRead(tx, jid, last.at);
      const now = await store.chatOf(tx, jid);
      if (last.mine || now.readSent === ref) return;
      await tx.objectStore("chats").put({ ...now, readSent: ref });
      for (const o of await tx.objectStore("outbox").getAll()) if (o.mark && o.chat === jid) await tx.objectStore("outbox").delete(o.n as number);
      await enqueue(tx, { id, chat: jid, xml: compose.displayed(id, last, to).toString(), mark: true });
    });
  }

  // ---- the end ----

  stop(): void {
    this.closed = true;
    this.engine?.stop();
    this.engine = null;
    this.release?.();
    this.bus.close();
    this.db.close();
  }

  /** Somebody at another device logged this one out: what it kept goes too, but for messages that were never sent. */
  async loggedOut(): Promise<void> {
    const waiting = await this.db.count("outbox").catch(() => 1);
    this.bus.out();
    this.stop();
    device.keepAccount(null);
    if (!waiting) await removeStore(this.me);
  }

  /** Logs this device out, and takes what it kept with it. */
  async logOut(): Promise<void> {
    this.bus.out();
    this.stop();
    device.keepAccount(null);
    device.takeWords(this.me);
    await removeStore(this.me);
  }

  /** Takes what is older off this device. How many messages went. */
  async prune(at: number): Promise<number> {
    const { gone, chats } = await prune(this.db, at);
    if (gone) this.bus.changed({ messages: chats, chats: true });
    return gone;
  }

  async storage(): Promise<{ messages: number; bytes: number | undefined; waiting: number }> {
    const [messages, waiting, estimate] = await Promise.all([this.db.count("messages"), this.db.count("outbox"), navigator.storage?.estimate?.()]);
    return { messages, waiting, bytes: estimate?.usage };
  }
}
