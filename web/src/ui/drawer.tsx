// Photos and files of a chat. SPDX-License-Identifier: AGPL-3.0-or-later
import { useEffect, useState } from "preact/hooks";
import { t } from "../i18n";
import * as store from "../store/messages";
import type { Message } from "../store/types";
import { FileView } from "./file";
import { session } from "./state";

const MOST = 60; // on the page, however many there are

export function Drawer({ jid }: { jid: string }) {
  const s = session.value, [rows, setRows] = useState<Message[]>([]), [places, setPlaces] = useState<store.Place[]>([]), place = places.at(-1) ?? null;
  useEffect(() => setPlaces([]), [jid]);
  useEffect(() => {
    let wanted = true;
    if (s) void store.drawer(s.db, jid, place, MOST).then((all) => { if (wanted) setRows(all); });
    return () => { wanted = false; };
  }, [jid, place, s?.turns.value[jid]]);
  const last = rows.at(-1);
  return <>
    <h2>{t("room.drawer")}</h2>
    {rows.length ? <div class="drawer">{rows.map((m) => <FileView key={m.key} m={m} />)}</div> : <p class="note">{t("room.drawer.none")}</p>}
    <div class="buttons">
      {places.length > 0 && <button type="button" class="soft" onClick={() => setPlaces(places.slice(0, -1))}>{t("room.drawer.newer")}</button>}
      {last && rows.length === MOST && <button type="button" class="soft" onClick={() => setPlaces([...places, { at: last.at, key: last.key }])}>{t("room.drawer.older")}</button>}
    </div>
  </>;
}
