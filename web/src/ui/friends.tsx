// Friends: the list, requests, adding. SPDX-License-Identifier: AGPL-3.0-or-later
import { useState } from "preact/hooks";
import { byName, t } from "../i18n";
import { invitationOf, type Invitation } from "../model/invitation";
import type { Person } from "../store/types";
import { Icon } from "./icons";
import { Face, Field, Header, IconButton, Sheet } from "./parts";
import { MeCard } from "./profiles";
import { MyCode, Scanner } from "./qr";
import { go, isOnline, link, nameOf, personName, place, route, session, tell, withLine } from "./state";

export const friendsOf = (people: Map<string, Person>): Person[] =>
  [...people.values()].filter((p) => p.listed && !p.blocked && p.jid !== session.value?.me).sort((a, b) => byName(personName(a), personName(b)));

/** Neither friend nor asked: they declined, removed us, or their account is gone. */
export const isOver = (p: Person): boolean => p.listed && p.subscription === "none" && !p.asked;

function lineOf(p: Person): string {
  const state = session.value?.live.value.presence[p.jid];
  if (p.asked && p.subscription !== "both") return t("friends.waiting");
  return isOver(p) ? t("friends.over") : p.about || (state ? t(`person.${state}`) : "");
}

function Row({ p }: { p: Person }) {
  const current = route.value.jid === p.jid;
  return (
    <li class={`row ${current ? "current" : ""}`}>
      <a href={link("friends", p.jid)} aria-current={current ? "page" : undefined}>
        <Face jid={p.jid} />
        <span class="row-main"><strong dir="auto">{personName(p)}</strong>
          <span class="row-line"><span dir="auto">{lineOf(p)}</span></span></span>
      </a>
      <IconButton icon="chats" label={`${t("person.chat")}: ${personName(p)}`} onClick={() => go("chats", p.jid)} class="row-more always" />
    </li>
  );
}

function Request({ p }: { p: Person }) {
  const s = session.value, name = personName(p);
  return (
    <li class="request"><Face jid={p.jid} /><div><p dir="auto">{t("friends.wants", { name })}</p><small>{p.jid}</small>
      <div class="buttons start"><button type="button" class="primary" onClick={() => void withLine(s?.do("answerFriend", p.jid, true))}>{t("friends.accept")}</button>
        <button type="button" class="soft" onClick={() => void withLine(s?.do("answerFriend", p.jid, false))}>{t("friends.decline")}</button></div></div></li>
  );
}

/** `start`: from the link that was opened. */
function AddFriend({ onClose, start }: { onClose(): void; start: Invitation | null }) {
  const [typed, setTyped] = useState(start?.jid ?? ""), [error, setError] = useState(""), [scanning, setScanning] = useState(false);
  async function add(text: string) {
    const s = session.value, who = s && invitationOf(text, place.value.domain || s.account.domain);
    if (!who || who.jid === s.me) {
      setError(t("friends.add.bad"));
      return;
    }
    const token = who.token ?? (who.jid === start?.jid ? start.token : undefined);
    if (await withLine(s.do("addFriend", who.jid, token), token ? undefined : t("friends.added", { name: nameOf(who.jid) }))) onClose();
  }
  return (
    <Sheet label={t("friends.add")} onClose={onClose}>
      <h2>{t("friends.add")}</h2>
      {scanning ? <Scanner onFound={(text) => { setScanning(false); setTyped(text); void add(text); }} onClose={() => setScanning(false)} /> : (
        <form onSubmit={(e) => { e.preventDefault(); void add(typed); }}>
          <Field label={t("friends.address")} value={typed} onInput={setTyped} hint={t("friends.add.hint")} required />
          <p class="error" role="alert">{error}</p>
          <div class="buttons"><button type="button" class="soft" onClick={() => setScanning(true)}><Icon name="qr" />{t("friends.scan")}</button>
            <button type="submit" class="primary">{t("friends.add")}</button></div>
        </form>)}
    </Sheet>
  );
}

const followed = (): Invitation | null => (route.value.jid ? { jid: route.value.jid, token: route.value.token } : null);

export function FriendList() {
  const s = session.value, people = s?.people.value, [adding, setAdding] = useState(route.value.more === "add"), [code, setCode] = useState(false);
  if (!s) return null;
  const friends = people ? friendsOf(people) : [], requests = people ? [...people.values()].filter((p) => p.request && !p.blocked) : [], favourites = friends.filter((p) => p.favourite);
  return (
    <section class="pane-in" aria-label={t("friends.title")}>
      <Header title={t("friends.title")}>
        <IconButton icon="qr" label={t("friends.qr")} onClick={() => setCode(true)} />
        <IconButton icon="plus" label={t("friends.add")} onClick={() => setAdding(true)} />
      </Header>
      <div class="scroll" tabIndex={-1}>
        <MeCard />
        {requests.length > 0 && <><h2>{t("friends.requests")}</h2><ul class="rows" role="list">{requests.map((p) => <Request key={p.jid} p={p} />)}</ul></>}
        {favourites.length > 0 && <><h2>{t("friends.favourites")}</h2><ul class="rows" role="list">{favourites.map((p) => <Row key={p.jid} p={p} />)}</ul></>}
        {friends.length > 0 && <><h2>{t("friends.count", { n: friends.filter((p) => !isOver(p)).length })}</h2><ul class="rows" role="list">{friends.map((p) => <Row key={p.jid} p={p} />)}</ul></>}
        {people && !friends.length && !requests.length && <p class="note">{isOnline.value ? t("friends.none") : t("line.syncing")}</p>}
      </div>
      {adding && <AddFriend start={route.value.more === "add" ? followed() : null} onClose={() => { setAdding(false); if (route.value.more === "add") go("friends"); }} />}
      {code && <MyCode onClose={() => setCode(false)} onCopied={() => tell(t("friends.copied"))} />}
    </section>
  );
}
