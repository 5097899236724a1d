// What we send, as stanzas. SPDX-License-Identifier: AGPL-3.0-or-later
import type { Attachment, Message } from "../store/types";
import { NS } from "../wire/ns";
import { El, el } from "../wire/xml";

export interface To { jid: string; room: boolean }

const head = (to: To, id: string) => ({ to: to.jid, type: to.room ? "groupchat" : "chat", id });
const store = () => el(NS.hints, "store");
const origin = (id: string) => el(NS.sid, "origin-id", { id });
const body = (text: string) => el(NS.client, "body", {}, text);

/** What replies, reactions and the like call a message by (XEP-0461 §3.1, XEP-0444 §3.2): in a room the room's name for it. */
export const refOf = (m: Message, room: boolean): string => (room ? (m.sid ?? m.id) : m.id);

function fileElements(f: Attachment): El[] {
  if (!f.url) return [];
  const text = (name: string, value: string | number | undefined) => (value === undefined ? undefined : el(NS.file, name, {}, String(value)));
  return [
    el(NS.sfs, "file-sharing", { disposition: f.type.startsWith("image/") || f.type.startsWith("video/") ? "inline" : "attachment" },
      el(NS.file, "file", {}, text("media-type", f.type), text("name", f.name), text("desc", f.desc), text("size", f.size), text("width", f.width), text("height", f.height),
        text("length", f.seconds === undefined ? undefined : Math.round(f.seconds * 1000)), f.thumb ? el(NS.thumbs, "thumbnail", { uri: f.thumb, "media-type": f.thumb.slice(5, f.thumb.indexOf(";")) }) : undefined),
      el(NS.sfs, "sources", {}, el(NS.urlData, "url-data", { target: f.url }))),
    el(NS.fallback, "fallback", { for: NS.sfs }, el(NS.fallback, "body")),
    el(NS.oob, "x", {}, el(NS.oob, "url", {}, f.url)),
    ...(f.sticker ? [el(NS.stickers, "sticker", { pack: f.pack })] : []),
  ];
}

function replyElements(m: Message, to: To): { quote: string; parts: El[] } {
  if (!m.reply) return { quote: "", parts: [] };
  const quote = m.reply.text.split("\n").map((l) => `> ${l}\n`).join("");
  const author = to.room ? `${to.jid}/${m.reply.from}` : m.reply.from;
  return { quote, parts: [el(NS.reply, "reply", { to: author, id: m.reply.id }),
    el(NS.fallback, "fallback", { for: NS.reply }, el(NS.fallback, "body", { start: "0", end: String([...quote].length) }))] };
}

export function message(m: Message, to: To, mentions: { begin: number; end: number; jid: string }[] = []): El {
  const { quote, parts } = replyElements(m, to);
  return el(NS.client, "message", head(to, m.id), body(m.file?.url ? m.file.url : quote + m.body), origin(m.id),
    to.room ? undefined : el(NS.receipts, "request"), el(NS.markers, "markable"), el(NS.chatStates, "active"), ...parts,
    ...(m.file ? fileElements(m.file) : []),
    ...mentions.map((r) => el(NS.references, "reference", { type: "mention", begin: String(r.begin), end: String(r.end), uri: `xmpp:${r.jid}` })));
}

export function edit(id: string, of: Message, text: string, to: To): El {
  return el(NS.client, "message", head(to, id), body(text), el(NS.correct, "replace", { id: of.id }), origin(id), store());
}

export function retract(id: string, of: Message, to: To, note: string): El {
  return el(NS.client, "message", head(to, id), el(NS.retract, "retract", { id: refOf(of, to.room) }), body(note),
    el(NS.fallback, "fallback", { for: NS.retract }), origin(id), store());
}

export function react(id: string, to: Message, where: To, emoji: string[]): El {
  return el(NS.client, "message", head(where, id), el(NS.reactions, "reactions", { id: refOf(to, where.room) },
    ...emoji.map((e) => el(NS.reactions, "reaction", {}, e))), origin(id), store());
}

export function displayed(id: string, last: Message, to: To): El {
  return el(NS.client, "message", head(to, id), el(NS.markers, "displayed", { id: refOf(last, to.room) }), origin(id), store());
}

export const received = (id: string, of: string, to: string): El =>
  el(NS.client, "message", { to, type: "chat", id }, el(NS.receipts, "received", { id: of }), origin(id), store());

export const typing = (to: To, on: boolean): El =>
  el(NS.client, "message", { to: to.jid, type: to.room ? "groupchat" : "chat" }, el(NS.chatStates, on ? "composing" : "paused"), el(NS.hints, "no-store"));

/** By the room, which makes a member of whom its members may ask in (XEP-0045 §7.8.2). */
export const inviteBy = (room: string, jid: string): El =>
  el(NS.client, "message", { to: room, id: crypto.randomUUID() }, el(NS.mucUser, "x", {}, el(NS.mucUser, "invite", { to: jid })));

export const invite = (to: string, room: string, password?: string): El =>
  el(NS.client, "message", { to, id: crypto.randomUUID() }, el(NS.conference, "x", { jid: room, password }), store());
