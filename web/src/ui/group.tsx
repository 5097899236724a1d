// A new group. SPDX-License-Identifier: AGPL-3.0-or-later
import { useState } from "preact/hooks";
import { t } from "../i18n";
import { friendsOf } from "./friends";
import { Face, Field, Header } from "./parts";
import { go, isOnline, link, nameOf, personName, session, tell, withLine } from "./state";

export function NewGroup() {
  const s = session.value, [name, setName] = useState(""), [chosen, setChosen] = useState<string[]>([]), [busy, setBusy] = useState(false);
  if (!s) return null;
  async function make(): Promise<void> {
    if (!s) return;
    if (isOnline.value && !s.live.value.can.rooms) return tell(t("room.unsupported"));
    setBusy(true);
    let room = "";
    if (await withLine(s.do("makeRoom", name.trim() || chosen.map(nameOf).join(", "), chosen).then((r) => { room = r; }))) go("chats", room);
    setBusy(false);
  }
  return (
    <section class="pane-in" aria-label={t("room.new")}>
      <Header title={t("room.new")} back={link("chats")} />
      <form class="scroll padded" onSubmit={(e) => { e.preventDefault(); void make(); }}>
        <Field label={t("room.name")} value={name} onInput={setName} />
        <fieldset><legend>{t("room.choose")}</legend>
          {friendsOf(s.people.value ?? new Map()).map((p) => (
            <label class="pick" key={p.jid}><input type="checkbox" checked={chosen.includes(p.jid)} onChange={() => setChosen(chosen.includes(p.jid) ? chosen.filter((j) => j !== p.jid) : [...chosen, p.jid])} /><Face jid={p.jid} /><span dir="auto">{personName(p)}</span></label>))}
        </fieldset>
        <button type="submit" class="primary" disabled={busy || !chosen.length}>{busy ? t("login.wait") : t("room.make")}</button>
      </form>
    </section>
  );
}
