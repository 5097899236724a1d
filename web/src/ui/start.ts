// From an empty page to a session: what is known of the server, who is logged in, and what ends it.
// SPDX-License-Identifier: AGPL-3.0-or-later
import { t } from "../i18n";
import type { Key } from "../i18n/en";
import { PasskeyError, logIn } from "../model/passkeys";
import { Session, type Shell } from "../model/session";
import * as device from "../store/device";
import type { Account, Chat } from "../store/types";
import type { End } from "../wire/stream";
import { keepPush, noPush } from "./notify";
import { choices, go, leaving, loginError, nameOf, place, route, session, tell } from "./state";

interface Said { domain: string; websocket: string; websockets?: string[]; base?: string; banner?: string; registration?: boolean; passkeys?: string; sites?: string[]; demo?: device.Place["demo"] }

/** Asks the server what the app must know; what it said last time is good enough meanwhile, and offline. */
export async function learnPlace(): Promise<void> {
  const said = await fetch("/app.json", { signal: AbortSignal.timeout(6000), cache: "no-store" }).then((r) => (r.ok ? r.json() as Promise<Said> : null)).catch(() => null); // also half an answer is none
  if (!said) return;
  const urls = said.websockets ?? [said.websocket];
  const next: device.Place = { domain: said.domain, websockets: urls.length > 1 ? urls : reachable(urls), base: said.base, banner: said.banner, registration: said.registration, passkeys: said.passkeys, sites: said.sites, demo: said.demo };
  device.keepPlace(next);
  place.value = next;
}

/** One server that this page was opened at under another name than it announces: that name first. */
function reachable(urls: string[]): string[] {
  return urls.flatMap((u) => {
    const here = new URL(u);
    here.hostname = location.hostname;
    return here.href === u ? [u] : [here.href, u];
  });
}

function ended(e: End): void {
  const s = session.value;
  session.value = null;
  if (e.why === "out") {
    leaving.value = true;
    void noPush();
    void inTime(s?.loggedOut()).finally(() => { leaving.value = false; });
  } else {
    s?.stop();
  }
  if (e.why === "refused" && (e.condition === "token" || e.condition === "disabled")) device.keepAccount(null);
  const key: Key = e.why === "refused" ? `login.error.${e.condition}` as Key : e.why === "replaced" ? "login.error.replaced" : e.why === "out" ? "login.error.out" : e.why === "unsupported" ? "login.error.unsupported" : "login.error.lost";
  loginError.value = t(key, { why: e.why === "refused" ? (e.text ?? "?") : e.why });
}

async function arrived(chat: Chat, body: string, who: string): Promise<void> {
  if (!choices.value.notify || Notification.permission !== "granted" || (document.visibilityState === "visible" && document.hasFocus())) return;
  const title = nameOf(chat.jid), text = chat.kind === "room" ? t("chat.newFrom", { name: who, body }) : body;
  const registration = await navigator.serviceWorker?.getRegistration();
  await registration?.showNotification(title, { body: text.slice(0, 200), tag: chat.jid, icon: "/icon-192.png", data: { chat: chat.jid } });
}

const shell: Shell = {
  ended,
  outdated: () => location.reload(),
  pushDue: () => void keepPush(),
  arrived: (chat, body, who) => void arrived(chat, body, who).catch(() => undefined),
  out: () => { session.value = null; },
};

export async function open(account: Account, password?: string): Promise<void> {
  session.value = await Session.open(account, place.value, shell, password);
  void navigator.storage?.persist?.();
}

async function knowsPlace(): Promise<boolean> {
  if (!place.value.websockets.length) await learnPlace();
  if (!place.value.websockets.length) loginError.value = t("login.error.lost");
  return place.value.websockets.length > 0;
}

/** Logs in. What this device had of that account is there at once; whether the password is right, the line will tell. */
export async function enter(name: string, password: string): Promise<void> {
  if (!(await knowsPlace())) return;
  const domain = place.value.domain, jid = `${name}@${domain}`;
  await begin({ jid, name, domain, agentId: device.agentId(jid) }, password);
}

/** The same with a passkey: the server answers it with a token, as it does a password. Given up when `signal` says so. */
export async function enterByPasskey(signal: AbortSignal): Promise<void> {
  loginError.value = null;
  if (!(await knowsPlace())) return;
  const domain = place.value.domain, keys: Record<string, Key> = { unauthorized: "login.error.passkey", denied: "login.error.disabled", cancelled: "methods.error.cancelled", lost: "login.error.lost" };
  try {
    const { name, agentId, token } = await logIn(domain, signal);
    if (!signal.aborted) await begin({ jid: `${name}@${domain}`, name, domain, agentId, token });
  } catch (e) {
    if (!(e instanceof PasskeyError)) throw e;
    if (!signal.aborted) loginError.value = t(keys[e.message] ?? "login.error.busy");
  }
}

async function begin(account: Account, password?: string): Promise<void> {
  const failed = await trial(account, password);
  if (failed) {
    loginError.value = failed;
    return;
  }
  if (route.value.jid && route.value.more !== "add") go("chats"); // an invitation is followed
  device.keepAccount(account);
}

/** The first time on this device the line decides before anything is shown. */
function trial(account: Account, password?: string): Promise<string | null> {
  return new Promise((resolve) => {
    let settled = false, tried: Session | null = null;
    const settle = (e: string | null) => {
      if (settled) return;
      settled = true;
      if (e) tried?.stop();
      resolve(e);
    };
    const early: Shell = { ...shell, ended: (e) => {
      ended(e);
      settle(loginError.value);
    } };
    void Session.open(account, place.value, early, password).then((s) => {
      tried = s;
      const stop = s.live.subscribe((l) => {
        if (l.line !== "online" || settled) return;
        session.value = s;
        settle(null);
        queueMicrotask(() => stop());
      });
      setTimeout(() => {
        settle(t("login.error.lost"));
      }, 15000);
    }, () => settle(t("login.error.lost")));
  });
}

const LEAVE_MS = 3000;
const inTime = (work: Promise<void> | undefined): Promise<unknown> => Promise.race([work, new Promise((late) => setTimeout(late, LEAVE_MS))]);

/** Logs out: nothing of the account stays on this device or comes to it. */
export async function leave(): Promise<void> {
  const s = session.value, quiet = noPush();
  leaving.value = true; // nobody logs in while a store is being removed: it might be theirs
  session.value = null;
  await inTime(quiet);
  await inTime(s?.logOut());
  leaving.value = false;
  location.hash = "#/chats";
  tell(t("line.ended"));
}

export function listen(): void {
  addEventListener("online", () => session.value?.hurry());
  addEventListener("offline", () => session.value?.cut());
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "visible") session.value?.hurry(); });
  addEventListener("pagehide", (e) => { if (!e.persisted) session.value?.stop(); });
}
