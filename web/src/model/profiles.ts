// Names and pictures: one's own published by personal eventing (XEP-0084, XEP-0172), others' as their events tell; where there
// is no eventing, by vCard (XEP-0054). Pictures are kept on the device under their hash.
// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Db } from "../store/db";
import { NS } from "../wire/ns";
import { El, el } from "../wire/xml";
import type { LiveState } from "./live";
import { newPerson } from "./people";
import type { Ask } from "./sync";

const VCARD = "vcard-temp";
export const AVATAR_PX = 192, AVATAR_BYTES_MAX = 96 * 1024;

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
    } else if (node === NS.avatarMeta) {
      const id = item?.child(NS.avatarMeta, "metadata")?.elements.find((e) => e.name === "info")?.attr("id");
      if (!id) await this.change(from, { avatar: undefined, avatarUrl: undefined });
      else if ((await this.db.get("people", from))?.avatar !== id) void this.fetch(from, id).catch(() => undefined);
    }
  }

  private async fetch(jid: string, id: string): Promise<void> {
    const answer = await this.ask("get", el(NS.pubsub, "pubsub", {}, el(NS.pubsub, "items", { node: NS.avatarData }, el(NS.pubsub, "item", { id }))), jid);
    const data = answer.child(NS.pubsub, "pubsub")?.child(NS.pubsub, "items")?.elements[0]?.textOf(NS.avatarData, "data")?.replace(/\s/g, "");
    const type = data?.startsWith("/9j/") ? "jpeg" : data?.startsWith("iVBOR") ? "png" : data?.startsWith("UklGR") ? "webp" : data?.startsWith("R0lGO") ? "gif" : null;
    if (data && type && data.length < 2 * AVATAR_BYTES_MAX) await this.change(jid, { avatar: id, avatarUrl: `data:image/${type};base64,${data}` });
  }

  /** What one's own devices published, and, without eventing, the vCard of a person whose profile is opened. */
  async loadMine(): Promise<void> {
    if (!this.live.now.can.pep) return this.vcard(this.me);
    for (const node of [NS.nick, NS.avatarMeta]) {
      const answer = await this.ask("get", el(NS.pubsub, "pubsub", {}, el(NS.pubsub, "items", { node, max_items: "1" }))).catch(() => null);
      const items = answer?.child(NS.pubsub, "pubsub")?.child(NS.pubsub, "items");
      if (items) await this.event(this.me, items);
    }
  }

  async vcard(jid: string): Promise<void> {
    const card = (await this.ask("get", el(VCARD, "vCard"), jid === this.me ? undefined : jid).catch(() => null))?.child(VCARD, "vCard");
    if (!card) return;
    const nick = card.textOf(VCARD, "NICKNAME") || card.textOf(VCARD, "FN"), photo = card.child(VCARD, "PHOTO");
    const type = photo?.textOf(VCARD, "TYPE"), data = photo?.textOf(VCARD, "BINVAL")?.replace(/\s/g, ""), ours = (await this.db.get("people", jid))?.card;
    const phone = ours?.phone || card.child(VCARD, "TEL")?.textOf(VCARD, "NUMBER")?.slice(0, 100), email = ours?.email || card.child(VCARD, "EMAIL")?.textOf(VCARD, "USERID")?.slice(0, 200);
    await this.change(jid, {
      ...(nick ? { nick: nick.slice(0, 100) } : {}), ...(card.textOf(VCARD, "DESC") !== undefined ? { about: card.textOf(VCARD, "DESC")?.slice(0, 300) } : {}),
      ...(type && data && data.length < 2 * AVATAR_BYTES_MAX && /^image\/(png|jpeg|webp|gif)$/.test(type) ? { avatarUrl: `data:${type};base64,${data}` } : {}),
      ...(phone || email ? { card: { ...ours, phone, email } } : {}), // what was written down here is never replaced
    });
  }

  private publish(node: string, id: string, payload: El): Promise<El> {
    const field = (name: string, value: string, type?: string) => el(NS.data, "field", { var: name, type }, el(NS.data, "value", {}, value));
    return this.ask("set", el(NS.pubsub, "pubsub", {}, el(NS.pubsub, "publish", { node }, el(NS.pubsub, "item", { id }, payload)),
      el(NS.pubsub, "publish-options", {}, el(NS.data, "x", { type: "submit" }, field("FORM_TYPE", NS.publishOptions, "hidden"), field("pubsub#access_model", "presence"),
        field("pubsub#persist_items", "true")))));
  }

  /** `picture`: a data: URI of a PNG; null takes it away; undefined leaves it. */
  async save(nick: string, about: string, picture: string | null | undefined): Promise<void> {
    const data = picture?.slice(picture.indexOf(",") + 1);
    if (this.live.now.can.pep) {
      await this.publish(NS.nick, "current", el(NS.nick, "nick", {}, nick));
      if (data) {
        const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
        const id = [...new Uint8Array(await crypto.subtle.digest("SHA-1", bytes))].map((b) => b.toString(16).padStart(2, "0")).join("");
        await this.publish(NS.avatarData, id, el(NS.avatarData, "data", {}, data));
        await this.publish(NS.avatarMeta, id, el(NS.avatarMeta, "metadata", {}, el(NS.avatarMeta, "info", { bytes: String(bytes.length), id, type: "image/png",
          width: String(AVATAR_PX), height: String(AVATAR_PX) })));
        await this.change(this.me, { avatar: id, avatarUrl: picture });
      } else if (picture === null) {
        await this.publish(NS.avatarMeta, "none", el(NS.avatarMeta, "metadata"));
        await this.change(this.me, { avatar: undefined, avatarUrl: undefined });
      }
    }
    const kept = picture === undefined ? (await this.db.get("people", this.me))?.avatarUrl : picture;
    await this.ask("set", el(VCARD, "vCard", {}, el(VCARD, "FN", {}, nick), el(VCARD, "NICKNAME", {}, nick), el(VCARD, "DESC", {}, about),
      kept && !this.live.now.can.pep ? el(VCARD, "PHOTO", {}, el(VCARD, "TYPE", {}, kept.slice(5, kept.indexOf(";"))), el(VCARD, "BINVAL", {}, kept.slice(kept.indexOf(",") + 1))) : undefined));
    await this.change(this.me, { nick, about, ...(picture !== undefined ? { avatarUrl: picture ?? undefined } : {}) });
  }
}
