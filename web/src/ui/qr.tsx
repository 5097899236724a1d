// Codes: one's own to be scanned, and the camera that scans a friend's. SPDX-License-Identifier: AGPL-3.0-or-later
import { useEffect, useRef, useState } from "preact/hooks";
import { t } from "../i18n";
import { Sheet } from "./parts";
import { nameOf, session } from "./state";
import { part } from "./version";

/** A link that opens this app and asks for this friend; other clients read its address. */
export const friendLink = (jid: string, token?: string): string => `${location.origin}/#/friends/${[jid, "add", ...(token ? [token] : [])].map(encodeURIComponent).join("/")}`;

export function Code({ text }: { text: string }) {
  const [path, setPath] = useState<{ d: string; n: number } | null>(null);
  useEffect(() => {
    void part(import("uqr")).then(({ encode }) => {
      const { data, size } = encode(text, { border: 2 });
      setPath({ n: size, d: data.flatMap((row, y) => row.map((on, x) => (on ? `M${x} ${y}h1v1h-1z` : ""))).join("") });
    }).catch(() => undefined); // the link can be copied
  }, [text]);
  return path && <svg class="qr" viewBox={`0 0 ${path.n} ${path.n}`} role="img" aria-label={text} shape-rendering="crispEdges"><path d={path.d} /></svg>;
}

export function MyCode({ onClose, onCopied }: { onClose(): void; onCopied(): void }) {
  const s = session.value, [url, setUrl] = useState(s ? friendLink(s.me) : "");
  useEffect(() => {
    void s?.do("inviteLink").then((l) => { if (l) setUrl(/^https?:/.test(l) ? l : friendLink(s.me, l)); }).catch(() => undefined);
  }, []);
  if (!s) return null;
  return (
    <Sheet label={t("friends.qr")} onClose={onClose} class="code">
      <h2 dir="auto">{nameOf(s.me)}</h2>
      <p><small>{s.me}</small></p>
      <Code text={url} />
      <p>{t("friends.qr.hint")}</p>
      <div class="buttons"><button type="button" class="soft" onClick={() => void navigator.clipboard.writeText(url).then(onCopied)}>{t("friends.qr.copy")}</button>
        <button type="button" class="primary" onClick={onClose}>{t("close")}</button></div>
    </Sheet>
  );
}

export function Scanner({ onFound, onClose }: { onFound(text: string): void; onClose(): void }) {
  const video = useRef<HTMLVideoElement>(null), [trouble, setTrouble] = useState(false);
  useEffect(() => {
    let stream: MediaStream | null = null, done = false, timer: ReturnType<typeof setTimeout>;
    const canvas = document.createElement("canvas"), context = canvas.getContext("2d", { willReadFrequently: true });
    async function look(read: typeof import("jsqr").default): Promise<void> {
      const v = video.current;
      if (done || !v || !context) return;
      if (v.videoWidth) {
        const scale = Math.min(1, 640 / v.videoWidth);
        canvas.width = v.videoWidth * scale;
        canvas.height = v.videoHeight * scale;
        context.drawImage(v, 0, 0, canvas.width, canvas.height);
        const found = read(context.getImageData(0, 0, canvas.width, canvas.height).data, canvas.width, canvas.height);
        if (found?.data) return onFound(found.data);
      }
      timer = setTimeout(() => void look(read), 150);
    }
    void Promise.all([navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } }), part(import("jsqr"))]).then(async ([s, { default: read }]) => {
      stream = s;
      if (done || !video.current) return s.getTracks().forEach((track) => track.stop());
      video.current.srcObject = s;
      await video.current.play();
      void look(read);
    }).catch(() => setTrouble(true));
    return () => {
      done = true;
      clearTimeout(timer);
      stream?.getTracks().forEach((track) => track.stop());
    };
  }, []);
  return (
    <div class="scanner">
      {trouble ? <p class="note">{t("friends.scan.none")}</p> : <><video ref={video} playsInline muted aria-label={t("friends.scan")} /><p>{t("friends.scan.hint")}</p></>}
      <button type="button" class="soft" onClick={onClose}>{t("cancel")}</button>
    </div>
  );
}
