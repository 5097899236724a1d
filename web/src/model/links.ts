// Links in people's words: nothing else in them is ever followed. SPDX-License-Identifier: AGPL-3.0-or-later
const LINK = /\bhttps?:\/\/[^\s<>"']+/g;

/** The link without the stops that belong to the sentence around it. */
export function linkEnd(url: string): string {
  let out = url.replace(/[.,;:!?…。，、]+$/u, "");
  if (out.endsWith(")") && !out.includes("(")) out = out.slice(0, -1);
  return out;
}

export function linksOf(text: string): { url: string; at: number }[] {
  return [...text.matchAll(LINK)].map((m) => ({ url: linkEnd(m[0]), at: m.index })).filter(({ url }) => URL.canParse(url));
}
