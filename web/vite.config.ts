// How the app is built. Nothing is inlined: the server's content policy allows files of its own only. tools/finish.js
// then tells the service worker which files there are, and compresses them.
// SPDX-License-Identifier: AGPL-3.0-or-later
import { defineConfig } from "vitest/config";

export default defineConfig({
  build: {
    target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false },
    rollupOptions: {
      input: { app: "index.html", sw: "src/sw.ts" },
      output: { entryFileNames: (chunk) => (chunk.name === "sw" ? "sw.js" : "assets/[name]-[hash].js") },
    },
  },
  test: { include: ["tests/**/*.test.ts"], environment: "node", setupFiles: ["tests/setup.ts"], reporters: [["default", { summary: false }], "./tests/counts.ts"] },
});
