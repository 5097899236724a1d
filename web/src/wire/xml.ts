// Stanzas as small immutable-by-habit trees, with a parser and a writer of their own: they work in workers and in tests, where
// there is no DOM, and cost less than one. The parser takes what RFC 6120 §11 allows (no DTD, no comments, no instructions).
// SPDX-License-Identifier: AGPL-3.0-or-later

export class XmlError extends Error {}

export type Attrs = Record<string, string | undefined | null>;

export class El {
  constructor(
    readonly ns: string,
    readonly name: string,
    readonly attrs: Record<string, string> = {},
    readonly children: (El | string)[] = [],
  ) {}

  attr(name: string): string | undefined {
    return this.attrs[name];
  }

  get elements(): El[] {
    return this.children.filter((c): c is El => typeof c !== "string");
  }

  child(ns: string, name?: string): El | undefined {
    return this.elements.find((c) => c.ns === ns && (name === undefined || c.name === name));
  }

  all(ns: string, name?: string): El[] {
    return this.elements.filter((c) => c.ns === ns && (name === undefined || c.name === name));
  }

  /** Text of this element alone. */
  get text(): string {
    return this.children.filter((c) => typeof c === "string").join("");
  }

  textOf(ns: string, name: string): string | undefined {
    return this.child(ns, name)?.text;
  }

  toString(): string {
    return write(this, "");
  }
}

/** el(NS.client, "message", { to }, el(NS.client, "body", {}, "text")); what is undefined or null is left out. */
export function el(ns: string, name: string, attrs: Attrs = {}, ...children: (El | string | undefined | null | false)[]): El {
  const kept: Record<string, string> = {};
  for (const [k, v] of Object.entries(attrs)) if (v !== undefined && v !== null) kept[k] = v;
  return new El(ns, name, kept, children.filter((c): c is El | string => Boolean(c) || c === ""));
}

// ---- writing ----

/** What XML 1.0 cannot carry at all (control characters, lone surrogates) goes. */
function clean(s: string): string {
  // eslint-disable-next-line no-control-regex
  return s.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "")
    .replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
}

const escapeText = (s: string) => clean(s).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/\r/g, "&#13;");
const escapeAttr = (s: string) => escapeText(s).replace(/'/g, "&apos;").replace(/"/g, "&quot;").replace(/\n/g, "&#10;").replace(/\t/g, "&#9;");

function write(e: El, around: string): string {
  let out = `<${e.name}`;
  if (e.ns !== around) out += ` xmlns='${escapeAttr(e.ns)}'`;
  for (const [k, v] of Object.entries(e.attrs)) out += ` ${k}='${escapeAttr(v)}'`;
  if (!e.children.length) return out + "/>";
  out += ">";
  for (const c of e.children) out += typeof c === "string" ? escapeText(c) : write(c, e.ns);
  return `${out}</${e.name}>`;
}

// ---- reading ----

const ENTITIES: Record<string, string> = { amp: "&", lt: "<", gt: ">", apos: "'", quot: '"' };
const DEPTH_MAX = 72; // 64 below a stanza, as the server allows, and what an archive or a carbon puts around one

function unescape(s: string): string {
  if (!s.includes("&")) return s;
  return s.replace(/&(#x[0-9a-fA-F]+|#[0-9]+|[a-z]+);?/g, (whole, name: string) => {
    if (!whole.endsWith(";")) throw new XmlError("a reference without its end");
    if (name[0] !== "#") {
      const c = ENTITIES[name];
      if (c === undefined) throw new XmlError(`there is no entity ${name}`);
      return c;
    }
    const code = name[1] === "x" ? parseInt(name.slice(2), 16) : parseInt(name.slice(1), 10);
    if (!(code > 0 && code <= 0x10ffff)) throw new XmlError("a character that does not exist");
    return String.fromCodePoint(code);
  });
}

// Names in any script: whoever writes to us chooses them, and a frame that cannot be read ends the stream, again and again.
const TAG = /<(\/?)([A-Za-z_\u00c0-\uffff][\w.\u00b7-\uffff-]*(?::[A-Za-z_\u00c0-\uffff][\w.\u00b7-\uffff-]*)?)((?:\s+[\w.:\u00b7-\uffff-]+\s*=\s*(?:'[^'<]*'|"[^"<]*"))*)\s*(\/?)>/y;
const ATTR = /([\w.:\u00b7-\uffff-]+)\s*=\s*(?:'([^'<]*)'|"([^"<]*)")/g;

type Names = Record<string, string>; // prefix → namespace; "" is the default

function open(rawName: string, rawAttrs: string, names: Names): { e: El; names: Names; rawName: string } {
  const attrs: Record<string, string> = {};
  let scope = names;
  for (const m of rawAttrs.matchAll(ATTR)) {
    const value = unescape(m[2] ?? m[3]);
    if (m[1] === "xmlns") scope = { ...scope, "": value };
    else if (m[1].startsWith("xmlns:")) scope = { ...scope, [m[1].slice(6)]: value };
    else attrs[m[1]] = value;
  }
  const colon = rawName.indexOf(":"), prefix = colon < 0 ? "" : rawName.slice(0, colon);
  if (prefix && scope[prefix] === undefined) throw new XmlError(`the prefix ${prefix} means nothing`);
  return { e: new El(scope[prefix] ?? "", rawName.slice(colon + 1), attrs, []), names: scope, rawName };
}

/** One whole element. A frame's default namespace, where it names none, is `around`. */
export function parse(xml: string, around = ""): El {
  const stack: { e: El; names: Names; rawName: string }[] = [];
  let at = 0, root: El | null = null;
  while (at < xml.length) {
    if (xml[at] !== "<") {
      const end = xml.indexOf("<", at), text = xml.slice(at, end < 0 ? undefined : end);
      if (stack.length) stack[stack.length - 1].e.children.push(unescape(text));
      else if (text.trim()) throw new XmlError("text outside of the element");
      at = end < 0 ? xml.length : end;
      continue;
    }
    if (xml.startsWith("<![CDATA[", at) && stack.length) {
      const end = xml.indexOf("]]>", at);
      if (end < 0) throw new XmlError("a CDATA section without its end");
      stack[stack.length - 1].e.children.push(xml.slice(at + 9, end));
      at = end + 3;
      continue;
    }
    TAG.lastIndex = at;
    const m = TAG.exec(xml);
    if (!m || (root && !stack.length)) throw new XmlError("this is not one element");
    at = TAG.lastIndex;
    if (m[1]) {
      if (stack.pop()?.rawName !== m[2]) throw new XmlError(`${m[2]} ends what it did not begin`);
      continue;
    }
    const above = stack[stack.length - 1];
    const next = open(m[2], m[3], above?.names ?? { "": around, xml: "http://www.w3.org/XML/1998/namespace" });
    if (above) above.e.children.push(next.e);
    else root = next.e;
    if (!m[4] && stack.push(next) > DEPTH_MAX) throw new XmlError("nested too deeply");
  }
  if (!root || stack.length) throw new XmlError("the element does not end");
  return root;
}
