// rooms.js: groups: calling somebody, what an owner sets, roles, putting out, inviting, leaving, photos and files; and text from right
// to left and Korean as it is composed. SPDX-License-Identifier: AGPL-3.0-or-later
import { WAIT, axe, go, hears, jid, kept, messageMenu, online, open, overflows, say } from "./people.js";
import { enter, group, keeps, listens, picture, quoted, row } from "./company.js";
import { becomes, same } from "./promises.js";

const GONE = { ...WAIT, state: "detached" };
const info = async (page, room) => {
  await go(page, "chats", room, "info");
  await page.waitForSelector(".panel .hero", WAIT);
};
const member = (name) => `.panel .row:has(strong:text-is(${quoted(name)}))`;
const field = (label) => `.panel .field:has(label:text-is(${quoted(label)})) input`;

/** A menu item of somebody's in the list of members. */
async function actOn(page, name, item) {
  await page.click(`${member(name)} .row-button`, WAIT);
  await page.click(`dialog.menu button:text-is(${quoted(item)})`, WAIT);
}

/** A group that frank owns, with erin and gina in it. */
async function three({ erin, frank, gina }, name) {
  const room = await group(frank, name, ["erin", "gina"]);
  await say(frank, "모두 왔나요?");
  for (const p of [erin, gina]) {
    await enter(p, room, name);
    await hears(p, "모두 왔나요?");
  }
  await info(frank, room);
  for (const n of ["erin", "gina"]) await frank.waitForSelector(`${member(n)} .row-line:has-text("here now")`, WAIT);
  await open(frank, room);
  return room;
}

/** Tells of messages by notifications, and somebody looks elsewhere; push has no service here. */
async function lookAway(page) {
  await page.addInitScript(() => { PushManager.prototype.subscribe = async () => { throw new Error("no service"); }; });
  await page.reload();
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
  await go(page, "settings");
  await page.click('label:has-text("Tell me about new messages") input');
  await page.waitForFunction(() => JSON.parse(localStorage.getItem("bongsu.choices") ?? "{}").notify, null, WAIT);
  await page.evaluate(() => {
    const show = ServiceWorkerRegistration.prototype.showNotification;
    window.told = []; // a notification takes the place of the one before from the same chat
    ServiceWorkerRegistration.prototype.showNotification = function (title, about) {
      window.told.push(`${title} | ${about.body}`);
      return show.call(this, title, about);
    };
    document.hasFocus = () => false;
  });
  await page.waitForSelector("[data-line=online]", { ...WAIT, state: "attached" });
}
const told = (page) => page.evaluate(async () => [window.told, (await (await navigator.serviceWorker.ready).getNotifications()).map((n) => `${n.title} | ${n.body}`)]);

