// How the app is built. Nothing is inlined: the server's content policy allows files of its own only.
// SPDX-License-Identifier: AGPL-3.0-or-later
import { defineConfig } from "vite";

export default defineConfig({
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
});
