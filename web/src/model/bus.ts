// Between the tabs of one account: what changed in the store, what the leading tab sees of the line, and questions to it.
// Any number of tabs share one store; one of them, the leader, holds the line (a Web Lock says which).
// SPDX-License-Identifier: AGPL-3.0-or-later

export interface Change { messages?: string[]; chats?: true; people?: true; profiles?: true; announced?: true }

type Word =
  | { kind: "changed"; change: Change }
  | { kind: "live"; live: unknown }
  | { kind: "hello" }
  | { kind: "ask"; id: string; name: string; args: unknown[] }
  | { kind: "answer"; id: string; value?: unknown; error?: string }
  | { kind: "out" };

export interface Hears {
  changed(c: Change): void;
  live(live: unknown): void;
  hello(): void;
  asked(name: string, args: unknown[]): Promise<unknown> | null; // null: not the leader
  out(): void;
}

const ANSWER_MS = 25000;

export class Bus {
  private readonly channel: BroadcastChannel;
  private closed = false;
  private readonly waiting = new Map<string, (w: Extract<Word, { kind: "answer" }>) => void>();

  constructor(name: string, private readonly hears: Hears) {
    this.channel = new BroadcastChannel(name);
    this.channel.onmessage = (e) => this.heard(e.data as Word);
  }

  private say(w: Word): void {
    if (!this.closed) this.channel.postMessage(w);
  }

  /** Here and in the other tabs. */
  changed(change: Change): void {
    this.say({ kind: "changed", change });
    this.hears.changed(change);
  }

  live(live: unknown): void {
    this.say({ kind: "live", live });
  }

  hello(): void {
    this.say({ kind: "hello" });
  }

  out(): void {
    this.say({ kind: "out" });
  }

  ask<T>(name: string, args: unknown[]): Promise<T> {
    const id = crypto.randomUUID();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.delete(id);
        reject(new Error("timeout"));
      }, ANSWER_MS);
      this.waiting.set(id, (w) => {
        clearTimeout(timer);
        this.waiting.delete(id);
        if (w.error !== undefined) reject(new Error(w.error));
        else resolve(w.value as T);
      });
      this.say({ kind: "ask", id, name, args });
    });
  }

  private heard(w: Word): void {
    if (w.kind === "changed") this.hears.changed(w.change);
    else if (w.kind === "live") this.hears.live(w.live);
    else if (w.kind === "hello") this.hears.hello();
    else if (w.kind === "out") this.hears.out();
    else if (w.kind === "answer") this.waiting.get(w.id)?.(w);
    else if (w.kind === "ask") this.answer(w.id, this.hears.asked(w.name, w.args));
  }

  private answer(id: string, work: Promise<unknown> | null): void {
    work?.then((value) => this.say({ kind: "answer", id, value }), (e: Error) => this.say({ kind: "answer", id, error: e.message }));
  }

  close(): void {
    this.closed = true;
    this.channel.close();
  }
}
