// SPDX-License-Identifier: AGPL-3.0-or-later
// conversation.js: what four people do with a library: converse(its name, its Person, the transports it has).
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { refused, until } from "./person.js";
import { bodyOf, el, field, find, findAll, form, show, textOf } from "./stanza.js";

const NS = {
  blocking: "urn:xmpp:blocking", caps: "http://jabber.org/protocol/caps", carbons: "urn:xmpp:carbons:2", disco: "http://jabber.org/protocol/disco#info",
  items: "http://jabber.org/protocol/disco#items", mam: "urn:xmpp:mam:2", muc: "http://jabber.org/protocol/muc",
  pubsub: "http://jabber.org/protocol/pubsub", event: "http://jabber.org/protocol/pubsub#event", roster: "jabber:iq:roster",
  rsm: "http://jabber.org/protocol/rsm", tune: "http://jabber.org/protocol/tune", upload: "urn:xmpp:http:upload:0",
};
const MUC_USER = NS.muc + "#user", MUC_OWNER = NS.muc + "#owner", MUC_ADMIN = NS.muc + "#admin";

const presence = (attrs = {}, ...children) => el("presence", attrs, ...children);
const chat = (to, body, type = "chat") => el("message", { to, type, id: randomUUID() }, el("body", {}, body));
const subscription = (type, from) => (s) => s.name === "presence" && s.attrs.type === type && s.attrs.from.split("/")[0] === from.bare;

async function contacts({ alice, bob, check }) {
  for (const p of [alice, bob]) {
    await p.ask("get", el("query", { xmlns: NS.roster }));
    await p.send(presence());
  }
  await alice.ask("set", el("query", { xmlns: NS.roster }, el("item", { jid: bob.bare, name: "봅" }, el("group", {}, "친구"))));
  const pushed = await alice.take((s) => s.name === "iq" && s.attrs.type === "set" && find(s, "item")?.attrs.jid === bob.bare);
  check("a contact that is added comes back as a push", find(pushed, "item")?.attrs.name === "봅" && textOf(find(pushed, "group")) === "친구", show(pushed));
  await alice.send(presence({ to: bob.bare, type: "subscribe" }));
  check("a subscription request arrives", await bob.take(subscription("subscribe", alice)));
  await bob.send(presence({ to: alice.bare, type: "subscribed" }));
  check("and its approval", await alice.take(subscription("subscribed", bob)));
  check("then the contact is seen online", await alice.take((s) => s.name === "presence" && !s.attrs.type && s.attrs.from === bob.jid));
  await bob.send(presence({ to: alice.bare, type: "subscribe" }));
  await alice.take(subscription("subscribe", bob));
  await alice.send(presence({ to: bob.bare, type: "subscribed" }));
  check("and the other way round", await bob.take((s) => s.name === "presence" && !s.attrs.type && s.attrs.from === alice.jid));
  const roster = await alice.ask("get", el("query", { xmlns: NS.roster }));
  check("the roster says so", find(roster, "item")?.attrs.subscription === "both", show(roster));
}

// The bodies in an archive, in its order.
async function archived(person, to, ...fields) {
  const queryid = randomUUID();
  const query = el("query", { xmlns: NS.mam, queryid }, form(NS.mam, ...fields), el("set", { xmlns: NS.rsm }, el("max", {}, "50")));
  await person.ask("set", query, to);
  const results = person.inbox.filter((s) => find(s, "result", NS.mam)?.attrs.queryid === queryid);
  return results.map((s) => find(find(s, "forwarded"), "message")).map((m) => bodyOf(m) || (find(m, "retracted") ? "(retracted)" : ""));
}

async function chats({ alice, bob, check }) {
  await alice.send(chat(bob.bare, "안녕 <b>bob</b> &"));
  check("a message arrives as it was written", await bob.message("안녕 <b>bob</b> &"));
  await bob.send(chat(alice.bare, "hello alice"));
  check("and the answer", await alice.message("hello alice"));
  const bodies = await archived(alice, undefined, field("with", bob.bare));
  check("the archive has both", bodies.join("|") === "안녕 <b>bob</b> &|hello alice", bodies.join("|"));
}

