// What the operator announces (docs/admin.md): the items of one node, which every account receives. They are kept, so that they can be
// read while the server is away, and taken only with the signature of the key that this device met first.
// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Db } from "../store/db";
import { NS } from "../wire/ns";
import { El, el } from "../wire/xml";
import type { Ask } from "./sync";
import { row } from "./turn";

export interface Announcement { id: string; at: number; until: number; subject: string; text: string } // times in ms; until 0: no end
export interface Announced { key?: string; all: Announcement[]; closed: string[] } // closed: by the person, on this device

const NAME = "announced", MOST = 20, CLOSED_MOST = 100;

export const announcedOf = async (db: Db): Promise<Announced> => ((await db.get("values", NAME)) as Announced | undefined) ?? { all: [], closed: [] };

/** The newest that is in force and was not closed. */
export function toShow(a: Announced | null, now: number): Announcement | undefined {
  return a?.all.filter((n) => (!n.until || n.until > now) && !a.closed.includes(n.id)).at(-1);
}

async function change(db: Db, what: (a: Announced) => Announced): Promise<void> {
  const tx = db.transaction("values", "readwrite"), now = ((await tx.store.get(NAME)) as Announced | undefined) ?? { all: [], closed: [] };
  await tx.store.put(what(now), NAME);
  await tx.done;
}

export const close = (db: Db, id: string): Promise<void> => change(db, (a) => ({ ...a, closed: [...a.closed, id].slice(-CLOSED_MOST) }));

// ---- the proof ----

/** Microseconds since 1970; 0 where nothing is said. */
function micros(stamp: string | undefined): bigint {
  const [, seconds, fraction = ""] = /^(.*?)(?:\.(\d{1,6})\d*)?Z$/.exec(stamp ?? "") ?? [], ms = Date.parse(`${seconds}Z`);
  return Number.isFinite(ms) ? BigInt(ms) * 1000n + BigInt(fraction.padEnd(6, "0")) : 0n;
}

const utf8 = (text: string) => new TextEncoder().encode(text);
const bytes = (base64: string) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

/** A browser that knows no Ed25519 believes what its own server says over the line to it. */
async function isProved(key: string, signature: string, text: string): Promise<boolean> {
  try {
    const k = await crypto.subtle.importKey("raw", bytes(key), "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", k, bytes(signature), utf8(text));
  } catch (e) {
    return (e as Error).name === "NotSupportedError";
  }
}

export class Announcements {
  private readonly inTurn = row();
  readonly host: string;

  constructor(private readonly db: Db, private readonly ask: Ask, private readonly domain: string, private readonly changed: () => void) {
    this.host = `pubsub.${domain}`;
  }

  /** All that are in force: one that came or went while this device was away is not told again. */
  async load(): Promise<void> {
    const answer = await this.ask("get", el(NS.pubsub, "pubsub", {}, el(NS.pubsub, "items", { node: NS.announcement })), this.host);
    const items = answer.child(NS.pubsub, "pubsub")?.child(NS.pubsub, "items");
    if (items) await this.take(items, true);
  }

  /** Some that are new, or were taken down. */
  event(items: El): Promise<void> {
    return this.take(items, false);
  }

  private take(items: El, whole: boolean): Promise<void> {
    return this.inTurn(async () => {
      let { key } = await announcedOf(this.db);
      const fresh: Announcement[] = [], gone = new Set(items.elements.filter((e) => e.name === "retract").map((e) => e.attr("id")));
      for (const e of items.elements.filter((i) => i.name === "item").slice(-MOST)) {
        const n = e.child(NS.announcement, "announcement"), its = n?.attr("key") ?? "", read = n && await this.read(n, its);
        if (!read || (key && key !== its)) continue;
        key = its;
        fresh.push(read);
      }
      await change(this.db, (a) => {
        const others = whole ? [] : a.all.filter((o) => !gone.has(o.id) && !fresh.some((f) => f.id === o.id));
        return { ...a, key, all: [...others, ...fresh].sort((x, y) => x.at - y.at).slice(-MOST) };
      });
      this.changed();
    });
  }

  private async read(n: El, key: string): Promise<Announcement | null> {
    const id = n.attr("id") ?? "", at = micros(n.attr("at")), until = micros(n.attr("until"));
    const subject = n.textOf(NS.announcement, "subject") ?? "", text = n.textOf(NS.announcement, "text") ?? "";
    const signed = `bongsu-announcement-0\n${this.domain}\n${id}\n${at}\n${until}\n${utf8(subject).length}\n${subject}\n${text}`;
    if (!(await isProved(key, n.attr("signature") ?? "", signed))) return null;
    return { id, at: Number(at / 1000n), until: Number(until / 1000n), subject, text };
  }
}
