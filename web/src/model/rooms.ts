// Groups (XEP-0045): entering, who is there, making, inviting, roles. Which rooms we are in is kept on the device, and with
// the account as bookmarks (XEP-0402) where it can. SPDX-License-Identifier: AGPL-3.0-or-later
import type { Db } from "../store/db";
import { newChat } from "../store/messages";
import type { Chat } from "../store/types";
import { IqError } from "../wire/client";
import { bare, resourceOf } from "../wire/jid";
import { NS } from "../wire/ns";
import { El, el } from "../wire/xml";
import type { LiveState, Occupant } from "./live";
import * as compose from "./compose";
import { itemsOf, putItem, removeItem } from "./own_nodes";
import { newPerson } from "./people";
import { photoEl, photoOf } from "./pictures";
import type { Ask } from "./sync";

const NICK_TRIES = 5, NO_MEMBER = ["registration-required", "forbidden", "gone"];

export interface RoomsHost {
  db: Db;
  ask: Ask;
  send(e: El): void;
  live: LiveState;
  changed(): void;
  changedPeople(): void; // a room's picture is kept where those of people are
  entered(room: string): void; // messages may be read and sent now
  left(room: string): void;
  myNick(): string;
}

const value = (name: string, v: string, type?: string) => el(NS.data, "field", { var: name, type }, el(NS.data, "value", {}, v));

export class Rooms {
  readonly nicks = new Map<string, string>(); // room → our nick in it

  constructor(private readonly h: RoomsHost) {}

  /** A new stream: nobody knows that we are in. */
  async enterAll(): Promise<void> {
    for (const c of await this.h.db.getAll("chats")) if (c.kind === "room" && c.room?.joined) this.enter(c.jid, c.room.nick, c.room.password);
  }

  /** What is kept of a room, in one transaction, for messages come meanwhile; undefined leaves it as it is. */
  private async change(room: string, next: (known: Chat | undefined) => Chat | undefined): Promise<Chat | undefined> {
    const tx = this.h.db.transaction("chats", "readwrite"), chat = next(await tx.store.get(room));
    if (chat) await tx.store.put(chat);
    await tx.done;
    if (chat) this.h.changed();
    return chat;
  }

  enter(room: string, nick: string, password?: string): void {
    this.nicks.set(room, nick);
    this.h.live.room(room, () => ({ joined: false, occupants: [] }));
    this.h.send(el(NS.client, "presence", { to: `${room}/${nick}` }, el(NS.muc, "x", {}, el(NS.muc, "history", { maxstanzas: "0" }),
      password ? el(NS.muc, "password", {}, password) : undefined)));
  }

  has(room: string): boolean {
    return this.nicks.has(room);
  }

  /** Keeps that we want to be in, and goes in. */
  async join(room: string, more: { name?: string; password?: string; bookmark?: boolean } = {}): Promise<void> {
    const nick = this.nicks.get(room) ?? this.h.myNick();
    const chat = await this.change(room, (known) => ({ ...(known ?? newChat(room, "room")), kind: "room", hidden: false, lastAt: known?.lastAt || Date.now(),
      name: more.name ?? known?.name, room: { ...known?.room, nick, password: more.password ?? known?.room?.password, joined: true } }));
    if (!this.h.live.now.rooms[room]?.joined) this.enter(room, nick, more.password);
    if (chat && more.bookmark !== false) void this.bookmark(chat).catch(() => undefined);
  }

  presence(p: El): void {
    const room = bare(p.attr("from") ?? ""), nick = resourceOf(p.attr("from") ?? ""), x = p.child(NS.mucUser, "x");
    const statuses = new Set(x?.all(NS.mucUser, "status").map((s) => s.attr("code")));
    const mine = statuses.has("110") || nick === this.nicks.get(room);
    if (p.attr("type") === "error") {
      this.refused(room, p);
      return;
    }
    const item = x?.child(NS.mucUser, "item"), gone = p.attr("type") === "unavailable";
    if (gone && mine && statuses.has("303")) this.nicks.set(room, item?.attr("nick") ?? nick);
    else if (gone && mine) void this.out(room, statuses, x?.child(NS.mucUser, "destroy") !== undefined);
    const o: Occupant = { nick, jid: item?.attr("jid") ? bare(item.attr("jid") as string) : undefined, affiliation: item?.attr("affiliation") ?? "none",
      role: item?.attr("role") ?? "none", here: !gone };
    this.h.live.room(room, (r) => ({
      joined: r.joined || (mine && !gone), error: undefined, mine: mine ? { affiliation: o.affiliation, role: o.role } : r.mine,
      occupants: [...r.occupants.filter((k) => k.nick !== nick), ...(gone ? [] : [o])],
    }));
    if (mine && !gone) this.h.entered(room);
  }

