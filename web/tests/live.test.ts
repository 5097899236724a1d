// What is true now: who is there, who types. SPDX-License-Identifier: AGPL-3.0-or-later
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { LiveState } from "../src/model/live";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("who is there", () => {
  it("is a person with all their devices", () => {
    const l = new LiveState(() => undefined);
    l.presence("bob@t/phone", "away");
    l.presence("bob@t/desk", "online");
    expect(l.now.presence).toEqual({ "bob@t": "online" });
    l.presence("bob@t/desk", null);
    expect(l.now.presence).toEqual({ "bob@t": "away" });
    l.presence("bob@t/phone", null);
    expect(l.now.presence).toEqual({});
  });
  it("is known again when a stream is resumed, and not after a fresh one", () => {
    const l = new LiveState(() => undefined);
    l.line("online");
    l.presence("bob@t/phone", "online");
    l.line("offline");
    expect(l.now.presence).toEqual({});
    l.line("online");
    expect(l.now.presence).toEqual({ "bob@t": "online" });
    l.fresh();
    expect(l.now.presence).toEqual({});
  });
  it("counts a bounded number of devices", () => {
    const l = new LiveState(() => undefined);
    for (let n = 0; n < 100; n++) l.presence(`bob@t/${n}`, "online");
    for (let n = 0; n < 20; n++) l.presence(`bob@t/${n}`, null);
    expect(l.now.presence).toEqual({});
  });
});

describe("who types", () => {
  it("stops by itself, and leaves nothing behind", () => {
    const l = new LiveState(() => undefined);
    l.typing("bob@t", "bob@t", true);
    l.typing("room@t", "Ann", true);
    l.typing("room@t", "Ben", true);
    expect(l.now.typing).toEqual({ "bob@t": ["bob@t"], "room@t": ["Ann", "Ben"] });
    l.typing("room@t", "Ann", false);
    vi.advanceTimersByTime(30000);
    expect([l.now.typing, vi.getTimerCount()]).toEqual([{}, 0]);
  });
});
