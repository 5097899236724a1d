// One stream over one WebSocket (RFC 7395), from its opening to its end: it logs in with SASL2 (XEP-0388), by a stored token
// (FAST, XEP-0484) or by SCRAM, and binds (XEP-0386) or resumes (XEP-0198) in the same step: one round trip with a token.
//
//   WebSocket ─▶ <open/> ─▶ features ─▶ <authenticate/> [─▶ challenge ─▶ response] ─▶ success: bound or resumed ─▶ stanzas
//                              └─▶ register (XEP-0077), instead of a log-in
//
// SPDX-License-Identifier: AGPL-3.0-or-later
import { NS } from "./ns";
import { Scram, hashedToken } from "./scram";
import { El, el, parse } from "./xml";

export interface Credentials {
  name: string;
  password?: string;
  token?: Token;
  agentId: string; // stable for this device: XEP-0388 §2.3
}

export interface Token {
  mechanism: string;
  token: string;
  expires: number; // milliseconds since 1970
  count: number; // XEP-0484 §3.4: rises with each use
}

export interface Bound {
  jid: string; // full
  resumed: boolean;
  handled: number; // resumed: the server's count of ours; else 0
  sm: { id: string; location?: string; maxMs: number } | null;
  token: Token | null; // a fresh one
}

/** Why a stream ended, as the rest of the app needs to know it. */
export type End =
  | { why: "lost" } // the network or the server went away: try again
  | { why: "refused"; condition: "password" | "token" | "busy" | "disabled" | "other"; text?: string }
  | { why: "replaced" } // another connection of this device took its place
  | { why: "out" } // the person logged this device out from another one: coming back by itself would undo that
  | { why: "unsupported" };

export interface Socket {
  readyState: number;
  send(data: string): void;
  close(): void;
  onopen: (() => void) | null;
  onmessage: ((e: { data: unknown }) => void) | null;
  onclose: (() => void) | null;
}

export interface StreamEvents {
  bound(b: Bound): void;
  stanza(e: El): void;
  ack(handled: number): void;
  ackAsked(): void;
  heard(): void; // anything at all came: the line is alive
  spread(seconds: number): void; // over so long the site wants its people to come back, should it be lost
  end(e: End): void;
}

export interface Resume { id: string; handled: number }

const FAST_MECHANISM = "HT-SHA-256-NONE";

export class Stream {
  private scram: Scram | null = null;
  private withToken = false;
  private features: El | null = null;
  private ended = false;
  private isBound = false;
  private registering: { name: string; password: string; done: (e: string | null) => void } | null = null;

  constructor(
    private readonly socket: Socket,
    private readonly domain: string,
    private readonly who: Credentials | null,
    private readonly resume: Resume | null,
    private readonly on: StreamEvents,
  ) {
    socket.onopen = () => this.open();
    socket.onmessage = (e) => this.frame(String(e.data));
    socket.onclose = () => this.finish({ why: "lost" });
  }

  send(e: El): void {
    if (this.socket.readyState === 1) this.socket.send(e.toString());
  }

  close(): void {
    this.send(el(NS.framing, "close"));
    this.finish({ why: "lost" });
  }

  /** Ends without a word, as a dead line does. */
  drop(): void {
    this.finish({ why: "lost" });
  }

  private finish(e: End): void {
    if (this.ended) return;
    this.ended = true;
    this.socket.onclose = this.socket.onmessage = this.socket.onopen = null;
    try {
      this.socket.close();
    } catch {
      // it was closed already
    }
    this.registering?.done("lost");
    this.on.end(e);
  }

  private open(): void {
    this.send(el(NS.framing, "open", { to: this.domain, version: "1.0" }));
  }

  private frame(data: string): void {
    let e: El;
    try {
      e = parse(data, NS.client);
    } catch {
      this.finish({ why: "lost" });
      return;
    }
    this.on.heard();
    if (e.ns === NS.client && this.isBound) this.on.stanza(e);
    else if (e.ns === NS.client) this.early(e);
    else if (e.ns === NS.sm && e.name === "r") this.on.ackAsked();
    else if (e.ns === NS.sm && e.name === "a") this.on.ack(Number(e.attr("h")));
    else if (e.ns === NS.streams && e.name === "features") this.featuresIn(e);
    else if (e.ns === NS.sasl2) void this.sasl(e);
    else if (e.ns === NS.streams && e.name === "error")
      this.finish({ why: e.child(NS.streamErrors, "conflict") ? "replaced" : this.isBound && e.child(NS.streamErrors, "not-authorized") ? "out" : "lost" });
    else if (e.ns === NS.framing && e.name === "close") this.finish({ why: "lost" });
  }

  // ---- log-in ----

  private featuresIn(e: El): void {
    const spread = Number(e.child(NS.reconnect, "reconnect")?.attr("spread"));
    if (spread >= 0) this.on.spread(spread);
    if (this.isBound) return; // after log-in they say nothing else that is new
    this.features = e;
    if (!this.who) return; // a registration waits for registerAccount
    const offer = e.child(NS.sasl2, "authentication");
    if (!offer) this.finish({ why: "unsupported" });
    else void this.authenticate(offer);
  }

