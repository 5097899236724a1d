// What has been replaced on the page lets go of what was below it.
//
// Preact does not see to that. An element keeps what it was made of (`props.children`), so also the first state of a component in it that has
// since rendered by itself, and all below that. What is taken over unchanged from one state to the next then points, by its parent, to a newer
// state, and that one to newer ones still: an open chat would keep every state of its rows since it was opened.
// SPDX-License-Identifier: AGPL-3.0-or-later
import { options, type Component, type VNode } from "preact";

/** By the names that are in the published Preact; @preact/signals goes by them too. */
interface Shown extends VNode {
  __c?: Component | null; // whose state it is
  __k?: unknown[] | null; // what is below
}

const now = new WeakMap<Component, Shown>(), diffed = options.diffed;

options.diffed = (vnode: Shown) => {
  diffed?.(vnode);
  const c = vnode.__c;
  if (!c) return;
  const before = now.get(c);
  if (before && before !== vnode) before.__k = null;
  now.set(c, vnode);
};
