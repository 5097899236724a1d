// A small XMPP client over WebSocket (RFC 7395): log-in, roster, chat, archive, acknowledgements, reconnect.
//
//   connect ─▶ open ─▶ SASL ─▶ open ─▶ bind ─▶ roster, carbons, archive ─▶ online
//      ▲                                                                    │
//      └───────────────── back-off with jitter ◀──── connection lost ───────┘
//
// SPDX-License-Identifier: AGPL-3.0-or-later
import { Scram } from "./scram";
import { NS, bare, child, el, parse, text } from "./xml";

export interface Message {
  id: string; // origin-id: the same when it is sent again
  archiveId: string | null;
  peer: string; // bare JID
  mine: boolean;
  body: string;
  at: number; // milliseconds since 1970
  state: "waiting" | "kept" | "failed";
}

export interface Contact {
  jid: string;
  name: string;
}

export type Trouble = "wrongPassword" | "tooMany" | "notReached" | "notThisServer" | "replaced";

export interface Events {
  state(state: "connecting" | "online" | "offline"): void;
  trouble(what: Trouble): void; // the end: no reconnect follows
  roster(contacts: Contact[]): void;
  request(jid: string): void; // someone wants to be a contact
  message(m: Message): void; // new, or changed
}

const PAGE = 50;
const CATCH_UP_PAGES_MAX = 20;
const BACKOFF_MS = { first: 1000, most: 30000 };
const IQ_MS_MAX = 30000;

export class Client {
  readonly jid: string;
  private socket: WebSocket | null = null;
  private scram: Scram | null = null;
  private loggedIn = false;
  private wasOnline = false;
  private closed = false;
  private tries = 0;
  private iqs = new Map<string, (answer: Element | null) => void>();
  private contacts = new Map<string, Contact>();
  private unsent: Message[] = []; // sent or to be sent, not acknowledged
  // XEP-0198: stanzas since <enable/>, and the places of our messages among them.
  private sent = 0;
  private received = 0;
  private counted: { message: Message; place: number }[] = [];
  // The newest message that we have and all before it. What comes live during the catch-up waits beside it.
  private lastArchiveId: string | null = null;
  private lastLiveId: string | null = null;
  private caughtUp = false;
  private readonly urls: string[];

  constructor(
    private readonly domain: string,
    websocket: string,
    private readonly name: string,
    private readonly password: string,
    private readonly on: Events,
  ) {
    this.jid = `${name.toLowerCase()}@${domain}`;
    // The page may have been opened under another name of the same machine than the one that is announced.
    const here = new URL(websocket);
    here.hostname = location.hostname;
    this.urls = [...new Set([websocket, here.href])];
    window.addEventListener("online", () => this.socket ?? this.connect());
  }

  get websocket(): string {
    return this.urls[0];
  }

  // ---- the connection ----

  connect(): void {
    if (this.closed || this.socket) return;
    this.on.state("connecting");
    const socket = new WebSocket(this.urls[this.tries % this.urls.length], "xmpp");
    this.socket = socket;
    this.loggedIn = this.caughtUp = false;
    this.lastLiveId = null;
    socket.onopen = () => this.open();
    socket.onmessage = (e) => this.arrived(String(e.data));
    socket.onclose = () => this.lost();
  }

  close(): void {
    this.closed = true;
    this.raw(el(NS.framing, "close", {}));
    this.socket?.close();
  }

  private open(): void {
    this.raw(el(NS.framing, "open", { to: this.domain, version: "1.0" }));
  }

  private lost(): void {
    this.socket = null;
    for (const done of this.iqs.values()) done(null);
    this.iqs.clear();
    if (this.closed) return;
    this.tries++;
    if (!this.wasOnline && this.tries >= 2 * this.urls.length) {
      this.end("notReached");
      return;
    }
    this.on.state("offline");
    const wait = Math.min(BACKOFF_MS.first * 2 ** Math.min(this.tries, 5), BACKOFF_MS.most);
    setTimeout(() => this.connect(), this.wasOnline ? wait * (0.5 + Math.random() / 2) : 100);
  }

  private end(why: Trouble): void {
    this.closed = true;
    this.socket?.close();
    this.on.trouble(why);
  }

  private raw(e: Element): void {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    this.socket.send(text(e));
    if (e.namespaceURI === NS.client) this.sent++;
  }

  // ---- what comes ----

  private arrived(xml: string): void {
    const e = parse(xml);
    if (!e) return;
    const key = `${e.namespaceURI} ${e.localName}`;
    if (e.namespaceURI === NS.client) {
      this.received++;
      if (e.localName === "message") this.messageIn(e);
      else if (e.localName === "presence") this.presenceIn(e);
      else if (e.localName === "iq") this.iqIn(e);
    } else if (key === `${NS.streams} features`) void this.features(e);
    else if (key === `${NS.sasl} challenge`) void this.challenge(e.textContent ?? "");
    else if (key === `${NS.sasl} success`) this.success(e.textContent ?? "");
    else if (key === `${NS.sasl} failure`) this.end(child(e, NS.sasl, "not-authorized") ? "wrongPassword" : "tooMany");
    else if (key === `${NS.sm} r`) this.raw(el(NS.sm, "a", { h: String(this.received) }));
    else if (key === `${NS.sm} a`) this.acknowledged(Number(e.getAttribute("h")));
    else if (key === `${NS.streams} error` && e.querySelector("conflict")) this.end("replaced");
    else if (key === `${NS.framing} close`) this.socket?.close();
  }

