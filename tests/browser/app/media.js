// media.js: photos and videos of several megabytes on a slow line, through kills, reloads and closed tabs. The slow line is the
// browser's own (CDP), so that a server of this machine does not have the whole of it before anything can happen.
// SPDX-License-Identifier: AGPL-3.0-or-later
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bubble, go, jid, kept, open, say, tab, whileAway } from "./people.js";
import { same } from "./promises.js";

const LONG = { timeout: 60000 }, SLOW = 150 * 1024;

export async function slowDown(page, bytesASecond) {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Network.enable");
  await cdp.send("Network.emulateNetworkConditions", { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: bytesASecond });
}

/** A photo that no codec makes small: 2000 by 2000 points of noise, some 3 MB. */
export const noise = (page) => page.evaluate(async () => {
  const c = new OffscreenCanvas(2000, 2000), g = c.getContext("2d"), image = g.createImageData(2000, 2000), words = new Uint32Array(image.data.buffer);
  let seed = 12345;
  for (let n = 0; n < words.length; n++) words[n] = (seed = (Math.imul(seed, 1664525) + 1013904223) | 0) | 0xff000000;
  g.putImageData(image, 0, 0);
  const b = await c.convertToBlob({ type: "image/jpeg", quality: 0.8 }), r = new FileReader();
  return new Promise((done) => { r.onload = () => done(r.result.split(",")[1]); r.readAsDataURL(b); });
}).then((text) => Buffer.from(text, "base64"));

/** A real video, made here: black at first, then something to see. */
const film = (page) => page.evaluate(async () => {
  const c = Object.assign(document.createElement("canvas"), { width: 320, height: 180 }), g = c.getContext("2d"), recorder = new MediaRecorder(c.captureStream(20), { mimeType: "video/webm;codecs=vp8" }), parts = [], began = performance.now();
  const draw = () => {
    const t = performance.now() - began;
    g.fillStyle = "#000";
    g.fillRect(0, 0, 320, 180);
    if (t > 300) for (let n = 0; n < 8; n++) { g.fillStyle = n % 2 ? "#fff" : "#d33"; g.fillRect(n * 40, (t / 10 + n * 20) % 100, 40, 80); }
  };
  draw();
  recorder.ondataavailable = (e) => parts.push(e.data);
  const stopped = new Promise((done) => { recorder.onstop = done; }), timer = setInterval(draw, 40);
  recorder.start();
  await new Promise((done) => setTimeout(done, 2500));
  recorder.stop();
  await stopped;
  clearInterval(timer);
  const r = new FileReader();
  return new Promise((done) => { r.onload = () => done(r.result.split(",")[1]); r.readAsDataURL(new Blob(parts, { type: "video/webm" })); });
}).then((text) => Buffer.from(text, "base64"));

const folder = mkdtempSync(join(tmpdir(), "bongsu-media-"));
process.on("exit", () => rmSync(folder, { recursive: true }));

/** Chosen from the disk, so that megabytes need not go through the wire that drives the browser. */
export async function choose(page, name, bytes) {
  writeFileSync(join(folder, name), bytes);
  await page.setInputFiles("input[type=file]", join(folder, name), LONG);
}

/** What goes up from a page: method and the byte it begins at. */
function uploads(page, list = []) {
  page.on("request", (r) => { if (["PUT", "PATCH"].includes(r.method())) list.push([r.method(), Number(r.headers()["upload-offset"] ?? 0)]); });
  return list;
}

export const gone = (page, part) => page.waitForFunction((p) => [...document.querySelectorAll(".mine .upload progress")].some((e) => e.value >= p), part, LONG);
const hashOf = (page, selector) => page.waitForSelector(selector, LONG).then(() => page.evaluate(async (s) => {
  const bytes = await (await fetch(document.querySelector(s).getAttribute("src"))).arrayBuffer(), hash = await crypto.subtle.digest("SHA-256", bytes);
  return [bytes.byteLength, [...new Uint8Array(hash)].join(" ")];
}, selector));

