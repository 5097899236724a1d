// What is true now and kept nowhere: the line, who is there, who types. The leading tab knows it and tells the others.
// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Line } from "../wire/client";
import { bare } from "../wire/jid";

const DEVICES_MAX = 20, TYPING_MS = 30000;

export interface Occupant { nick: string; jid?: string; affiliation: string; role: string; here: boolean }
export interface RoomLive { joined: boolean; error?: string; occupants: Occupant[]; mine?: { affiliation: string; role: string } }

export interface Abilities {
  rooms?: string; // the host of rooms
  upload?: { host: string; max: number };
  pep?: boolean;
  search?: boolean;
  push?: string; // VAPID key
  commands?: boolean;
  profiles?: boolean; // several, and who sees which
  devices?: boolean; // listed and logged out
  reports?: boolean; // to whoever runs the server
}

export interface Upload { part: number; moves: boolean } // 0 to 1; whether its bytes are on their way now

export type Show = "online" | "away" | "dnd";

export interface Live {
  line: Line;
  door?: string; // the web of the site that has it, or had it last
  syncing: boolean; // what came meanwhile is being read
  since: number; // the line has been like this since
  presence: Record<string, Show>;
  typing: Record<string, string[]>;
  rooms: Record<string, RoomLive>;
  uploads: Record<string, Upload>; // by the file's id here
  can: Abilities;
}

export const nothing = (): Live => ({ line: "connecting", syncing: false, since: Date.now(), presence: {}, typing: {}, rooms: {}, uploads: {}, can: {} });

const best = (shows: Map<string, Show>): Show => (["online", "dnd", "away"] as const).find((s) => [...shows.values()].includes(s)) as Show;

export class LiveState {
  now = nothing();
  private told = false;

  constructor(private readonly tell: (l: Live) => void) {}

  /** Told once a round, however much changes in it. */
  set(more: Partial<Live>): void {
    this.now = { ...this.now, ...more };
    if (this.told) return;
    this.told = true;
    queueMicrotask(() => {
      this.told = false;
      this.tell(this.now);
    });
  }

  /** Who is there is not seen while the line is away, but is known again when the stream is resumed: it is not told twice. */
  line(line: Line): void {
    const since = line === this.now.line ? this.now.since : Date.now();
    this.set(line === "online" ? { line, since, presence: Object.fromEntries([...this.there].map(([jid, shows]) => [jid, best(shows)])) }
      : { line, since, presence: {}, typing: {}, syncing: false });
  }

  /** A new stream: everything is told anew. */
  fresh(): void {
    this.there.clear();
    this.set({ syncing: true, rooms: {}, presence: {}, typing: {} });
  }

  private readonly there = new Map<string, Map<string, Show>>(); // person → device → how

  /** `full`: one device of theirs; a person is away when all of them are. A bare address that leaves takes all with it. */
  presence(full: string, show: Show | null): void {
    const jid = bare(full), shows = this.there.get(jid) ?? new Map<string, Show>(), presence = { ...this.now.presence };
    if (show && (shows.has(full) || shows.size < DEVICES_MAX)) shows.set(full, show);
    else if (!show) shows.delete(full);
    if (!shows.size || (!show && full === jid)) {
      this.there.delete(jid);
      delete presence[jid];
    } else {
      this.there.set(jid, shows);
      presence[jid] = best(shows);
    }
    this.set({ presence });
  }

  private readonly timers = new Map<string, ReturnType<typeof setTimeout>>();

  typing(chat: string, who: string, on: boolean): void {
    const key = `${chat}\n${who}`, { [chat]: now = [], ...typing } = this.now.typing, others = now.filter((w) => w !== who);
    clearTimeout(this.timers.get(key));
    this.timers.delete(key);
    if (on) this.timers.set(key, setTimeout(() => this.typing(chat, who, false), TYPING_MS));
    else if (others.length === now.length) return;
    const all = on ? [...others, who] : others;
    this.set({ typing: all.length ? { ...typing, [chat]: all } : typing });
  }

  /** `u`: null when it is over. Told when another per cent is reached. */
  upload(id: string, u: Upload | null): void {
    const { [id]: now, ...others } = this.now.uploads, percent = (x: Upload) => Math.round(x.part * 100);
    if (!u) {
      if (now) this.set({ uploads: others });
    } else if (!now || now.moves !== u.moves || percent(now) !== percent(u)) {
      this.set({ uploads: { ...others, [id]: u } });
    }
  }

  room(jid: string, change: (r: RoomLive) => RoomLive): void {
    this.set({ rooms: { ...this.now.rooms, [jid]: change(this.now.rooms[jid] ?? { joined: false, occupants: [] }) } });
  }
}
