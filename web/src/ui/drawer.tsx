// Photos and files of a chat, and the links that were sent in it. SPDX-License-Identifier: AGPL-3.0-or-later
import { useEffect, useState } from "preact/hooks";
import { t, when } from "../i18n";
import { linksOf } from "../model/links";
import * as store from "../store/messages";
import type { Message } from "../store/types";
import { FileView } from "./file";
import { go, jump, nameInChat, session } from "./state";
import { Followed } from "./text";

const MOST = 60, LINKS_MOST = 20; // on the page, however many there are
const LINKS_EACH = 10; // of one message

type Read = (place: store.Place | null, wanted: () => boolean) => Promise<Message[]> | undefined;
interface Page { rows: Message[] | null; newer?: () => void; older?: () => void }

/** One page of a chat's messages, newest first, and the ways to the next ones. `rows` null: not read yet. */
function usePage(jid: string, most: number, read: Read): Page {
  const [rows, setRows] = useState<Message[] | null>(null), [places, setPlaces] = useState<store.Place[]>([]), place = places.at(-1) ?? null, last = rows?.at(-1);
  useEffect(() => {
    setPlaces([]);
    setRows(null);
  }, [jid]);
  useEffect(() => {
    let wanted = true;
    void read(place, () => wanted)?.then((all) => { if (wanted) setRows(all); });
    return () => { wanted = false; };
  }, [jid, place, session.value?.turns.value[jid]]);
  return { rows, newer: places.length ? () => setPlaces(places.slice(0, -1)) : undefined,
    older: last && rows?.length === most ? () => setPlaces([...places, { at: last.at, key: last.key }]) : undefined };
}

const Ways = ({ newer, older }: Page) => (
  <div class="buttons">
    {newer && <button type="button" class="soft" onClick={newer}>{t("room.drawer.newer")}</button>}
    {older && <button type="button" class="soft" onClick={older}>{t("room.drawer.older")}</button>}
  </div>
);

/** The links of one message, and the way to it. */
function Links({ m }: { m: Message }) {
  const c = session.value?.chat(m.chat), who = m.mine ? t("chat.me") : c ? nameInChat(c, m.from) : m.from;
  return (
    <li class="links">
      {linksOf(m.body).slice(0, LINKS_EACH).map((l) => <p key={l.at} dir="auto"><Followed url={l.url} /></p>)}
      <button type="button" class="plain" onClick={() => { jump.value = { chat: m.chat, at: m.at, key: m.key }; go("chats", m.chat); }}>{t("room.links.from", { name: who, when: when(m.at) })}</button>
    </li>
  );
}

const hasLink = (m: Message): boolean => !m.retracted && linksOf(m.body).length > 0;

export function Drawer({ jid }: { jid: string }) {
  const db = session.value?.db, files = usePage(jid, MOST, (place) => db && store.drawer(db, jid, place, MOST));
  const links = usePage(jid, LINKS_MOST, (place, wanted) => db && store.matching(db, jid, place, LINKS_MOST, hasLink, wanted));
  return <>
    <h2>{t("room.drawer")}</h2>
    {files.rows && (files.rows.length ? <div class="drawer">{files.rows.map((m) => <FileView key={m.key} m={m} />)}</div> : <p class="note">{t("room.drawer.none")}</p>)}
    <Ways {...files} />
    <h2>{t("room.links")}</h2>
    {links.rows && (links.rows.length ? <ul class="rows" role="list">{links.rows.map((m) => <Links key={m.key} m={m} />)}</ul> : <p class="note">{t("room.links.none")}</p>)}
    <Ways {...links} />
  </>;
}