// BOSH: a request whose answer was lost is sent again (XEP-0124 §14.3).
async function lostAnswers({ alice, bob, check }) {
  if (!alice.loseAnswer) return;
  for (const body of ["lost once", "lost twice"]) {
    const line = alice.loseAnswer(body);
    await bob.send(chat(alice.jid, body));
    check(`an answer that did not arrive comes again (${body})`, await alice.message(body) && line.found);
  }
  await alice.send(chat(bob.jid, "after the loss"));
  check("and the session goes on", await bob.message("after the loss"));
  check("nothing comes twice", !alice.inbox.some((s) => bodyOf(s)?.startsWith("lost")));
}

const carbonOf = (kind, body) => (s) => find(s, kind, NS.carbons) && bodyOf(find(find(s, "forwarded"), "message")) === body;

async function carbons({ alice, bob, open, check }) {
  const phone = await open("alice", "phone");
  await phone.send(presence());
  await phone.ask("set", el("enable", { xmlns: NS.carbons }));
  await bob.send(chat(alice.jid, "to the desk"));
  check("a carbon of what another device receives", await phone.take(carbonOf("received", "to the desk")));
  await alice.send(chat(bob.bare, "from the desk"));
  check("and of what it sends", await phone.take(carbonOf("sent", "from the desk")));
  await phone.leave();
}

async function blocking({ alice, carol, check }) {
  const item = el("item", { jid: carol.bare });
  await alice.ask("set", el("block", { xmlns: NS.blocking }, item));
  await carol.send(chat(alice.bare, "are you there?"));
  const back = await carol.take((s) => s.name === "message" && s.attrs.type === "error");
  check("who is blocked gets an error", back && find(back, "service-unavailable"), show(back));
  const list = await alice.ask("get", el("blocklist", { xmlns: NS.blocking }));
  check("the block list names them", findAll(list, "item").map((i) => i.attrs.jid).join() === carol.bare, show(list));
  await alice.ask("set", el("unblock", { xmlns: NS.blocking }, item));
  await carol.send(chat(alice.bare, "and now?"));
  check("who is no longer blocked is heard", await alice.message("and now?"));
  check("what was blocked never came", !alice.inbox.some((s) => bodyOf(s) === "are you there?"));
}

// XEP-0115 §5: one identity, and features in their order.
function capabilities(node, ...features) {
  const text = ["client/pc//conversation", ...[...features].sort()].map((t) => t + "<").join("");
  return {
    info: el("query", { xmlns: NS.disco }, el("identity", { category: "client", type: "pc", name: "conversation" }),
      ...features.map((f) => el("feature", { var: f }))),
    caps: el("c", { xmlns: NS.caps, hash: "sha-1", node, ver: createHash("sha1").update(text).digest("base64") }),
  };
}

async function eventing({ alice, bob, check }) {
  const { info, caps } = capabilities("https://conversation.example/", NS.disco, NS.tune + "+notify");
  alice.answerDisco(info);
  await alice.send(presence({}, caps));
  const tune = el("tune", { xmlns: NS.tune }, el("title", {}, "아리랑"));
  await bob.ask("set", el("pubsub", { xmlns: NS.pubsub }, el("publish", { node: NS.tune }, el("item", { id: "current" }, tune))));
  const event = await alice.take((s) => s.name === "message" && find(s, "items", NS.event)?.attrs.node === NS.tune);
  check("what a contact publishes comes by itself", textOf(find(event, "title")) === "아리랑" && event.attrs.from === bob.bare, show(event));
  const read = await alice.ask("get", el("pubsub", { xmlns: NS.pubsub }, el("items", { node: NS.tune })), bob.bare);
  check("and is read", textOf(find(read, "title")) === "아리랑", show(read));
}

async function service(person, feature) {
  const items = await person.ask("get", el("query", { xmlns: NS.items }), person.options.domain);
  for (const { attrs: { jid } } of findAll(items, "item")) {
    const info = await person.ask("get", el("query", { xmlns: NS.disco }), jid);
    if (findAll(info, "feature").some((f) => f.attrs.var === feature)) return jid;
  }
  return null;
}

