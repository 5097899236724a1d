// Keeps one stream up: picks a site, logs in, resumes, waits with jitter, notices a dead line, asks and answers IQs.
// What came is handled one after the other, and counted (XEP-0198) only when its handler has finished: a message that the
// server may forget is in our store.
// SPDX-License-Identifier: AGPL-3.0-or-later
import { NS } from "./ns";
import { Counted, UNACKED_MAX } from "./sm";
import { Sites } from "./sites";
import { Stream, type Bound, type Credentials, type End, type Socket, type Token } from "./stream";
import { El, el } from "./xml";

export type Line = "connecting" | "online" | "offline" | "ended";

export interface ClientEvents {
  /** A new stream (`fresh`) or the old one resumed. */
  online(b: Bound, fresh: boolean): void;
  line(state: Line): void;
  stanza(e: El): Promise<void>;
  token(t: Token | null): void;
  ended(e: End): void; // no reconnect follows
}

export class IqError extends Error {
  constructor(readonly condition: string, readonly text: string | undefined, readonly stanza: El | null) {
    super(condition);
  }

  /** The same question may be answered a moment later: no answer came, or the error says "wait" (RFC 6120 §8.3.2). */
  get passing(): boolean {
    return this.stanza?.child(NS.client, "error")?.attr("type") === "wait" || this.stanza === null;
  }
}

export interface Timing { openMs: number; silenceMs: number; countMs: number; answerMs: number; firstRetryMs: number; mostRetryMs: number; mostSpreadMs: number; iqMs: number }
const TIMING: Timing = { openMs: 4000, silenceMs: 30000, countMs: 1000, answerMs: 3000, firstRetryMs: 300, mostRetryMs: 20000, mostSpreadMs: 60000, iqMs: 20000 };

export class Client {
  jid = "";
  private stream: Stream | null = null;
  private isUp = false;
  private stopped = true;
  private tries = 0;
  private spreadMs = 0; // a line that is lost is sought again within this time, at some moment of it
  private readonly sm = new Counted();
  private readonly iqs = new Map<string, { resolve(e: El): void; reject(e: IqError): void; timer: ReturnType<typeof setTimeout> }>();
  private chain: Promise<unknown> = Promise.resolve();
  private timers: { open?: ReturnType<typeof setTimeout>; retry?: ReturnType<typeof setTimeout>; alive?: ReturnType<typeof setTimeout> } = {};
  private readonly timing: Timing;

  constructor(
    readonly domain: string,
    readonly sites: Sites,
    private readonly who: Credentials,
    private readonly on: ClientEvents,
    private readonly newSocket: (url: string) => Socket = (url) => new WebSocket(url, "xmpp") as unknown as Socket,
    timing: Partial<Timing> = {},
  ) {
    this.timing = { ...TIMING, ...timing };
  }

  get online(): boolean {
    return this.isUp;
  }

  // ---- the line ----

  start(): void {
    this.stopped = false;
    this.connect();
  }

  /** Connects now rather than at the end of the wait: the network is back, or the person looks. */
  hurry(): void {
    if (this.stopped) return;
    if (!this.stream) {
      this.tries = 0;
      this.connect();
    } else if (this.isUp) {
      this.probe();
    }
  }

