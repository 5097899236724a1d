// Photos and files inside a message: the thumbnail is there at once, the picture itself when it is looked at.
// SPDX-License-Identifier: AGPL-3.0-or-later
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { duration, size, t } from "../i18n";
import { here, isOurs } from "../model/engine";
import type { Attachment, Message } from "../store/types";
import { Icon } from "./icons";
import { IconButton, Sheet } from "./parts";
import { place, session, tell } from "./state";
import { ofPack } from "./stickers";

export const looking = signal<{ url: string; name: string } | null>(null);

/** Bytes that are still on this device, else where they are: at the site that has the line, for the page's own may be away; what is there already
 * stays. Only our own server is ever asked by itself. */
function useUrl(f: Attachment): { url: string | null; isThere(): void } {
  const [local, setLocal] = useState<string | null>(null), [pinned, pin] = useState<string | null>(null), door = session.value?.live.value.door;
  useEffect(() => {
    let url: string | null = null, gone = false;
    if (f.localId) void session.value?.db.get("files", f.localId).then((stored) => {
      if (stored && !gone) setLocal(url = URL.createObjectURL(stored.blob));
    }).catch(() => undefined);
    return () => {
      gone = true;
      if (url) URL.revokeObjectURL(url);
      setLocal(null);
    };
  }, [f.localId]);
  useEffect(() => pin(null), [f.url]);
  const remote = pinned ?? (f.url ? here(f.url, place.value, door) : null);
  return { url: local ?? (remote && isOurs(remote, place.value) ? remote : null), isThere: () => { if (!local) pin(remote); } };
}

/** How far it has come; until it is there it can be taken back. */
function Progress({ m, f }: { m: Message; f: Attachment }) {
  if (f.url || !f.localId || m.state === "failed") return null;
  const u = session.value?.live.value.uploads[f.localId], n = Math.round((u?.part ?? 0) * 100), text = u?.moves ? t("file.uploading", { n }) : n ? t("file.waitsAt", { n }) : t("file.waits");
  const cancel = async () => { if (!(await session.value?.cancel(m))) tell(t("file.cancelLate")); };
  return <span class="upload"><progress value={u?.part ?? 0} max={1} aria-label={text} /><small>{text}</small><IconButton icon="close" label={t("file.cancel")} onClick={() => void cancel()} /></span>;
}

/** Nothing of it is fetched before somebody plays it; what is seen until then came with the message. */
function Video({ f, url, isThere }: { f: Attachment; url: string; isThere(): void }) {
  const w = f.width || 320, h = f.height || 180, scale = Math.min(1, 280 / w, 320 / h);
  return <>
    <video src={url} controls playsInline preload="none" onLoadedMetadata={isThere} poster={f.thumb} aria-label={f.name || t("file.video")}
      ref={(e) => { if (e) { e.style.setProperty("--w", `${Math.max(200, Math.round(w * scale))}px`); e.style.setProperty("--ratio", `${w} / ${h}`); } }} />
    <small class="film">{[f.seconds ? duration(f.seconds) : "", f.size ? size(f.size) : ""].filter(Boolean).join(" · ")}</small>
  </>;
}

function Photo({ m, f, url, isThere }: { m: Message; f: Attachment; url: string | null; isThere(): void }) {
  const [there, setThere] = useState(false), alt = f.sticker ? (ofPack(f)?.label ?? f.desc ?? t("file.sticker")) : f.name, name = t("file.photo"), w = f.width || 240, h = f.height || 180, scale = Math.min(1, 280 / w, 320 / h);
  return (
    <button type="button" class={`photo ${f.sticker ? "as-sticker" : ""}`} aria-label={f.sticker ? alt : t("file.open", { name })} disabled={!url} onClick={() => { if (url && !m.file?.sticker) looking.value = { url, name: f.name }; }}
      ref={(e) => { if (e) { e.style.setProperty("--w", `${Math.round(w * scale)}px`); e.style.setProperty("--ratio", `${w} / ${h}`); } }}>
      {f.thumb && !there && <img class="thumb" src={f.thumb} alt="" />}
      {url && <img src={url} alt={alt} loading="lazy" onLoad={() => { setThere(true); isThere(); }} onError={() => setThere(false)} class={there ? "" : "coming"} />}
      {!url && !f.thumb && <Icon name="file" />}
    </button>
  );
}

export function FileView({ m }: { m: Message }) {
  const f = m.file as Attachment, { url: there, isThere } = useUrl(f), url = ofPack(f)?.url ?? there, kind = f.type.split("/")[0];
  return (
    <div class="file">
      {/^image\/(jpeg|png|gif|webp)$/.test(f.type) ? <Photo m={m} f={f} url={url} isThere={isThere} />
        : kind === "video" && url ? <Video f={f} url={url} isThere={isThere} />
        : kind === "audio" && url ? <audio src={url} controls preload="none" onLoadedMetadata={isThere} aria-label={t("file.audio")} />
        : <a class="file-line" href={url ?? f.url} download={f.name} target="_blank" rel="noreferrer noopener"><Icon name="file" /><span><strong dir="auto">{f.name || t("file.file")}</strong><small>{f.size ? size(f.size) : ""}</small></span></a>}
      <Progress m={m} f={f} />
    </div>
  );
}

export function LookHost() {
  const l = looking.value;
  if (!l) return null;
  return (
    <Sheet label={l.name} onClose={() => { looking.value = null; }} class="look">
      <img src={l.url} alt={l.name} />
      <div class="buttons"><a class="soft" href={l.url} download={l.name}>{t("file.open", { name: l.name })}</a><button type="button" class="primary" onClick={() => { looking.value = null; }}>{t("file.close")}</button></div>
    </Sheet>
  );
}
