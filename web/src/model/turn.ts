// One piece of work after the other, in the order in which they are asked for; one that fails does not end the row.
// SPDX-License-Identifier: AGPL-3.0-or-later

export type InTurn = <T>(work: () => Promise<T>) => Promise<T>;

export function row(): InTurn {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const done = last.then(work);
    last = done.catch(() => undefined);
    return done;
  };
}
