// Building and reading stanzas with the browser's own XML.
// SPDX-License-Identifier: AGPL-3.0-or-later

export const NS = {
  client: "jabber:client",
  framing: "urn:ietf:params:xml:ns:xmpp-framing",
  streams: "http://etherx.jabber.org/streams",
  sasl: "urn:ietf:params:xml:ns:xmpp-sasl",
  bind: "urn:ietf:params:xml:ns:xmpp-bind",
  roster: "jabber:iq:roster",
  sm: "urn:xmpp:sm:3",
  mam: "urn:xmpp:mam:2",
  rsm: "http://jabber.org/protocol/rsm",
  data: "jabber:x:data",
  forward: "urn:xmpp:forward:0",
  carbons: "urn:xmpp:carbons:2",
  delay: "urn:xmpp:delay",
  sid: "urn:xmpp:sid:0",
  ping: "urn:xmpp:ping",
  stanzas: "urn:ietf:params:xml:ns:xmpp-stanzas",
};

export type Child = Element | string | null;

/** el(NS.client, "message", { to }, el(NS.client, "body", {}, "text")) */
export function el(ns: string, name: string, attrs: Record<string, string | undefined>, ...children: Child[]): Element {
  const e = document.implementation.createDocument(ns, name).documentElement;
  for (const [key, value] of Object.entries(attrs)) if (value !== undefined) e.setAttribute(key, value);
  for (const child of children) if (child !== null) e.append(child);
  return e;
}

export function text(e: Element): string {
  return new XMLSerializer().serializeToString(e);
}

export function parse(xml: string): Element | null {
  const doc = new DOMParser().parseFromString(xml, "text/xml");
  return doc.querySelector("parsererror") ? null : doc.documentElement;
}

export function child(e: Element | null | undefined, ns: string, name: string): Element | null {
  if (!e) return null;
  for (const c of e.children) if (c.localName === name && c.namespaceURI === ns) return c;
  return null;
}

export function bare(jid: string): string {
  return jid.split("/", 1)[0];
}
