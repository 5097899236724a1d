// friends.js: how people find each other, keep each other, and part. SPDX-License-Identifier: AGPL-3.0-or-later
import { writeFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PHONE, WAIT, axe, bodies, device, go, hears, jid, kept, launch, logIn, newcomer, open, overflows, say, tab } from "./people.js";
import { becomes, same } from "./promises.js";

const GONE = { ...WAIT, state: "detached" };

/** Somebody's row in the list of friends. */
export const friend = (page, name) => page.locator(`.pane .row:not(.me):has(strong:text-is(${JSON.stringify(name)}))`);
const line = (page, name, words) => friend(page, name).locator(`.row-line:has-text(${JSON.stringify(words)})`).first().waitFor(WAIT);
const names = (page) => page.$$eval(".pane .row:not(.me) strong", (all) => all.map((e) => e.textContent));
const headings = (page) => page.$$eval(".pane .scroll > h2", (all) => all.map((e) => e.textContent));
const sheet = (page, words) => page.waitForSelector(`dialog h2:has-text(${JSON.stringify(words)})`, WAIT);
const answer = (page, button) => page.click(`dialog.question button:text-is(${JSON.stringify(button)})`, WAIT);

async function asks(page, who) {
  await go(page, "friends");
  await page.click('[aria-label="Add friend"], [aria-label="친구 추가"]');
  await page.fill("dialog input", who);
  await page.click("dialog .primary");
  await page.waitForSelector("dialog", GONE);
}

/** By request and answer; both see it. */
export async function befriend(one, name, other, otherName) {
  await asks(one, otherName);
  await go(other, "friends");
  await other.click(".request .primary", WAIT);
  await friend(other, name).waitFor(WAIT);
  await line(one, otherName, await one.evaluate(() => document.documentElement.lang) === "ko" ? "온라인" : "online");
}

async function online(page, name) {
  await go(page, "friends");
  await line(page, name, "online");
}

/** The link that "My code" shows: of the page for invitations that this server's settings name. */
async function linkOf(page) {
  await go(page, "friends");
  await page.click('[aria-label="My code"]');
  const link = await page.waitForFunction(() => { // at first the plain address, until the server has made an invitation
    const text = document.querySelector("svg.qr")?.getAttribute("aria-label") ?? "";
    return text.includes("preauth=") && text;
  }, null, WAIT);
  return link.jsonValue();
}

