// Choosing whom to call: a list of those in the group, once an @ is written. SPDX-License-Identifier: AGPL-3.0-or-later
import type { RefObject } from "preact";
import { useId, useState } from "preact/hooks";
import { byName, t } from "../i18n";
import { calling } from "../model/mentions";
import { Face } from "./parts";
import { session } from "./state";

const MOST = 8;

/** The list opens with what is written, and closes when one goes elsewhere. `key` answers whether a key was for the list. */
export function useMention(jid: string, text: string, put: (text: string, caret: number) => void, box: RefObject<HTMLTextAreaElement | null>) {
  const id = useId(), [caret, setCaret] = useState(-1), [at, setAt] = useState(0);
  const now = caret >= 0 ? calling(text, caret) : null, mine = session.value?.nickIn(jid), part = now?.part.toLowerCase() ?? "";
  const found = now ? (session.value?.live.value.rooms[jid]?.occupants ?? []).filter((o) => o.nick !== mine && o.nick.toLowerCase().startsWith(part)).sort((a, b) => byName(a.nick, b.nick)).slice(0, MOST) : [];
  const chosen = found[Math.min(at, found.length - 1)];

  const close = () => setCaret(-1);
  function written(): void {
    setCaret(box.current?.selectionEnd ?? -1);
    setAt(0);
  }
  function choose(nick: string): void {
    if (!now) return;
    const head = `${text.slice(0, now.at)}@${nick} `;
    put(head + text.slice(caret).replace(/^ /, ""), head.length);
    close();
  }
  function key(e: KeyboardEvent): boolean {
    if (!chosen) return false;
    const step = e.key === "ArrowDown" ? 1 : e.key === "ArrowUp" ? -1 : 0;
    if (step) setAt((found.indexOf(chosen) + step + found.length) % found.length);
    else if ((e.key === "Enter" && !e.shiftKey) || e.key === "Tab") choose(chosen.nick);
    else if (e.key === "Escape") close();
    else {
      if (/^(Arrow|Home|End|Page)/.test(e.key)) close();
      return false;
    }
    e.preventDefault();
    return true;
  }
  return {
    written, close, key,
    box: found.length ? { "aria-controls": id, "aria-activedescendant": `${id}-${found.indexOf(chosen)}` } : {},
    list: found.length > 0 && (
      <div class="picker mention" role="listbox" id={id} aria-label={t("chat.mention")}>{found.map((o, n) => (
        <div role="option" key={o.nick} id={`${id}-${n}`} aria-selected={o === chosen} onMouseDown={(e) => e.preventDefault()} onClick={() => choose(o.nick)}>
          <Face jid={o.jid ?? `${jid}/${o.nick}`} name={o.nick} /><span dir="auto">{o.nick}</span></div>))}</div>),
  };
}
