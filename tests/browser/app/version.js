// version.js: what happens to open pages when the app at the server changes.   node app/version.js URL CONTROL, from version.py
// SPDX-License-Identifier: AGPL-3.0-or-later
import { PHONE, WAIT, bodies, bubble, go, hears, kept, launch, online, open, say, tab, until, whileAway } from "./people.js";
import { at, same, series } from "./promises.js";

const [, , url, control] = process.argv;
const jid = (name) => `${name}@town.example`, server = at(control), browser = await launch();
const { promise, end } = series("version", browser, { mend: () => server("start") });

const ALL_FILES_MS = 40000; // a worker fetches all of its version before it begins

/** The files that a version's worker knows. */
const files = async () => [...(await (await fetch(`${url}sw.js`)).text()).matchAll(/\/assets\/[^ ]+/g)].map((m) => m[0]);
/** What a page has loaded of the app, those files that are loaded late too. */
const loaded = (page) => page.evaluate(() => performance.getEntriesByType("resource").map((e) => new URL(e.name).pathname).filter((p) => p.startsWith("/assets/")));
/** The script that a version's page begins with. */
const begins = (version) => version.find((f) => /\/app-[^/]*\.js$/.test(f));

/** Looks for a new worker, as a page does when somebody comes back to it, until pages would begin with that version. */
const takes = (page, version) => until(page, async (script) => {
  await (await navigator.serviceWorker.ready).update().catch(() => undefined);
  return (await (await fetch("/")).text()).includes(script);
}, begins(version), ALL_FILES_MS);

/** Until those versions are what a browser keeps, and no other. */
const keeps = (page, versions) => until(page, async (scripts) => {
  const all = await Promise.all((await caches.keys()).map((name) => caches.open(name)));
  const held = await Promise.all(scripts.map(async (s) => (await Promise.all(all.map((c) => c.match(s)))).some(Boolean)));
  return all.length === scripts.length && held.every(Boolean);
}, versions.map(begins));

/** Looks until a new worker has been found; answers what became of it. The browser looks by itself too, and may have been first. */
const fate = (page) => page.evaluate(async () => {
  const registration = await navigator.serviceWorker.ready;
  let found = null;
  registration.addEventListener("updatefound", () => { found ??= registration.installing; });
  for (const end = Date.now() + 10000; Date.now() < end; await new Promise((r) => setTimeout(r, 50))) {
    if (!found) await registration.update().catch(() => undefined);
    if (found && ["redundant", "activated"].includes(found.state)) return found.state;
  }
  return "none was found";
});

/** Loads what is loaded late: the maker of codes and their reader. */
async function useLateParts(page) {
  await go(page, "friends");
  await page.click('button[aria-label="My code"]');
  await page.waitForSelector("svg.qr", WAIT);
  await page.keyboard.press("Escape");
  await page.waitForSelector("svg.qr", { ...WAIT, state: "detached" });
  await page.click('button[aria-label="Add friend"]');
  await page.click('button:text-is("Scan a code")');
  await page.waitForFunction(() => document.querySelector(".scanner video")?.videoWidth > 0, null, WAIT);
  await page.click('.scanner button:text-is("Cancel")');
  await page.waitForSelector(".scanner", { ...WAIT, state: "detached" });
  await page.keyboard.press("Escape");
  await page.waitForSelector("dialog[open]", { ...WAIT, state: "detached" });
}

async function partsAreOf(page, version, what) {
  const names = await loaded(page);
  same(names.filter((n) => !version.includes(n)), [], what);
  return names;
}

const first = await files(), OFFER = '.status:has-text("A new version is ready.")';
let second, alice, bob, other;

await promise("two people chat, one of them in two tabs", async () => {
  alice = await online(browser, url, "alice", "pass-alice", { locale: "ko-KR", viewport: PHONE });
  bob = await online(browser, url, "bob", "pass-bob");
  await bob.context().grantPermissions(["camera", "notifications"]);
  other = await tab(bob.context(), url);
  for (const page of [bob, other]) {
    await open(page, jid("alice"));
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => { globalThis.sameAsBefore = true; }));
  }
  await open(alice, jid("bob"));
  await say(bob, "before");
  await hears(alice, "before");
  await kept(bob, "before");
});

