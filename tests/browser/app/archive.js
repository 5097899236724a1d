// archive.js: a long chat out of a server's archive.   node app/archive.js URL MESSAGES, from archive.py
// SPDX-License-Identifier: AGPL-3.0-or-later
import { HEAP_GROWS_MAX, OLD, heap, scroll, shows, small } from "./history.js";
import { launch, online, open } from "./people.js";
import { same, series } from "./promises.js";

const [, , url, messages] = process.argv, many = Number(messages), ALL_OF_IT = { timeout: 3600000 }, SCROLLED_MAX = 2000;
const browser = await launch(), { promise, end } = series("archive", browser);

const kept = (page) => page.evaluate(() => new Promise((done) => {
  const open = indexedDB.open("bongsu:elder@town.example");
  open.onsuccess = () => {
    const count = open.result.transaction("messages").objectStore("messages").count();
    count.onsuccess = () => { open.result.close(); done(count.result); };
  };
}));

/** Until what comes with the log-in is here: rows that come before the page has heard of a scroll take it back to the end. */
async function settled(page) {
  for (let before = -1, count; (count = await kept(page)) !== before; before = count) await page.waitForTimeout(2000);
}

await promise(`${many} messages of a server's archive: one scrolls back, and goes to the very first; page and memory stay small`, async () => {
  const page = await online(browser, url, "elder", "pass-elder"), began = await heap(page);
  await open(page, OLD);
  await shows(page, many - 1);
  await settled(page);
  await scroll(page, "top", 12);
  const some = await kept(page), start = Date.now();
  if (some > SCROLLED_MAX) throw new Error(`${some} messages are here after a little scrolling`);
  await page.focus(".messages");
  await page.keyboard.press("Home");
  await shows(page, 0, ALL_OF_IT);
  console.log(`      ${many - some} messages in ${Math.round((Date.now() - start) / 1000)} s`);
  await small(page, "at the first");
  same(await kept(page), many, "messages on the device");
  await scroll(page, "bottom", 5);
  await page.click(".to-end");
  await shows(page, many - 1);
  await small(page, "at the end");
  const grew = (await heap(page)) - began;
  console.log(`      the heap has grown by ${grew} bytes`);
  if (grew > HEAP_GROWS_MAX) throw new Error("that is too much");
});
await end();
