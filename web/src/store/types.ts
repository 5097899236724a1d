// What the device keeps. SPDX-License-Identifier: AGPL-3.0-or-later

export type Kept = "waiting" | "sent" | "failed"; // of our own messages

export interface Attachment {
  name: string;
  type: string;
  size: number;
  url?: string; // where it is, once it is uploaded
  width?: number;
  height?: number;
  thumb?: string; // data: URI, small
  seconds?: number; // voice notes and videos
  sticker?: boolean;
  pack?: string; // that the sticker is of
  desc?: string; // a sticker in words, or an emoji
  localId?: string; // the bytes, in `files`, until it is uploaded
}

export interface Message {
  key: string; // chat, sender and id: the same message comes live, as a carbon and from the archive, and is one
  chat: string; // bare JID of the person or the room
  id: string; // what replies, reactions, edits and receipts call it by
  sid?: string; // archive id of the owner of the log
  from: string; // bare JID; in a room the nick
  sender?: string; // in a room: the bare JID, where it is known
  mine: boolean;
  at: number; // milliseconds since 1970, as the server counts
  body: string;
  state?: Kept;
  why?: string; // failed: the condition
  read?: 1 | 2; // mine, 1:1: delivered, displayed
  edited?: boolean;
  retracted?: boolean;
  reply?: { id: string; from: string; text: string };
  reactions?: Record<string, string[]>; // who → emoji
  file?: Attachment;
  mentions?: boolean; // of us
  forwarded?: boolean;
  notice?: string; // no message but an event of the room; a key of the catalogue
  people?: string[]; // who the notice is about
}

/** What changes a message, kept until and after the message is there: pages of the archive come in any order. */
export interface Note {
  key: string; // chat, target, kind, from
  target: string; // chat and id of the message
  kind: "edit" | "retract" | "react";
  from: string;
  at: number;
  body?: string;
  emoji?: string[];
}

export interface Chat {
  jid: string;
  kind: "person" | "room";
  name?: string; // of a room
  last?: { at: number; body: string; from: string; mine: boolean; file?: string; retracted?: boolean; notice?: string; state?: Kept };
  lastAt: number;
  unread: number;
  mentioned?: boolean;
  readAt: number; // we have seen everything up to then
  readSent?: string; // the id of the last message that we have told them we read
  theirs?: Record<string, number>; // who → they have read up to then
  pinned?: boolean;
  muted?: boolean;
  unsaid?: boolean; // muted or pinned here, and the account does not know it yet
  hidden?: boolean; // left or put away; comes back with the next message
  draft?: string;
  first?: string; // the archive's id that our history begins with
  complete?: boolean; // nothing older is in the archive
  room?: { nick: string; password?: string; joined: boolean; lastSid?: string; subject?: string };
}

export interface Person {
  jid: string;
  name: string; // ours for them; "" when we gave none
  nick?: string; // theirs for themselves
  subscription: "none" | "to" | "from" | "both";
  asked?: boolean; // we wait for their yes
  request?: boolean; // they wait for ours
  listed: boolean; // in the contact list
  favourite?: boolean;
  groups?: string[]; // others that they are in, by other clients
  blocked?: boolean;
  avatar?: string; // hash
  avatarUrl?: string; // data:
  about?: string; // status line
  background?: string; // data:
  told?: Reach & { at: number }; // the other ways to reach them that they told, and when we heard it
  card?: Card; // what we wrote down ourselves
}

export interface Reach { phone?: string; email?: string }
export interface Card extends Reach { note?: string }

/** A stanza that waits to be sent; `n` gives the order. */
export interface Outgoing {
  n?: number;
  id: string; // origin-id: the same however often it is sent
  chat: string;
  xml: string;
  messageKey?: string; // whose state it decides
  file?: string; // must be uploaded first: id in `files`
  slot?: Slot; // where its bytes go: kept before the first of them does, so that a cut upload goes on
  mark?: true; // how far one has read: a newer one takes its place
}

/** XEP-0363 §4. */
export interface Slot { put: string; get: string; headers: [string, string][]; at?: string } // at: the site whose disk has what went so far

export interface StoredFile { id: string; blob: Blob; name: string }

export interface Account {
  jid: string;
  name: string;
  domain: string;
  agentId: string;
  token?: import("../wire/stream").Token;
  site?: string;
}
