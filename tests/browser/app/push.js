// push.js: what the app's service worker makes of pushes.   node app/push.js URL CONTROL, from push.py, which tells what is real
// SPDX-License-Identifier: AGPL-3.0-or-later
import { WAIT, bubble, go, kept, launch, logIn, online, open, say, tab, until } from "./people.js";
import { at, becomes, same, series } from "./promises.js";

const [, , url, control] = process.argv;
const jid = (name) => `${name}@town.example`, server = at(control), browser = await launch();
const { promise, end } = series("push", browser, { mend: () => server("start") });
const subscription = await server("subscription");
let alice, bob, context, worker, chromium, registrationId;

/** A browser with a push service. */
async function withPush(context) {
  await context.addInitScript((first) => {
    const given = () => JSON.parse(localStorage.getItem("test.subscription")) ?? first; // what a new one will be
    let now = null;
    const made = (options, json = given()) => ({ endpoint: json.endpoint, options: { ...options, applicationServerKey: options.applicationServerKey.buffer }, expirationTime: null,
      toJSON: () => json, unsubscribe: async () => { now = null; return true; } });
    PushManager.prototype.subscribe = async (options) => (now = made(options));
    PushManager.prototype.getSubscription = async () => now;
  }, subscription);
}

/** Chromium gets the payload as from its push service. */
const deliver = (payload) => chromium.send("ServiceWorker.deliverPushMessage", { origin: new URL(url).origin, registrationId, data: JSON.stringify(payload) });

/** The notifications, once there are so many. */
async function untilShown(count) {
  const shown = () => worker.evaluate(() => registration.getNotifications().then((all) => all.map((n) => ({ title: n.title, body: n.body, data: n.data }))));
  await becomes(async () => (await shown()).length, count, "notifications").catch(async (e) => { throw new Error(`${e.message}: ${JSON.stringify(await shown())}`); });
  return shown();
}

/** Closes the app; the worker knows that it is closed. */
async function close() {
  await alice.close();
  await until(worker, () => self.clients.matchAll({ type: "window", includeUncontrolled: true }).then((all) => all.length === 0));
}

async function openAgain() {
  alice = await tab(context, url);
  await alice.waitForSelector("[data-line=online]", { ...WAIT, state: "attached" });
}

/** A click on the one that is shown; answers what the worker wanted opened. */
const click = () => worker.evaluate(async () => {
  const asked = [];
  WindowClient.prototype.focus = async function () { asked.push("focus"); return this; };
  Clients.prototype.openWindow = async (where) => { asked.push(where); return null; };
  const [notification] = await registration.getNotifications();
  const event = new NotificationEvent("notificationclick", { notification });
  const work = [];
  event.waitUntil = (p) => work.push(p);
  self.dispatchEvent(event);
  await Promise.all(work);
  return asked;
});

/** Somebody looks at another page than alice's. */
async function lookAway() {
  const focus = await context.newCDPSession(alice);
  await focus.send("Emulation.setFocusEmulationEnabled", { enabled: false }); // else every page is looked at
  await chromium.send("Page.bringToFront");
}

await promise("somebody allows notifications, and the app subscribes with the server's key", async () => {
  bob = await online(browser, url, "bob", "pass-bob");
  context = await browser.newContext({ locale: "en-US", permissions: ["notifications"] });
  await withPush(context);
  chromium = await context.newCDPSession(await context.newPage()); // an empty page: the app's own can be closed
  chromium.on("ServiceWorker.workerRegistrationUpdated", ({ registrations }) => { registrationId = registrations.find((r) => r.scopeURL === url && !r.isDeleted)?.registrationId ?? registrationId; });
  await chromium.send("ServiceWorker.enable");
  alice = await tab(context, url);
  await logIn(alice, "alice", "pass-alice");
  await alice.waitForSelector("[data-line=online]", { ...WAIT, state: "attached" });
  await alice.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
  worker = context.serviceWorkers()[0] ?? await context.waitForEvent("serviceworker", WAIT);
  await go(alice, "settings");
  await alice.click('label:has-text("Tell me about new messages") input');
  const key = await until(alice, async () => (await (await navigator.serviceWorker.ready).pushManager.getSubscription())?.options.applicationServerKey.byteLength);
  same(key, 65, "the bytes of the server's key");
  await alice.waitForFunction(() => JSON.parse(localStorage.getItem("bongsu.choices") ?? "{}").notify, null, WAIT);
});

await promise("the app is closed: a message wakes the worker, which says that there is one and no word more", async () => {
  await close();
  await open(bob, jid("alice"));
  await say(bob, "the key is under the mat");
  const payload = await server("next");
  same(payload, { count: 1, kind: "message", v: 1 }, "what the server told");
  await deliver(payload);
  same(await untilShown(1), [{ title: "Bongsu", body: "You have a new message", data: {} }], "what is shown");
  same(await click(), ["/"], "what a click opens");
  await untilShown(0);
});

await promise("whoever allows it sees who wrote, and what; a click opens that chat", async () => {
  await openAgain();
  await go(alice, "settings");
  await alice.click('label:has-text("Show who wrote") input');
  await alice.waitForFunction(() => JSON.parse(localStorage.getItem("bongsu.choices")).tell, null, WAIT);
  await close();
  await say(bob, "그럼 열쇠는 <화분> 아래에");
  const payload = await server("next");
  same([payload.from, payload.body], [jid("bob"), "그럼 열쇠는 <화분> 아래에"], "what the server told");
  await deliver(payload);
  same(await untilShown(1), [{ title: "bob", body: "그럼 열쇠는 <화분> 아래에", data: { chat: jid("bob") } }], "what is shown");
  const [where] = await click();
  alice = await tab(context, new URL(where, url).href);
  await alice.waitForSelector(bubble("그럼 열쇠는 <화분> 아래에", ".theirs"), WAIT);
  await alice.waitForSelector(bubble("the key is under the mat", ".theirs"), WAIT);
});

