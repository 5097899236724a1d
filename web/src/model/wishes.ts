// How a person has set their chats, muted or pinned on top: the account keeps it, an item for each chat (docs/chats.md), so that it
// holds on all their devices. What is set while the line is away holds here, and is told when it is back.
// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Db } from "../store/db";
import { newChat } from "../store/messages";
import type { Chat } from "../store/types";
import { IqError } from "../wire/client";
import { NS } from "../wire/ns";
import { type El, el } from "../wire/xml";
import { itemsOf, putItem, removeItem } from "./own_nodes";
import type { Ask } from "./sync";
import { row } from "./turn";

type Wish = Pick<Chat, "muted" | "pinned">;

const QUIET = ["never", "on-mention"]; // XEP-0492; who is called by name is told either way
const MOST = 1000;

/** Without what is meant for other kinds of clients (XEP-0492 §2.2). */
function wishOf(item: El): Wish {
  const chat = item.child(NS.chats, "chat"), set = chat?.child(NS.notifySettings, "notify")?.elements.filter((e) => e.attr("identity-category") === undefined);
  return { muted: set?.some((e) => QUIET.includes(e.name)) || undefined, pinned: chat?.child(NS.chats, "pinned") ? true : undefined };
}

const NONE: Wish = { muted: undefined, pinned: undefined };

const isSame = (a: Wish, b: Wish): boolean => a.muted === b.muted && a.pinned === b.pinned;

export class Wishes {
  private readonly inTurn = row();

  /** `changed`: some of the chats in the store have. */
  constructor(private readonly db: Db, private readonly ask: Ask, private readonly changed: () => void) {}

  /** On a new stream: what the account has holds, but for what was set here meanwhile. An account that has nothing yet learns what
   * is set here. */
  async load(): Promise<void> {
    const items = await itemsOf(this.ask, NS.chats);
    if (items) await this.take(items, items.length > MOST ? null : NONE); // of what is not read nothing is known
    else await this.inTurn(() => this.change([], (c) => (c.muted || c.pinned ? { ...c, unsaid: true } : c)));
  }

  /** One of our devices has set something, perhaps this one. */
  event(items: El): Promise<void> {
    return this.take(items.elements, null);
  }

  /** `others`: of those that have no item; null: as they are. */
  private take(items: El[], others: Wish | null): Promise<void> {
    const told = new Map(items.slice(0, MOST).map((i) => [i.attr("id") ?? "", i.name === "item" ? wishOf(i) : NONE]));
    return this.inTurn(() => this.change(told.keys(), (c) => {
      const wish = told.get(c.jid) ?? others;
      return !wish || c.unsaid || isSame(c, wish) ? c : { ...c, ...wish };
    }));
  }

  private async change(more: Iterable<string>, next: (c: Chat) => Chat): Promise<void> {
    const tx = this.db.transaction("chats", "readwrite"), known = new Map((await tx.store.getAll()).map((c) => [c.jid, c]));
    for (const jid of more) if (jid && !known.has(jid)) known.set(jid, newChat(jid, "person")); // its first message may come later
    let any = false;
    for (const c of known.values()) {
      const now = next(c);
      if (now !== c) await tx.store.put(now);
      any ||= now !== c;
    }
    await tx.done;
    if (any) this.changed();
  }

  /** What was set here, and is not told yet. */
  tell(): Promise<void> {
    return this.inTurn(async () => {
      for (const c of (await this.db.getAll("chats")).filter((k) => k.unsaid)) {
        try {
          await this.say(c);
        } catch (e) {
          if (e instanceof IqError && !e.passing) continue; // it will not have this one: that holds here alone, and the others go on
          throw e;
        }
        const tx = this.db.transaction("chats", "readwrite"), now = await tx.store.get(c.jid);
        if (now && isSame(now, c)) await tx.store.put({ ...now, unsaid: undefined });
        await tx.done;
      }
    });
  }

  private async say(c: Chat): Promise<void> {
    if (!c.muted && !c.pinned) await removeItem(this.ask, NS.chats, c.jid);
    else await putItem(this.ask, NS.chats, c.jid, el(NS.chats, "chat", {}, c.muted && el(NS.notifySettings, "notify", {}, el(NS.notifySettings, "on-mention")), c.pinned && el(NS.chats, "pinned")));
  }
}
