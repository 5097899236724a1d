// What the operator announces is kept, proved, closed by hand and gone when it is taken down. SPDX-License-Identifier: AGPL-3.0-or-later
import { beforeEach, describe, expect, it, vi } from "vitest";
import { Announcements, announcedOf, close, toShow } from "../src/model/announcements";
import { openStore, type Db } from "../src/store/db";
import { El, el } from "../src/wire/xml";

const NS = "urn:bongsu:announcement:0", EVENT = "http://jabber.org/protocol/pubsub#event", PUBSUB = "http://jabber.org/protocol/pubsub";
const base64 = (b: ArrayBuffer) => Buffer.from(b).toString("base64"), utf8 = (s: string) => new TextEncoder().encode(s);

let db: Db, count = 0, keys: CryptoKeyPair, inForce: El[];
const made = async () => (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;

beforeEach(async () => {
  db = await openStore(`announced${++count}@town.example`);
  keys = await made();
  inForce = [];
});

interface How { by?: CryptoKeyPair; said?: string; until?: string }

/** As the server writes it (docs/admin.md); `said`: what it says instead of what was signed. */
async function item(id: number, subject: string, text: string, { by = keys, said = text, until }: How = {}): Promise<El> {
  const at = `2026-11-26T14:56:0${id}.234188Z`, micros = (stamp: string) => `${Date.parse(stamp.replace(/\.\d+/, "")) / 1000}${/\.(\d+)/.exec(stamp)?.[1] ?? "000000"}`;
  const signed = `bongsu-announcement-0\ntown.example\n${id}\n${micros(at)}\n${until ? micros(until) : 0}\n${utf8(subject).length}\n${subject}\n${text}`;
  const signature = base64(await crypto.subtle.sign("Ed25519", by.privateKey, utf8(signed)));
  return el(EVENT, "item", { id: String(id) }, el(NS, "announcement", { id: String(id), at, until, key: base64(await crypto.subtle.exportKey("raw", by.publicKey)), signature },
    el(NS, "subject", {}, subject), el(NS, "text", {}, said)));
}
const items = (...them: El[]) => el(EVENT, "items", { node: NS }, ...them);
const node = () => new Announcements(db, async () => el("jabber:client", "iq", { type: "result" }, el(PUBSUB, "pubsub", {}, el(PUBSUB, "items", { node: NS }, ...inForce.map((i) => new El(PUBSUB, i.name, i.attrs, i.children))))),
  "town.example", () => undefined);
const shown = async (now = Date.parse("2026-11-27T00:00:00Z")) => toShow(await announcedOf(db), now)?.text;

describe("announcements", () => {
  it("shows the newest with the server's signature, and none with another or without", async () => {
    const n = node();
    await n.event(items(await item(1, "점검", "오늘 밤 12시 🔧"), await item(2, "Drill", "At noon")));
    expect([await shown(), (await announcedOf(db)).all.length]).toEqual(["At noon", 2]);
    await n.event(items(await item(3, "Drill", "At one", { said: "Send your password" })));
    await n.event(items(await item(4, "Drill", "From somebody else", { by: await made() })));
    await n.event(items(el(EVENT, "item", { id: "5" }, el(NS, "announcement", { id: "5" }, el(NS, "text", {}, "unsigned")))));
    expect(await shown()).toBe("At noon");
  });
  it("believes a server that it cannot prove, where the browser knows no such signatures", async () => {
    vi.spyOn(crypto.subtle, "importKey").mockRejectedValueOnce(new DOMException("no Ed25519", "NotSupportedError"));
    await node().event(items(await item(1, "", "as it says", { said: "as it says" })));
    expect(await shown()).toBe("as it says");
    vi.restoreAllMocks();
  });
  it("stays closed, alone, and goes when it is taken down", async () => {
    const n = node();
    await n.event(items(await item(1, "", "one"), await item(2, "", "two")));
    await close(db, "2");
    expect(await shown()).toBe("one");
    await n.event(items(await item(2, "", "two")));
    expect(await shown()).toBe("one");
    await n.event(items(await item(3, "", "three")));
    expect(await shown()).toBe("three");
    await n.event(items(el(EVENT, "retract", { id: "3" }), el(EVENT, "retract", { id: "1" })));
    expect(await shown()).toBeUndefined();
  });
  it("ends when it said it would, with or without the server", async () => {
    await node().event(items(await item(1, "", "until six", { until: "2026-11-27T06:00:00Z" })));
    expect([await shown(), await shown(Date.parse("2026-11-27T06:00:01Z"))]).toEqual(["until six", undefined]);
  });
  it("has after a log-in what is in force, and nothing else", async () => {
    const n = node();
    await n.event(items(await item(1, "", "taken down meanwhile")));
    inForce = [await item(2, "", "put up meanwhile")];
    await n.load();
    expect((await announcedOf(db)).all.map((a) => a.text)).toEqual(["put up meanwhile"]);
  });
});
