// Where the page begins. SPDX-License-Identifier: AGPL-3.0-or-later
import { render } from "preact";
import "@preact/signals";
import "./style/base.css";
import "./style/frame.css";
import "./style/chat.css";
import { t } from "./i18n";
import * as device from "./store/device";
import { App } from "./ui/app";
import { learnPlace, listen, open } from "./ui/start";
import { place, updateReady } from "./ui/state";

/** A new version waits until it is asked for: it never changes an open page. */
async function worker(): Promise<void> {
  if (!("serviceWorker" in navigator) || import.meta.env.DEV) return;
  const registration = await navigator.serviceWorker.register("/sw.js", { type: "module", updateViaCache: "none" }).catch(() => null);
  if (!registration) return; // a certificate that the browser does not trust: all but the offline start works
  const offer = () => {
    if (registration.waiting && navigator.serviceWorker.controller) updateReady.value = () => registration.waiting?.postMessage("take over");
  };
  offer();
  registration.addEventListener("updatefound", () => registration.installing?.addEventListener("statechange", offer));
  let reloading = false, had = Boolean(navigator.serviceWorker.controller);
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (had && !reloading) {
      reloading = true;
      location.reload();
    }
    had = true;
  });
  navigator.serviceWorker.addEventListener("message", (e: MessageEvent<{ open?: string }>) => { if (e.data?.open) location.hash = `#/chats/${encodeURIComponent(e.data.open)}`; });
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "visible") void registration.update().catch(() => undefined); });
}

async function start(): Promise<void> {
  document.title = t("app.name");
  const account = device.account(), learning = learnPlace();
  if (account && !place.value.websockets.length) await learning;
  if (account && place.value.websockets.length) await open(account);
  render(<App />, document.getElementById("app") as HTMLElement);
  listen();
  void worker();
}

void start();
