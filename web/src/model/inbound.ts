// From a message stanza to what it means: pure, so that the archive, carbons and the live stream are read by the same code.
// SPDX-License-Identifier: AGPL-3.0-or-later
import { keyOf, noteKey, targetOf } from "../store/messages";
import type { Attachment, Message, Note } from "../store/types";
import { bare, resourceOf } from "../wire/jid";
import { NS } from "../wire/ns";
import { parseStamp } from "../wire/time";
import type { El } from "../wire/xml";
import { calls } from "./mentions";

export interface Me {
  jid: string; // bare
  nickIn(room: string): string | undefined; // rooms that we are in
}

export interface Sight {
  at?: number; // from the archive: its stamp
  sid?: string;
  now: number; // the server's clock, as near as we know
}

export type Piece =
  | { kind: "message"; room: boolean; stamped: boolean; m: Message; receipt: boolean }
  | { kind: "note"; chat: string; note: Note }
  | { kind: "displayed"; chat: string; who: string; mine: boolean; id: string; at: number }
  | { kind: "received"; chat: string; id: string }
  | { kind: "typing"; chat: string; who: string; on: boolean }
  | { kind: "subject"; chat: string; subject: string }
  | { kind: "invited"; room: string; by: string; password?: string }
  | { kind: "failed"; chat: string; id: string; condition: string }
  | { kind: "moderated"; chat: string };

interface Head { e: El; chat: string; from: string; mine: boolean; room: boolean; at: number; stamped: boolean; sid?: string; id: string }

function stampOf(e: El): number | undefined {
  const stamp = e.child(NS.delay, "delay")?.attr("stamp"), at = parseStamp(stamp);
  return Number.isFinite(at) ? at : undefined;
}

function headOf(e: El, me: Me, sight: Sight): Head | null {
  const from = e.attr("from") ?? me.jid, room = e.attr("type") === "groupchat" || me.nickIn(bare(from)) !== undefined;
  const mineInRoom = room && resourceOf(from) !== "" && resourceOf(from) === me.nickIn(bare(from));
  const mine = room ? mineInRoom : bare(from) === me.jid;
  const chat = room || !mine ? bare(from) : bare(e.attr("to") ?? me.jid);
  const stamp = sight.at ?? stampOf(e);
  const sid = sight.sid ?? e.all(NS.sid, "stanza-id").find((s) => s.attr("by") === (room ? chat : me.jid))?.attr("id");
  const id = e.child(NS.sid, "origin-id")?.attr("id") ?? e.attr("id") ?? sid ?? "";
  if (!chat) return null;
  return { e, chat, from: room ? resourceOf(from) || chat : bare(from), mine, room, at: stamp ?? sight.now, stamped: stamp !== undefined, sid, id };
}

// ---- what a body holds ----

/** Without the parts that are only there for clients that do not know better (XEP-0428). */
function bodyOf(e: El): string {
  const points = [...(e.textOf(NS.client, "body") ?? "")];
  const cut = e.all(NS.fallback, "fallback")
    .filter((f) => ([NS.reply, NS.sfs, NS.reactions, NS.retract] as string[]).includes(f.attr("for") ?? ""))
    .map((f) => f.child(NS.fallback, "body"))
    .filter((b): b is El => b !== undefined)
    .map((b) => [Number(b.attr("start") ?? 0), Number(b.attr("end") ?? points.length)] as const)
    .sort((a, b) => b[0] - a[0]);
  for (const [start, end] of cut) points.splice(start, Math.max(0, end - start));
  return points.join("");
}

function quoteOf(e: El): string {
  return [...(e.textOf(NS.client, "body") ?? "")].join("").split("\n").filter((l) => l.startsWith("> ")).map((l) => l.slice(2)).join("\n").slice(0, 200);
}

const number = (s: string | undefined): number | undefined => (s !== undefined && /^\d+$/.test(s) ? Number(s) : undefined);

