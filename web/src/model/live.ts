// What is true now and kept nowhere: the line, who is there, who types. The leading tab knows it and tells the others.
// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Line } from "../wire/client";

export interface Occupant { nick: string; jid?: string; affiliation: string; role: string; here: boolean }
export interface RoomLive { joined: boolean; error?: string; occupants: Occupant[]; mine?: { affiliation: string; role: string } }

export interface Abilities {
  rooms?: string; // the host of rooms
  upload?: { host: string; max: number };
  pep?: boolean;
  search?: boolean;
  push?: string; // VAPID key
  commands?: boolean;
}

export interface Live {
  line: Line;
  syncing: boolean; // what came meanwhile is being read
  since: number; // the line has been like this since
  presence: Record<string, "online" | "away" | "dnd">;
  typing: Record<string, string[]>;
  rooms: Record<string, RoomLive>;
  uploads: Record<string, number>; // 0 to 1
  can: Abilities;
}

export const nothing = (): Live => ({ line: "connecting", syncing: false, since: Date.now(), presence: {}, typing: {}, rooms: {}, uploads: {}, can: {} });

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

  line(line: Line): void {
    const since = line === this.now.line ? this.now.since : Date.now();
    this.set(line === "online" ? { line, since } : { line, since, presence: {}, typing: {}, syncing: false });
  }

  presence(jid: string, show: "online" | "away" | "dnd" | null): void {
    const presence = { ...this.now.presence };
    if (show) presence[jid] = show;
    else delete presence[jid];
    this.set({ presence });
  }

  private readonly timers = new Map<string, ReturnType<typeof setTimeout>>();

  typing(chat: string, who: string, on: boolean): void {
    const key = `${chat}\n${who}`, others = (this.now.typing[chat] ?? []).filter((w) => w !== who);
    clearTimeout(this.timers.get(key));
    if (on) this.timers.set(key, setTimeout(() => this.typing(chat, who, false), 30000));
    if (!on && others.length === (this.now.typing[chat] ?? []).length) return;
    this.set({ typing: { ...this.now.typing, [chat]: on ? [...others, who] : others } });
  }

  upload(id: string, part: number | null): void {
    const uploads = { ...this.now.uploads };
    if (part === null) delete uploads[id];
    else uploads[id] = part;
    this.set({ uploads });
  }

  room(jid: string, change: (r: RoomLive) => RoomLive): void {
    this.set({ rooms: { ...this.now.rooms, [jid]: change(this.now.rooms[jid] ?? { joined: false, occupants: [] }) } });
  }
}
