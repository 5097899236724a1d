// Another time of a history: a date, or its beginning. SPDX-License-Identifier: AGPL-3.0-or-later
import { useState } from "preact/hooks";
import { t } from "../i18n";
import { Field, Sheet } from "./parts";

const dayOf = (at: number): string => { const d = new Date(at); return `${d.getFullYear()}-${String(d.getMonth() + 1).padStart(2, "0")}-${String(d.getDate()).padStart(2, "0")}`; };

/** `at`: the day that one starts from. */
export function GoTo({ at, onPick, onClose }: { at: number; onPick(since: number): void; onClose(): void }) {
  const [day, setDay] = useState(dayOf(at));
  const pick = (since: number) => {
    if (Number.isNaN(since)) return;
    onClose();
    onPick(since);
  };
  return (
    <Sheet label={t("chat.goTo")} onClose={onClose}>
      <form onSubmit={(e) => { e.preventDefault(); pick(new Date(`${day}T00:00`).getTime()); }}>
        <h2>{t("chat.goTo")}</h2>
        <Field label={t("chat.goTo.date")} type="date" value={day} onInput={setDay} required />
        <div class="buttons"><button type="button" class="soft" onClick={() => pick(-Infinity)}>{t("chat.goTo.first")}</button><button type="submit" class="primary">{t("chat.goTo")}</button></div>
      </form>
    </Sheet>
  );
}