/** An address of a file that may be followed: no scripts, no local files. */
export const safeUrl = (url: string | undefined): string | undefined => (url && /^https?:\/\//i.test(url) ? url : undefined);

function fileOf(e: El, body: string): Attachment | undefined {
  const shared = e.child(NS.sfs, "file-sharing"), meta = shared?.child(NS.file, "file"), sticker = e.child(NS.stickers, "sticker");
  const url = safeUrl(shared?.child(NS.sfs, "sources")?.child(NS.urlData, "url-data")?.attr("target") ?? e.child(NS.oob, "x")?.textOf(NS.oob, "url"));
  if (!url) return undefined;
  const thumb = meta?.child(NS.thumbs, "thumbnail")?.attr("uri"), length = number(meta?.textOf(NS.file, "length"));
  if (!meta && body.trim() !== url) return undefined; // a link that somebody wrote about
  const name = meta?.textOf(NS.file, "name") ?? decoded(url.split("/").pop()?.split("?")[0] ?? "");
  return {
    url, name: name.slice(0, 200), type: meta?.textOf(NS.file, "media-type") ?? typeByName(name), size: number(meta?.textOf(NS.file, "size")) ?? 0,
    width: number(meta?.textOf(NS.file, "width")), height: number(meta?.textOf(NS.file, "height")),
    thumb: thumb && /^data:image\/(jpeg|png|webp);base64,[A-Za-z0-9+/=]+$/.test(thumb) ? thumb : undefined,
    seconds: length === undefined ? undefined : length / 1000, sticker: sticker !== undefined || undefined, pack: sticker?.attr("pack")?.slice(0, 100), desc: sticker && meta?.textOf(NS.file, "desc")?.slice(0, 100),
  };
}

/** Percents that mean nothing stay as they are. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

const TYPES = new Map(Object.entries({ jpg: "image/jpeg", jpeg: "image/jpeg", png: "image/png", gif: "image/gif", webp: "image/webp",
  mp4: "video/mp4", webm: "video/webm", ogg: "audio/ogg", mp3: "audio/mpeg", m4a: "audio/mp4", pdf: "application/pdf" }));
const typeByName = (name: string): string => TYPES.get(name.split(".").pop()?.toLowerCase() ?? "") ?? "application/octet-stream";

function mentionsMe(e: El, me: Me, h: Head, body: string): boolean {
  if (h.mine) return false;
  const nick = h.room ? me.nickIn(h.chat) : undefined;
  return (nick !== undefined && calls(body, [nick]).length > 0)
    || e.all(NS.references, "reference").some((r) => r.attr("type") === "mention" && bare((r.attr("uri") ?? "").replace(/^xmpp:/, "")) === me.jid);
}

function messageOf(h: Head, me: Me): Piece | null {
  const { e } = h, reply = e.child(NS.reply, "reply");
  let body = bodyOf(e);
  const file = fileOf(e, body);
  if (file && (file.sticker || body.trim() === file.url || e.child(NS.oob, "x")?.textOf(NS.oob, "url") === body.trim())) body = "";
  if ((!body && !file) || !h.id) return null;
  return {
    kind: "message", room: h.room, stamped: h.stamped, receipt: !h.room && !h.mine && e.child(NS.receipts, "request") !== undefined,
    m: {
      key: keyOf(h.chat, h.mine ? "me" : h.from, h.id), chat: h.chat, id: h.id, sid: h.sid, from: h.from, mine: h.mine, at: h.at, body, file,
      state: h.mine ? "sent" : undefined, mentions: mentionsMe(e, me, h, body) || undefined,
      reply: reply?.attr("id") ? { id: reply.attr("id") as string, from: replyFrom(reply.attr("to") ?? "", h.room), text: quoteOf(e) } : undefined,
    },
  };
}

const replyFrom = (to: string, room: boolean): string => (room ? resourceOf(to) : bare(to));

// ---- what is no message of its own ----

function noteOf(h: Head): Piece | null {
  const { e } = h;
  const note = (kind: Note["kind"], id: string | undefined, more: Partial<Note>, from = h.from): Piece | null =>
    id ? { kind: "note", chat: h.chat, note: { key: noteKey(targetOf(h.chat, id), kind, from), target: targetOf(h.chat, id), kind, from, at: h.at, ...more } } : null;
  const reactions = e.child(NS.reactions, "reactions"), edit = e.child(NS.correct, "replace"), retract = e.child(NS.retract, "retract");
  if (reactions) return note("react", reactions.attr("id"), { emoji: reactions.all(NS.reactions, "reaction").map((r) => r.text.slice(0, 16)).slice(0, 8) });
  if (edit) return note("edit", edit.attr("id"), { body: bodyOf(e) });
  if (retract) return note("retract", retract.attr("id"), {}, retract.child(NS.moderate, "moderated") ? h.chat : h.from);
  return null;
}

function markOf(h: Head): Piece | null {
  const displayed = h.e.child(NS.markers, "displayed")?.attr("id"), received = h.e.child(NS.receipts, "received")?.attr("id");
  if (displayed) return { kind: "displayed", chat: h.chat, who: h.from, mine: h.mine, id: displayed, at: h.at };
  return received && !h.mine ? { kind: "received", chat: h.chat, id: received } : null;
}

function invitationOf(e: El): Piece | null {
  const from = e.attr("from") ?? "", direct = e.child(NS.conference, "x"), mediated = e.child(NS.mucUser, "x")?.child(NS.mucUser, "invite");
  if (direct?.attr("jid")) return { kind: "invited", room: bare(direct.attr("jid") as string), by: bare(from), password: direct.attr("password") };
  if (!mediated) return null;
  return { kind: "invited", room: bare(from), by: bare(mediated.attr("from") ?? ""), password: e.child(NS.mucUser, "x")?.textOf(NS.mucUser, "password") };
}

function errorOf(e: El, me: Me): Piece | null {
  const condition = e.child(NS.client, "error")?.elements.find((c) => c.ns === NS.stanzas && c.name !== "text")?.name;
  const id = e.child(NS.sid, "origin-id")?.attr("id") ?? e.attr("id");
  return id ? { kind: "failed", chat: bare(e.attr("from") ?? me.jid), id, condition: condition ?? "undefined-condition" } : null;
}

/** All that one message says. */
export function read(e: El, me: Me, sight: Sight): Piece[] {
  if (e.attr("type") === "error") return [errorOf(e, me)].filter((p): p is Piece => p !== null);
  const invited = invitationOf(e);
  if (invited) return [invited];
  const h = headOf(e, me, sight);
  if (!h) return [];
  const subject = e.textOf(NS.client, "subject"), out: (Piece | null)[] = [];
  if (h.room && subject !== undefined && !e.child(NS.client, "body")) out.push({ kind: "subject", chat: h.chat, subject });
  const state = e.elements.find((c) => c.ns === NS.chatStates)?.name;
  if (state && !h.mine && !h.stamped) out.push({ kind: "typing", chat: h.chat, who: h.from, on: state === "composing" });
  const note = noteOf(h);
  out.push(note ?? markOf(h) ?? messageOf(h, me));
  return out.filter((p): p is Piece => p !== null);
}
