// The place to write. Enter never sends while a syllable is being composed. What is typed is kept as a draft.
// SPDX-License-Identifier: AGPL-3.0-or-later
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { size, t } from "../i18n";
import { TellsMore } from "../model/media";
import { calls } from "../model/mentions";
import type { Attachment, Message } from "../store/types";
import type { Doing } from "./chat";
import { useWords } from "./draft";
import { Emoji } from "./emoji";
import { Icon } from "./icons";
import { useMention } from "./mention";
import { IconButton } from "./parts";
import { Stickers } from "./stickers";
import { enterSends, isTouch, nameOf, session, tell } from "./state";
import { useVoice } from "./voice";

const TYPING_PAUSE_MS = 4000, DRAFT_MS = 400;

/** Whether this key press belongs to an input method: Safari says so only by 229, after the composition has ended. */
export const isComposing = (e: { isComposing: boolean; keyCode: number }): boolean => e.isComposing || e.keyCode === 229;

function useTyping(jid: string): { typed(): void; sent(): void } {
  const on = useRef(false), timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const say = (state: boolean) => {
    if (on.current === state) return;
    on.current = state;
    const s = session.value;
    if (s?.live.value.line === "online") void s.do("typing", jid, s.isRoom(jid), state).catch(() => undefined);
  };
  useEffect(() => () => { clearTimeout(timer.current); say(false); }, [jid]);
  return {
    typed() {
      say(true);
      clearTimeout(timer.current);
      timer.current = setTimeout(() => say(false), TYPING_PAUSE_MS);
    },
    sent() {
      clearTimeout(timer.current);
      on.current = false; // the message itself says that it is over
    },
  };
}

/** Who is meant by @nick, as XEP-0372 wants it told. */
function mentionsIn(jid: string, text: string): { begin: number; end: number; jid: string }[] {
  const people = new Map((session.value?.live.value.rooms[jid]?.occupants ?? []).map((o) => [o.nick, o.jid]));
  return calls(text, [...people.keys()]).flatMap(({ at, name }) => {
    const who = people.get(name), begin = [...text.slice(0, at)].length;
    return who ? [{ begin, end: begin + [...name].length + 1, jid: who }] : [];
  });
}

