// One's own nodes that only one's own devices see (XEP-0223): an item for each thing, told to the devices that are there.
// SPDX-License-Identifier: AGPL-3.0-or-later
import { IqError } from "../wire/client";
import { NS } from "../wire/ns";
import { El, el } from "../wire/xml";
import type { Ask } from "./sync";

const field = (name: string, value: string, type?: string) => el(NS.data, "field", { var: name, type }, el(NS.data, "value", {}, value));

const isNone = (e: unknown): boolean => e instanceof IqError && e.condition === "item-not-found";

/** Null: there is no such node yet. */
export async function itemsOf(ask: Ask, node: string): Promise<El[] | null> {
  try {
    const answer = await ask("get", el(NS.pubsub, "pubsub", {}, el(NS.pubsub, "items", { node })));
    return answer.child(NS.pubsub, "pubsub")?.child(NS.pubsub, "items")?.elements ?? [];
  } catch (e) {
    if (isNone(e)) return null;
    throw e;
  }
}

export async function putItem(ask: Ask, node: string, id: string, payload: El): Promise<void> {
  const options = el(NS.pubsub, "publish-options", {}, el(NS.data, "x", { type: "submit" }, field("FORM_TYPE", NS.publishOptions, "hidden"),
    field("pubsub#persist_items", "true"), field("pubsub#max_items", "max"), field("pubsub#send_last_published_item", "never"), field("pubsub#access_model", "whitelist")));
  await ask("set", el(NS.pubsub, "pubsub", {}, el(NS.pubsub, "publish", { node }, el(NS.pubsub, "item", { id }, payload)), options));
}

/** Also when it is gone already. */
export async function removeItem(ask: Ask, node: string, id: string): Promise<void> {
  try {
    await ask("set", el(NS.pubsub, "pubsub", {}, el(NS.pubsub, "retract", { node, notify: "true" }, el(NS.pubsub, "item", { id }))));
  } catch (e) {
    if (!isNone(e)) throw e;
  }
}
