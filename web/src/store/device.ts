// What belongs to the device rather than to an account: who is logged in, language, theme. SPDX-License-Identifier: AGPL-3.0-or-later
import type { Account } from "./types";

export interface Choices {
  language?: "ko" | "en";
  theme?: "light" | "dark"; // none: the system's
  enterSends?: boolean;
  notify?: boolean;
  tell?: boolean; // a push may name the sender and hold the text
}

const read = <T>(key: string, otherwise: T): T => {
  try {
    return (JSON.parse(localStorage.getItem(key) ?? "null") as T) ?? otherwise;
  } catch {
    return otherwise;
  }
};

function write(key: string, value: unknown): void {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // a full or forbidden storage costs comfort, no message
  }
}

export const account = (): Account | null => read<Account | null>("bongsu.account", null);
export const keepAccount = (a: Account | null): void => write("bongsu.account", a);
export const choices = (): Choices => read<Choices>("bongsu.choices", {});
export const keepChoices = (c: Choices): void => write("bongsu.choices", c);

export interface Place { domain: string; websockets: string[]; base?: string; banner?: string; registration?: boolean; passkeys?: string; sites?: string[]; demo?: { name: string; password: string }[] }
export const place = (): Place | null => read<Place | null>("bongsu.place", null);
export const keepPlace = (p: Place): void => write("bongsu.place", p);

/** What was being typed when a page ended, which was too late for the store: the next page takes it up. */
export function keepWords(me: string, chat: string, words: string): void {
  const all = read<Record<string, Record<string, string>>>("bongsu.words", {});
  write("bongsu.words", { ...all, [me]: { ...all[me], [chat]: words } });
}

export function takeWords(me: string): [chat: string, words: string][] {
  const { [me]: mine, ...others } = read<Record<string, Record<string, string>>>("bongsu.words", {});
  if (mine) write("bongsu.words", Object.keys(others).length ? others : null);
  return Object.entries(mine ?? {});
}

/** One id for each account on this device (XEP-0388): its stream and its token hang on it. */
export function agentId(jid: string): string {
  const all = read<Record<string, string>>("bongsu.agents", {});
  if (!all[jid]) {
    all[jid] = crypto.randomUUID();
    write("bongsu.agents", all);
  }
  return all[jid];
}

const PASSKEYS_KNOWN_MAX = 64;

/** A log-in by passkey names its account last: under which id this device was known to that account, if it was. */
export function keepAgent(jid: string, agentId: string, passkey: string): void {
  write("bongsu.agents", { ...read<Record<string, string>>("bongsu.agents", {}), [jid]: agentId });
  const others = Object.entries(read<Record<string, string>>("bongsu.passkeys", {})).filter(([id]) => id !== passkey).slice(1 - PASSKEYS_KNOWN_MAX);
  write("bongsu.passkeys", Object.fromEntries([...others, [passkey, jid]]));
}
export const passkeyOwner = (passkey: string): string | undefined => read<Record<string, string>>("bongsu.passkeys", {})[passkey];