export function Composer({ jid, doing, onDone, onEdit, lastMine }: { jid: string; doing: Doing; onDone(): void; onEdit(m: Message): void; lastMine(): Message | undefined }) {
  const s = session.value, { text, setText, draft } = useWords(s?.chat(jid)?.draft ?? "", doing.edit), [open, setOpen] = useState<"emoji" | "stickers" | null>(null), box = useRef<HTMLTextAreaElement>(null), picker = useRef<HTMLInputElement>(null);
  const typing = useTyping(jid), voice = useVoice((blob, seconds) => sendFile(blob, "voice.webm", { seconds })), mention = useMention(jid, text, put, box);

  useLayoutEffect(() => { // with the page: a frame later it would take the focus from where somebody has gone
    if (!isTouch()) box.current?.focus();
  }, []);
  const shown = useRef(false);
  useEffect(() => { // after the menu has given the focus back
    if (shown.current && (doing.edit || doing.reply || !isTouch())) box.current?.focus();
    shown.current = true;
  }, [doing]);
  useEffect(() => {
    const timer = setTimeout(() => void s?.draft(jid, draft()), DRAFT_MS);
    return () => clearTimeout(timer);
  }, [text]);
  useEffect(() => {
    const keep = () => { void session.value?.draft(jid, draft()).catch(() => undefined); };
    const end = (e: PageTransitionEvent) => (e.persisted ? keep() : session.value?.lastWords(jid, draft()));
    addEventListener("pagehide", end);
    return () => {
      removeEventListener("pagehide", end);
      keep();
    };
  }, [jid]);
  useLayoutEffect(() => {
    const b = box.current;
    if (!b) return;
    b.style.height = "auto";
    b.style.height = `${Math.min(b.scrollHeight, 160)}px`;
  }, [text]);

  function send(): void {
    const words = text.trim() ? text.replace(/\s+$/, "") : "";
    if (!words || !s) return;
    typing.sent();
    if (doing.edit) {
      if (words !== doing.edit.body) void s.edit(doing.edit, words);
    } else {
      void s.send(jid, words, { reply: doing.reply, mentions: s.isRoom(jid) ? mentionsIn(jid, words) : [] });
      void s.draft(jid, "");
    }
    setText("");
    setOpen(null);
    onDone();
    box.current?.focus();
  }

  function key(e: KeyboardEvent): void {
    if (isComposing(e) || mention.key(e)) return;
    if (e.key === "Enter" && !e.shiftKey && (enterSends() || e.ctrlKey || e.metaKey)) {
      e.preventDefault();
      send();
    } else if (e.key === "Escape" && (doing.edit || doing.reply || open)) {
      setOpen(null);
      onDone();
    } else if (e.key === "ArrowUp" && !text && !doing.edit) {
      const m = lastMine();
      if (m) {
        e.preventDefault();
        onEdit(m);
      }
    }
  }

  function sendFile(file: Blob, name: string, more: Partial<Attachment> = {}): void {
    s?.sendFile(jid, file, name, more).catch((e: unknown) => tell(e instanceof TellsMore ? t("file.tellsMore", { name }) : t("file.noRoom", { name })));
  }

  function files(list: FileList | File[] | null | undefined): void {
    const can = s?.live.value.can.upload, all = [...(list ?? [])];
    if (!all.length) return;
    if (s?.live.value.line === "online" && !can) return tell(t("file.unsupported"));
    for (const f of all) {
      if (can && f.size > can.max && !f.type.startsWith("image/")) tell(t("file.tooLarge", { size: size(can.max) }));
      else sendFile(f, f.name);
    }
  }

  function insert(e: string): void {
    const b = box.current, at = b?.selectionStart ?? text.length, end = b?.selectionEnd ?? at;
    put(text.slice(0, at) + e + text.slice(end), at + e.length);
  }

  function put(words: string, caret: number): void {
    setText(words);
    queueMicrotask(() => { box.current?.setSelectionRange(caret, caret); }); // once they are there
  }

  const about = doing.edit ?? doing.reply, canWrite = !s?.person(jid).blocked && (!s?.isRoom(jid) || s.chat(jid)?.room?.joined !== false);
  if (!canWrite) return null;
  return (
    <form class="composer" onSubmit={(e) => { e.preventDefault(); send(); }} onDragOver={(e) => e.preventDefault()} onDrop={(e) => { e.preventDefault(); files(e.dataTransfer?.files); }}>
      {about && <div class="about"><div><strong dir="auto">{doing.edit ? t("chat.editing") : t("chat.replying", { name: about.mine ? t("chat.me") : s?.isRoom(jid) ? about.from : nameOf(about.from) })}</strong><span dir="auto">{about.body || about.file?.name}</span></div>
        <IconButton icon="close" label={t("chat.cancel")} onClick={onDone} /></div>}
      {mention.list}
      {open === "emoji" && <Emoji onPick={insert} />}
      {open === "stickers" && <Stickers onPick={(blob, name, more) => { setOpen(null); sendFile(blob, name, more); }} />}
      <div class="write">
        <IconButton icon="attach" label={t("chat.attach")} onClick={() => picker.current?.click()} />
        <input ref={picker} type="file" multiple hidden tabIndex={-1} aria-hidden="true" onChange={(e) => { files(e.currentTarget.files); e.currentTarget.value = ""; }} />
        <div class="write-in">
          <textarea ref={box} rows={1} value={text} dir="auto" aria-label={t("chat.write")} placeholder={t("chat.write")} enterkeyhint={enterSends() ? "send" : "enter"} autocomplete="off" {...mention.box}
            onClick={mention.close} onBlur={mention.close} onInput={(e) => { setText(e.currentTarget.value); mention.written(); if (e.currentTarget.value && !doing.edit) typing.typed(); }} onKeyDown={key}
            onPaste={(e) => { if (e.clipboardData?.files.length) { e.preventDefault(); files(e.clipboardData.files); } }} />
          <IconButton icon="smile" label={t("chat.emoji")} expanded={open === "emoji"} onClick={() => setOpen(open === "emoji" ? null : "emoji")} />
          <IconButton icon="sticker" label={t("chat.stickers")} expanded={open === "stickers"} onClick={() => setOpen(open === "stickers" ? null : "stickers")} />
        </div>
        {text.trim() || !voice.possible ? <button type="submit" class="send" aria-label={t("chat.send")} title={t("chat.send")} disabled={!text.trim()}><Icon name="send" /></button>
          : <IconButton icon={voice.recording ? "stop" : "mic"} label={t(voice.recording ? "chat.voice.stop" : "chat.voice")} pressed={voice.recording} onClick={voice.toggle} class={voice.recording ? "recording" : ""} />}
      </div>
    </form>
  );
}


