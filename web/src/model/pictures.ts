// Pictures as stanzas carry them, and as the page shows them. SPDX-License-Identifier: AGPL-3.0-or-later
import { NS } from "../wire/ns";
import { El, el } from "../wire/xml";

export const AVATAR_PX = 192, PICTURE_CHARS_MAX = 96 * 1024; // of base64, docs/profiles.md

const TYPES: [string, string][] = [["/9j/", "jpeg"], ["iVBOR", "png"], ["UklGR", "webp"], ["R0lGO", "gif"]];

/** A data: URI, if these bytes begin like a picture that every browser shows; what they call themselves does not count. */
export function pictureUri(base64: string | undefined): string | undefined {
  const data = base64?.replace(/\s/g, ""), type = TYPES.find(([begin]) => data?.startsWith(begin))?.[1];
  return data && type && data.length <= 2 * PICTURE_CHARS_MAX ? `data:image/${type};base64,${data}` : undefined;
}

export const base64Of = (uri: string): string => uri.slice(uri.indexOf(",") + 1);

/** <photo type='image/png'>…</photo> */
export const pictureEl = (ns: string, name: string, uri: string | undefined): El | undefined =>
  uri ? el(ns, name, { type: uri.slice(5, uri.indexOf(";")) }, base64Of(uri)) : undefined;

/** That of a vCard (XEP-0054), and what is read from one as a data: URI. */
export const photoEl = (uri: string): El => el(NS.vcard, "PHOTO", {}, el(NS.vcard, "TYPE", {}, uri.slice(5, uri.indexOf(";"))), el(NS.vcard, "BINVAL", {}, base64Of(uri)));
export const photoOf = (card: El | undefined): string | undefined => pictureUri(card?.child(NS.vcard, "PHOTO")?.textOf(NS.vcard, "BINVAL"));
