// promises.js: one line for each promise, and the counts at the end. SPDX-License-Identifier: AGPL-3.0-or-later
import { problems } from "./people.js";

export class Skip extends Error {}

/** `chosen(what)`: whether it is to be tried. `mend`: what comes after a failure finds a server and a network. */
export function series(part, browser, { chosen = () => true, mend = async () => undefined } = {}) {
  let passed = 0, failed = 0, skipped = 0;
  const pages = () => browser.contexts().flatMap((c) => c.pages());

  async function promise(what, run) {
    if (!chosen(what)) return;
    const before = problems.length;
    try {
      await run();
      if (problems.length > before) throw new Error(`the console said: ${problems.slice(before).join("; ")}`);
      passed++;
      console.log(`ok    ${part}: ${what}`);
    } catch (e) {
      if (e instanceof Skip) {
        skipped++;
        console.log(`skip  ${part}: ${what}: ${e.message}`);
        return;
      }
      failed++;
      if (process.env.SHOTS) for (const [n, p] of pages().entries()) await p.screenshot({ path: `${process.env.SHOTS}/fail-${part}-${failed}-${n}.png` }).catch(() => undefined);
      console.log(`FAIL  ${part}: ${what}\n      ${String(e.message).split("\n").slice(0, 12).join("\n      ")}`);
      await mend().catch(() => undefined);
    }
  }

  async function end() {
    await browser.close();
    console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
    process.exit(failed ? 1 : 0);
  }
  return { promise, end };
}

export function same(a, b, what) {
  if (JSON.stringify(a) !== JSON.stringify(b)) throw new Error(`${what}: ${JSON.stringify(a)} is not ${JSON.stringify(b)}`);
}

/** The same in the end: a page that fills may show anything on its way there. */
export async function becomes(read, want, what) {
  let got = await read();
  for (let n = 0; n < 100 && JSON.stringify(got) !== JSON.stringify(want); n++) {
    await new Promise((done) => setTimeout(done, 200));
    got = await read();
  }
  same(got, want, what);
}

/** Asks whoever started the script (app.py) to do something with the server; what that one answers. */
export const at = (control) => (what, ...words) => fetch([control, what, ...words.map(encodeURIComponent)].join("/")).then((r) => {
  if (!r.ok) throw new Error(`the server could not ${what}`);
  return r.json();
});
