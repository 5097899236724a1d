// Muted and pinned chats are the account's: what one device sets, the others have. SPDX-License-Identifier: AGPL-3.0-or-later
import { beforeEach, describe, expect, it } from "vitest";
import { Wishes } from "../src/model/wishes";
import { openStore, type Db } from "../src/store/db";
import { newChat } from "../src/store/messages";
import { IqError } from "../src/wire/client";
import { El, el } from "../src/wire/xml";

const PUBSUB = "http://jabber.org/protocol/pubsub", EVENT = `${PUBSUB}#event`, CLIENT = "jabber:client", BOB = "bob@town.example", CAROL = "carol@town.example";

interface Device { db: Db; wishes: Wishes; here: boolean }
let count = 0, node: Map<string, El> | null, away: string | null, devices: Device[];

const error = (condition: string) => new IqError(condition, undefined, el(CLIENT, "iq", { type: "error" }, el(CLIENT, "error", { type: condition === "internal-server-error" ? "wait" : "cancel" })));

/** The account: one node, whose changes come to the devices that are there. */
async function ask(_type: string, payload: El): Promise<El> {
  if (away) throw error(away);
  const what = payload.elements[0], item = what.elements[0], id = item?.attr("id") ?? "";
  if (what.name === "items") {
    if (!node) throw error("item-not-found");
    return el(CLIENT, "iq", {}, el(PUBSUB, "pubsub", {}, el(PUBSUB, "items", {}, ...node.values())));
  }
  if (what.name === "publish") (node ??= new Map()).set(id, item);
  else if (!node?.delete(id)) throw error("item-not-found");
  const event = el(EVENT, "items", {}, what.name === "publish" ? el(EVENT, "item", { id }, ...item.elements) : el(EVENT, "retract", { id }));
  for (const d of devices) if (d.here) await Promise.race([d.wishes.event(event), Promise.resolve()]);
  return el(CLIENT, "iq", { type: "result" });
}

async function device(): Promise<Device> {
  const db = await openStore(`wishes${++count}@town.example`), d: Device = { db, wishes: new Wishes(db, ask, () => undefined), here: true };
  for (const jid of [BOB, CAROL]) await db.put("chats", { ...newChat(jid, "person"), lastAt: 1 });
  devices.push(d);
  return d;
}
const set = async (d: Device, jid: string, more: { muted?: true; pinned?: true }) => {
  await d.db.put("chats", { ...newChat(jid, "person"), ...(await d.db.get("chats", jid)), muted: undefined, pinned: undefined, ...more, unsaid: true });
  await d.wishes.tell();
};
const seen = async (d: Device, jid: string) => {
  const c = await d.db.get("chats", jid);
  return `${c?.muted ? "muted" : ""}${c?.pinned ? "pinned" : ""}${c?.unsaid ? "?" : ""}`;
};

beforeEach(() => {
  node = null;
  away = null;
  devices = [];
});

describe("wishes", () => {
  it("set at one device hold at the other, and go there when they go here", async () => {
    const phone = await device(), desk = await device();
    await set(phone, BOB, { muted: true });
    await set(phone, CAROL, { pinned: true });
    expect([await seen(desk, BOB), await seen(desk, CAROL), await seen(phone, BOB)]).toEqual(["muted", "pinned", "muted"]);
    await set(desk, BOB, {});
    await set(desk, CAROL, { pinned: true, muted: true });
    expect([await seen(phone, BOB), await seen(phone, CAROL)]).toEqual(["", "mutedpinned"]);
    expect([...(node as Map<string, El>).keys()]).toEqual([CAROL]);
  });
  it("come to a device that was away, also for a chat that it has never seen", async () => {
    const phone = await device(), desk = await device();
    await set(desk, BOB, { muted: true });
    desk.here = false;
    await set(phone, BOB, {});
    await set(phone, "dave@town.example", { muted: true });
    await desk.wishes.load();
    expect([await seen(desk, BOB), await seen(desk, "dave@town.example")]).toEqual(["", "muted"]);
    expect((await desk.db.get("chats", "dave@town.example"))?.lastAt).toBe(0); // so it is in no list
  });
  it("set without a line hold here, and are told when it is back", async () => {
    const phone = await device(), desk = await device();
    await set(phone, BOB, { pinned: true });
    away = "remote-server-timeout";
    await set(desk, BOB, { muted: true });
    await set(desk, CAROL, { muted: true });
    away = null;
    await desk.wishes.load();
    expect([await seen(desk, BOB), await seen(phone, BOB)]).toEqual(["muted?", "pinned"]);
    await desk.wishes.tell();
    expect([await seen(desk, BOB), await seen(phone, BOB), await seen(phone, CAROL)]).toEqual(["muted", "muted", "muted"]);
  });
  it("are what the first device has, where the account knows nothing yet", async () => {
    const phone = await device(), desk = await device();
    await phone.db.put("chats", { ...newChat(BOB, "person"), muted: true });
    await phone.wishes.load();
    await phone.wishes.tell();
    expect([await seen(phone, BOB), await seen(desk, BOB)]).toEqual(["muted", "muted"]);
  });
  it("are tried again when the answer is wait", async () => {
    const phone = await device();
    away = "internal-server-error";
    await expect(set(phone, BOB, { muted: true })).rejects.toThrow();
    away = null;
    await phone.wishes.tell();
    expect(await seen(phone, BOB)).toBe("muted");
  });
  it("of other kinds of clients are left alone", async () => {
    const phone = await device(), notify = "urn:xmpp:notification-settings:1";
    const item = (jid: string, ...settings: El[]) => el(EVENT, "item", { id: jid }, el("urn:bongsu:chats:0", "chat", {}, el(notify, "notify", {}, ...settings)));
    await phone.wishes.event(el(EVENT, "items", {}, item(BOB, el(notify, "never", { "identity-category": "gateway" }), el(notify, "always")), item(CAROL, el(notify, "never"))));
    expect([await seen(phone, BOB), await seen(phone, CAROL)]).toEqual(["", "muted"]);
  });
});
