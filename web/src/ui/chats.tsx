// The list of chats, and search over it. SPDX-License-Identifier: AGPL-3.0-or-later
import { t, when } from "../i18n";
import type { Chat } from "../store/types";
import { Hills, Icon } from "./icons";
import { Face, Header, IconButton } from "./parts";
import { ask, go, isOnline, lastLine, link, menu, nameInChat, nameOf, route, session, withLine } from "./state";

export function sortedChats(all: Chat[]): Chat[] {
  return all.filter((c) => !c.hidden && (c.lastAt > 0 || c.draft)).sort((a, b) => Number(b.pinned ?? false) - Number(a.pinned ?? false) || b.lastAt - a.lastAt);
}

export function chatMenu(c: Chat): void {
  const s = session.value, name = nameOf(c.jid);
  if (!s) return;
  menu.value = { label: t("chats.menu", { name }), items: [
    { label: t(c.pinned ? "chats.unpin" : "chats.pin"), icon: "pin", act: () => void s.pin(c.jid, !c.pinned) },
    { label: t(c.muted ? "chats.unmute" : "chats.mute"), icon: "mute", act: () => void s.mute(c.jid, !c.muted) },
    { label: t("chats.hide"), icon: "close", act: () => void s.hide(c.jid) },
    ...(c.kind === "room" ? [{ label: t("room.leave"), icon: "close" as const, danger: true, act: async () => {
      if (await ask(t("room.leave.sure"), t("room.leave"), true)) await withLine(s.do("leaveRoom", c.jid));
    } }] : []),
  ] };
}

function Line({ c }: { c: Chat }) {
  const typing = session.value?.live.value.typing[c.jid] ?? [];
  if (typing.length) return <span class="typing">{t("chat.typing", { name: nameInChat(c, typing[0]) })}</span>;
  if (c.draft && route.value.jid !== c.jid) return <><em>{t("chats.draft")}</em> {c.draft}</>;
  return <>{c.last?.mine ? `${t("chats.you")} ` : c.kind === "room" && c.last ? `${nameInChat(c, c.last.from)}: ` : ""}{lastLine(c)}</>;
}

function Row({ c }: { c: Chat }) {
  const name = nameOf(c.jid), current = route.value.jid === c.jid;
  const marks = [c.pinned && t("chats.pinned"), c.muted && t("chats.muted"), c.mentioned && t("chats.mentioned")].filter(Boolean).join(", ");
  return (
    <li class={`row ${current ? "current" : ""}`} onContextMenu={(e) => { e.preventDefault(); chatMenu(c); }}>
      <a href={link("chats", c.jid)} aria-current={current ? "page" : undefined}>
        <Face jid={c.jid} />
        <span class="row-main">
          <span class="row-top"><strong dir="auto">{name}</strong>{c.pinned && <Icon name="pin" />}{c.muted && <Icon name="mute" />}<time>{c.lastAt ? when(c.lastAt) : ""}</time></span>
          <span class="row-line"><span dir="auto"><Line c={c} /></span>
            {c.last?.mine && c.last.state === "waiting" && <Icon name="clock" />}{c.last?.mine && c.last.state === "failed" && <Icon name="alert" />}
            {c.unread > 0 && <b class={`count ${c.muted ? "quiet" : ""}`}><span aria-hidden="true">{c.mentioned ? "@" : ""}{c.unread > 299 ? "300+" : c.unread}</span><span class="sr">{t("chats.unread", { n: c.unread })}</span></b>}
            {marks && <span class="sr">{marks}</span>}</span>
        </span>
      </a>
      <IconButton icon="more" label={t("chats.menu", { name })} onClick={() => chatMenu(c)} class="row-more" />
    </li>
  );
}

export function ChatList() {
  const all = session.value?.chats.value;
  return (
    <section class="pane-in" aria-label={t("chats.title")}>
      <Header title={t("chats.title")}>
        <a class="icon-button" href={link("search")} aria-label={t("chats.search")} title={t("chats.search")}><Icon name="search" /></a>
        <IconButton icon="plus" label={t("chats.new")} onClick={() => { menu.value = { label: t("chats.new"), items: [
          { label: t("chats.new"), icon: "chats", act: () => go("friends") },
          { label: t("chats.newGroup"), icon: "group", act: () => go("group") }] }; }} />
      </Header>
      {!all ? <p class="note">{t("chats.reading")}</p> : <Chats all={sortedChats(all)} />}
    </section>
  );
}

function Chats({ all }: { all: Chat[] }) {
  const live = session.value?.live.value;
  if (all.length) return <ul class="rows" role="list">{all.map((c) => <Row key={c.jid} c={c} />)}</ul>;
  // Before the first reading is done, an empty list is not known to be empty.
  return <div class="empty"><Hills /><p>{isOnline.value && !live?.syncing ? t("chats.none") : t("line.syncing")}</p></div>;
}
