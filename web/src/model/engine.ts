// What the leading tab does: it holds the line, keeps what comes, and sends what waits. The other parts of model/ know their
// one thing each; here they are put together, and here alone a stanza finds its way.
// SPDX-License-Identifier: AGPL-3.0-or-later
import * as device from "../store/device";
import type { Db } from "../store/db";
import * as store from "../store/messages";
import type { Account, Chat, Message, Reach } from "../store/types";
import { Client, IqError } from "../wire/client";
import { bare, localOf } from "../wire/jid";
import { NS } from "../wire/ns";
import { Sites } from "../wire/sites";
import { Rising } from "../wire/time";
import type { End, Socket } from "../wire/stream";
import { El, el } from "../wire/xml";
import { Announcements } from "./announcements";
import { caps, disco } from "./caps";
import type { Change } from "./bus";
import * as compose from "./compose";
import { Uploads } from "./files";
import * as inbound from "./inbound";
import { LiveState, type Abilities, type Live } from "./live";
import { Outbox, setState } from "./outbox";
import { People, type Wrong } from "./people";
import { Profiles } from "./profiles";
import { Push } from "./push";
import { Rooms } from "./rooms";
import { Audiences, type OwnProfile } from "./audiences";
import { devices, logOut, type Which } from "./devices";
import { Archive, catchUp, keeperOf, type Archived } from "./sync";
import { Wishes } from "./wishes";

export interface EngineEvents {
  changed(c: Change): void;
  live(l: Live): void;
  ended(e: End): void;
  arrived(chat: Chat, body: string, who: string): void; // to be told to the person
  pushDue(): void; // a new stream, or the server has lost it: pushes are to be ordered, if they are wanted
}

const SEARCH_MAX = 50, SEARCH_ROOMS_MAX = 50;
const OWN_EXPORT = "urn:bongsu:own:0#export"; // a command of the account (XEP-0050)

interface Log { caughtUp: boolean; lastLive?: string }

export class Engine {
  readonly live: LiveState;
  readonly people: People;
  readonly rooms: Rooms;
  readonly profiles: Profiles;
  readonly audiences: Audiences;
  readonly push: Push;
  readonly wishes: Wishes;
  readonly announcements: Announcements;
  private readonly client: Client;
  private readonly outbox: Outbox;
  private readonly archive: Archive;
  private readonly uploads: Uploads;
  private readonly logs = new Map<string, Log>();
  private clock = 0; // the server's minus ours
  private run = 0; // counts fresh streams
  private stopped = false;
  private readonly rising = new Rising();

  constructor(private readonly db: Db, private readonly account: Account, private readonly place: device.Place, private readonly on: EngineEvents,
    password?: string, newSocket?: (url: string) => Socket) {
    const me = account.jid, ask = this.ask.bind(this), send = (e: El) => void this.client.send(e), changedPeople = () => on.changed({ people: true });
    this.live = new LiveState((l) => on.live(l));
    this.client = new Client(account.domain, new Sites(place.websockets, account.site),
      { name: account.name, password, token: account.token, agentId: account.agentId },
      { online: (_b, fresh) => void this.online(fresh), line: (s) => this.live.line(s), stanza: (e) => this.stanza(e), ended: (e) => on.ended(e),
        token: (token) => device.keepAccount(Object.assign(account, { token: token ?? undefined })) }, newSocket);
    this.people = new People(db, ask, send, changedPeople);
    this.rooms = new Rooms({ db, ask, send, live: this.live, changed: () => on.changed({ chats: true }), changedPeople, myNick: () => this.nick,
      entered: (room) => void this.entered(room), left: (room) => this.logs.delete(room) });
    this.profiles = new Profiles(db, ask, this.live, me, changedPeople);
    this.audiences = new Audiences(db, ask, () => on.changed({ profiles: true }));
    this.announcements = new Announcements(db, ask, account.domain, () => on.changed({ announced: true }));
    this.push = new Push(ask, `browser-${account.agentId}`);
    this.wishes = new Wishes(db, ask, () => on.changed({ chats: true }));
    this.archive = new Archive(ask);
    this.outbox = new Outbox(db, (e, done) => this.client.send(e, done), on.changed,
      (o) => !this.rooms.has(o.chat) || this.logs.get(o.chat)?.caughtUp === true);
    this.uploads = new Uploads(db, ask, this.live, () => this.doors(), (url, door) => here(url, place, door), (chat) => {
      on.changed({ messages: [chat], chats: true });
      void this.outbox.run();
    });
  }

