// The devices that the account is logged in on, and their end (docs/devices.md). Nothing of it is kept: it is true only when it is
// read. SPDX-License-Identifier: AGPL-3.0-or-later
import { NS } from "../wire/ns";
import { El, el } from "../wire/xml";
import type { Ask } from "./sync";

export interface Device {
  id?: string; // none: a session of a client without an id of its own
  mine: boolean; // it is this one
  software?: string;
  name?: string;
  seen?: number; // none: it has no token
  expires?: number;
  sessions: string[]; // resources
}

export type Which = { id: string } | { resource: string } | { others: true };

const at = (e: El, name: string): number | undefined => {
  const ms = Date.parse(e.attr(name) ?? "");
  return Number.isFinite(ms) ? ms : undefined;
};

const read = (e: El): Device => ({ id: e.attr("id"), mine: e.attr("this") === "true", software: e.textOf(NS.devices, "software"), name: e.textOf(NS.devices, "name"),
  seen: at(e, "seen"), expires: at(e, "expires"), sessions: e.all(NS.devices, "session").flatMap((s) => s.attr("resource") ?? []) });

/** This one first, then those that are open, then by when they were seen. */
const order = (a: Device, b: Device): number => Number(b.mine) - Number(a.mine) || Number(b.sessions.length > 0) - Number(a.sessions.length > 0) || (b.seen ?? 0) - (a.seen ?? 0);

export async function devices(ask: Ask): Promise<Device[]> {
  const list = (await ask("get", el(NS.devices, "devices"))).child(NS.devices, "devices");
  if (!list) throw new Error("undefined-condition");
  return list.all(NS.devices, "device").map(read).sort(order);
}

export async function logOut(ask: Ask, which: Which): Promise<void> {
  await ask("set", el(NS.devices, "end", "others" in which ? { others: "true" } : which));
}

/** What ends it: its id, or the resource of its only session. */
export const whichOf = (d: Device): Which | null => (d.id ? { id: d.id } : d.sessions[0] ? { resource: d.sessions[0] } : null);
