// Web Push (XEP-0357): the browser's push service is told to the server; it then wakes the service worker when no tab is open.
// SPDX-License-Identifier: AGPL-3.0-or-later
import { NS } from "../wire/ns";
import { El, el } from "../wire/xml";
import type { Ask } from "./sync";

const OURS = "urn:bongsu:push:0", MUTED_MAX = 200;
const field = (name: string, value: string) => el(NS.data, "field", { var: name }, el(NS.data, "value", {}, value));

const muteOf = (chats: string[]) => el(OURS, "mute", {}, ...chats.slice(0, MUTED_MAX).map((jid) => el(OURS, "chat", { jid })));

export class Push {
  private host: string | null = null;

  constructor(private readonly ask: Ask, private readonly node: string) {}

  /** The public key that a browser subscribes with, if `host` is where pushes are ordered. */
  async key(host: string): Promise<string | undefined> {
    const answer = await this.ask("get", el(NS.discoInfo, "query"), host).catch(() => null);
    const form = answer?.child(NS.discoInfo, "query")?.all(NS.data, "x").find((x) => x.elements.some((f) => f.attr("var") === "FORM_TYPE" && f.elements[0]?.text === OURS));
    const key = form?.elements.find((f) => f.attr("var") === "vapid-key")?.elements[0]?.text;
    if (key) this.host = host;
    return key;
  }

  /** `tell`: a push may name the sender and hold the text; else only that there is something. `muted`: chats that send none, but for a
   * mention of us. */
  async enable(endpoint: string, keys: Record<string, string>, tell: boolean, muted: string[]): Promise<void> {
    if (!this.host) throw new Error("unsupported");
    const form = el(NS.data, "x", { type: "submit" }, field("FORM_TYPE", NS.publishOptions), field("subscription", JSON.stringify({ endpoint, keys })));
    await this.ask("set", el(NS.push, "enable", { jid: this.host, node: this.node }, form, ...(tell ? [el(OURS, "show", { sender: "true", body: "true" })] : []),
      muteOf(muted)));
  }

  /** The same for all of the account's devices, also for those that are asleep. */
  async mute(muted: string[]): Promise<void> {
    if (this.host) await this.ask("set", muteOf(muted));
  }

  /** The server says that what was ordered is gone: the browser's push service did not know it any more. */
  isRemoval(e: El): boolean {
    return e.child(OURS, "removed")?.attr("node") === this.node;
  }

  async disable(): Promise<void> {
    if (this.host) await this.ask("set", el(NS.push, "disable", { jid: this.host, node: this.node })).catch(() => undefined);
  }
}