async function uploads({ alice, check }) {
  const host = await service(alice, NS.upload), data = randomBytes(100000);
  if (!check("finds the upload service", host)) return;
  const slot = await alice.ask("get", el("request", { xmlns: NS.upload, filename: "사진 1.png", size: String(data.length), "content-type": "image/png" }), host);
  const put = find(slot, "put"), headers = Object.fromEntries(findAll(put, "header").map((h) => [h.attrs.name, textOf(h)]));
  const stored = await fetch(put.attrs.url, { method: "PUT", headers: { ...headers, "Content-Type": "image/png" }, body: data });
  check("a slot takes the file", stored.status === 201, String(stored.status));
  const got = await fetch(find(slot, "get").attrs.url);
  check("and gives it back", got.ok && Buffer.compare(Buffer.from(await got.arrayBuffer()), data) === 0, String(got.status));
}

async function discovery({ alice, check }) {
  const server = await alice.ask("get", el("query", { xmlns: NS.disco }), alice.options.domain);
  const own = await alice.ask("get", el("query", { xmlns: NS.disco }), alice.bare);
  const has = (answer, feature) => findAll(answer, "feature").some((f) => f.attrs.var === feature);
  check("the server says what it can", has(server, NS.carbons) && has(server, NS.blocking), show(server));
  check("and the account", has(own, NS.mam) && find(own, "identity")?.attrs.category, show(own));
  const why = await refused(alice.ask("get", el("query", { xmlns: "urn:example:unknown" }), alice.options.domain));
  check("what it cannot is an error", why === "service-unavailable", why);
}

const enter = (room, nick, ...history) => presence({ to: `${room}/${nick}` }, el("x", { xmlns: NS.muc }, ...history));
const inside = (room, nick) => (s) => s.name === "presence" && s.attrs.from === `${room}/${nick}`
  && findAll(s, "status").some((c) => c.attrs.code === "110") && !s.attrs.type;
const has_status = (s, code) => findAll(find(s, "x", MUC_USER), "status").some((c) => c.attrs.code === code);

async function room({ alice, bob, carol, check }) {
  const host = await service(alice, NS.muc), at = `동굴@${host}`;
  await alice.send(enter(at, "Ann"));
  const made = await alice.take(inside(at, "Ann"));
  check("a group is made", made && has_status(made, "201"), show(made));
  const asked = await alice.ask("get", el("query", { xmlns: MUC_OWNER }), at);
  check("it gives its configuration as a form", findAll(asked, "field").some((f) => f.attrs.var === "muc#roomconfig_membersonly"), show(asked));
  await alice.ask("set", el("query", { xmlns: MUC_OWNER }, form(NS.muc + "#roomconfig", field("muc#roomconfig_roomname", "The cave"),
    field("muc#roomconfig_membersonly", "1"), field("muc#roomconfig_persistentroom", "1"))), at);
  const info = await bob.ask("get", el("query", { xmlns: NS.disco }), at);
  check("and is what that says", find(info, "identity").attrs.name === "The cave" && findAll(info, "feature").some((f) => f.attrs.var === "muc_membersonly"), show(info));

  await carol.send(enter(at, "Carol"));
  const no = await carol.take((s) => s.name === "presence" && s.attrs.type === "error");
  check("who is no member stays outside", no && find(no, "registration-required"), show(no));
  await alice.send(el("message", { to: at }, el("x", { xmlns: MUC_USER }, el("invite", { to: bob.bare }, el("reason", {}, "come in")))));
  const invited = await bob.take((s) => s.name === "message" && find(s, "invite", MUC_USER));
  check("an invitation arrives", invited?.attrs.from === at && textOf(find(invited, "reason")) === "come in", show(invited));
  await bob.send(enter(at, "Bob"));
  check("who is invited comes in", await bob.take(inside(at, "Bob")));
  check("and is seen", await alice.take((s) => s.name === "presence" && s.attrs.from === `${at}/Bob`));

  await bob.send(chat(at, "듣고 있어?", "groupchat"));
  const [mine, heard] = [await bob.message("듣고 있어?"), await alice.message("듣고 있어?")];
  const id = find(heard, "stanza-id")?.attrs.id;
  check("what one says both hear, with one id", id && find(mine, "stanza-id")?.attrs.id === id, show(heard));
  await roomHistory({ alice, carol, at, check });
  await moderation({ alice, bob, at, id, check });
  await alice.ask("set", el("query", { xmlns: MUC_OWNER }, el("destroy", {}, el("reason", {}, "done"))), at);
  const gone = await refused(carol.ask("get", el("query", { xmlns: NS.disco }), at));
  check("and the group ends", gone === "item-not-found", gone);
}

