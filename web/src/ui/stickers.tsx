// A pack of stickers that is on every device: a small fire with moods, drawn here. SPDX-License-Identifier: AGPL-3.0-or-later
import { useMemo } from "preact/hooks";
import { t } from "../i18n";
import type { Attachment } from "../store/types";

export const PACK_ID = "bongsu";

const BODY = "M100 22c6 30 52 48 52 94a52 52 0 0 1-104 0c0-24 16-36 24-58 9 9 15 15 18 26 4-16 6-40 10-62z";
const eye = (x: number, kind: string): string => ({
  dot: `<circle cx="${x}" cy="108" r="6"/>`, smile: `<path d="M${x - 9} 110q9-12 18 0"/>`, closed: `<path d="M${x - 9} 107q9 10 18 0"/>`,
  wide: `<circle cx="${x}" cy="106" r="10" fill="#fff"/><circle cx="${x}" cy="106" r="4"/>`, heart: `<path d="M${x} 118c-18-14-10-26 0-16 10-10 18 2 0 16z" fill="#d7263d" stroke="none"/>`, sad: `<path d="M${x - 8} 104q8 8 16 2"/>`,
} as Record<string, string>)[kind];
const mouths: Record<string, string> = { smile: `<path d="M86 128q14 16 28 0"/>`, open: `<path d="M86 126q14 30 28 0z" fill="#7a1f0d"/>`, oh: `<ellipse cx="100" cy="134" rx="8" ry="11" fill="#7a1f0d"/>`, flat: `<path d="M90 132h20"/>`, sad: `<path d="M88 138q12-14 24 0"/>` };

export const PACK = [
  { id: "hello", emoji: "👋", eyes: "dot", mouth: "open", more: `<path d="M152 100q24-14 22-38M164 58l12 4M46 112q-12 8-14 20"/>` },
  { id: "love", emoji: "❤️", eyes: "heart", mouth: "smile", more: `<path d="M160 54c-16-12-9-24 0-14 9-10 16 2 0 14z" fill="#d7263d" stroke="none"/>` },
  { id: "thanks", emoji: "🙏", eyes: "smile", mouth: "smile", more: `<path d="M84 158l16-14 16 14"/>` },
  { id: "sorry", emoji: "😢", eyes: "sad", mouth: "sad", more: `<path d="M136 122q6 12 0 16-6-4 0-16z" fill="#4aa3df" stroke="none"/>` },
  { id: "wow", emoji: "😮", eyes: "wide", mouth: "oh", more: `<path d="M40 50l-8-12M160 50l8-12M100 14V4"/>` },
  { id: "sleep", emoji: "😴", eyes: "closed", mouth: "flat", more: `<path d="M148 60h16l-16 18h16M168 36h10l-10 12h10"/>` },
  { id: "cheer", emoji: "💪", eyes: "smile", mouth: "open", more: `<path d="M50 110q-22-12-18-36M150 110q22-12 18-36"/>` },
  { id: "ok", emoji: "👌", eyes: "dot", mouth: "smile", more: `<circle cx="164" cy="84" r="12"/><path d="M164 96v18M156 72v-18M164 70V50M172 72V54"/>` },
] as const;

export function drawing(s: (typeof PACK)[number]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 200" width="256" height="256"><path d="${BODY}" fill="#f0712c"/><path d="M100 66c4 20 34 32 34 58a34 34 0 0 1-68 0c0-18 12-26 17-40 8 8 12 12 17-18z" fill="#ffc25c"/>`
    + `<g fill="#4a1708" stroke="#4a1708" stroke-width="5" stroke-linecap="round" stroke-linejoin="round">${eye(80, s.eyes).replace("<path", `<path fill="none"`)}${eye(120, s.eyes).replace("<path", `<path fill="none"`)}`
    + `<g fill="none">${mouths[s.mouth]}</g><g fill="none">${s.more}</g></g><path d="M52 172h96l6 18H46z" fill="#6d6257"/></svg>`;
}

const url = (s: (typeof PACK)[number]): string => `data:image/svg+xml,${encodeURIComponent(drawing(s).replace(/fill="none" d="([^"]*)" fill=/g, 'd="$1" fill='))}`;

async function png(s: (typeof PACK)[number]): Promise<Blob> {
  const image = new Image(256, 256);
  image.src = url(s);
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 256;
  canvas.getContext("2d")?.drawImage(image, 0, 0, 256, 256);
  return new Promise((resolve, reject) => canvas.toBlob((b) => (b ? resolve(b) : reject(new Error("no picture"))), "image/png"));
}

/** Which one of the pack a message names; it need not be fetched from anywhere. */
export function ofPack(f: Attachment): { url: string; label: string } | undefined {
  const s = f.sticker && f.pack === PACK_ID ? PACK.find(({ id }) => f.name === `${id}.png`) : undefined;
  return s && { url: url(s), label: t(`sticker.${s.id}`) };
}

export function Stickers({ onPick }: { onPick(blob: Blob, name: string, more: Partial<Attachment>): void }) {
  const urls = useMemo(() => PACK.map((s) => ({ s, url: url(s) })), []);
  return (
    <div class="picker stickers" role="group" aria-label={t("sticker.pick")}>
      {urls.map(({ s, url: u }) => <button type="button" key={s.id} onClick={() => void png(s).then((b) => onPick(b, `${s.id}.png`, { sticker: true, pack: PACK_ID, desc: s.emoji }))}><img src={u} alt={t(`sticker.${s.id}`)} /></button>)}
    </div>
  );
}
