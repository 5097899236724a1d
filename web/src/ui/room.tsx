// A group: who is in it, inviting, roles, its name, leaving. SPDX-License-Identifier: AGPL-3.0-or-later
import { useEffect, useState } from "preact/hooks";
import { byName, t } from "../i18n";
import { Drawer } from "./drawer";
import { friendsOf } from "./friends";
import { Face, Field, Header } from "./parts";
import { PictureField } from "./profiles";
import { ask, go, link, menu, nameOf, personName, session, withLine, type MenuItem } from "./state";

interface Member { jid: string; nick?: string; affiliation: string; here: boolean }

export function RoomPanel({ jid }: { jid: string }) {
  const s = session.value, c = s?.chat(jid), live = s?.live.value.rooms[jid], [name, setName] = useState(c?.name ?? ""), [subject, setSubject] = useState(c?.room?.subject ?? ""), [members, setMembers] = useState<{ jid: string; affiliation: string }[]>([]), [banned, setBanned] = useState<string[]>([]);
  const owner = live?.mine?.affiliation === "owner", rules = owner || live?.mine?.affiliation === "admin";
  const load = () => {
    void s?.do("members", jid).then(setMembers).catch(() => undefined);
    if (rules) void s?.do("banned", jid).then(setBanned).catch(() => undefined);
  };
  useEffect(load, [jid, live?.joined, rules]);
  useEffect(() => setName(c?.name ?? ""), [c?.name]);
  useEffect(() => setSubject(c?.room?.subject ?? ""), [c?.room?.subject]);
  if (!s) return null;
  const here: Member[] = [...(live?.occupants ?? [])].sort((a, b) => byName(a.nick, b.nick)).map((o) => ({ jid: o.jid ?? o.nick, nick: o.nick, affiliation: o.affiliation, here: true }));
  const all: Member[] = [...here, ...members.filter((m) => !here.some((h) => h.jid === m.jid)).map((m) => ({ ...m, here: false }))];
  const title = (m: Member) => (m.nick && m.jid === m.nick ? m.nick : m.jid === s.me ? t("chat.me") : nameOf(m.jid));
  const change = (who: string, what: "admin" | "member" | "none" | "outcast") => void withLine(s.do("affiliate", jid, who, what).then(load));
  function actions(m: Member): void {
    const items: MenuItem[] = [{ label: t("person.chat"), icon: "chats", act: () => go("chats", m.jid) }];
    if (owner && m.affiliation !== "owner") items.push(m.affiliation === "admin" ? { label: t("room.unmakeAdmin"), act: () => change(m.jid, "member") } : { label: t("room.makeAdmin"), act: () => change(m.jid, "admin") });
    if (rules && m.affiliation !== "owner") items.push({ label: t("room.removePerson"), danger: true, act: () => change(m.jid, "none") }, { label: t("room.ban"), danger: true, act: async () => {
      if (await ask(t("room.ban.sure", { name: title(m) }), t("room.ban"), true)) change(m.jid, "outcast");
    } });
    menu.value = { label: title(m), items };
  }
  const invite = () => {
    const inside = new Set(all.map((m) => m.jid));
    menu.value = { label: t("room.invite"), items: friendsOf(s.people.value ?? new Map()).filter((p) => !inside.has(p.jid)).map((p) => ({ label: personName(p), act: () => void withLine(s.do("invite", jid, p.jid).then(load)) })) };
  };
  return (
    <section class="panel" aria-label={nameOf(jid)}>
      <Header title={nameOf(jid)} back={link("chats", jid)} />
      <div class="scroll padded" tabIndex={0} role="group" aria-label={nameOf(jid)}>
        <div class="hero"><Face jid={jid} big /><strong dir="auto">{nameOf(jid)}</strong><small>{t("room.members", { n: all.length })}</small>{c?.room?.subject && <p dir="auto">{c.room.subject}</p>}
          <div class="buttons"><button type="button" class="primary" onClick={invite}>{t("room.invite")}</button><button type="button" class="soft" onClick={() => void s.mute(jid, !c?.muted)}>{t(c?.muted ? "chats.unmute" : "chats.mute")}</button></div></div>
        {owner && <form onSubmit={(e) => { e.preventDefault(); void withLine(s.do("renameRoom", jid, name.trim()), t("person.saved")); }}><Field label={t("room.name")} value={name} onInput={setName} /><button type="submit" class="soft">{t("room.rename")}</button></form>}
        {owner && <PictureField kind="photo" value={s.person(jid).avatarUrl} onPick={(uri) => void withLine(s.do("roomPicture", jid, uri ?? null))} />}
        {live?.mine?.role === "moderator" && <form onSubmit={(e) => { e.preventDefault(); void withLine(s.do("roomSubject", jid, subject.trim()), t("person.saved")); }}><Field label={t("room.subject")} value={subject} onInput={setSubject} /><button type="submit" class="soft">{t("settings.save")}</button></form>}
        <h2>{t("room.members", { n: all.length })}</h2>
        <ul class="rows" role="list">{all.map((m) => (
          <li class="row" key={m.jid}><button type="button" class="row-button" onClick={() => m.jid !== s.me && m.jid !== m.nick && actions(m)}><Face jid={m.jid} name={title(m)} />
            <span class="row-main"><strong dir="auto">{title(m)}</strong><span class="row-line"><span>{[m.affiliation === "owner" ? t("room.owner") : m.affiliation === "admin" ? t("room.admin") : "", m.here ? t("room.here") : ""].filter(Boolean).join(" · ")}</span></span></span></button></li>))}</ul>
        {rules && banned.length > 0 && <><h2>{t("room.banned")}</h2><ul class="rows kept-out" role="list">{banned.map((who) => (
          <li class="row flat" key={who}><Face jid={who} /><span class="row-main" dir="auto">{nameOf(who)}</span><button type="button" class="soft" onClick={() => change(who, "none")}>{t("room.unban")}</button></li>))}</ul></>}
        <Drawer jid={jid} />
        <div class="buttons start end-of-panel"><button type="button" class="danger-text" onClick={async () => {
          if (await ask(t("room.leave.sure"), t("room.leave"), true) && await withLine(s.do("leaveRoom", jid))) go("chats");
        }}>{t("room.leave")}</button></div>
      </div>
    </section>
  );
}
