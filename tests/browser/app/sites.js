// sites.js: three people at three sites, one of which is cut off.   node app/sites.js URLS NAMED RULES KEYS CONTROL, from sites.py
// SPDX-License-Identifier: AGPL-3.0-or-later
import { choose, gone, noise, slowDown } from "./media.js";
import { addPasskey, logInByPasskey } from "./passkeys.js";
import { WAIT, bodies, bubble, keychain, kept, launch, online, open, say, whileAway } from "./people.js";
import { at, becomes, same, series } from "./promises.js";

const [, , urls, named, rules, keys, control] = process.argv;
const LONG = { timeout: 60000 }, HOME_TRIES = 3, PLAN_BYTES = 3000000, jid = (name) => `${name}@town.example`, sites = at(control);
const browser = await launch(`--ignore-certificate-errors-spki-list=${keys}`, `--host-resolver-rules=${rules}`);
const { promise, end } = series("sites", browser, { mend: async () => { await sites("heal"); await sites("join"); } });
const NAMES = ["alice", "bob", "carol"], people = {};
const told = { alice: [], bob: [], carol: [] }; // what each has written to the next one, in order
const next = { alice: "bob", bob: "carol", carol: "alice" };

const siteOf = (page) => page.evaluate(() => JSON.parse(localStorage.getItem("bongsu.account")).site);
const line = (page, state) => page.waitForSelector(`[data-line=${state}]`, { ...LONG, state: "attached" });

/** Notes every state of the line, and every moment in which a list was empty. */
const note = (page) => page.evaluate(() => {
  const seen = globalThis.seen = { lines: [], empty: 0 };
  const look = () => {
    const now = document.querySelector(".status")?.dataset.line;
    if (now && now !== seen.lines.at(-1)) seen.lines.push(now);
    if (!document.querySelector(".pane .row") || document.querySelector(".pane .empty")) seen.empty++;
  };
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-line"] });
  look();
});
/** Somebody whose line is at that site. A log-in that takes long, on a machine that has much to do, goes on at another site, as it should: then once more. */
async function atHome(url, name) {
  for (let tries = 0; ; tries++) {
    const page = await online(browser, url, name, `secret-${name}`), site = new URL(await siteOf(page)).hostname;
    if (site === new URL(url).hostname || tries === HOME_TRIES) {
      same(site, new URL(url).hostname, `the site of ${name}`);
      return page;
    }
    await page.context().close();
  }
}

const noted = (page) => page.evaluate(() => globalThis.seen);

async function tell(name, words) {
  told[name].push(words);
  await say(people[name], words);
}

/** Everybody has been told all of it, once and in order; each then has the chat open that they write in. */
async function allArrived() {
  for (const name of NAMES) {
    const to = people[next[name]];
    await open(to, jid(name));
    await to.waitForSelector(bubble(told[name].at(-1), ".theirs"), LONG);
    same((await bodies(to, ".theirs")).filter((b) => b.startsWith(`${name} `)), told[name], `what ${next[name]} has of ${name}`);
  }
  for (const name of NAMES) {
    await open(people[name], jid(next[name]));
    await people[name].waitForSelector(bubble(told[name].at(-1), ".mine"), WAIT);
    await people[name].waitForSelector(".message.mine[data-state=waiting]", { ...LONG, state: "detached" });
    same((await bodies(people[name], ".mine")), told[name], `what ${name} has written`);
  }
}

await promise("each opens the app at their own site, and they chat", async () => {
  for (const [n, name] of NAMES.entries()) {
    people[name] = await atHome(urls.split(",")[n], name);
  }
  for (const name of NAMES) await open(people[name], jid(next[name]));
  for (const name of NAMES) await tell(name, `${name} before`);
  await allArrived();
  for (const p of Object.values(people)) await p.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
});

