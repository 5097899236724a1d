// Contacts as vCard 4.0 (RFC 6350), for any address book. SPDX-License-Identifier: AGPL-3.0-or-later
import type { Person } from "../store/types";
import { domainOf, localOf, localUnescape } from "../wire/jid";

const escape = (s: string): string => s.replace(/\\/g, "\\\\").replace(/\r\n?|\n/g, "\\n").replace(/[,;]/g, "\\$&");

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

const uriOf = (jid: string): string => `xmpp:${encodeURIComponent(localOf(jid))}@${encodeURIComponent(domainOf(jid))}`; // RFC 5122

/** What we wrote down first, then what they told, unless it is the same. */
const ways = (name: string, ...values: (string | undefined)[]): string[] => [...new Set(values.filter(Boolean))].map((v) => `${name}:${escape(v as string)}`);

export function vcards(people: Person[]): string {
  return people.map((p) => ["BEGIN:VCARD", "VERSION:4.0", `FN:${escape(p.name || p.nick || localUnescape(localOf(p.jid)))}`, p.nick ? `NICKNAME:${escape(p.nick)}` : "",
    `IMPP:${uriOf(p.jid)}`, ...ways("TEL;VALUE=text", p.card?.phone, p.told?.phone), ...ways("EMAIL", p.card?.email, p.told?.email), p.card?.note ? `NOTE:${escape(p.card.note)}` : "", "END:VCARD"]
    .filter(Boolean).map(fold).join("\r\n") + "\r\n").join("");
}
