// One's own profiles: the card on the friends screen, the sheet in which one is made, and which of them a friend sees. What is
// not known is said to be so; nothing is shown as empty or as the basic one because it could not be read.
// SPDX-License-Identifier: AGPL-3.0-or-later
import { useEffect, useId, useState } from "preact/hooks";
import { byName, t, when } from "../i18n";
import { freeNumber, seenBy, type Own, type OwnProfile, type Seen } from "../model/audiences";
import { AVATAR_PX } from "../model/pictures";
import type { Person } from "../store/types";
import { Icon } from "./icons";
import { Face, Field, Sheet } from "./parts";
import { profilePicture } from "./picture";
import { ask, isOnline, link, nameOf, personName, session, tell, withLine } from "./state";

/** One's own profiles as they were read last. `sure`: on this line. */
function useOwn(): { own: Own | null; sure: boolean; failed: boolean } {
  const s = session.value, live = s?.live.value, online = isOnline.value, can = Boolean(live?.can.profiles), [failed, setFailed] = useState(false), own = s?.profiles.value ?? null;
  useEffect(() => {
    if (online && can) void s?.do("loadProfiles").then(() => setFailed(false), () => setFailed(true));
  }, [s, online, can]);
  return { own, failed: failed || !online, sure: online && !failed && own !== null && own.at >= (live?.since ?? Infinity) };
}

const contact = (p: Person): boolean => p.subscription === "both" || p.subscription === "from";

export function profileName(own: Own | null, number: number): string {
  return number === 0 ? t("profiles.basic") : own?.profiles.find((p) => p.number === number)?.name || t("profiles.number", { n: number });
}

function seenText(own: Own | null, seen: Seen): string {
  if (seen.kind === "unknown") return t("profiles.unknown");
  return seen.kind === "minimal" ? t("profiles.minimal") : profileName(own, seen.number);
}

// ---- the card on the friends screen ----

const viewersOf = (own: Own, number: number): string[] => Object.keys(own.viewers).filter((jid) => own.viewers[jid] === number);
const friendsIn = (jids: string[]): number => jids.filter((jid) => session.value?.person(jid).listed).length;

export function MeCard() {
  const s = session.value, { own, failed } = useOwn(), [editing, setEditing] = useState<OwnProfile | null>(null);
  if (!s) return null;
  const me = s.person(s.me), basic = own?.profiles.find((p) => p.number === 0), others = own?.profiles.filter((p) => p.number > 0) ?? [], free = own && freeNumber(own);
  const status = basic?.status || me.about;
  return (
    <section class="me-card" aria-label={t("profiles.mine")}>
      {basic?.background && <img class="background" src={basic.background} alt="" />}
      <ul class="rows" role="list"><li class="row me"><a href={link("settings", "profile")}><Face jid={s.me} /><span class="row-main"><strong dir="auto">{nameOf(s.me)}</strong>
        <span class="row-line"><span dir="auto">{status || s.me}</span></span></span></a></li></ul>
      {own && <ul class="chips" role="list">
        {others.map((p) => <li key={p.number}><button type="button" class="chip" onClick={() => setEditing(p)}><span dir="auto">{profileName(own, p.number)}</span>
          <small>{t("profiles.viewers", { n: friendsIn(viewersOf(own, p.number)) })}</small></button></li>)}
        {free && <li><button type="button" class="chip" onClick={() => setEditing({ number: free, name: "", status: "" })}><Icon name="plus" />{t("profiles.new")}</button></li>}
      </ul>}
      {failed && <p class="as-of"><small>{own ? t("profiles.asOf", { when: when(own.at) }) : t("profiles.unknown")}</small></p>}
      {editing && own && <Editor start={editing} own={own} onClose={() => setEditing(null)} />}
    </section>
  );
}

// ---- one profile ----

const SIZES = { photo: { width: AVATAR_PX, height: AVATAR_PX }, background: { width: 640, height: 320 } };

export function PictureField(p: { kind: "photo" | "background"; value?: string; onPick(uri: string | undefined): void }) {
  const pick = async (f: File | undefined): Promise<void> => {
    if (!f) return;
    const uri = await profilePicture(f, SIZES[p.kind].width, SIZES[p.kind].height).catch(() => null);
    if (uri) p.onPick(uri);
    else tell(t("profiles.badPicture"));
  };
  return (
    <div class="picture-field" data-kind={p.kind}>{p.value && <img src={p.value} alt="" />}
      <label class="soft file-button">{t(`profiles.${p.kind}`)}<input type="file" accept="image/*" data-picture={p.kind} onChange={(e) => { void pick(e.currentTarget.files?.[0]); e.currentTarget.value = ""; }} /></label>
      {p.value && <button type="button" class="plain" onClick={() => p.onPick(undefined)}>{t(`profiles.${p.kind}Remove`)}</button>}</div>
  );
}