await promise("with the app open elsewhere, a click brings it to the front, at that chat", async () => {
  await go(alice, "settings");
  await lookAway();
  await deliver({ v: 1, kind: "message", count: 2, from: jid("bob") });
  same(await untilShown(1), [{ title: "bob", body: "2 new messages", data: { chat: jid("bob") } }], "what is shown");
  same(await click(), ["focus"], "what a click does");
  await alice.waitForSelector(`.conversation[data-chat="${jid("bob")}"]`, WAIT);
});

/** Until this page has ordered pushes for that subscription, and the server has heard what was said before this. */
async function ordered(page, endpoint, words) {
  await until(page, async (endpoint) => (await (await navigator.serviceWorker.ready).pushManager.getSubscription())?.endpoint === endpoint, endpoint);
  await open(page, jid("bob"));
  await say(page, words);
  await kept(page, words);
}

await promise("the browser changes its subscription under an open page: the next message comes to the new one", async () => {
  const given = await server("another");
  await alice.evaluate(async (given) => {
    localStorage.setItem("test.subscription", JSON.stringify(given));
    await (await (await navigator.serviceWorker.ready).pushManager.getSubscription()).unsubscribe();
  }, given);
  await worker.evaluate(async () => {
    const event = new ExtendableEvent("pushsubscriptionchange"), work = [];
    event.waitUntil = (p) => work.push(p);
    self.dispatchEvent(event);
    await Promise.all(work);
  });
  await ordered(alice, given.endpoint, "I have moved");
  await close();
  await say(bob, "to the new one");
  same((await server("next")).body, "to the new one", "what came there");
});

await promise("the push service has lost the subscription: the next page orders it again by itself", async () => {
  await server("lose");
  await say(bob, "into nothing");
  await server("lost");
  const given = await server("another");
  alice = await tab(context, url);
  await alice.evaluate((given) => localStorage.setItem("test.subscription", JSON.stringify(given)), given);
  await alice.reload();
  await alice.waitForSelector("[data-line=online]", { ...WAIT, state: "attached" });
  await ordered(alice, given.endpoint, "here I am again");
  await close();
  await say(bob, "and found again");
  same((await server("next")).body, "and found again", "what came");
  await openAgain();
  await lookAway();
});

/** The app is closed, somebody writes, and no push comes. */
async function wakesNobody(words, what) {
  const before = await server("count");
  await close();
  await say(bob, words);
  await bob.waitForSelector(`.message.mine[data-state=sent]:has-text("${words}")`, WAIT);
  await bob.waitForTimeout(1500);
  same(await server("count"), before, what);
}

/** By the list of chats. */
async function choose(page, name, button) {
  await go(page, "chats");
  await page.click(`.pane-in .row:has-text("${name}") .row-more`);
  await page.click(`.menu button:text-is("${button}")`);
}

/** The server knows it then. */
async function mute(page, name, button, muted) {
  await choose(page, name, button);
  await becomes(() => server("muted"), muted, "what the server takes for muted");
}

await promise("a chat that is muted wakes nobody, and does again when it is not", async () => {
  await mute(alice, "bob", "Mute", [jid("bob")]);
  await wakesNobody("nobody hears this", "pushes from a muted chat");
  await openAgain();
  await mute(alice, "bob", "Unmute", []);
  await close();
  await say(bob, "but this");
  same((await server("next")).body, "but this", "what came");
  await openAgain();
  await lookAway();
});

await promise("what is muted and pinned at another device holds here too, also while the app is closed", async () => {
  const desk = await online(browser, url, "alice", "pass-alice");
  await go(alice, "chats");
  await choose(desk, "bob", "Pin on top");
  await mute(desk, "bob", "Mute", [jid("bob")]);
  await alice.waitForSelector('.pane-in .row:has-text("bob") .sr:text-is("pinned, muted")', { ...WAIT, state: "attached" });
  await close();
  await mute(desk, "bob", "Unmute", []);
  await say(bob, "heard again");
  same((await server("next")).body, "heard again", "what came");
  await mute(desk, "bob", "Mute", [jid("bob")]);
  await openAgain();
  await alice.waitForSelector('.pane-in .row:has-text("bob") .sr:text-is("pinned, muted")', { ...WAIT, state: "attached" });
  await wakesNobody("not this", "pushes from a chat that another device muted");
  await mute(desk, "bob", "Unmute", []);
  await desk.context().close();
  await openAgain();
  await lookAway();
});

await promise("what is no payload of ours is told as a message, and what is switched off wakes nobody", async () => {
  await chromium.send("ServiceWorker.deliverPushMessage", { origin: new URL(url).origin, registrationId, data: "{" });
  same((await untilShown(1))[0].body, "You have a new message", "what is shown");
  same(await click(), ["focus"], "what a click does");
  await go(alice, "settings");
  await alice.click('label:has-text("Tell me about new messages") input');
  await until(alice, async () => !(await (await navigator.serviceWorker.ready).pushManager.getSubscription()));
  await alice.waitForFunction(() => !JSON.parse(localStorage.getItem("bongsu.choices")).notify, null, WAIT);
  await wakesNobody("nobody is told", "pushes after it was switched off");
});
await end();
