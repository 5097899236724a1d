// SPDX-License-Identifier: AGPL-3.0-or-later
// person.js: somebody who is logged in with a library. A library's own part (xmpp_client.js, strophe.js) gives
//   connect()                      logs in
//   send(element)                  a stanza
//   ask(type, element, to)         the answer to a question; an Error with `condition` for an error
//   answerDisco(info)              answers questions for what this client can do
//   cut(), resumed()               the connection breaks; waits until it is back: was the stream resumed?
//   loseAnswer(word)               over BOSH: the next answer with the word in it is lost
//   unacknowledged()               stanzas that the server has not yet acknowledged
//   leave()
import { bodyOf } from "./stanza.js";

const PATIENCE_S = 20;

export class Person {
  constructor(options, name, resource, transport) {
    Object.assign(this, { options, name, resource, transport });
    this.bare = `${name}@${options.domain}`;
    this.jid = `${this.bare}/${resource}`;
    this.inbox = [];
    this.waiting = [];
  }

  // Each stanza that came, but the answers to ask().
  came(stanza) {
    const first = this.waiting.findIndex((w) => w.fits(stanza));
    if (first < 0) this.inbox.push(stanza);
    else this.waiting.splice(first, 1)[0].got(stanza);
  }

  // The next stanza that fits, of those that came and of those that come; null: none does in time.
  take(fits, seconds = PATIENCE_S) {
    const there = this.inbox.findIndex(fits);
    if (there >= 0) return Promise.resolve(this.inbox.splice(there, 1)[0]);
    return new Promise((done) => {
      const w = { fits, got: (stanza) => { clearTimeout(timer); done(stanza); } };
      const timer = setTimeout(() => { this.waiting = this.waiting.filter((o) => o !== w); done(null); }, seconds * 1000);
      this.waiting.push(w);
    });
  }

  message(body) {
    return this.take((s) => s.name === "message" && bodyOf(s) === body);
  }
}

export async function until(true_, seconds = PATIENCE_S) {
  const end = Date.now() + seconds * 1000;
  while (!true_() && Date.now() < end) await new Promise((done) => setTimeout(done, 20));
  return true_();
}

// The condition of the error that a question is answered with; null: it was not.
export const refused = (answer) => answer.then(() => null, (e) => e.condition ?? String(e));