  /** The system says that there is no network. */
  cut(): void {
    this.stream?.drop();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timers.retry);
    this.stream?.close();
    this.sm.forget();
    this.failIqs();
  }

  private connect(): void {
    clearTimeout(this.timers.retry);
    if (this.stopped || this.stream) return;
    this.on.line("connecting");
    const now = Date.now(), url = this.sites.current;
    const resume = this.sm.canResume(now) && this.sm.id ? { id: this.sm.id, handled: this.sm.handled } : null;
    // One that handles what came before the break may still be at work: its count belongs into <resume/>.
    if (this.who.token) {
      this.who.token = { ...this.who.token, count: this.who.token.count + 1 };
      this.on.token(this.who.token);
    }
    let socket: Socket;
    try {
      socket = this.newSocket(url);
    } catch {
      this.wait(url);
      return;
    }
    const stream = new Stream(socket, this.domain, this.who, resume, {
      bound: (b) => this.bound(b),
      stanza: (e) => this.arrived(e),
      ack: (h) => { if (!this.sm.ack(h)) stream.drop(); },
      ackAsked: () => this.handle(() => { if (this.stream === stream) this.answerCount(); }),
      heard: () => this.alive(),
      spread: (s) => { this.spreadMs = Math.min(s * 1000, this.timing.mostSpreadMs); },
      end: (e) => this.ended(stream, url, e),
    });
    this.stream = stream;
    this.timers.open = setTimeout(() => stream.drop(), this.timing.openMs);
  }

  private answerCount(): void {
    this.stream?.send(el(NS.sm, "a", { h: String(this.sm.handled % 2 ** 32) }));
  }

  private bound(b: Bound): void {
    clearTimeout(this.timers.open);
    this.tries = 0;
    this.isUp = true;
    if (b.token) {
      this.who.token = b.token;
      this.on.token(b.token);
    }
    if (b.resumed) {
      this.sm.ack(b.handled);
      for (const s of this.sm.resumed()) this.stream?.send(s.e);
      if (this.sm.waiting) this.stream?.send(el(NS.sm, "r"));
    } else {
      this.sm.forget();
      this.failIqs();
      this.sm.start(b.sm);
      this.jid = b.jid;
    }
    this.sites.prefer(this.sites.current);
    this.alive();
    this.on.line("online");
    this.on.online(b, !b.resumed);
  }

  private ended(stream: Stream, url: string, e: End): void {
    if (this.stream !== stream) return;
    clearTimeout(this.timers.open);
    clearTimeout(this.timers.alive);
    const wasUp = this.isUp;
    this.stream = null;
    this.isUp = false;
    this.sm.lineLost(Date.now());
    if (this.stopped) return;
    if (e.why === "refused" && e.condition === "token" && this.who.password !== undefined) {
      this.who.token = undefined;
      this.on.token(null);
      this.connect();
    } else if (e.why === "lost" || (e.why === "refused" && e.condition === "busy")) {
      this.wait(url, wasUp ? this.spreadMs : 0);
    } else {
      this.stopped = true;
      this.sm.forget();
      this.failIqs();
      this.on.line("ended");
      this.on.ended(e);
    }
  }

  /** The next site at once, after a whole round of them with jitter, ever more slowly; and all of that when one's turn has come among those who lost theirs. */
  private wait(url: string, spreadMs = 0): void {
    this.on.line("offline");
    this.sites.failed(url);
    const round = Math.floor(this.tries++ / this.sites.all.length);
    const most = Math.min(this.timing.firstRetryMs * 2 ** Math.min(round, 10), this.timing.mostRetryMs);
    const ms = round === 0 && this.tries < this.sites.all.length ? 30 : most * (0.5 + Math.random() / 2);
    this.timers.retry = setTimeout(() => this.connect(), ms + Math.random() * spreadMs);
  }

  // ---- is anybody there ----

  private alive(): void {
    clearTimeout(this.timers.alive);
    this.timers.alive = setTimeout(() => this.probe(), this.timing.silenceMs);
  }

  /** Asks for the count. That waits for what is being made durable, which takes seconds while the sites choose a new primary: a line
   * on which nothing comes is asked with a ping, which waits for nothing, before it is taken for dead. */
  private probe(): void {
    const stream = this.stream;
    if (!stream || !this.isUp) return;
    clearTimeout(this.timers.alive);
    if (this.sm.id) {
      stream.send(el(NS.sm, "r"));
      this.timers.alive = setTimeout(() => this.ping(stream), this.timing.countMs);
    } else {
      this.ping(stream);
    }
  }

  private ping(stream: Stream): void {
    this.timers.alive = setTimeout(() => stream.drop(), this.timing.answerMs);
    this.send(el(NS.client, "iq", { type: "get", id: "alive" }, el(NS.ping, "ping")));
  }

  // ---- sending ----

  /** `done(true)` once the server has counted it; `done(false)` when that will not be known any more. */
  send(e: El, done?: (kept: boolean) => void): boolean {
    if (!this.isUp || !this.stream || this.sm.waiting >= UNACKED_MAX) return false;
    this.stream.send(e);
    if (this.sm.id) {
      this.sm.sent({ e, done });
      if (done) this.probe(); // asks for the count, and notices if none comes
    }
    return true;
  }

  ask(type: "get" | "set", payload: El, to?: string, ms = this.timing.iqMs): Promise<El> {
    const id = crypto.randomUUID();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.iqs.delete(id);
        reject(new IqError("timeout", undefined, null));
      }, ms);
      this.iqs.set(id, { resolve, reject, timer });
      if (!this.send(el(NS.client, "iq", { type, id, to }, payload))) this.answer(id, null);
    });
  }

  private answer(id: string, iq: El | null): void {
    const waiting = this.iqs.get(id);
    if (!waiting) return;
    this.iqs.delete(id);
    clearTimeout(waiting.timer);
    if (iq?.attr("type") === "result") {
      waiting.resolve(iq);
      return;
    }
    const error = iq?.child(NS.client, "error");
    const condition = error?.elements.find((c) => c.ns === NS.stanzas && c.name !== "text")?.name ?? (iq ? "undefined-condition" : "lost");
    waiting.reject(new IqError(condition, error?.textOf(NS.stanzas, "text"), iq));
  }

  private failIqs(): void {
    for (const id of [...this.iqs.keys()]) this.answer(id, null);
  }

  // ---- what comes ----

  private handle(work: () => void | Promise<void>): void {
    this.chain = this.chain.then(work).catch((e) => console.warn("a stanza could not be handled:", e));
  }

  private arrived(e: El): void {
    const id = e.attr("id") ?? "";
    this.handle(async () => {
      try {
        if (e.name === "iq" && (e.attr("type") === "result" || e.attr("type") === "error")) this.answer(id, e);
        else await this.on.stanza(e);
      } finally {
        this.sm.handled++;
      }
    });
  }

  /** Answers a question that was put to us. */
  reply(iq: El, payload?: El, condition?: string): void {
    const head = { id: iq.attr("id"), to: iq.attr("from") };
    if (condition)
      this.send(el(NS.client, "iq", { type: "error", ...head }, el(NS.client, "error", { type: "cancel" }, el(NS.stanzas, condition))));
    else this.send(el(NS.client, "iq", { type: "result", ...head }, payload));
  }
}
