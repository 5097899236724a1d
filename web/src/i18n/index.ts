// The words of the chosen language, and its way with numbers, days and names. SPDX-License-Identifier: AGPL-3.0-or-later
import { computed, signal } from "@preact/signals";
import { choices, keepChoices } from "../store/device";
import { en, type Catalogue, type Key } from "./en";
import { ko } from "./ko";

export type Language = "ko" | "en";
export const catalogues: Record<Language, Catalogue> = { ko, en };

const fromBrowser = (): Language => ((globalThis.navigator?.languages ?? []).some((l) => l.toLowerCase().startsWith("ko")) ? "ko" : "en");

export const language = signal<Language>(choices().language ?? fromBrowser());

export function speak(l: Language): void {
  language.value = l;
  keepChoices({ ...choices(), language: l });
}

export function fill(text: string, values: Record<string, string | number>): string {
  return text
    .replace(/\{(\w+)\|((?:[^{}|]|\{\w+\})*)\|((?:[^{}|]|\{\w+\})*)\}/g, (_, name: string, one: string, other: string) => (Number(values[name]) === 1 ? one : other))
    .replace(/\{(\w+)\}/g, (whole, name: string) => (name in values ? String(values[name]) : whole));
}

export function t(key: Key, values: Record<string, string | number> = {}): string {
  return fill(catalogues[language.value][key], values);
}

const formats = computed(() => {
  const l = language.value;
  return {
    time: new Intl.DateTimeFormat(l, { hour: "numeric", minute: "2-digit" }),
    day: new Intl.DateTimeFormat(l, { year: "numeric", month: "long", day: "numeric", weekday: "long" }),
    near: new Intl.DateTimeFormat(l, { month: "short", day: "numeric" }),
    far: new Intl.DateTimeFormat(l, { year: "numeric", month: "numeric", day: "numeric" }),
    order: new Intl.Collator(l, { numeric: true, sensitivity: "base" }),
  };
});

export const time = (at: number): string => formats.value.time.format(at);
export const byName = (a: string, b: string): number => formats.value.order.compare(a, b);

export const sameDay = (a: number, b: number): boolean => new Date(a).toDateString() === new Date(b).toDateString();

export function day(at: number): string {
  const now = Date.now();
  if (sameDay(at, now)) return t("today");
  return sameDay(at, now - 86400000) ? t("yesterday") : formats.value.day.format(at);
}

/** As short as a chat list needs it. */
export function when(at: number): string {
  const now = Date.now();
  if (sameDay(at, now)) return time(at);
  if (sameDay(at, now - 86400000)) return t("yesterday");
  return (now - at < 300 * 86400000 ? formats.value.near : formats.value.far).format(at);
}

/** Of a film or a voice note. */
export const duration = (seconds: number): string => `${Math.floor(Math.round(seconds) / 60)}:${String(Math.round(seconds) % 60).padStart(2, "0")}`;

export function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB"];
  let n = bytes, i = 0;
  for (; n >= 1000 && i < units.length - 1; i++) n /= 1000;
  return `${n < 10 && i > 0 ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
}
