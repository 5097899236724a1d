// The service worker: the app starts without a network, versions never mix, and Web Push is shown.
// A version is one cache, named after the hash of all its files and filled as a whole: what a server hands out while it changes from one
// version to the next fails its hash. A page gets the newest version when it begins, and its own version's files until it ends, so a new
// one disturbs nobody: it is there at the next reload.
// SPDX-License-Identifier: AGPL-3.0-or-later
declare const self: ServiceWorkerGlobalScope;
export {};

// Both are put in by tools/finish.js: a path and its hash each.
const VERSION = "__VERSION__";
const FILES = new Map("__FILES__".split(",").map((f) => f.split(" ") as [string, string]));
const CACHE = `bongsu-${VERSION}`;

self.addEventListener("install", (e) => {
  e.waitUntil((async () => {
    const cache = await caches.open(CACHE);
    await cache.addAll([...FILES].map(([path, integrity]) => new Request(path, { cache: "no-cache", integrity })));
    await self.skipWaiting();
  })());
});

/** A version goes when no page is open that began with it (a lock names its script, see ui/version.ts); the last one before ours
 * stays, for a page that is just beginning. */
async function tidy(): Promise<void> {
  const locks = (await self.navigator.locks?.query())?.held ?? [];
  for (const name of (await caches.keys()).filter((n) => n.startsWith("bongsu-") && n !== CACHE).slice(0, -1)) {
    const cache = await caches.open(name), open = await Promise.all(locks.map((l) => l.name?.startsWith("/") && cache.match(l.name)));
    if (!open.some(Boolean)) await caches.delete(name);
  }
}

self.addEventListener("activate", (e) => {
  e.waitUntil(Promise.all([tidy(), self.clients.claim()]));
});

self.addEventListener("fetch", (e) => {
  const url = new URL(e.request.url), path = url.pathname;
  if (e.request.method !== "GET" || url.origin !== self.location.origin) return;
  if (FILES.has(path)) e.respondWith(caches.open(CACHE).then(async (c) => (await c.match(path)) ?? fetch(e.request)));
  else if (path.startsWith("/assets/")) e.respondWith(caches.match(path).then((found) => found ?? fetch(e.request)));
});

// ---- Web Push ----

interface Told { kind?: string; count?: number; from?: string; body?: string; chat?: string }

function read(data: PushMessageData | null): Told {
  try {
    return (data?.json() as Told) ?? {};
  } catch {
    return {};
  }
}

self.addEventListener("push", (e) => {
  const told = read(e.data), korean = self.navigator.language.startsWith("ko");
  e.waitUntil((async () => {
    const open = (await self.clients.matchAll({ type: "window" })).some((c) => c.visibilityState === "visible" && c.focused);
    if (open) return;
    const n = told.count ?? 1, body = korean ? (n > 1 ? `새 메시지 ${n}개` : "새 메시지가 있어요") : n > 1 ? `${n} new messages` : "You have a new message";
    await self.registration.showNotification(told.from?.split("@")[0] ?? (korean ? "봉수" : "Bongsu"), { body: told.body ?? body, tag: "bongsu", icon: "/icon-192.png", badge: "/icon-192.png", data: { chat: told.from } });
  })());
});

/** The browser has another subscription, or none: a page tells the server, now or when the next one begins (ui/notify.ts). */
self.addEventListener("pushsubscriptionchange", (e) => {
  (e as ExtendableEvent).waitUntil(self.clients.matchAll({ type: "window" }).then(([page]) => page?.postMessage({ push: true })));
});

self.addEventListener("notificationclick", (e) => {
  const chat = (e.notification.data as Told | null)?.chat;
  e.notification.close();
  e.waitUntil((async () => {
    const [open] = await self.clients.matchAll({ type: "window" });
    if (!open) {
      await self.clients.openWindow(chat ? `/#/chats/${encodeURIComponent(chat)}` : "/");
      return;
    }
    if (chat) open.postMessage({ open: chat });
    await open.focus();
  })());
});
