// passkeys.js: the ways in: passkeys beside a password, and without one. SPDX-License-Identifier: AGPL-3.0-or-later
import { WAIT, axe, device, go, keychain, logIn, online, whileAway } from "./people.js";
import { same } from "./promises.js";

export async function addPasskey(p) {
  await go(p, "settings");
  await p.click('#methods button:text-is("Add a passkey")');
  await p.waitForSelector("#methods li:has-text('not used yet')", WAIT);
}
async function logOut(p) {
  await go(p, "settings");
  await p.click('#account button:text-is("Log out")');
  await p.click("dialog.question .primary");
  await p.waitForSelector(".login", WAIT);
}
export const logInByPasskey = (p) => p.click(".login .passkey:not(:disabled)", WAIT);

export async function passkeys({ promise, browser, url }) {
  await promise("a passkey is added, opens the account, and opens it no more when it is removed", async () => {
    const p = await online(browser, url, "dave", "pass-dave");
    const session = await keychain(p);
    const agents = () => p.evaluate(() => localStorage.getItem("bongsu.agents"));
    await go(p, "settings");
    await p.click('#methods button:text-is("Add a passkey")');
    await p.waitForSelector('.toast:has-text("added")', WAIT);
    await p.waitForSelector("#methods li:has-text('not used yet')", WAIT);
    await p.click("#methods li button:text-is('Rename')");
    await p.fill("dialog.question input", "할머니 열쇠");
    await p.click("dialog.question .primary");
    await p.waitForSelector("#methods li:has-text('할머니 열쇠')", WAIT);
    await p.click('#methods button:text-is("Add a passkey")');
    await p.waitForSelector('.toast:has-text("already")', WAIT);
    same(await p.locator("#methods li").count(), 1, "passkeys");
    same(await axe(p, session), [], "what axe finds");
    const before = await agents();
    await logOut(p);
    await logInByPasskey(p);
    await p.waitForSelector("[data-line=online]", { ...WAIT, state: "attached" });
    same(await agents(), before, "what this device is called");
    await p.reload(); // with the token alone
    await p.waitForSelector("[data-line=online]", { ...WAIT, state: "attached" });
    await go(p, "settings");
    await p.waitForSelector("#methods li:has-text('last used')", WAIT);
    await p.click("#methods li button:text-is('Remove')");
    await p.click("dialog.question .danger");
    await p.waitForSelector('.toast:has-text("removed")', WAIT);
    await p.waitForSelector("#methods li", { ...WAIT, state: "detached" });
    await logOut(p);
    await whileAway(async () => { // the browser's console notes the refusal
      await logInByPasskey(p);
      await p.waitForSelector('.login .error:has-text("opens no account")', WAIT);
    });
    await p.context().close();
  });
  await promise("the password is removed while a passkey stays, opens nothing then, and is set again", async () => {
    const p = await online(browser, url, "dave", "pass-dave"), session = await keychain(p), remove = '#methods button:text-is("Remove the password")';
    await addPasskey(p);
    await p.click(remove);
    await p.waitForSelector('dialog.question:has-text("only one passkey")', WAIT);
    await p.click("dialog.question .danger");
    await p.waitForSelector('#methods:has-text("This account has no password")', WAIT);
    await p.waitForSelector('#password h2:text-is("Set a password")', WAIT);
    await p.waitForSelector("#methods li button:text-is('Remove'):disabled", WAIT); // the last way in
    same([await p.locator(remove).count(), await axe(p, session)], [0, []], "a button for what is gone, and what axe finds");
    await logOut(p);
    await logIn(p, "dave", "pass-dave");
    await p.waitForSelector('.error:has-text("do not fit")', WAIT);
    await logInByPasskey(p);
    await p.waitForSelector("[data-line=online]", { ...WAIT, state: "attached" });
    await go(p, "settings");
    for (const n of [0, 1]) await p.fill(`#password input[type=password] >> nth=${n}`, "pass-dave");
    await p.waitForSelector('#password button:text-is("Set a password")', WAIT);
    await p.click('#password button:text-is("Set a password")');
    await p.waitForSelector(remove, WAIT);
    await logOut(p);
    await logIn(p, "dave", "pass-dave");
    await p.waitForSelector("[data-line=online]", { ...WAIT, state: "attached" });
    await p.context().close();
  });
  await promise("the password goes on being a way in while the browser looks for a passkey", async () => {
    const p = await device(browser, url);
    await p.evaluate(() => { // a browser that shows its list and waits
      navigator.credentials.get = ({ signal }) => new Promise((_, no) => signal.addEventListener("abort", () => no(signal.reason)));
    });
    await p.click(".login .passkey:not(:disabled)");
    await p.waitForSelector(".login .passkey:disabled", WAIT);
    await logIn(p, "dave", "pass-dave");
    await p.waitForSelector("[data-line=online]", { ...WAIT, state: "attached" });
    await p.context().close();
  });
}