async function roomHistory({ alice, carol, at, check }) {
  await alice.ask("set", el("query", { xmlns: MUC_ADMIN }, el("item", { affiliation: "member", jid: carol.bare })), at);
  await carol.send(enter(at, "Carol", el("history", { maxstanzas: "10" })));
  const before = await carol.message("듣고 있어?");
  check("a new member is shown what was said", before && find(before, "delay"), show(before));
  const bodies = await archived(carol, at);
  check("and reads the group's archive", bodies.includes("듣고 있어?"), bodies.join("|"));
}

async function moderation({ alice, bob, at, id, check }) {
  await alice.ask("set", el("moderate", { xmlns: "urn:xmpp:message-moderate:1", id }, el("retract", { xmlns: "urn:xmpp:message-retract:1" })), at);
  const taken = await bob.take((s) => s.attrs.type === "groupchat" && find(s, "retract")?.attrs.id === id);
  check("a moderator takes a message out", taken?.attrs.from === at, show(taken));
  const bodies = await archived(alice, at);
  check("of the archive too", bodies.includes("(retracted)") && !bodies.includes("듣고 있어?"), bodies.join("|"));
  await alice.ask("set", el("query", { xmlns: MUC_ADMIN }, el("item", { nick: "Bob", role: "none" }, el("reason", {}, "enough"))), at);
  const out = await bob.take((s) => s.name === "presence" && s.attrs.type === "unavailable" && has_status(s, "307"));
  check("and removes somebody", out?.attrs.from === `${at}/Bob`, show(out));
}

async function resumption({ carol, open, check }) {
  const dave = await open("dave", "desk");
  await dave.send(presence());
  if (!check("stream management is on", await until(() => dave.managed))) return;
  await dave.send(chat(carol.bare, "before the break"));
  check("what was sent is acknowledged", await carol.message("before the break") && await until(() => dave.unacknowledged() === 0));
  const { jid } = dave;
  await dave.send(chat(carol.bare, "in the break"));
  dave.cut();
  await carol.send(chat(jid, "meanwhile"));
  check("a broken stream is resumed", await dave.resumed());
  check("what came in between is there", await dave.message("meanwhile"));
  await dave.send(chat(carol.bare, "after the break"));
  check("and what was being sent arrives", await carol.message("in the break") && await carol.message("after the break"));
  check("once", !carol.inbox.some((s) => bodyOf(s) === "in the break") && !dave.inbox.some((s) => bodyOf(s) === "meanwhile"));
  await dave.leave();
}

const ACTS = [contacts, chats, lostAnswers, carbons, blocking, eventing, uploads, discovery, room, resumption];

export async function converse(library, Client, transports) {
  const options = JSON.parse(process.argv[2]);
  let failed = 0;
  const check = (what, ok, detail = "") => {
    if (!ok) failed++;
    console.log(`${ok ? "ok   " : "FAIL "} ${library}: ${what}${ok ? "" : "\n      " + detail}`);
    return Boolean(ok);
  };
  const open = (name, resource, transport = "websocket") => new Client(options, name, resource, transport).connect();
  try {
    const people = {};
    for (const [n, name] of ["alice", "bob", "carol"].entries()) {
      const transport = transports[n % transports.length];
      people[name] = await open(name, "desk", transport);
      check(`${name} logs in over ${transport}`, people[name].jid.startsWith(`${people[name].bare}/desk`), people[name].jid);
    }
    await people.carol.send(presence());
    for (const act of ACTS) await act({ ...people, open, check });
    for (const p of Object.values(people)) await p.leave();
    check("all leave", true);
  } catch (e) {
    check("the play came to its end", false, (e.stack ?? String(e)).replaceAll("\n", "\n      "));
  }
  process.exit(failed ? 1 : 0);
}
