// SPDX-License-Identifier: AGPL-3.0-or-later
// page.js: Converse.js without its face, and a few handles for drive.js.
import { converse, _converse, api } from "@converse/headless";

const messages = [];
const requests = [];

converse.plugins.add("bongsu-test", {
  initialize() {
    api.listen.on("message", (data) => {
      const { body, type, is_carbon, from } = data.attrs ?? data;
      if (body) messages.push({ body, type, from, carbon: Boolean(is_carbon) });
    });
    api.listen.on("contactRequest", (contact) => requests.push(contact.get("jid")));
  },
});

async function until(true_, seconds = 15) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const answer = await true_();
    if (answer || Date.now() > deadline) return answer;
    await new Promise((done) => setTimeout(done, 50));
  }
}

async function box(jid) {
  return api.chats.open(jid, { minimized: false, hidden: false }, true);
}

window.chat = {
  async logIn(settings) {
    const connected = new Promise((done) => {
      converse.plugins.add("bongsu-test-connected", {
        initialize() { api.listen.on("connected", () => done(true)); },
      });
    });
    converse.initialize({
      authentication: "login", auto_login: true, keepalive: false, auto_reconnect: true, persistent_store: "none",
      enable_smacks: true, message_archiving: "always", message_carbons: true, clear_cache_on_logout: true,
      whitelisted_plugins: ["bongsu-test", "bongsu-test-connected"], blacklisted_plugins: ["converse-omemo", "converse-bosh"],
      loglevel: "warn", assets_path: "/", i18n: "en", ...settings,
    });
    return Promise.race([connected, new Promise((done) => setTimeout(() => done(false), 15000))]);
  },
  jid: () => _converse.session.get("jid"),
  service: () => api.connection.get().service,
  addContact: (jid, name) => api.contacts.add({ jid, name, groups: [] }),
  contact: (jid) => until(async () => (await api.contacts.get(jid))?.attributes),
  subscribed: (jid, wanted) => until(async () => (await api.contacts.get(jid))?.get("subscription") === wanted),
  online: (jid) => until(async () => {
    const c = await api.contacts.get(jid);
    return c && c.presence && c.presence.get("presence") !== "offline" && (c.presence.get("show") ?? "online") !== "offline";
  }),
  requested: (jid) => until(() => requests.includes(jid)),
  approve: async (jid) => { (await api.contacts.get(jid)).authorize(); },
  send: async (jid, body) => { await (await box(jid)).sendMessage({ body }); },
  got: (body) => until(() => messages.find((m) => m.body === body)),
  history: async (jid, wanted) => {
    const chat = await box(jid);
    await until(() => wanted.every((w) => chat.messages.pluck("body").includes(w)));
    return chat.messages.pluck("body").filter(Boolean);
  },
  cut: () => { const p = api.connection.get()._proto; p.socket.close(); },
  reconnected: () => until(() => api.connection.connected()),
  disco: async (domain) => (await api.disco.info(domain)).querySelectorAll("feature").length,
};
