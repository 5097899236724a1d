// One message. SPDX-License-Identifier: AGPL-3.0-or-later
import { useRef } from "preact/hooks";
import { t, time } from "../i18n";
import type { Chat, Message } from "../store/types";
import { FileView } from "./file";
import { Icon } from "./icons";
import { Face, IconButton } from "./parts";
import { goToReply, toggleReaction } from "./actions";
import { nameOf, session } from "./state";
import { isEmojiOnly, linked } from "./text";

/** How many have not read it: counts down to nothing (1:1: one). */
export function unreadBy(m: Message, chat: Chat | undefined, nicks: string[]): number {
  if (!chat || m.notice || m.state === "waiting" || m.state === "failed") return 0;
  const read = (who: string) => (chat.theirs?.[who] ?? 0) >= m.at;
  if (chat.kind === "person") return m.mine && !read(chat.jid) ? 1 : 0;
  return nicks.filter((n) => n !== chat.room?.nick && n !== m.from && !read(n)).length;
}

function Mark({ m, unread }: { m: Message; unread: number }) {
  if (m.state === "waiting") return <span class="mark waiting"><Icon name="clock" /><span class="sr">{t("chat.waiting")}</span></span>;
  if (m.state === "failed") return <span class="mark failed"><Icon name="alert" />{t("chat.failed")}</span>;
  if (unread) return <span class="mark unread-by"><span aria-hidden="true">{unread}</span><span class="sr">{t("chat.unreadBy", { n: unread })}</span></span>;
  return m.mine ? <span class="sr">{t("chat.readBy")}</span> : null;
}

function Reactions({ m }: { m: Message }) {
  const counts = new Map<string, number>(), mine = new Set(m.reactions?.[session.value?.nickIn(m.chat) ?? ""] ?? []);
  for (const list of Object.values(m.reactions ?? {})) for (const e of list) counts.set(e, (counts.get(e) ?? 0) + 1);
  if (!counts.size) return null;
  return <span class="reactions">{[...counts].map(([e, n]) => (
    <button type="button" key={e} aria-pressed={mine.has(e)} aria-label={t("chat.reacted", { emoji: e, n })} onClick={() => void toggleReaction(m, e)}>{e}{n > 1 && <small>{n}</small>}</button>))}</span>;
}

function Body({ m, nick }: { m: Message; nick?: string }) {
  if (m.retracted) return <p class="gone">{t("chat.retracted")}</p>;
  return <>
    {m.reply && <button type="button" class="quote" onClick={() => void goToReply(m)}><strong dir="auto">{nameOfAuthor(m, m.reply.from)}</strong><span dir="auto">{m.reply.text || t("chat.replyGone")}</span></button>}
    {m.file && <FileView m={m} />}
    {m.body && <p class={`body ${isEmojiOnly(m.body) && !m.reply ? "emoji-only" : ""}`} dir="auto">{linked(m.body, nick)}</p>}
  </>;
}

const nameOfAuthor = (m: Message, from: string): string => (from.includes("@") ? (from === session.value?.me ? t("chat.me") : nameOf(from)) : from || nameOf(m.chat));

export function Bubble(p: { m: Message; chat: Chat | undefined; joined: boolean; closes: boolean; active: boolean; onFocus(): void; onMenu(): void }) {
  const { m, chat } = p, press = useRef<ReturnType<typeof setTimeout> | undefined>(undefined), room = chat?.kind === "room";
  const occupants = room ? (session.value?.live.value.rooms[m.chat]?.occupants ?? []) : [];
  const unread = unreadBy(m, chat, occupants.map((o) => o.nick)), author = room && !m.mine ? occupants.find((o) => o.nick === m.from)?.jid : undefined;
  const sticker = (m.file?.sticker || (isEmojiOnly(m.body) && !m.reply)) && !m.retracted, picture = m.file?.type.startsWith("image/") && !m.body && !m.retracted;
  const hold = () => { press.current = setTimeout(p.onMenu, 500); }, free = () => clearTimeout(press.current);
  return (
    <li class={`message ${m.mine ? "mine" : "theirs"} ${p.joined ? "joined" : ""}`} data-key={m.key} data-state={m.state ?? "theirs"} tabIndex={p.active ? 0 : -1} onFocus={p.onFocus}
      onContextMenu={(e) => { if (!(e.target as HTMLElement).closest("a")) { e.preventDefault(); free(); p.onMenu(); } }} onTouchStart={hold} onTouchEnd={free} onTouchMove={free}>
      {!m.mine && (p.joined ? <span class="face-room" /> : <Face jid={author ?? (room ? `${m.chat}/${m.from}` : m.chat)} name={room ? m.from : undefined} />)}
      <div class="message-in">
        <span class={`author ${room && !m.mine && !p.joined ? "" : "sr"}`} dir="auto">{m.mine ? t("chat.me") : room ? m.from : nameOf(m.from)}</span>
        <div class="line">
          <div class={`bubble ${sticker ? "bare" : ""} ${picture ? "picture" : ""}`}><Body m={m} nick={chat?.room?.nick} /></div>
          <span class="meta"><Mark m={m} unread={unread} />{m.edited && !m.retracted && <span>{t("chat.edited")}</span>}{p.closes && <time dateTime={new Date(m.at).toISOString()}>{time(m.at)}</time>}</span>
          {!m.retracted && <IconButton icon="more" label={t("chat.menu")} onClick={p.onMenu} class="message-more" />}
        </div>
        {m.state === "failed" && <span class="failed-line"><button type="button" class="plain" onClick={() => void session.value?.retry(m)}>{t("chat.retry")}</button>
          <button type="button" class="plain" onClick={() => void session.value?.discard(m)}>{t("chat.discard")}</button></span>}
        <Reactions m={m} />
      </div>
    </li>
  );
}
