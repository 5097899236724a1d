// Small parts that several screens use. SPDX-License-Identifier: AGPL-3.0-or-later
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { t } from "../i18n";
import { Icon, type IconName } from "./icons";
import { menu, nameOf, question, session, toast } from "./state";

function shade(jid: string): number {
  let n = 0;
  for (const c of jid) n = (n * 31 + (c.codePointAt(0) ?? 0)) >>> 0;
  return n % 8;
}

const graphemes = (s: string): string => [...new Intl.Segmenter().segment(s)][0]?.segment ?? "?";

export function Face({ jid, name, big }: { jid: string; name?: string; big?: boolean }) {
  const s = session.value, url = s?.people.value?.get(jid)?.avatarUrl, room = s?.isRoom(jid);
  const here = !room && s?.live.value.presence[jid];
  return (
    <span class={`face shade${shade(jid)} ${big ? "big" : ""} ${room ? "room" : ""}`} aria-hidden="true">
      {url ? <img src={url} alt="" loading="lazy" /> : room ? <Icon name="group" /> : graphemes((name ?? nameOf(jid)).toUpperCase())}
      {here && <i class={`here ${here}`} />}
    </span>
  );
}

export function IconButton(p: { icon: IconName; label: string; onClick(): void; class?: string; pressed?: boolean; expanded?: boolean; disabled?: boolean }) {
  return (
    <button type="button" class={`icon-button ${p.class ?? ""}`} aria-label={p.label} title={p.label} aria-pressed={p.pressed} aria-expanded={p.expanded} disabled={p.disabled} onClick={p.onClick}>
      <Icon name={p.icon} />
    </button>
  );
}

export function Header({ title, back, children }: { title: string; back?: string; children?: ComponentChildren }) {
  return (
    <header class="bar">
      {back && <a class="icon-button" href={back} aria-label={t("back")}><Icon name="back" /></a>}
      <h1 dir="auto">{title}</h1>
      {children}
    </header>
  );
}

export function Field(p: { label: string; value?: string; type?: "text" | "date" | "password" | "search" | "tel" | "email"; hint?: string; onInput?(v: string): void; autocomplete?: string; required?: boolean; name?: string; readOnly?: boolean; minLength?: number; autoFocus?: boolean }) {
  const id = useId();
  return (
    <p class="field">
      <label for={id}>{p.label}</label>
      <input id={id} name={p.name} type={(p.type ?? "text") as "text"} value={p.value} autocomplete={p.autocomplete ?? "off"} required={p.required} readOnly={p.readOnly} minLength={p.minLength} dir="auto"
        autoCapitalize="off" spellcheck={false} aria-describedby={p.hint ? `${id}-hint` : undefined} onInput={(e) => p.onInput?.(e.currentTarget.value)} />
      {p.hint && <small id={`${id}-hint`}>{p.hint}</small>}
    </p>
  );
}

/** A native dialog: it keeps the focus in, gives it back, and closes by Escape. */
export function Sheet({ label, onClose, children, class: kind = "" }: { label: string; onClose(): void; children: ComponentChildren; class?: string }) {
  const ref = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const d = ref.current, before = document.activeElement;
    if (d && !d.open) d.showModal();
    return () => {
      d?.close();
      if (before instanceof HTMLElement || before instanceof SVGElement) before.focus();
    };
  }, []);
  return (
    <dialog ref={ref} class={`sheet ${kind}`} aria-label={label} onClose={onClose} onCancel={(e) => { e.preventDefault(); onClose(); }}
      onClick={(e) => { if (e.target === ref.current) onClose(); }}>
      <div class="sheet-in">{children}</div>
    </dialog>
  );
}

function QuestionHost() {
  const q = question.value, [typed, setTyped] = useState("");
  useEffect(() => setTyped(""), [q]);
  if (!q) return null;
  return (
    <Sheet label={q.text} onClose={() => q.answer(false)} class="question">
      <form onSubmit={(e) => { e.preventDefault(); q.answer(q.field !== undefined ? typed : true); }}>
        <p>{q.text}</p>
        {q.field !== undefined && <Field label={q.field} value={typed} onInput={setTyped} required />}
        <div class="buttons">
          <button type="button" class="plain" onClick={() => q.answer(false)}>{t("cancel")}</button>
          <button type="submit" class={q.danger ? "danger" : "primary"}>{q.yes}</button>
        </div>
      </form>
    </Sheet>
  );
}

function MenuHost() {
  const m = menu.value;
  if (!m) return null;
  const close = () => { menu.value = null; };
  return (
    <Sheet label={m.label} onClose={close} class="menu">
      {m.title && <h2>{m.label}</h2>}
      {m.top && <div class="quick">{m.top.emoji.map((e) => (
        <button type="button" key={e} aria-pressed={m.top?.mine.includes(e)} onClick={() => { close(); m.top?.pick(e); }}>{e}</button>))}</div>}
      <ul>{m.items.map((i) => (
        <li key={i.label}><button type="button" class={i.danger ? "danger-text" : ""} onClick={() => { close(); i.act(); }}>{i.icon && <Icon name={i.icon} />}{i.label}</button></li>))}</ul>
    </Sheet>
  );
}

export function Hosts() {
  return <>
    <MenuHost />
    <QuestionHost />
    <div class="toast" role="status">{toast.value && <span>{toast.value}</span>}</div>
  </>;
}
