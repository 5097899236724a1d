// The page: log-in, friends, one conversation at a time.
// SPDX-License-Identifier: AGPL-3.0-or-later
import "./style.css";
import { chooseLanguage, language, otherLanguage, words } from "./i18n";
import { bare } from "./xml";
import { Client, type Contact, type Message, type Trouble } from "./xmpp";

interface Server {
  domain: string;
  websocket: string;
}

interface Conversation {
  jid: string;
  messages: Message[]; // in order of time
  more: boolean; // the archive has older ones
  loaded: boolean; // its newest page has been asked for
  unread: number;
}

const app = document.getElementById("app") as HTMLElement;
document.documentElement.lang = language;

let server: Server = { domain: location.hostname, websocket: `wss://${location.host}/xmpp-websocket` };
let client: Client | null = null;
let contacts: Contact[] = [];
const conversations = new Map<string, Conversation>();
const requests = new Set<string>();
let current: string | null = null;
let state: "connecting" | "online" | "offline" = "connecting";

/** h("p.note", "text", child, …) */
function h(what: string, ...children: (Node | string | null)[]): HTMLElement {
  const [tag, ...classes] = what.split(".");
  const e = document.createElement(tag);
  e.className = classes.join(" ");
  e.append(...children.filter((c) => c !== null));
  return e;
}

function button(what: string, label: string, click: () => void): HTMLElement {
  const b = h(`button.${what}`, label);
  b.setAttribute("type", "button");
  b.addEventListener("click", click);
  return b;
}

function field(type: string, label: string, autocomplete: string): HTMLInputElement {
  const i = document.createElement("input");
  i.type = type;
  i.placeholder = label;
  i.ariaLabel = label;
  i.required = true;
  i.setAttribute("autocomplete", autocomplete);
  i.autocapitalize = "off";
  return i;
}

// ---- log-in ----

function showLogIn(note: (Node | string)[] = []): void {
  const name = field("text", words.name, "username"), password = field("password", words.password, "current-password");
  const form = h("form.login", h("img.logo"), h("h1", "봉수 Bongsu"), h("p.tagline", words.tagline),
    name, password, h("button.primary", words.logIn), h("p.note", ...note),
    button("plain", otherLanguage.label, () => chooseLanguage(otherLanguage.code))) as HTMLFormElement;
  (form.querySelector("img") as HTMLImageElement).src = "/beacon.svg";
  (form.querySelector("img") as HTMLImageElement).alt = "";
  (form.querySelector(".note") as HTMLElement).role = "alert";
  form.addEventListener("submit", (e) => {
    e.preventDefault();
    logIn(bare(name.value.trim()).split("@", 1)[0], password.value);
  });
  app.replaceChildren(form);
  name.focus();
}

function trouble(what: Trouble): void {
  const url = client?.websocket.replace("wss:", "https:") ?? "";
  const link = document.createElement("a");
  link.href = url;
  link.target = "_blank";
  link.rel = "noreferrer";
  link.textContent = url;
  client = null;
  showLogIn(what === "notReached" ? [words[what], " ", link] : [words[what]]);
}

function logIn(name: string, password: string): void {
  conversations.clear();
  requests.clear();
  contacts = [];
  current = null;
  client = new Client(server.domain, server.websocket, name, password, {
    state: (s) => {
      state = s;
      showStatus();
    },
    trouble,
    roster: (list) => {
      contacts = list;
      showList();
    },
    request: (jid) => {
      requests.add(jid);
      showList();
    },
    message: take,
  });
  showFrame();
  client.connect();
}

function logOut(): void {
  client?.close();
  client = null;
  showLogIn();
}

// ---- messages ----

function conversation(jid: string): Conversation {
  let c = conversations.get(jid);
  if (!c) conversations.set(jid, (c = { jid, messages: [], more: false, loaded: false, unread: 0 }));
  return c;
}

/** The same message may come live, as a carbon and from the archive. */
function same(a: Message, b: Message): boolean {
  return a === b || (a.archiveId !== null && a.archiveId === b.archiveId) || (a.id === b.id && a.mine === b.mine);
}

function take(m: Message): void {
  const c = conversation(m.peer), known = c.messages.findIndex((k) => same(k, m));
  if (known >= 0) {
    c.messages[known] = { ...c.messages[known], ...m, archiveId: m.archiveId ?? c.messages[known].archiveId };
  } else {
    const at = c.messages.findLastIndex((k) => k.at <= m.at);
    c.messages.splice(at + 1, 0, m);
    if (!m.mine && m.peer !== current && client && state === "online") c.unread++;
  }
  if (m.peer === current) showMessages();
  showList();
}

async function loadOlder(c: Conversation): Promise<void> {
  c.more = (await client?.history(c.jid, c.messages.find((m) => m.archiveId)?.archiveId ?? null)) ?? false;
  if (current === c.jid) showMessages(true);
}

