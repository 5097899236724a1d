// What stands in the place to write: a draft, or the words of a message that is edited. SPDX-License-Identifier: AGPL-3.0-or-later
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Message } from "../store/types";

/** The words of an edit take the place of the draft, which comes back; `draft()` answers it meanwhile too. They do so in the task that
 * chose to edit: in one after the next paint they would take the place of what was typed until then. */
export function useWords(kept: string, edit: Message | undefined): { text: string; setText(text: string): void; draft(): string } {
  const [text, setText] = useState(kept), latest = useRef(text), before = useRef<string | null>(null);
  latest.current = text;
  useLayoutEffect(() => {
    if (edit) {
      before.current ??= latest.current;
      setText(edit.body);
    } else if (before.current !== null) {
      setText(before.current);
      before.current = null;
    }
  }, [edit]);
  return { text, setText, draft: () => before.current ?? latest.current };
}