/** The same invitation as a link of the app itself, which is what is shown where there is no such page. */
const ofTheApp = (link, url) => link.replace(/^.*#(.*)\?.*preauth=([^;]+).*$/, (_, who, token) => `${url}#/friends/${encodeURIComponent(who)}/add/${token}`);

/** A film of one picture, as a camera would see it: YUV4MPEG2, grey. */
function film(width, height, grey) {
  const frame = Buffer.concat([Buffer.from("FRAME\n"), Buffer.from(grey), Buffer.alloc((width * height) / 2, 128)]);
  return Buffer.concat([Buffer.from(`YUV4MPEG2 W${width} H${height} F10:1 Ip A1:1 C420jpeg\n`), ...Array(10).fill(frame)]);
}

/** What a camera held before the screen sees: 640 x 480 points of grey. */
const seen = (page, png) => page.evaluate(async (bytes) => {
  const picture = await createImageBitmap(new Blob([new Uint8Array(bytes)])), c = Object.assign(document.createElement("canvas"), { width: 640, height: 480 }), pen = c.getContext("2d");
  pen.fillStyle = "#777";
  pen.fillRect(0, 0, 640, 480);
  pen.drawImage(picture, 120, 40, 400, 400);
  const { data } = pen.getImageData(0, 0, 640, 480);
  return Array.from({ length: 640 * 480 }, (_, n) => Math.round(data[4 * n] * 0.299 + data[4 * n + 1] * 0.587 + data[4 * n + 2] * 0.114));
}, [...png]);

/** What is wider than where it stands: the page, what scrolls in it, and what a person sees of either. Empty: nothing is. */
const wide = (page, where) => page.evaluate((where) => {
  const found = document.documentElement.scrollWidth > innerWidth ? [`${where}: the page`] : [];
  for (const e of document.querySelectorAll("#app *")) {
    const style = getComputedStyle(e), box = e.getBoundingClientRect(), name = `${where}: ${e.tagName.toLowerCase()}.${e.className}`;
    if (/auto|scroll/.test(style.overflowX) && e.tagName !== "TEXTAREA" && e.scrollWidth > e.clientWidth) found.push(`${name} scrolls sideways`);
    if (box.width && !e.matches(".sr, .skip, .sr *") && e.checkVisibility() && (box.right > innerWidth + 1 || box.left < -1) && !e.closest("[hidden], strong, .row-line, h1, .chip span")) found.push(`${name} leaves the screen`);
  }
  return found.slice(0, 6);
}, where);
const direction = (page, selector) => page.locator(selector).first().evaluate((e) => getComputedStyle(e).direction);

export async function friends({ promise, server, browser, url }) {
  const come = (name, how) => newcomer(browser, url, name, how), leave = (...pages) => Promise.all(pages.map((p) => p.context().close()));

  await promise("a request is shown on both sides, and accepted; one that is declined ends, and asks nothing more", async () => {
    const [mina, jun, sora] = await Promise.all([come("mina", { viewport: PHONE }), come("jun"), come("sora")]);
    await asks(mina, "jun@town.example");
    await line(mina, "jun", "Request sent");
    await go(jun, "friends");
    await jun.waitForSelector(".request:has-text('mina wants to be your friend'):has-text('mina@town.example')", WAIT);
    same(await names(jun), [], "friends before the answer");
    const problems = [...await axe(jun), ...(await overflows(mina) ? ["the list is wider than the screen"] : [])];
    await jun.click('.request button:text-is("Accept")');
    await line(jun, "mina", "online");
    await line(mina, "jun", "online");
    same(await jun.locator(".request").count(), 0, "requests that are answered");

    await asks(mina, "SORA"); // a name is the same however it is written
    await go(sora, "friends");
    await sora.click('.request button:text-is("Decline")', WAIT);
    await sora.waitForSelector(".request", GONE);
    await line(mina, "sora", "Not friends");
    same(await names(sora), [], "friends of who declined");
    await sora.reload();
    await sora.waitForSelector("[data-line=online]", { ...WAIT, state: "attached" });
    await sora.waitForSelector('.note:has-text("Nobody here yet")', WAIT);
    same(await sora.locator(".request").count(), 0, "requests after a reload");
    await go(mina, "friends", jid("sora"));
    await mina.click('.hero button:text-is("Add friend")', WAIT); // once more, and now it is wanted
    await sora.click('.request button:text-is("Accept")', WAIT);
    await line(sora, "mina", "online");
    await leave(mina, jun, sora);
    if (problems.length) throw new Error(problems.join("\n"));
  });
  await promise("a link that one person made is opened by others, who are friends then without being asked", async () => {
    const [hana, minsu, nari] = await Promise.all([come("hana"), come("minsu", { viewport: PHONE }), come("nari")]);
    const link = await linkOf(hana);
    await hana.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await hana.click('dialog button:text-is("Copy link")');
    await hana.waitForSelector('.toast:has-text("Copied")', WAIT);
    same(await hana.evaluate(() => navigator.clipboard.readText()), link, "the copied link");
    const problems = await axe(hana);
    await hana.click('dialog button:text-is("Close")');

    await minsu.goto(link.replace("https://town.example/", url));
    await minsu.waitForSelector('h1:has-text("hana@town.example has invited you")', WAIT);
    await minsu.click('a:has-text("Open it in the browser")');
    await minsu.click('dialog button:text-is("Add friend")', WAIT);
    await Promise.all([online(hana, "minsu"), online(minsu, "hana")]);

    await leave(nari); // and here it is a new page, on which nobody is logged in
    const later = await device(browser, ofTheApp(await linkOf(hana), url));
    await logIn(later, "nari", "nari of the hill");
    await later.click('dialog button:text-is("Add friend")', WAIT);
    await Promise.all([online(hana, "nari"), online(later, "hana")]);
    same([await hana.locator(".request").count(), await later.locator(".request").count()], [0, 0], "requests");
    await leave(hana, minsu, later);
    if (problems.length) throw new Error(problems.join("\n"));
  });
  await promise("a link can be pasted and followed on an open page; one that is spent is an ordinary request", async () => {
    const [hyun, bora, gil] = await Promise.all([come("hyun"), come("bora"), come("gil")]);
    const link = await linkOf(hyun);
    await hyun.click('dialog button:text-is("Close")');
    await asks(bora, link);
    await Promise.all([online(hyun, "bora"), online(bora, "hyun")]);
    await gil.goto(ofTheApp(link, url));
    await gil.click('dialog button:text-is("Add friend")', WAIT);
    await line(gil, "hyun", "Request sent");
    await hyun.waitForSelector(".request:has-text('gil wants to be your friend')", WAIT);
    await leave(hyun, bora, gil);
  });
  await promise("the code that one phone shows is read by another one's camera", async () => {
    const folder = mkdtempSync(join(tmpdir(), "bongsu-camera-"));
    const shows = await come("yuna", { viewport: PHONE });
    await linkOf(shows);
    writeFileSync(join(folder, "seen.y4m"), film(640, 480, await seen(shows, await shows.locator("svg.qr").screenshot())));
    const other = await launch(`--use-file-for-fake-video-capture=${join(folder, "seen.y4m")}`);
    try {
      await shows.click('dialog button:text-is("Close")');
      const scans = await newcomer(other, url, "taeho", { viewport: PHONE });
      await go(scans, "friends");
      await scans.click('button[aria-label="Add friend"]');
      await scans.click('dialog button:text-is("Scan a code")');
      await Promise.all([online(shows, "taeho"), line(scans, "yuna", "online")]);
      await scans.waitForSelector("dialog", GONE);
      same([await shows.locator(".request").count(), await names(scans)], [0, ["yuna"]], "a request, and the friends of who scanned");
    } finally {
      await other.close();
      rmSync(folder, { recursive: true });
    }
    await leave(shows);
  });
  await promise("favourites stand first, after a reload and on another device too", async () => {
    const [jisu, aran, zion] = await Promise.all([come("jisu"), come("aran"), come("zion")]);
    await befriend(jisu, "jisu", aran, "aran");
    await befriend(jisu, "jisu", zion, "zion");
    same(await names(jisu), ["aran", "zion"], "friends");
    await go(jisu, "friends", jid("zion"));
    await jisu.click('.hero button:text-is("Favourite")', WAIT);
    const inOrder = (page) => becomes(async () => [await headings(page), await names(page)], [["Favourites", "2 friends"], ["zion", "aran", "zion"]], "the list");
    await inOrder(jisu);
    await jisu.reload();
    await inOrder(jisu);
    const second = await device(browser, url);
    await logIn(second, "jisu", "jisu of the hill");
    await go(second, "friends");
    await inOrder(second);
    await go(second, "friends", jid("zion"));
    await second.click('.hero button[aria-pressed=true]', WAIT);
    await becomes(() => names(jisu), ["aran", "zion"], "the list without favourites");
    await leave(jisu, aran, zion, second);
  });
  await promise("of who is blocked nothing comes, and they are told nothing of it; unblocked, they are heard again", async () => {
    const [eun, mal] = await Promise.all([come("eun"), come("mal")]);
    await befriend(eun, "eun", mal, "mal");
    await open(mal, jid("eun"));
    await say(mal, "before");
    await open(eun, jid("mal"));
    await hears(eun, "before");
    await go(eun, "friends", jid("mal"));
    await eun.click('.end-of-panel button:text-is("Block")');
    await answer(eun, "Block");
    await eun.waitForSelector('.hero small:text-is("Blocked")', WAIT);
    await go(eun, "friends");
    same(await names(eun), [], "friends");

    await say(mal, "let me in");
    await mal.waitForSelector('.message.mine[data-state=failed]:has(p.body:text-is("let me in"))', WAIT); // an account that takes no messages says the same
    await mal.waitForSelector('.who small:text-is("")', { ...WAIT, state: "attached" }); // away
    same((await mal.locator("body").innerText()).match(/block/i), null, "what is said of blocking");
    await go(mal, "friends");
    same([await names(mal), await friend(mal, "eun").locator(".row-line").innerText()], [["eun"], ""], "the blocked one's list");
    await go(eun, "chats", jid("mal"));
    await eun.waitForSelector('.notice:has-text("You have blocked this person")', WAIT);
    await eun.reload();
    await eun.waitForSelector("[data-line=online]", { ...WAIT, state: "attached" });
    await go(eun, "settings");
    await eun.waitForSelector('.card:has(h2:text-is("Blocked people")) .row:has-text("mal")', WAIT);
    const problems = await axe(eun);
    await eun.click('.card:has(h2:text-is("Blocked people")) button:text-is("Unblock")');
    await Promise.all([online(eun, "mal"), online(mal, "eun")]);
    await open(eun, jid("mal"));
    await open(mal, jid("eun"));
    await say(mal, "after");
    await hears(eun, "after");
    same(await bodies(eun, ".theirs"), ["before", "after"], "what came");
    await leave(eun, mal);
    if (problems.length) throw new Error(problems.join("\n"));
  });
  await promise("who is reported is blocked, and whoever runs the server reads why, and what they wrote", async () => {
    const [dal, spam] = await Promise.all([come("dal"), come("spam")]);
    await open(spam, jid("dal"));
    for (const words of ["win a prize", "only today"]) await say(spam, words);
    await open(dal, jid("spam"));
    await say(dal, "no, thanks");
    await hears(dal, "only today");
    await go(dal, "friends", jid("spam"));
    await dal.click('.end-of-panel button:text-is("Report")');
    await dal.waitForSelector('dialog.menu h2:text-is("What is wrong with spam?")', WAIT);
    const problems = await axe(dal);
    await dal.click('dialog.menu button:text-is("Spam or fraud")');
    await answer(dal, "Report");
    await dal.waitForSelector('.hero small:text-is("Blocked")', WAIT);
    const told = await server("reports");
    for (const part of [`${jid("dal")}\tabout ${jid("spam")}\turn:xmpp:reporting:spam`, "<body>win a prize</body>", "<body>only today</body>"]) if (!told.includes(part)) throw new Error(`the report says nothing of ${part}: ${told}`);
    same(told.includes("no, thanks"), false, "one's own words in the report");
    await say(spam, "me again");
    await spam.waitForSelector('.message.mine[data-state=failed]:has(p.body:text-is("me again"))', WAIT);
    await leave(dal, spam);
    if (problems.length) throw new Error(problems.join("\n"));
  });
  await promise("a friend is removed: neither sees the other there, and the chat stays", async () => {
    const [bin, rok] = await Promise.all([come("bin"), come("rok")]);
    await befriend(bin, "bin", rok, "rok");
    await open(bin, jid("rok"));
    await say(bin, "goodbye");
    await kept(bin, "goodbye");
    await go(bin, "friends", jid("rok"));
    await bin.click('.end-of-panel button:text-is("Remove friend")');
    await answer(bin, "Cancel");
    await friend(bin, "rok").waitFor(WAIT);
    await bin.click('.end-of-panel button:text-is("Remove friend")');
    await answer(bin, "Remove friend");
    await friend(bin, "rok").waitFor(GONE);
    await go(rok, "friends");
    await line(rok, "bin", "Not friends");
    for (const [page, other, whose] of [[bin, "rok", ".mine"], [rok, "bin", ".theirs"]]) {
      await page.reload();
      await page.waitForSelector("[data-line=online]", { ...WAIT, state: "attached" });
      await open(page, jid(other));
      await becomes(() => bodies(page, whose), ["goodbye"], "the chat");
      same(await page.locator(".who small").innerText(), "", "whether the other is there");
    }
    await leave(bin, rok);
  });
  await promise("names of sixty letters, and names and words from right to left, fit on a phone and read in their direction", async () => {
    const LONG = "가나다라마바사아자차카타파하거".repeat(4), RASHID = "عبدالرحمن بن محمد الأحمد", SALAM = "مرحبا، هل وصلت 42 رسالة؟";
    const [ga, rashid, third] = await Promise.all([come("ga", { viewport: PHONE, locale: "ko-KR" }), come("rashid", { viewport: PHONE }), come("third")]);
    for (const [page, name] of [[ga, LONG], [rashid, RASHID]]) {
      await go(page, "settings");
      await page.fill("#profile input[autocomplete=nickname]", name);
      await page.fill("#profile .field:nth-of-type(2) input", `${name} ${name}`);
      await page.click("#profile button[type=submit]");
      await page.waitForSelector(".toast span", WAIT);
    }
    await asks(rashid, "ga");
    await go(ga, "friends");
    await ga.waitForSelector(".request", WAIT);
    const problems = await wide(ga, "a request");
    await ga.click(".request .primary");
    await friend(ga, RASHID).waitFor(WAIT);
    await friend(rashid, LONG).waitFor(WAIT);
    await asks(third, "ga");
    await ga.click(".request .primary", WAIT);
    await friend(third, LONG).waitFor(WAIT);

    await open(rashid, jid("ga"));
    await open(ga, jid("rashid"));
    await say(rashid, SALAM);
    await hears(ga, SALAM);
    await say(ga, "ㅋ".repeat(300));
    await hears(rashid, "ㅋ".repeat(300));
    await say(ga, `https://example.org/${"a".repeat(200)}`);
    await rashid.waitForSelector('.theirs a[href^="https://example.org/aaa"]', WAIT);
    same([await direction(ga, `.theirs p.body:text-is(${JSON.stringify(SALAM)})`), await direction(ga, ".who h1"), await direction(rashid, ".who h1"), await direction(rashid, ".theirs p.body")],
      ["rtl", "rtl", "ltr", "ltr"], "directions in the chat");
    await rashid.fill("textarea", SALAM);
    same(await direction(rashid, "textarea"), "rtl", "the direction of what is being written");
    await rashid.fill("textarea", "");

    for (const [page, other] of [[ga, "rashid"], [rashid, "ga"]])
      for (const where of [["chats", jid(other)], ["chats"], ["friends"], ["friends", jid(other)], ["chats", jid(other), "info"], ["group"], ["search"], ["settings"]]) {
        await go(page, ...where);
        await page.waitForFunction((hash) => location.hash === hash && document.querySelector("h1"), `#/${where.map(encodeURIComponent).join("/")}`, WAIT);
        problems.push(...await wide(page, where.join("/")));
      }
    await go(ga, "friends");
    same([await direction(ga, `.pane .row strong:text-is(${JSON.stringify(RASHID)})`), await direction(ga, ".me-card strong")], ["rtl", "ltr"], "directions in the list");
    await go(third, "friends", jid("ga"));
    await third.waitForSelector(`.hero strong:text-is(${JSON.stringify(LONG)})`, WAIT);
    problems.push(...await wide(third, "a desktop"));
    await leave(ga, rashid, third);
    if (problems.length) throw new Error(problems.join("\n"));
  });
}