  private doors(): string[] {
    return doors(this.place, this.client.sites.current);
  }

  private nick = "";

  start(): void {
    this.client.start();
  }

  stop(): void {
    this.stopped = true;
    this.uploads.stop();
    this.client.stop();
  }

  hurry(): void {
    this.client.hurry();
  }

  cut(): void {
    this.client.cut();
  }

  ask(type: "get" | "set", payload: El, to?: string): Promise<El> {
    return this.client.ask(type, payload, to);
  }

  /** Something new is in the outbox. */
  flush(): void {
    if (!this.client.online || !this.logs.get(this.account.jid)?.caughtUp) return;
    void this.outbox.run();
    void this.uploads.run().catch(() => undefined); // the device's storage failed: the next flush tries again
  }

  // ---- a stream is up ----

  private async online(fresh: boolean): Promise<void> {
    device.keepAccount(Object.assign(this.account, { site: this.client.sites.current }));
    this.live.set({ door: this.doors()[0] });
    if (!fresh) {
      this.live.set({ syncing: !this.logs.get(this.account.jid)?.caughtUp });
      this.uploads.lineIsBack();
      this.flush();
      return;
    }
    const run = ++this.run;
    this.logs.clear();
    this.live.fresh();
    this.uploads.lineIsBack();
    this.nick = (await this.db.get("people", this.account.jid))?.nick || localOf(this.account.jid);
    this.client.send(el(NS.client, "presence", {}, await caps()));
    await Promise.all([this.people.load(), this.learnClock(), this.learnAbilities()].map((p) => p.catch(() => undefined)));
    if (run !== this.run || !(await this.catchUp(this.account.jid))) return;
    this.live.set({ syncing: false });
    await this.rooms.enterAll();
    this.flush();
    await this.extras();
  }

  /** What can wait until messages have moved. */
  private async extras(): Promise<void> {
    await this.wish().catch(() => undefined); // before pushes are ordered: it says for which chats
    this.on.pushDue();
    await this.people.loadBlocked().catch(() => undefined);
    await this.announcements.load().catch(() => undefined); // a server that has none, or says nothing now
    if (this.live.now.can.pep) await this.rooms.loadBookmarks();
    await this.profiles.loadMine().catch(() => undefined);
    if (this.live.now.can.profiles) await this.audiences.load().catch(() => undefined);
  }

  private async learnClock(): Promise<void> {
    const began = Date.now(), utc = (await this.ask("get", el(NS.time, "time"), this.account.domain)).child(NS.time, "time")?.textOf(NS.time, "utc");
    const at = utc ? Date.parse(utc) : NaN, middle = (began + Date.now()) / 2;
    if (Number.isFinite(at)) this.clock = Math.abs(at - middle) < 1500 ? 0 : at - middle; // its seconds are whole
    await this.db.put("values", this.clock, "clock");
  }

  private async learnAbilities(): Promise<void> {
    const can: Abilities = {}, info = async (to?: string) => (await this.ask("get", el(NS.discoInfo, "query"), to)).child(NS.discoInfo, "query");
    const has = (q: El | undefined, feature: string) => Boolean(q?.elements.some((f) => f.name === "feature" && f.attr("var") === feature));
    const [mine, items] = await Promise.all([info(this.account.jid).catch(() => undefined), this.ask("get", el(NS.discoItems, "query"), this.account.domain).catch(() => undefined)]);
    can.pep = Boolean(mine?.elements.some((i) => i.name === "identity" && i.attr("category") === "pubsub"));
    can.search = has(mine, NS.search);
    can.profiles = has(mine, NS.profiles);
    can.devices = has(mine, NS.devices);
    can.reports = has(mine, NS.reporting);
    for (const item of items?.child(NS.discoItems, "query")?.elements ?? []) {
      const jid = item.attr("jid") ?? "", q = jid ? await info(jid).catch(() => undefined) : undefined;
      if (has(q, NS.muc)) can.rooms ??= jid;
      if (jid.startsWith("push.")) can.push ??= await this.push.key(jid);
      if (has(q, NS.upload)) {
        const max = q?.child(NS.data, "x")?.elements.find((f) => f.attr("var") === "max-file-size")?.elements[0]?.text;
        can.upload ??= { host: jid, max: Number(max) || Infinity };
      }
    }
    can.commands = has(await info(this.account.domain).catch(() => undefined), NS.commands);
    this.live.set({ can });
  }

