// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterEach, describe, expect, it, vi } from "vitest";
import { Client } from "../src/wire/client";
import { addressOf, bare, resourceOf } from "../src/wire/jid";
import { Counted } from "../src/wire/sm";
import { Scram } from "../src/wire/scram";
import { Sites } from "../src/wire/sites";
import { parseStamp } from "../src/wire/time";
import { el, parse, XmlError } from "../src/wire/xml";
import { FakeServer } from "./fake_server";

describe("xml", () => {
  it("writes what it reads", () => {
    const e = el("jabber:client", "message", { to: `a'b"<&>` }, el("jabber:client", "body", {}, "안녕 <b>&\r\n 👋"), el("urn:x", "y", { z: "1\n2" }));
    expect(parse(e.toString())).toEqual(e);
  });
  it("knows prefixes, defaults, CDATA and references", () => {
    const e = parse(`<s:features xmlns:s='http://s' xmlns='d'><a>&lt;&#x1F44B;<![CDATA[<&]]></a><s:b/></s:features>`);
    expect([e.ns, e.name, e.elements[0].ns, e.elements[0].text, e.elements[1].ns]).toEqual(["http://s", "features", "d", "<👋<&", "http://s"]);
  });
  it.each(["<a>", "<a></b>", "<a/><b/>", "text", "<a>&nbsp;</a>", "<p:a/>", "<!DOCTYPE a><a/>", "<a x='<'/>", "<a x=1/>", "", "<a>".repeat(80) + "</a>".repeat(80)])("refuses %s", (xml) => {
    expect(() => parse(xml)).toThrow(XmlError);
  });
  it("reads names in any script, and as deep as a server lets through in an archive", () => {
    const e = parse(`<message xmlns='jabber:client'><쪽지 xmlns='urn:x' 이름='값'/><ü:é xmlns:ü='urn:y'/></message>`);
    expect(e.elements.map((c) => [c.ns, c.name, c.attr("이름")])).toEqual([["urn:x", "쪽지", "값"], ["urn:y", "é", undefined]]);
    expect(() => parse("<a>".repeat(68) + "</a>".repeat(68))).not.toThrow();
  });
  it("drops what XML cannot carry", () => expect(el("n", "a", {}, "a\u0000\u0008b\ud800").toString()).toBe("<a xmlns='n'>ab\ufffd</a>"));
});

describe("addresses", () => {
  it("takes names and addresses apart", () => {
    expect([bare("a@b/c/d"), resourceOf("a@b/c/d"), resourceOf("a@b")]).toEqual(["a@b", "c/d", ""]);
  });
  it.each([["Minji", "minji@x.kr"], [" junho@y.kr ", "junho@y.kr"], ["xmpp:a@b?message", "a@b"], ["a b", null], ["<a>", null], ["", null]])("%s is %s", (typed, jid) => expect(addressOf(typed, "x.kr")).toBe(jid));
});

describe("XEP-0198 counting", () => {
  const stanza = el("n", "a");
  it("acknowledges in order, each once", () => {
    const c = new Counted(), done: string[] = [];
    c.start({ id: "x", maxMs: 1000 });
    for (const n of ["1", "2", "3"]) c.sent({ e: stanza, done: (kept) => done.push(n + kept) });
    expect([c.ack(2), c.ack(2), done, c.waiting]).toEqual([true, true, ["1true", "2true"], 1]);
    c.forget();
    c.forget();
    expect(done).toEqual(["1true", "2true", "3false"]);
  });
  it("refuses a count of what was never sent, and bears an old one", () => {
    const c = new Counted();
    c.start({ id: "x", maxMs: 1000 });
    c.sent({ e: stanza });
    expect([c.ack(5), c.ack(1), c.ack(0)]).toEqual([false, true, true]);
  });
  it("can be resumed for as long as the server said", () => {
    const c = new Counted();
    c.start({ id: "x", maxMs: 1000 });
    c.lineLost(5000);
    expect([c.canResume(5999), c.canResume(6000)]).toEqual([true, false]);
  });
});

describe("time", () => {
  it("keeps microseconds apart", () => {
    expect(parseStamp("2026-11-26T15:00:00.123457Z")).toBeGreaterThan(parseStamp("2026-11-26T15:00:00.123456Z"));
    expect([parseStamp("2026-11-26T15:00:00Z") % 1, Number.isNaN(parseStamp(undefined)), Number.isNaN(parseStamp("soon"))]).toEqual([0, true, true]);
  });
});