  private async features(e: Element): Promise<void> {
    if (this.loggedIn) {
      await this.bind();
    } else if (child(e, NS.sasl, "mechanisms")) {
      this.scram = new Scram(this.name, this.password);
      this.raw(el(NS.sasl, "auth", { mechanism: "SCRAM-SHA-256" }, this.scram.first()));
    }
  }

  private async challenge(data: string): Promise<void> {
    const answer = await this.scram?.final(data).catch(() => null);
    if (answer) this.raw(el(NS.sasl, "response", {}, answer));
    else this.end("notThisServer");
  }

  private success(data: string): void {
    if (!this.scram?.isServer(data)) {
      this.end("notThisServer");
      return;
    }
    this.loggedIn = true;
    this.open();
  }

  // ---- questions ----

  private ask(type: "get" | "set", payload: Element, to?: string): Promise<Element | null> {
    const id = crypto.randomUUID();
    return new Promise((resolve) => {
      const late = setTimeout(() => answered(null), IQ_MS_MAX);
      const answered = (answer: Element | null) => {
        clearTimeout(late);
        this.iqs.delete(id);
        resolve(answer?.getAttribute("type") === "result" ? answer : null);
      };
      this.iqs.set(id, answered);
      this.raw(el(NS.client, "iq", { type, id, to }, payload));
    });
  }

  private iqIn(iq: Element): void {
    const type = iq.getAttribute("type"), id = iq.getAttribute("id") ?? "", from = iq.getAttribute("from") ?? undefined;
    if (type === "result" || type === "error") {
      this.iqs.get(id)?.(iq);
      return;
    }
    const ours = !from || bare(from) === this.jid;
    const push = child(iq, NS.roster, "query");
    if (type === "set" && push && ours) this.rosterItems(push);
    if (child(iq, NS.ping, "ping") || (type === "set" && push && ours))
      this.raw(el(NS.client, "iq", { type: "result", id, to: from }));
    else
      this.raw(el(NS.client, "iq", { type: "error", id, to: from },
        el(NS.client, "error", { type: "cancel" }, el(NS.stanzas, "service-unavailable", {}))));
  }

  // ---- start of a session ----

  private async bind(): Promise<void> {
    const answer = await this.ask("set", el(NS.bind, "bind", {}));
    if (!answer) {
      this.socket?.close();
      return;
    }
    this.counted = [];
    this.raw(el(NS.sm, "enable", {}));
    this.sent = this.received = 0;
    const roster = await this.ask("get", el(NS.roster, "query", {}));
    const query = child(roster, NS.roster, "query");
    this.contacts.clear();
    if (query) this.rosterItems(query);
    await this.ask("set", el(NS.carbons, "enable", {}));
    this.raw(el(NS.client, "presence", {}));
    this.tries = 0;
    this.wasOnline = true;
    this.on.state("online");
    await this.catchUp();
    for (const m of this.unsent) this.transmit(m);
  }

  private rosterItems(query: Element): void {
    for (const item of query.children) {
      const jid = item.getAttribute("jid");
      if (!jid) continue;
      if (item.getAttribute("subscription") === "remove") this.contacts.delete(jid);
      else this.contacts.set(jid, { jid, name: item.getAttribute("name") ?? jid.split("@", 1)[0] });
    }
    this.on.roster([...this.contacts.values()]);
  }

  // ---- contacts ----

  add(who: string): string {
    const jid = (who.includes("@") ? who : `${who}@${this.domain}`).toLowerCase();
    void this.ask("set", el(NS.roster, "query", {}, el(NS.roster, "item", { jid })));
    this.raw(el(NS.client, "presence", { to: jid, type: "subscribe" }));
    return jid;
  }

  answerRequest(jid: string, yes: boolean): void {
    this.raw(el(NS.client, "presence", { to: jid, type: yes ? "subscribed" : "unsubscribed" }));
    if (yes) this.add(jid);
  }

  private presenceIn(p: Element): void {
    const from = p.getAttribute("from");
    if (p.getAttribute("type") !== "subscribe" || !from) return;
    if (this.contacts.has(bare(from))) this.raw(el(NS.client, "presence", { to: bare(from), type: "subscribed" })); // we asked first
    else this.on.request(bare(from));
  }

  // ---- messages ----

  send(peer: string, body: string): void {
    const m: Message = { id: crypto.randomUUID(), archiveId: null, peer, mine: true, body, at: Date.now(), state: "waiting" };
    this.unsent.push(m);
    this.on.message(m);
    if (this.socket && this.wasOnline) this.transmit(m);
  }

