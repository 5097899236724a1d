// The contact list (RFC 6121 §2), requests, blocking (XEP-0191), who is there. SPDX-License-Identifier: AGPL-3.0-or-later
import type { Db } from "../store/db";
import type { Person } from "../store/types";
import { bare } from "../wire/jid";
import { NS } from "../wire/ns";
import { El, el } from "../wire/xml";
import type { Ask } from "./sync";

export const newPerson = (jid: string): Person => ({ jid, name: "", subscription: "none", listed: false });

export type Wrong = "spam" | "abuse";
export const REPORTED_MAX = 10; // messages with one report

const FAVOURITES = "★"; // the roster group that stands for it, so other clients see it too

function fromItem(known: Person | undefined, item: El): Person {
  const subscription = item.attr("subscription") as Person["subscription"] | undefined, groups = item.all(NS.roster, "group").map((g) => g.text);
  return { ...(known ?? newPerson(item.attr("jid") as string)), name: item.attr("name") ?? "", subscription: subscription ?? "none", listed: true,
    asked: item.attr("ask") === "subscribe" || undefined, request: subscription === "both" || subscription === "from" ? undefined : known?.request,
    favourite: groups.includes(FAVOURITES) || undefined, groups: groups.filter((g) => g !== FAVOURITES) };
}

export class People {
  constructor(private readonly db: Db, private readonly ask: Ask, private readonly send: (e: El) => void, private readonly changed: () => void) {}

  /** Replaces the list as a whole once it is known as a whole: it is never shown empty because it was not read. */
  async load(): Promise<void> {
    const query = (await this.ask("get", el(NS.roster, "query"))).child(NS.roster, "query");
    if (!query) return;
    const tx = this.db.transaction("people", "readwrite"), listed = new Set(query.elements.map((i) => i.attr("jid")));
    for (const p of await tx.store.getAll())
      if (p.listed && !listed.has(p.jid)) await tx.store.put({ ...p, listed: false, subscription: "none", asked: undefined, favourite: undefined });
    for (const item of query.all(NS.roster, "item")) if (item.attr("jid")) await tx.store.put(fromItem(await tx.store.get(item.attr("jid") as string), item));
    await tx.done;
    this.changed();
  }

  async pushed(query: El): Promise<void> {
    const tx = this.db.transaction("people", "readwrite");
    for (const item of query.all(NS.roster, "item")) {
      const jid = item.attr("jid"), known = jid ? await tx.store.get(jid) : undefined;
      if (!jid) continue;
      if (item.attr("subscription") === "remove") {
        if (known) await tx.store.put({ ...known, listed: false, subscription: "none", asked: undefined, favourite: undefined });
      } else {
        await tx.store.put(fromItem(known, item));
      }
    }
    await tx.done;
    this.changed();
  }

  /** Whether somebody sees anyway that we are there: nobody else gets an answer that we did not write (XEP-0184, Security Considerations). */
  async mayKnow(jid: string): Promise<boolean> {
    const p = await this.db.get("people", jid);
    return !p?.blocked && (p?.subscription === "both" || p?.subscription === "from");
  }

  private async change(jid: string, more: Partial<Person>): Promise<void> {
    const tx = this.db.transaction("people", "readwrite");
    await tx.store.put({ ...((await tx.store.get(jid)) ?? newPerson(jid)), ...more });
    await tx.done;
    this.changed();
  }

  async requested(from: string, nick?: string): Promise<void> {
    const jid = bare(from), known = await this.db.get("people", jid);
    if (known?.asked || known?.subscription === "to") this.send(el(NS.client, "presence", { to: jid, type: "subscribed" })); // we asked first
    else if (!known?.blocked) await this.change(jid, { request: true, ...(nick ? { nick } : {}) });
  }

  async withdrawn(from: string): Promise<void> {
    if (await this.db.get("people", bare(from))) await this.change(bare(from), { request: undefined });
  }

  /** `token`: from an invitation of theirs (XEP-0379), which they answer without being asked. Who is known already keeps the
   * name and the star that we gave them. */
  async add(jid: string, token?: string): Promise<void> {
    const known = await this.db.get("people", jid);
    await this.set(jid, known?.name ?? "", Boolean(known?.favourite));
    this.send(el(NS.client, "presence", { to: jid, type: "subscribe" }, token ? el("urn:xmpp:pars:0", "preauth", { token }) : undefined));
  }

  /** A set replaces the whole item (RFC 6121 §2.3), so the groups that other clients made go with it. */
  async set(jid: string, name: string, favourite: boolean): Promise<void> {
    const groups = [...(favourite ? [FAVOURITES] : []), ...((await this.db.get("people", jid))?.groups ?? [])];
    await this.ask("set", el(NS.roster, "query", {}, el(NS.roster, "item", { jid, name: name || undefined }, ...groups.map((g) => el(NS.roster, "group", {}, g)))));
  }

  async answer(jid: string, yes: boolean): Promise<void> {
    this.send(el(NS.client, "presence", { to: jid, type: yes ? "subscribed" : "unsubscribed" }));
    await this.change(jid, { request: undefined });
    if (yes) await this.add(jid);
  }

  async remove(jid: string): Promise<void> {
    await this.ask("set", el(NS.roster, "query", {}, el(NS.roster, "item", { jid, subscription: "remove" })));
  }

  /** `report` goes to whoever runs the server. */
  async block(jid: string, yes: boolean, report?: El): Promise<void> {
    await this.ask("set", el(NS.blocking, yes ? "block" : "unblock", {}, el(NS.blocking, "item", { jid }, report)));
    await this.change(jid, { blocked: yes || undefined, request: undefined });
  }

  /** XEP-0377: they are blocked, and the messages go along that the archive calls by `sids`. */
  report(jid: string, why: Wrong, sids: string[], me: string): Promise<void> {
    return this.block(jid, true, el(NS.reporting, "report", { reason: `urn:xmpp:reporting:${why}` }, ...sids.slice(-REPORTED_MAX).map((id) => el(NS.sid, "stanza-id", { by: me, id }))));
  }

  async loadBlocked(): Promise<void> {
    const list = (await this.ask("get", el(NS.blocking, "blocklist"))).child(NS.blocking, "blocklist");
    const blocked = new Set(list?.elements.map((i) => i.attr("jid") ?? "") ?? []);
    const tx = this.db.transaction("people", "readwrite");
    for (const p of await tx.store.getAll()) if (Boolean(p.blocked) !== blocked.has(p.jid)) await tx.store.put({ ...p, blocked: blocked.has(p.jid) || undefined });
    for (const jid of blocked) if (jid && !(await tx.store.get(jid))) await tx.store.put({ ...newPerson(jid), blocked: true });
    await tx.done;
    this.changed();
  }
}
