// Profiles, who sees which, and devices. SPDX-License-Identifier: AGPL-3.0-or-later
import { beforeEach, describe, expect, it, vi } from "vitest";
import { Audiences, freeNumber, ownOf, seenBy, type Own } from "../src/model/audiences";
import { devices, logOut, whichOf } from "../src/model/devices";
import { Engine } from "../src/model/engine";
import { invitationOf } from "../src/model/invitation";
import { LiveState } from "../src/model/live";
import { People } from "../src/model/people";
import { pictureUri, PICTURE_CHARS_MAX } from "../src/model/pictures";
import { Profiles } from "../src/model/profiles";
import { openStore, type Db } from "../src/store/db";
import { IqError } from "../src/wire/client";
import { NS } from "../src/wire/ns";
import type { End } from "../src/wire/stream";
import { El, el, parse } from "../src/wire/xml";
import { FakeServer } from "./fake_server";

const ME = "alice@town.example", BOB = "bob@town.example", PNG = "iVBORw0KGgo=";
let db: Db, count = 0, asked: { type: string; xml: string; to?: string }[] = [];
let answers: Record<string, string | null> = {}; // by the name of the question's element; null: the line breaks

const fails = (condition: string): IqError => new IqError(condition, undefined, el(NS.client, "iq", { type: "error" }));

async function ask(type: "get" | "set", payload: El, to?: string): Promise<El> {
  asked.push({ type, xml: payload.toString(), to });
  const name = payload.name === "pubsub" ? (payload.elements[0].attr("node") ?? "") : payload.name, answer = type === "get" ? answers[name] : answers[`set ${name}`];
  if (answer === null) throw fails("lost");
  if (answer?.startsWith("!")) throw fails(answer.slice(1));
  return el(NS.client, "iq", { type: "result" }, answer ? parse(answer) : undefined);
}

const sets = (): string[] => asked.filter((a) => a.type === "set").map((a) => a.xml);

beforeEach(async () => {
  db = await openStore(`people${++count}@town.example`);
  asked = [];
  answers = { profiles: `<profiles xmlns='${NS.profiles}'><profile number='0'><status>here</status><background type='image/png'/></profile><profile number='1'><name>Work</name></profile><viewer jid='${BOB}' number='1'/></profiles>`,
    profile: `<profile xmlns='${NS.profiles}' number='0'><status>here</status><background type='image/png'>${PNG}</background></profile>` };
});

describe("who sees which of one's profiles", () => {
  it("is read as a whole, with the pictures, and kept", async () => {
    const own = await new Audiences(db, ask, () => undefined).load();
    expect(own).toMatchObject({ profiles: [{ number: 0, status: "here", background: `data:image/png;base64,${PNG}` }, { number: 1, name: "Work" }], viewers: { [BOB]: 1 } });
    expect(await ownOf(db)).toEqual(own);
  });
  it("stays what it was, with its time, when one part cannot be read", async () => {
    const a = new Audiences(db, ask, () => undefined), own = await a.load();
    answers.profile = null;
    await expect(a.load()).rejects.toThrow("lost");
    expect(await ownOf(db)).toEqual(own);
  });
  it("is unknown where nothing was read, and never the basic one by mistake", () => {
    const own: Own = { at: 1, profiles: [{ number: 1, name: "Work", status: "" }], viewers: { [BOB]: 1, "carol@town.example": 2 } };
    expect(seenBy(null, BOB, true)).toEqual({ kind: "unknown" });
    expect(seenBy(own, BOB, true)).toEqual({ kind: "profile", number: 1 });
    expect(seenBy(own, BOB, false)).toEqual({ kind: "minimal" });
    expect(seenBy(own, "carol@town.example", true)).toEqual({ kind: "unknown" }); // of a profile that we know nothing of
    expect(seenBy(own, "constructor", true)).toEqual({ kind: "profile", number: 0 });
    expect([freeNumber(own), freeNumber({ ...own, profiles: [1, 2, 3].map((number) => ({ number, name: "", status: "" })) })]).toEqual([2, null]);
  });
  it("moves nobody when a profile is saved, and a background is not lost with a new status", async () => {
    await new Audiences(db, ask, () => undefined).saveBasic("gone", undefined);
    expect(sets()).toEqual([`<profile xmlns='${NS.profiles}' number='0'><status>gone</status><background type='image/png'>${PNG}</background></profile>`]);
  });
  it("writes nothing when it cannot read what it would replace", async () => {
    answers.profiles = null;
    await expect(new Audiences(db, ask, () => undefined).saveBasic("gone", undefined)).rejects.toThrow("lost");
    expect(sets()).toEqual([]);
  });
  it("is given back before a profile is removed", async () => {
    await new Audiences(db, ask, () => undefined).remove(1);
    expect(sets()).toEqual([`<audience xmlns='${NS.profiles}' number='0'><viewer jid='${BOB}'/></audience>`, `<remove xmlns='${NS.profiles}' number='1'/>`]);
  });
  it("is told in bounded steps", async () => {
    await new Audiences(db, ask, () => undefined).show(2, Array.from({ length: 450 }, (_, n) => `f${n}@town.example`));
    expect(sets().map((x) => x.split("<viewer").length - 1)).toEqual([200, 200, 50]);
  });
});

