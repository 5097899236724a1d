// Words of people, with links that can be followed and mentions that stand out. Nothing in them is ever taken for markup.
// SPDX-License-Identifier: AGPL-3.0-or-later
import type { ComponentChildren } from "preact";
import { linksOf } from "../model/links";
import { calls } from "../model/mentions";

export const Followed = ({ url }: { url: string }) => <a href={url} target="_blank" rel="noreferrer noopener nofollow">{url}</a>;

export function linked(text: string, nick?: string): ComponentChildren[] {
  const out: ComponentChildren[] = [];
  let at = 0;
  for (const link of linksOf(text)) {
    out.push(...mentioned(text.slice(at, link.at), nick), <Followed url={link.url} />);
    at = link.at + link.url.length;
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
