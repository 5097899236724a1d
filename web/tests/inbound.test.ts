// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, it } from "vitest";
import * as compose from "../src/model/compose";
import { read } from "../src/model/inbound";
import { vcards } from "../src/model/vcard";
import type { Message } from "../src/store/types";
import { parse } from "../src/wire/xml";

const ME = { jid: "alice@t", nickIn: (room: string) => (room === "room@t" ? "Alice" : undefined) };
const one = (xml: string) => read(parse(xml, "jabber:client"), ME, { now: 5 });
const mine = (more: Partial<Message> = {}): Message => ({ key: "k", chat: "bob@t", id: "i1", from: "alice@t", mine: true, at: 1, body: "hi", ...more });

describe("what a message says", () => {
  it("reads back what it composes", () => {
    const m = mine({ body: "답장 👋", reply: { id: "r1", from: "bob@t", text: "first\nsecond" } });
    const [p] = read(compose.message(m, { jid: "bob@t", room: false }), ME, { now: 1 });
    expect(p).toMatchObject({ kind: "message", m: { body: "답장 👋", id: "i1", chat: "bob@t", mine: true, reply: { id: "r1", text: "first\nsecond" } } });
  });
  it("reads files that it sends, and thumbnails that are pictures only", () => {
    const file = { name: "산.jpg", type: "image/jpeg", size: 9, url: "https://f/1.jpg", width: 4, height: 3, thumb: "data:image/jpeg;base64,AA==" };
    const [p] = read(compose.message(mine({ body: "", file }), { jid: "bob@t", room: false }), ME, { now: 1 });
    expect(p).toMatchObject({ m: { body: "", file } });
    const [q] = read(compose.message(mine({ body: "", file: { ...file, thumb: "data:image/svg+xml;base64,AA==" } }), { jid: "bob@t", room: false }), ME, { now: 1 });
    expect(q).toMatchObject({ m: { file: { thumb: undefined } } });
  });
  it.each(["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd"])("follows no %s", (url) => {
    const p = one(`<message from='bob@t' type='chat' id='1'><body>${url}</body><x xmlns='jabber:x:oob'><url>${url}</url></x></message>`);
    expect(p).toMatchObject([{ kind: "message", m: { file: undefined } }]);
  });
  it.each([["https://f/%zz.jpg", "%zz.jpg", "image/jpeg"], ["https://f/a.constructor", "a.constructor", "application/octet-stream"]])("reads any address of a file: %s", (url, name, type) => {
    expect(one(`<message from='bob@t' type='chat' id='1'><body>${url}</body><x xmlns='jabber:x:oob'><url>${url}</url></x></message>`)).toMatchObject([{ m: { file: { url, name, type } } }]);
  });
  it("knows one's own words in a room by the nick, and calls others by theirs", () => {
    expect(one(`<message from='room@t/Alice' type='groupchat' id='1'><body>x</body></message>`)).toMatchObject([{ m: { mine: true, chat: "room@t", from: "Alice" } }]);
    expect(one(`<message from='room@t/Bob' type='groupchat' id='1'><body>hi @Alice</body><stanza-id xmlns='urn:xmpp:sid:0' by='room@t' id='s9'/></message>`))
      .toMatchObject([{ room: true, m: { mine: false, from: "Bob", sid: "s9", mentions: true } }]);
  });
  it("is not called by a longer name, nor by an address", () => {
    for (const [body, mentions] of [["@Alice야", true], ["(@Alice)", true], ["@Alicent", undefined], ["me@Alice.example", undefined], ["Alice", undefined]] as const)
      expect(one(`<message from='room@t/Bob' type='groupchat' id='1'><body>${body}</body></message>`)).toMatchObject([{ m: { body, mentions } }]);
  });
  it("reads back a sticker's pack and words, and shows no words beside one", () => {
    const file = { name: "hello.png", type: "image/png", size: 9, url: "https://f/1.png", sticker: true, pack: "bongsu", desc: "👋" };
    expect(read(compose.message(mine({ body: "", file }), { jid: "bob@t", room: false }), ME, { now: 1 })).toMatchObject([{ m: { body: "", file } }]);
    expect(one(`<message from='bob@t' type='chat' id='1'><body>😘</body><sticker xmlns='urn:xmpp:stickers:0' pack='EpRv'/><file-sharing xmlns='urn:xmpp:sfs:0'><file xmlns='urn:xmpp:file:metadata:0'><media-type>image/png</media-type><desc>😘</desc></file>`
      + `<sources><url-data xmlns='http://jabber.org/protocol/url-data' target='https://f/2.png'/></sources></file-sharing></message>`)).toMatchObject([{ m: { body: "", file: { sticker: true, pack: "EpRv", desc: "😘", url: "https://f/2.png" } } }]);
  });
  it("believes a stanza-id of its own server or room only", () => {
    expect(one(`<message from='bob@t' type='chat' id='1'><body>x</body><stanza-id xmlns='urn:xmpp:sid:0' by='evil@t' id='s'/></message>`)).toMatchObject([{ m: { sid: undefined } }]);
  });
  it("hears typing, which has no id", () => expect(one(`<message from='bob@t/x' to='alice@t' type='chat'><paused xmlns='http://jabber.org/protocol/chatstates'/></message>`)).toMatchObject([{ kind: "typing", on: false }]));
  it("tells reactions, edits, retractions, marks, typing and invitations", () => {
    const kinds = [`<reactions xmlns='urn:xmpp:reactions:0' id='m'><reaction>👍</reaction></reactions>`, `<body>y</body><replace xmlns='urn:xmpp:message-correct:0' id='m'/>`,
      `<retract xmlns='urn:xmpp:message-retract:1' id='m'/>`, `<displayed xmlns='urn:xmpp:chat-markers:0' id='m'/>`, `<received xmlns='urn:xmpp:receipts' id='m'/>`,
      `<composing xmlns='http://jabber.org/protocol/chatstates'/>`, `<x xmlns='jabber:x:conference' jid='room2@t'/>`].map((x) => {
      const [p] = one(`<message from='bob@t/x' to='alice@t' type='chat' id='1'>${x}</message>`);
      return p.kind === "note" ? p.note.kind : p.kind;
    });
    expect(kinds).toEqual(["react", "edit", "retract", "displayed", "received", "typing", "invited"]);
  });
});

describe("contacts", () => {
  it("are exported as vCards that fold inside no character", () => {
    const text = vcards([{ jid: "minji@t", name: "김민지; 우리,반 ".repeat(6), subscription: "both", listed: true, told: { phone: "02-2", at: 1 }, card: { phone: "010-1", note: "a\r\nb" } }, { jid: "d\\27artagnan@t", name: "", subscription: "both", listed: true, told: { phone: "010-1", at: 1 }, card: { phone: "010-1" } }]);
    expect(text.split("\r\n").every((l) => new TextEncoder().encode(l).length <= 75)).toBe(true);
    expect(text.replace(/\r\n /g, "")).toContain("FN:김민지\\; 우리\\,반");
    expect(text).toContain("TEL;VALUE=text:010-1\r\nTEL;VALUE=text:02-2\r\nNOTE:a\\nb\r\n");
    expect(text).toContain("FN:d'artagnan\r\nIMPP:xmpp:d%5C27artagnan@t\r\nTEL;VALUE=text:010-1\r\nEND");
  });
});