  private async entered(room: string): Promise<void> {
    if (this.logs.has(room)) return;
    void this.rooms.learn(room).catch(() => undefined);
    if (await this.catchUp(room)) this.flush();
  }

  // ---- the archive ----

  private async catchUp(scope: string): Promise<boolean> {
    const log: Log = { caughtUp: false };
    this.logs.set(scope, log);
    const keeper = keeperOf(this.db, `sid:${scope}`, (rows, last, name) => this.keep(rows, last, name));
    if (!(await catchUp(this.archive, keeper, scope === this.account.jid ? undefined : scope, () => !this.stopped && this.logs.get(scope) === log))) return false;
    log.caughtUp = true;
    if (log.lastLive) await this.db.put("values", log.lastLive, `sid:${scope}`);
    return true;
  }

  /** Older messages of one chat. True: there are more. */
  async history(jid: string, max?: number): Promise<boolean> {
    const c = await this.db.get("chats", jid), room = c?.kind === "room";
    if (c?.complete) return false;
    const page = await this.archive.page({ before: c?.first ?? "" }, room ? {} : { with: jid }, room ? jid : undefined, max);
    await this.keep(page.rows, undefined, null);
    const tx = store.write(this.db), now = await store.chatOf(tx, jid, c?.kind ?? "person");
    await tx.objectStore("chats").put({ ...now, first: page.rows[0]?.sid ?? now.first, complete: page.complete || undefined });
    await tx.done;
    if (page.complete) this.on.changed({ messages: [jid] });
    return !page.complete;
  }

  private me(): inbound.Me {
    return { jid: this.account.jid, nickIn: (room) => this.rooms.nicks.get(room) };
  }

  /** One message that cannot be read keeps no other from its place. */
  private read(e: El, sight: inbound.Sight): inbound.Piece[] {
    try {
      return inbound.read(e, this.me(), sight);
    } catch (why) {
      console.warn("a message could not be read:", why);
      return [];
    }
  }

  private async keep(rows: Archived[], last: string | undefined, name: string | null): Promise<void> {
    const tx = store.write(this.db), chats = new Set<string>(), said: inbound.Piece[] = [];
    for (const row of rows)
      for (const piece of this.read(row.message, { at: row.at, sid: row.sid, now: Date.now() + this.clock })) {
        if (await this.apply(tx, piece)) said.push(piece);
        if ("chat" in piece) chats.add(piece.chat);
        else if (piece.kind === "message") chats.add(piece.m.chat);
      }
    if (name && last) await tx.objectStore("values").put(last, name);
    else if (name) await tx.objectStore("values").delete(name);
    await tx.done;
    for (const piece of said) if (name && piece.kind === "invited") await this.sideEffects(piece, false);
    if (chats.size) this.on.changed({ messages: [...chats], chats: true });
  }

  /** Into the store. True: it was new. */
  private async apply(tx: store.Tx, p: inbound.Piece): Promise<boolean> {
    switch (p.kind) {
      case "message":
        return store.putMessage(tx, p.m, p.room ? "room" : "person", p.stamped);
      case "note":
        return (await store.putNote(tx, p.chat, p.note)) !== undefined;
      case "displayed": {
        const m = await store.findByRef(tx, p.chat, p.id), at = m?.at ?? (p.mine ? 0 : p.at);
        if (p.mine) await store.putRead(tx, p.chat, at);
        else await store.putTheirRead(tx, p.chat, p.who, at);
        return true;
      }
      case "received": {
        const m = await store.findByRef(tx, p.chat, p.id);
        if (m?.mine && !m.read) await tx.objectStore("messages").put({ ...m, read: 1 });
        return true;
      }
      case "subject": {
        const c = await tx.objectStore("chats").get(p.chat);
        if (c?.room) await tx.objectStore("chats").put({ ...c, room: { ...c.room, subject: p.subject } });
        return true;
      }
      default:
        return true;
    }
  }

  // ---- what comes ----

  private async stanza(e: El): Promise<void> {
    if (e.name === "message") await this.message(e);
    else if (e.name === "presence") await this.presence(e);
    else if (e.name === "iq") await this.iq(e);
  }

