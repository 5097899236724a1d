// history.js: a chat of 100,000 messages. Whatever one does in it, the page and what is in memory stay as small as in a chat of a
// few hundred; and so they do in a chat that is left open. SPDX-License-Identifier: AGPL-3.0-or-later
import { axe, go, open } from "./people.js";
import { same } from "./promises.js";

export const OLD = "old@town.example", MANY = 100000, HEAP_GROWS_MAX = 15e6;
const LONG = { timeout: 60000 }, ROWS_MAX = 240, NODES_MAX = 8000, FILES_MAX = 60;
const BUSY = "busy@town.example", CHANGES = 100, CHANGES_GROW_MAX = 5e6; // a state of 240 rows is 0.8 to 1.6 MB

/** Into the store, as the app keeps it: a message a minute, every fortieth with a photo, one with a word of its own. */
const fill = (page, from, chat = OLD, many = MANY) => page.evaluate(async ([chat, many, old]) => {
  const db = await new Promise((done, fail) => { const r = indexedDB.open("bongsu:bob@town.example"); r.onsuccess = () => done(r.result); r.onerror = () => fail(r.error); });
  const write = (put) => new Promise((done, fail) => {
    const tx = db.transaction(["messages", "chats"], "readwrite");
    put(tx);
    tx.oncomplete = done;
    tx.onabort = () => fail(tx.error);
  });
  for (let n = 0; n < many; n += 5000) await write((tx) => {
    for (let i = n; i < Math.min(n + 5000, many); i++) tx.objectStore("messages").put({ key: `${chat}\n${chat}\no${i}`, chat, id: `o${i}`, from: chat, mine: false, at: old + i * 60000,
      body: i === 50000 ? "the needle 바늘" : `line ${i} ${"word ".repeat(i % 17)}`.trim(), file: i % 40 ? undefined : { name: `p${i}.png`, type: "image/png", size: 1000, width: 90, height: 60, url: "https://elsewhere.example/p.png" } });
  });
  await write((tx) => tx.objectStore("chats").put({ jid: chat, kind: "person", lastAt: old + many * 60000, unread: 0, readAt: Date.now(), complete: true }));
  db.close();
}, [chat, many, from]);

/** The newest message of a chat is another one in the store, so many times, and the other tabs are told, as a tab that has the line does; each is
 * seen before the next. Whoever looks scrolls up meanwhile, by `step` every few milliseconds, which is between a scroll and its event more often
 * than not. Answers how far they have scrolled, and how far the page is from there. */
const change = (page, chat, newest, times, step = 0) => page.evaluate(async ([chat, newest, times, step, bound]) => {
  const done = (r) => new Promise((ok, fail) => { r.onsuccess = () => ok(r.result); r.onerror = () => fail(r.error); });
  const db = await done(indexedDB.open("bongsu:bob@town.example")), bus = new BroadcastChannel("bongsu:bob@town.example");
  const m = await done(db.transaction("messages").objectStore("messages").get(`${chat}\n${chat}\no${newest}`)), box = document.querySelector(".messages");
  const from = box.scrollTop;
  let scrolled = 0;
  for (let n = 0; n < times; n++) {
    const body = `${m.body} ${n}`, late = Date.now() + bound;
    await done(db.transaction("messages", "readwrite").objectStore("messages").put({ ...m, body }));
    bus.postMessage({ kind: "changed", change: { messages: [chat], chats: true } });
    while ([...document.querySelectorAll(".message p.body")].at(-1)?.textContent !== body) {
      if (Date.now() > late) throw new Error(`change ${n} is not seen`);
      if (step) box.scrollTop -= step;
      scrolled += step;
      await new Promise((next) => (step ? setTimeout(next) : requestAnimationFrame(next)));
    }
  }
  bus.close();
  db.close();
  return { scrolled, off: Math.abs(from - scrolled - box.scrollTop) };
}, [chat, newest, times, step, LONG.timeout]);

const lines = (page) => page.$$eval(".message p.body", (all) => all.map((e) => (e.textContent === "the needle 바늘" ? 50000 : Number(e.textContent.split(" ")[1]))));
export const shows = (page, n, bound = LONG) => page.waitForFunction((want) => {
  const box = document.querySelector(".messages")?.getBoundingClientRect(); // none while another view gives way to the chat
  return box && [...document.querySelectorAll(".message")].some((e) => {
    const r = e.getBoundingClientRect();
    return (e.querySelector("p.body")?.textContent + " ").startsWith(want) && r.bottom > box.top && r.top < box.bottom;
  });
}, n === 50000 ? "the needle" : `line ${n} `, bound);

export async function small(page, when) {
  const all = await lines(page), nodes = await page.evaluate(() => document.querySelectorAll("*").length);
  if (all.length > ROWS_MAX || !all.length || nodes > NODES_MAX) throw new Error(`${when}: ${all.length} messages and ${nodes} elements on the page`);
  if (all.some((n, i) => i && n !== all[i - 1] + 1)) throw new Error(`${when}: a hole or a swap in ${all.join(" ")}`);
}