export async function media({ promise, server, people, url }) {
  await promise("the server is killed while a photo uploads: it goes on from the byte that is there, also after a reload, and is sent once", async () => {
    const { alice, bob } = people();
    await open(alice, jid("bob"));
    await open(bob, jid("alice"));
    const photo = await noise(bob), went = uploads(bob), photos = '.theirs .photo img[alt="noise.jpg"]:not(.thumb)';
    await slowDown(bob, SLOW);
    await choose(bob, "noise.jpg", photo);
    await gone(bob, 0.3); // some pieces of it are on the server's disk
    await whileAway(async () => {
      await server("kill");
      await bob.waitForSelector('.mine .upload small:has-text("Waits to go on")', LONG);
      await server("start");
      await gone(bob, 0.45);
      await slowDown(bob, SLOW);
      await bob.reload();
      await bob.waitForSelector(".mine .photo", LONG);
      await bob.waitForFunction(() => [...document.querySelectorAll(".mine .upload progress")].some((e) => e.value > 0.2), null, LONG);
      await slowDown(bob, -1);
      await bob.waitForSelector('.mine[data-state=sent] .photo img[alt="noise.jpg"]', LONG);
    });
    await alice.waitForSelector(`${photos}:not(.coming)`, LONG);
    same((await alice.$$(photos)).length, 1, "how often it arrived");
    same([went[0], went.filter(([m]) => m === "PUT").length, went.length >= 3, went.slice(1).every(([, at], n) => at > went[n][1])], [["PUT", 0], 1, true, true], `what went up: ${JSON.stringify(went)}`);
    const mine = await hashOf(bob, '.mine .photo img[alt="noise.jpg"][src^="http"]');
    same([await hashOf(alice, photos), mine[0] > 1000000], [mine, true], "the bytes");
    same(await bob.evaluate(() => new Promise((done) => { const r = indexedDB.open("bongsu:bob@town.example"); r.onsuccess = () => { const q = r.result.transaction("files").objectStore("files").count(); q.onsuccess = () => { done(q.result); r.result.close(); }; }; })), 0, "files left on the device");
  });
  await promise("an upload goes on in a new tab when its own is closed, and one that is taken back is never sent", async () => {
    const { alice, bob } = people(), data = Buffer.alloc(3000000, "봉수 "), went = [];
    await open(alice, jid("bob"));
    await open(bob, jid("alice"));
    bob.context().on("request", (r) => { if (["PUT", "PATCH"].includes(r.method())) went.push([r.method(), Number(r.headers()["upload-offset"] ?? 0)]); });
    await slowDown(bob, SLOW);
    await choose(bob, "plan.bin", data);
    await gone(bob, 0.3);
    const context = bob.context();
    await whileAway(async () => { // a closed tab is slow no more: with a server there, what it had begun could come to its end first
      await server("kill");
      await bob.waitForSelector('.mine .upload small:has-text("Waits to go on")', LONG);
      await bob.close();
      await server("start");
    });
    const next = people().bob = await tab(context, url);
    await open(next, jid("alice"));
    await next.waitForSelector('.mine[data-state=sent] .file-line:has-text("plan.bin")', LONG);
    const link = await alice.waitForSelector('.theirs .file-line:has-text("plan.bin")', LONG);
    same(await alice.evaluate((u) => fetch(u).then((r) => r.arrayBuffer()).then((b) => b.byteLength), await link.getAttribute("href")), 3000000, "its size");
    same([went.map(([m]) => m), went[1]?.[1] > 0, (await alice.$$('.theirs .file-line:has-text("plan.bin")')).length], [["PUT", "PATCH"], true, 1], `what went up: ${JSON.stringify(went)}`);
    await slowDown(next, SLOW);
    await choose(next, "mistake.bin", data);
    await gone(next, 0.1);
    await next.click('.mine .upload button[aria-label="Do not send it"]');
    await next.waitForSelector('.mine .file-line:has-text("mistake.bin")', { ...LONG, state: "detached" });
    await slowDown(next, -1);
    await say(next, "that was the wrong one");
    await kept(next, "that was the wrong one");
    await alice.waitForSelector(bubble("that was the wrong one", ".theirs"), LONG);
    same([(await alice.$$('.file-line:has-text("mistake.bin")')).length, went.length], [0, 3], "what was taken back");
  });
  await promise("a photo that says more than it shows, and cannot be drawn here, is refused in words", async () => {
    const { alice, bob } = people(), heic = Buffer.concat([Buffer.from([0, 0, 0, 16]), Buffer.from("ftypheic\0\0\0\0...Exif\0\0taken at home")]);
    await open(bob, jid("alice"));
    await bob.setInputFiles("input[type=file]", [{ name: "home.heic", mimeType: "image/heic", buffer: heic }, { name: "list.txt", mimeType: "text/plain", buffer: Buffer.from("Exif") }], LONG);
    await bob.waitForSelector('.toast:has-text("home.heic says more than it shows")', LONG);
    await open(alice, jid("bob"));
    await alice.waitForSelector('.theirs .file-line:has-text("list.txt")', LONG);
    same([(await bob.$$('.file-line:has-text("home.heic")')).length, (await alice.$$('.file-line:has-text("home.heic")')).length], [0, 0], "what was refused");
  });
  await promise("a video shows a frame with something on it, tells its length, and is fetched when it is played, in ranges", async () => {
    const { alice, bob } = people(), asked = [];
    await open(alice, jid("bob"));
    await open(bob, jid("alice"));
    alice.on("response", (r) => { if (r.url().includes("/files/") && r.url().endsWith(".webm")) asked.push([r.request().headers().range?.slice(0, 6), r.status()]); });
    await choose(bob, "hills.webm", await film(bob));
    const video = await alice.waitForSelector('.theirs video[aria-label="hills.webm"][poster^="data:image/jpeg"]', LONG);
    const seen = await alice.evaluate(async (v) => {
      const image = new Image();
      image.src = v.poster;
      await image.decode();
      const c = new OffscreenCanvas(image.naturalWidth, image.naturalHeight), g = c.getContext("2d");
      g.drawImage(image, 0, 0);
      const all = g.getImageData(0, 0, c.width, c.height).data;
      let bright = 0;
      for (let n = 0; n < all.length; n += 4) if (all[n] > 120) bright++;
      return [c.width, c.height, bright > all.length / 40, getComputedStyle(v).aspectRatio.replace(/ /g, "")];
    }, video).catch((e) => e.message);
    same(seen, [200, 113, true, "320/180"], "the frame");
    const told = await alice.locator(".theirs .file:has(video) .film").last().textContent();
    if (!/0:(0[1-9]|[1-5][0-9])/.test(told)) throw new Error(`its length: ${told}`);
    await go(alice, "chats");
    await open(alice, jid("bob"));
    await alice.waitForSelector(".theirs video", LONG);
    same(asked, [], "asked before anybody plays it");
    await alice.evaluate(() => { const v = [...document.querySelectorAll(".theirs video")].at(-1); v.muted = true; return v.play(); });
    await alice.waitForFunction(() => { const v = [...document.querySelectorAll(".theirs video")].at(-1); return v.currentTime > 0.2 && v.videoWidth === 320; }, null, LONG);
    same([asked.length > 0, asked.every(([range, status]) => range === "bytes=" && status === 206)], [true, true], `asked: ${JSON.stringify(asked)}`);
  });
}
