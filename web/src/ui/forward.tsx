// To whom a message goes on. SPDX-License-Identifier: AGPL-3.0-or-later
import { signal } from "@preact/signals";
import { t } from "../i18n";
import type { Message } from "../store/types";
import { sortedChats } from "./chats";
import { friendsOf } from "./friends";
import { Face, Sheet } from "./parts";
import { go, nameOf, session } from "./state";

export const forwarding = signal<Message | null>(null);

export function ForwardHost() {
  const m = forwarding.value, s = session.value;
  if (!m || !s) return null;
  const chats = sortedChats(s.chats.value ?? []).map((c) => c.jid), friends = friendsOf(s.people.value ?? new Map()).map((p) => p.jid);
  const send = (jid: string) => {
    forwarding.value = null;
    void s.send(jid, m.body, { forwarded: true, file: m.file && { ...m.file, localId: undefined } }).then(() => go("chats", jid));
  };
  return (
    <Sheet label={t("chat.forward.to")} onClose={() => { forwarding.value = null; }}>
      <h2>{t("chat.forward.to")}</h2>
      <ul class="rows" role="list">{[...new Set([...chats, ...friends])].map((jid) => (
        <li class="row" key={jid}><button type="button" class="row-button" onClick={() => send(jid)}><Face jid={jid} /><strong dir="auto">{nameOf(jid)}</strong></button></li>))}</ul>
    </Sheet>
  );
}
