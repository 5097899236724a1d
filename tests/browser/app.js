// app.js: our own app, with people in browsers of their own. Prints one line a promise, and the counts at the end.
//   node app.js URL CONTROL     CONTROL: where the server can be killed and started again (app.py)
// SPDX-License-Identifier: AGPL-3.0-or-later
import { account } from "./app/account.js";
import { announced } from "./app/announced.js";
import { chats } from "./app/chats.js";
import { company } from "./app/company.js";
import { friends } from "./app/friends.js";
import { history } from "./app/history.js";
import { media } from "./app/media.js";
import { own } from "./app/own.js";
import { passkeys } from "./app/passkeys.js";
import { DESKTOP, PHONE, WAIT, axe, bodies, bubble, device, go, hears, jid, kept, launch, logIn, messageMenu, online, open, overflows, say, strangers, tab, whileAway } from "./app/people.js";
import { rooms } from "./app/rooms.js";
import { Skip, at, same, series } from "./app/promises.js";

const [, , url, control, only] = process.argv;
const PASSWORD = "pass-";
const server = at(control), browser = await launch();
const { promise, end } = series("app", browser, { chosen: (what) => !only || what.includes(only) || what.startsWith("two people"), mend: async () => {
  await server("start").catch(() => undefined);
  for (const c of browser.contexts()) await c.setOffline(false).catch(() => undefined);
} });
let alice, bob;
const people = () => ({ alice, get bob() { return bob; }, set bob(p) { bob = p; } });

