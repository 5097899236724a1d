// One calm line: what works now and what waits. Nothing is said about what is as it should be, nor about the blink of an eye.
// SPDX-License-Identifier: AGPL-3.0-or-later
import { useEffect, useState } from "preact/hooks";
import { t } from "../i18n";
import { toShow } from "../model/announcements";
import { Beacon } from "./icons";
import { IconButton } from "./parts";
import { place, session, updateReady } from "./state";

const PATIENCE_MS = 900, JOY_MS = 1600, BRIEF = 160, LONGEST_MS = 2 ** 31 - 1;

/** What the operator announces: the newest that was not closed here. Else what the server's settings say. */
function Banner() {
  const s = session.value, a = toShow(s?.announced.value ?? null, s?.now() ?? 0), [, tick] = useState(0);
  useEffect(() => {
    if (!s || !a?.until) return undefined;
    const timer = setTimeout(() => tick((n) => n + 1), Math.min(a.until - s.now() + 50, LONGEST_MS));
    return () => clearTimeout(timer);
  }, [a?.id]);
  if (!s || !a) return place.value.banner ? <p class="banner"><Beacon /><span dir="auto">{place.value.banner}</span></p> : null;
  const long = a.text.length > BRIEF, words = <span class="words" dir="auto">{a.text}</span>;
  return (
    <div class="banner" key={a.id}><Beacon />
      <div>{a.subject && <strong dir="auto">{a.subject}</strong>}{long ? <details><summary>{t("banner.read")}</summary>{words}</details> : words}</div>
      <IconButton icon="close" label={t("banner.close")} onClick={() => void s.closeAnnouncement(a.id)} />
    </div>
  );
}

export function StatusLine() {
  const live = session.value?.live.value, chats = session.value?.chats.value, [, tick] = useState(0), [wasAway, setAway] = useState(false), [waiting, setWaiting] = useState(0);
  const away = live !== undefined && live.line !== "online", long = live !== undefined && Date.now() - live.since > PATIENCE_MS;
  useEffect(() => {
    const timer = setTimeout(() => tick((n) => n + 1), PATIENCE_MS + 50);
    return () => clearTimeout(timer);
  }, [live?.line, live?.since]);
  useEffect(() => { if (away && long) setAway(true); }, [away, long]);
  useEffect(() => {
    if (away || !wasAway) return undefined;
    const timer = setTimeout(() => setAway(false), JOY_MS);
    return () => clearTimeout(timer);
  }, [away, wasAway]);
  useEffect(() => { void session.value?.db.count("outbox").then(setWaiting).catch(() => undefined); }, [chats, live?.line]);

  const update = updateReady.value;
  let text = "", kind = "";
  if (away && (long || wasAway)) {
    text = waiting ? t("line.offline.waiting", { n: waiting }) : live.line === "connecting" ? t("line.connecting.long") : t("line.offline");
    kind = "away";
  } else if (wasAway && !away) {
    text = t("line.back");
    kind = "back";
  } else if (live?.syncing && long) {
    text = t("line.syncing");
    kind = "syncing";
  }
  return (
    <div class={`status ${kind}`} role="status" data-line={live?.line ?? "none"}>
      {text && <p><Beacon lit={!away} /><span>{text}</span></p>}
      <Banner />
      {update && <p><span>{t("line.outdated")}</span><button type="button" class="plain" onClick={update}>{t("line.reload")}</button></p>}
    </div>
  );
}
