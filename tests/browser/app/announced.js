// announced.js: what the operator announces. SPDX-License-Identifier: AGPL-3.0-or-later
import { DESKTOP, WAIT, axe, go, online, whileAway } from "./people.js";
import { same } from "./promises.js";

const banner = (words) => `.pane .banner:has-text(${JSON.stringify(words)})`, GONE = { ...WAIT, state: "detached" };

export async function announced({ promise, server, browser, url, alice }) {
  await promise("an announcement is on an open page and on one that opens later, stays closed, is read offline, and goes when it is taken down", async () => {
    await go(alice, "chats");
    await server("announce", "소방 훈련\n정오에 훈련이 있어요. <b>& </b>");
    await alice.waitForSelector(banner("정오에 훈련이 있어요. <b>& </b>"), WAIT);
    const later = await online(browser, url, "carol", "pass-carol", { viewport: DESKTOP });
    await later.waitForSelector(banner("소방 훈련"), WAIT);
    same(await axe(later), [], "what axe finds");

    const long = "가나다 ".repeat(100);
    await server("announce", `점검\n${long}`);
    for (const p of [alice, later]) await p.waitForSelector(banner("점검"), WAIT);
    await later.click(".pane .banner summary");
    await later.waitForSelector(".pane .banner .words:visible", WAIT);
    same(await axe(later), [], "what axe finds in a long one");
    await later.click('.pane .banner button[aria-label="Close this announcement"]');
    await later.waitForSelector(banner("소방 훈련"), WAIT); // the one before it, which nobody has closed
    await later.click('.pane .banner button[aria-label="Close this announcement"]');
    await later.waitForSelector(".pane .banner", GONE);
    await later.reload();
    await later.waitForSelector("[data-line=online]", { ...WAIT, state: "attached" });
    same(await later.locator(".pane .banner").count(), 0, "closed ones after a reload");

    await alice.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
    await whileAway(async () => {
      await alice.context().setOffline(true);
      await alice.reload();
      await alice.waitForSelector(banner("점검"), WAIT);
      await alice.context().setOffline(false);
    });
    await alice.waitForSelector("[data-line=online]", { ...WAIT, state: "attached" });
    await server("take-down");
    await alice.waitForSelector(".pane .banner", GONE);
    await later.context().close();
  });
}
