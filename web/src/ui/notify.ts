// Being told of messages when the page is not looked at, and when it is closed (Web Push). SPDX-License-Identifier: AGPL-3.0-or-later
import { choices, session } from "./state";

const key = (base64url: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(base64url.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));

/** No push reaches this browser any more. The server is told first, while there is a line; the browser forgets in any case. */
export async function noPush(): Promise<void> {
  void session.value?.do("pushOff").catch(() => undefined);
  await navigator.serviceWorker?.getRegistration().then((r) => r?.pushManager?.getSubscription()).then((p) => p?.unsubscribe()).catch(() => undefined);
}

/** Push, where the server and the browser have it. `tell`: it may name the sender and hold the text. Fails when the server did not take it. */
export async function orderPush(tell: boolean): Promise<void> {
  const registration = await navigator.serviceWorker?.getRegistration(), s = session.value, vapid = s?.live.value.can.push;
  if (s?.live.value.line !== "online") throw new Error("lost");
  if (!registration?.pushManager || !vapid) return;
  const subscription = await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key(vapid) }).catch(() => null);
  const json = subscription?.toJSON();
  if (json?.endpoint && json.keys) await s.do("pushOn", json.endpoint, json.keys, tell);
}

/** True: the person allowed it. */
export async function notifications(): Promise<boolean> {
  if (await Notification.requestPermission() !== "granted") return false;
  await orderPush(Boolean(choices.value.tell)).catch(() => undefined);
  return true;
}
