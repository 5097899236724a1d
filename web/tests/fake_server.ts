// A server of a few lines at the other end of a fake WebSocket: it lets everyone in, counts (XEP-0198), keeps messages once by
// their origin-id, answers the archive (XEP-0313), and can be cut off at any moment.
// SPDX-License-Identifier: AGPL-3.0-or-later
import { NS } from "../src/wire/ns";
import type { Socket } from "../src/wire/stream";
import { El, el, parse } from "../src/wire/xml";

export class FakeServer {
  readonly kept: { sid: string; at: number; from: string; to: string; message: El; origin: string }[] = [];
  readonly heard: El[] = [];
  acks = true; // false: takes messages and acknowledges nothing
  deaf = false; // true: hears nothing, like a line that is cut without a word
  up = true;
  refuse: string | null = null;
  archiveFails: { times: number; type: string; condition: string } = { times: 0, type: "", condition: "" };
  card: string | null = null;
  takesFiles = false;
  spread: number | null = null; // seconds over which it wants its people to come back
  afterPage: (() => void) | null = null; // once
  private stream: { handled: number; id: string; resumable: boolean } | null = null;
  private sockets = new Set<FakeSocket>();
  private sids = 0;

  constructor(readonly me = "alice@town.example") {}

  readonly connect = (_url: string): Socket => new FakeSocket(this, this.up);

  get handled(): number { return this.stream?.handled ?? 0; }
  add(s: FakeSocket): void { this.sockets.add(s); }
  gone(s: FakeSocket): void { this.sockets.delete(s); }

  /** The line breaks; the stream may be resumed unless it is forgotten. */
  cut(forget = false): void {
    if (forget) this.stream = null;
    for (const s of [...this.sockets]) s.lost();
  }

  /** Somebody writes to us. */
  write(from: string, body: string, id = crypto.randomUUID()): void {
    const sid = this.keep(from, this.me, el(NS.client, "message", { type: "chat", from, to: this.me, id }, el(NS.client, "body", {}, body)), id);
    this.say(el(NS.client, "message", { type: "chat", from, to: this.me, id }, el(NS.client, "body", {}, body), el(NS.sid, "stanza-id", { by: this.me, id: sid })));
  }

  private keep(from: string, to: string, message: El, origin: string): string {
    const known = this.kept.find((k) => k.from === from && k.origin === origin);
    if (known) return known.sid;
    const sid = `s${++this.sids}`;
    this.kept.push({ sid, at: Date.now(), from, to, message, origin });
    return sid;
  }

  say(e: El): void {
    for (const s of this.sockets) s.deliver(e.toString());
  }

  frame(s: FakeSocket, data: string): void {
    if (this.deaf) return;
    const e = parse(data, NS.client), say = (x: El) => s.deliver(x.toString());
    this.heard.push(e);
    if (e.name === "open") {
      say(el(NS.framing, "open", { from: "town.example" }));
      say(el(NS.streams, "features", {}, el(NS.sasl2, "authentication", {}, el(NS.sasl2, "mechanism", {}, "SCRAM-SHA-256"),
        el(NS.sasl2, "inline", {}, el(NS.fast, "fast", {}, el(NS.fast, "mechanism", {}, "HT-SHA-256-NONE"))))));
    } else if (e.name === "authenticate") {
      this.authenticate(e, say);
    } else if (e.ns === NS.sm && e.name === "r") {
      if (this.acks && this.stream) say(el(NS.sm, "a", { h: String(this.stream.handled) }));
    } else if (e.ns === NS.client && this.stream) {
      this.stanza(e, say);
      this.stream.handled++;
    }
  }

  private authenticate(e: El, say: (x: El) => void): void {
    if (this.refuse) return say(el(NS.sasl2, "failure", {}, el(NS.saslErrors, this.refuse)));
    const resume = e.child(NS.sm, "resume");
    if (resume && this.stream && resume.attr("previd") === this.stream.id)
      return say(el(NS.sasl2, "success", {}, el(NS.sm, "resumed", { h: String(this.stream.handled), previd: this.stream.id })));
    this.stream = { handled: 0, id: crypto.randomUUID(), resumable: true };
    say(el(NS.sasl2, "success", {}, el(NS.sasl2, "authorization-identifier", {}, `${this.me}/app`),
      el(NS.bind2, "bound", {}, el(NS.sm, "enabled", { id: this.stream.id, resume: "true", max: "600" }))));
    say(el(NS.streams, "features", {}, this.spread !== null && el(NS.reconnect, "reconnect", { spread: String(this.spread) })));
  }

