// The line by which the project's test runner counts. SPDX-License-Identifier: AGPL-3.0-or-later
import type { Reporter, TestModule } from "vitest/node";

export default class Counts implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const n = { passed: 0, failed: 0, skipped: 0, pending: 0 };
    for (const m of modules) {
      for (const t of m.children.allTests()) n[t.result().state]++;
      if (m.errors().length) n.failed++;
    }
    console.log(`${n.passed} passed, ${n.failed + n.pending} failed, ${n.skipped} skipped`);
  }
}