await promise("the site of one is cut while they type: they go on at another by themselves, and so do the others where they are", async () => {
  for (const name of NAMES) await note(people[name]);
  await whileAway(async () => {
    const { alice, bob, carol } = people;
    const was = await siteOf(alice);
    const doors = [];
    alice.on("request", (r) => { if (["PUT", "PATCH"].includes(r.method())) doors.push(new URL(r.url()).hostname); });
    await slowDown(alice, 100 * 1024);
    await choose(alice, "plan.bin", Buffer.alloc(PLAN_BYTES, "봉수 ")); // on its way for half a minute
    await gone(alice, 0.05);
    await alice.locator("textarea").pressSequentially("alice in the mid");
    await sites("cut");
    await alice.locator("textarea").pressSequentially("dle of it");
    told.alice.push("alice in the middle of it");
    await alice.keyboard.press("Enter");
    for (let n = 0; n < 5; n++) for (const name of NAMES) await tell(name, `${name} during ${n}`);
    await carol.waitForSelector('.row:has-text("bob during 4")', LONG);
    await alice.waitForFunction((site) => JSON.parse(localStorage.getItem("bongsu.account")).site !== site, was, LONG);
    await line(alice, "online");
    await allArrived();
    await alice.waitForSelector(".status.away", { ...LONG, state: "detached" });
    await slowDown(alice, -1);
    await alice.waitForSelector('.mine[data-state=sent] .file-line:has-text("plan.bin")', LONG);
    await open(bob, jid("alice"));
    const link = await bob.waitForSelector('.theirs .file-line:has-text("plan.bin")', LONG);
    const bytes = await bob.evaluate((u) => fetch(u).then((r) => r.arrayBuffer()).then((b) => b.byteLength), await link.getAttribute("href"));
    same([bytes, (await bob.$$('.theirs .file-line:has-text("plan.bin")')).length], [PLAN_BYTES, 1], "the file whose upload the cut site had begun: its bytes, and how often it came");
    const [own, ...others] = urls.split(",").map((u) => new URL(u).hostname);
    same([doors[0], others.includes(doors.at(-1))], [own, true], `where its bytes went: ${doors}`);
    await open(bob, jid(next.bob));
    const [a, b, c] = [await noted(alice), await noted(bob), await noted(carol)];
    if (!a.lines.includes("offline") || a.lines.at(-1) !== "online") throw new Error(`the line of alice: ${a.lines}`);
    same([b.lines, c.lines], [["online"], ["online"]], "the lines of those whose sites are there");
    same([a.empty, b.empty, c.empty], [0, 0, 0], "moments with an empty list");
  });
});

await promise("the app begins again while its own site is cut off", async () => {
  await whileAway(async () => {
    const { alice } = people;
    await alice.reload();
    await alice.waitForSelector(bubble("alice during 4", ".mine"), WAIT);
    await line(alice, "online");
    await tell("alice", "alice from elsewhere");
    await kept(alice, "alice from elsewhere");
    await allArrived();
  });
});

await promise("photos are seen while the page's own site is cut off: its pictures come from where the line is", async () => {
  await whileAway(async () => {
    const { alice, carol } = people;
    await choose(carol, "tree.jpg", await noise(carol));
    await carol.waitForSelector('.mine[data-state=sent] .photo img[alt="tree.jpg"]', LONG);
    await open(alice, jid("carol"));
    await alice.waitForSelector('.theirs .photo img[alt="tree.jpg"]:not(.thumb):not(.coming)', LONG);
    await open(alice, jid(next.alice));
  });
});

await promise("when nobody can reach any site, one calm line says so, and goes again", async () => {
  await whileAway(async () => {
    await sites("part");
    for (const name of NAMES) await tell(name, `${name} into the dark`);
    for (const name of NAMES) await people[name].waitForSelector(".status.away", { ...LONG, state: "attached" });
    for (const name of NAMES) await people[name].waitForSelector(".message.mine[data-state=waiting]", LONG);
    await sites("join");
    for (const name of NAMES) await people[name].waitForSelector(".status.away", { ...LONG, state: "detached" });
    await allArrived();
  });
});

await promise("when the site is back, everybody has the same as before, and it is at home again for who begins there", async () => {
  await sites("heal");
  await sites("healthy");
  for (const name of NAMES) await tell(name, `${name} after`);
  await allArrived();
  const fresh = await atHome(urls.split(",")[0], "bob");
  await open(fresh, jid("alice"));
  await fresh.waitForSelector(bubble("alice after", ".theirs"), LONG);
  await becomes(async () => (await bodies(fresh, ".theirs")).filter((b) => b.startsWith("alice ")), told.alice, "what a new device at that site has");
});

await promise("a passkey that was made at one site opens the account at another one, with the first cut off", async () => {
  const [here, there] = named.split(","), p = await online(browser, here, "dave", "secret-dave");
  await keychain(p);
  await addPasskey(p);
  await whileAway(async () => {
    await sites("cut");
    await p.goto(there);
    await logInByPasskey(p);
    await line(p, "online");
    await p.waitForSelector(".frame", LONG);
  });
});
await end();
