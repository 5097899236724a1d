// SPDX-License-Identifier: AGPL-3.0-or-later
// xhr.js: as much of a browser's XMLHttpRequest as strophe.js's BOSH uses (DOMParser is its own), over fetch; and the bad line that a test wishes for.
const lost = [];

const parse = (text) => text ? new DOMParser().parseFromString(text, "text/xml") : null;

export class XMLHttpRequest {
  readyState = 0;
  status = 0;
  responseText = "";
  responseXML = null;
  onreadystatechange = () => {};
  #headers = {};
  #stop = new AbortController();

  open(method, url) {
    this.method = method;
    this.url = url;
    this.readyState = 1;
  }

  setRequestHeader(name, value) {
    this.#headers[name] = value;
  }

  getAllResponseHeaders() {
    return "";
  }

  async send(body) {
    try {
      const answer = await fetch(this.url, { method: this.method, headers: this.#headers, body, signal: this.#stop.signal });
      const text = await answer.text();
      const l = lost.find((l) => !l.found && text.includes(l.word));
      if (l) l.found = true;
      else Object.assign(this, { status: answer.status, responseText: text, responseXML: parse(text) });
    } catch {
      // status stays 0: no answer
    }
    if (this.#stop.signal.aborted) return;
    this.readyState = 4;
    this.onreadystatechange();
  }

  abort() {
    this.#stop.abort();
  }
}

// The next answer that holds the word does not arrive. The returned `found` says when that has happened.
export function loseAnswer(word) {
  const l = { word, found: false };
  lost.push(l);
  return l;
}
