// Where the page begins. SPDX-License-Identifier: AGPL-3.0-or-later
import { render } from "preact";
import "@preact/signals";
import "./ui/replaced";
import "./style/base.css";
import "./style/frame.css";
import "./style/chat.css";
import { t } from "./i18n";
import * as device from "./store/device";
import { App } from "./ui/app";
import { keepPush } from "./ui/notify";
import { learnPlace, listen, open } from "./ui/start";
import { place } from "./ui/state";
import { compare, seen, watchVersion } from "./ui/version";

async function worker(): Promise<void> {
  if (!("serviceWorker" in navigator) || import.meta.env.DEV) return;
  const registration = await navigator.serviceWorker.register("/sw.js", { type: "module", updateViaCache: "none" }).catch(() => null);
  if (!registration) return; // a certificate that the browser does not trust: all but the offline start works
  navigator.serviceWorker.addEventListener("message", (e: MessageEvent<{ open?: string; push?: true }>) => {
    if (e.data?.open) location.hash = `#/chats/${encodeURIComponent(e.data.open)}`;
    if (e.data?.push) void keepPush();
  });
  seen(() => void registration.update().catch(() => undefined));
}

async function start(): Promise<void> {
  document.title = t("app.name");
  watchVersion();
  const account = device.account(), learning = learnPlace();
  if (account && !place.value.websockets.length) await learning;
  if (account && place.value.websockets.length) await open(account);
  render(<App />, document.getElementById("app") as HTMLElement);
  listen();
  void worker().then(compare);
}

void start();