/** `us`: company.js. */
export async function rooms({ promise, server, browser, url, us }) {
  await promise("somebody in a group is called by an @ and a choice, and is told of that although the group is muted; of the rest nobody is told", async () => {
    const { erin, frank, gina } = await us.all(), room = await three(await us.all(), "등산 계획");
    const options = () => frank.$$eval(".mention [role=option]", (all) => all.map((e) => e.querySelector("span[dir]").textContent));
    await info(gina, room);
    await gina.click('.panel .hero button:text-is("Mute")');
    await gina.waitForSelector('.panel .hero button:text-is("Unmute")', WAIT);
    await lookAway(gina);
    await say(frank, "nobody is called, not gina either, nor me@gina.example");
    await frank.locator("textarea").pressSequentially("좋아요 @");
    await becomes(options, ["erin", "gina"], "who can be called");
    same(await axe(frank), [], "what breaks WCAG in the list");
    await frank.keyboard.press("ArrowDown");
    await frank.waitForSelector('.mention [aria-selected=true]:has-text("gina")', WAIT);
    await frank.keyboard.press("Escape");
    await frank.waitForSelector(".mention", GONE);
    await frank.locator("textarea").pressSequentially("g");
    await becomes(options, ["gina"], "whose name begins so");
    await frank.keyboard.press("Enter");
    await becomes(() => frank.inputValue("textarea"), "좋아요 @gina ", "what was chosen");
    await frank.locator("textarea").pressSequentially("내일 봐요");
    await frank.keyboard.press("Enter");
    const call = ["등산 계획 | frank: 좋아요 @gina 내일 봐요"];
    await becomes(() => told(gina), [call, call], "what gina was told");
    await go(gina, "chats");
    await gina.waitForSelector(`${row("등산 계획")} .count.quiet:has-text("@2")`, WAIT);
    await gina.waitForSelector(`${row("등산 계획")} .sr:has-text("mentions you")`, { ...WAIT, state: "attached" });
    await gina.evaluate(() => { delete document.hasFocus; });
    await open(gina, room);
    await gina.waitForSelector('.theirs mark:text-is("@gina")', WAIT);
    same(await gina.$$eval(".theirs mark", (all) => all.length), 1, "calls of gina");
    await open(erin, room);
    await erin.waitForSelector('.theirs p.body:has-text("내일 봐요")', WAIT);
    same(await erin.$$eval(".theirs mark", (all) => all.length), 0, "calls of erin");
    await erin.fill("textarea", "@fr");
    await erin.click('.mention [role=option]:has-text("frank")');
    await becomes(() => erin.inputValue("textarea"), "@frank ", "what was chosen on a phone");
    await erin.click(".send");
    await frank.waitForSelector('.theirs mark:text-is("@frank")', WAIT);
    await gina.bringToFront();
    await gina.waitForSelector(`${row("등산 계획")} .count`, GONE);
    await info(gina, room);
    await gina.click('.panel .hero button:text-is("Unmute")');
  });
  await promise("an owner gives a group its name, notice and picture, and all see them, also on a new device; members cannot", async () => {
    const { erin, frank, gina } = await us.all(), room = await three(await us.all(), "임시 이름");
    await info(frank, room);
    await frank.fill(field("Name of the group"), "봄 소풍 준비 🌸");
    await frank.click('.panel button:text-is("Rename")');
    await frank.fill(field("Notice to all"), "토요일 아홉 시, 북문 앞 <b>& </b>");
    await frank.click(`.panel form:has(label:text-is("Notice to all")) button`);
    await frank.setInputFiles(".panel input[data-picture=photo]", { name: "p.png", mimeType: "image/png", buffer: await picture(frank, [300, 200]) });
    await frank.waitForSelector(".panel .hero .face img", WAIT);
    same([...await axe(frank), ...(await overflows(frank) ? ["it is wider than the screen"] : [])], [], "what is wrong on the screen of the owner");
    const late = await online(browser, url, "gina", "pass-gina");
    for (const p of [erin, gina, late]) {
      await go(p, "chats");
      await p.waitForSelector(`${row("봄 소풍 준비 🌸")} .face img`, WAIT);
      await info(p, room);
      await p.waitForSelector('.panel .hero strong:text-is("봄 소풍 준비 🌸")', WAIT);
      await p.waitForSelector('.panel .hero p:text-is("토요일 아홉 시, 북문 앞 <b>& </b>")', WAIT);
      same(await p.$$eval(".panel .field, .panel .picture-field", (all) => all.length), 0, "what a member can set");
    }
    await late.context().close();
    await info(frank, room);
    await frank.click('.panel button:text-is("Remove photo")');
    await go(erin, "chats");
    await erin.waitForSelector(`${row("봄 소풍 준비 🌸")} .face img`, GONE);
  });
  await promise("a manager takes back what somebody said and puts them out; they see it, write no more, and can be asked in again", async () => {
    const { erin, frank, gina } = await us.all(), room = await three(await us.all(), "동네 알림");
    await say(gina, "cheap watches");
    for (const p of [erin, frank]) await hears(p, "cheap watches");
    for (const [p, more] of [[gina, "모두 왔나요?"], [erin, "cheap watches"]]) {
      await p.locator(`.message:has(p.body:text-is(${quoted(more)}))`).first().focus();
      await p.keyboard.press("Enter");
      await p.waitForSelector("dialog.menu[open]", WAIT);
      same(await p.$$eval("dialog.menu .danger-text", (all) => all.length), 0, "what a member may delete of others'");
      await p.keyboard.press("Escape");
      await p.waitForSelector("dialog.menu", GONE);
    }
    await info(frank, room);
    await actOn(frank, "erin", "Make manager");
    await frank.waitForSelector(`${member("erin")} .row-line:has-text("manager")`, WAIT);
    await info(gina, room);
    await gina.waitForSelector(`${member("erin")} .row-line:has-text("manager")`, WAIT);
    same(await gina.$$eval(`.panel .field`, (all) => all.length), 0, "settings of a member");
    await open(gina, room);
    await messageMenu(erin, "cheap watches", "모두에게서 삭제");
    await erin.click("dialog.question .danger");
    for (const [p, who] of [[erin, "erin"], [frank, "frank"], [gina, "gina"]]) {
      await open(p, room);
      await p.waitForSelector(".message:last-child .gone", WAIT);
      await becomes(async () => (await keeps(p, jid(who))).filter((b) => b === "cheap watches"), [], `what ${who} keeps of it`);
    }
    await info(erin, room);
    await actOn(erin, "gina", "그룹에서 내보내기");
    await gina.waitForSelector('.notice:has-text("You are not in this group any more.")', WAIT);
    await gina.waitForSelector(".composer", GONE);
    await erin.waitForSelector(member("gina"), GONE);
    await open(erin, room);
    await say(erin, "이제 조용하네요");
    await open(frank, room);
    await hears(frank, "이제 조용하네요");
    await gina.reload();
    await gina.waitForSelector("[data-line=online]", { ...WAIT, state: "attached" });
    await go(gina, "chats", room);
    await gina.waitForSelector(".message", WAIT);
    await gina.waitForSelector('.notice:has-text("You are not in this group any more.")', WAIT);
    same([await gina.$$eval(".composer", (all) => all.length), (await keeps(gina, jid("gina"))).includes("이제 조용하네요")], [0, false], "where to write, and what is said without her");
    await info(frank, room);
    await frank.click('.panel .hero button:text-is("Invite")');
    await frank.click('dialog.menu button:text-is("gina")');
    await gina.waitForSelector(".composer textarea", WAIT);
    await gina.waitForSelector(".notice", GONE);
    await say(gina, "sorry, back again");
    await open(frank, room);
    for (const p of [frank, erin]) await hears(p, "sorry, back again");
    await info(frank, room);
    await actOn(frank, "erin", "No manager any more");
    await frank.waitForSelector(`${member("erin")} .row-line:has-text("manager")`, GONE);
  });
  await promise("who is kept out cannot come back until a manager lets them in again", async () => {
    const { erin, frank, gina } = await us.all(), room = await three(await us.all(), "장터");
    await info(frank, room);
    await actOn(frank, "gina", "Remove and keep out");
    await frank.click('dialog.question button:text-is("Remove and keep out")');
    await gina.waitForSelector('.notice:has-text("You are not in this group any more.")', WAIT);
    await frank.waitForSelector(member("gina"), GONE);
    const kept = '.panel .kept-out .row:has-text("gina")';
    await frank.waitForSelector(kept, WAIT);
    await info(erin, room);
    same(await erin.$$eval(".kept-out", (all) => all.length), 0, "who is kept out, for a member");
    await server("send", `gina\n<presence to='${room}/gina'><x xmlns='http://jabber.org/protocol/muc'/></presence>`);
    await open(frank, room);
    await say(frank, "nobody new");
    await open(erin, room);
    await hears(erin, "nobody new");
    await info(frank, room);
    await frank.waitForSelector(kept, WAIT);
    same(await frank.$$eval(member("gina"), (all) => all.length), 0, "who came in");
    await frank.click(`${kept} button:text-is("Let in again")`);
    await frank.waitForSelector(kept, GONE);
    await frank.click('.panel .hero button:text-is("Invite")');
    await frank.click('dialog.menu button:text-is("gina")');
    await open(gina, room);
    await gina.waitForSelector(".composer textarea", WAIT);
  });
  await promise("who was put out while they were away is told when they come back, and is not asked for what they write", async () => {
    const { frank, gina } = await us.all(), room = await three(await us.all(), "야간 근무");
    await gina.context().setOffline(true);
    await gina.evaluate(() => dispatchEvent(new Event("offline")));
    await gina.waitForSelector("[data-line=offline]", { ...WAIT, state: "attached" });
    await info(frank, room);
    await actOn(frank, "gina", "Remove from group");
    await frank.waitForSelector(member("gina"), GONE);
    await gina.context().setOffline(false);
    await gina.reload();
    await go(gina, "chats", room);
    await gina.waitForSelector('.notice:has-text("You are not in this group any more.")', WAIT);
    await gina.waitForSelector(".composer", GONE);
  });
  await promise("a member asks a friend in; who leaves is gone from all their devices and from the group, and its owner leaves it to others", async () => {
    const { erin, frank, gina } = await us.all(), room = await group(gina, "독서 모임", ["frank"]);
    await say(gina, "welcome");
    await enter(frank, room, "독서 모임");
    await hears(frank, "welcome");
    await info(frank, room);
    same(await frank.$$eval(".panel .field", (all) => all.length), 0, "settings of a member");
    await frank.click('.panel .hero button:text-is("Invite")');
    await frank.click('dialog.menu button:text-is("erin")');
    await enter(erin, room, "독서 모임");
    await say(erin, "반가워요");
    await hears(gina, "반가워요");
    await open(frank, room);
    await hears(frank, "반가워요");
    const other = await online(browser, url, "erin", "pass-erin");
    await enter(other, room, "독서 모임");
    await info(erin, room);
    await erin.click('.panel button:text-is("그룹 나가기")');
    await erin.click("dialog.question .danger");
    for (const p of [erin, other]) {
      await go(p, "chats");
      await p.waitForSelector(row("독서 모임"), GONE);
    }
    await info(gina, room);
    await gina.waitForSelector('.panel .hero small:has-text("2 people")', WAIT);
    same(await gina.$$eval(member("erin"), (all) => all.length), 0, "who left");
    await open(gina, room);
    await say(gina, "without her");
    await hears(frank, "without her");
    for (const [n, p] of [erin, other].entries()) {
      const came = await listens(p), asked = () => came.some((f) => f.includes("<items") && f.includes("urn:xmpp:bookmarks:1"));
      await becomes(asked, true, "which groups the account has is known again");
      await open(frank, jid("erin"));
      await say(frank, `are you well? ${n}`);
      await p.waitForSelector(`${row("frank")} .row-line:has-text("are you well? ${n}")`, WAIT);
      same([await p.$$eval(row("독서 모임"), (all) => all.length), (await keeps(p, jid("erin"))).includes("without her")], [0, false], "the group, and what is said in it");
    }
    await other.context().close();
    await go(gina, "chats");
    await gina.locator(row("독서 모임")).click({ button: "right" });
    await gina.click('dialog.menu button:text-is("Leave group")');
    await gina.click("dialog.question .danger");
    await gina.waitForSelector(row("독서 모임"), GONE);
    await info(frank, room);
    await frank.waitForSelector(`${member("Me")} .row-line:has-text("owner")`, WAIT);
    await frank.waitForSelector(field("Name of the group"), WAIT);
    await frank.waitForSelector('.panel .hero small:has-text("one person")', WAIT);
  });
  await promise("the photos, files and links of a group are in its drawer, newest first, also on a new device; what is deleted is not", async () => {
    const { erin, frank } = await us.all(), room = await three(await us.all(), "사진첩"), drawer = (p) => p.$$eval(".drawer .file", (all) => all.map((e) => e.querySelector("img:not(.thumb)")?.alt ?? e.querySelector("strong").textContent));
    await frank.setInputFiles("input[type=file]", [{ name: "정상.png", mimeType: "image/png", buffer: await picture(frank, [500, 300]) }]);
    await erin.waitForSelector('.theirs img[alt="정상.png"]', WAIT);
    await frank.setInputFiles("input[type=file]", [{ name: "회비.txt", mimeType: "text/plain", buffer: Buffer.from("만 원") }]);
    await erin.waitForSelector('.theirs .file-line:has-text("회비.txt")', WAIT);
    await erin.setInputFiles("input[type=file]", [{ name: "실수.txt", mimeType: "text/plain", buffer: Buffer.from("?") }]);
    await frank.waitForSelector('.theirs .file-line:has-text("실수.txt")', WAIT);
    await frank.click('button[aria-label="Stickers"]');
    await frank.click('.stickers button:has(img[alt="OK"])');
    await erin.waitForSelector(".theirs .as-sticker", WAIT);
    await say(frank, "no file at all: https://example.org/x.png");
    await say(frank, "and two: http://example.org/a, (https://example.org/b)");
    await erin.waitForSelector('.theirs p.body:has-text("and two: http://example.org/a, (https://example.org/b)")', WAIT);
    const links = (p) => p.$$eval(".links", (all) => all.map((e) => [...e.querySelectorAll("a")].map((a) => a.href)));
    for (const p of [erin, frank]) {
      await info(p, room);
      await becomes(() => drawer(p), ["실수.txt", "회비.txt", "정상.png"], "the drawer");
      await becomes(() => links(p), [["http://example.org/a", "https://example.org/b"], ["https://example.org/x.png"]], "the links");
    }
    await frank.click(".links:last-child .plain"); // to the message
    await frank.waitForSelector(".message:focus p.body:has-text('no file at all')", WAIT);
    await open(erin, room);
    const mistake = erin.locator('.message:has(.file-line:has-text("실수.txt"))');
    await mistake.focus();
    await erin.keyboard.press("Enter");
    await erin.click('dialog.menu button:text-is("모두에게서 삭제")', WAIT);
    await erin.click("dialog.question .danger");
    await mistake.waitFor(GONE);
    const late = await online(browser, url, "gina", "pass-gina");
    await late.waitForSelector(row("사진첩"), WAIT);
    for (const p of [erin, frank, late]) {
      await info(p, room);
      await becomes(() => drawer(p), ["회비.txt", "정상.png"], "the drawer without what was deleted");
    }
    const link = await late.getAttribute('.drawer .file-line:has-text("회비.txt")', "href");
    same(await late.evaluate((u) => fetch(u).then((r) => r.text()), link), "만 원", "the file");
    await late.click('.drawer .photo:has(img[alt="정상.png"])');
    await late.waitForFunction(() => document.querySelector("dialog.look[open] img")?.naturalWidth === 500, null, WAIT);
    await late.keyboard.press("Escape");
    await late.waitForSelector("dialog.look", GONE);
    await late.context().close();
  });
  await promise("text from right to left stands so in a group, beside Korean that does not, in names, in the list and where it is written", async () => {
    const { erin, frank, gina } = await us.all(), name = "رحلة الجبل", words = ["שלום לכולם, 3 ק״מ!", "مرحبا bob: https://example.org/ו", "안녕 שלום 하세요", "abc \u202egnp.exe"];
    const room = await three(await us.all(), name), way = (p, selector) => p.$$eval(selector, (all) => all.map((e) => [e.textContent, getComputedStyle(e).direction]));
    await frank.locator("textarea").pressSequentially("שלום");
    same(await way(frank, "textarea").then(([[, d]]) => d), "rtl", "where it is written");
    await frank.fill("textarea", "");
    for (const w of words) await say(frank, w);
    for (const p of [erin, gina]) {
      await p.waitForSelector(`.theirs p.body:has-text("abc")`, WAIT);
      same(await way(p, ".theirs p.body").then((all) => all.slice(-4)), words.map((w, n) => [w, n < 2 ? "rtl" : "ltr"]), "the messages");
      same(await way(p, ".who h1"), [[name, "rtl"]], "the name of the group");
      same(await p.$$eval(".theirs p.body, .who h1", (all) => all.every((e) => ["isolate", "plaintext", "isolate-override"].includes(getComputedStyle(e).unicodeBidi))), true, "what runs in one text turns no other round");
      same(await overflows(p), false, "wider than the screen");
    }
    await go(erin, "chats");
    same((await way(erin, `${row(name)} strong`)), [[name, "rtl"]], "the name in the list");
    await erin.waitForSelector(`${row(name)} .row-line:has-text("abc")`, WAIT);
    same(await overflows(erin), false, "wider than the screen");
  });
  await promise("a Korean word stays whole while it is composed, though others write, a name is looked for and a draft is kept", async () => {
    const { erin, frank } = await us.all(), room = await three(await us.all(), "가나다"), cdp = await frank.context().newCDPSession(frank), value = () => frank.inputValue("textarea");
    const compose = (text) => cdp.send("Input.imeSetComposition", { text, selectionStart: text.length, selectionEnd: text.length });
    await open(erin, room);
    await frank.locator("textarea").focus();
    await frank.keyboard.type("@");
    await frank.waitForSelector(".mention", WAIT);
    for (const part of ["ㅎ", "하", "한"]) await compose(part);
    same(await value(), "@한", "being composed");
    await frank.waitForSelector(".mention", GONE);
    await say(erin, "그 사이의 말");
    await hears(frank, "그 사이의 말");
    await erin.waitForSelector('.who small:has-text("쓰는 중")', WAIT);
    await frank.waitForFunction(() => new Promise((done) => {
      const open = indexedDB.open("bongsu:frank@town.example");
      open.onsuccess = () => { const all = open.result.transaction("chats").objectStore("chats").getAll(); all.onsuccess = () => { open.result.close(); done(all.result.some((c) => c.draft === "@한")); }; };
    }), null, WAIT);
    await compose("한그"); // the composition is still one
    await compose("한글");
    same(await value(), "@한글", "still being composed");
    await cdp.send("Input.insertText", { text: "한글" });
    await frank.keyboard.type("!");
    same(await value(), "@한글!", "composed");
    await frank.keyboard.press("Enter");
    await hears(erin, "@한글!");
    await kept(frank, "@한글!");
    same([(await frank.$$eval(".mine p.body", (all) => all.map((e) => e.textContent))).filter((b) => b.includes("한")), await value()], [["@한글!"], ""], "what was sent, and what is left");
    await cdp.detach();
  });
}
