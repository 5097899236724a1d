// SPDX-License-Identifier: AGPL-3.0-or-later
import { beforeEach, describe, expect, it } from "vitest";
import { enqueue, Outbox } from "../src/model/outbox";
import { openStore, type Db } from "../src/store/db";
import * as store from "../src/store/messages";
import type { El } from "../src/wire/xml";

let db: Db, count = 0;
beforeEach(async () => { db = await openStore(`outbox${++count}@town.example`); });

/** A line that takes so many until they are counted. */
function line(room: number) {
  const waiting: ((kept: boolean) => void)[] = [], sent: string[] = [];
  return {
    sent,
    send: (e: El, done: (kept: boolean) => void): boolean => {
      if (waiting.length >= room) return false;
      sent.push(e.attr("id") ?? "");
      waiting.push(done);
      return true;
    },
    count: () => { for (const done of waiting.splice(0)) done(true); },
  };
}

describe("the outbox", () => {
  it("goes on by itself when a full line has counted what went", async () => {
    const tx = store.write(db);
    for (let n = 0; n < 25; n++) await enqueue(tx, { id: `m${n}`, chat: "bob@town.example", xml: `<message id='m${n}' to='bob@town.example'><body>x</body></message>` });
    await tx.done;
    const l = line(10), box = new Outbox(db, l.send, () => undefined);
    await box.run();
    expect(l.sent.length).toBe(10);
    for (let i = 0; i < 100 && await db.count("outbox"); i++) {
      l.count();
      await new Promise((done) => setTimeout(done, 5));
    }
    expect(l.sent).toEqual(Array.from({ length: 25 }, (_, n) => `m${n}`));
    expect(await db.count("outbox")).toBe(0);
  });
});
