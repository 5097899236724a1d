// Photos and files of a chat. SPDX-License-Identifier: AGPL-3.0-or-later
import { useEffect, useState } from "preact/hooks";
import { t } from "../i18n";
import * as store from "../store/messages";
import type { Message } from "../store/types";
import { FileView } from "./file";
import { session } from "./state";

export function Drawer({ jid }: { jid: string }) {
  const s = session.value, [all, setAll] = useState<Message[]>([]);
  useEffect(() => { if (s) void store.drawer(s.db, jid).then((rows) => setAll(rows.filter((m) => !m.file?.sticker).slice(0, 60))); }, [jid, s?.chats.value]);
  return <><h2>{t("room.drawer")}</h2>{all.length ? <div class="drawer">{all.map((m) => <FileView key={m.key} m={m} />)}</div> : <p class="note">{t("room.drawer.none")}</p>}</>;
}
