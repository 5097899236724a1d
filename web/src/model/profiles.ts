// Names and pictures: one's own published by personal eventing (XEP-0084, XEP-0172), others' as their events tell; where there
// is no eventing, by vCard (XEP-0054). Pictures are kept on the device under their hash.
// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Db } from "../store/db";
import type { Person, Reach } from "../store/types";
import { IqError } from "../wire/client";
import { NS } from "../wire/ns";
import { El, el } from "../wire/xml";
import type { LiveState } from "./live";
import { newPerson } from "./people";
import { AVATAR_PX, base64Of, photoEl, photoOf, pictureUri } from "./pictures";
import type { Ask } from "./sync";

const ITEM_GONE = ["item-not-found", "service-unavailable"];

const short = (s: string | undefined, max: number): string | undefined => s?.trim().slice(0, max) || undefined;

/** How else somebody is reached, as they tell it. An empty way takes back what was told; a card that has none takes back nothing, since
 * that of somebody of whom the server is not certain has none either, and this is for when nothing else works. */
function reachOf(card: El, before: Person["told"]): Person["told"] {
  const told = (name: string): string | undefined => {
    const e = card.child(NS.vcard4, name);
    return e && (e.textOf(NS.vcard4, "text") ?? e.textOf(NS.vcard4, "uri")?.replace(/^(tel|mailto):/i, "").split(/[;?]/, 1)[0] ?? "");
  };
  const phone = told("tel"), email = told("email");
  if (phone === undefined && email === undefined) return before;
  return phone || email ? { phone: short(phone, 100), email: short(email, 200), at: Date.now() } : undefined;
}

export class Profiles {
  constructor(private readonly db: Db, private readonly ask: Ask, private readonly live: LiveState, private readonly me: string, private readonly changed: () => void) {}

  private async change(jid: string, more: object): Promise<void> {
    const tx = this.db.transaction("people", "readwrite");
    await tx.store.put({ ...((await tx.store.get(jid)) ?? newPerson(jid)), ...more });
    await tx.done;
    this.changed();
  }

  /** An event of somebody's (XEP-0060 §7.1.2.1). Anyone can send us one; a stranger's would be answered by asking for the picture,
   * which tells that we are here, and would leave a person in the store for each. */
  async event(from: string, items: El): Promise<void> {
    if (from !== this.me && !(await this.db.get("people", from))?.listed) return;
    const node = items.attr("node"), item = items.elements.find((e) => e.name === "item");
    if (node === NS.nick) {
      await this.change(from, { nick: item?.textOf(NS.nick, "nick")?.slice(0, 100) || undefined });
    } else if (node === NS.vcard4Node) {
      const card = item?.child(NS.vcard4, "vcard");
      if (card) await this.change(from, { told: reachOf(card, (await this.db.get("people", from))?.told), about: card.child(NS.vcard4, "note")?.textOf(NS.vcard4, "text")?.slice(0, 300) || undefined });
    } else if (node === NS.avatarMeta) {
      const id = item?.child(NS.avatarMeta, "metadata")?.elements.find((e) => e.name === "info")?.attr("id");
      if (!id) await this.change(from, { avatar: undefined, avatarUrl: undefined });
      else if ((await this.db.get("people", from))?.avatar !== id) void this.fetch(from, id).catch(() => undefined);
    }
  }

  private async fetch(jid: string, id: string): Promise<void> {
    const answer = await this.ask("get", el(NS.pubsub, "pubsub", {}, el(NS.pubsub, "items", { node: NS.avatarData }, el(NS.pubsub, "item", { id }))), jid);
    const avatarUrl = pictureUri(answer.child(NS.pubsub, "pubsub")?.child(NS.pubsub, "items")?.elements[0]?.textOf(NS.avatarData, "data"));
    if (avatarUrl) await this.change(jid, { avatar: id, avatarUrl });
  }

  /** What one's own devices published, or, without eventing, one's vCard. */
  async loadMine(): Promise<void> {
    if (!this.live.now.can.pep) return void (await this.vcard(this.me, true));
    for (const node of [NS.nick, NS.avatarMeta, NS.vcard4Node]) {
      const items = await this.items(node).catch(() => undefined);
      if (items) await this.event(this.me, items);
    }
  }

  private async items(node: string, of?: string): Promise<El | undefined> {
    const answer = await this.ask("get", el(NS.pubsub, "pubsub", {}, el(NS.pubsub, "items", { node, max_items: "1" })), of);
    return answer.child(NS.pubsub, "pubsub")?.child(NS.pubsub, "items");
  }

  /** Somebody's profile is opened: the one that is meant for us, with everything in it; from a server without profiles, the vCard.
   * While neither can be read, what was known stays. */
  async look(jid: string): Promise<void> {
    const answer = await this.ask("get", el(NS.profiles, "profile"), jid).catch(() => null), p = answer?.child(NS.profiles, "profile");
    if (p)
      await this.change(jid, { nick: p.textOf(NS.profiles, "name")?.slice(0, 100) || undefined, about: p.textOf(NS.profiles, "status")?.slice(0, 300) || undefined,
        avatar: p.child(NS.profiles, "photo")?.attr("id"), avatarUrl: pictureUri(p.textOf(NS.profiles, "photo")), background: pictureUri(p.textOf(NS.profiles, "background")) });
    await this.vcard(jid, !p);
    const card = await this.items(NS.vcard4Node, jid).catch(() => undefined);
    if (card) await this.event(jid, card);
  }