describe("people who are blocked", () => {
  const people = () => new People(db, ask, () => undefined, () => undefined);

  it("are reported with the last messages they sent, and so many at most", async () => {
    await people().report(BOB, "spam", Array.from({ length: 12 }, (_, n) => `s${n}`), ME);
    const [xml] = sets();
    expect(xml).toMatch(new RegExp(`^<block xmlns='${NS.blocking}'><item jid='${BOB}'><report xmlns='${NS.reporting}' reason='urn:xmpp:reporting:spam'><stanza-id [^>]*id='s2'`));
    expect([xml.split("<stanza-id").length - 1, xml.split(`by='${ME}'`).length - 1, (await db.get("people", BOB))?.blocked]).toEqual([10, 10, true]);
  });
  it("are not taken for blocked when the server refuses it", async () => {
    answers["set block"] = "!not-allowed";
    await expect(people().block(BOB, true)).rejects.toThrow();
    expect((await db.get("people", BOB))?.blocked).toBeUndefined();
  });
});

describe("what a friend shows us", () => {
  const live = () => { const l = new LiveState(() => undefined); l.set({ can: { pep: true } }); return l; };
  const profiles = () => new Profiles(db, ask, live(), ME, () => undefined);
  const event = (node: string, xml: string) => parse(`<items xmlns='${NS.pubsubEvent}' node='${node}'><item id='i'>${xml}</item></items>`);

  it("is the profile that is meant for us as a whole: what it lacks goes", async () => {
    await db.put("people", { jid: BOB, name: "Bobby", subscription: "both", listed: true, nick: "Old", about: "old", avatar: "x", avatarUrl: "data:image/png;base64,old", background: "data:image/png;base64,old" });
    answers.profile = `<profile xmlns='${NS.profiles}'><name>Bob</name></profile>`;
    await profiles().look(BOB);
    expect(await db.get("people", BOB)).toEqual({ jid: BOB, name: "Bobby", subscription: "both", listed: true, nick: "Bob" });
  });
  it("stays when it cannot be read", async () => {
    await db.put("people", { jid: BOB, name: "", subscription: "both", listed: true, nick: "Old", about: "old" });
    answers.profile = answers.vCard = null;
    await profiles().look(BOB);
    expect(await db.get("people", BOB)).toMatchObject({ nick: "Old", about: "old" });
  });
  it("comes with the vCard from a server without profiles", async () => {
    answers.profile = "!service-unavailable";
    answers.vCard = `<vCard xmlns='vcard-temp'><NICKNAME>Bob</NICKNAME><DESC>words</DESC><PHOTO><TYPE>image/svg+xml</TYPE><BINVAL>${btoa("<svg onload='x'/>")}</BINVAL></PHOTO></vCard>`;
    await profiles().look(BOB);
    expect(await db.get("people", BOB)).toMatchObject({ nick: "Bob", about: "words" });
    expect((await db.get("people", BOB))?.avatarUrl).toBeUndefined();
  });
  it("tells a new status line by itself, and takes one away; a stranger's is not kept", async () => {
    await db.put("people", { jid: BOB, name: "", subscription: "both", listed: true });
    const card = (note: string) => `<vcard xmlns='${NS.vcard4}'><fn><text>Bob</text></fn>${note}</vcard>`;
    await profiles().event(BOB, event(NS.vcard4Node, card("<note><text>on the train</text></note>")));
    expect((await db.get("people", BOB))?.about).toBe("on the train");
    await profiles().event(BOB, event(NS.vcard4Node, card("")));
    expect((await db.get("people", BOB))?.about).toBeUndefined();
    await profiles().event("mallory@town.example", event(NS.vcard4Node, card("<note><text>x</text></note>")));
    expect(await db.get("people", "mallory@town.example")).toBeUndefined();
  });
  it("is also how else to reach them: taken back by an empty way, and not by a card that has none", async () => {
    await db.put("people", { jid: BOB, name: "", subscription: "both", listed: true, card: { phone: "010-9" } });
    const card = async (ways: string) => {
      await profiles().event(BOB, event(NS.vcard4Node, `<vcard xmlns='${NS.vcard4}'><fn><text>Bob</text></fn>${ways}</vcard>`));
      const p = await db.get("people", BOB);
      return [p?.told?.phone, p?.told?.email, p?.card?.phone];
    };
    expect(await card("<tel><text>02-2</text></tel><email><text>bob@x.kr</text></email>")).toEqual(["02-2", "bob@x.kr", "010-9"]);
    expect(await card("")).toEqual(["02-2", "bob@x.kr", "010-9"]);
    expect(await card("<tel><uri>tel:+82-2-3;ext=4</uri></tel><email><text/></email>")).toEqual(["+82-2-3", undefined, "010-9"]);
    expect(await card("<tel><text/></tel><email><text/></email>")).toEqual([undefined, undefined, "010-9"]);
  });
  it("tells friends alone how else to reach us, beside what another client wrote", async () => {
    answers[NS.vcard4Node] = `<pubsub xmlns='${NS.pubsub}'><items node='${NS.vcard4Node}'><item id='current'><vcard xmlns='${NS.vcard4}'><tel><text>02-1</text></tel><tel><text>02-2</text></tel></vcard></item></items></pubsub>`;
    await profiles().save("Alice", "", undefined, { phone: "010-7", email: "" });
    expect(sets().filter((x) => x.includes("010-7"))).toEqual([expect.stringMatching(/vcard4.*<tel><text>010-7<\/text><\/tel><email><text><\/text><\/email><tel><text>02-2<\/text><\/tel><\/vcard>.*pubsub#access_model'><value>presence<\//)]);
    expect((await db.get("people", ME))?.told).toMatchObject({ phone: "010-7" });
  });
  it("what another client wrote into our cards stays when the app saves", async () => {
    answers.vCard = "<vCard xmlns='vcard-temp'><FN>Old</FN><TEL><NUMBER>02-2</NUMBER></TEL></vCard>";
    answers[NS.vcard4Node] = `<pubsub xmlns='${NS.pubsub}'><items node='${NS.vcard4Node}'><item id='current'><vcard xmlns='${NS.vcard4}'><fn><text>Old</text></fn><tel><uri>tel:02-2</uri></tel></vcard></item></items></pubsub>`;
    await profiles().save("New", "words", undefined);
    expect(sets().filter((x) => x.includes("02-2") && x.includes("New") && !x.includes("Old")).length).toBe(2);
    answers.vCard = null;
    asked = [];
    await expect(profiles().save("Newer", "", undefined)).rejects.toThrow("lost");
    expect(sets()).toEqual([]);
  });
  it("is a picture only if its bytes are one, and not too many", () => {
    expect([pictureUri(PNG), pictureUri(btoa("<svg/>")), pictureUri(undefined), pictureUri(`iVBOR${"A".repeat(2 * PICTURE_CHARS_MAX)}`)])
      .toEqual([`data:image/png;base64,${PNG}`, undefined, undefined, undefined]);
  });
});

describe("an invitation", () => {
  it.each([
    ["minji", "minji@town.example", undefined], ["50%25@town.example", "50%25@town.example", undefined], ["xmpp:50%25@town.example", "50%@town.example", undefined], [" Minji@Other.example ", "minji@other.example", undefined], ["xmpp:minji@other.example", "minji@other.example", undefined],
    ["xmpp:minji@town.example?roster;preauth=a-b_2;ibr=y", "minji@town.example", "a-b_2"],
    ["https://town.example/invite.html#minji@town.example?roster;preauth=ab2;ibr=y", "minji@town.example", "ab2"],
    ["https://town.example/#/friends/minji%40town.example/add/ab2", "minji@town.example", "ab2"], ["https://town.example/#/friends/minji%40town.example/add", "minji@town.example", undefined],
  ])("is read from %s", (text, jid, token) => expect(invitationOf(text, "town.example")).toEqual(token ? { jid, token } : { jid }));
  it.each(["", "a b", "https://town.example/", "https://town.example/#/chats/minji%40town.example", "tel:010-1", "<b>@x"])("is not read from %s", (text) => {
    expect(invitationOf(text, "town.example")).toBeNull();
  });
});

describe("devices", () => {
  it("come with this one first, then those that are open, then by when they were seen", async () => {
    answers.devices = `<devices xmlns='${NS.devices}'><device id='0000000000000001' seen='2026-11-01T00:00:00Z' expires='2026-12-01T00:00:00Z'><software>S</software><name>N</name></device>
      <device id='0000000000000002' seen='2026-11-02T00:00:00Z'/><device><session resource='x'/></device><device id='0000000000000003' this='true'><session resource='a.0'/></device></devices>`;
    const all = await devices(ask);
    expect(all.map((d) => [d.id, d.mine, d.sessions])).toEqual([["0000000000000003", true, ["a.0"]], [undefined, false, ["x"]], ["0000000000000002", false, []], ["0000000000000001", false, []]]);
    expect(all[3]).toMatchObject({ software: "S", name: "N", seen: Date.UTC(2026, 10, 1) });
    for (const d of all.slice(1, 3)) await logOut(ask, whichOf(d)!);
    await logOut(ask, { others: true });
    expect(sets()).toEqual(["resource='x'", "id='0000000000000002'", "others='true'"].map((a) => `<end xmlns='${NS.devices}' ${a}/>`));
  });
  it("are an error when they are not told, never none", async () => {
    answers.devices = "";
    await expect(devices(ask)).rejects.toThrow();
  });
  it("do not come back by themselves when they are logged out, though the page knows the password", async () => {
    const server = new FakeServer(ME), ends: End[] = [], token = { mechanism: "HT-SHA-256-NONE", token: "t", expires: 0, count: 0 };
    const engine = new Engine(db, { jid: ME, name: "alice", domain: "town.example", agentId: "agent", token }, { domain: "town.example", websockets: ["ws://one/"] },
      { changed() {}, live() {}, arrived() {}, pushDue() {}, ended: (e) => ends.push(e) }, "password", server.connect);
    engine.start();
    await vi.waitFor(() => expect(engine.live.now.line).toBe("online"), 10000);
    const logIns = () => server.heard.filter((h) => h.name === "authenticate").length;
    server.say(el(NS.streams, "error", {}, el(NS.streamErrors, "not-authorized")));
    await vi.waitFor(() => expect(ends).toEqual([{ why: "out" }]), 10000);
    engine.hurry();
    expect([engine.live.now.line, logIns()]).toEqual(["ended", 1]);
    engine.stop();
  });
});