await promise("speaks Korean and English, and changes between them", async () => {
  for (const [locale, label, other] of [["ko-KR", "로그인", "Log in"], ["en-US", "Log in", "로그인"]]) {
    const p = await device(browser, url, { locale });
    await p.waitForSelector(`.primary:text-is("${label}")`, WAIT);
    await p.click(".language");
    await p.waitForSelector(`.primary:text-is("${other}")`, WAIT);
    await p.context().close();
  }
});
await promise("the first load is small, compressed and strict about what it may do", async () => {
  const context = await browser.newContext(), p = await context.newPage();
  let bytes = 0, policy = "";
  p.on("response", async (r) => {
    const h = r.headers();
    if (/\.(js|css)$|\/$/.test(new URL(r.url()).pathname)) bytes += Number(h["content-length"] ?? 0);
    policy ||= h["content-security-policy"] ?? "";
  });
  await p.goto(url);
  await p.waitForSelector(".login", WAIT);
  if (!bytes || bytes > 150_000) throw new Error(`${bytes} bytes`);
  if (!policy.includes("default-src 'self'") || policy.includes("unsafe")) throw new Error(policy);
  await context.close();
});
await promise("a wrong password is told, and nothing is shown of the account", async () => {
  const p = await device(browser, url);
  await logIn(p, "alice", "wrong");
  await p.waitForSelector('.error:has-text("do not fit")', WAIT);
  await p.context().close();
});
await promise("somebody makes an account, and a taken name is told", async () => {
  const p = await device(browser, url, { viewport: PHONE });
  await p.click('button:text-is("New account")');
  await logIn(p, "alice", "long enough");
  await p.waitForSelector('.error:has-text("taken")', WAIT);
  await logIn(p, "newcomer", "long enough");
  await p.waitForSelector(".frame", WAIT);
  await p.waitForSelector('.empty:has-text("No chats yet")', WAIT);
  await p.context().close();
});
await promise("a demo account takes one click", async () => {
  const p = await device(browser, url);
  await p.click('.demo button:text-is("carol")');
  await p.waitForSelector(".frame", WAIT);
  await p.context().close();
});
await promise("two people log in", async () => {
  alice = await online(browser, url, "alice", `${PASSWORD}alice`, { locale: "ko-KR", viewport: PHONE });
  bob = await online(browser, url, "bob", `${PASSWORD}bob`);
});
await promise("two people become friends", async () => {
  await go(alice, "friends");
  await alice.click('button[aria-label="친구 추가"]');
  await alice.fill("dialog input", "bob");
  await alice.click("dialog .primary");
  await go(bob, "friends");
  await bob.click(".request .primary", WAIT);
  await bob.waitForSelector('.row strong:text-is("alice")', WAIT);
  await alice.waitForSelector('.row strong:text-is("bob")', WAIT);
});
await promise("they chat, and the 1 goes when it is read", async () => {
  await open(alice, jid("bob"));
  await say(alice, "안녕하세요 👋 <b>& </b>");
  await kept(alice, "안녕하세요 👋 <b>& </b>");
  await alice.waitForSelector('.unread-by:has-text("1")', WAIT);
  await go(bob, "chats");
  await bob.waitForSelector('.row:has-text("alice") .count:has-text("1")', WAIT);
  await open(bob, jid("alice"));
  await hears(bob, "안녕하세요 👋 <b>& </b>");
  await bob.bringToFront();
  await alice.waitForSelector(".unread-by", { ...WAIT, state: "detached" });
  await bob.waitForSelector(".row .count", { ...WAIT, state: "detached" });
  await say(bob, "hello https://example.org/a?b=(c).");
  await alice.waitForSelector('.theirs a[href="https://example.org/a?b=(c)"][rel~=noreferrer]', WAIT);
});
await promise("one sees that the other is writing", async () => {
  await bob.bringToFront();
  await bob.locator("textarea").pressSequentially("so");
  await alice.waitForSelector('.who small:has-text("쓰는 중")', WAIT);
  await bob.fill("textarea", "");
  await alice.waitForSelector('.who small:has-text("쓰는 중")', { ...WAIT, state: "detached" });
});
await promise("a message is answered, reacted to, mended and taken back", async () => {
  await say(bob, "tee at four");
  await hears(alice, "tee at four");
  await messageMenu(alice, "tee at four", "답장");
  await say(alice, "차 말이죠?");
  await bob.waitForSelector('.theirs .quote:has-text("tee at four")', WAIT);
  await messageMenu(bob, "tee at four", "Edit");
  await say(bob, "tea at four");
  await hears(alice, "tea at four");
  await alice.locator('.message:has(p.body:text-is("tea at four"))').focus();
  await alice.keyboard.press("Enter");
  await alice.click('dialog .quick button:text-is("👍")');
  await bob.waitForSelector('.message:has(p.body:text-is("tea at four")) .reactions button:has-text("👍")', WAIT);
  await say(bob, "never mind");
  await hears(alice, "never mind");
  await messageMenu(bob, "never mind", "Delete");
  await bob.click("dialog.question .danger");
  await alice.waitForSelector('.theirs .gone:has-text("삭제된")', WAIT);
  same((await bodies(alice, "")).includes("never mind"), false, "it is still there");
});
await promise("Enter sends no half syllable", async () => {
  const box = bob.locator("textarea"), before = (await bodies(bob, ".mine")).length;
  await box.focus();
  const cdp = await bob.context().newCDPSession(bob);
  await cdp.send("Input.imeSetComposition", { text: "하", selectionStart: 1, selectionEnd: 1 });
  await box.dispatchEvent("keydown", { key: "Enter", code: "Enter", isComposing: true, bubbles: true, cancelable: true });
  await cdp.send("Input.dispatchKeyEvent", { type: "rawKeyDown", key: "Process", code: "Enter", windowsVirtualKeyCode: 229 });
  same([(await bodies(bob, ".mine")).length, await box.inputValue()], [before, "하"], "after Enter in a composition");
  await cdp.send("Input.imeSetComposition", { text: "한", selectionStart: 1, selectionEnd: 1 });
  await cdp.send("Input.insertText", { text: "한" });
  await bob.keyboard.press("Enter");
  await hears(alice, "한");
  same((await bodies(alice, ".theirs")).filter((b) => b === "한" || b === "하"), ["한"], "what arrived");
  await cdp.detach();
});
await promise("a second device has the history, and follows", async () => {
  const second = await online(browser, url, "alice", `${PASSWORD}alice`);
  await open(second, jid("bob"));
  await second.waitForSelector(bubble("tea at four", ".theirs"), WAIT);
  same((await bodies(second, "")).includes("never mind"), false, "a deleted message on a new device");
  await say(alice, "첫 번째 기기에서");
  await second.waitForSelector(bubble("첫 번째 기기에서", ".mine"), WAIT);
  await say(second, "and from the second");
  await alice.waitForSelector(bubble("and from the second", ".mine"), WAIT);
  await second.context().close();
});
await promise("two tabs are one device: they share what they show, and one takes over the line", async () => {
  const other = await tab(bob.context(), url);
  await other.waitForSelector(".frame", WAIT);
  await open(other, jid("alice"));
  await say(other, "from the other tab");
  await hears(alice, "from the other tab");
  await bob.waitForSelector(bubble("from the other tab", ".mine"), WAIT);
  await other.waitForSelector('.message.mine[data-state=sent]:has-text("from the other tab")', WAIT);
  await say(bob, "from the first tab");
  await hears(alice, "from the first tab");
  await bob.close();
  bob = other;
  await say(bob, "the first tab is gone");
  await hears(alice, "the first tab is gone");
  same((await bodies(alice, ".theirs")).filter((b) => b.startsWith("from the")).length, 2, "each once");
});
await promise("a photo goes with a thumbnail, and a file by its name", async () => {
  const photo = await bob.evaluate(() => new Promise((done) => {
    const c = document.createElement("canvas"), g = c.getContext("2d");
    c.width = 900;
    c.height = 600;
    g.fillStyle = "#c33";
    g.fillRect(0, 0, 900, 600);
    c.toBlob((b) => b.arrayBuffer().then((a) => done([...new Uint8Array(a)])), "image/png");
  }));
  await open(alice, jid("bob"));
  await bob.setInputFiles("input[type=file]", [{ name: "산.png", mimeType: "image/png", buffer: Buffer.from(photo) }]);
  const came = alice.waitForSelector(".theirs .photo img.thumb, .theirs .photo img", WAIT).then(() => true, () => false);
  const refused = bob.waitForSelector('.toast:has-text("takes no files")', WAIT).then(() => "no", () => null);
  if ((await Promise.race([came, refused])) === "no") throw new Skip("this server takes no files");
  await alice.waitForFunction(() => [...document.querySelectorAll(".theirs .photo img:not(.thumb)")].some((i) => i.complete && i.naturalWidth === 900), null, WAIT);
  const shot = await bob.evaluate(() => new Promise((done) => {
    const c = document.createElement("canvas");
    c.width = 320;
    c.height = 200;
    c.toBlob((b) => b.arrayBuffer().then((a) => done([...new Uint8Array(a)])), "image/jpeg");
  }));
  const where = Buffer.from("Exif\0\0 taken at home");
  await bob.setInputFiles("input[type=file]", [{ name: "home.jpg", mimeType: "image/jpeg", buffer: Buffer.concat([Buffer.from(shot.slice(0, 2)), Buffer.from([0xff, 0xe1, 0, where.length + 2]), where, Buffer.from(shot.slice(2))]) }]);
  const home = await alice.waitForSelector('.theirs .photo img[alt="home.jpg"]:not(.thumb):not(.coming)', WAIT);
  const told = await alice.evaluate((u) => fetch(u).then((r) => r.text()), await home.getAttribute("src"));
  same([told.length > 500, told.includes("taken at home")], [true, false], "a photo, and what it tells beside what it shows");
  await bob.setInputFiles("input[type=file]", [{ name: "배정표.txt", mimeType: "text/plain", buffer: Buffer.from("침대 3") }]);
  const link = await alice.waitForSelector('.theirs .file-line:has-text("배정표.txt")', WAIT);
  const text = await alice.evaluate((u) => fetch(u).then((r) => r.text()), await link.getAttribute("href"));
  same(text, "침대 3", "the file");
});
await promise("a voice note goes when it is ended, and none goes when one leaves the chat", async () => {
  const speak = async () => {
    await bob.click('button[aria-label="Voice note"]');
    await bob.waitForSelector(".recording", WAIT);
    await bob.waitForTimeout(1500);
  };
  await open(bob, jid("alice"));
  await speak();
  await bob.click('button[aria-label="Stop and send"]');
  await alice.waitForSelector(".theirs audio", WAIT);
  await speak();
  await go(bob, "settings");
  await bob.waitForTimeout(500);
  await open(bob, jid("alice"));
  await bob.waitForSelector(".mine audio", WAIT);
  await bob.waitForTimeout(500);
  same([(await bob.$$(".mine audio")).length, (await alice.$$(".theirs audio")).length], [1, 1], "voice notes");
});
await media({ promise, server, url, people });
await promise("a group is made, people are in it, and the number of those who have not read counts down", async () => {
  const carol = await online(browser, url, "carol", `${PASSWORD}carol`);
  await go(carol, "friends");
  await carol.click('button[aria-label="Add friend"]');
  await carol.fill("dialog input", "bob");
  await carol.click("dialog .primary");
  await go(bob, "friends");
  await bob.click(".request .primary", WAIT);
  await bob.waitForTimeout(500);
  await go(bob, "group");
  await bob.fill('.pane-in input:not([type=checkbox])', "등산 모임");
  for (const name of ["alice", "carol"]) await bob.click(`.pick:has-text("${name}")`);
  await bob.click("form .primary");
  if (await Promise.race([bob.waitForSelector('.toast:has-text("no groups")', WAIT).then(() => true, () => false), bob.waitForSelector('.who h1:has-text("등산 모임")', WAIT).then(() => false)])) {
    await carol.context().close();
    throw new Skip("this server has no groups");
  }
  await say(bob, "모두 안녕하세요");
  for (const p of [alice, carol]) {
    await go(p, "chats");
    await p.click('.row a:has-text("등산 모임")', WAIT);
    await hears(p, "모두 안녕하세요");
    await p.bringToFront();
  }
  await say(carol, "hello @bob and all");
  await bob.waitForSelector(".theirs mark", WAIT);
  await bob.bringToFront();
  await bob.waitForFunction(() => !document.querySelector(".mine .unread-by"), null, WAIT);
  await open(alice, jid("bob"));
  await open(bob, jid("alice"));
  await carol.context().close();
});
await promise("offline: the app starts, shows what it had, and ten messages go once when the line is back", async () => {
  await open(alice, jid("bob"));
  await open(bob, jid("alice"));
  const words = Array.from({ length: 10 }, (_, n) => `터널에서 ${n}`);
  await alice.evaluate(() => navigator.serviceWorker.ready);
  await alice.waitForTimeout(500);
  await whileAway(async () => {
    await server("kill");
    await alice.context().setOffline(true);
    await alice.reload();
    await alice.waitForSelector(bubble("tea at four", ".theirs"), WAIT);
    for (const w of words) await say(alice, w);
    await alice.waitForSelector('.status:has-text("10")', { ...WAIT, state: "attached" });
    same((await alice.$$(".message.mine[data-state=waiting]")).length, 10, "waiting");
    await alice.reload(); // closing loses nothing
    await alice.waitForSelector(".message.mine[data-state=waiting]", WAIT);
    same((await alice.$$(".message.mine[data-state=waiting]")).length, 10, "waiting after a reload");
    await server("start");
    await alice.context().setOffline(false);
    await hears(bob, words[9]);
    await kept(alice, words[9]);
  });
  same((await bodies(bob, ".theirs")).filter((b) => b.startsWith("터널에서")), words, "what arrived");
  await alice.waitForSelector(".message.mine[data-state=waiting]", { ...WAIT, state: "detached" });
});
await promise("the server is killed while one types: nothing typed or sent is lost", async () => {
  await whileAway(async () => {
    await bob.fill("textarea", "half a sen");
    await server("kill");
    await alice.waitForSelector(".status.away", { ...WAIT, state: "attached" });
    await bob.locator("textarea").press("End");
    await bob.locator("textarea").pressSequentially("tence");
    await bob.keyboard.press("Enter");
    await bob.waitForSelector(".message.mine[data-state=waiting]", WAIT);
    await server("start");
    await hears(alice, "half a sentence");
    await kept(bob, "half a sentence");
  });
  same((await bodies(alice, ".theirs")).filter((b) => b === "half a sentence").length, 1, "how often it arrived");
});
await promise("a draft stays where it was written", async () => {
  await bob.fill("textarea", "to be continued");
  await bob.waitForTimeout(600);
  await go(bob, "chats");
  await bob.waitForSelector('.row:has-text("to be continued")', WAIT);
  await bob.reload();
  await open(bob, jid("alice"));
  same(await bob.inputValue("textarea"), "to be continued", "the draft");
  await bob.fill("textarea", "");
});
await promise("pinned, muted and put away chats", async () => {
  await go(bob, "chats");
  const act = async (item) => { await bob.locator('.row:has-text("alice")').first().click({ button: "right" }); await bob.click(`dialog.menu button:has-text("${item}")`); };
  await act("Pin on top");
  await act("Mute");
  await bob.waitForSelector('.row:has-text("alice") .sr:has-text("pinned, muted")', { ...WAIT, state: "attached" });
  await act("Put away");
  await bob.waitForSelector('.row:has-text("alice")', { ...WAIT, state: "detached" });
  await open(alice, jid("bob"));
  await say(alice, "다시 나타나요");
  await bob.waitForSelector('.row:has-text("다시 나타나요")', WAIT);
  await act("Unmute");
  await act("Unpin");
});
await promise("an unread line shows where one stopped reading", async () => {
  await go(bob, "settings");
  for (let n = 0; n < 30; n++) await say(alice, `읽지 않은 ${n}`);
  await kept(alice, "읽지 않은 29");
  await bob.waitForSelector('.areas .count:has-text("3")', WAIT);
  await open(bob, jid("alice"));
  const line = bob.locator(".unread-line");
  await line.waitFor(WAIT);
  const top = (await line.boundingBox())?.y ?? -1;
  if (top < 0 || top > DESKTOP.height) throw new Error(`the line is at ${top}`);
  await bob.bringToFront();
  await bob.locator(".messages").focus();
  await bob.keyboard.press("End");
  await bob.waitForSelector(".areas .count", { ...WAIT, state: "detached" });
});
const us = company(browser, url);
await chats({ promise, server, browser, url, us });
await rooms({ promise, server, browser, url, us });
await us.end();
await history({ promise, people });
await promise("the keyboard alone is enough", async () => {
  await open(bob, jid("alice"));
  await bob.locator(".messages").focus();
  await bob.keyboard.press("ArrowUp");
  await bob.keyboard.press("ArrowUp");
  same(await bob.evaluate(() => document.activeElement?.className.includes("message")), true, "focus on a message");
  await bob.keyboard.press("Enter");
  await bob.waitForSelector("dialog.menu[open]", WAIT);
  await bob.keyboard.press("Escape");
  await bob.waitForSelector("dialog.menu", { ...WAIT, state: "detached" });
  await bob.waitForFunction(() => document.activeElement?.className.includes("message"), null, WAIT);   // focus is back
});
await promise("search finds words on the device, in Korean too", async () => {
  await go(bob, "search");
  await bob.fill("input[type=search]", "읽지 않은 17");
  await bob.click('.row-button:has-text("읽지 않은 17")', WAIT);
  await bob.waitForSelector(bubble("읽지 않은 17", ".theirs"), WAIT);
});
await promise("no screen breaks WCAG 2.2 AA, light or dark, on a phone or a desktop", async () => {
  const wrong = [];
  for (const [p, viewport] of [[alice, PHONE], [bob, DESKTOP]])
    for (const theme of ["light", "dark"]) {
      await p.emulateMedia({ colorScheme: theme });
      for (const where of [["chats"], ["friends"], ["settings"], ["search"], ["group"], ["chats", jid(p === alice ? "bob" : "alice")], ["friends", jid(p === alice ? "bob" : "alice")]]) {
        await go(p, ...where);
        await p.waitForTimeout(250);
        for (const v of await axe(p)) wrong.push(`${theme} ${viewport.width} #/${where.join("/")}: ${v}`);
        if (await overflows(p)) wrong.push(`${viewport.width} #/${where.join("/")} is wider than the screen`);
      }
    }
  const p = await device(browser, url, { theme: "dark", viewport: PHONE });
  wrong.push(...await axe(p));
  await p.context().close();
  if (wrong.length) throw new Error([...new Set(wrong)].slice(0, 12).join("\n"));
});
await promise("the chosen theme and language stay", async () => {
  await bob.emulateMedia({ colorScheme: "light" });
  await go(bob, "settings");
  await bob.click('.choice label:has-text("Dark")');
  await bob.click('.choice label:has-text("한국어")');
  await bob.reload();
  await bob.waitForSelector('.areas a:has-text("대화")', WAIT);
  same(await bob.evaluate(() => document.documentElement.dataset.theme), "dark", "theme");
  await bob.click('.choice label:has-text("English")');
});
await announced({ promise, server, browser, url, alice });
await promise("a changed password is the one that counts", async () => {
  const p = await online(browser, url, "carol", `${PASSWORD}carol`);
  await go(p, "settings");
  await p.fill('.card input[type=password] >> nth=0', "a new password");
  await p.fill('.card input[type=password] >> nth=1', "a new password");
  await p.click('.card button:text-is("Change password")');
  await p.waitForSelector('.toast:has-text("changed")', WAIT);
  await p.context().close();
  const q = await device(browser, url);
  await logIn(q, "carol", `${PASSWORD}carol`);
  await q.waitForSelector('.error:has-text("do not fit")', WAIT);
  await logIn(q, "carol", "a new password");
  await q.waitForSelector(".frame", WAIT);
  await q.context().close();
});
await own({ promise, browser, url, alice, bob });
await passkeys({ promise, browser, url });
await friends({ promise, server, browser, url });
await account({ promise, browser, url });
await promise("logging out takes everything from the device", async () => {
  bob = await online(browser, url, "bob", `${PASSWORD}bob`);
  await go(bob, "settings");
  await bob.click('#account button:text-is("Log out")');
  await bob.click("dialog.question .primary");
  await bob.waitForSelector(".login", WAIT);
  same(await bob.evaluate(async () => (await indexedDB.databases()).map((d) => d.name)), [], "databases left");
});
await promise("nobody but the server was asked for anything", async () => same([...strangers], [], "asked"));
await end();