  private stanza(e: El, say: (x: El) => void): void {
    if (e.name === "message" && e.child(NS.client, "body")) {
      const origin = e.child(NS.sid, "origin-id")?.attr("id") ?? "";
      this.keep(this.me, e.attr("to") ?? "", new El(e.ns, e.name, { ...e.attrs, from: `${this.me}/app` }, e.children), origin);
    } else if (e.name === "iq") {
      const answer = (payload?: El) => say(el(NS.client, "iq", { type: "result", id: e.attr("id") }, payload)), query = e.elements[0];
      if (query.ns === NS.mam && this.archiveFails.times-- > 0)
        say(el(NS.client, "iq", { type: "error", id: e.attr("id") }, el(NS.client, "error", { type: this.archiveFails.type }, el(NS.stanzas, this.archiveFails.condition))));
      else if (query.ns === NS.mam) this.archive(query, say, answer);
      else if (query.ns === NS.roster && e.attr("type") === "get") answer(el(NS.roster, "query", {}, el(NS.roster, "item", { jid: "bob@town.example", name: "Bobby", subscription: "both" }, el(NS.roster, "group", {}, "★"), el(NS.roster, "group", {}, "Work"))));
      else if (this.takesFiles && query.ns === NS.discoItems) answer(el(NS.discoItems, "query", {}, el(NS.discoItems, "item", { jid: "files.town.example" })));
      else if (query.ns === NS.discoInfo && e.attr("to") === "files.town.example") answer(el(NS.discoInfo, "query", {}, el(NS.discoInfo, "feature", { var: NS.upload })));
      else if (query.ns === NS.upload) answer(el(NS.upload, "slot", {}, el(NS.upload, "put", { url: "https://town.example/up/1" }), el(NS.upload, "get", { url: "https://town.example/f/1" })));
      else if (query.ns === "vcard-temp" && e.attr("type") === "get" && this.card) answer(parse(this.card));
      else answer();
    }
  }

  private archive(query: El, say: (x: El) => void, answer: (p: El) => void): void {
    const rsm = query.child(NS.rsm, "set"), after = rsm?.textOf(NS.rsm, "after"), max = Number(rsm?.textOf(NS.rsm, "max") ?? 100);
    const from = after ? this.kept.findIndex((k) => k.sid === after) + 1 : Math.max(0, this.kept.length - max), rows = this.kept.slice(from, from + max);
    for (const k of rows)
      say(el(NS.client, "message", { from: this.me, to: `${this.me}/app` }, el(NS.mam, "result", { queryid: query.attr("queryid"), id: k.sid },
        el(NS.forward, "forwarded", {}, el(NS.delay, "delay", { stamp: new Date(k.at).toISOString() }), k.message))));
    answer(el(NS.mam, "fin", { complete: from + rows.length >= this.kept.length ? "true" : undefined }, el(NS.rsm, "set")));
    const then = this.afterPage;
    this.afterPage = null;
    if (then) setTimeout(then, 0);
  }
}

export class FakeSocket implements Socket {
  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((e: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;

  constructor(private readonly server: FakeServer, up: boolean) {
    queueMicrotask(() => {
      if (!up) return this.lost();
      this.readyState = 1;
      server.add(this);
      this.onopen?.();
    });
  }

  send(data: string): void { if (this.readyState === 1) queueMicrotask(() => this.readyState === 1 && this.server.frame(this, data)); }
  deliver(data: string): void { if (this.readyState === 1) queueMicrotask(() => this.readyState === 1 && this.onmessage?.({ data })); }
  close(): void { this.lost(); }

  lost(): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.server.gone(this);
    queueMicrotask(() => this.onclose?.());
  }
}
