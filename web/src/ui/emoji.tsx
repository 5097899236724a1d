// Emoji by hand; a few dozen that are used, and the last ones chosen. SPDX-License-Identifier: AGPL-3.0-or-later
import { useState } from "preact/hooks";
import { t } from "../i18n";

const ALL = "😀 😄 😁 😆 😅 😂 🤣 🙂 😉 😊 😇 🥰 😍 😘 😋 😜 🤪 🤗 🤭 🤔 🤐 😐 😏 😒 🙄 😬 😌 😔 😪 😴 😷 🤒 🥵 🥶 😵 🤯 🥳 😎 🤓 😕 😟 😮 😳 🥺 😢 😭 😱 😖 😩 😤 😡 🤬 💀 👻 👍 👎 👌 ✌️ 🤞 🫰 👏 🙌 🙏 💪 👋 ✊ ❤️ 🧡 💛 💚 💙 💜 🖤 💔 💯 🔥 ✨ ⭐ 🎉 🎂 🎁 🎈 🌸 🌹 🍀 🌞 🌙 ⛰️ 🌊 ☔ ❄️ 🐶 🐱 🐰 🐻 🐯 🍚 🍜 🍲 🍗 🍕 🍎 🍓 ☕ 🍵 🍺 🥂 🚗 🚌 🚲 ✈️ 🏠 🏥 🏫 📷 📱 💻 📚 ✏️ 📌 ⏰ 💡 ✅ ❌ ❓ ❗ 💬".split(" ");
const KEY = "bongsu.emoji";

const recent = (): string[] => (localStorage.getItem(KEY) ?? "").split(" ").filter(Boolean);

export function Emoji({ onPick }: { onPick(e: string): void }) {
  const [last, setLast] = useState(recent);
  const pick = (e: string) => {
    const next = [e, ...last.filter((l) => l !== e)].slice(0, 16);
    setLast(next);
    localStorage.setItem(KEY, next.join(" "));
    onPick(e);
  };
  const row = (list: string[]) => list.map((e) => <button type="button" key={e} onClick={() => pick(e)}>{e}</button>);
  return (
    <div class="picker" role="group" aria-label={t("emoji.pick")}>
      {last.length > 0 && <><small>{t("emoji.recent")}</small><div class="emoji">{row(last)}</div></>}
      <div class="emoji">{row(ALL)}</div>
    </div>
  );
}
