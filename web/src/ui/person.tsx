// A person: profile, what one calls them, the second way to reach them. SPDX-License-Identifier: AGPL-3.0-or-later
import { useEffect, useState } from "preact/hooks";
import { t, when } from "../i18n";
import { newPerson, type Wrong } from "../model/people";
import { vcards } from "../model/vcard";
import type { Card, Person } from "../store/types";
import { save } from "./download";
import { Drawer } from "./drawer";
import { isOver } from "./friends";
import { Face, Field, Header } from "./parts";
import { SeesWhich } from "./profiles";
import { ask, go, link, menu, nameOf, route, session, tell, withLine } from "./state";

function CardForm({ jid }: { jid: string }) {
  const s = session.value, [card, setCard] = useState<Card>(s?.person(jid).card ?? {});
  useEffect(() => setCard(s?.person(jid).card ?? {}), [jid]);
  async function keep(): Promise<void> {
    if (!s) return;
    await s.keepCard(jid, card);
    tell(t("person.saved"));
  }
  return (
    <form onSubmit={(e) => { e.preventDefault(); void keep(); }}>
      <h2>{t("person.card")}</h2>
      <p><small>{t("person.card.hint")}</small></p>
      <Field label={t("person.phone")} type="tel" value={card.phone ?? ""} onInput={(phone) => setCard({ ...card, phone })} />
      <Field label={t("person.email")} type="email" value={card.email ?? ""} onInput={(email) => setCard({ ...card, email })} />
      <Field label={t("person.note")} value={card.note ?? ""} onInput={(note) => setCard({ ...card, note })} />
      <div class="buttons start"><button type="submit" class="soft">{t("person.save")}</button>
        <button type="button" class="soft" onClick={() => s && save(`${nameOf(jid)}.vcf`, "text/vcard", vcards([{ ...s.person(jid), card }]))}>{t("person.export")}</button></div>
    </form>
  );
}

/** What they told themselves, to be used when nothing else works: also offline. */
function Told({ p }: { p: Person }) {
  if (!p.told) return null;
  const { phone, email, at } = p.told;
  return (
    <section class="told" aria-label={t("person.told")}><h2>{t("person.told")}</h2>
      {phone && <p><a href={`tel:${phone.replace(/[^+\d*#]/g, "")}`} dir="auto">{phone}</a></p>}
      {email && <p><a href={`mailto:${encodeURIComponent(email).replace("%40", "@")}`} dir="auto">{email}</a></p>}
      <p><small>{t("person.told.when", { when: when(at) })}</small></p></section>
  );
}

function report(jid: string): void {
  const s = session.value, name = nameOf(jid);
  const because = (why: Wrong) => async () => {
    if (s && await ask(t("person.report.sure", { name }), t("person.report"), true)) await withLine(s.report(jid, why), t("person.reported"));
  };
  menu.value = { label: t("person.report.why", { name }), title: true, items: [{ label: t("person.report.spam"), act: because("spam") }, { label: t("person.report.abuse"), act: because("abuse") }] };
}

export function PersonPanel({ jid }: { jid: string }) {
  const s = session.value, p = s?.people.value?.get(jid) ?? newPerson(jid), [name, setName] = useState(p.name), state = s?.live.value.presence[jid];
  useEffect(() => {
    setName(p.name);
    if (s?.live.value.line === "online") void s.do("look", jid).catch(() => undefined);
  }, [jid]);
  if (!s) return null;
  const back = route.value.tab === "friends" ? link("friends") : link("chats", jid);
  return (
    <section class="panel" aria-label={t("person.profile", { name: nameOf(jid) })}>
      <Header title={nameOf(jid)} back={back} />
      <div class="scroll padded" tabIndex={0} role="group" aria-label={t("person.profile", { name: nameOf(jid) })}>
        <div class="hero">{p.background && <img class="background" src={p.background} alt="" />}<Face jid={jid} big /><strong dir="auto">{p.nick || nameOf(jid)}</strong><small>{jid}</small><small>{p.blocked ? t("person.blocked") : state ? t(`person.${state}`) : ""}</small>{p.about && <p dir="auto">{p.about}</p>}
          <div class="buttons"><button type="button" class="primary" onClick={() => go("chats", jid)}>{t("person.chat")}</button>
            {p.listed && !isOver(p) ? <button type="button" class="soft" aria-pressed={Boolean(p.favourite)} onClick={() => void withLine(s.do("setFriend", jid, p.name, !p.favourite))}>{t(p.favourite ? "person.unfavourite" : "person.favourite")}</button>
              : <button type="button" class="soft" onClick={() => void withLine(s.do("addFriend", jid), t("friends.added", { name: nameOf(jid) }))}>{t("friends.add")}</button>}</div></div>
        {p.listed && <form onSubmit={(e) => { e.preventDefault(); void withLine(s.do("setFriend", jid, name.trim(), Boolean(p.favourite)), t("person.saved")); }}>
          <Field label={t("person.name")} value={name} onInput={setName} /><button type="submit" class="soft">{t("person.save")}</button></form>}
        {p.listed && <SeesWhich jid={jid} />}
        <Told p={p} />
        <CardForm jid={jid} />
        <Drawer jid={jid} />
        <div class="buttons start end-of-panel">
          <button type="button" class="danger-text" onClick={async () => { if (p.blocked || await ask(t("person.block.sure", { name: nameOf(jid) }), t("person.block"), true)) await withLine(s.do("block", jid, !p.blocked)); }}>{t(p.blocked ? "person.unblock" : "person.block")}</button>
          {s.live.value.can.reports && <button type="button" class="danger-text" onClick={() => report(jid)}>{t("person.report")}</button>}
          {p.listed && <button type="button" class="danger-text" onClick={async () => {
            if (await ask(t("person.remove.sure", { name: nameOf(jid) }), t("person.remove"), true) && await withLine(s.do("removeFriend", jid))) go("friends");
          }}>{t("person.remove")}</button>}
        </div>
      </div>
    </section>
  );
}
