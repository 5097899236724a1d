// What this client can do, told in presence (XEP-0115), so that others' servers send us what we want to be notified of.
// SPDX-License-Identifier: AGPL-3.0-or-later
import { NS } from "../wire/ns";
import { El, el } from "../wire/xml";

const NODE = "https://bongsu.example/app"; // a name, not an address
const FEATURES = [NS.discoInfo, NS.caps, NS.chatStates, NS.receipts, NS.markers, NS.correct, NS.retract, NS.reactions, NS.reply, NS.oob, NS.sfs, NS.muc,
  NS.conference, NS.ping, NS.time, `${NS.avatarMeta}+notify`, `${NS.nick}+notify`, `${NS.vcard4Node}+notify`, `${NS.bookmarks}+notify`, `${NS.chats}+notify`].sort();

export function disco(node?: string): El {
  return el(NS.discoInfo, "query", { node }, el(NS.discoInfo, "identity", { category: "client", type: "web", name: "Bongsu" }),
    ...FEATURES.map((f) => el(NS.discoInfo, "feature", { var: f })));
}

let ver: Promise<string> | null = null;

async function hash(): Promise<string> {
  const text = `client/web//Bongsu<${FEATURES.join("<")}<`;
  const sum = new Uint8Array(await crypto.subtle.digest("SHA-1", new TextEncoder().encode(text)));
  return btoa(String.fromCharCode(...sum));
}

export async function caps(): Promise<El> {
  return el(NS.caps, "c", { hash: "sha-1", node: NODE, ver: await (ver ??= hash()) });
}
