// A new account, over a stream of its own (XEP-0077). SPDX-License-Identifier: AGPL-3.0-or-later
import type { Place } from "../store/device";
import { Stream, type Socket } from "../wire/stream";

/** Null: made. Else the error's condition, or "lost". */
export async function register(place: Place, name: string, password: string): Promise<string | null> {
  let answer: string | null = "lost";
  for (const url of place.websockets) {
    let stream: Stream;
    try {
      stream = new Stream(new WebSocket(url, "xmpp") as unknown as Socket, place.domain, null, null,
        { bound() {}, stanza() {}, ack() {}, ackAsked() {}, heard() {}, spread() {}, end() {} });
    } catch {
      continue;
    }
    const late = setTimeout(() => stream.drop(), 12000);
    answer = await stream.registerAccount(name, password);
    clearTimeout(late);
    stream.close();
    if (answer !== "lost") return answer;
  }
  return answer;
}
