// Which version of the app this page is, and whether there is a newer one: it is offered, never forced. The worker (src/sw.ts) keeps this
// version's files for as long as the page holds its lock. SPDX-License-Identifier: AGPL-3.0-or-later
import { updateReady } from "./state";

const own = new URL(import.meta.url).pathname; // the script that the page began with; its name holds its hash
const HOUR_MS = 3600000;

/** Asks what a page would begin with now: the worker, or the server where there is none. */
export async function compare(): Promise<void> {
  if (import.meta.env.DEV) return;
  const page = await fetch("/", { cache: "no-cache" }).then((r) => (r.ok ? r.text() : own)).catch(() => own); // what cannot be asked is no news
  if (!page.includes(own)) updateReady.value = () => location.reload();
}

/** When somebody comes back to the page; and now and then, for a page that is never left. */
export function seen(then: () => void): void {
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "visible") then(); });
  setInterval(then, HOUR_MS);
}

export function watchVersion(): void {
  void navigator.locks?.request(own, { mode: "shared" }, () => new Promise(() => undefined));
  navigator.serviceWorker?.addEventListener("controllerchange", () => void compare());
  seen(() => void compare());
}

/** A part that is loaded when it is needed. Where no worker keeps it, it can be gone from the server: then there is a newer version. */
export function part<T>(load: Promise<T>): Promise<T> {
  load.catch(compare);
  return load;
}
