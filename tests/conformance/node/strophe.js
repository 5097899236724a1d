// SPDX-License-Identifier: AGPL-3.0-or-later
// strophe.js: strophe.js, over WebSocket, and over BOSH where the server has it.
import { $build, $iq, $msg, $pres, Strophe } from "strophe.js";
import { converse } from "./conversation.js";
import { Person, until } from "./person.js";
import { loseAnswer, XMLHttpRequest } from "./xhr.js";

globalThis.XMLHttpRequest = XMLHttpRequest;

Strophe.setLogLevel(Strophe.LogLevel.FATAL);    // cut() is an error to it; every other one is missed by a check

const begin = { iq: $iq, message: $msg, presence: $pres };

function put(builder, children) {
  for (const c of children) {
    if (typeof c === "string") builder.t(c);
    else put(builder.c(c.name, c.attrs), c.children).up();
  }
  return builder;
}
const ours = (e) => put((begin[e.name] ?? ((attrs) => $build(e.name, attrs)))(e.attrs), e.children);
const theirs = (e) => ({
  name: e.localName ?? e.nodeName, ns: e.namespaceURI,
  attrs: Object.fromEntries(Array.from(e.attributes, (a) => [a.name, a.value])),
  children: Array.from(e.childNodes, (c) => c.nodeType === 1 ? theirs(c) : c.nodeValue ?? ""),
});

class StropheClient extends Person {
  async connect() {
    this.connection = new Strophe.Connection(this.options.services[this.transport], this.transport === "websocket" ? {
      enableStreamManagement: true, streamManagement: { maxUnacked: 1 } } : {});
    if (this.transport === "bosh") this.loseAnswer = loseAnswer;
    await this.logIn();
    return this;
  }

  logIn() {
    const { Status } = Strophe, c = this.connection;
    return new Promise((done, fail) => {
      c.connect(this.jid, this.options.password, (status, why) => {
        this.status = status;
        if (status === Status.CONNECTED) {
          c.addHandler((s) => { this.came(theirs(s)); return true; }, null, null);
          if (this.info) this.answerDisco(this.info);
          this.jid = c.jid;
          done();
        } else if ([Status.AUTHFAIL, Status.CONNFAIL, Status.ERROR].includes(status)) {
          fail(new Error(`${Object.keys(Status).find((n) => Status[n] === status)} ${why ?? ""}`));
        }
      });
    });
  }

  async send(e) {
    this.connection.send(ours(e));
  }

  ask(type, e, to) {
    return new Promise((done, fail) => {
      const id = this.connection.sendIQ(ours({ name: "iq", attrs: { type, ...(to && { to }) }, children: [e] }), (s) => {
        this.forget(id);
        done(theirs(s));
      }, (s) => {
        this.forget(id);
        const condition = s && Array.from(s.getElementsByTagName("*")).find((c) => c.namespaceURI === Strophe.NS.STANZAS);
        fail(Object.assign(new Error("refused"), { condition: condition?.nodeName ?? "no answer" }));
      }, 30000);
    });
  }

  // Its handlers hear answers too, before or after whoever asked.
  forget(id) {
    const answers = (s) => s.name === "iq" && s.attrs.id === id;
    this.inbox = this.inbox.filter((s) => !answers(s));
  }

  answerDisco(info) {
    this.info = info;
    this.connection.addHandler((s) => {
      const node = s.firstElementChild.getAttribute("node");
      this.send({ name: "iq", attrs: { type: "result", id: s.getAttribute("id"), to: s.getAttribute("from") },
        children: [{ ...info, attrs: { ...info.attrs, ...(node && { node }) } }] });
      return true;
    }, "http://jabber.org/protocol/disco#info", "iq", "get");
  }

  cut() {
    this.connection._proto.socket.terminate();
  }

  async resumed() {
    await until(() => this.status === Strophe.Status.DISCONNECTED);
    await this.logIn();
    return this.connection.hasResumed();
  }

  unacknowledged() {
    return this.connection.sm.state.unacked.length;
  }

  get managed() {
    return this.connection.isStreamManagementEnabled() && this.connection.sm.hasResumableState();
  }

  async leave() {
    this.connection.disconnect("bye");
    await until(() => this.status === Strophe.Status.DISCONNECTED);
  }
}

const { services } = JSON.parse(process.argv[2]);
await converse("strophe.js", StropheClient, services.bosh ? ["bosh", "websocket"] : ["websocket"]);
