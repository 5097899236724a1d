// Whole histories: after a new stream everything behind the last known place in the archive (XEP-0313), and older pages of one
// chat when somebody looks. The place moves on in the same transaction that keeps the page, so a page is never half known.
// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Db } from "../store/db";
import { IqError } from "../wire/client";
import { NS } from "../wire/ns";
import { parseStamp } from "../wire/time";
import { El, el } from "../wire/xml";

export const PAGE = 100;

export interface Archived { sid: string; at: number; message: El }
export interface Page { rows: Archived[]; complete: boolean }

export type Ask = (type: "get" | "set", payload: El, to?: string) => Promise<El>;

function archived(result: El): Archived | null {
  const forwarded = result.child(NS.forward, "forwarded"), message = forwarded?.child(NS.client, "message");
  const at = parseStamp(forwarded?.child(NS.delay, "delay")?.attr("stamp")), sid = result.attr("id");
  return message && sid ? { sid, at: Number.isFinite(at) ? at : Date.now(), message } : null;
}

const field = (name: string, value: string, type?: string) => el(NS.data, "field", { var: name, type }, el(NS.data, "value", {}, value));

export class Archive {
  private readonly pages = new Map<string, Archived[]>();

  constructor(private readonly ask: Ask) {}

  /** A message that belongs to a page that we asked for. */
  take(e: El): boolean {
    const result = e.child(NS.mam, "result"), rows = this.pages.get(result?.attr("queryid") ?? "");
    if (!result) return false;
    const row = archived(result);
    if (rows && row) rows.push(row);
    return true;
  }

  async page(where: { after?: string; before?: string }, filter: { with?: string; ids?: string[]; words?: string }, to?: string, max = PAGE): Promise<Page> {
    const queryid = crypto.randomUUID(), rows: Archived[] = [];
    this.pages.set(queryid, rows);
    const fields = [filter.with ? field("with", filter.with) : null, filter.words ? field("{urn:xmpp:fulltext:0}fulltext", filter.words) : null,
      filter.ids ? el(NS.data, "field", { var: "ids" }, ...filter.ids.map((i) => el(NS.data, "value", {}, i))) : null].filter((f) => f !== null);
    const form = fields.length ? el(NS.data, "x", { type: "submit" }, field("FORM_TYPE", NS.mam, "hidden"), ...fields) : undefined;
    const place = where.after !== undefined ? el(NS.rsm, "after", {}, where.after) : el(NS.rsm, "before", {}, where.before ?? "");
    try {
      const answer = await this.ask("set", el(NS.mam, "query", { queryid }, form, el(NS.rsm, "set", {}, el(NS.rsm, "max", {}, String(max)), place)), to);
      return { rows, complete: answer.child(NS.mam, "fin")?.attr("complete") === "true" };
    } finally {
      this.pages.delete(queryid);
    }
  }
}

export interface Keeper {
  last(): Promise<string | undefined>;
  /** Keeps the rows and, with them, that everything up to `last` is known. */
  keep(rows: Archived[], last: string | undefined): Promise<void>;
}

const pause = (tries: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, Math.min(250 * 2 ** tries, 15000)));

/** Everything behind the last known place; the first time the newest page. What fails for now (a database that changes its
 * primary, a line that breaks and is resumed) is asked again for as long as `wanted`: a log that is not caught up sends nothing
 * and may not move on. An archive that says no is none, and nothing is missing. False: it is not wanted any more. */
export async function catchUp(archive: Archive, keeper: Keeper, to: string | undefined, wanted: () => boolean): Promise<boolean> {
  for (let tries = 0; wanted();) {
    const last = await keeper.last();
    let page: Page;
    try {
      page = await archive.page(last ? { after: last } : { before: "" }, {}, to);
    } catch (e) {
      if (!(e instanceof IqError)) throw e;
      if (last && e.condition === "item-not-found") await keeper.keep([], undefined); // the archive has forgotten that place: the newest page again
      else if (e.passing) await pause(tries++);
      else return wanted();
      continue;
    }
    tries = 0;
    await keeper.keep(page.rows, page.rows.at(-1)?.sid ?? last);
    if (!last || page.complete || !page.rows.length) return wanted();
  }
  return false;
}

/** For places kept under one name in the store. */
export function keeperOf(db: Db, name: string, keep: (rows: Archived[], last: string | undefined, name: string) => Promise<void>): Keeper {
  return { last: async () => (await db.get("values", name)) as string | undefined, keep: (rows, last) => keep(rows, last, name) };
}
