// What a browser has and node has not. SPDX-License-Identifier: AGPL-3.0-or-later
import "fake-indexeddb/auto";
import { webcrypto } from "node:crypto";

const kept = new Map<string, string>();
Object.defineProperty(globalThis, "localStorage", { value: {
  getItem: (k: string) => kept.get(k) ?? null, setItem: (k: string, v: string) => void kept.set(k, v), removeItem: (k: string) => void kept.delete(k), clear: () => kept.clear(),
} });
if (!globalThis.crypto) Object.defineProperty(globalThis, "crypto", { value: webcrypto });
Object.defineProperty(globalThis, "location", { value: new URL("http://localhost:5281/"), configurable: true });
