// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, it } from "vitest";
import { calling, calls } from "../src/model/mentions";

describe("who is called", () => {
  it.each([
    ["@bob hi @철수야!", ["bob", "철수"], [[0, "bob"], [8, "철수"]]],
    ["@bobby", ["bob", "bobby"], [[0, "bobby"]]],
    ["@bobby", ["bob"], []],
    ["@bob님, (@bob)", ["bob"], [[0, "bob"], [8, "bob"]]],
    ["mail bob@bob.example", ["bob"], []],
    ["@Kim Minji: yes", ["Kim", "Kim Minji"], [[0, "Kim Minji"]]],
    ["@", ["", "bob"], []],
  ])("in %s", (text, names, found) => {
    expect(calls(text, names as string[]).map(({ at, name }) => [at, name])).toEqual(found);
  });
  it.each([["좋아요 @gi", 7, { at: 4, part: "gi" }], ["@", 1, { at: 0, part: "" }], ["@a b", 4, null], ["me@gi", 5, null], ["(@한", 3, { at: 1, part: "한" }], ["@gina x", 2, { at: 0, part: "g" }]])("while %s is written", (text, caret, found) => {
    expect(calling(text, caret)).toEqual(found);
  });
});