await promise("half of a new version is none: the page begins and goes on as before", async () => {
  await server("half");
  same(await whileAway(() => fate(bob)), "redundant", "a worker that was given files of two versions");
  await other.reload();
  await other.waitForSelector(bubble("before", ".mine"), WAIT);
  await other.evaluate(() => { globalThis.sameAsBefore = true; });
  await partsAreOf(other, first, "files not of the first version");
  same(await bob.locator(OFFER).count() + await other.locator(OFFER).count(), 0, "offers of half a version");
});

await promise("a new version is offered in every open tab, and takes no word from who types", async () => {
  await bob.locator("textarea").pressSequentially("half a sen");
  await server("second");
  second = await files();
  await takes(bob, second);
  for (const page of [bob, other]) await page.waitForSelector(OFFER, WAIT);
  await bob.locator("textarea").pressSequentially("tence");
  await bob.keyboard.press("Enter");
  await hears(alice, "half a sentence");
  same([await bob.evaluate(() => globalThis.sameAsBefore), await other.evaluate(() => globalThis.sameAsBefore)], [true, true], "pages that are as they were");
  await takes(alice, second);
  await alice.waitForSelector('.status:has-text("새 버전이 준비되었어요.")', { ...WAIT, state: "attached" });
});

await promise("what the old version loads late is still there, though the server has it no more", async () => {
  const gone = first.filter((f) => !second.includes(f));
  same(await Promise.all(gone.map((f) => fetch(new URL(f, url)).then((r) => r.status))), gone.map(() => 404), "the first version's files at the server");
  await useLateParts(bob);
  const late = (await partsAreOf(bob, first, "files not of the first version")).filter((f) => gone.includes(f) && f.endsWith(".js"));
  if (late.length < 3) throw new Error(`only ${late} were loaded`);
});

await promise("the next reload has the new version, also without a server, with all that was written", async () => {
  await open(bob, jid("alice"));
  await whileAway(async () => {
    await server("kill");
    await bob.waitForSelector(".status.away", { ...WAIT, state: "attached" });
    await say(bob, "waits over the change");
    await bob.waitForSelector('.message.mine[data-state=waiting]:has-text("waits over the change")', WAIT);
    await bob.locator("textarea").pressSequentially("to be contin");
    await bob.click('.status button:text-is("Use it now")');
    await bob.waitForFunction(() => !globalThis.sameAsBefore && document.querySelector(".conversation textarea"), null, WAIT);
    same(await bob.inputValue("textarea"), "to be contin", "the draft");
    for (const words of ["before", "half a sentence", "waits over the change"]) await bob.waitForSelector(bubble(words, ".mine"), WAIT);
    await partsAreOf(bob, second, "files not of the second version");
    await server("start");
    await hears(alice, "waits over the change");
    await kept(bob, "waits over the change");
  });
  same((await bodies(alice, ".theirs")).filter((b) => b === "waits over the change").length, 1, "how often it arrived");
  await go(bob, "settings");
  await bob.waitForSelector('h1:text-is("Settings II")', WAIT);
  same(await bob.locator(OFFER).count(), 0, "offers of the version that one has");
  await useLateParts(bob);
  await partsAreOf(bob, second, "files not of the second version");
});

await promise("the tab that was not reloaded goes on with the old version beside the new one", async () => {
  same(await other.evaluate(() => globalThis.sameAsBefore), true, "the other tab is as it was");
  await other.waitForSelector(OFFER, WAIT);
  await other.waitForSelector("[data-line=online]", { ...WAIT, state: "attached" });
  await say(other, "from the old tab");
  await hears(alice, "from the old tab");
  await open(bob, jid("alice"));
  await bob.waitForSelector(bubble("from the old tab", ".mine"), WAIT);
  await useLateParts(other);
  await partsAreOf(other, first, "files not of the first version");
});

await promise("a version goes when nobody has it open any more", async () => {
  await alice.reload();
  await alice.waitForSelector(".frame", WAIT);
  await partsAreOf(alice, second, "files not of the second version");
  await server("third");
  const third = await files();
  for (const page of [alice, bob]) await takes(page, third);
  await keeps(alice, [second, third]);
  await keeps(bob, [first, second, third]); // for the old tab
  await other.bringToFront();
  await useLateParts(other);
  await other.reload();
  await go(other, "settings");
  await other.waitForSelector('h1:text-is("Settings III")', WAIT);
});
await end();
