// pictures.js: the main screens in both languages and themes, for docs/app/.  node pictures.js URL FOLDER
// SPDX-License-Identifier: AGPL-3.0-or-later
import { mkdirSync } from "node:fs";
import { DESKTOP, PHONE, WAIT, device, go, hears, kept, launch, messageMenu, online, open, say } from "./people.js";

const [, , url, folder] = process.argv;
mkdirSync(folder, { recursive: true });
const browser = await launch();
const shot = async (page, name) => {
  await page.waitForSelector(".toast span", { ...WAIT, state: "detached" });
  await page.waitForTimeout(600);
  await page.screenshot({ path: `${folder}/${name}.png` });
};

async function dress(page, nick) {
  await go(page, "settings");
  await page.fill("#profile .field input >> nth=0", nick);
  await page.click("#profile button[type=submit]");
  await page.waitForTimeout(600);
}

const first = await device(browser, url, { locale: "ko-KR", viewport: PHONE });
await shot(first, "login-ko-light");
await first.context().close();
const ko = await online(browser, url, "alice", "pass-alice", { locale: "ko-KR", viewport: PHONE }), en = await online(browser, url, "bob", "pass-bob", { locale: "en-US", viewport: DESKTOP, theme: "dark" });
const third = await online(browser, url, "dave", "pass-dave");
for (const [p, nick] of [[ko, "김민지"], [en, "Junho"], [third, "이소라"]]) await dress(p, nick);
const befriend = async (a, b, name) => {
  await go(a, "friends");
  await a.click(".pane-in header button >> nth=1");
  await a.fill("dialog input", name);
  await a.click("dialog .primary");
  await go(b, "friends");
  await b.click(".request .primary", WAIT);
};
await befriend(ko, en, "bob");
await befriend(third, ko, "alice");
const [alice, bob, dave] = ["alice", "bob", "dave"].map((n) => `${n}@town.example`);
await open(third, alice);
await say(third, "언니, 병상 배정표 올려 놨어요 🙏");
await kept(third, "언니, 병상 배정표 올려 놨어요 🙏");
await open(ko, bob);
await say(ko, "안녕 준호! 이번 주말에 산에 갈래?");
await open(en, alice);
await hears(en, "안녕 준호! 이번 주말에 산에 갈래?");
await say(en, "Yes! Saturday morning? ⛰️");
await hears(ko, "Yes! Saturday morning? ⛰️");
await messageMenu(ko, "Yes! Saturday morning? ⛰️", "답장");
await say(ko, "좋아, 8시에 봉화대 앞에서 만나자");
await hears(en, "좋아, 8시에 봉화대 앞에서 만나자");
await en.locator(".message").last().focus();
await en.keyboard.press("Enter");
await en.click("dialog .quick button >> nth=1");
await say(en, "Found the route: https://example.org/hanyangdoseong");
await ko.waitForSelector(".theirs a", WAIT);
await en.locator("textarea").blur();
await shot(ko, "chat-ko-light");
await shot(en, "chat-en-dark-desktop");
await ko.emulateMedia({ colorScheme: "dark" });
await go(ko, "chats");
await shot(ko, "chats-ko-dark");
await en.emulateMedia({ colorScheme: "light" });
await en.setViewportSize(PHONE);
await go(en, "friends");
await en.click('.chip:has-text("New profile")');
await en.fill("dialog input[name=profile-name]", "Captain Park");
await en.click("dialog label:has(.face)");
await en.click("dialog button[type=submit]");
await en.waitForSelector('.chip:has-text("Captain Park")', WAIT);
await shot(en, "friends-en-light");
await go(en, "settings");
await shot(en, "settings-en-light");
await browser.close();
