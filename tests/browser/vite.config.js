// SPDX-License-Identifier: AGPL-3.0-or-later
// The built page goes to dist/, which is not kept.
export default { build: { outDir: "dist", emptyOutDir: true, target: "es2022", chunkSizeWarningLimit: 4000 }, logLevel: "warn" };
