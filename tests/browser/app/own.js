// own.js: profiles and who sees which, and the devices one is logged in on. SPDX-License-Identifier: AGPL-3.0-or-later
import { PHONE, WAIT, axe, go, online, overflows, whileAway } from "./people.js";
import { same } from "./promises.js";

const PHOTO = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mM4YSOCFTEMLQkAh11GAShFWoUAAAAASUVORK5CYII=", "base64");
const shownTo = (page, name) => page.locator(`.row:has(strong:text-is(${JSON.stringify(name)}))`);
const databases = (page) => page.evaluate(async () => (await indexedDB.databases()).map((d) => d.name));
const PASSWORD = "pass-";

/** Forgets on the device what it knew of its owner's profiles. */
const forgetProfiles = (page, me) => page.evaluate((name) => new Promise((done, failed) => {
  const open = indexedDB.open(name);
  open.onerror = () => failed(open.error);
  open.onsuccess = () => {
    const tx = open.result.transaction("values", "readwrite");
    tx.objectStore("values").delete("profiles");
    tx.oncomplete = () => { open.result.close(); done(); };
    tx.onerror = () => failed(tx.error);
  };
}), `bongsu:${me}`);

/** `alice` (Korean, a phone) and `bob` (English, a desktop) are friends. */
export async function own({ promise, browser, url, alice, bob }) {
  const jid = (name) => `${name}@town.example`;

  await promise("a profile given to a friend is what that friend sees, and nobody else", async () => {
    const dave = await online(browser, url, "dave", `${PASSWORD}dave`);
    await go(dave, "friends");
    await dave.click('button[aria-label="Add friend"]');
    await dave.fill("dialog input", "alice");
    await dave.click("dialog .primary");
    await go(alice, "friends");
    await alice.click(".request .primary", WAIT);
    await shownTo(dave, "alice").waitFor(WAIT);
    await alice.click('.chip:has-text("새 프로필")', WAIT);
    await alice.fill("dialog input[name=profile-name]", "김과장");
    await alice.fill("dialog input[name=profile-status]", "회의 중");
    for (const kind of ["photo", "background"]) {
      await alice.setInputFiles(`dialog input[data-picture=${kind}]`, { name: "p.png", mimeType: "image/png", buffer: PHOTO });
      await alice.waitForSelector(`dialog .picture-field[data-kind=${kind}] img`, WAIT);
    }
    const problems = [...await axe(alice), ...(await overflows(alice) ? ["the sheet is wider than the screen"] : [])];
    await alice.click('dialog label:has-text("bob")');
    await alice.click("dialog button[type=submit]");
    await alice.waitForSelector('.chip:has-text("김과장"):has-text("1")', WAIT);
    await go(bob, "friends");
    await shownTo(bob, "김과장").locator('.row-line:has-text("회의 중")').waitFor(WAIT); // by itself: nothing was opened
    await shownTo(bob, "김과장").locator("img").waitFor(WAIT);
    await go(bob, "friends", jid("alice"));
    await bob.waitForSelector(".panel .hero img.background", WAIT);
    await go(dave, "friends", jid("alice"));
    await dave.waitForSelector('.panel .hero strong:text-is("alice")', WAIT);
    same(await dave.$$eval(".panel .hero img", (all) => all.length), 0, "pictures that somebody else sees");
    await dave.context().close();
    if (problems.length) throw new Error(problems.join("\n"));
  });
  await promise("a friend's sheet says which profile they see, and changes it", async () => {
    await go(alice, "friends", jid("bob"));
    await alice.waitForSelector("select[data-sees]", WAIT);
    same(await alice.$eval("select[data-sees]", (e) => e.selectedOptions[0].textContent), "김과장", "what bob sees");
    const problems = await axe(alice);
    await alice.selectOption("select[data-sees]", "0");
    await go(bob, "friends");
    await shownTo(bob, "alice").waitFor(WAIT); // though alice has never published a name
    await shownTo(bob, "alice").locator("img").waitFor({ ...WAIT, state: "detached" });
    same(await bob.$$eval(".row-line", (all) => all.filter((e) => e.textContent.includes("회의 중")).length), 0, "the status line of the other profile");
    await alice.waitForFunction(() => document.querySelector("select[data-sees]")?.value === "0", null, WAIT);
    await alice.selectOption("select[data-sees]", "1");
    await shownTo(bob, "김과장").waitFor(WAIT);
    if (problems.length) throw new Error(problems.join("\n"));
  });
  await promise("what cannot be read of profiles is said to be unknown, or as it was", async () => {
    await go(alice, "friends", jid("bob"));
    await alice.waitForSelector("select[data-sees]", WAIT);
    await alice.evaluate(() => navigator.serviceWorker.ready);
    await whileAway(async () => {
      await alice.context().setOffline(true);
      await alice.evaluate(() => dispatchEvent(new Event("offline")));
      await alice.waitForSelector('.sees p[data-sees=profile]:text-is("김과장")', WAIT);
      await alice.waitForSelector('.sees small:has-text("지금은 확인할 수 없어요")', WAIT);
      await forgetProfiles(alice, jid("alice"));
      await alice.reload();
      await alice.waitForSelector('.sees p[data-sees=unknown]:text-is("지금은 확인할 수 없어요")', WAIT);
      await go(alice, "friends");
      await alice.waitForSelector('.me-card .as-of:has-text("지금은 확인할 수 없어요")', WAIT);
      same(await alice.$$eval(".me-card .chip", (all) => all.length), 0, "profiles that nobody knows");
      await alice.context().setOffline(false);
      await alice.evaluate(() => dispatchEvent(new Event("online")));
      await alice.waitForSelector('.chip:has-text("김과장"):has-text("1")', WAIT);
    });
  });
  await promise("a profile is deleted, and its friends are shown the basic one", async () => {
    await go(alice, "friends");
    await alice.click('.chip:has-text("김과장")', WAIT);
    await alice.click('dialog.profile-sheet button:has-text("프로필 삭제")');
    await alice.click("dialog.question .danger", WAIT);
    await alice.waitForSelector('.chip:has-text("김과장")', { ...WAIT, state: "detached" });
    await go(bob, "friends");
    await shownTo(bob, "alice").waitFor(WAIT);
  });
  await promise("another device is logged out from here, and stays so", async () => {
    const other = await online(browser, url, "bob", `${PASSWORD}bob`, { locale: "ko-KR", viewport: PHONE });
    await go(bob, "settings");
    const rows = bob.locator("#devices li[data-device=other]:has-text('connected now')");
    await rows.first().waitFor(WAIT);
    same(await bob.$$eval("#devices li[data-device=this]", (all) => all.length), 1, "this device");
    const problems = await axe(bob);
    await rows.first().locator("button").click();
    await bob.click("dialog.question .danger", WAIT);
    await other.waitForSelector('.login .error:has-text("다른 기기에서")', WAIT); // though this page knows the password
    await other.reload();
    await other.waitForSelector(".login", WAIT);
    await other.waitForFunction(async () => (await indexedDB.databases()).length === 0, null, WAIT);
    same(await databases(other), [], "what was kept there");
    await bob.waitForSelector("#devices li[data-device=this]", WAIT);
    await rows.first().waitFor({ ...WAIT, state: "detached" });
    await other.context().close();
    if (problems.length) throw new Error(problems.join("\n"));
  });
  await promise("all other devices are logged out at once, also those that are away", async () => {
    const away = await online(browser, url, "bob", `${PASSWORD}bob`), open = await online(browser, url, "bob", `${PASSWORD}bob`, { theme: "dark" });
    await away.evaluate(() => navigator.serviceWorker.ready);
    await whileAway(async () => {
      await away.context().setOffline(true);
      await away.evaluate(() => dispatchEvent(new Event("offline")));
      await away.waitForSelector("[data-line=offline]", { ...WAIT, state: "attached" });
    });
    await go(open, "settings");
    await open.waitForSelector("#devices li[data-device=this]", WAIT);
    const problems = await axe(open);
    await open.focus('#devices button:text-is("Log out all other devices")');
    await open.keyboard.press("Enter"); // the keyboard is enough
    await open.waitForSelector("dialog.question .danger", WAIT);
    await open.focus("dialog.question .danger");
    await open.keyboard.press("Enter");
    await bob.waitForSelector('.login .error:has-text("logged out from another one")', WAIT);
    await open.waitForSelector("#devices li[data-device=other]", { ...WAIT, state: "detached" });
    await whileAway(async () => {
      await away.reload(); // it knows the token alone now
      await away.context().setOffline(false);
      await away.evaluate(() => dispatchEvent(new Event("online")));
      await away.waitForSelector('.login .error:has-text("log in again")', WAIT);
    });
    for (const p of [away, open]) await p.context().close();
    if (problems.length) throw new Error(problems.join("\n"));
  });
}
