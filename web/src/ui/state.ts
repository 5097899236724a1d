// What the whole page shares: who is logged in, where one is, what is asked. SPDX-License-Identifier: AGPL-3.0-or-later
import { computed, signal } from "@preact/signals";
import { t } from "../i18n";
import type { Key } from "../i18n/en";
import type { Session } from "../model/session";
import * as device from "../store/device";
import type { Chat, Person } from "../store/types";
import { localOf, localUnescape } from "../wire/jid";

export const session = signal<Session | null>(null);
export const leaving = signal(false); // logged out, and what was kept here is being taken away
export const place = signal<device.Place>(device.place() ?? { domain: location.hostname, websockets: [] });
export const loginError = signal<string | null>(null);
export const updateReady = signal<(() => void) | null>(null);

// ---- where one is: #/tab/jid/more ----

export type Tab = "chats" | "friends" | "settings" | "search" | "group";
export interface Route { tab: Tab; jid: string | null; more: string | null; token?: string }

function parse(hash: string): Route {
  const [tab, jid, more, token] = hash.replace(/^#\/?/, "").split("/").map((p) => {
    try { return decodeURIComponent(p); } catch { return ""; }
  });
  const tabs: string[] = ["chats", "friends", "settings", "search", "group"];
  return { tab: (tabs.includes(tab) ? tab : "chats") as Tab, jid: jid || null, more: more || null, token: token || undefined };
}

export const route = signal<Route>(parse(location.hash));
addEventListener("hashchange", () => { route.value = parse(location.hash); });

export const link = (tab: Tab, jid?: string | null, more?: string): string =>
  `#/${[tab, jid, more].filter((p): p is string => Boolean(p)).map(encodeURIComponent).join("/")}`;

export function go(tab: Tab, jid?: string | null, more?: string): void {
  location.hash = link(tab, jid, more);
}

/** Where a chat's jump goes: set before the chat opens. */
export const jump = signal<{ chat: string; at: number; key: string } | null>(null);

// ---- asking and telling ----

export interface Question { text: string; yes: string; danger?: boolean; field?: string; answer(yes: boolean | string): void }
export const question = signal<Question | null>(null);

export function ask(text: string, yes = t("ok"), danger = false): Promise<boolean> {
  return new Promise((resolve) => { question.value = { text, yes, danger, answer: (a) => { question.value = null; resolve(a !== false); } }; });
}

export function askText(text: string, field: string, yes = t("ok"), danger = false): Promise<string | null> {
  return new Promise((resolve) => { question.value = { text, yes, danger, field, answer: (a) => { question.value = null; resolve(typeof a === "string" ? a : null); } }; });
}

export interface MenuItem { label: string; act(): void; danger?: boolean; icon?: import("./icons").IconName }
/** `title`: the label is seen, too. */
export const menu = signal<{ label: string; title?: boolean; items: MenuItem[]; top?: { emoji: string[]; mine: string[]; pick(e: string): void } } | null>(null);

export const toast = signal<string | null>(null);
let toastTimer: ReturnType<typeof setTimeout>;

export function tell(text: string): void {
  toast.value = text;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { toast.value = null; }, 4000);
}

/** For what needs the line: says calmly when there is none. */
export async function withLine(work: Promise<unknown> | undefined, done?: string): Promise<boolean> {
  try {
    await work;
    if (done) tell(done);
    return true;
  } catch (e) {
    const why = (e as Error).message;
    tell(why === "lost" || why === "timeout" ? t("needsLine") : t("settings.failed", { why }));
    return false;
  }
}

// ---- names ----

export function personName(p: Person): string {
  return p.name || p.nick || localUnescape(localOf(p.jid)) || p.jid;
}

export function nameOf(jid: string): string {
  const s = session.value;
  if (!s) return jid;
  const c = s.chat(jid);
  if (c?.kind === "room") return c.name || localOf(jid);
  const p = s.people.value?.get(jid);
  return p ? personName(p) : localUnescape(localOf(jid)) || jid;
}

export const nameInChat = (c: Chat, from: string): string => (c.kind === "room" ? from : nameOf(from));

export const isOnline = computed(() => session.value?.live.value.line === "online");

export function lastLine(c: Chat): string {
  const l = c.last;
  if (!l) return "";
  if (l.retracted) return t("chat.retracted.line");
  if (l.body) return l.body;
  if (!l.file) return "";
  const kind: Key = l.file === "sticker" ? "file.sticker" : l.file.startsWith("image/") ? "file.photo" : l.file.startsWith("video/") ? "file.video" : l.file.startsWith("audio/") ? "file.audio" : "file.file";
  return t(kind);
}

// ---- the device's choices ----

export const choices = signal<device.Choices>(device.choices());

export function choose(more: Partial<device.Choices>): void {
  choices.value = { ...device.choices(), ...more };
  device.keepChoices(choices.value);
}

const wideQuery = matchMedia("(min-width: 860px)");
export const wide = signal(wideQuery.matches);
wideQuery.addEventListener("change", () => { wide.value = wideQuery.matches; });

export const isTouch = (): boolean => matchMedia("(pointer: coarse)").matches;
export const enterSends = (): boolean => choices.value.enterSends ?? !isTouch();
