// SPDX-License-Identifier: AGPL-3.0-or-later
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { fill } from "../src/i18n";
import { en } from "../src/i18n/en";
import { ko } from "../src/i18n/ko";
import { linkEnd, linksOf } from "../src/model/links";
import { isEmojiOnly } from "../src/ui/text";

const UI = new URL("../src/ui/", import.meta.url).pathname;

describe("words", () => {
  it("are the same in both languages, with the same blanks", () => {
    expect(Object.keys(ko).sort()).toEqual(Object.keys(en).sort());
    const blanks = (s: string) => [...new Set([...s.matchAll(/\{(\w+)/g)].map((m) => m[1]))].sort();
    for (const k of Object.keys(en) as (keyof typeof en)[]) expect([k, blanks(ko[k])]).toEqual([k, blanks(en[k])]);
  });
  it("choose by number", () => {
    expect(fill("{n|one message|{n} messages}", { n: 1 })).toBe("one message");
    expect(fill("{n|one message|{n} messages}", { n: 3 })).toBe("3 messages");
  });
  it("stand in the catalogues and nowhere else", () => {
    for (const f of readdirSync(UI).filter((n) => n.endsWith(".tsx"))) {
      const text = readFileSync(UI + f, "utf8").split("\n").filter((l) => !l.trimStart().startsWith("//")).join("\n").replace("한국어", "").replace('"English"', "");
      expect([f, text.match(/[가-힣]+/g)]).toEqual([f, null]);
      expect([f, [...text.matchAll(/(?:aria-label|title|placeholder|alt)="([^"]+)"/g)].map((m) => m[1])]).toEqual([f, []]);
      expect([f, [...text.matchAll(/<(?:p|h1|h2|button|span|strong|small|a|label|legend)[^<>{}]*>([A-Za-z][^<>{}]*)</g)].map((m) => m[1])]).toEqual([f, []]);
    }
  });
});

describe("text", () => {
  it("keeps a sentence's end out of a link", () => {
    expect([linkEnd("https://a.b/c."), linkEnd("https://a.b/c)"), linkEnd("https://a.b/(c)")]).toEqual(["https://a.b/c", "https://a.b/c", "https://a.b/(c)"]);
  });
  it("finds the links, and nothing that only looks like one", () => {
    expect(linksOf("see https://a.b/c, (http://d.e/f) javascript:x ftp://g.h https:// https://[").map((l) => [l.url, l.at])).toEqual([["https://a.b/c", 4], ["http://d.e/f", 20]]);
  });
  it("knows words from emoji", () => {
    expect([isEmojiOnly("👍🏽"), isEmojiOnly("👨‍👩‍👧"), isEmojiOnly("12"), isEmojiOnly("ok 👍")]).toEqual([true, true, false, false]);
  });
});