  private refused(room: string, p: El): void {
    const condition = p.child(NS.client, "error")?.elements.find((c) => c.ns === NS.stanzas)?.name ?? "undefined-condition";
    const nick = this.nicks.get(room) ?? "";
    if (condition === "conflict" && !nick.endsWith("_".repeat(NICK_TRIES))) return this.enter(room, `${nick}_`); // somebody else has our name there
    this.h.live.room(room, (r) => ({ ...r, joined: false, error: condition }));
    this.h.left(room);
    if (NO_MEMBER.includes(condition)) void this.lost(room);
  }

  /** We do not belong to it any more: it is entered again when somebody asks us in. */
  private async lost(room: string): Promise<void> {
    await this.change(room, (c) => c?.room && { ...c, room: { ...c.room, joined: false } });
    await this.forgetBookmark(room);
  }

  private async out(room: string, statuses: Set<string | undefined>, destroyed: boolean): Promise<void> {
    this.h.live.room(room, () => ({ joined: false, occupants: [], error: destroyed ? "gone" : statuses.has("307") ? "kicked" : statuses.has("301") ? "banned" : undefined }));
    this.h.left(room);
    if (destroyed || statuses.has("301") || statuses.has("321")) await this.lost(room);
  }

  /** Nor are we a member any more (XEP-0077), whom messages would still wake: that needs the line. Other devices of ours leave as the
   * bookmark goes, so that comes first: else they would take it for being put out. */
  async leave(room: string): Promise<void> {
    const nick = this.nicks.get(room);
    this.nicks.delete(room);
    try {
      await this.forgetBookmark(room);
      await this.h.ask("set", el(NS.register, "query", {}, el(NS.register, "remove")), room);
    } catch (e) {
      if (!(e instanceof IqError)) {
        if (nick) this.nicks.set(room, nick);
        throw e;
      } // else we were no member
    }
    if (nick) this.h.send(el(NS.client, "presence", { to: `${room}/${nick}`, type: "unavailable" }));
    await this.change(room, (c) => c?.room && { ...c, hidden: true, room: { ...c.room, joined: false } });
    this.h.live.room(room, () => ({ joined: false, occupants: [] }));
    this.h.left(room);
  }

  private async forgetBookmark(room: string): Promise<void> {
    if (this.h.live.now.can.pep) await removeItem(this.h.ask, NS.bookmarks, room).catch(() => undefined);
  }

  /** A private group of the people named: they are members, and are asked in. */
  async make(name: string, people: string[]): Promise<string> {
    const host = this.h.live.now.can.rooms;
    if (!host) throw new Error("unsupported");
    const room = `${crypto.randomUUID().slice(0, 13)}@${host}`;
    const entered = this.waitFor(room);
    this.enter(room, this.h.myNick());
    await entered;
    await this.h.ask("set", el(NS.mucOwner, "query", {}, el(NS.data, "x", { type: "submit" }, value("FORM_TYPE", NS.mucConfig, "hidden"),
      value("muc#roomconfig_roomname", name), value("muc#roomconfig_persistentroom", "1"), value("muc#roomconfig_membersonly", "1"),
      value("muc#roomconfig_publicroom", "0"), value("muc#roomconfig_whois", "anyone"), value("muc#roomconfig_allowinvites", "1"), value("muc#roomconfig_changesubject", "1"))), room);
    await this.join(room, { name });
    for (const jid of people) await this.invite(room, jid);
    return room;
  }

