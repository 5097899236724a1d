// What a picture or a film says beyond what it shows: where and when it was taken, with what, by whom (Exif, XMP, IPTC, comments,
// user data). This takes it out without looking at the picture itself.
// SPDX-License-Identifier: AGPL-3.0-or-later

export type PictureKind = "jpeg" | "png" | "webp" | "gif" | "tiff" | "heif";

const word = (b: Uint8Array, at: number, n = 4): string => String.fromCharCode(...b.subarray(at, at + n));
const view = (b: Uint8Array): DataView => new DataView(b.buffer, b.byteOffset, b.byteLength);

/** By its first bytes, for a name and a type may say anything. Null: no kind of picture that cameras write. */
export function pictureKind(b: Uint8Array): PictureKind | null {
  if (b[0] === 0xff && b[1] === 0xd8) return "jpeg";
  if (word(b, 0) === "\x89PNG") return "png";
  if (word(b, 0) === "RIFF" && word(b, 8) === "WEBP") return "webp";
  if (word(b, 0) === "GIF8") return "gif";
  if (/^(II\*\0|MM\0\*)$/.test(word(b, 0))) return "tiff";
  return word(b, 4) === "ftyp" && /^(hei[cmsx]|hev[cmsx]|mif1|msf1|avif|avis)$/.test(word(b, 8)) ? "heif" : null;
}

function find(b: Uint8Array, text: string): boolean {
  const first = text.charCodeAt(0);
  for (let at = b.indexOf(first); at >= 0; at = b.indexOf(first, at + 1)) if (word(b, at, text.length) === text) return true;
  return false;
}

/** Tags of the first directory that lead to Exif, a place, or XMP. */
function tiffTellsMore(b: Uint8Array): boolean {
  const v = view(b), little = b[0] === 0x49, dir = b.length >= 8 ? v.getUint32(4, little) : 0;
  if (!dir || dir + 2 > b.length) return true;
  for (let n = 0, at = dir + 2; n < v.getUint16(dir, little); n++, at += 12) if (at + 2 > b.length || [0x8769, 0x8825, 700, 33723].includes(v.getUint16(at, little))) return true;
  return false;
}

/** Whether it says more than it shows. */
export function tellsMore(b: Uint8Array, kind: PictureKind): boolean {
  if (kind === "tiff") return tiffTellsMore(b);
  if (kind === "heif") return ["Exif", "application/rdf+xml"].some((mark) => find(b, mark));
  const without = withoutMetadata(b, kind);
  return !without || without.size !== b.length;
}

/** The same picture without what it tells beside; null: it cannot be taken out of it. */
export function withoutMetadata(b: Uint8Array, kind: PictureKind): Blob | null {
  const parts = kind === "jpeg" ? jpegParts(b) : kind === "png" ? pngParts(b) : kind === "webp" ? webpParts(b) : kind === "gif" ? gifParts(b) : null;
  return parts && new Blob(parts as Uint8Array<ArrayBuffer>[], { type: `image/${kind}` });
}

/** ISO 10918-1 annex B. Of the application's segments JFIF, colour profiles and Adobe's colour transform stay; what is behind the
 * end (a second picture, a film) goes. */
function jpegParts(b: Uint8Array): Uint8Array[] | null {
  const out = [b.subarray(0, 2)], v = view(b), kept = (type: number, at: number) => type === 0xe0 ? word(b, at, 4) === "JFIF" : type === 0xe2 ? word(b, at, 12) === "ICC_PROFILE\0" : type === 0xee ? word(b, at, 5) === "Adobe" : type < 0xe0 || type > 0xef && type !== 0xfe;
  for (let at = 2; at + 4 <= b.length || at + 2 === b.length;) {
    const type = b[at + 1];
    if (b[at] !== 0xff) return null;
    if (type === 0xff) {
      at++; // fill
      continue;
    }
    if (type === 0xd9) return [...out, b.subarray(at, at + 2)];
    if (at + 4 > b.length) return null;
    let end = at + 2 + v.getUint16(at + 2);
    if (type === 0xda) while (end + 1 < b.length && !(b[end] === 0xff && b[end + 1] !== 0 && (b[end + 1] & 0xf8) !== 0xd0)) end++; // the coded picture
    if (end <= at + 3 || end > b.length) return null;
    if (kept(type, at + 4)) out.push(b.subarray(at, end));
    at = end;
  }
  return null;
}

/** PNG 3rd ed. §5: chunks; texts, times and Exif go, and what is behind the end. */
function pngParts(b: Uint8Array): Uint8Array[] | null {
  const out = [b.subarray(0, 8)], v = view(b);
  for (let at = 8; at + 12 <= b.length;) {
    const end = at + 12 + v.getUint32(at), type = word(b, at + 4);
    if (end > b.length) return null;
    if (!["eXIf", "tEXt", "zTXt", "iTXt", "tIME"].includes(type)) out.push(b.subarray(at, end));
    if (type === "IEND") return out;
    at = end;
  }
  return null;
}

