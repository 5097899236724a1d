// Photos and videos before they are sent: made small where that helps, with nothing in them but what they show, and with a
// thumbnail that travels inside the message. SPDX-License-Identifier: AGPL-3.0-or-later
import type { Attachment } from "../store/types";
import { pictureKind, quietFilm, tellsMore, withoutMetadata } from "./metadata";

const THUMB_PX = 96, PHOTO_PX = 2048, LIMIT_WITHOUT_SCALING = 600 * 1024;
const FRAME_PX = 200, FRAME_SECONDS = [0, 0.4, 1, 2, 4, 8], FRAME_MS = 5000, PLAIN = 6;

/** It says more than it shows, and that cannot be taken out here. */
export class TellsMore extends Error {}

async function drawn(source: CanvasImageSource, width: number, height: number, most: number, type: string, quality: number): Promise<Blob | null> {
  const scale = Math.min(1, most / Math.max(width, height)), canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  canvas.getContext("2d")?.drawImage(source, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, type, quality));
}

const dataUrl = (b: Blob): Promise<string> => new Promise((resolve, reject) => {
  const r = new FileReader();
  r.onload = () => resolve(r.result as string);
  r.onerror = () => reject(r.error);
  r.readAsDataURL(b);
});

/** What is said about a file, and the bytes that will be sent for it. Throws TellsMore. */
export async function prepare(file: Blob, name: string, more: Partial<Attachment> = {}): Promise<{ about: Attachment; bytes: Blob }> {
  const about: Attachment = { name, type: file.type || "application/octet-stream", size: file.size, localId: crypto.randomUUID(), ...more };
  if (about.type.startsWith("video/")) return { about: { ...about, ...(await filmed(file)) }, bytes: await quietFilm(file) };
  const kind = pictureKind(new Uint8Array(await file.slice(0, 16).arrayBuffer()));
  if (!kind && !/^image\/(jpeg|png|webp|gif)$/.test(about.type)) return { about, bytes: file };
  const whole = new Uint8Array(kind ? await file.arrayBuffer() : []), secret = kind !== null && tellsMore(whole, kind);
  const clean = secret && kind !== "jpeg" ? withoutMetadata(whole, kind) : null; // a JPEG's says which way up it is: it is drawn anew
  const photo = await photographed(clean ?? file, about, secret && !clean);
  if (photo) return photo;
  const bytes = !secret ? file : clean ?? withoutMetadata(whole, kind);
  if (!bytes) throw new TellsMore(name);
  return { about: { ...about, size: bytes.size }, bytes };
}

/** Null: it cannot be drawn here. */
async function photographed(file: Blob, about: Attachment, secret: boolean): Promise<{ about: Attachment; bytes: Blob } | null> {
  const image = /^image\/(jpeg|png|webp|gif)$/.test(about.type) ? await createImageBitmap(file).catch(() => null) : null;
  if (!image) return null;
  const still = about.type !== "image/gif", redraw = still && (secret || file.size > LIMIT_WITHOUT_SCALING || Math.max(image.width, image.height) > PHOTO_PX);
  const small = redraw ? await drawn(image, image.width, image.height, PHOTO_PX, "image/jpeg", 0.85) : null; // says only what it shows
  if (secret && !small) return null;
  const bytes = small && (secret || small.size < file.size) ? small : file, scale = bytes === file ? 1 : Math.min(1, PHOTO_PX / Math.max(image.width, image.height));
  const thumb = await drawn(image, image.width, image.height, THUMB_PX, "image/jpeg", 0.6);
  return { bytes, about: { ...about, name: bytes === file ? about.name : about.name.replace(/\.[^.]*$/, "") + ".jpg", type: bytes.type || about.type, size: bytes.size,
    width: Math.round(image.width * scale), height: Math.round(image.height * scale), thumb: thumb ? await dataUrl(thumb) : undefined } };
}

// ---- videos ----

function event(v: HTMLVideoElement, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${name}`)), FRAME_MS);
    v.addEventListener("error", () => reject(new Error("error")), { once: true });
    v.addEventListener(name, () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}

async function seek(v: HTMLVideoElement, to: number): Promise<void> {
  const there = event(v, "seeked");
  v.currentTime = to;
  await there;
}

/** How much is to be seen in a frame: by how much its points differ in brightness. Black and blank ones show nothing. */
function contrast(v: HTMLVideoElement): number {
  const c = document.createElement("canvas"), g = c.getContext("2d", { willReadFrequently: true });
  c.width = c.height = 16;
  g?.drawImage(v, 0, 0, 16, 16);
  const points = [...(g?.getImageData(0, 0, 16, 16).data ?? [])].filter((_, n) => n % 4 === 1), mean = points.reduce((a, b) => a + b, 0) / 256;
  return Math.sqrt(points.reduce((sum, p) => sum + (p - mean) ** 2, 0) / 256);
}

/** Its size, its length, and the first frame in which there is something to see. */
async function filmed(file: Blob): Promise<Partial<Attachment>> {
  const v = document.createElement("video"), url = URL.createObjectURL(file), about: Partial<Attachment> = {};
  Object.assign(v, { muted: true, playsInline: true, preload: "auto" });
  try {
    const loaded = event(v, "loadeddata");
    v.src = url;
    await loaded;
    Object.assign(about, { width: v.videoWidth || undefined, height: v.videoHeight || undefined });
    if (v.duration === Infinity) await seek(v, 1e9); // recorded by a browser: how long it is stands nowhere but at its end
    if (Number.isFinite(v.duration)) about.seconds = v.duration;
    if (about.width) about.thumb = await frame(v);
  } catch {
    // what is known is told; a file that is no video after all is a file
  } finally {
    v.removeAttribute("src");
    v.load();
    URL.revokeObjectURL(url);
  }
  return about;
}

async function frame(v: HTMLVideoElement): Promise<string | undefined> {
  let best = -1, thumb: Blob | null = null;
  for (const at of FRAME_SECONDS.filter((s) => s === 0 || s < v.duration)) {
    await seek(v, at);
    const c = contrast(v);
    if (c > best) {
      best = c;
      thumb = await drawn(v, v.videoWidth, v.videoHeight, FRAME_PX, "image/jpeg", 0.6);
    }
    if (c >= PLAIN) break;
  }
  return thumb ? dataUrl(thumb) : undefined;
}
