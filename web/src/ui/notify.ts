// Being told of messages when the page is not looked at, and when it is closed (Web Push). SPDX-License-Identifier: AGPL-3.0-or-later
import { row } from "../model/turn";
import { choices, choose, session } from "./state";

const key = (base64url: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(base64url.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));

const inTurn = row(); // the server keeps what it is told last

/** No push reaches this browser any more. The server is told first, while there is a line; the browser forgets in any case. */
export function noPush(): Promise<void> {
  const s = session.value;
  return inTurn(async () => {
    void s?.do("pushOff").catch(() => undefined);
    await navigator.serviceWorker?.getRegistration().then((r) => r?.pushManager?.getSubscription()).then((p) => p?.unsubscribe()).catch(() => undefined);
  });
}

const isSame = (one: ArrayBuffer | null, other: Uint8Array): boolean => one !== null && new Uint8Array(one).join() === other.join();

/** What the browser has, if it is good for this key and time; else a new one. */
async function subscribed(at: PushManager, applicationServerKey: Uint8Array<ArrayBuffer>): Promise<PushSubscription> {
  const had = await at.getSubscription();
  if (had && isSame(had.options.applicationServerKey, applicationServerKey) && (had.expirationTime ?? Infinity) > Date.now()) return had;
  await had?.unsubscribe();
  return at.subscribe({ userVisibleOnly: true, applicationServerKey });
}

/** Push, where the server and the browser have it. `tell`: it may name the sender and hold the text. Fails when the server did not take it. */
export function orderPush(tell: boolean): Promise<void> {
  return inTurn(async () => {
    await order(tell);
    choose({ tell });
  });
}

async function order(tell: boolean): Promise<void> {
  const registration = await navigator.serviceWorker?.getRegistration(), s = session.value, vapid = s?.live.value.can.push;
  if (s?.live.value.line !== "online") throw new Error("lost");
  if (!registration?.pushManager || !vapid) return;
  const json = (await subscribed(registration.pushManager, key(vapid)).catch(() => null))?.toJSON();
  if (json?.endpoint && json.keys) await s.do("pushOn", json.endpoint, json.keys, tell);
}

/** What the browser has is what the server knows, and nobody has to do anything for it: ordered again with each new stream, and when either
 * of them has lost it. What cannot be ordered now is ordered with the next stream. */
export function keepPush(): Promise<void> {
  return inTurn(async () => {
    if (choices.value.notify && globalThis.Notification?.permission === "granted") await order(Boolean(choices.value.tell)).catch(() => undefined);
  });
}

/** True: the person allowed it. */
export async function notifications(): Promise<boolean> {
  if (await Notification.requestPermission() !== "granted") return false;
  await orderPush(Boolean(choices.value.tell)).catch(() => undefined);
  return true;
}
