// people.js: people in browsers of their own, and what they do in the app. SPDX-License-Identifier: AGPL-3.0-or-later
import { chromium } from "playwright-core";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

export const WAIT = { timeout: 10000 };
export const PHONE = { width: 390, height: 844 }, DESKTOP = { width: 1280, height: 800 };
const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const problems = []; // whatever a console or a page complained of
export const strangers = new Set(); // addresses asked that are not the server's
let quiet = false; // while the server is away on purpose

export const whileAway = async (run) => {
  quiet = true;
  try {
    return await run();
  } finally {
    quiet = false;
  }
};

export async function launch(...more) {
  return chromium.launch({ executablePath: "/usr/bin/chromium", args: [...more, "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"] });
}

function watch(page, url) {
  const own = new URL(url).hostname;
  page.on("pageerror", (e) => problems.push(`error: ${e.stack ?? e.message}`));
  page.on("console", (m) => { if (["error", "warning"].includes(m.type()) && !quiet && !/ERR_(INTERNET_DISCONNECTED|CONNECTION_REFUSED)/.test(m.text())) problems.push(`${m.type()}: ${m.text()}`); });
  page.on("request", (r) => { const u = new URL(r.url()); if (/^(https?|wss?):$/.test(u.protocol) && u.hostname !== own) strangers.add(u.origin); });
  page.on("websocket", (w) => { const u = new URL(w.url()); if (u.hostname !== own) strangers.add(u.origin); });
}

export async function tab(context, url) {
  context.setDefaultTimeout(10000);
  const page = await context.newPage();
  watch(page, url);
  await page.goto(url);
  return page;
}

/** A browser with nothing in it. */
export async function device(browser, url, { locale = "en-US", viewport = DESKTOP, theme = "light" } = {}) {
  const context = await browser.newContext({ locale, viewport, colorScheme: theme, hasTouch: viewport.width < 700, serviceWorkers: "allow", permissions: ["notifications"] });
  const page = await tab(context, url);
  await page.waitForSelector(".login", WAIT);
  return page;
}

export async function logIn(page, name, password) {
  await page.fill("input[name=username]", name);
  await page.fill("input[name=password]", password);
  await page.click(".login form .primary");
}

export async function online(browser, url, name, password, how) {
  const page = await device(browser, url, how);
  await logIn(page, name, password);
  await page.waitForSelector(".frame", WAIT);
  await page.waitForSelector("[data-line=online]", { ...WAIT, state: "attached" });
  return page;
}

/** Somebody new, who makes an account: each promise has people of its own, whom no other one has befriended, blocked or deleted. */
export async function newcomer(browser, url, name, how) {
  const page = await device(browser, url, how);
  await page.click(".login-card > button.plain:not(.language)");
  await page.waitForSelector(".login input[autocomplete=new-password]", WAIT);
  await logIn(page, name, `${name} of the hill`);
  await page.waitForSelector("[data-line=online]", { ...WAIT, state: "attached" });
  return page;
}

/** Something that keeps passkeys for the person of this page, and says yes for them (WebAuthn's virtual authenticators). It is gone
 * when any session with the page is ended, so it is given out for whoever needs one. */
export async function keychain(page) {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("WebAuthn.enable");
  await cdp.send("WebAuthn.addVirtualAuthenticator", { options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true,
    isUserVerified: true, automaticPresenceSimulation: true } });
  return cdp;
}

export const jid = (name) => `${name}@town.example`;

export const go = (page, ...parts) => page.evaluate((hash) => { location.hash = hash; }, `#/${parts.map(encodeURIComponent).join("/")}`);

export async function open(page, jid) {
  await go(page, "chats", jid);
  await page.waitForSelector(`.conversation[data-chat=${JSON.stringify(jid)}] textarea`, WAIT); // not that of the chat before
}

export async function say(page, words) {
  await page.fill("textarea", words);
  await page.click(".send"); // on a phone, Enter begins a new line
}

export const bubble = (words, whose = "") => `.message${whose} .bubble:has(p.body:text-is(${JSON.stringify(words)}))`;
export const hears = (page, words) => page.waitForSelector(bubble(words, ".theirs"), WAIT);
export const kept = (page, words) => page.waitForSelector(`.message.mine[data-state=sent]:has(p.body:text-is(${JSON.stringify(words)}))`, WAIT);
export const bodies = (page, whose = "") => page.$$eval(`.message${whose} p.body`, (all) => all.map((e) => e.textContent));

/** Until a question that a page (or worker) needs time to answer is answered with what is true; that answer. */
export async function until(page, question, about, patience = WAIT.timeout) {
  for (const late = Date.now() + patience; Date.now() < late; await new Promise((r) => setTimeout(r, 50))) {
    const answer = await page.evaluate(question, about);
    if (answer) return answer;
  }
  throw new Error(`in vain: ${question}`);
}

export async function messageMenu(page, words, item) {
  const row = page.locator(`.message:has(p.body:text-is(${JSON.stringify(words)}))`).first();
  await row.focus();
  await page.keyboard.press("Enter");
  await page.click(`dialog.menu button:has-text("${item}")`, WAIT);
}

/** WCAG 2.2 A and AA. Answers what is wrong, in words. */
export async function axe(page, session) {
  const cdp = session ?? await page.context().newCDPSession(page); // the page's own policy lets no foreign script in
  await cdp.send("Runtime.evaluate", { expression: axeSource });
  const { result } = await cdp.send("Runtime.evaluate", { awaitPromise: true, returnByValue: true,
    expression: `axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }).then((r) => r.violations.map((v) => v.id + ": " + v.nodes.map((n) => n.target.join(" ") + " " + (n.any[0]?.message ?? "")).join(" | ").slice(0, 400)))` });
  if (!session) await cdp.detach();
  return result.value;
}

export const overflows = (page) => page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