  private async message(e: El): Promise<void> {
    const from = bare(e.attr("from") ?? this.account.jid);
    if (this.archive.take(e)) return;
    this.rooms.message(e);
    if (from === this.account.jid && this.push.isRemoval(e)) return this.on.pushDue();
    const event = e.child(NS.pubsubEvent, "event")?.child(NS.pubsubEvent, "items");
    if (event) {
      if (event.attr("node") === NS.bookmarks && from === this.account.jid) void this.rooms.bookmarks(event.elements);
      else if (event.attr("node") === NS.chats && from === this.account.jid) await this.wishes.event(event);
      else if (event.attr("node") === NS.announcement && from === this.announcements.host) await this.announcements.event(event);
      else await this.profiles.event(from, event);
      return;
    }
    if (from === this.account.jid)
      for (const direction of ["received", "sent"]) {
        const copy = e.child(NS.carbons, direction)?.child(NS.forward, "forwarded")?.child(NS.client, "message");
        if (copy) return this.keepLive(copy, direction === "received");
      }
    await this.keepLive(e, true);
  }

  private async keepLive(e: El, tell: boolean): Promise<void> {
    const tx = store.write(this.db), pieces = this.read(e, { now: this.rising.next(Date.now() + this.clock) }), chats = new Set<string>(), fresh: inbound.Piece[] = [];
    for (const p of pieces) {
      if (p.kind === "typing") continue;
      if (await this.apply(tx, p)) fresh.push(p);
      if (p.kind === "message") chats.add(p.m.chat);
      else if ("chat" in p) chats.add(p.chat);
    }
    await this.seen(tx, e);
    await tx.done;
    for (const p of pieces) if (p.kind === "typing" || fresh.includes(p)) await this.sideEffects(p, tell);
    if (chats.size) this.on.changed({ messages: [...chats], chats: true });
  }

  /** While a log is caught up, what comes live moves its place on; before that, it is held beside. */
  private async seen(tx: store.Tx, e: El): Promise<void> {
    for (const s of e.all(NS.sid, "stanza-id")) {
      const scope = s.attr("by") ?? "", log = this.logs.get(scope), sid = s.attr("id");
      if (!log || !sid || (scope !== this.account.jid && scope !== bare(e.attr("from") ?? ""))) continue;
      if (log.caughtUp) await tx.objectStore("values").put(sid, `sid:${scope}`);
      else log.lastLive = sid;
    }
  }

  private async sideEffects(p: inbound.Piece, tell: boolean): Promise<void> {
    if (p.kind === "typing") {
      this.live.typing(p.chat, p.who, p.on);
    } else if (p.kind === "failed") {
      await this.failed(p.chat, p.id, p.condition);
    } else if (p.kind === "invited") {
      await this.invited(p.room, p.by, p.password);
    } else if (p.kind === "message" && !p.m.mine) {
      this.live.typing(p.m.chat, p.m.from, false);
      if (p.receipt && tell && await this.people.mayKnow(p.m.from)) this.client.send(compose.received(crypto.randomUUID(), p.m.id, p.m.chat));
      const chat = await this.db.get("chats", p.m.chat);
      if (chat && tell && (!chat.muted || p.m.mentions)) this.on.arrived(chat, p.m.body, p.m.from);
    }
  }

  private async failed(chat: string, id: string, condition: string): Promise<void> {
    if (await this.outbox.refused(id, condition)) return;
    const tx = store.write(this.db), m = await store.findByRef(tx, chat, id); // counted, and refused afterwards
    if (m?.mine) await setState(tx, m.key, "failed", condition);
    await tx.done;
  }

  /** A friend's invitation is followed; a stranger's is left alone. */
  private async invited(room: string, by: string, password?: string): Promise<void> {
    const inviter = await this.db.get("people", by), known = await this.db.get("chats", room);
    if (!inviter?.listed || inviter.blocked || known?.room?.joined) return;
    await this.rooms.join(room, { password });
  }