function Audience({ own, number, chosen, onChange }: { own: Own; number: number; chosen: Set<string>; onChange(s: Set<string>): void }) {
  const people = [...(session.value?.people.value?.values() ?? [])].filter((p) => p.listed && !p.blocked && p.jid !== session.value?.me).sort((a, b) => byName(personName(a), personName(b)));
  const flip = (jid: string) => {
    const next = new Set(chosen);
    if (!next.delete(jid)) next.add(jid);
    onChange(next);
  };
  return (
    <fieldset class="audience"><legend>{t("profiles.who")}</legend><small>{t("profiles.who.hint")}</small>
      {people.map((p) => {
        const now = seenBy(own, p.jid, contact(p)), other = now.kind === "profile" && now.number !== 0 && now.number !== number;
        return <label class="pick" key={p.jid}><input type="checkbox" checked={chosen.has(p.jid)} onChange={() => flip(p.jid)} /><Face jid={p.jid} />
          <span class="row-main"><span dir="auto">{personName(p)}</span>{other && <small>{t("profiles.seesNow", { profile: seenText(own, now) })}</small>}</span></label>;
      })}
      {!people.length && <p><small>{t("friends.none")}</small></p>}
    </fieldset>
  );
}

function Editor({ start, own, onClose }: { start: OwnProfile; own: Own; onClose(): void }) {
  const s = session.value, [p, setP] = useState(start), before = new Set(viewersOf(own, start.number)), [chosen, setChosen] = useState(before), [busy, setBusy] = useState(false);
  const isNew = !own.profiles.some((o) => o.number === start.number);
  async function keep(): Promise<void> {
    if (!s) return;
    await s.do("keepProfile", { ...p, name: p.name.trim(), status: p.status.trim() });
    const added = [...chosen].filter((j) => !before.has(j)), gone = [...before].filter((j) => !chosen.has(j) && s.person(j).listed);
    if (added.length) await s.do("showProfile", p.number, added);
    if (gone.length) await s.do("showProfile", 0, gone);
  }
  async function act(work: Promise<unknown> | undefined, done: string): Promise<void> {
    setBusy(true);
    const went = await withLine(work, done);
    setBusy(false);
    if (went) onClose();
  }
  async function remove(): Promise<void> {
    if (await ask(before.size ? t("profiles.remove.sure", { n: before.size }) : t("profiles.remove.unseen"), t("profiles.remove"), true)) await act(s?.do("removeProfile", p.number), t("profiles.removed"));
  }
  const title = isNew ? t("profiles.new") : profileName(own, start.number);
  return (
    <Sheet label={title} onClose={onClose} class="profile-sheet">
      <h2 dir="auto">{title}</h2>
      <form onSubmit={(e) => { e.preventDefault(); void act(keep(), t("settings.saved")); }}>
        <PictureField kind="background" value={p.background} onPick={(background) => setP({ ...p, background })} />
        <PictureField kind="photo" value={p.photo} onPick={(photo) => setP({ ...p, photo })} />
        <Field label={t("settings.nick")} name="profile-name" value={p.name} onInput={(name) => setP({ ...p, name })} required />
        <Field label={t("settings.about")} name="profile-status" value={p.status} onInput={(status) => setP({ ...p, status })} />
        <Audience own={own} number={p.number} chosen={chosen} onChange={setChosen} />
        <div class="buttons">{!isNew && <button type="button" class="danger-text" disabled={busy} onClick={() => void remove()}>{t("profiles.remove")}</button>}
          <button type="submit" class="primary" disabled={busy}>{t("settings.save")}</button></div>
      </form>
    </Sheet>
  );
}

// ---- in a friend's contact sheet ----

export function SeesWhich({ jid }: { jid: string }) {
  const id = useId(), s = session.value, { own, sure } = useOwn();
  if (!s || (!own && s.live.value.line === "online" && !s.live.value.can.profiles)) return null;
  const seen = seenBy(own, jid, contact(s.person(jid))), name = nameOf(jid);
  async function pick(number: number): Promise<void> {
    if (await withLine(s?.do("showProfile", number, [jid]))) tell(t("profiles.seesNow.done", { name, profile: profileName(s?.profiles.value ?? null, number) }));
  }
  return (
    <section class="sees" aria-label={t("profiles.sees", { name })}>
      {sure && own && seen.kind === "profile" ? <p class="field"><label for={id}>{t("profiles.sees", { name })}</label>
        <select id={id} data-sees value={String(seen.number)} onChange={(e) => void pick(Number(e.currentTarget.value))}>
          <option value="0">{t("profiles.basic")}</option>
          {own.profiles.filter((p) => p.number > 0).map((p) => <option key={p.number} value={String(p.number)}>{profileName(own, p.number)}</option>)}
        </select></p>
        : <><h2>{t("profiles.sees", { name })}</h2><p data-sees={seen.kind}>{seenText(own, seen)}</p>
          {own && !sure && seen.kind !== "unknown" && <p><small>{t("profiles.asOf", { when: when(own.at) })}</small></p>}</>}
    </section>
  );
}
