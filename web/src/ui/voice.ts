// Voice notes: recorded here, sent like a file. SPDX-License-Identifier: AGPL-3.0-or-later
import { useEffect, useRef, useState } from "preact/hooks";

const SECONDS_MAX = 300;

export function useVoice(done: (blob: Blob, seconds: number) => void): { possible: boolean; recording: boolean; toggle(): void } {
  const [recording, setRecording] = useState(false), recorder = useRef<MediaRecorder | null>(null), gone = useRef(false);
  useEffect(() => () => { // who leaves the chat sends nothing
    gone.current = true;
    recorder.current?.stop();
  }, []);
  async function start(): Promise<void> {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true }), parts: Blob[] = [], began = Date.now();
    if (gone.current || recorder.current) return stream.getTracks().forEach((track) => track.stop());
    const r = recorder.current = new MediaRecorder(stream);
    r.ondataavailable = (e) => parts.push(e.data);
    r.onstop = () => {
      stream.getTracks().forEach((track) => track.stop());
      if (gone.current) return;
      setRecording(false);
      recorder.current = null;
      const seconds = Math.round((Date.now() - began) / 1000);
      if (seconds >= 1) done(new Blob(parts, { type: r.mimeType.split(";")[0] }), seconds);
    };
    r.start();
    setTimeout(() => { if (r.state === "recording") r.stop(); }, SECONDS_MAX * 1000);
    setRecording(true);
  }
  return {
    possible: "MediaRecorder" in globalThis && Boolean(navigator.mediaDevices),
    recording,
    toggle: () => { if (recorder.current) recorder.current.stop(); else void start().catch(() => setRecording(false)); },
  };
}
