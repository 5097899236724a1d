// SPDX-License-Identifier: AGPL-3.0-or-later
// xmpp_client.js: @xmpp/client, over WebSocket, TCP with STARTTLS, and TLS.
import { webcrypto } from "node:crypto";
import WebSocket from "ws";
import { client, xml } from "@xmpp/client";
import { converse } from "./conversation.js";
import { Person, until } from "./person.js";

globalThis.crypto ??= webcrypto;        // Node 18 has it here only
globalThis.WebSocket = WebSocket;       // that of Node takes no certificate of a test
// An error that answers a question before its bytes are said to be written is rejected before @xmpp/iq waits for it; it is thrown then.
process.on("unhandledRejection", (e) => { if (e?.name !== "StanzaError") throw e; });

const ours = (e) => xml(e.name, e.attrs, ...e.children.map((c) => typeof c === "string" ? c : ours(c)));
const theirs = (e) => ({
  name: e.getName(), ns: e.getNS(), attrs: e.attrs,
  children: e.children.map((c) => typeof c === "string" ? c : theirs(c)),
});

class XmppClient extends Person {
  async connect() {
    const { domain, password, services } = this.options;
    this.xmpp = client({ service: services[this.transport], domain, resource: this.resource, username: this.name, password, timeout: 20000 });
    this.xmpp.on("error", (e) => { this.trouble = e; });
    this.xmpp.streamManagement.on("resumed", () => { this.resumptions++; });
    this.resumptions = 0;
    this.xmpp.on("stanza", (s) => this.came(theirs(s)));
    // What start() promises is missed when the answer to its <stream> comes before TCP has said that it is written; what is online, is.
    this.xmpp.start().catch((e) => { this.trouble = e; });
    if (!await until(() => this.xmpp.status === "online", 60)) throw this.trouble ?? new Error(`${this.name} is ${this.xmpp.status}`);
    this.jid = this.xmpp.jid.toString();
    return this;
  }

  send(e) {
    return this.xmpp.send(ours(e));
  }

  async ask(type, e, to) {
    const answer = theirs(await this.xmpp.iqCaller.request(ours({ name: "iq", attrs: { type, ...(to && { to }) }, children: [e] })));
    this.inbox = this.inbox.filter((s) => s.attrs.id !== answer.attrs.id || s.name !== "iq");
    return answer;
  }

  answerDisco(info) {
    this.xmpp.iqCallee.get("http://jabber.org/protocol/disco#info", "query", ({ element }) =>
      ours({ ...info, attrs: { ...info.attrs, ...(element.attrs.node && { node: element.attrs.node }) } }));
  }

  cut() {
    const { socket } = this.xmpp.socket;
    (socket.terminate ?? socket.destroy).call(socket);
    this.cutAt = this.resumptions;
  }

  resumed() {
    return until(() => this.resumptions > this.cutAt);
  }

  unacknowledged() {
    return this.xmpp.streamManagement.outbound_q.length;
  }

  get managed() {
    return this.xmpp.streamManagement.enabled && this.xmpp.streamManagement.id !== "";
  }

  leave() {
    return this.xmpp.stop();
  }
}

await converse("@xmpp/client", XmppClient, ["websocket", "starttls", "tls"]);