/** RFC 9649: RIFF chunks; the extended header says which there are. */
function webpParts(b: Uint8Array): Uint8Array[] | null {
  const out: Uint8Array[] = [], v = view(b), whole = 8 + (b.length >= 12 ? v.getUint32(4, true) : 0);
  if (whole < 20 || whole > b.length) return null;
  for (let at = 12; at < whole;) {
    const end = at + 8 <= whole ? at + 8 + v.getUint32(at + 4, true) : Infinity, next = end + (end & 1), type = word(b, at);
    if (end > whole) return null;
    const chunk = b.slice(at, Math.min(next, whole));
    if (type === "VP8X") chunk[8] &= ~0x0c;
    if (type !== "EXIF" && type !== "XMP ") out.push(chunk);
    at = next;
  }
  const head = b.slice(0, 12);
  view(head).setUint32(4, 4 + out.reduce((n, c) => n + c.length, 0), true);
  return [head, ...out];
}

/** GIF89a: comments go, and the extensions of applications but for how often it is repeated. */
function gifParts(b: Uint8Array): Uint8Array[] | null {
  const table = (flags: number) => (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0), out = [b.subarray(0, 13 + table(b[10]))];
  for (let at = out[0].length; at < b.length;) {
    const picture = b[at] === 0x2c, label = b[at] === 0x21 ? b[at + 1] : -1;
    if (b[at] === 0x3b) return [...out, b.subarray(at, at + 1)];
    if (!picture && label < 0) return null;
    let end = at + (picture ? 11 + table(b[at + 9]) : 2);
    while (b[end]) end += b[end] + 1; // its blocks
    if (++end > b.length) return null;
    if (label !== 0xfe && (label !== 0xff || /^(NETSCAPE|ANIMEXTS)$/.test(word(b, at + 3, 8)))) out.push(b.subarray(at, end));
    at = end;
  }
  return null;
}

// ---- films (ISO 14496-12, which MP4 and QuickTime share) ----

const MOVIE_BYTES_MAX = 64 * 1024 * 1024, BOXES_MAX = 10000;

/** The boxes of a run of bytes: where each begins and ends. Stops at what is no box. */
function* boxes(b: Uint8Array, from: number, to: number): Generator<{ type: string; at: number; body: number; end: number }> {
  for (let at = from; at + 8 <= to;) {
    const long = view(b).getUint32(at) === 1, size = long ? Number(at + 16 <= to ? view(b).getBigUint64(at + 8) : 0) : view(b).getUint32(at), body = at + (long ? 16 : 8);
    if (at + size > to || at + size < body) return;
    yield { type: word(b, at + 4), at, body, end: at + size };
    at += size;
  }
}

/** Writes over what is said beside the film and when it was made. Nothing moves, for the film is found by where it is. */
function hush(b: Uint8Array, from: number, to: number): void {
  for (const { type, at, body, end } of boxes(b, from, to)) {
    if (["udta", "meta", "uuid"].includes(type)) {
      b.set([0x66, 0x72, 0x65, 0x65], at + 4); // "free"
      b.fill(0, body, end);
    } else if (["mvhd", "tkhd", "mdhd"].includes(type)) {
      b.fill(0, body + 4, Math.min(end, body + 4 + (b[body] === 1 ? 16 : 8)));
    } else if (["moov", "trak", "mdia"].includes(type)) {
      hush(b, body, end);
    }
  }
}

/** The same film without what it says beside. Of its file only the boxes around the film are read. */
export async function quietFilm(file: Blob): Promise<Blob> {
  const parts: BlobPart[] = [], read = async (from: number, to: number) => new Uint8Array(await file.slice(from, to).arrayBuffer());
  let kept = 0;
  for (let at = 0, n = 0; at + 8 <= file.size && n < BOXES_MAX; n++) {
    const head = await read(at, at + 16), size = view(head).getUint32(0), type = word(head, 4), end = size === 0 ? file.size : size === 1 && head.length === 16 ? at + Number(view(head).getBigUint64(8)) : at + size;
    if (!/^[a-z0-9 ]{4}$/.test(type) || end < at + 8 || end > file.size || (n === 0 && type !== "ftyp")) break;
    if (["moov", "udta", "meta", "uuid"].includes(type) && end - at <= MOVIE_BYTES_MAX) {
      const box = await read(at, end);
      hush(box, 0, box.length);
      parts.push(file.slice(kept, at), box);
      kept = end;
    }
    at = end;
  }
  return parts.length ? new Blob([...parts, file.slice(kept)], { type: file.type }) : file;
}
