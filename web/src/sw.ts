// The service worker: the app starts without a network, a new version never mixes with an open one, and Web Push is shown.
// Its one cache is named after the hash of all files; it is filled before the worker is taken for installed, and served whole.
// SPDX-License-Identifier: AGPL-3.0-or-later
declare const self: ServiceWorkerGlobalScope;
export {};

// Both are put in by tools/finish.js.
const VERSION = "__VERSION__";
const FILES = "__FILES__".split(" ");
const CACHE = `bongsu-${VERSION}`;

self.addEventListener("install", (e) => {
  e.waitUntil(caches.open(CACHE).then((c) => c.addAll(FILES.map((f) => new Request(f, { cache: "no-cache" })))));
});

self.addEventListener("activate", (e) => {
  e.waitUntil((async () => {
    for (const name of await caches.keys()) if (name.startsWith("bongsu-") && name !== CACHE) await caches.delete(name);
    await self.clients.claim();
  })());
});

self.addEventListener("message", (e) => {
  if (e.data === "take over") void self.skipWaiting();
});

self.addEventListener("fetch", (e) => {
  const url = new URL(e.request.url);
  if (e.request.method !== "GET" || url.origin !== self.location.origin) return;
  const path = e.request.mode === "navigate" && url.pathname === "/" ? "/" : url.pathname;
  if (FILES.includes(path)) e.respondWith(caches.open(CACHE).then(async (c) => (await c.match(path)) ?? fetch(e.request)));
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

self.addEventListener("notificationclick", (e) => {
  const chat = (e.notification.data as Told | null)?.chat;
  e.notification.close();
  e.waitUntil((async () => {
    const [open] = await self.clients.matchAll({ type: "window" });
    if (!open) {
      await self.clients.openWindow(chat ? `/#/chats/${encodeURIComponent(chat)}` : "/");
      return;
    }
    await open.focus();
    if (chat) open.postMessage({ open: chat });
  })());
});