describe("sites", () => {
  it("takes the next one after a failure, and the one that worked first", () => {
    const s = new Sites(["a", "b", "c"], "b");
    expect(s.current).toBe("b");
    s.failed("b");
    expect(s.current).toBe("a");
    s.prefer("c");
    expect(s.all).toEqual(["c", "a", "b"]);
    s.learn(["d", "a"]);
    expect(s.all).toEqual(["a", "d"]);
  });
});

describe("a line", () => {
  let client: Client;
  const LONG = { timeout: 15000 };
  afterEach(() => {
    client.stop();
    vi.restoreAllMocks();
  });

  /** A client that is in, and what becomes of its line. */
  async function comeIn(server: FakeServer, sites = ["ws://one/", "ws://two/"]): Promise<string[]> {
    const lines: string[] = [], nothing = () => undefined;
    client = new Client("town.example", new Sites(sites), { name: "alice", agentId: "a", token: { mechanism: "HT-SHA-256-NONE", token: "t", expires: 0, count: 0 } },
      { online: nothing, line: (l) => void lines.push(l), stanza: async () => undefined, token: nothing, ended: nothing }, server.connect, { openMs: 1000, countMs: 20, answerMs: 200, firstRetryMs: 1 });
    client.start();
    await vi.waitFor(() => expect(client.online).toBe(true), LONG);
    return lines;
  }

  /** Says something that the server will not count. */
  async function say(server: FakeServer): Promise<string[]> {
    const lines = await comeIn(server);
    server.acks = false;
    client.send(el("jabber:client", "message", { to: "bob@town.example" }, el("jabber:client", "body", {}, "hello")), () => undefined);
    return lines;
  }
  const pings = (server: FakeServer) => server.heard.filter((h) => h.name === "iq" && h.elements[0]?.ns === "urn:xmpp:ping").length;

  it("on which nothing is counted is kept when a ping is answered: a site that has lost its primary makes nothing durable for seconds", async () => {
    const server = new FakeServer(), lines = await say(server);
    await vi.waitFor(() => expect(pings(server)).toBe(1), LONG);
    await new Promise((r) => setTimeout(r, 500));
    expect(lines).toEqual(["connecting", "online"]);
  }, 40000);
  it("on which nothing is counted is given up for another site when that is not answered either", async () => {
    const server = new FakeServer(), lines = await say(server);
    server.deaf = true;
    await vi.waitFor(() => expect(lines).toContain("offline"), LONG);
    server.deaf = false;
    await vi.waitFor(() => expect(client.online).toBe(true), LONG);
    expect([lines.slice(0, 3), lines.at(-1)]).toEqual([["connecting", "online", "offline"], "online"]);
  }, 40000);
  it.each([[["ws://one/", "ws://two/"], 3530], [["ws://one/"], 3500.75]])("that is lost is sought again within the time that the site advised, and at once when the person looks: %s", async (sites, ms) => {
    const server = new FakeServer();
    server.spread = 7;
    const lines = await comeIn(server, sites);
    await client.ask("get", el("urn:xmpp:ping", "ping")); // the advice came before the answer
    const waits = vi.spyOn(globalThis, "setTimeout");
    vi.spyOn(Math, "random").mockReturnValue(0.5);
    server.cut();
    await vi.waitFor(() => expect(lines.at(-1)).toBe("offline"), LONG);
    expect(waits.mock.calls.map(([, wait]) => wait)).toContain(ms);
    client.hurry();
    await vi.waitFor(() => expect(client.online).toBe(true), LONG);
  });
});

describe("SCRAM-SHA-256", () => {
  it("refuses a challenge that does not hold our nonce, or asks for endless work", async () => {
    const s = new Scram("user", "pencil"), nonce = atob(s.first()).split("r=")[1];
    expect(await s.final(btoa("r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"))).toBeNull();
    expect(await s.final(btoa(`r=${nonce}x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999`))).toBeNull();
    expect(await s.final(btoa(`r=${nonce}x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`))).toMatch(/^[\w+/=]+$/);
    expect(s.isServer(btoa("v=AAAA"))).toBe(false);
  });
});
