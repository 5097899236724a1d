// What can be done with a message. SPDX-License-Identifier: AGPL-3.0-or-later
import { t } from "../i18n";
import type { Message } from "../store/types";
import { ask, jump, menu, session, tell, type MenuItem } from "./state";
import { forwarding } from "./forward";

export const QUICK = ["👍", "❤️", "😂", "😮", "😢", "🙏"];

export function toggleReaction(m: Message, emoji: string): Promise<void> | undefined {
  const s = session.value, mine = m.reactions?.[s?.nickIn(m.chat) ?? ""] ?? [];
  return s?.react(m, mine.includes(emoji) ? mine.filter((e) => e !== emoji) : [...mine, emoji]);
}

export async function goToReply(m: Message): Promise<void> {
  const s = session.value;
  if (!s || !m.reply) return;
  const found = (await s.db.getFromIndex("messages", "byId", [m.chat, m.reply.id])) ?? (await s.db.getFromIndex("messages", "bySid", [m.chat, m.reply.id]));
  if (found) jump.value = { chat: found.chat, at: found.at, key: found.key };
}

export function messageMenu(m: Message, onReply: (m: Message) => void, onEdit: (m: Message) => void): void {
  const s = session.value;
  if (!s || m.retracted || m.notice) return;
  const items: MenuItem[] = [];
  const waiting = m.state === "waiting" || m.state === "failed", owner = s.live.value.rooms[m.chat]?.mine?.role === "moderator";
  if (!waiting) items.push({ label: t("chat.reply"), icon: "reply", act: () => onReply(m) });
  if (m.body) items.push({ label: t("chat.copy"), act: () => void navigator.clipboard.writeText(m.body).then(() => tell(t("friends.copied"))) });
  if (m.body || m.file?.url) items.push({ label: t("chat.forward"), act: () => { forwarding.value = m; } });
  if (m.mine && m.body && !m.file && m.state !== "failed") items.push({ label: t("chat.edit"), act: () => onEdit(m) });
  if (m.state === "failed") items.push({ label: t("chat.retry"), act: () => void s.retry(m) }, { label: t("chat.discard"), danger: true, act: () => void s.discard(m) });
  if (m.mine && !waiting) items.push({ label: t("chat.delete"), danger: true, act: async () => {
    if (await ask(t("chat.delete.sure"), t("chat.delete"), true)) await s.retract(m, t("chat.delete.note"));
  } });
  else if (owner && !m.mine && m.sid) items.push({ label: t("chat.delete"), danger: true, act: async () => {
    if (await ask(t("chat.delete.sure"), t("chat.delete"), true)) await s.do("moderate", m.chat, m.sid as string).catch((e: Error) => tell(t("settings.failed", { why: e.message })));
  } });
  menu.value = { label: t("chat.menu"), items, top: waiting ? undefined : { emoji: QUICK, mine: m.reactions?.[s.nickIn(m.chat)] ?? [], pick: (e) => void toggleReaction(m, e) } };
}
