// The ways to log in: passkeys, and whether there is a password beside them. SPDX-License-Identifier: AGPL-3.0-or-later
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { t, when } from "../i18n";
import type { Key } from "../i18n/en";
import { PasskeyError, add, list, remove, removePassword, rename, usable, type Methods as All, type Passkey } from "../model/passkeys";
import { deviceName } from "../wire/stream";
import { ask, askText, isOnline, place, session, tell } from "./state";

const ERRORS: Record<string, Key> = { cancelled: "methods.error.cancelled", exists: "methods.error.exists", limit: "methods.error.limit", denied: "methods.error.last", lost: "needsLine" };

export const methods = signal<All | null>(null); // null: not known

const ticket = (): Promise<string> => session.value?.do("passkeyTicket") ?? Promise.reject(new PasskeyError("lost"));

/** What there is now; where that cannot be had, what was known stays. */
export async function readMethods(): Promise<void> {
  if (place.value.passkeys) methods.value = await ticket().then(list).catch(() => methods.value);
}

export function Methods() {
  const s = session.value, all = methods.value, [busy, setBusy] = useState(false), online = isOnline.value;
  useEffect(() => { methods.value = null; }, [s]); // another account's
  useEffect(() => { if (online) void readMethods(); }, [s, online]);
  if (!s || !place.value.passkeys) return null;

  /** Does it, says how it went, and shows what there is now. */
  async function work(what: (ticket: string) => Promise<void>, done: string): Promise<void> {
    setBusy(true);
    try {
      await what(await ticket());
      tell(done);
    } catch (e) {
      const why = e instanceof PasskeyError ? e.message : "lost";
      tell(ERRORS[why] ? t(ERRORS[why]) : t("settings.failed", { why }));
    } finally {
      await readMethods();
      setBusy(false);
    }
  }
  async function removeOne(k: Passkey): Promise<void> {
    if (await ask(t("methods.remove.sure", { name: k.name }), t("methods.remove"), true)) await work((ticket) => remove(ticket, k.id), t("methods.removed"));
  }
  async function renameOne(k: Passkey): Promise<void> {
    const name = (await askText(t("methods.rename.ask", { name: k.name }), t("methods.name"), t("settings.save")))?.trim();
    if (name) await work((ticket) => rename(ticket, k.id, name), t("settings.saved"));
  }
  async function withoutPassword(): Promise<void> {
    if (await ask(t("methods.password.sure", { n: all?.passkeys.length ?? 0 }), t("methods.password.remove"), true)) await work(removePassword, t("methods.password.removed"));
  }
  const isLast = all?.passkeys.length === 1 && !all.password;
  return (
    <section class="card" id="methods"><h2>{t("methods.title")}</h2>
      <p><small>{t("methods.about")}</small></p>
      {all === null ? <p>{t("methods.unknown")}</p> : <ul class="rows" role="list">{all.passkeys.map((k) => (
        <li class="way" key={k.id}>
          <span dir="auto">{k.name}</span><small>{[t("methods.made", { when: when(Date.parse(k.made)) }), k.used ? t("methods.used", { when: when(Date.parse(k.used)) }) : t("methods.unused")].join(" · ")}</small>
          <div class="buttons start">
            <button type="button" class="plain" disabled={busy} aria-label={`${k.name}: ${t("methods.rename")}`} onClick={() => void renameOne(k)}>{t("methods.rename")}</button>
            <button type="button" class="danger-text" disabled={busy || isLast} aria-label={`${k.name}: ${t("methods.remove")}`} onClick={() => void removeOne(k)}>{t("methods.remove")}</button>
          </div>
        </li>))}</ul>}
      {all && !all.password && <p><small>{t("methods.password.none")}</small></p>}
      {isLast && <p><small>{t("methods.error.last")}</small></p>}
      {usable(place.value) && <div class="buttons start"><button type="button" class="soft" disabled={busy} onClick={() => void work((ticket) => add(ticket, deviceName(), s.me), t("methods.added"))}>{t("methods.add")}</button></div>}
      {all?.password && all.passkeys.length > 0 && <div class="buttons start"><button type="button" class="danger-text" disabled={busy} onClick={() => void withoutPassword()}>{t("methods.password.remove")}</button></div>}
    </section>
  );
}
