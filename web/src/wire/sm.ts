// XEP-0198: what we sent and the server has not counted yet, and what we have handled. Numbers count modulo 2^32.
// SPDX-License-Identifier: AGPL-3.0-or-later
import type { El } from "./xml";

export interface Sent { e: El; done?: (kept: boolean) => void }

const MODULO = 2 ** 32;
export const UNACKED_MAX = 2000; // beyond it the line is dead in all but name

export class Counted {
  id: string | null = null; // resumable under this
  resumableUntil = 0;
  maxMs = 0;
  handled = 0;
  private acked = 0;
  private queue: Sent[] = [];

  start(sm: { id: string; maxMs: number } | null): void {
    this.id = sm?.id ?? null;
    this.maxMs = sm?.maxMs ?? 0;
    this.handled = this.acked = 0;
    this.resumableUntil = Infinity;
  }

  get waiting(): number {
    return this.queue.length;
  }

  sent(s: Sent): void {
    this.queue.push(s);
  }

  /** The server has counted up to `h`. False: it counts what we never sent. */
  ack(h: number): boolean {
    const fresh = (h - this.acked + MODULO) % MODULO;
    if (fresh > this.queue.length) return fresh > MODULO / 2; // an old count is harmless
    this.acked = h;
    for (const s of this.queue.splice(0, fresh)) s.done?.(true);
    return true;
  }

  lineLost(now: number): void {
    if (this.resumableUntil === Infinity) this.resumableUntil = now + this.maxMs;
  }

  canResume(now: number): boolean {
    return this.id !== null && now < this.resumableUntil;
  }

  resumed(): readonly Sent[] {
    this.resumableUntil = Infinity;
    return this.queue;
  }

  /** The stream is gone for good: each is told so, once. */
  forget(): void {
    const lost = this.queue;
    this.queue = [];
    this.id = null;
    for (const s of lost) s.done?.(false);
  }
}
