// One conversation: its head, its history, and the place to write. SPDX-License-Identifier: AGPL-3.0-or-later
import { useEffect, useMemo, useState } from "preact/hooks";
import { t } from "../i18n";
import type { MessageWindow } from "../model/window";
import type { Message } from "../store/types";
import { newChat } from "../store/messages";
import { Composer } from "./composer";
import { Hills, Icon } from "./icons";
import { Messages } from "./messages";
import { Face, IconButton } from "./parts";
import { go, link, nameInChat, nameOf, session } from "./state";
import { StatusLine } from "./status";

export interface Doing { reply?: Message; edit?: Message }

function Head({ jid }: { jid: string }) {
  const s = session.value, live = s?.live.value, room = s?.isRoom(jid), here = live?.presence[jid], typing = live?.typing[jid] ?? [], c = s?.chat(jid) ?? newChat(jid, "person");
  const people = live?.rooms[jid]?.occupants.length ?? 0;
  const state = typing.length > 1 ? t("chat.typing.many") : typing.length ? t("chat.typing", { name: nameInChat(c, typing[0]) }) : room ? (people ? t("room.members", { n: people }) : "") : here ? t(`person.${here}`) : "";
  return (
    <header class="bar chat-head">
      <a class="icon-button only-narrow" href={link("chats")} aria-label={t("chat.back")}><Icon name="back" /></a>
      <Face jid={jid} />
      <div class="who"><h1 dir="auto">{nameOf(jid)}</h1><small aria-live="off">{state}</small></div>
      <IconButton icon="info" label={t("chat.more")} onClick={() => go("chats", jid, "info")} />
    </header>
  );
}

function Notice({ jid }: { jid: string }) {
  const s = session.value, p = s?.people.value?.get(jid), room = s?.live.value.rooms[jid], c = s?.chat(jid);
  if (p?.blocked) return <p class="notice">{t("chat.blockedNotice")} <button type="button" class="plain" onClick={() => void s?.do("block", jid, false)}>{t("person.unblock")}</button></p>;
  if (c?.kind === "room" && c.room && !c.room.joined) return <p class="notice">{t("chat.roomGone")}</p>;
  if (room?.error) return <p class="notice">{t("room.error", { why: room.error })}</p>;
  if (p?.request) return <p class="notice">{t("friends.wants", { name: nameOf(jid) })} <button type="button" class="primary" onClick={() => void s?.do("answerFriend", jid, true)}>{t("friends.accept")}</button></p>;
  return null;
}

export function Conversation({ jid }: { jid: string }) {
  const s = session.value, [doing, setDoing] = useState<Doing>({});
  const w: MessageWindow | null = useMemo(() => s?.window(jid) ?? null, [s, jid]);
  useEffect(() => () => { if (w) s?.forget(w); }, [w]);
  if (!s || !w) return null;
  return (
    <section class="conversation" data-chat={jid} aria-label={t("chat.list", { name: nameOf(jid) })}>
      <Head jid={jid} />
      <div class="only-narrow"><StatusLine /></div>
      <Notice jid={jid} />
      <Messages w={w} onReply={(reply) => setDoing({ reply })} onEdit={(edit) => setDoing({ edit })} />
      <Composer jid={jid} doing={doing} onDone={() => setDoing({})} lastMine={() => w.rows.value?.findLast((m) => m.mine && !m.retracted && !m.file && m.state !== "failed")} onEdit={(edit) => setDoing({ edit })} />
    </section>
  );
}

export function NoChat() {
  return <div class="empty big"><Hills /><h2>{t("chat.empty")}</h2><p>{t("chat.empty.hint")}</p></div>;
}