  /** Sent again with the same origin-id it lands once: the server's archive sees to that. */
  private transmit(m: Message): void {
    if (this.socket?.readyState !== WebSocket.OPEN || !this.loggedIn) return;
    this.raw(el(NS.client, "message", { to: m.peer, type: "chat", id: m.id },
      el(NS.client, "body", {}, m.body), el(NS.sid, "origin-id", { id: m.id })));
    this.counted.push({ message: m, place: this.sent });
    this.raw(el(NS.sm, "r", {}));
  }

  private acknowledged(h: number): void {
    for (const c of this.counted.filter((c) => c.place <= h)) if (c.message.state === "waiting") this.kept(c.message);
    this.counted = this.counted.filter((c) => c.place > h);
  }

  private kept(m: Message): void {
    m.state = "kept";
    this.unsent = this.unsent.filter((u) => u !== m);
    this.on.message(m);
  }

  private messageIn(e: Element): void {
    const from = bare(e.getAttribute("from") ?? this.jid);
    if (from === this.jid) {
      for (const direction of ["received", "sent"]) {
        const copy = child(child(child(e, NS.carbons, direction), NS.forward, "forwarded"), NS.client, "message");
        if (copy) this.deliver(copy, null, Date.now());
      }
      const result = child(e, NS.mam, "result");
      if (result) {
        this.fromArchive(result);
        return;
      }
    }
    if (e.getAttribute("type") === "error") {
      const failed = this.unsent.find((m) => m.id === e.getAttribute("id"));
      if (failed) {
        failed.state = "failed";
        this.unsent = this.unsent.filter((m) => m !== failed);
        this.on.message(failed);
      }
      return;
    }
    this.deliver(e, null, Date.now());
  }

  private fromArchive(result: Element): void {
    const forwarded = child(result, NS.forward, "forwarded"), message = child(forwarded, NS.client, "message");
    const stamp = child(forwarded, NS.delay, "delay")?.getAttribute("stamp");
    const place = result.getAttribute("queryid") === "new" ? "new" : "old";
    if (message) this.deliver(message, result.getAttribute("id"), stamp ? Date.parse(stamp) : Date.now(), place);
  }

  private deliver(e: Element, archiveId: string | null, at: number, place: "live" | "new" | "old" = "live"): void {
    const body = child(e, NS.client, "body")?.textContent;
    const from = bare(e.getAttribute("from") ?? this.jid), mine = from === this.jid;
    const peer = mine ? bare(e.getAttribute("to") ?? "") : from;
    const stamp = child(e, NS.delay, "delay")?.getAttribute("stamp");
    for (const s of e.getElementsByTagNameNS(NS.sid, "stanza-id"))
      if (s.parentNode === e && s.getAttribute("by") === this.jid) archiveId ??= s.getAttribute("id");
    if (archiveId && place !== "old") this[place === "new" || this.caughtUp ? "lastArchiveId" : "lastLiveId"] = archiveId;
    if (!body || !peer) return;
    const id = child(e, NS.sid, "origin-id")?.getAttribute("id") ?? e.getAttribute("id") ?? archiveId ?? crypto.randomUUID();
    const pending = mine ? this.unsent.find((m) => m.id === id) : undefined;
    if (pending) {
      pending.archiveId = archiveId;
      this.kept(pending); // the archive has it: the acknowledgement got lost on the way
      return;
    }
    this.on.message({ id, archiveId, peer, mine, body, at: stamp ? Date.parse(stamp) : at, state: "kept" });
  }

  // ---- archive ----

  private async page(queryid: "new" | "old", filter: Element | null, where: Element): Promise<Element | null> {
    const query = el(NS.mam, "query", { queryid }, filter, el(NS.rsm, "set", {}, el(NS.rsm, "max", {}, String(PAGE)), where));
    return child(await this.ask("set", query), NS.mam, "fin");
  }

  /** The first time the newest page; later everything behind the last message we saw. */
  private async catchUp(): Promise<void> {
    let fin = null;
    for (let n = 0; n < CATCH_UP_PAGES_MAX; n++) {
      const where = this.lastArchiveId ? el(NS.rsm, "after", {}, this.lastArchiveId) : el(NS.rsm, "before", {});
      const first = !this.lastArchiveId;
      fin = await this.page("new", null, where);
      if (!fin || first || fin.getAttribute("complete") === "true") break;
    }
    this.caughtUp = fin !== null;
    if (this.caughtUp && this.lastLiveId) this.lastArchiveId = this.lastLiveId;
    this.lastLiveId = null;
  }

  /** One page of a conversation before `archiveId` (null: the newest). True: there is more. */
  async history(peer: string, archiveId: string | null): Promise<boolean> {
    const field = (name: string, value: string, type?: string) =>
      el(NS.data, "field", { var: name, type }, el(NS.data, "value", {}, value));
    const filter = el(NS.data, "x", { type: "submit" }, field("FORM_TYPE", NS.mam, "hidden"), field("with", peer));
    const fin = await this.page("old", filter, el(NS.rsm, "before", {}, archiveId));
    return fin !== null && fin.getAttribute("complete") !== "true";
  }
}
