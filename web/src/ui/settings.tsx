// Settings. SPDX-License-Identifier: AGPL-3.0-or-later
import { useEffect, useState } from "preact/hooks";
import { byName, language, size, speak, t } from "../i18n";
import { vcards } from "../model/vcard";
import type { Reach } from "../store/types";
import { Devices } from "./devices";
import { pages } from "../store/messages";
import { save } from "./download";
import { friendsOf } from "./friends";
import { Methods, methods, readMethods } from "./methods";
import { Face, Field, Header } from "./parts";
import { pictureOf } from "./picture";
import { PictureField } from "./profiles";
import { noPush, notifications, orderPush } from "./notify";
import { leave } from "./start";
import { ask, askText, choices, choose, enterSends, isOnline, menu, nameOf, session, tell, withLine } from "./state";

function Profile() {
  const s = session.value, me = s?.person(s.me), kept = s?.profiles.value?.profiles.find((p) => p.number === 0), words = kept?.status || me?.about || "";
  const [nick, setNick] = useState(me?.nick ?? ""), [about, setAbout] = useState(words), [picture, setPicture] = useState<string | null | undefined>(undefined), [behind, setBehind] = useState<string | null | undefined>(undefined), [changed, setReach] = useState<Reach | undefined>(undefined);
  const reach: Reach = changed ?? { phone: me?.told?.phone, email: me?.told?.email };
  useEffect(() => setNick(me?.nick ?? ""), [me?.nick]);
  useEffect(() => setAbout(words), [words]);
  if (!s) return null;
  return (
    <form class="card" id="profile" onSubmit={(e) => { e.preventDefault(); void withLine(s.do("saveProfile", nick.trim(), about.trim(), picture, behind, changed && { phone: changed.phone?.trim(), email: changed.email?.trim() }), t("settings.saved")); }}>
      <h2>{t("settings.profile")}</h2>
      <div class="hero">{picture ? <span class="face big"><img src={picture} alt="" /></span> : <Face jid={s.me} big />}<small>{s.me}</small>
        <div class="buttons"><label class="soft file-button">{t("settings.picture")}<input type="file" accept="image/*" onChange={(e) => { const f = e.currentTarget.files?.[0]; if (f) void pictureOf(f).then(setPicture).catch(() => undefined); }} /></label>
          {(me?.avatarUrl || picture) && <button type="button" class="plain" onClick={() => setPicture(null)}>{t("settings.pictureRemove")}</button>}</div></div>
      <Field label={t("settings.nick")} value={nick} onInput={setNick} autocomplete="nickname" />
      <Field label={t("settings.about")} value={about} onInput={setAbout} />
      {s.live.value.can.pep && <><Field label={t("person.phone")} type="tel" name="phone" value={reach.phone ?? ""} onInput={(phone) => setReach({ ...reach, phone })} hint={t("settings.reach.hint")} autocomplete="tel" />
        <Field label={t("person.email")} type="email" name="email" value={reach.email ?? ""} onInput={(email) => setReach({ ...reach, email })} autocomplete="email" /></>}
      {s.profiles.value && <PictureField kind="background" value={behind === undefined ? kept?.background : behind ?? undefined} onPick={(uri) => setBehind(uri ?? null)} />}
      <button type="submit" class="soft">{t("settings.save")}</button>
    </form>
  );
}

function Choice<T extends string>(p: { label: string; name: string; now: T; all: [T, string][]; onPick(v: T): void }) {
  return <fieldset class="choice"><legend>{p.label}</legend>{p.all.map(([v, label]) => (
    <label key={v}><input type="radio" name={p.name} checked={p.now === v} onChange={() => p.onPick(v)} /><span lang={p.name === "language" ? v : undefined}>{label}</span></label>))}</fieldset>;
}

function Look() {
  return (
    <section class="card"><h2>{t("settings.look")}</h2>
      <Choice label={t("settings.language")} name="language" now={language.value} all={[["ko", "한국어"], ["en", "English"]]} onPick={speak} />
      <Choice label={t("settings.theme")} name="theme" now={choices.value.theme ?? "system"} all={[["system", t("settings.theme.system")], ["light", t("settings.theme.light")], ["dark", t("settings.theme.dark")]]}
        onPick={(v) => choose({ theme: v === "system" ? undefined : v })} />
      <label class="check"><input type="checkbox" checked={enterSends()} onChange={(e) => choose({ enterSends: e.currentTarget.checked })} />{t("settings.enterSends")}</label><small>{t("settings.enterSends.hint")}</small>
    </section>
  );
}

function Notify() {
  const [denied, setDenied] = useState(globalThis.Notification?.permission === "denied");
  return (
    <section class="card"><h2>{t("settings.notify")}</h2>
      <label class="check"><input type="checkbox" checked={Boolean(choices.value.notify)} disabled={!("Notification" in globalThis)} onChange={async (e) => {
        const on = e.currentTarget.checked && await notifications();
        choose({ notify: on });
        if (!on) await noPush();
        setDenied(globalThis.Notification?.permission === "denied");
      }} />{t("settings.notify.on")}</label>
      <label class="check"><input type="checkbox" checked={Boolean(choices.value.tell)} disabled={!choices.value.notify} onChange={(e) => {
        const box = e.currentTarget, tell = box.checked;
        void withLine(orderPush(tell)).finally(() => { box.checked = Boolean(choices.value.tell); });
      }} />{t("settings.notify.tell")}</label><small>{t("settings.notify.tell.hint")}</small>
      {denied && <p class="error">{t("settings.notify.denied")}</p>}
    </section>
  );
}

