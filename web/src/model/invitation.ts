// Whom a link or a code means: one of this app, of the page for people who have no client yet, or of any client (XEP-0379 §3.3).
// SPDX-License-Identifier: AGPL-3.0-or-later
import { addressOf } from "../wire/jid";

export interface Invitation { jid: string; token?: string } // token: who asks with it is answered at once

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** What a person typed, pasted or scanned; also a plain name or address. Null: it means nobody. */
export function invitationOf(text: string, domain: string): Invitation | null {
  const t = text.trim(), ours = /#\/friends\/([^/?#]+)\/add(?:\/([^/?#]+))?$/.exec(t), uri = /^https?:/i.test(t) ? t.slice(t.indexOf("#") + 1) : t;
  const who = ours ? ours[1] : uri.split("?", 1)[0], jid = addressOf(ours || /^(https?|xmpp):/i.test(t) ? decoded(who) : who, domain), token = ours ? ours[2] : /[?;]preauth=([^;&#]+)/.exec(uri)?.[1];
  return jid ? { jid, ...(token ? { token: decoded(token) } : {}) } : null;
}