  private waitFor(room: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const began = Date.now(), look = setInterval(() => {
        const r = this.h.live.now.rooms[room];
        if (r?.joined) resolve();
        else if (r?.error || Date.now() - began > 15000) reject(new Error(r?.error ?? "timeout"));
        else return;
        clearInterval(look);
      }, 50);
    });
  }

  async invite(room: string, jid: string): Promise<void> {
    const listed = await this.affiliate(room, jid, "member").then(() => true, (e: unknown) => {
      if (e instanceof IqError) return false;
      throw e;
    });
    const c = await this.h.db.get("chats", room);
    this.h.send(listed ? compose.invite(jid, room, c?.room?.password) : compose.inviteBy(room, jid));
  }

  affiliate(room: string, jid: string, affiliation: "owner" | "admin" | "member" | "none" | "outcast"): Promise<El> {
    return this.h.ask("set", el(NS.mucAdmin, "query", {}, el(NS.mucAdmin, "item", { jid, affiliation })), room);
  }

  rename(room: string, name: string): Promise<El> {
    return this.h.ask("set", el(NS.mucOwner, "query", {}, el(NS.data, "x", { type: "submit" }, value("FORM_TYPE", NS.mucConfig, "hidden"),
      value("muc#roomconfig_roomname", name))), room);
  }

  /** What all shall know first; nothing: none any more. */
  subject(room: string, words: string): void {
    this.h.send(el(NS.client, "message", { to: room, type: "groupchat", id: crypto.randomUUID() }, el(NS.client, "subject", {}, words)));
  }

  /** XEP-0486; null takes it away. */
  picture(room: string, uri: string | null): Promise<El> {
    return this.h.ask("set", el(NS.vcard, "vCard", {}, uri ? photoEl(uri) : undefined), room);
  }

  private async listed(room: string, affiliation: string): Promise<string[]> {
    const answer = await this.h.ask("get", el(NS.mucAdmin, "query", {}, el(NS.mucAdmin, "item", { affiliation })), room);
    return (answer.child(NS.mucAdmin, "query")?.elements ?? []).flatMap((i) => i.attr("jid") ?? []).map(bare);
  }

  /** As far as we may know them. */
  async members(room: string): Promise<{ jid: string; affiliation: string }[]> {
    const out: { jid: string; affiliation: string }[] = [];
    for (const affiliation of ["owner", "admin", "member"]) out.push(...(await this.listed(room, affiliation).catch(() => [])).map((jid) => ({ jid, affiliation })));
    return out;
  }

  banned(room: string): Promise<string[]> {
    return this.listed(room, "outcast");
  }

  /** The room says that it is another one than before (XEP-0045 §10.2.1, XEP-0486 §3.2). */
  message(e: El): void {
    const room = bare(e.attr("from") ?? "");
    if (this.nicks.has(room) && e.child(NS.mucUser, "x")?.all(NS.mucUser, "status").some((s) => s.attr("code") === "104")) void this.learn(room).catch(() => undefined);
  }

  /** The name and the picture that the room has for everyone. */
  async learn(room: string): Promise<void> {
    const info = (await this.h.ask("get", el(NS.discoInfo, "query"), room).catch(() => null))?.child(NS.discoInfo, "query");
    if (!info) return;
    const name = info.elements.find((e) => e.name === "identity" && e.attr("category") === "conference")?.attr("name");
    await this.change(room, (c) => (name && c && c.name !== name ? { ...c, name } : undefined));
    await this.learnPicture(room, info.all(NS.data, "x").flatMap((x) => x.elements).find((f) => f.attr("var") === "muc#roominfo_avatarhash")?.elements[0]?.text);
  }

  private async learnPicture(room: string, hash: string | undefined): Promise<void> {
    const known = await this.h.db.get("people", room);
    if (known?.avatar === hash) return;
    const card = hash ? (await this.h.ask("get", el(NS.vcard, "vCard"), room)).child(NS.vcard, "vCard") : undefined, avatarUrl = photoOf(card);
    await this.h.db.put("people", { ...(known ?? newPerson(room)), avatar: hash, avatarUrl });
    this.h.changedPeople();
  }

  // ---- bookmarks ----

  private async bookmark(c: Chat): Promise<void> {
    if (!this.h.live.now.can.pep) return;
    await putItem(this.h.ask, NS.bookmarks, c.jid, el(NS.bookmarks, "conference", { name: c.name, autojoin: "true" }, el(NS.bookmarks, "nick", {}, c.room?.nick ?? this.h.myNick())));
  }

  async loadBookmarks(): Promise<void> {
    await this.bookmarks((await itemsOf(this.h.ask, NS.bookmarks).catch(() => null)) ?? []);
  }

  /** From the account: on the first device of many, or told by another. */
  async bookmarks(items: El[]): Promise<void> {
    for (const i of items) {
      const room = i.attr("id") ?? "", c = i.elements.find((e) => e.name === "conference");
      if (i.name === "retract" && this.nicks.has(room) && this.h.live.now.rooms[room]?.joined) await this.leave(room); // else we were put out
      const known = await this.h.db.get("chats", room);
      if (i.name === "item" && c && ["true", "1"].includes(c.attr("autojoin") ?? "") && !known?.room?.joined)
        await this.join(room, { name: c.attr("name"), password: c.textOf(NS.bookmarks, "password"), bookmark: false });
    }
  }
}
