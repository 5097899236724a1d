// Contacts as vCard 4.0 (RFC 6350), for any address book. SPDX-License-Identifier: AGPL-3.0-or-later
import type { Person } from "../store/types";
import { localOf } from "../wire/jid";

const escape = (s: string): string => s.replace(/\\/g, "\\\\").replace(/\n/g, "\\n").replace(/[,;]/g, "\\$&");

/** §3.2: lines of at most 75 octets, not split inside a character. */
function fold(line: string): string {
  const out: string[] = [], size = (s: string) => new TextEncoder().encode(s).length;
  let now = "";
  for (const c of line) {
    if (size(now) + size(c) > 74) {
      out.push(now);
      now = " ";
    }
    now += c;
  }
  return [...out, now].join("\r\n");
}

export function vcards(people: Person[]): string {
  return people.map((p) => ["BEGIN:VCARD", "VERSION:4.0", `FN:${escape(p.name || p.nick || localOf(p.jid))}`, p.nick ? `NICKNAME:${escape(p.nick)}` : "",
    `IMPP:xmpp:${p.jid}`, p.card?.phone ? `TEL;VALUE=text:${escape(p.card.phone)}` : "", p.card?.email ? `EMAIL:${escape(p.card.email)}` : "", p.card?.note ? `NOTE:${escape(p.card.note)}` : "", "END:VCARD"]
    .filter(Boolean).map(fold).join("\r\n") + "\r\n").join("");
}
