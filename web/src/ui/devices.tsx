// Where the account is logged in, and the end of that. SPDX-License-Identifier: AGPL-3.0-or-later
import { useEffect, useState } from "preact/hooks";
import { t, when } from "../i18n";
import { whichOf, type Device, type Which } from "../model/devices";
import { ask, isOnline, session, withLine } from "./state";

/** What it calls itself; else what its resource begins with, as Bind 2 makes it: tag, point, 16 digits. */
const nameOf = (d: Device): string => d.name || d.software || d.sessions[0]?.replace(/\.[0-9a-f]{16}$/, "") || t("devices.unnamed");

function stateOf(d: Device): string {
  if (d.mine) return t("devices.this");
  if (d.sessions.length) return t("devices.open");
  return d.seen ? t("devices.seen", { when: when(d.seen) }) : t("devices.unseen");
}

function Row({ d, onEnd }: { d: Device; onEnd(which: Which): void }) {
  const which = whichOf(d), name = nameOf(d);
  return (
    <li class="row flat" data-device={d.mine ? "this" : "other"}><span class="row-main"><strong dir="auto">{name}</strong>
      <span class="row-line"><span dir="auto">{[d.software !== name && d.software, stateOf(d)].filter(Boolean).join(" · ")}</span></span></span>
      {!d.mine && which && <button type="button" class="soft" aria-label={t("devices.end.of", { name })} onClick={() => onEnd(which)}>{t("devices.end")}</button>}</li>
  );
}

export function Devices() {
  const s = session.value, online = isOnline.value, can = s?.live.value.can.devices, [all, setAll] = useState<Device[] | null>(null), [failed, setFailed] = useState(false);
  async function load(): Promise<void> {
    const read = await s?.do("devices").catch(() => null);
    setAll(read ?? null);
    setFailed(!read);
  }
  useEffect(() => {
    setAll(null); // what was true of another line need not be of this one
    if (online && can) void load();
  }, [s, online, can]);
  if (!s || (online && !can)) return null;
  async function end(which: Which, sure: string, yes: string): Promise<void> {
    if (!await ask(sure, yes, true)) return;
    await withLine(s?.do("logOutDevice", which), t("devices.ended"));
    await load();
  }
  const others = all?.filter((d) => !d.mine) ?? [];
  return (
    <section class="card" id="devices" aria-busy={!all && online && !failed}><h2>{t("devices.title")}</h2>
      {all ? <ul class="rows" role="list">{all.map((d) => <Row key={d.id ?? d.sessions[0]} d={d} onEnd={(which) => void end(which, t("devices.end.sure", { name: nameOf(d) }), t("devices.end"))} />)}</ul>
        : <p role="status">{online && !failed ? t("devices.reading") : t("devices.unknown")}</p>}
      {all && <p><small>{t("devices.hint")}</small></p>}
      <div class="buttons start">{others.length > 0 && <button type="button" class="danger-text" onClick={() => void end({ others: true }, t("devices.endOthers.sure", { n: others.length }), t("devices.endOthers"))}>{t("devices.endOthers")}</button>}
        {failed && online && <button type="button" class="soft" onClick={() => void load()}>{t("again")}</button>}</div>
    </section>
  );
}
