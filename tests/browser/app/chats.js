// chats.js: what one does in a chat beside writing: stickers, emoji, forwarding, links, days, the first unread, edit and delete; and
// what the list of chats and the search show of it. SPDX-License-Identifier: AGPL-3.0-or-later
import { WAIT, bodies, bubble, go, hears, jid, kept, messageMenu, online, open, say } from "./people.js";
import { group, keeps, listens, picture, quoted, row, stanza } from "./company.js";
import { becomes, same } from "./promises.js";

const DAY = 86400000, LONG = { timeout: 60000 }; // a hundred messages and more on a busy machine

const drawn = (page, selector) => page.waitForFunction((s) => {
  const i = document.querySelector(s);
  return i?.complete && i.naturalWidth > 0 && i.naturalWidth;
}, selector, WAIT).then((h) => h.jsonValue());

const place = (page) => page.$eval("textarea", (e) => [e.value, e.selectionStart, e.selectionEnd]);
const list = (page) => page.$$eval(".pane .rows .row strong", (all) => all.map((e) => e.textContent));
const line = (page, name) => page.$$eval(`${row(name)} .row-line > span:first-child`, ([e]) => e?.textContent);
const count = (page, name) => page.$$eval(`${row(name)} .count > span:first-child`, ([e]) => e?.textContent);

/** What a device got long ago: into its store, as the app keeps it. */
const long = (page, me, from, rows) => page.evaluate(([name, chat, rows]) => new Promise((done, failed) => {
  const open = indexedDB.open(name);
  open.onerror = () => failed(open.error);
  open.onsuccess = () => {
    const tx = open.result.transaction(["messages", "chats"], "readwrite");
    for (const [n, [at, body]] of rows.entries()) tx.objectStore("messages").put({ key: `${chat}\n${chat}\nl${n}`, chat, id: `l${n}`, from: chat, mine: false, at, body });
    tx.objectStore("chats").put({ jid: chat, kind: "person", lastAt: rows.at(-1)[0], unread: 0, readAt: Date.now(), complete: true });
    tx.oncomplete = () => { open.result.close(); done(); };
    tx.onabort = () => failed(tx.error);
  };
}), [`bongsu:${me}`, from, rows]);