function Password() {
  const [one, setOne] = useState(""), [two, setTwo] = useState(""), [error, setError] = useState("");
  async function change(): Promise<void> {
    if (one.length < 8) return setError(t("login.error.short"));
    if (one !== two) return setError(t("settings.password.differ"));
    setError("");
    if (await withLine(session.value?.do("password", one), t("settings.password.done"))) {
      setOne("");
      setTwo("");
      await readMethods();
    }
  }
  const title = t(methods.value?.password === false ? "settings.password.set" : "settings.password");
  return (
    <form class="card" id="password" onSubmit={(e) => { e.preventDefault(); void change(); }}><h2>{title}</h2>
      <input type="text" name="username" autocomplete="username" value={session.value?.account.name} hidden readOnly />
      <Field label={t("settings.password.new")} type="password" value={one} onInput={setOne} autocomplete="new-password" required />
      <Field label={t("settings.password.again")} type="password" value={two} onInput={setTwo} autocomplete="new-password" required />
      <p class="error" role="alert">{error}</p><button type="submit" class="soft">{title}</button>
    </form>
  );
}

function Storage() {
  const s = session.value, [what, setWhat] = useState<{ messages: number; bytes?: number; waiting: number } | null>(null);
  const count = () => void s?.storage().then(setWhat);
  useEffect(count, [s]);
  if (!s) return null;
  async function prune(months: number): Promise<void> {
    if (!s || !await ask(t("settings.prune.sure", { n: months }), t("settings.prune"), true)) return;
    const at = new Date(s.now());
    at.setMonth(at.getMonth() - months);
    tell(t("settings.pruned", { n: await s.prune(at.getTime()) }));
    count();
  }
  const chooseAge = () => { menu.value = { label: t("settings.prune"), title: true, items: [1, 3, 12].map((n) => ({ label: t("settings.prune.older", { n }), act: () => void prune(n) })) }; };
  async function all(): Promise<void> {
    if (!s) return;
    const [chats, people] = await Promise.all([s.db.getAll("chats"), s.db.getAll("people")]), parts: BlobPart[] = [];
    for await (const rows of pages(s.db)) parts.push(new Blob([`${parts.length ? "," : ""}\n${rows.map((m) => JSON.stringify(m)).join(",\n")}`]));
    const head = JSON.stringify({ account: s.me, at: new Date().toISOString(), chats, people }, null, 1);
    save(`bongsu-${s.account.name}.json`, "application/json", [head.slice(0, -2), ',\n "messages": [', ...parts, "]\n}\n"]);
  }
  return (
    <section class="card"><h2>{t("settings.storage")}</h2>
      <p>{what && [t("settings.storage.messages", { n: what.messages }), what.bytes ? t("settings.storage.size", { size: size(what.bytes) }) : "", what.waiting ? t("settings.storage.waiting", { n: what.waiting }) : ""].filter(Boolean).join(" · ")}</p>
      <div class="buttons start"><button type="button" class="soft" onClick={() => void all()}>{t("settings.export")}</button>
        <button type="button" class="soft" onClick={() => save("contacts.vcf", "text/vcard", vcards(friendsOf(s.people.value ?? new Map())))}>{t("person.exportAll")}</button>
        <button type="button" class="soft" onClick={chooseAge}>{t("settings.prune")}</button>
        <button type="button" class="soft" onClick={() => void withLine(s.do("exportAll"), t("settings.exportAll.comes"))}>{t("settings.exportAll")}</button></div>
    </section>
  );
}

function Blocked() {
  const s = session.value, all = [...(s?.people.value?.values() ?? [])].filter((p) => p.blocked).sort((a, b) => byName(a.jid, b.jid));
  if (!all.length) return null;
  return <section class="card"><h2>{t("settings.blocked")}</h2><ul class="rows" role="list">{all.map((p) => (
    <li class="row flat" key={p.jid}><Face jid={p.jid} /><span class="row-main" dir="auto">{nameOf(p.jid)}</span><button type="button" class="soft" onClick={() => void withLine(s?.do("block", p.jid, false))}>{t("person.unblock")}</button></li>))}</ul></section>;
}

function AccountCard() {
  const s = session.value;
  if (!s) return null;
  async function out(): Promise<void> {
    if (!s) return;
    const { waiting } = await s.storage(), warn = waiting ? ` ${t("settings.logout.waiting", { n: waiting })}` : "";
    if (!await ask(t("settings.logout.sure") + warn, t("settings.logout"), waiting > 0)) return;
    await leave();
  }
  async function remove(): Promise<void> {
    if (!s) return;
    const typed = await askText(t("settings.remove.sure", { name: s.account.name }), t("login.name"), t("settings.remove"), true);
    if (typed === null) return;
    if (typed.trim().toLowerCase() !== s.account.name) return tell(t("settings.failed", { why: typed }));
    if (await withLine(s.do("removeAccount"))) await leave();
  }
  const site = s.account.site;
  return (
    <section class="card" id="account"><h2>{t("settings.account")}</h2>
      <p><small>{site && isOnline.value ? t("settings.site", { site: new URL(site).host }) : s.account.domain}</small></p>
      <div class="buttons start"><button type="button" class="soft" onClick={() => void out()}>{t("settings.logout")}</button><button type="button" class="danger-text" onClick={() => void remove()}>{t("settings.remove")}</button></div>
    </section>
  );
}

export function Settings() {
  return (
    <section class="pane-in" aria-label={t("settings.title")}>
      <Header title={t("settings.title")} />
      <div class="scroll padded settings" tabIndex={0} role="group" aria-label={t("settings.title")}><Profile /><Look /><Notify /><Devices /><Password /><Methods /><Storage /><Blocked /><AccountCard /></div>
    </section>
  );
}
