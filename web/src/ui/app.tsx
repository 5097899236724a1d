// The frame: on a phone one thing at a time, with the areas below; on a desktop areas, list and conversation side by side.
// SPDX-License-Identifier: AGPL-3.0-or-later
import { useEffect } from "preact/hooks";
import { language, t } from "../i18n";
import { Conversation, NoChat } from "./chat";
import { ChatList } from "./chats";
import { LookHost } from "./file";
import { ForwardHost } from "./forward";
import { FriendList } from "./friends";
import { NewGroup } from "./group";
import { Beacon, Icon, type IconName } from "./icons";
import { Login } from "./login";
import { Hosts } from "./parts";
import { PersonPanel } from "./person";
import { RoomPanel } from "./room";
import { Search } from "./search";
import { Settings } from "./settings";
import { choices, leaving, link, route, session, wide, type Tab } from "./state";
import { StatusLine } from "./status";

const TABS: [Tab, IconName][] = [["chats", "chats"], ["friends", "friends"], ["settings", "settings"]];

function Areas({ now }: { now: Tab }) {
  const unread = (session.value?.chats.value ?? []).reduce((n, c) => n + (c.muted || c.hidden ? 0 : c.unread), 0);
  useEffect(() => { document.title = unread ? `(${unread}) ${t("app.name")}` : t("app.name"); }, [unread, language.value]);
  return (
    <nav class="areas" aria-label={t("tabs")}>
      <span class="areas-mark"><Beacon lit={session.value?.live.value.line === "online"} /></span>
      {TABS.map(([tab, icon]) => (
        <a key={tab} href={link(tab)} aria-current={now === tab ? "page" : undefined}><Icon name={icon} /><span>{t(`tab.${tab}` as "tab.chats")}</span>
          {tab === "chats" && unread > 0 && <b class="count"><span aria-hidden="true">{unread > 299 ? "300+" : unread}</span><span class="sr">{t("chats.unread", { n: unread })}</span></b>}</a>))}
    </nav>
  );
}

function Frame() {
  const { tab, jid, more } = route.value, s = session.value;
  const area: Tab = tab === "friends" || tab === "settings" ? tab : "chats", open = jid !== null && tab !== "settings" && more !== "add";
  return (
    <div class={`frame ${open ? "open" : ""}`}>
      <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); document.getElementById("main")?.focus(); }}>{t("skip")}</a>
      <Areas now={area} />
      <div class="pane" id={wide.value || open ? undefined : "main"} role={wide.value || open ? undefined : "main"} tabIndex={-1}><StatusLine />
        {tab === "friends" ? <FriendList key={more ?? ""} /> : tab === "settings" ? <Settings /> : tab === "search" ? <Search /> : tab === "group" ? <NewGroup /> : <ChatList />}</div>
      {(wide.value || open) && <main id="main" tabIndex={-1}>
        {!open || !jid ? <NoChat /> : tab === "friends" ? <PersonPanel jid={jid} /> : more === "info" ? (s?.isRoom(jid) ? <RoomPanel jid={jid} /> : <PersonPanel jid={jid} />) : <Conversation key={jid} jid={jid} />}
      </main>}
    </div>
  );
}

export function App() {
  useEffect(() => {
    document.documentElement.lang = language.value;
    if (choices.value.theme) document.documentElement.dataset.theme = choices.value.theme;
    else delete document.documentElement.dataset.theme;
  }, [language.value, choices.value.theme]);
  return <>{session.value ? <Frame /> : !leaving.value && <Login />}<ForwardHost /><LookHost /><Hosts /></>;
}