  private async presence(e: El): Promise<void> {
    const from = bare(e.attr("from") ?? ""), type = e.attr("type");
    if (this.rooms.has(from)) this.rooms.presence(e);
    else if (type === "subscribe") await this.people.requested(from, e.textOf(NS.nick, "nick"));
    else if (type === "unsubscribe") await this.people.withdrawn(from);
    else if (type === "unavailable") this.live.presence(e.attr("from") as string, null);
    else if (!type && from !== this.account.jid) {
      const show = e.textOf(NS.client, "show");
      this.live.presence(e.attr("from") as string, show === "dnd" ? "dnd" : show === "away" || show === "xa" ? "away" : "online");
    }
  }

  private async iq(e: El): Promise<void> {
    const from = e.attr("from"), own = !from || bare(from) === this.account.jid || from === this.account.domain, query = e.child(NS.roster, "query");
    if (e.attr("type") === "set" && query && own) {
      await this.people.pushed(query);
      this.client.reply(e);
    } else if (e.attr("type") === "set" && own && (e.child(NS.blocking, "block") || e.child(NS.blocking, "unblock"))) {
      this.client.reply(e);
      void this.people.loadBlocked().catch(() => undefined);
    } else if (e.child(NS.ping, "ping")) {
      this.client.reply(e);
    } else if (e.attr("type") === "get" && e.child(NS.discoInfo, "query")) {
      this.client.reply(e, disco(e.child(NS.discoInfo, "query")?.attr("node")));
    } else {
      this.client.reply(e, undefined, "service-unavailable");
    }
  }

  // ---- what any tab may ask ----

  readonly does = {
    flush: async () => this.flush(),
    cancelUpload: async (file: string) => this.uploads.cancel(file),
    hurry: async () => this.hurry(),
    typing: async (chat: string, room: boolean, on: boolean) => void this.client.send(compose.typing({ jid: chat, room }, on)),
    history: (chat: string, max?: number) => this.history(chat, max),
    addFriend: (jid: string, token?: string) => this.people.add(jid, token),
    answerFriend: (jid: string, yes: boolean) => this.people.answer(jid, yes),
    removeFriend: (jid: string) => this.people.remove(jid),
    setFriend: (jid: string, name: string, favourite: boolean) => this.people.set(jid, name, favourite),
    block: (jid: string, yes: boolean) => this.people.block(jid, yes),
    report: (jid: string, why: Wrong, sids: string[]) => this.people.report(jid, why, sids, this.account.jid),
    look: (jid: string) => this.profiles.look(jid),
    saveProfile: async (nick: string, about: string, picture: string | null | undefined, background?: string | null, reach?: Reach) => {
      if (this.live.now.can.profiles) await this.audiences.saveBasic(about, background);
      await this.profiles.save(nick, about, picture, reach);
      this.nick = nick || this.nick;
    },
    loadProfiles: () => this.audiences.load(),
    keepProfile: (p: OwnProfile) => this.audiences.save(p),
    removeProfile: (number: number) => this.audiences.remove(number),
    showProfile: (number: number, jids: string[]) => this.audiences.show(number, jids),
    devices: () => devices(this.ask.bind(this)),
    logOutDevice: (which: Which) => logOut(this.ask.bind(this), which),
    password: async (password: string) => void (await this.ask("set", el(NS.register, "query", {}, el(NS.register, "username", {}, this.account.name),
      el(NS.register, "password", {}, password)))),
    passkeyTicket: async () => (await this.ask("get", el(NS.passkeys, "ticket"), this.account.domain)).textOf(NS.passkeys, "ticket") ?? "",
    removeAccount: async () => void (await this.ask("set", el(NS.register, "query", {}, el(NS.register, "remove")))),
    makeRoom: (name: string, people: string[]) => this.rooms.make(name, people),
    leaveRoom: (room: string) => this.rooms.leave(room),
    invite: (room: string, jid: string) => this.rooms.invite(room, jid),
    members: (room: string) => this.rooms.members(room),
    banned: (room: string) => this.rooms.banned(room),
    affiliate: async (room: string, jid: string, what: "owner" | "admin" | "member" | "none" | "outcast") => void (await this.rooms.affiliate(room, jid, what)),
    renameRoom: async (room: string, name: string) => {
      await this.rooms.rename(room, name);
      await this.rooms.learn(room);
    },
    roomSubject: async (room: string, words: string) => this.rooms.subject(room, words),
    roomPicture: async (room: string, uri: string | null) => void (await this.rooms.picture(room, uri)),
    moderate: async (room: string, sid: string) => void (await this.ask("set", el(NS.moderate, "moderate", { id: sid }, el(NS.retract, "retract")), room)),
    search: (words: string) => this.search(words),
    inviteLink: () => this.inviteLink(),
    exportAll: () => this.exportAll(),
    pushOn: async (endpoint: string, keys: Record<string, string>, tell: boolean) => this.push.enable(endpoint, keys, tell, await this.muted()),
    pushOff: () => this.push.disable(),
    tellWishes: () => this.tellWishes(),
  };

