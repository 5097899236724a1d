// finish.js: the last step of a build: the service worker learns its files and their version, and each file that gains by it
// gets a .br and a .gz beside it, so that the server compresses nothing.
// SPDX-License-Identifier: AGPL-3.0-or-later
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const dist = new URL("../dist/", import.meta.url).pathname;

const files = (dir = "") => readdirSync(join(dist, dir)).sort().flatMap((f) => {
  const path = join(dir, f);
  return statSync(join(dist, path)).isDirectory() ? files(path) : [path];
}).filter((f) => !/\.(br|gz)$/.test(f));

const all = files(), shell = all.filter((f) => f !== "sw.js");
const hash = createHash("sha256"), known = [];
for (const f of shell) {
  const bytes = readFileSync(join(dist, f));
  hash.update(f).update("\0").update(bytes);
  known.push(`/${f === "index.html" ? "" : f} sha256-${createHash("sha256").update(bytes).digest("base64")}`);
}
const worker = readFileSync(join(dist, "sw.js"), "utf8");
if (!worker.includes("__VERSION__") || !worker.includes("__FILES__")) throw new Error("sw.js has no place for its files");
writeFileSync(join(dist, "sw.js"), worker.replace("__VERSION__", hash.digest("hex").slice(0, 16))
  .replace("__FILES__", known.join(",")));

let first = 0;
for (const f of all) {
  if (!/\.(html|js|css|svg|json|webmanifest|txt)$/.test(f)) continue;
  const bytes = readFileSync(join(dist, f));
  const br = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } });
  const gz = gzipSync(bytes, { level: 9 });
  if (br.length < bytes.length) writeFileSync(join(dist, `${f}.br`), br);
  if (gz.length < bytes.length) writeFileSync(join(dist, `${f}.gz`), gz);
  if (/^(index\.html|assets\/app-.*\.(js|css))$/.test(f)) first += Math.min(gz.length, bytes.length);
}
console.log(`first load ${(first / 1000).toFixed(1)} kB with gzip`);
if (first > 150_000) throw new Error("the first load is larger than 150 kB");