function open(jid: string): void {
  const c = conversation(jid);
  current = jid;
  c.unread = 0;
  showChat();
  showList();
  if (!c.loaded) {
    c.loaded = true;
    void loadOlder(c).then(() => showMessages());
  }
}

// ---- what is seen ----

const statusLine = h("div.status"), list = h("nav.list"), chat = h("main.chat"), messages = h("div.messages");
statusLine.role = "status";
messages.role = "log";

function showFrame(): void {
  const add = h("form.add", field("text", words.addFriendHint, "off"), h("button.plain", words.addFriend)) as HTMLFormElement;
  add.addEventListener("submit", (e) => {
    e.preventDefault();
    const input = add.querySelector("input") as HTMLInputElement;
    const jid = client?.add(input.value.trim());
    input.value = "";
    if (jid) open(jid);
  });
  const side = h("aside.side", h("header", h("strong", client?.jid ?? ""), button("plain", words.logOut, logOut)),
    statusLine, list, add);
  app.replaceChildren(h("div.frame", side, chat));
  showStatus();
  showList();
  showChat();
}

function showStatus(): void {
  statusLine.textContent = words[state];
  statusLine.dataset.state = state;
}

function nameOf(jid: string): string {
  return contacts.find((c) => c.jid === jid)?.name ?? jid;
}

function requestRow(jid: string): HTMLElement {
  const answer = (yes: boolean) => () => {
    client?.answerRequest(jid, yes);
    requests.delete(jid);
    showList();
  };
  return h("div.request", h("span", `${jid} ${words.wantsToBeFriend}`),
    h("div", button("primary", words.accept, answer(true)), button("plain", words.decline, answer(false))));
}

function row(jid: string): HTMLElement {
  const c = conversations.get(jid), last = c?.messages.at(-1);
  const b = button(jid === current ? "row.current" : "row", "", () => open(jid));
  b.append(h("span.face", [...nameOf(jid)][0] ?? "?"),
    h("span.words", h("strong", nameOf(jid)), h("small", last?.body ?? "")),
    c?.unread ? h("span.unread", String(c.unread)) : "");
  return b;
}

function showList(): void {
  const jids = [...new Set([...conversations.keys(), ...contacts.map((c) => c.jid)])];
  const latest = (jid: string) => conversations.get(jid)?.messages.at(-1)?.at ?? 0;
  jids.sort((a, b) => latest(b) - latest(a) || a.localeCompare(b));
  list.replaceChildren(...[...requests].map(requestRow), h("h2", words.friends), ...jids.map(row),
    ...(jids.length ? [] : [h("p.note", words.noFriends)]));
}

function showChat(): void {
  app.classList.toggle("talking", current !== null);
  if (current === null) {
    chat.replaceChildren(h("p.empty", words.choose));
    return;
  }
  const peer = current, box = field("text", words.write, "off");
  const form = h("form.write", box, h("button.primary", words.send)) as HTMLFormElement;
  form.addEventListener("submit", (e) => {
    e.preventDefault();
    if (box.value.trim()) client?.send(peer, box.value);
    box.value = "";
  });
  const back = button("plain.back", "‹", () => {
    current = null;
    showChat();
    showList();
  });
  back.ariaLabel = words.back;
  chat.replaceChildren(h("header", back, h("strong", nameOf(peer)), h("small", peer)), messages, form);
  showMessages();
  box.focus();
}

function bubble(m: Message): HTMLElement {
  const time = new Date(m.at).toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit" });
  const mark = m.mine ? h(`span.mark.${m.state}`, m.state === "kept" ? "✓" : m.state === "failed" ? "!" : "…") : null;
  if (mark) mark.title = mark.ariaLabel = words[m.state];
  const e = h(`div.message${m.mine ? ".mine" : ""}`, h("p", m.body), h("small", time, " ", mark));
  e.dataset.state = m.state;
  return e;
}

function showMessages(keepPlace = false): void {
  const c = current === null ? null : conversation(current);
  if (!c) return;
  const fromEnd = messages.scrollHeight - messages.scrollTop;
  const days: HTMLElement[] = [];
  let day = "";
  for (const m of c.messages) {
    const its = new Date(m.at).toLocaleDateString(language, { year: "numeric", month: "long", day: "numeric" });
    if (its !== day) days.push(h("div.day", its));
    day = its;
    days.push(bubble(m));
  }
  messages.replaceChildren(...(c.more ? [button("plain.older", words.older, () => void loadOlder(c))] : []), ...days);
  messages.scrollTop = keepPlace ? messages.scrollHeight - fromEnd : messages.scrollHeight;
}

// ---- start ----

async function start(): Promise<void> {
  const answer = await fetch("/app.json").catch(() => null);
  if (answer?.ok) server = (await answer.json()) as Server;
  showLogIn();
}

void start();
