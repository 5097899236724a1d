// Pictures that tell more than they show. SPDX-License-Identifier: AGPL-3.0-or-later
import { afterEach, describe, expect, it, vi } from "vitest";
import { prepare, TellsMore } from "../src/model/media";
import { pictureKind, quietFilm, tellsMore, withoutMetadata } from "../src/model/metadata";

const bytes = (...parts: (string | number[])[]): Uint8Array<ArrayBuffer> => Uint8Array.from(parts.flatMap((p) => (typeof p === "string" ? [...p].map((c) => c.charCodeAt(0)) : p)));
const text = async (b: Blob): Promise<string> => new TextDecoder("latin1").decode(await b.arrayBuffer());
const segment = (type: number, body: string): string => String.fromCharCode(0xff, type, (body.length + 2) >> 8, (body.length + 2) & 255) + body;
const four = (n: number, little = false): number[] => { const all = [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255]; return little ? all.reverse() : all; };
const chunk = (type: string, body: string): (string | number[])[] => [four(body.length), type, body, four(0)];
const riff = (type: string, body: string): (string | number[])[] => [type, four(body.length, true), body, body.length & 1 ? [0] : []];

const SHOWN = segment(0xe0, "JFIF\0") + segment(0xdb, "tables") + segment(0xda, "scan") + "picture\xff\0\xff\xd3more";
const JPEG = bytes([0xff, 0xd8], segment(0xe0, "JFIF\0"), segment(0xe1, "Exif\0\0at home"), segment(0xe1, "http://ns.adobe.com/xap/1.0/\0by me"), segment(0xed, "Photoshop 3.0 where"), segment(0xfe, "a comment"),
  segment(0xdb, "tables"), segment(0xda, "scan"), "picture\xff\0\xff\xd3more", [0xff, 0xd9], "a second picture, Exif\0\0");
const PNG_HEAD = "\x89PNG\r\n\x1a\n";
const png = (...more: (string | number[])[]) => bytes(PNG_HEAD, ...chunk("IHDR", "size"), ...more, ...chunk("IDAT", "picture"), ...chunk("IEND", ""));
const webp = (...chunks: (string | number[])[]) => { const all = bytes(...chunks); return bytes("RIFF", four(4 + all.length, true), "WEBP", [...all]); };
const tiff = (tag: number) => bytes("II*\0", [8, 0, 0, 0, 1, 0], [tag & 255, tag >> 8, 4, 0, 1, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0]);

