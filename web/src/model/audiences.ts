// One's own profiles, and who sees which (docs/profiles.md). What was read last is kept with its time: where it cannot be read
// now, that is shown with its time, and where it never was, it is not known. Never is it taken for "nobody" or "the basic one".
// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Db } from "../store/db";
import { IqError } from "../wire/client";
import { NS } from "../wire/ns";
import { El, el } from "../wire/xml";
import { pictureEl, pictureUri } from "./pictures";
import type { Ask } from "./sync";

export const PROFILES_MAX = 3; // besides the basic one
const VIEWERS_AT_ONCE = 200;

export interface OwnProfile { number: number; name: string; status: string; photo?: string; background?: string }
export interface Own {
  at: number; // when it was read
  profiles: OwnProfile[]; // by number; the basic one, 0, has its name and photo in the person
  viewers: Record<string, number>; // who sees another than the basic one
}

export const ownOf = async (db: Db): Promise<Own | null> => ((await db.get("values", "profiles")) as Own | undefined) ?? null;

export type Seen = { kind: "profile"; number: number } | { kind: "minimal" } | { kind: "unknown" };

/** What somebody sees. Whoever was given another profile and is no contact any more sees the name part alone. */
export function seenBy(own: Own | null, jid: string, contact: boolean): Seen {
  if (!own) return { kind: "unknown" };
  if (!Object.hasOwn(own.viewers, jid)) return { kind: "profile", number: 0 };
  const number = own.viewers[jid];
  if (!contact) return { kind: "minimal" };
  return own.profiles.some((p) => p.number === number) ? { kind: "profile", number } : { kind: "unknown" };
}

export const freeNumber = (own: Own): number | null => [1, 2, 3].find((n) => !own.profiles.some((p) => p.number === n)) ?? null;

const numberOf = (e: El | undefined): number | null => {
  const n = Number(e?.attr("number") ?? NaN);
  return Number.isInteger(n) && n >= 0 && n <= PROFILES_MAX ? n : null;
};

const read = (e: El, number: number): OwnProfile => ({ number, name: e.textOf(NS.profiles, "name") ?? "", status: e.textOf(NS.profiles, "status") ?? "",
  photo: pictureUri(e.textOf(NS.profiles, "photo")), background: pictureUri(e.textOf(NS.profiles, "background")) });

const write = (p: OwnProfile): El => el(NS.profiles, "profile", { number: String(p.number) }, p.name && p.number ? el(NS.profiles, "name", {}, p.name) : undefined,
  p.status ? el(NS.profiles, "status", {}, p.status) : undefined, p.number ? pictureEl(NS.profiles, "photo", p.photo) : undefined, pictureEl(NS.profiles, "background", p.background));

export class Audiences {
  constructor(private readonly db: Db, private readonly ask: Ask, private readonly changed: () => void) {}

  private async keep(own: Own): Promise<Own> {
    await this.db.put("values", own, "profiles");
    this.changed();
    return own;
  }

  /** Read as a whole, or not at all. */
  async load(): Promise<Own> {
    const list = (await this.ask("get", el(NS.profiles, "profiles"))).child(NS.profiles, "profiles");
    if (!list) throw new Error("undefined-condition");
    const profiles: OwnProfile[] = [], viewers: Record<string, number> = {};
    for (const e of list.all(NS.profiles, "profile")) {
      const number = numberOf(e), pictures = e.child(NS.profiles, "photo") ?? e.child(NS.profiles, "background");
      if (number === null) continue;
      const whole = pictures ? (await this.ask("get", el(NS.profiles, "profile", { number: String(number) }))).child(NS.profiles, "profile") : e;
      if (!whole) throw new Error("undefined-condition");
      profiles.push(read(whole, number));
    }
    for (const v of list.all(NS.profiles, "viewer")) {
      const jid = v.attr("jid"), number = numberOf(v);
      if (jid && number !== null) viewers[jid] = number;
    }
    return this.keep({ at: Date.now(), profiles, viewers });
  }

  async save(p: OwnProfile): Promise<void> {
    await this.ask("set", write(p));
    await this.load();
  }

  /** A set replaces the whole, so what is left as it was has to be read first. */
  async saveBasic(status: string, background: string | null | undefined): Promise<void> {
    const now = background === undefined ? (await this.load()).profiles.find((p) => p.number === 0)?.background : background ?? undefined;
    await this.save({ number: 0, name: "", status, background: now });
  }

  async show(number: number, jids: string[]): Promise<void> {
    for (let i = 0; i < jids.length; i += VIEWERS_AT_ONCE)
      await this.ask("set", el(NS.profiles, "audience", { number: String(number) }, ...jids.slice(i, i + VIEWERS_AT_ONCE).map((jid) => el(NS.profiles, "viewer", { jid }))));
    await this.load();
  }

  /** Who saw it sees the basic one from then on. The server refuses as long as anybody sees it, so nobody falls back unmeant. */
  async remove(number: number): Promise<void> {
    const viewers = Object.entries((await this.load()).viewers).filter(([, n]) => n === number).map(([jid]) => jid);
    if (viewers.length) await this.show(0, viewers);
    await this.ask("set", el(NS.profiles, "remove", { number: String(number) })).catch((e: unknown) => {
      if (!(e instanceof IqError) || e.condition !== "item-not-found") throw e; // it is gone: another device was quicker
    });
    await this.load();
  }
}
