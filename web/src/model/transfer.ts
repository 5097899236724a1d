// One file's way over HTTP: put in one go (XEP-0363), or gone on with from the byte that the server has
// (draft-ietf-httpbis-resumable-upload, docs/files.md). A server that knows nothing of that gets another slot and the whole file.
// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Slot } from "../store/types";

const STILL_MS = 60000, ANSWER_MS = 15000;

/** What the server has of it: bytes, or all. Null: this slot is of no use any more. Fails when it cannot be asked now. */
export async function there(url: string, slot: Slot, size: number): Promise<number | "all" | null> {
  const r = await fetch(url, { method: "HEAD", headers: slot.headers, cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
  const offset = r.headers.get("Upload-Offset");
  if (r.status >= 500 || r.status === 429) throw new Error("again");
  if (!r.ok) return null;
  if (offset !== null) return r.headers.get("Upload-Complete") === "?1" ? "all" : Number.isInteger(Number(offset)) && Number(offset) <= size ? Number(offset) : null;
  return r.headers.get("Content-Length") === String(size) ? "all" : null;
}

/** Sends what is missing behind `from`, and answers the status; 0: no answer came. `progress` is told how many of all bytes have gone. */
export function send(url: string, slot: Slot, bytes: Blob, from: number, type: string, progress: (sent: number) => void, signal: AbortSignal): Promise<number> {
  if (signal.aborted) return Promise.resolve(0);
  return new Promise((resolve) => {
    const x = new XMLHttpRequest(); // fetch tells no progress of what it sends
    const abort = () => x.abort(); // a transfer that does not move is dead; a slow one may take its time
    let still = setTimeout(abort, STILL_MS);
    x.open(from ? "PATCH" : "PUT", url);
    for (const [name, value] of slot.headers) x.setRequestHeader(name, value);
    x.setRequestHeader("Content-Type", from ? "application/partial-upload" : type);
    if (from) {
      x.setRequestHeader("Upload-Offset", String(from));
      x.setRequestHeader("Upload-Complete", "?1");
    }
    x.upload.onprogress = (e) => {
      clearTimeout(still);
      still = setTimeout(abort, STILL_MS);
      progress(from + e.loaded);
    };
    x.onloadend = () => {
      clearTimeout(still);
      signal.removeEventListener("abort", abort);
      resolve(x.status);
    };
    signal.addEventListener("abort", abort);
    x.send(from ? bytes.slice(from) : bytes);
  });
}