describe("what a picture says beyond what it shows", () => {
  it("goes out of a JPEG, with whatever is behind its end", async () => {
    expect(tellsMore(JPEG, "jpeg")).toBe(true);
    expect(await text(withoutMetadata(JPEG, "jpeg") as Blob)).toBe(`\xff\xd8${SHOWN}\xff\xd9`);
  });
  it("goes out of a PNG and a WebP", async () => {
    expect(await text(withoutMetadata(png(...chunk("eXIf", "home"), ...chunk("iTXt", "XML:com.adobe.xmp me"), ...chunk("tIME", "now")), "png") as Blob)).toBe(await text(new Blob([png()])));
    const flags = (n: number) => riff("VP8X", String.fromCharCode(n) + "abcdefghi"), shown = riff("VP8 ", "odd");
    expect(await text(withoutMetadata(webp(...flags(0x1c), ...shown, ...riff("EXIF", "home"), ...riff("XMP ", "me")), "webp") as Blob)).toBe(await text(new Blob([webp(...flags(0x10), ...shown)])));
  });
  it("goes out of a GIF, which still moves", async () => {
    const gif = (...more: (string | number[])[]) => bytes("GIF89a", [1, 0, 1, 0, 0x80, 0, 0], "colour", ...more, [0x21, 0xff, 11], "NETSCAPE2.0", [3, 1, 0, 0, 0], [0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0], [0x3b]);
    expect(await text(withoutMetadata(gif([0x21, 0xfe, 4], "home", [0], [0x21, 0xff, 11], "XMP DataXMP", [2], "me", [0]), "gif") as Blob)).toBe(await text(new Blob([gif()])));
    expect([tellsMore(gif(), "gif"), withoutMetadata(gif().slice(0, 30), "gif")]).toEqual([false, null]);
  });
  it("goes out of a film, in which nothing moves from its place", async () => {
    const box = (type: string, ...body: (string | number[])[]) => { const b = bytes(...body); return bytes(four(8 + b.length), type, [...b]); };
    const film = (place: string, day: string, udta = "udta", free = "meta") => new Blob([box("ftyp", "isom"), box("mdat", "the film"), box("moov", [...box("mvhd", [0, 0, 0, 0], day, day, "rest")],
      [...box("trak", [...box("tkhd", [1, 0, 0, 0], day, day, day, day, "rest")], [...box(free, place)])], [...box(udta, place)])], { type: "video/mp4" });
    const quiet = await quietFilm(film("+37.5+127.0/", "2022"));
    expect([await text(quiet), quiet.type]).toEqual([await text(film("\0".repeat(12), "\0".repeat(4), "free", "free")), "video/mp4"]);
    for (const other of [new Blob([bytes([0x1a, 0x45, 0xdf, 0xa3], "a webm of some length")]), new Blob(["short"]), film("", "2022").slice(0, 40)]) expect(await text(await quietFilm(other))).toBe(await text(other));
  });
  it("is not seen where there is none: those stay as they are", () => {
    const clean = bytes([0xff, 0xd8], SHOWN, [0xff, 0xd9]);
    expect([tellsMore(clean, "jpeg"), tellsMore(png(), "png"), tellsMore(webp(...riff("VP8 ", "even")), "webp"), tellsMore(tiff(256), "tiff"), tellsMore(bytes(four(16), "ftypheic", four(0)), "heif")]).toEqual([false, false, false, false, false]);
  });
  it("is seen in kinds that it cannot be taken out of", () => {
    expect([0x8769, 0x8825, 700].map((tag) => tellsMore(tiff(tag), "tiff"))).toEqual([true, true, true]);
    expect([tellsMore(bytes(four(16), "ftypheic", four(0), "..Exif.."), "heif"), tellsMore(bytes("II*\0"), "tiff")]).toEqual([true, true]);
  });
  it("is supposed in what is cut short or broken, wherever that is", () => {
    for (const [kind, whole] of [["jpeg", JPEG.slice(0, JPEG.lastIndexOf(0xd9))], ["png", png(...chunk("eXIf", "home"))], ["webp", webp(...riff("VP8 ", "picture"))]] as const)
      for (let n = 0; n < whole.length; n++) {
        const cut = whole.slice(0, n), out = withoutMetadata(cut, kind);
        expect(out === null || tellsMore(cut, kind) === (out.size !== n)).toBe(true);
      }
    expect([withoutMetadata(JPEG.slice(0, 40), "jpeg"), tellsMore(JPEG.slice(0, 40), "jpeg")]).toEqual([null, true]);
  });
  it("is looked for by what a file is, not by what it is called", () => {
    expect([JPEG, png(), webp(), tiff(1), bytes(four(16), "ftypheic"), bytes("%PDF-1.7"), bytes("")].map(pictureKind)).toEqual(["jpeg", "png", "webp", "tiff", "heif", null, null]);
  });
});

describe("a photo that this browser cannot draw", () => {
  afterEach(() => { vi.unstubAllGlobals(); });
  const cannot = () => vi.stubGlobal("createImageBitmap", () => Promise.reject(new Error("no such codec")));

  it("is sent without what it tells, under its own name", async () => {
    cannot();
    const { about, bytes: sent } = await prepare(new Blob([JPEG], { type: "image/jpeg" }), "home.jpg");
    expect([(await text(sent)).includes("home"), about.size, about.name, about.type]).toEqual([false, sent.size, "home.jpg", "image/jpeg"]);
  });
  it("is refused where that cannot be taken out", async () => {
    cannot();
    const heic = bytes(four(16), "ftypheic", four(0), "..Exif\0\0at home");
    for (const type of ["image/heic", ""]) await expect(prepare(new Blob([heic], { type }), "home.heic")).rejects.toThrow(TellsMore);
    await expect(prepare(new Blob([JPEG.slice(0, 60)], { type: "image/jpeg" }), "half.jpg")).rejects.toThrow(TellsMore);
  });
  it("goes as it is when it says nothing, like any other file", async () => {
    cannot();
    for (const b of [new Blob([bytes(four(16), "ftypheic", four(0), "picture")], { type: "image/heic" }), new Blob(["Exif\0\0 is a word"], { type: "text/plain" })]) expect((await prepare(b, "x")).bytes).toBe(b);
  });
});