/** `us`: company.js. */
export async function chats({ promise, server, browser, url, us }) {
  await promise("a sticker of the device's pack names pack and picture, and one of a pack that nobody here has comes as its picture", async () => {
    const { erin, frank } = await us.all(), came = await listens(frank);
    await open(erin, jid("frank"));
    await open(frank, jid("erin"));
    await erin.click('button[aria-label="이모티콘"]');
    await erin.click('.stickers button:has(img[alt="고마워"])');
    const seen = ".theirs .bubble.bare .photo.as-sticker img";
    await frank.waitForSelector(`${seen}[alt="Thank you"]`, WAIT);
    same(await drawn(frank, seen) > 0, true, "it is drawn");
    await erin.waitForSelector('.mine[data-state=sent] .as-sticker img[alt="고마워"]', WAIT);
    const sent = came.find((f) => f.includes("urn:xmpp:stickers:0")) ?? "";
    same([/<sticker [^>]*pack=['"]bongsu['"]/.test(sent), /<name>thanks\.png<\/name>/.test(sent), /<desc>🙏<\/desc>/.test(sent), /target=['"]http[^'"]+\.png['"]/.test(sent)], [true, true, true, true], `what the message carries: ${sent}`);
    const url = /target=['"](http[^'"]+\.png)['"]/.exec(sent)[1];
    const other = `<file-sharing xmlns='urn:xmpp:sfs:0' disposition='inline'><file xmlns='urn:xmpp:file:metadata:0'><media-type>image/png</media-type><desc>🐈</desc><size>100</size></file>`
      + `<sources><url-data xmlns='http://jabber.org/protocol/url-data' target='${url}'/></sources></file-sharing>`
      + `<sticker xmlns='urn:xmpp:stickers:0' pack='EpRv28DHHzFrE4zd+xaNpVb4'/>`;
    await server("send", `erin\n${stanza(jid("frank"), "🐈", { more: other })}`);
    const cat = `${seen}[alt="🐈"]`;
    await frank.waitForSelector(cat, WAIT);
    same([await drawn(frank, cat), await frank.getAttribute(cat, "src").then((s) => s.startsWith("http"))], [256, true], "a picture of a pack from elsewhere");
    same(await frank.$$eval(".theirs p.body", (all) => all.filter((e) => e.textContent === "🐈").length), 0, "and its words beside it");
    await go(frank, "chats");
    await frank.waitForSelector(`${row("erin")} .row-line:has-text("Sticker")`, WAIT);
    await open(frank, jid("erin"));
    await messageMenuOf(frank, frank.locator(`.message:has(img[alt="Thank you"])`).first(), "Forward");
    await frank.click('dialog .row-button:has-text("gina")');
    await frank.waitForSelector(`.conversation[data-chat=${quoted(jid("gina"))}] .mine[data-state=sent] .as-sticker`, WAIT);
  });
  await promise("an emoji is chosen for the middle of a text, for a selection, and for a text of its own", async () => {
    const { frank, gina } = await us.all();
    await open(frank, jid("gina"));
    await open(gina, jid("frank"));
    await frank.fill("textarea", "좋아요! bye");
    await frank.$eval("textarea", (e) => e.setSelectionRange(3, 3));
    await frank.click('button[aria-label="Emoji"]');
    const pick = (e) => frank.locator(".picker .emoji").last().locator(`button:text-is("${e}")`).click();
    await pick("🎉");
    await pick("👍");
    await becomes(() => place(frank), ["좋아요🎉👍! bye", 7, 7], "the text, and where one goes on");
    await frank.$eval("textarea", (e) => e.setSelectionRange(9, 12));
    await pick("👋");
    await becomes(() => place(frank), ["좋아요🎉👍! 👋", 11, 11], "in place of what was chosen");
    await frank.click(".send");
    await hears(gina, "좋아요🎉👍! 👋");
    await frank.click('button[aria-label="Emoji"]');
    same((await frank.$$eval(".picker .emoji >> nth=0", ([e]) => [...e.children].map((b) => b.textContent))).slice(0, 3), ["👋", "👍", "🎉"], "the last ones chosen");
    await pick("❤️");
    await frank.click(".send");
    await gina.waitForSelector('.theirs .bubble.bare p.emoji-only:text-is("❤️")', WAIT);
  });
  await promise("a message and a photo go on to another chat as they are, without what they answered", async () => {
    const { erin, frank, gina } = await us.all(), words = "모레 여덟 시 https://example.org/길";
    await open(erin, jid("frank"));
    await open(frank, jid("erin"));
    await say(frank, "when do we meet?");
    await hears(erin, "when do we meet?");
    await messageMenu(erin, "when do we meet?", "답장");
    await say(erin, words);
    await frank.waitForSelector('.theirs .quote:has-text("when do we meet?")', WAIT);
    await messageMenuOf(frank, frank.locator(`.message:has(p.body:has-text(${quoted(words)}))`).first(), "Forward");
    await frank.click('dialog .row-button:has-text("gina")');
    await frank.waitForSelector(`.conversation[data-chat=${quoted(jid("gina"))}] .mine[data-state=sent] p.body:has-text(${quoted(words)})`, WAIT);
    await open(gina, jid("frank"));
    await gina.waitForSelector(`.theirs p.body:has-text(${quoted(words)})`, WAIT);
    same(await gina.$$eval(".quote", (all) => all.length), 0, "what it answered");
    await gina.waitForSelector('.theirs a[href="https://example.org/%EA%B8%B8"], .theirs a[href="https://example.org/길"]', WAIT);

    await open(frank, jid("erin"));
    await frank.setInputFiles("input[type=file]", [{ name: "바다.png", mimeType: "image/png", buffer: await picture(frank, [640, 400]) }]);
    const shown = '.photo img[alt="바다.png"]:not(.thumb):not(.coming)';
    await erin.waitForSelector(`.theirs ${shown}`, WAIT);
    await frank.waitForSelector(".mine[data-state=sent] .photo", WAIT);
    await messageMenuOf(erin, erin.locator('.message:has(img[alt="바다.png"])').first(), "전달");
    await erin.waitForSelector('dialog .row-button:has-text("frank")', WAIT);
    same(await erin.$$eval("dialog .row-button", (all) => all.some((e) => e.textContent.includes("gina"))), false, "somebody whom erin does not know");
    await erin.keyboard.press("Escape");
    await erin.waitForSelector("dialog", { ...WAIT, state: "detached" });
    await messageMenuOf(frank, frank.locator('.message:has(img[alt="바다.png"])').first(), "Forward");
    await frank.click('dialog .row-button:has-text("gina")');
    await gina.waitForSelector(`.theirs ${shown}`, WAIT);
    same(await gina.$eval(`.theirs ${shown}`, (e) => [e.naturalWidth, e.naturalHeight]), [640, 400], "the photo that went on");
  });
  await promise("a link is one, and nothing else in a message is followed, run or taken for markup", async () => {
    const { erin, frank } = await us.all(), sharing = (type, name, target) => `<file-sharing xmlns='urn:xmpp:sfs:0'><file xmlns='urn:xmpp:file:metadata:0'><media-type>${type}</media-type><name>${name}</name>`
      + `<thumbnail xmlns='urn:xmpp:thumbs:1' uri='data:image/svg+xml,&lt;svg onload="window.evil=1"/&gt;'/></file><sources><url-data xmlns='http://jabber.org/protocol/url-data' target='${target}'/></sources></file-sharing>`;
    const bad = ["<img src=x onerror='window.evil=1'> <script>window.evil=1</script>", "javascript:window.evil=1", "[click](javascript:window.evil=1) <a href=\"javascript:window.evil=1\">here</a>",
      "data:text/html,<script>window.evil=1</script>", "file:///etc/passwd and ftp://example.org/x", "&lt;b&gt;&amp;#60;", "vbscript:x jAvAsCrIpT:window.evil=1//http"];
    await open(erin, jid("frank"));
    await open(frank, jid("erin"));
    const good = "see https://example.org/a_(b)?c=d&e=%20#f, (http://example.org/x) and no more.";
    await say(frank, "the first one");
    await hears(erin, "the first one");
    for (const words of [...bad, good]) await say(frank, words);
    await erin.waitForSelector(`.theirs p.body:has-text(${quoted(good)})`, WAIT);
    await server("send", `frank\n${stanza(jid("erin"), "plain words", { more: "<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'><p><b>rich</b><img src='http://evil.example/x.png' onerror='window.evil=1'/><a href='javascript:window.evil=1'>rich</a></p></body></html>" })
      + stanza(jid("erin"), "javascript:window.evil=1", { more: "<x xmlns='jabber:x:oob'><url>javascript:window.evil=1</url></x>" })
      + stanza(jid("erin"), "a script as a file", { more: sharing("image/png", "x.png", "javascript:window.evil=1") })
      + stanza(jid("erin"), "https://evil.example/x.svg", { more: sharing("image/svg+xml", "&lt;b&gt;x&lt;/b&gt;.svg", "https://evil.example/x.svg") + "<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:sfs:0'><body/></fallback>" })
      + stanza(jid("erin"), "the last one")}`);
    await hears(erin, "the last one");
    await becomes(async () => (await bodies(erin, ".theirs")).slice((await bodies(erin, ".theirs")).lastIndexOf("the first one") + 1), [...bad, good, "plain words", "javascript:window.evil=1", "a script as a file", "the last one"], "the words, as they were written");
    const links = await erin.$$eval(".theirs p.body a", (all) => all.map((a) => [a.getAttribute("href"), a.target, a.rel.includes("noopener")]));
    same(links.slice(-2), [["https://example.org/a_(b)?c=d&e=%20#f", "_blank", true], ["http://example.org/x", "_blank", true]], "the links");
    same(await erin.$$eval(".message a", (all) => all.map((a) => a.getAttribute("href")).filter((h) => !/^https?:/.test(h))), [], "other addresses");
    const file = erin.locator('.theirs .file-line:has(strong:text-is("<b>x</b>.svg"))');
    same([await file.getAttribute("href"), (await file.getAttribute("rel")).includes("noopener"), await erin.$$eval(".theirs img[src*=svg], .theirs [src*=evil]", (all) => all.length)], ["https://evil.example/x.svg", true, 0], "a file from elsewhere");
    for (const p of [erin, frank]) same(await p.evaluate(() => [window.evil ?? null, document.querySelectorAll(".bubble :is(script, iframe, b, [onerror], [onload])").length]), [null, 0], "what was run, and markup");
  });
  await promise("days are told apart by lines, in the words of one's language", async () => {
    const { erin, frank } = await us.all(), late = DAY - (Date.now() - new Date().setHours(0, 0, 0, 0));
    if (late < 60000) await frank.waitForTimeout(late); // today is to stay today
    const noon = new Date().setHours(12, 0, 0, 0), midnight = new Date().setHours(0, 0, 0, 0), from = "days@town.example";
    const old = new Date(noon - 40 * DAY), rows = [[old.getTime(), "long ago"], [old.getTime() + 60000, "long ago too"], [midnight - 60000, "a minute before midnight"], [midnight, "at midnight"]];
    for (const [p, me, today, yesterday, locale] of [[erin, "erin", "오늘", "어제", "ko-KR"], [frank, "frank", "Today", "Yesterday", "en-US"]]) {
      await long(p, jid(me), from, rows);
      await p.reload();
      await open(p, from);
      await p.waitForSelector(bubble("at midnight"), WAIT);
      const told = await p.$$eval(".message-list > :is(.day, .message)", (all) => all.map((e) => e.querySelector("p.body")?.textContent ?? e.textContent));
      same(told.filter((_, n) => n !== 0), ["long ago", "long ago too", yesterday, "a minute before midnight", today, "at midnight"], "the lines and what is under them");
      const parts = await p.evaluate(([l, at]) => ["month", "day"].map((k) => new Intl.DateTimeFormat(l, { [k]: k === "day" ? "numeric" : "long" }).format(at)), [locale, old.getTime()]);
      same(parts.map((w) => told[0].includes(w)), [true, true], `the date of ${told[0]}`);
    }
  });
  await promise("a chat opens at the first unread message, also behind more than a page of them, and one press leads to the newest", async () => {
    const { erin, frank } = await us.all(), many = 90;
    await open(erin, jid("frank"));
    await open(frank, jid("erin"));
    await say(frank, "the last that she read");
    await hears(erin, "the last that she read");
    await erin.bringToFront();
    await becomes(() => frank.$$eval(".mine .unread-by", (all) => all.length), 0, "unread before");
    await go(erin, "settings");
    await go(frank, "settings");
    await server("send", `frank\n${Array.from({ length: many }, (_, n) => stanza(jid("erin"), `unread ${n}`)).join("")}`);
    await erin.waitForSelector(`.areas .count:has-text("${many}")`, LONG);
    await open(erin, jid("frank"));
    await erin.waitForSelector(".unread-line", WAIT);
    const inSight = () => erin.evaluate(() => {
      const box = document.querySelector(".messages").getBoundingClientRect(), all = [...document.querySelectorAll(".message-list > *")], at = all.findIndex((e) => e.matches(".unread-line"));
      const words = (e) => e?.querySelector("p.body")?.textContent, r = all[at]?.getBoundingClientRect();
      return [words(all[at - 1]), words(all[at + 1]), r && r.top >= box.top && r.bottom <= box.bottom];
    });
    await becomes(inSight, ["the last that she read", "unread 0", true], "where it opened");
    await erin.click(".to-end");
    await erin.waitForSelector(bubble(`unread ${many - 1}`, ".theirs"), WAIT);
    await erin.waitForSelector(".areas .count, .to-end", { ...WAIT, state: "detached" });
  });
  await promise("what is deleted for all or edited is so at both, in both lists, after a reload and on a new device", async () => {
    const { erin, frank } = await us.all();
    await open(erin, jid("frank"));
    await open(frank, jid("erin"));
    await say(erin, "다섯 시에 만나요");
    await hears(frank, "다섯 시에 만나요");
    await say(erin, "비밀번호는 1234");
    await hears(frank, "비밀번호는 1234");
    await messageMenu(erin, "비밀번호는 1234", "모두에게서 삭제");
    await erin.click("dialog.question .danger");
    for (const [p, name, gone] of [[erin, "frank", "삭제된 메시지"], [frank, "erin", "Message deleted"]]) {
      await p.waitForSelector(`.message:last-child .gone:has-text(${quoted(gone)})`, WAIT);
      await go(p, "chats");
      await p.waitForSelector(`${row(name)} .row-line:has-text(${quoted(gone)})`, WAIT);
      await open(p, jid(name));
    }
    await messageMenu(erin, "다섯 시에 만나요", "수정");
    await say(erin, "여섯 시에 만나요");
    await hears(frank, "여섯 시에 만나요");
    await messageMenu(erin, "여섯 시에 만나요", "수정");
    await say(erin, "일곱 시에 만나요");
    await hears(frank, "일곱 시에 만나요");
    const late = await online(browser, url, "frank", "pass-frank", { locale: "ko-KR" });
    await open(late, jid("erin"));
    for (const p of [erin, frank]) {
      await p.reload();
      await p.waitForSelector("[data-line=online]", { ...WAIT, state: "attached" });
    }
    for (const [p, edited] of [[erin, "수정됨"], [frank, "edited"], [late, "수정됨"]]) {
      await p.waitForSelector(`.message:has(p.body:text-is("일곱 시에 만나요")) .meta:has-text(${quoted(edited)})`, WAIT);
      await p.waitForSelector(".message:last-child .gone", WAIT);
      same((await bodies(p, "")).filter((b) => /1234|다섯 시|여섯 시/.test(b)), [], "what is no more");
    }
    for (const [p, me] of [[erin, "erin"], [frank, "frank"], [late, "frank"]]) same((await keeps(p, jid(me))).filter((b) => b.includes("1234")), [], "what the device keeps of it");
    await late.context().close();
  });
  await promise("the list of chats follows: order, last line and how many are unread", async () => {
    const { erin, frank, gina } = await us.all();
    await go(frank, "chats");
    await open(erin, jid("frank"));
    await open(gina, jid("frank"));
    await say(erin, "첫째");
    await frank.waitForSelector(`${row("erin")} .row-line:has-text("첫째")`, WAIT);
    await say(gina, "one");
    await kept(gina, "one");
    await becomes(() => list(frank).then((all) => all.slice(0, 2)), ["gina", "erin"], "the newest first");
    await say(gina, "two");
    await becomes(async () => [await line(frank, "gina"), await count(frank, "gina")], ["two", "2"], "last line and count");
    await say(erin, "둘째");
    await becomes(() => list(frank).then((all) => all.slice(0, 2)), ["erin", "gina"], "the newest first");
    await becomes(async () => [await line(frank, "erin"), await count(frank, "erin")], ["둘째", "2"], "last line and count");
    await messageMenu(erin, "둘째", "수정");
    await say(erin, "셋째");
    await becomes(() => line(frank, "erin"), "셋째", "an edited last line");
    await erin.setInputFiles("input[type=file]", [{ name: "들.png", mimeType: "image/png", buffer: await picture(erin, [64, 64]) }]);
    await becomes(() => line(frank, "erin"), "Photo", "a photo's line");
    await open(frank, jid("erin"));
    await frank.bringToFront();
    await frank.waitForSelector(`${row("erin")} .count`, { ...WAIT, state: "detached" });
    same(await count(frank, "gina"), "2", "what nobody has read");
    await open(frank, jid("gina"));
    await say(frank, "three");
    await becomes(async () => [(await list(frank))[0], await line(frank, "gina")], ["gina", "You: three"], "what one writes");
    await frank.waitForSelector(`${row("gina")} .count`, { ...WAIT, state: "detached" });
    await go(gina, "chats");
    await becomes(() => line(gina, "frank"), "three", "the other's line");
    same(/^\d|[AP]M|:/.test(await gina.$eval(`${row("frank")} time`, (e) => e.textContent)), true, "a time of today");
  });
  await promise("search finds two syllables in what this device never saw, in a chat and in a group, and leads there", async () => {
    const { erin, frank } = await us.all(), fill = (to, type) => Array.from({ length: 110 }, (_, n) => stanza(to, `그 뒤의 말 ${n}`, { type })).join("");
    const room = await group(frank, "낚시 모임", ["erin"]);
    await say(frank, "모임의 봉화대 이야기");
    await kept(frank, "모임의 봉화대 이야기");
    await go(erin, "chats");
    await erin.click('.row a:has-text("낚시 모임")', WAIT);
    await hears(erin, "모임의 봉화대 이야기");
    await open(erin, jid("frank"));
    await say(erin, "어제 봉화대에 다녀왔어요");
    await kept(erin, "어제 봉화대에 다녀왔어요");
    for (const p of [erin, frank]) await go(p, "settings");
    await server("send", `frank\n<presence to='${room}/frank'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>${fill(room, "groupchat")}`);
    await server("send", `erin\n${fill(jid("frank"), "chat")}`);
    const late = await online(browser, url, "frank", "pass-frank");
    await late.waitForSelector(`${row("낚시 모임")} .row-line:has-text("그 뒤의 말 109")`, LONG);
    await late.waitForSelector(`${row("erin")} .row-line:has-text("그 뒤의 말 109")`, LONG);
    same((await keeps(late, jid("frank"))).filter((b) => b.includes("봉화")), [], "what this device has seen");
    await go(late, "search");
    await late.fill("input[type=search]", "봉화");
    for (const [where, words] of [["erin", "어제 봉화대에 다녀왔어요"], ["낚시 모임", "모임의 봉화대 이야기"]]) {
      await late.click(`.row-button:has(strong:text-is(${quoted(where)})):has-text(${quoted(words)})`, LONG);
      await late.waitForSelector(`.conversation ${bubble(words)}`, LONG);
      await go(late, "search");
      await late.fill("input[type=search]", "");
      await late.fill("input[type=search]", "봉화");
      await late.waitForSelector('.note:has-text("Searched everywhere.")', LONG);
    }
    await late.context().close();
  });
}

async function messageMenuOf(page, message, item) {
  await message.focus();
  await page.keyboard.press("Enter");
  await page.click(`dialog.menu button:has-text(${quoted(item)})`, WAIT);
}
