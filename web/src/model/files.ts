// Photos and files: made small where that helps, with a thumbnail inside the message so that text never waits; the bytes go to a
// slot (XEP-0363) on their own, are kept on the device until they are there, and are tried again when the line is back.
// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Db } from "../store/db";
import { write } from "../store/messages";
import type { Attachment } from "../store/types";
import { NS } from "../wire/ns";
import { el, parse } from "../wire/xml";
import * as compose from "./compose";
import type { LiveState } from "./live";
import type { Ask } from "./sync";

const THUMB_PX = 96, PHOTO_PX = 2048, LIMIT_WITHOUT_SCALING = 600 * 1024, STILL_MS = 60000;

// ---- in the tab that picks the file ----

async function drawn(source: ImageBitmap | HTMLVideoElement, width: number, height: number, most: number, type: string, quality: number): Promise<Blob | null> {
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

/** Whether a picture says more than it shows: where and when it was taken, with what, by whom (Exif, XMP). */
async function tellsMore(file: Blob): Promise<boolean> {
  const text = new TextDecoder("latin1").decode(await file.arrayBuffer());
  return file.type === "image/jpeg" ? /Exif\0\0|http:\/\/ns\.adobe\.com\/xap\//.test(text) : /eXIf|EXIF|XMP /.test(text);
}

/** What is said about a file, and the bytes that will be sent for it. */
export async function prepare(file: Blob, name: string, more: Partial<Attachment> = {}): Promise<{ about: Attachment; bytes: Blob }> {
  const about: Attachment = { name, type: file.type || "application/octet-stream", size: file.size, localId: crypto.randomUUID(), ...more };
  if (!/^image\/(jpeg|png|webp|gif)$/.test(about.type)) return { about, bytes: file };
  const image = await createImageBitmap(file).catch(() => null);
  if (!image) return { about, bytes: file };
  const still = about.type !== "image/gif", secret = still && await tellsMore(file);
  const redraw = still && (secret || file.size > LIMIT_WITHOUT_SCALING || Math.max(image.width, image.height) > PHOTO_PX);
  const small = redraw ? await drawn(image, image.width, image.height, PHOTO_PX, "image/jpeg", 0.85) : null; // says only what it shows
  const bytes = small && (secret || small.size < file.size) ? small : file;
  const scale = bytes === file ? 1 : Math.min(1, PHOTO_PX / Math.max(image.width, image.height));
  const thumb = await drawn(image, image.width, image.height, THUMB_PX, "image/jpeg", 0.6);
  Object.assign(about, { type: bytes.type || about.type, size: bytes.size, width: Math.round(image.width * scale), height: Math.round(image.height * scale),
    thumb: thumb ? await dataUrl(thumb) : undefined });
  if (bytes !== file) about.name = name.replace(/\.[^.]*$/, "") + ".jpg";
  return { about, bytes };
}

// ---- in the leading tab ----

interface Slot { put: string; get: string; headers: [string, string][] }

export class Uploads {
  private running = false;
  private tries = 0;
  private retry: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly db: Db,
    private readonly ask: Ask,
    private readonly live: LiveState,
    private readonly toHere: (url: string) => string, // the server's address as this page can reach it
    private readonly sent: (chat: string) => void,
  ) {}

  /** Everything that waits for its bytes to be there, one after the other. What fails for now is tried again, ever more slowly,
   * for as long as the line is up; a new stream tries it anyway. */
  async run(): Promise<void> {
    if (this.running || !this.live.now.can.upload) return;
    this.running = true;
    clearTimeout(this.retry);
    let again = false;
    try {
      const done = new Set<number>(), next = async () => (await this.db.getAll("outbox")).find((o) => o.file && !done.has(o.n as number));
      for (let o = await next(); o?.file; o = await next()) {
        done.add(o.n as number);
        try {
          await this.one(o.file, o.n as number, o.messageKey as string);
          this.tries = 0;
        } catch (e) {
          again = !(await this.failed(o.n as number, o.messageKey as string, e)) || again;
        } finally {
          this.live.upload(o.file, null);
        }
      }
    } finally {
      this.running = false;
    }
    if (again && this.live.now.line === "online") this.retry = setTimeout(() => void this.run().catch(() => undefined), Math.min(2000 * 2 ** this.tries++, 60000));
  }

  stop(): void {
    clearTimeout(this.retry);
    this.running = true;
  }

  private async slot(name: string, size: number, type: string): Promise<Slot> {
    const host = this.live.now.can.upload?.host as string;
    const slot = (await this.ask("get", el(NS.upload, "request", { filename: name, size: String(size), "content-type": type }), host)).child(NS.upload, "slot");
    const put = slot?.child(NS.upload, "put"), get = slot?.child(NS.upload, "get")?.attr("url");
    if (!put?.attr("url") || !get) throw new Error("undefined-condition");
    const allowed = ["authorization", "cookie", "expires"]; // XEP-0363 §7
    return { put: put.attr("url") as string, get, headers: put.all(NS.upload, "header").map((h): [string, string] => [h.attr("name") ?? "", h.text.replace(/[\r\n]/g, "")])
      .filter(([n]) => allowed.includes(n.toLowerCase())) };
  }

  private async one(id: string, n: number, key: string): Promise<void> {
    const stored = await this.db.get("files", id), m = await this.db.get("messages", key);
    if (!stored || !m?.file || m.retracted) {
      const tx = write(this.db);
      await tx.objectStore("outbox").delete(n);
      await tx.objectStore("files").delete(id);
      return tx.done;
    }
    this.live.upload(id, 0);
    const slot = await this.slot(safeName(stored.name, m.file.type), stored.blob.size, m.file.type);
    await this.put(slot, stored.blob, m.file.type, (part) => this.live.upload(id, part));
    const tx = write(this.db), o = await tx.objectStore("outbox").get(n), fresh = await tx.objectStore("messages").get(key);
    if (o && fresh?.file) {
      const message = { ...fresh, file: { ...fresh.file, url: slot.get, localId: undefined } };
      await tx.objectStore("files").delete(id);
      await tx.objectStore("messages").put(message);
      const to = parse(o.xml, NS.client);
      await tx.objectStore("outbox").put({ ...o, file: undefined, xml: compose.message(message, { jid: o.chat, room: to.attr("type") === "groupchat" }).toString() });
    }
    await tx.done;
    this.sent(m.chat);
  }

  private put(slot: Slot, body: Blob, type: string, progress: (part: number) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const x = new XMLHttpRequest(); // fetch tells no progress of what it sends
      x.open("PUT", this.toHere(slot.put));
      for (const [name, value] of slot.headers) x.setRequestHeader(name, value);
      x.setRequestHeader("Content-Type", type);
      let still = setTimeout(() => x.abort(), STILL_MS); // a transfer that does not move is dead; a slow one may take its time
      x.upload.onprogress = (e) => {
        clearTimeout(still);
        still = setTimeout(() => x.abort(), STILL_MS);
        progress(e.total ? e.loaded / e.total : 0);
      };
      x.onloadend = () => clearTimeout(still);
      x.onload = () => (x.status === 200 || x.status === 201 ? resolve() : reject(new Error(x.status === 413 || x.status === 403 ? "not-acceptable" : "again")));
      x.onerror = x.onabort = () => reject(new Error("again"));
      x.send(body);
    });
  }

  /** What cannot be mended by another try is told: true; the rest waits. */
  private async failed(n: number, key: string, e: unknown): Promise<boolean> {
    const condition = (e as { condition?: string }).condition ?? (e as Error).message;
    if (!["not-acceptable", "resource-constraint", "not-allowed", "forbidden"].includes(condition)) return false;
    const tx = write(this.db), m = await tx.objectStore("messages").get(key);
    await tx.objectStore("outbox").delete(n);
    if (m) await tx.objectStore("messages").put({ ...m, state: "failed", why: condition });
    await tx.done;
    if (m) this.sent(m.chat);
    return true;
  }
}

const safeName = (name: string, type: string): string => name.replace(/[/\\\u0000-\u001f]/g, "_").slice(-120) || `file.${type.split("/")[1] ?? "bin"}`;
