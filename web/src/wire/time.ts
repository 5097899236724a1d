// Time stamps (XEP-0082) with their microseconds: what a server keeps in one millisecond still has an order.
// SPDX-License-Identifier: AGPL-3.0-or-later

/** Milliseconds since 1970, with a fraction; NaN if it is no time. */
export function parseStamp(stamp: string | undefined): number {
  const micro = /\.\d{3}(\d{1,3})/.exec(stamp ?? "")?.[1] ?? "";
  return Date.parse(stamp ?? "") + Number(micro.padEnd(3, "0")) / 1000;
}

/** A clock whose every answer is later than the one before. */
export class Rising {
  private last = 0;

  next(now: number): number {
    return (this.last = Math.max(now, this.last + 0.01));
  }
}
