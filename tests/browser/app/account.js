// account.js: what one says of oneself, what one takes along, and how one leaves. SPDX-License-Identifier: AGPL-3.0-or-later
import { befriend, friend } from "./friends.js";
import { PHONE, WAIT, axe, bodies, bubble, device, go, hears, jid, kept, logIn, newcomer, open, overflows, say, whileAway } from "./people.js";
import { becomes, same } from "./promises.js";

const GONE = { ...WAIT, state: "detached" };
const back = (page) => page.waitForSelector("[data-line=online]", { ...WAIT, state: "attached" });
const databases = (page) => page.evaluate(async () => (await indexedDB.databases()).map((d) => d.name));
const storage = (page) => page.locator('.card:has(h2:text-is("On this device"))');

/** What the page gives its person as a file: its name, and its bytes as text, which must be UTF-8. */
async function file(page, click) {
  const [download] = await Promise.all([page.waitForEvent("download", WAIT), click()]), parts = [];
  for await (const part of await download.createReadStream()) parts.push(part);
  return { name: download.suggestedFilename(), text: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.concat(parts)) };
}

/** The lines of a vCard (RFC 6350 §3.2), unfolded; the longest one as it stands in the file, in octets. */
const lines = (text) => ({ all: text.replace(/\r\n /g, "").split("\r\n"), longest: Math.max(...text.split("\r\n").map((l) => Buffer.byteLength(l))) });

const photo = (page) => page.evaluate(() => new Promise((done) => {
  const c = Object.assign(document.createElement("canvas"), { width: 300, height: 200 });
  c.getContext("2d").fillRect(100, 50, 100, 100);
  c.toBlob((b) => b.arrayBuffer().then((a) => done([...new Uint8Array(a)])));
}));

/** While the network is gone: the page is loaded anew from what the device has. */
async function offline(page, run) {
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
  await whileAway(async () => {
    await page.context().setOffline(true);
    await page.reload();
    await run();
    await page.context().setOffline(false);
  });
  await back(page);
}

