// Being told of messages when the page is not looked at, and when it is closed (Web Push). SPDX-License-Identifier: AGPL-3.0-or-later
import { session } from "./state";

const key = (base64url: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(base64url.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));

/** True: the person allowed it. Push is added where the server and the browser have it. */
export async function notifications(on: boolean): Promise<boolean> {
  const registration = await navigator.serviceWorker?.getRegistration(), s = session.value;
  if (!on) {
    await (await registration?.pushManager?.getSubscription())?.unsubscribe();
    await s?.do("pushOff").catch(() => undefined);
    return false;
  }
  if (await Notification.requestPermission() !== "granted") return false;
  const vapid = s?.live.value.can.push;
  if (registration?.pushManager && vapid) {
    const subscription = await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key(vapid) }).catch(() => null);
    const json = subscription?.toJSON();
    if (json?.endpoint && json.keys) await s?.do("pushOn", json.endpoint, json.keys).catch(() => undefined);
  }
  return true;
}
