// app.js: drives our own app with two people. Prints one line a promise, and the counts at the end.
//   node app.js URL NAME PASSWORD NAME PASSWORD
// SPDX-License-Identifier: AGPL-3.0-or-later
import { chromium } from "playwright-core";

const [, , url, nameA, passwordA, nameB, passwordB] = process.argv;
const WAIT = { timeout: 15000 };
let passed = 0, failed = 0;

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--ignore-certificate-errors"] });

async function page(language) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: language });
  const p = await context.newPage();
  p.on("pageerror", (e) => console.log("      page:", e.message));
  await p.goto(url);
  await p.waitForSelector("form.login", WAIT);
  return p;
}

async function logIn(p, name, password) {
  await p.fill("input[autocomplete=username]", name);
  await p.fill("input[type=password]", password);
  await p.click("form.login button.primary");
}

async function online(language, name, password) {
  const p = await page(language);
  await logIn(p, name, password);
  await p.waitForSelector(".status[data-state=online]", WAIT);
  return p;
}

async function say(p, words) {
  await p.fill(".write input", words);
  await p.keyboard.press("Enter");
}

const hears = (p, words) => p.waitForSelector(`.messages .message:not(.mine) p:text-is("${words}")`, WAIT);

async function promise(what, run) {
  try {
    await run();
    passed++;
    console.log(`ok    app: ${what}`);
  } catch (e) {
    failed++;
    console.log(`FAIL  app: ${what}\n      ${String(e.message).split("\n")[0]}`);
  }
}

let alice, bob;
await promise("speaks Korean and English", async () => {
  for (const [language, label] of [["ko-KR", "로그인"], ["en-US", "Log in"]])
    await (await page(language)).waitForSelector(`button.primary:text-is("${label}")`, WAIT);
});
await promise("a wrong password is told", async () => {
  const p = await page("en-US");
  await logIn(p, nameA, "wrong");
  await p.waitForSelector('.note:has-text("not right")', WAIT);
});
await promise("two people log in", async () => {
  alice = await online("ko-KR", nameA, passwordA);
  bob = await online("en-US", nameB, passwordB);
});
await promise("become friends", async () => {
  await alice.fill(".add input", nameB);
  await alice.click(".add button");
  await bob.click(".request .primary", WAIT);
  await bob.waitForSelector(`.row:has-text("${nameA}")`, WAIT);
});
await promise("chat both ways, and see that it is kept", async () => {
  await say(alice, "안녕하세요 👋 <b>&");
  await alice.waitForSelector(".message.mine[data-state=kept]", WAIT);
  await bob.click(`.row:has-text("${nameA}")`);
  await hears(bob, "안녕하세요 👋 <b>&");
  await say(bob, "hello");
  await hears(alice, "hello");
});
await promise("a second device has the history, and gets carbons", async () => {
  const second = await online("en-US", nameA, passwordA);
  await second.click(`.row:has-text("${nameB}")`);
  await hears(second, "hello");
  await say(alice, "from my first device");
  await second.waitForSelector('.message.mine p:text-is("from my first device")', WAIT);
});
await promise("what is written offline is sent once the connection is back", async () => {
  await alice.context().setOffline(true);
  await alice.evaluate(() => window.dispatchEvent(new Event("offline")));
  await say(alice, "from the tunnel");
  await alice.context().setOffline(false);
  await hears(bob, "from the tunnel");
  await alice.waitForSelector('.message.mine[data-state=kept]:has-text("from the tunnel")', WAIT);
  if ((await bob.$$('.message p:text-is("from the tunnel")')).length !== 1) throw new Error("it came twice");
});
await browser.close();
console.log(`${passed} passed, ${failed} failed, 0 skipped`);
process.exit(failed ? 1 : 0);