  private async authenticate(offer: El): Promise<void> {
    const who = this.who as Credentials, fast = offer.child(NS.sasl2, "inline")?.child(NS.fast, "fast");
    const token = who.token && fast?.elements.some((m) => m.text === who.token?.mechanism) ? who.token : null;
    if (token) {
      this.withToken = true;
      const data = await hashedToken(who.name, token.token);
      this.send(this.request(token.mechanism, data, el(NS.fast, "fast", { count: String(token.count) })));
    } else if (who.password === undefined) {
      this.finish({ why: "refused", condition: "token" });
    } else if (offer.elements.some((m) => m.name === "mechanism" && m.text === "SCRAM-SHA-256")) {
      this.scram = new Scram(who.name, who.password);
      this.send(this.request("SCRAM-SHA-256", this.scram.first(), fast && el(NS.fast, "request-token", { mechanism: FAST_MECHANISM })));
    } else {
      this.finish({ why: "unsupported" });
    }
  }

  private request(mechanism: string, initial: string, fast: El | undefined): El {
    return el(NS.sasl2, "authenticate", { mechanism },
      el(NS.sasl2, "initial-response", {}, initial),
      el(NS.sasl2, "user-agent", { id: (this.who as Credentials).agentId }, el(NS.sasl2, "software", {}, "Bongsu"),
        el(NS.sasl2, "device", {}, deviceName())),
      fast,
      this.resume && el(NS.sm, "resume", { previd: this.resume.id, h: String(this.resume.handled) }),
      el(NS.bind2, "bind", {}, el(NS.bind2, "tag", {}, "Bongsu"), el(NS.carbons, "enable"), el(NS.sm, "enable", { resume: "true" })));
  }

  private async sasl(e: El): Promise<void> {
    if (e.name === "challenge") {
      const answer = await this.scram?.final(e.text).catch(() => null);
      if (answer) this.send(el(NS.sasl2, "response", {}, answer));
      else this.finish({ why: "unsupported" });
    } else if (e.name === "success") {
      this.success(e);
    } else if (e.name === "failure") {
      this.finish({ why: "refused", condition: this.condition(e), text: e.textOf(NS.sasl2, "text") });
    }
  }

  private condition(e: El): "password" | "token" | "busy" | "disabled" | "other" {
    const name = e.elements.find((c) => c.ns === NS.saslErrors)?.name;
    if (name === "not-authorized" || name === "credentials-expired") return this.withToken ? "token" : "password";
    if (name === "temporary-auth-failure") return "busy";
    return name === "account-disabled" ? "disabled" : "other";
  }

  private success(e: El): void {
    const data = e.textOf(NS.sasl2, "additional-data") ?? "";
    if (this.scram && !this.scram.isServer(data)) {
      this.finish({ why: "unsupported" }); // it does not know the password: not our server
      return;
    }
    const resumed = e.child(NS.sm, "resumed"), bound = e.child(NS.bind2, "bound"), enabled = bound?.child(NS.sm, "enabled");
    const fresh = e.child(NS.fast, "token");
    if (!resumed && !bound) {
      this.finish({ why: "unsupported" });
      return;
    }
    this.isBound = true;
    this.on.bound({
      jid: e.textOf(NS.sasl2, "authorization-identifier") ?? "",
      resumed: Boolean(resumed),
      handled: Number(resumed?.attr("h") ?? 0),
      sm: enabled?.attr("id") ? { id: enabled.attr("id") as string, location: enabled.attr("location"), maxMs: Number(enabled.attr("max") ?? 300) * 1000 } : null,
      token: fresh ? { mechanism: FAST_MECHANISM, token: fresh.attr("token") ?? "", expires: Date.parse(fresh.attr("expiry") ?? ""), count: 1 } : null,
    });
  }

  // ---- a new account (XEP-0077), before any log-in ----

  /** Null: it is made. Else the condition of the error, or "lost". */
  registerAccount(name: string, password: string): Promise<string | null> {
    return new Promise((resolve) => {
      this.registering = { name, password, done: (e) => { this.registering = null; resolve(e); } };
      const begin = () => {
        this.send(el(NS.client, "iq", { type: "set", id: "register" }, el(NS.register, "query", {},
          el(NS.register, "username", {}, name), el(NS.register, "password", {}, password))));
      };
      const wait = () => (this.ended ? undefined : this.features ? begin() : void setTimeout(wait, 20));
      wait();
    });
  }

  private early(iq: El): void {
    if (iq.attr("id") !== "register") return;
    const error = iq.child(NS.client, "error")?.elements.find((c) => c.ns === NS.stanzas && c.name !== "text");
    this.registering?.done(iq.attr("type") === "result" ? null : (error?.name ?? "other"));
  }
}

/** "Chrome · Android": what this device is called where nobody has named it. */
export function deviceName(): string {
  const ua = globalThis.navigator?.userAgent ?? "";
  const system = ["Android", "iPhone", "iPad", "Windows", "Mac OS", "CrOS", "Linux"].find((s) => ua.includes(s)) ?? "?";
  const browser = ["Firefox", "Edg", "OPR", "SamsungBrowser", "Chrome", "Safari"].find((b) => ua.includes(b)) ?? "?";
  return `${browser} · ${system}`;
}
