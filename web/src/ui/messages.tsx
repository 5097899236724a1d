// The history on the page: a bounded run of messages that moves with the scrolling, keeps its place when older ones come,
// stays at the end when one is there, and tells what has been seen.
// SPDX-License-Identifier: AGPL-3.0-or-later
import { Fragment } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { day, sameDay, t } from "../i18n";
import type { MessageWindow } from "../model/window";
import type { Message } from "../store/types";
import { Bubble } from "./bubble";
import { messageMenu } from "./actions";
import { GoTo } from "./goto";
import { Icon } from "./icons";
import { jump, nameInChat, nameOf, session, tell } from "./state";

const NEAR_PX = 80, AHEAD_PX = 900, GROUP_MS = 60000, PATIENCE_MS = 900, GOAL_MS = 2000;

/** The first row in sight and where it stood when the box was scrolled to `at`. */
interface Anchor { key: string; top: number; at: number }

export function Messages({ w, onReply, onEdit }: { w: MessageWindow; onReply(m: Message): void; onEdit(m: Message): void }) {
  const box = useRef<HTMLDivElement>(null), stick = useRef(true), anchor = useRef<Anchor | null>(null), goal = useRef<string | null>(null), heard = useRef<string | null>(null);
  const scrolledTo = box.current?.scrollTop ?? 0; // before these rows take their place: further than was looked at, when the event is still to come
  const s = session.value, c = s?.chat(w.chat), rows = w.rows.value, [lineAt, setLineAt] = useState<number | null>(null), [said, setSaid] = useState(""), [active, setActive] = useState<string | null>(null), [away, setAway] = useState(false), [choosing, setChoosing] = useState<number | null>(null);

  // where it opens: at a jump's goal, at the first unread message, or at the end
  useEffect(() => {
    const target = jump.value?.chat === w.chat ? jump.value : null, opened = s?.chat(w.chat);
    jump.value = null;
    if (target) {
      void goTo(target.at, target.key);
    } else if (opened && opened.unread > 0 && opened.readAt > 0) {
      setLineAt(opened.readAt);
      stick.current = false;
      goal.current = "unread";
      void w.around({ at: opened.readAt, key: "\uffff" });
    } else {
      void w.toEnd();
    }
  }, [w]);

  useEffect(() => {
    if (!jump.value || jump.value.chat !== w.chat) return;
    const target = jump.value;
    jump.value = null;
    void goTo(target.at, target.key);
  }, [jump.value]);

  // the place stays when rows come and go
  useLayoutEffect(() => {
    const b = box.current;
    if (!b || !rows) return;
    if (goal.current === "end") {
      goal.current = null;
      b.scrollTop = b.scrollHeight;
    } else if (goal.current) {
      const e = b.querySelector(goal.current === "unread" ? ".unread-line" : `[data-key="${CSS.escape(goal.current)}"]`);
      if (e) {
        b.scrollTop += e.getBoundingClientRect().top - b.getBoundingClientRect().top - b.clientHeight / 3;
        if (goal.current !== "unread") (e as HTMLElement).focus();
        goal.current = null;
      } else if (goal.current === "unread") {
        goal.current = null;
        b.scrollTop = b.scrollHeight;
      } // else these rows are not yet those that were asked for
    } else {
      const since = anchor.current ? scrolledTo - anchor.current.at : 0, e = anchor.current && b.querySelector(`[data-key="${CSS.escape(anchor.current.key)}"]`);
      if (stick.current && w.atEnd.value && since > -NEAR_PX) b.scrollTop = b.scrollHeight;
      else if (e && anchor.current) b.scrollTop += e.getBoundingClientRect().top - (anchor.current.top - since);
    }
    look();
  }, [rows]);

  // what grows without new rows (a photo, the keyboard) does not push the end away
  useEffect(() => {
    const b = box.current;
    if (!b) return undefined;
    const o = new ResizeObserver(() => { if (stick.current && w.atEnd.value) b.scrollTop = b.scrollHeight; });
    o.observe(b);
    if (b.firstElementChild) o.observe(b.firstElementChild);
    const seen = () => look();
    document.addEventListener("visibilitychange", seen);
    addEventListener("focus", seen);
    return () => {
      o.disconnect();
      document.removeEventListener("visibilitychange", seen);
      removeEventListener("focus", seen);
    };
  }, [w]);

  // a screen reader hears what comes
  useEffect(() => {
    const last = rows?.at(-1);
    if (!last || last.key === heard.current) return;
    if (heard.current && !last.mine && w.atEnd.value) setSaid(t("chat.newFrom", { name: nameInChat(c ?? { jid: w.chat, kind: "person", lastAt: 0, unread: 0, readAt: 0 }, last.from), body: last.body }));
    heard.current = last.key;
  }, [rows]);

  function look(): void {
    const b = box.current;
    if (!b) return;
    const bottom = b.scrollHeight - b.scrollTop - b.clientHeight, top = b.getBoundingClientRect().top, end = b.getBoundingClientRect().bottom;
    stick.current = bottom < NEAR_PX;
    setAway(bottom > b.clientHeight || !w.atEnd.value);
    let first: HTMLElement | null = null, last: string | null = null;
    for (const e of b.querySelectorAll<HTMLElement>("[data-key]")) {
      const r = e.getBoundingClientRect();
      if (!first && r.bottom > top) first = e;
      if (r.top < end && r.bottom <= end + 24) last = e.dataset.key ?? last;
      if (r.top >= end) break;
    }
    anchor.current = first ? { key: first.dataset.key as string, top: first.getBoundingClientRect().top, at: b.scrollTop } : null;
    if (last && document.visibilityState === "visible" && document.hasFocus()) {
      const m = w.rows.value?.find((r) => r.key === last), seen = stick.current && w.atEnd.value ? w.rows.value?.at(-1) : m;
      const incoming = seen && (seen.mine ? [...(w.rows.value ?? [])].reverse().find((r) => !r.mine && r.at <= seen.at) : seen);
      if (incoming && !incoming.mine) void s?.read(w.chat, incoming);
    }
  }

  function scrolled(): void {
    const b = box.current;
    if (!b) return;
    look();
    if (b.scrollTop < AHEAD_PX) void w.older();
    if (b.scrollHeight - b.scrollTop - b.clientHeight < AHEAD_PX) void w.newer();
  }

  function toEnd(): void {
    stick.current = true;
    goal.current = "end"; // whatever scrolls meanwhile
    void w.toEnd();
  }

  /** To what was written first since then, or to one message that was written then. */
  async function goTo(at: number, key?: string): Promise<void> {
    const patience = setTimeout(() => tell(t("chat.older")), PATIENCE_MS), { place, short } = await w.since(at).finally(() => clearTimeout(patience));
    if (w.closed) return;
    if (short) tell(t("chat.goTo.short"));
    else if (!place) tell(t("chat.goTo.none"));
    if (!place) return w.rows.value ? undefined : w.toEnd();
    const to = goal.current = key ?? place.key;
    stick.current = false;
    await w.around(key ? { at, key } : place);
    setTimeout(() => { if (goal.current === to) goal.current = null; }, GOAL_MS); // it is nowhere after all
  }

  function keys(e: KeyboardEvent): void {
    // where the focus is, for `active` is that of the last frame, and keys come faster
    const all = w.rows.value ?? [], here = (e.target as HTMLElement).closest<HTMLElement>("[data-key]")?.dataset.key ?? active;
    const at = all.findIndex((m) => m.key === here), to = e.key === "ArrowUp" ? (at < 0 ? all.length - 1 : at - 1) : e.key === "ArrowDown" ? at + 1 : -1;
    if (e.key === "Enter" || e.key === " " || e.key === "ContextMenu") {
      if ((e.target as HTMLElement).closest("a,button") || at < 0) return;
      e.preventDefault();
      messageMenu(all[at], onReply, onEdit);
    } else if (to >= 0 && to < all.length) {
      e.preventDefault();
      setActive(all[to].key);
      const row = box.current?.querySelector<HTMLElement>(`[data-key="${CSS.escape(all[to].key)}"]`);
      row?.focus();
      row?.scrollIntoView({ block: "nearest" });
    } else if (e.key === "End") {
      e.preventDefault();
      toEnd();
    } else if (e.key === "Home") {
      e.preventDefault();
      void goTo(-Infinity);
    }
  }

  return (
    <div class="history">
      <div class="scroll messages" ref={box} onScroll={scrolled} onKeyDown={keys} tabIndex={0} role="group" aria-label={t("chat.list", { name: nameOf(w.chat) })}>
        <ol role="list" class="message-list">
          {rows && w.atStart.value && <li class="edge">{t("chat.first")}</li>}
          {rows && !w.atStart.value && w.loading.value && session.value?.live.value.line === "online" && <li class="edge">{t("chat.older")}</li>}
          {rows?.map((m, i) => {
            const before = rows[i - 1], next = rows[i + 1], newDay = !before || !sameDay(before.at, m.at);
            const line = lineAt !== null && m.at > lineAt && !m.mine && (!before || before.at <= lineAt || (before.mine && !rows.slice(0, i).some((r) => r.at > lineAt && !r.mine)));
            const joined = !newDay && !line && before?.from === m.from && before.mine === m.mine && m.at - before.at < GROUP_MS && !before.notice;
            const closes = !next || next.from !== m.from || next.mine !== m.mine || next.at - m.at >= GROUP_MS || !sameDay(next.at, m.at);
            return <Fragment key={m.key}>
              {newDay && <li class="day"><button type="button" class="plain" title={t("chat.goTo")} onClick={() => setChoosing(m.at)}>{day(m.at)}</button></li>}
              {line && <li class="unread-line"><span>{t("chat.unreadLine")}</span></li>}
              <Bubble m={m} chat={c} joined={joined} closes={closes} active={active === m.key || (active === null && i === rows.length - 1)} onFocus={() => setActive(m.key)}
                onMenu={() => messageMenu(m, onReply, onEdit)} />
            </Fragment>;
          })}
        </ol>
      </div>
      {away && <button type="button" class="to-end" onClick={toEnd} aria-label={t("chat.down")} title={t("chat.down")}><Icon name="down" />{(c?.unread ?? 0) > 0 && <b class="count">{c?.unread}</b>}</button>}
      {choosing !== null && <GoTo at={choosing} onPick={(at) => void goTo(at)} onClose={() => setChoosing(null)} />}
      <p class="sr" role="status">{said}</p>
    </div>
  );
}
