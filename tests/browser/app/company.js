// company.js: three more people who know each other, for what needs more than two, and what they send by other clients.
// SPDX-License-Identifier: AGPL-3.0-or-later
import { PHONE, WAIT, go, online } from "./people.js";

export const quoted = (text) => JSON.stringify(text);

/** `one` asks, `other` says yes; both see each other in their lists. */
export async function befriend(one, oneName, other, otherName) {
  await go(one, "friends");
  await one.click('button[aria-label="Add friend"], button[aria-label="친구 추가"]');
  await one.fill("dialog input", otherName);
  await one.click("dialog .primary");
  await go(other, "friends");
  await other.click(`.request:has-text(${quoted(`${oneName}@`)}) .primary`, WAIT);
  for (const [p, name] of [[one, otherName], [other, oneName]]) await p.waitForSelector(`.row strong:text-is(${quoted(name)})`, WAIT);
}

/** Erin (Korean, a phone), frank and gina (English, desktops), once somebody asks for them: erin and gina are friends of frank. */
export function company(browser, url) {
  let made;
  async function make() {
    const erin = await online(browser, url, "erin", "pass-erin", { locale: "ko-KR", viewport: PHONE });
    const frank = await online(browser, url, "frank", "pass-frank"), gina = await online(browser, url, "gina", "pass-gina");
    await befriend(erin, "erin", frank, "frank");
    await befriend(gina, "gina", frank, "frank");
    return { erin, frank, gina };
  }
  return {
    all: () => (made ??= make()),
    end: async () => { for (const p of Object.values(made ? await made.catch(() => ({})) : {})) await p.context().close(); },
  };
}

/** Somebody makes a group of friends; its address. */
export async function group(owner, name, friends) {
  await go(owner, "group");
  await owner.fill(".pane-in input:not([type=checkbox])", name);
  for (const f of friends) await owner.click(`.pick:has-text(${quoted(f)})`);
  await owner.click("form .primary");
  await owner.waitForSelector(`.conversation .who h1:text-is(${quoted(name)})`, WAIT);
  return owner.evaluate(() => decodeURIComponent(location.hash.split("/")[2]));
}

/** They are in the group, and see it so. */
export async function enter(page, room, words) {
  await go(page, "chats");
  await page.click(`.row a:has-text(${quoted(words)})`, WAIT);
  await page.waitForSelector(`.conversation[data-chat=${quoted(room)}] textarea`, WAIT);
}

export const row = (words) => `.pane .row:has(strong:text-is(${quoted(words)}))`;

/** A picture of one colour, as PNG. */
export const picture = (page, [width, height]) => page.evaluate(async ([w, h]) => {
  const c = new OffscreenCanvas(w, h), g = c.getContext("2d");
  g.fillStyle = "#27c";
  g.fillRect(0, 0, w, h);
  return [...new Uint8Array(await (await c.convertToBlob({ type: "image/png" })).arrayBuffer())];
}, [width, height]).then(Buffer.from);

const text = (words) => words.replace(/[&<>]/g, (c) => `&#${c.charCodeAt(0)};`);

/** A message as any other client would send it. */
export const stanza = (to, words, { type = "chat", more = "", id = crypto.randomUUID() } = {}) =>
  `<message to='${to}' type='${type}' id='${id}'><body>${text(words)}</body><origin-id xmlns='urn:xmpp:sid:0' id='${id}'/>${more}</message>`;

/** Stanzas that come to a page from now on. */
export async function listens(page) {
  const came = [];
  page.on("websocket", (w) => w.on("framereceived", (f) => came.push(String(f.payload))));
  await page.reload();
  await page.waitForSelector("[data-line=online]", { ...WAIT, state: "attached" });
  return came;
}

/** What the device of somebody keeps: the words of its messages. */
export const keeps = (page, jid) => page.evaluate((name) => new Promise((done, failed) => {
  const open = indexedDB.open(name);
  open.onerror = () => failed(open.error);
  open.onsuccess = () => {
    const all = open.result.transaction("messages").objectStore("messages").getAll();
    all.onsuccess = () => { open.result.close(); done(all.result.map((m) => m.body)); };
    all.onerror = () => failed(all.error);
  };
}), `bongsu:${jid}`);
