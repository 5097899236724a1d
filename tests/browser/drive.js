// SPDX-License-Identifier: AGPL-3.0-or-later
// drive.js: two people in two browsers. Its one argument is a JSON object from run.py.
import { chromium } from "playwright-core";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const o = JSON.parse(process.argv[2]);
let failed = 0;

function check(what, ok, detail = "") {
  if (!ok) failed++;
  console.log(`${ok ? "ok   " : "FAIL "} converse: ${what}${ok ? "" : "\n      " + detail}`);
  return ok;
}

const folders = [];
async function browser() {
  const folder = mkdtempSync(join(tmpdir(), "bongsu-chromium-"));
  folders.push(folder);
  const context = await chromium.launchPersistentContext(folder, {
    executablePath: o.chromium, headless: true,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", `--host-resolver-rules=${o.rules}`,
      // The certificate must be the test's own: this key and no other is let through.
      `--ignore-certificate-errors-spki-list=${o.spki}`],
  });
  const page = context.pages()[0] ?? await context.newPage();
  page.said = [];
  page.on("console", (m) => page.said.push(m.text()));
  page.on("pageerror", (e) => page.said.push(String(e)));
  await page.goto(o.page);
  await page.waitForFunction(() => window.chat);
  return { context, page, do: (f, ...a) => page.evaluate(([name, args]) => window.chat[name](...args), [f, a]) };
}

async function logIn(b, who, settings) {
  return b.do("logIn", { jid: `${who}@${o.domain}`, password: o.password, ...settings });
}

const direct = { websocket_url: o.websocket, discover_connection_methods: false };
const alice = `alice@${o.domain}`, bob = `bob@${o.domain}`;
try {
  const a = await browser();
  const b = await browser();
  if (check("logs in over WebSocket", await logIn(a, "alice", direct), a.page.said.slice(-10).join("\n      "))
      && check("a second one too", await logIn(b, "bob", direct), b.page.said.slice(-10).join("\n      "))) {
    await a.do("addContact", bob, "Bobby");
    check("a contact request arrives", await b.do("requested", alice));
    await b.do("approve", alice);
    check("and its approval", await a.do("subscribed", bob, "to"));
    check("the contact is seen online", await a.do("online", bob));
    await a.do("send", bob, "안녕 <b>bob</b> &");
    check("a message arrives as it was written", await b.do("got", "안녕 <b>bob</b> &"));
    await b.do("send", alice, "hello alice");
    check("and the answer", await a.do("got", "hello alice"));

    const phone = await browser();
    check("a second device logs in", await logIn(phone, "alice", direct));
    check("and reads the history (MAM)",
      (await phone.do("history", bob, ["안녕 <b>bob</b> &", "hello alice"])).join("|") === "안녕 <b>bob</b> &|hello alice",
      (await phone.do("history", bob, [])).join("|"));
    await a.do("send", bob, "from the desk");
    check("a carbon shows what the first device writes", await phone.do("got", "from the desk"));
    check("which also arrives", await b.do("got", "from the desk"));
    await phone.context.close();

    await a.do("cut");
    await b.do("send", alice, "in between");
    check("after a broken connection what came in between is there", await a.do("got", "in between"),
      a.page.said.slice(-10).join("\n      "));
    await a.do("send", bob, "back again");
    check("and it writes on", await b.do("got", "back again"));
    const seen = await b.do("history", alice, ["back again"]);
    check("nothing came twice", new Set(seen).size === seen.length, seen.join("|"));
  }
  await a.context.close();
  await b.context.close();
  if (o.hostMeta) {
    const c = await browser();
    check("finds the WebSocket by host-meta (XEP-0156)", await logIn(c, "carol", { discover_connection_methods: true }),
      c.page.said.slice(-10).join("\n      "));
    await c.context.close();
  } else {
    console.log("skip  converse: finds the WebSocket by host-meta: this server has none over HTTPS");
  }
} catch (e) {
  check("the play came to its end", false, String(e.stack ?? e));
} finally {
  for (const f of folders) rmSync(f, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);
