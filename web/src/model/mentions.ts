// Who is called by @name in a text. SPDX-License-Identifier: AGPL-3.0-or-later

const WORD = /[\p{L}\p{N}_.-]/u, LATIN = /[\p{Script=Latin}\p{N}_]/u;

/** Where people are called, from the left. Of names that begin alike the longest counts. A Korean particle may follow a name; the
 * letters that make a longer name of it may not, nor is what stands before the @ of an address a text of its own. */
export function calls(text: string, names: string[]): { at: number; name: string }[] {
  const out: { at: number; name: string }[] = [], longest = names.filter(Boolean).sort((a, b) => b.length - a.length);
  for (let at = text.indexOf("@"); at >= 0; at = text.indexOf("@", at + 1)) {
    if (at > 0 && WORD.test(text[at - 1])) continue;
    const name = longest.find((n) => text.startsWith(n, at + 1) && !(LATIN.test(n.at(-1) as string) && LATIN.test(text[at + 1 + n.length] ?? "")));
    if (name) out.push({ at, name });
  }
  return out;
}

/** What is being written of a name in front of the caret, and where its @ is. */
export function calling(text: string, caret: number): { at: number; part: string } | null {
  const found = /(?:^|[^\p{L}\p{N}_.-])@([^\s@]*)$/u.exec(text.slice(0, caret));
  return found ? { at: caret - found[1].length - 1, part: found[1] } : null;
}
