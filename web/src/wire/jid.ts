// Addresses. SPDX-License-Identifier: AGPL-3.0-or-later

export const bare = (jid: string): string => jid.split("/", 1)[0];
export const localOf = (jid: string): string => (jid.includes("@") ? jid.slice(0, jid.indexOf("@")) : "");
export const domainOf = (jid: string): string => bare(jid).slice(jid.indexOf("@") + 1);

export function resourceOf(jid: string): string {
  const slash = jid.indexOf("/");
  return slash < 0 ? "" : jid.slice(slash + 1);
}

/** What a person typed as a bare address, or null. A name alone is one of `domain`. */
export function addressOf(typed: string, domain: string): string | null {
  const t = typed.trim().replace(/^xmpp:/i, "").split("?", 1)[0].toLowerCase();
  const jid = t.includes("@") ? t : `${t}@${domain}`;
  return /^[^\s@/'"&<>:]+@[^\s@/'"&<>]+$/.test(jid) ? jid : null;
}

/** XEP-0106: a name that holds spaces and the like. */
export function localUnescape(local: string): string {
  return local.replace(/\\(20|22|26|27|2f|3a|3c|3e|40|5c)/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
}