/** Scrolls to the edge of what is there until others have come, so many times; what stood at the edge stays where it was. */
export async function scroll(page, edge, times) {
  for (let n = 0; n < times; n++) {
    const was = (await lines(page)).at(edge === "top" ? 0 : -1);
    await page.evaluate((e) => { const m = document.querySelector(".messages"); m.scrollTop = e === "top" ? 0 : m.scrollHeight; }, edge);
    await page.waitForFunction(([e, n]) => {
      const at = [...document.querySelectorAll(".message p.body")].at(e === "top" ? 0 : -1);
      return at && at.textContent.split(" ")[1] !== n;
    }, [edge, String(was)], LONG);
    const inSight = await page.evaluate((key) => {
      const r = document.querySelector(`[data-key="${CSS.escape(key)}"]`)?.getBoundingClientRect(), box = document.querySelector(".messages").getBoundingClientRect();
      return r !== undefined && r.bottom > box.top && r.top < box.bottom;
    }, `${OLD}\n${OLD}\no${was}`);
    same(inSight, true, `line ${was} is still in sight after scrolling to the ${edge}`);
    await small(page, `scrolling to the ${edge}`);
  }
}

export async function heap(page) {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("HeapProfiler.collectGarbage");
  const { usedSize } = await cdp.send("Runtime.getHeapUsage");
  await cdp.detach();
  return usedSize;
}

/** Has a chat open that is on the page as a whole. */
async function busy({ bob }) {
  await fill(bob, Date.now() - ROWS_MAX * 60000, BUSY, ROWS_MAX);
  await open(bob, BUSY);
  await shows(bob, ROWS_MAX - 1);
  await change(bob, BUSY, ROWS_MAX - 1, 30);
  return bob;
}

export async function history({ promise, people }) {
  await promise("a history of 100,000 messages: newest, oldest, a date and a found word are there, and page and memory stay small", async () => {
    const { bob } = people(), from = Date.now() - 8e9;
    await fill(bob, from);
    const began = await heap(bob);
    await open(bob, OLD);
    await shows(bob, MANY - 1);
    await scroll(bob, "top", 12);
    await bob.focus(".messages");
    await bob.keyboard.press("Home");
    await shows(bob, 0);
    await small(bob, "at the beginning");
    await scroll(bob, "bottom", 8);
    const [day, first] = await bob.evaluate(([at, start]) => {
      const d = new Date(at), midnight = new Date(d.getFullYear(), d.getMonth(), d.getDate()).getTime();
      return [`${d.getFullYear()}-${String(d.getMonth() + 1).padStart(2, "0")}-${String(d.getDate()).padStart(2, "0")}`, Math.ceil((midnight - start) / 60000)];
    }, [from + 70000 * 60000, from]);
    await bob.locator(".day button").first().click();
    await bob.waitForSelector('dialog input[type="date"]', LONG);
    same(await axe(bob), [], "what breaks WCAG in the choice of a date");
    await bob.fill('dialog input[type="date"]', day);
    await bob.click("dialog .primary");
    await shows(bob, first);
    await small(bob, "at a date");
    await go(bob, "search");
    await bob.fill("input[type=search]", "바늘");
    await bob.click('.row-button:has-text("바늘")', LONG);
    await shows(bob, 50000);
    await small(bob, "at what was found");
    await scroll(bob, "top", 2);
    await scroll(bob, "bottom", 5);
    await bob.click(".to-end");
    await shows(bob, MANY - 1);
    await small(bob, "at the end");
    const grew = (await heap(bob)) - began;
    if (grew > HEAP_GROWS_MAX) throw new Error(`the heap has grown by ${grew} bytes`);
  });
  await promise("the photos and files of 100,000 messages come in pages of a bounded size", async () => {
    const { bob } = people(), names = () => bob.$$eval(".drawer .file-line, .drawer .photo", (all) => all.map((e) => e.getAttribute("aria-label") ?? e.textContent));
    await go(bob, "chats", OLD, "info");
    await bob.waitForSelector(".drawer .file", LONG);
    const newest = await names();
    await bob.click('button:text-is("Older")');
    await bob.waitForSelector('button:text-is("Newer")', LONG);
    await bob.waitForFunction((n) => document.querySelectorAll(".drawer .file").length === n, FILES_MAX, LONG);
    same([newest.length, (await bob.$$(".drawer .file")).length], [FILES_MAX, FILES_MAX], "on the page");
    await bob.click('button:text-is("Newer")');
    await bob.waitForSelector('button:text-is("Newer")', { ...LONG, state: "detached" });
    same((await names()).length, FILES_MAX, "back at the newest");
  });
  await promise("a chat that stays open while its messages change keeps no more in memory than what it shows", async () => {
    const bob = await busy(people());
    same((await lines(bob)).length, ROWS_MAX, "messages on the page");
    const began = await heap(bob);
    await change(bob, BUSY, ROWS_MAX - 1, CHANGES);
    const grew = (await heap(bob)) - began;
    if (grew > CHANGES_GROW_MAX) throw new Error(`the heap has grown by ${grew} bytes in ${CHANGES} changes`);
  });
  await promise("who scrolls while rows change gets where they scroll", async () => {
    const bob = await busy(people());
    await bob.evaluate(() => { const m = document.querySelector(".messages"); m.scrollTop = m.scrollHeight / 2; });
    const { scrolled, off } = await change(bob, BUSY, ROWS_MAX - 1, 40, 2);
    if (!scrolled || off > 2) throw new Error(`scrolled by ${scrolled} px, and is ${off} px off`);
  });
}
