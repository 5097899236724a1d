// SPDX-License-Identifier: AGPL-3.0-or-later
// stanza.js: elements as the conversation writes and reads them; each library makes its own of them, and these of its own.

// To write: el("body", {}, "hello"). Children are elements and texts.
export const el = (name, attrs = {}, ...children) => ({ name, attrs, children });

export const field = (name, value) => el("field", { var: name }, el("value", {}, value));
export const form = (type, ...fields) =>
  el("x", { xmlns: "jabber:x:data", type: "submit" }, field("FORM_TYPE", type), ...fields);

// To read: { name, ns, attrs, children }, names without prefix. The first such element, at any depth; null: there is none.
export function find(e, name, ns) {
  for (const c of e?.children ?? []) {
    if (typeof c === "string") continue;
    if (c.name === name && (!ns || c.ns === ns)) return c;
    const below = find(c, name, ns);
    if (below) return below;
  }
  return null;
}

export function findAll(e, name) {
  return (e?.children ?? []).flatMap((c) => typeof c === "string" ? [] : [...(c.name === name ? [c] : []), ...findAll(c, name)]);
}

export const textOf = (e) => (e?.children ?? []).map((c) => typeof c === "string" ? c : textOf(c)).join("");
export const bodyOf = (m) => textOf((m?.children ?? []).find((c) => c.name === "body"));
export const show = (e) => JSON.stringify(e);
