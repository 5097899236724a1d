// Search: people and groups, and every message; on the device at once, at the server as well when the line is up.
// SPDX-License-Identifier: AGPL-3.0-or-later
import { useEffect, useRef, useState } from "preact/hooks";
import { t, when } from "../i18n";
import * as store from "../store/messages";
import type { Message } from "../store/types";
import { sortedChats } from "./chats";
import { friendsOf } from "./friends";
import { Face, Field, Header } from "./parts";
import { go, jump, link, nameInChat, nameOf, session } from "./state";

const WAIT_MS = 250, MOST = 60;

function Found({ m, words }: { m: Message; words: string }) {
  const c = session.value?.chat(m.chat), at = m.body.toLowerCase().indexOf(words.toLowerCase().split(/\s+/)[0]), from = Math.max(0, at - 30);
  return (
    <li class="row"><button type="button" class="row-button" onClick={() => { jump.value = { chat: m.chat, at: m.at, key: m.key }; go("chats", m.chat); }}>
      <Face jid={m.chat} /><span class="row-main"><span class="row-top"><strong dir="auto">{nameOf(m.chat)}</strong><time>{when(m.at)}</time></span>
        <span class="row-line"><span dir="auto">{m.mine ? `${t("chats.you")} ` : c?.kind === "room" ? `${nameInChat(c, m.from)}: ` : ""}{(from > 0 ? "…" : "") + m.body.slice(from, from + 160)}</span></span></span>
    </button></li>
  );
}

export function Search() {
  const s = session.value, [words, setWords] = useState(""), [found, setFound] = useState<Message[] | null>(null), [everywhere, setEverywhere] = useState(false), run = useRef(0);
  useEffect(() => {
    const mine = ++run.current, w = words.trim();
    setEverywhere(false);
    if (!w || !s) {
      setFound(null);
      return undefined;
    }
    const timer = setTimeout(async () => {
      const local = await store.find(s.db, w, MOST, () => mine === run.current);
      if (mine !== run.current) return;
      setFound(local);
      if (s.live.value.line !== "online" || !s.live.value.can.search) return;
      const far = (await s.do("search", w).catch(() => null)) ?? null;
      if (mine !== run.current || !far) return;
      const keys = new Set(local.flatMap((m) => [m.key, m.sid])); // a message of ours may have no sid here yet
      setFound([...local, ...far.filter((m) => !keys.has(m.key) && !keys.has(m.sid))].sort((a, b) => b.at - a.at));
      setEverywhere(true);
    }, WAIT_MS);
    return () => {
      clearTimeout(timer);
      run.current++;
    };
  }, [words]);
  if (!s) return null;
  const w = words.trim().toLowerCase();
  const people = w ? [...new Set([...friendsOf(s.people.value ?? new Map()).map((p) => p.jid), ...sortedChats(s.chats.value ?? []).map((c) => c.jid)])].filter((j) => nameOf(j).toLowerCase().includes(w) || j.includes(w)) : [];
  return (
    <section class="pane-in" aria-label={t("search.title")}>
      <Header title={t("search.title")} back={link("chats")} />
      <form role="search" class="search" onSubmit={(e) => e.preventDefault()}><Field label={t("search.field")} type="search" value={words} onInput={setWords} /></form>
      <div class="scroll" tabIndex={-1}>
        {people.length > 0 && <><h2>{t("search.people")}</h2><ul class="rows" role="list">{people.map((jid) => <li class="row" key={jid}><a href={link("chats", jid)}><Face jid={jid} /><strong dir="auto">{nameOf(jid)}</strong></a></li>)}</ul></>}
        {found && found.length > 0 && <><h2>{t("search.messages")}</h2><ul class="rows" role="list">{found.map((m) => <Found key={m.key} m={m} words={w} />)}</ul></>}
        <p class="note" role="status">{found && !found.length && !people.length ? t("search.none", { words }) : found ? t(everywhere ? "search.everywhere" : "search.device") : ""}</p>
      </div>
    </section>
  );
}
