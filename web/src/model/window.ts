// The part of a history that is in memory and on the page: a bounded run of messages that moves through the store, so that a
// chat of 100,000 messages costs as much as one of 200. SPDX-License-Identifier: AGPL-3.0-or-later
import { signal } from "@preact/signals";
import type { Db } from "../store/db";
import { after, before, type Place } from "../store/messages";
import type { Message } from "../store/types";
import { row } from "./turn";

export const STEP = 60, MOST = 240;
const REACH_PAGES = 1000; // of the archive, in one go

export class MessageWindow {
  readonly rows = signal<Message[] | null>(null); // null: not read yet
  readonly atEnd = signal(true); // the newest message is among them
  readonly atStart = signal(false); // nothing older is anywhere
  readonly loading = signal(false);

  /** `history` asks the archive for more (`far`: for as much as it gives at once); true: there may be more still. */
  constructor(private readonly db: Db, readonly chat: string, private readonly history: ((far: boolean) => Promise<boolean>) | null) {}

  private get first(): Place | null {
    return this.rows.value?.[0] ?? null;
  }

  private readonly inTurn = row(); // what reads the store and then moves the window: of two at once, the second would add what the first has shown

  async toEnd(): Promise<void> {
    const found = await this.inTurn(async () => {
      const rows = await before(this.db, this.chat, null, STEP);
      this.atEnd.value = true;
      this.rows.value = rows;
      return rows.length;
    });
    if (found < STEP) await this.older();
  }

  /** Around a place: jump to what is unread, to a reply's source, to what a search found. */
  async around(place: Place): Promise<void> {
    const found = await this.inTurn(async () => {
      const older = await before(this.db, this.chat, { at: place.at, key: `${place.key}\u0000` }, STEP / 2), newer = await after(this.db, this.chat, older.at(-1) ?? place, STEP);
      this.atEnd.value = newer.length < STEP;
      this.rows.value = [...older, ...newer];
      return older.length;
    });
    if (found < STEP / 2) await this.older();
  }

  closed = false; // nobody looks any more

  /** The first message since then, or null where there is none; what is older than all that is here is got from the archive first.
   * `short`: it goes back further than could be got now. */
  async since(at: number): Promise<{ place: Message | null; short: boolean }> {
    const short = !(await this.reach(at)), [place] = await after(this.db, this.chat, { at, key: "" }, 1);
    return { place: place ?? null, short };
  }

  /** True: the history here goes back to then, or to its beginning. */
  private async reach(at: number): Promise<boolean> {
    this.loading.value = true;
    try {
      for (let n = 0; n < REACH_PAGES && !this.closed; n++) {
        const [oldest] = await after(this.db, this.chat, { at: -Infinity, key: "" }, 1);
        if ((oldest && oldest.at <= at) || !this.history) return true;
        const more = await this.history(true).catch(() => null);
        if (more === null) return false;
        if (!more) return true;
      }
      return false;
    } finally {
      this.loading.value = false;
    }
  }

  async older(): Promise<void> {
    if (this.loading.value || this.atStart.value) return;
    this.loading.value = true;
    try {
      if (await this.addOlder(this.history ? STEP / 2 : 0)) return;
      const more = await this.history?.(false).catch(() => null); // null: no line; what we have is what there is for now
      if (more === false) this.atStart.value = true;
      await this.addOlder(0);
    } finally {
      this.loading.value = false;
    }
  }

  /** What the store has before the first row, if that is as much as `least`. */
  private addOlder(least: number): Promise<boolean> {
    return this.inTurn(async () => {
      const rows = await before(this.db, this.chat, this.first, STEP), all = [...rows, ...(this.rows.value ?? [])];
      if (rows.length < least) return false;
      if (all.length > MOST) this.atEnd.value = false;
      this.rows.value = all.slice(0, MOST);
      return true;
    });
  }

  async newer(): Promise<void> {
    if (this.loading.value || this.atEnd.value || !this.rows.value?.length) return;
    this.loading.value = true;
    try {
      await this.inTurn(() => this.addNewer());
    } finally {
      this.loading.value = false;
    }
  }

  private async addNewer(): Promise<void> {
    const last = this.rows.value?.at(-1);
    if (this.atEnd.value || !last) return;
    const rows = await after(this.db, this.chat, last, STEP);
    this.atEnd.value = rows.length < STEP;
    this.rows.value = [...(this.rows.value ?? []), ...rows].slice(-MOST);
  }

  private due: Promise<void> | null = null; // a refresh that has not begun: it will see all that has changed until then

  /** Something in this chat changed: the same stretch again, with what is new at its end. */
  refresh(): Promise<void> {
    return this.due ??= this.inTurn(async () => {
      this.due = null;
      const first = this.first, shown = this.rows.value?.length ?? 0;
      this.rows.value = !first || this.atEnd.value ? await before(this.db, this.chat, null, Math.min(MOST, Math.max(STEP, shown + 8)))
        : await after(this.db, this.chat, { at: first.at, key: "" }, shown || STEP);
    });
  }
}