  /** `all`: name, words and photo too, not only how else they are reached. */
  private async vcard(jid: string, all: boolean): Promise<void> {
    const card = (await this.ask("get", el(NS.vcard, "vCard"), jid === this.me ? undefined : jid).catch(() => null))?.child(NS.vcard, "vCard");
    if (!card) return;
    const nick = card.textOf(NS.vcard, "NICKNAME") || card.textOf(NS.vcard, "FN"), about = card.textOf(NS.vcard, "DESC"), avatarUrl = photoOf(card);
    const phone = short(card.child(NS.vcard, "TEL")?.textOf(NS.vcard, "NUMBER"), 100), email = short(card.child(NS.vcard, "EMAIL")?.textOf(NS.vcard, "USERID"), 200);
    await this.change(jid, {
      ...(all && nick ? { nick: nick.slice(0, 100) } : {}), ...(all && about !== undefined ? { about: about.slice(0, 300) } : {}), ...(all && avatarUrl ? { avatarUrl } : {}),
      ...(phone || email ? { told: { phone, email, at: Date.now() } } : {}),
    });
  }

  private publish(node: string, id: string, payload: El): Promise<El> {
    const field = (name: string, value: string, type?: string) => el(NS.data, "field", { var: name, type }, el(NS.data, "value", {}, value));
    return this.ask("set", el(NS.pubsub, "pubsub", {}, el(NS.pubsub, "publish", { node }, el(NS.pubsub, "item", { id }, payload)),
      el(NS.pubsub, "publish-options", {}, el(NS.data, "x", { type: "submit" }, field("FORM_TYPE", NS.publishOptions, "hidden"), field("pubsub#access_model", "presence"),
        field("pubsub#persist_items", "true")))));
  }

  /** What another client of ours wrote beside name and words stays in the card; and the photo, unless there is another: a card without
   * one takes the avatar away (XEP-0398). */
  private async cardKept(photo: boolean): Promise<El[]> {
    const answer = await this.ask("get", el(NS.vcard, "vCard")).catch((e: unknown) => {
      if (e instanceof IqError && ITEM_GONE.includes(e.condition)) return null;
      throw e;
    });
    return (answer?.child(NS.vcard, "vCard")?.elements ?? []).filter((e) => !["FN", "NICKNAME", "DESC", ...(photo ? [] : ["PHOTO"])].includes(e.name));
  }

  private async card4Kept(reach: Reach | undefined): Promise<El[]> {
    const items = await this.items(NS.vcard4Node).catch((e: unknown) => {
      if (e instanceof IqError && ITEM_GONE.includes(e.condition)) return undefined;
      throw e;
    });
    const all = items?.elements.find((e) => e.name === "item")?.child(NS.vcard4, "vcard"), shown = reach ? ["tel", "email"].map((name) => all?.child(NS.vcard4, name)) : [];
    return (all?.elements ?? []).filter((e) => !["fn", "nickname", "note"].includes(e.name) && !shown.includes(e));
  }

  private async publishAvatar(picture: string): Promise<void> {
    const data = base64Of(picture), bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    const id = [...new Uint8Array(await crypto.subtle.digest("SHA-1", bytes))].map((b) => b.toString(16).padStart(2, "0")).join("");
    await this.publish(NS.avatarData, id, el(NS.avatarData, "data", {}, data));
    await this.publish(NS.avatarMeta, id, el(NS.avatarMeta, "metadata", {}, el(NS.avatarMeta, "info", { bytes: String(bytes.length), id, type: "image/png",
      width: String(AVATAR_PX), height: String(AVATAR_PX) })));
    await this.change(this.me, { avatar: id, avatarUrl: picture });
  }

  /** `picture`: a data: URI of a PNG; null takes it away; undefined leaves it, as it does `reach`: that is in the card that only friends
   * read, and so not in the vCard of XEP-0054, which everyone may read. */
  async save(nick: string, about: string, picture: string | null | undefined, reach?: Reach): Promise<void> {
    const text = (name: string, words: string) => (words ? el(NS.vcard4, name, {}, el(NS.vcard4, "text", {}, words)) : undefined), kept = await this.cardKept(picture === undefined);
    if (this.live.now.can.pep) {
      const others = await this.card4Kept(reach), way = (name: string, value = "") => reach && el(NS.vcard4, name, {}, el(NS.vcard4, "text", {}, value));
      await this.publish(NS.nick, "current", el(NS.nick, "nick", {}, nick));
      await this.publish(NS.vcard4Node, "current", el(NS.vcard4, "vcard", {}, text("fn", nick), text("nickname", nick), text("note", about), way("tel", reach?.phone), way("email", reach?.email), ...others));
      if (picture) await this.publishAvatar(picture);
      else if (picture === null) await this.publish(NS.avatarMeta, "none", el(NS.avatarMeta, "metadata"));
    }
    await this.ask("set", el(NS.vcard, "vCard", {}, el(NS.vcard, "FN", {}, nick), el(NS.vcard, "NICKNAME", {}, nick), el(NS.vcard, "DESC", {}, about), ...kept,
      picture ? photoEl(picture) : undefined));
    await this.change(this.me, { nick, about, ...(reach ? { told: { ...reach, at: Date.now() } } : {}), ...(picture !== undefined ? { avatarUrl: picture ?? undefined, ...(picture === null ? { avatar: undefined } : {}) } : {}) });
  }
}