export async function account({ promise, browser, url }) {
  const come = (name, how) => newcomer(browser, url, name, how), leave = (...pages) => Promise.all(pages.map((p) => p.context().close()));

  await promise("name, photo, status line and another way to be reached are seen by a friend, kept for when there is no line, and exported", async () => {
    const [boram, dalsu, kyung] = await Promise.all([come("boram", { viewport: PHONE }), come("dalsu"), come("kyung")]);
    await befriend(boram, "boram", dalsu, "dalsu");
    await go(boram, "settings", "profile");
    await boram.fill('#profile input[autocomplete=nickname]', "강보람; 동생, 막내");
    await boram.fill('#profile p:has(label:text-is("About me")) input', "산에 있어요 ⛰️");
    await boram.fill("#profile input[name=phone]", "010-1234-5678");
    await boram.fill("#profile input[name=email]", "boram@example.org");
    await boram.setInputFiles("#profile .hero input[type=file]", { name: "나.png", mimeType: "image/png", buffer: Buffer.from(await photo(boram)) });
    await boram.waitForSelector("#profile .hero .face img", WAIT);
    const problems = [...await axe(boram), ...(await overflows(boram) ? ["the settings are wider than the screen"] : [])];
    await boram.click('#profile button[type=submit]');
    await boram.waitForSelector('.toast:has-text("Saved")', WAIT);

    const row = friend(dalsu, "강보람; 동생, 막내");
    await row.locator(".face img").waitFor(WAIT); // by itself: nothing was opened
    await row.locator('.row-line:has-text("산에 있어요 ⛰️")').waitFor(WAIT);
    await offline(dalsu, async () => {
      await go(dalsu, "friends", jid("boram"));
      await dalsu.waitForSelector('.told a[href="tel:01012345678"]:text-is("010-1234-5678")', WAIT);
      await dalsu.waitForSelector('.told a[href="mailto:boram@example.org"]', WAIT);
      await dalsu.waitForSelector('.panel .hero p:text-is("산에 있어요 ⛰️")', WAIT);
      await dalsu.waitForFunction(() => document.querySelector(".panel .hero .face img")?.naturalWidth > 0, null, WAIT);
    });
    problems.push(...await axe(dalsu));
    await dalsu.fill('form:has(h2:text-is("What I wrote down")) input[type=tel]', "02-987-6543");
    const note = "비상시에는 할머니 댁으로, 초인종은 두 번; ".repeat(6).trim();
    await dalsu.fill('.field:has(label:text-is("Note")) input', note);
    await dalsu.click('form:has(h2:text-is("What I wrote down")) button[type=submit]');
    await dalsu.waitForSelector('.toast:has-text("Saved")', WAIT);
    const one = await file(dalsu, () => dalsu.click('button:text-is("Export contact")')), { all, longest } = lines(one.text), escaped = (s) => s.replace(/[,;]/g, "\\$&");
    const card = ["BEGIN:VCARD", "VERSION:4.0", `FN:${escaped("강보람; 동생, 막내")}`, `NICKNAME:${escaped("강보람; 동생, 막내")}`, "IMPP:xmpp:boram@town.example", "TEL;VALUE=text:02-987-6543",
      "TEL;VALUE=text:010-1234-5678", "EMAIL:boram@example.org", `NOTE:${escaped(note)}`, "END:VCARD"];
    same([one.name, all], ["강보람; 동생, 막내.vcf", [...card, ""]], "the exported contact");
    if (longest > 75) throw new Error(`a line of ${longest} octets`);
    await offline(dalsu, async () => {
      await go(dalsu, "friends", jid("boram"));
      await becomes(() => dalsu.inputValue('.field:has(label:text-is("Note")) input'), note, "the note without a line");
    });

    await go(kyung, "friends", jid("boram")); // no friend of hers
    await kyung.waitForSelector('.panel .hero strong:has-text("강보람")', WAIT);
    same([await kyung.locator(".told").count(), await kyung.innerText(".panel").then((w) => w.includes("1234"))], [0, false], "what a stranger sees");

    await boram.reload();
    await back(boram);
    await go(boram, "settings", "profile");
    await becomes(() => boram.inputValue("#profile input[name=email]"), "boram@example.org", "what one has said of oneself");
    await boram.fill("#profile input[name=phone]", "");
    await boram.click('#profile button[type=submit]');
    await dalsu.waitForSelector('.told a[href^="tel:"]', GONE);
    await dalsu.waitForSelector('.told a[href^="mailto:"]', WAIT);
    await boram.waitForSelector('.toast:has-text("Saved")', WAIT);
    await dalsu.reload();
    await back(dalsu);
    await dalsu.waitForSelector(".panel .hero .face img", WAIT); // who changes one thing keeps the others
    await go(dalsu, "settings");
    const every = await file(dalsu, () => storage(dalsu).locator('button:text-is("Export all contacts")').click());
    same([every.name, lines(every.text).all], ["contacts.vcf", [...card.filter((l) => !l.includes("1234")), ""]], "all contacts");
    await leave(boram, dalsu, kyung);
    if (problems.length) throw new Error(problems.join("\n"));
  });
  await promise("what is on the device is counted, and taken along whole", async () => {
    const [seri, woo] = await Promise.all([come("seri"), come("woo")]);
    await befriend(seri, "seri", woo, "woo");
    await go(seri, "settings");
    await storage(seri).locator('p:has-text("0 messages")').waitFor(WAIT);
    await open(seri, jid("woo"));
    await say(seri, "가져갈 말 \"하나\" \\ 😀");
    await kept(seri, "가져갈 말 \"하나\" \\ 😀");
    await open(woo, jid("seri"));
    await say(woo, "and another");
    await hears(seri, "and another");
    await offline(seri, async () => {
      await open(seri, jid("woo"));
      await say(seri, "later");
      await seri.waitForSelector('.message.mine[data-state=waiting]:has(p.body:text-is("later"))', WAIT);
      await go(seri, "settings");
      await storage(seri).locator('p:has-text("3 messages"):has-text("about"):has-text("one waits to be sent")').waitFor(WAIT);
    });
    await hears(woo, "later");
    await open(seri, jid("woo"));
    await kept(seri, "later");
    await go(seri, "settings");
    const whole = await file(seri, () => storage(seri).locator('button:text-is("Export what is on this device")').click()), said = JSON.parse(whole.text);
    same([whole.name, said.account, said.messages.sort((a, b) => a.at - b.at).map((m) => [m.chat, m.mine, m.body]), said.people.filter((p) => p.listed).map((p) => p.jid), said.chats.map((c) => c.jid)],
      ["bongsu-seri.json", jid("seri"), [[jid("woo"), true, "가져갈 말 \"하나\" \\ 😀"], [jid("woo"), false, "and another"], [jid("woo"), true, "later"]], [jid("woo")], [jid("woo")]], "the export");

    await seri.evaluate(([name, words]) => new Promise((done, failed) => { // as if two of them were old
      const open = indexedDB.open(name);
      open.onerror = () => failed(open.error);
      open.onsuccess = () => {
        const tx = open.result.transaction("messages", "readwrite"), all = tx.objectStore("messages").getAll();
        all.onsuccess = () => { for (const m of all.result) if (words.includes(m.body)) tx.objectStore("messages").put({ ...m, at: m.at - 100 * 86400000 }); };
        tx.oncomplete = () => { open.result.close(); done(); };
      };
    }), [`bongsu:${jid("seri")}`, ["가져갈 말 \"하나\" \\ 😀", "and another"]]);
    await storage(seri).locator('button:text-is("Remove old messages")').click();
    await seri.click('dialog.menu button:text-is("Older than 3 months")');
    await seri.click('dialog.question button:text-is("Remove old messages")', WAIT);
    await seri.waitForSelector('.toast:has-text("2 messages removed from this device")', WAIT);
    await storage(seri).locator('p:has-text("one message")').waitFor(WAIT);
    await open(seri, jid("woo")); // from the archive again
    await hears(seri, "and another");
    await seri.waitForSelector(bubble("later", ".mine"), WAIT);
    same(await bodies(seri), ["가져갈 말 \"하나\" \\ 😀", "and another", "later"], "the chat");

    await go(seri, "settings");
    await storage(seri).locator('button:text-is("Export all that the server keeps")').click();
    await open(seri, "town.example");
    const link = await seri.getAttribute('.message p.body a[href*="/exports/"]', "href", { timeout: 60000 });
    const packed = await seri.evaluate((path) => fetch(path).then((r) => r.arrayBuffer()).then((b) => String.fromCharCode(...new Uint8Array(b))), new URL(link).pathname);
    same([packed.slice(0, 2), ["account.xml", "archive-000001.xml", "index.html", "SHA256SUMS"].map((f) => packed.includes(f))], ["PK", [true, true, true, true]], "what the link leads to");
    await leave(seri, woo);
  });
  await promise("what one wants to be told of stays as it was chosen", async () => {
    const page = await come("garam"), none = () => { PushManager.prototype.subscribe = () => Promise.reject(new Error("no push service here")); }; // else Chromium complains of it
    await page.addInitScript(none);
    await page.evaluate(none);
    const box = (words) => page.locator(`.card label:has-text("${words}") input`), boxes = async () => [await box("Tell me about new").isChecked(), await box("Show who wrote").isChecked()];
    await go(page, "settings");
    same([await boxes(), await box("Show who wrote").isDisabled()], [[false, false], true], "before anything was chosen");
    await box("Tell me about new").check();
    const chosen = (what) => page.waitForFunction((what) => JSON.parse(localStorage.getItem("bongsu.choices") ?? "{}")[what] === true, what, WAIT); // once the server has it
    await chosen("notify");
    await box("Show who wrote").check();
    await chosen("tell");
    same(await boxes(), [true, true], "what was chosen");
    await page.reload();
    await back(page);
    await becomes(boxes, [true, true], "what was chosen, after a reload");
    await box("Tell me about new").uncheck();
    await page.reload();
    await back(page);
    same([(await boxes())[0], await box("Show who wrote").isDisabled()], [false, true], "when nothing is to be told");
    await leave(page);
  });
  await promise("an account is deleted when its name is typed: nobody logs in, the device is empty, and friends see it", async () => {
    const [soo, min] = await Promise.all([come("soo", { viewport: PHONE }), come("min")]);
    await befriend(soo, "soo", min, "min");
    await open(soo, jid("min"));
    await say(soo, "my last words");
    await open(min, jid("soo"));
    await hears(min, "my last words");
    await go(soo, "settings");
    await soo.click('#account button:text-is("Delete account")');
    await soo.waitForSelector("dialog.question[open]", WAIT);
    const problems = await axe(soo);
    await soo.fill("dialog.question input", "min");
    await soo.click("dialog.question .danger");
    await soo.waitForSelector("dialog.question", GONE);
    await soo.click('#account button:text-is("Delete account")'); // it is still there
    await soo.fill("dialog.question input", "soo");
    await soo.click("dialog.question .danger");
    await soo.waitForSelector(".login", WAIT);
    await becomes(() => databases(soo), [], "what is left on the device");
    same(await soo.evaluate(() => localStorage.getItem("bongsu.account")), null, "the account on the device");
    await soo.reload();
    await soo.waitForSelector(".login", WAIT);
    await logIn(soo, "soo", "soo of the hill");
    await soo.waitForSelector('.error:has-text("do not fit")', WAIT);

    await go(min, "friends");
    await friend(min, "soo").locator('.row-line:has-text("Not friends")').waitFor(WAIT);
    await open(min, jid("soo"));
    await min.waitForSelector(bubble("my last words", ".theirs"), WAIT); // each one's copy is their own
    same(await min.locator(".who small").innerText(), "", "whether the other is there");
    await say(min, "where are you");
    await min.waitForSelector('.message.mine[data-state=failed]:has(p.body:text-is("where are you"))', WAIT);
    await leave(soo, min);
    if (problems.length) throw new Error(problems.join("\n"));
  });
}
