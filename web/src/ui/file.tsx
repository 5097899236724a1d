// Photos and files inside a message: the thumbnail is there at once, the picture itself when it is looked at.
// SPDX-License-Identifier: AGPL-3.0-or-later
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { size, t } from "../i18n";
import { here } from "../model/engine";
import type { Attachment, Message } from "../store/types";
import { Icon } from "./icons";
import { Sheet } from "./parts";
import { place, session } from "./state";

export const looking = signal<{ url: string; name: string } | null>(null);

/** Bytes that are still on this device, else where they are. Only our own server is ever asked by itself (no third party learns who looks). */
function useUrl(f: Attachment): string | null {
  const [local, setLocal] = useState<string | null>(null);
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
  const remote = f.url ? here(f.url, place.value) : null;
  return local ?? (remote?.startsWith(`${location.origin}/`) ? remote : null);
}

function Progress({ f }: { f: Attachment }) {
  if (f.url || !f.localId) return null;
  const part = session.value?.live.value.uploads[f.localId];
  const text = part === undefined ? t("file.waits") : t("file.uploading", { n: Math.round(part * 100) });
  return <span class="upload"><progress value={part ?? 0} max={1} aria-label={text} /><small>{text}</small></span>;
}

function Photo({ m, f, url }: { m: Message; f: Attachment; url: string | null }) {
  const [there, setThere] = useState(false), name = f.sticker ? t("file.sticker") : t("file.photo"), w = f.width || 240, h = f.height || 180, scale = Math.min(1, 280 / w, 320 / h);
  return (
    <button type="button" class={`photo ${f.sticker ? "as-sticker" : ""}`} aria-label={t("file.open", { name })} disabled={!url} onClick={() => { if (url && !m.file?.sticker) looking.value = { url, name: f.name }; }}
      ref={(e) => { if (e) { e.style.setProperty("--w", `${Math.round(w * scale)}px`); e.style.setProperty("--ratio", `${w} / ${h}`); } }}>
      {f.thumb && !there && <img class="thumb" src={f.thumb} alt="" />}
      {url && <img src={url} alt={f.name} loading="lazy" onLoad={() => setThere(true)} onError={() => setThere(false)} class={there ? "" : "coming"} />}
      {!url && !f.thumb && <Icon name="file" />}
    </button>
  );
}

export function FileView({ m }: { m: Message }) {
  const f = m.file as Attachment, url = useUrl(f), kind = f.type.split("/")[0];
  return (
    <div class="file">
      {/^image\/(jpeg|png|gif|webp)$/.test(f.type) ? <Photo m={m} f={f} url={url} />
        : kind === "video" && url ? <video src={url} controls preload="none" poster={f.thumb} aria-label={f.name} />
        : kind === "audio" && url ? <audio src={url} controls preload="none" aria-label={t("file.audio")} />
        : <a class="file-line" href={url ?? f.url} download={f.name} target="_blank" rel="noreferrer noopener"><Icon name="file" /><span><strong dir="auto">{f.name || t("file.file")}</strong><small>{f.size ? size(f.size) : ""}</small></span></a>}
      <Progress f={f} />
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
