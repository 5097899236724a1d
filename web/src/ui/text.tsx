// Words of people, with links that can be followed and mentions that stand out. Nothing in them is ever taken for markup.
// SPDX-License-Identifier: AGPL-3.0-or-later
import type { ComponentChildren } from "preact";
import { calls } from "../model/mentions";

const LINK = /\bhttps?:\/\/[^\s<>"']+/g;

/** The link without the stops that belong to the sentence around it. */
export function linkEnd(url: string): string {
  let out = url.replace(/[.,;:!?…。，、]+$/u, "");
  if (out.endsWith(")") && !out.includes("(")) out = out.slice(0, -1);
  return out;
}

export function linked(text: string, nick?: string): ComponentChildren[] {
  const out: ComponentChildren[] = [];
  let at = 0;
  for (const m of text.matchAll(LINK)) {
    const url = linkEnd(m[0]);
    if (!URL.canParse(url)) continue;
    out.push(...mentioned(text.slice(at, m.index), nick), <a href={url} target="_blank" rel="noreferrer noopener nofollow">{url}</a>);
    at = m.index + url.length;
  }
  out.push(...mentioned(text.slice(at), nick));
  return out;
}

function mentioned(text: string, nick?: string): ComponentChildren[] {
  const out: ComponentChildren[] = [];
  let from = 0;
  for (const { at } of nick ? calls(text, [nick]) : []) {
    out.push(text.slice(from, at), <mark>@{nick}</mark>);
    from = at + `@${nick}`.length;
  }
  return [...out, text.slice(from)];
}

const EMOJI_ONLY = /^(?:\p{Extended_Pictographic}|\p{Emoji_Component}|\u200d|\ufe0f|\s)+$/u;
export const isEmojiOnly = (s: string): boolean => s.length <= 24 && /\p{Extended_Pictographic}/u.test(s) && EMOJI_ONLY.test(s) && !/^[\d#*\s]+$/.test(s);