  /** How the chats are set, from the account and to it. */
  private async wish(): Promise<void> {
    if (this.live.now.can.pep) await this.wishes.load();
    if ((await this.db.getAll("chats")).some((c) => c.unsaid)) await this.tellWishes();
  }

  private async tellWishes(): Promise<void> {
    if (this.live.now.can.pep) await this.wishes.tell();
    await this.push.mute(await this.muted());
  }

  /** The last ones that somebody wrote in come first: the server takes so many. */
  private async muted(): Promise<string[]> {
    return (await this.db.getAll("chats")).filter((c) => c.muted).sort((a, b) => b.lastAt - a.lastAt).map((c) => c.jid);
  }

  /** In the whole archives at the server, one's own and those of the rooms (Korean included), also what this device has never seen. Found, not kept: it has no place here. */
  private async search(words: string): Promise<Message[]> {
    if (!this.live.now.can.search) return [];
    const pages = await Promise.all([undefined, ...[...this.rooms.nicks.keys()].slice(0, SEARCH_ROOMS_MAX)].map((log) =>
      this.archive.page({ before: "" }, { words }, log, SEARCH_MAX).catch((e: unknown) => {
        if (log === undefined || !(e instanceof IqError)) throw e;
        return { rows: [] }; // a room that lets nobody search, or not us
      })));
    return pages.flatMap((p) => p.rows).flatMap((r) => this.read(r.message, { at: r.at, sid: r.sid, now: r.at })).flatMap((p) => (p.kind === "message" ? [p.m] : []))
      .sort((a, b) => b.at - a.at).slice(0, SEARCH_MAX);
  }

  /** All that the server keeps of the account: a message of the server brings the link when it is made. */
  private async exportAll(): Promise<void> {
    const step = (more: Record<string, string | undefined>, form?: El) => this.ask("set", el(NS.commands, "command", { node: OWN_EXPORT, ...more }, form), this.account.jid);
    const sessionid = (await step({ action: "execute" })).child(NS.commands, "command")?.attr("sessionid");
    await step({ sessionid }, el(NS.data, "x", { type: "submit" }));
  }

  /** A link, or the token (XEP-0379) from which this app makes one: whoever follows it is a friend without being asked. */
  private async inviteLink(): Promise<string | null> {
    const command = el(NS.commands, "command", { node: `${NS.invite}#invite`, action: "execute" });
    const answer = await this.ask("set", command, this.account.domain).catch((e: unknown) => {
      if (e instanceof IqError) return null;
      throw e;
    });
    const form = answer?.child(NS.commands, "command")?.child(NS.data, "x");
    const value = (name: string) => form?.elements.find((f) => f.attr("var") === name)?.elements.find((v) => v.name === "value")?.text;
    const landing = value("landing-url"), token = /[?;]preauth=([^;&]+)/.exec(value("uri") ?? "")?.[1];
    return landing ?? token ?? null;
  }
}

const sitesOf = (place: device.Place): string[] => (place.sites ?? []).filter((s) => URL.canParse(s)).map((s) => new URL(s).origin);

/** Where the server's web is, the best first: the site that has the line, then the page's own, then the others. */
export function doors(place: device.Place, line: string): string[] {
  const sites = sitesOf(place), host = new URL(line).hostname;
  return [...new Set([...sites.filter((s) => new URL(s).hostname === host), location.origin, ...sites])];
}

/** The server names itself by its domain; this page reaches it, or one of its sites, under another name. */
export function here(url: string, place: device.Place, door = location.origin): string {
  const base = place.base?.replace(/\/$/, "");
  return base && url.startsWith(`${base}/`) ? door + url.slice(base.length) : url;
}

/** At our own server, the page's site or another one: so no third party learns who looks at what. */
export const isOurs = (url: string, place: device.Place): boolean => [location.origin, ...sitesOf(place)].some((o) => url.startsWith(`${o}/`));
