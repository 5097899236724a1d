// The place to write, while a message is edited. Nothing is drawn, so a page of no node will do. SPDX-License-Identifier: AGPL-3.0-or-later
import { h, render } from "preact";
import { useState } from "preact/hooks";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Message } from "../src/store/types";
import { useWords } from "../src/ui/draft";

const said = (body: string) => ({ body }) as Message, page = { childNodes: [] } as unknown as Element;
let words: ReturnType<typeof useWords>, edit: (m: Message | undefined) => void;

function Place() {
  const [message, setMessage] = useState<Message | undefined>(undefined);
  words = useWords("to be continued", message);
  edit = setMessage;
  return null;
}

/** The end of the task, before the page is painted or a key is heard. */
const task = async () => { for (let n = 0; n < 10; n++) await Promise.resolve(); };

beforeEach(() => {
  vi.useFakeTimers();
  render(h(Place, {}), page);
});
afterEach(() => {
  render(null, page);
  vi.useRealTimers();
});

it("what one types as soon as an edit has begun stays", async () => {
  edit(said("tee at four"));
  await task();
  expect(words.text).toBe("tee at four");
  words.setText("tea at four");
  await vi.runAllTimersAsync();
  expect(words.text).toBe("tea at four");
});

it("the draft comes back after an edit, and is kept during it", async () => {
  edit(said("tee at four"));
  await task();
  expect(words.draft()).toBe("to be continued");
  edit(said("never mind"));
  await task();
  expect(words.text).toBe("never mind");
  words.setText("");
  edit(undefined);
  await task();
  words.setText(`${words.text} tomorrow`);
  await vi.runAllTimersAsync();
  expect([words.text, words.draft()]).toEqual(["to be continued tomorrow", "to be continued tomorrow"]);
});
