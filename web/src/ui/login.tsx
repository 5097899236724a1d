// The way in: log in, make an account, or take a demo one. SPDX-License-Identifier: AGPL-3.0-or-later
import { useRef, useState } from "preact/hooks";
import { language, speak, t, type Language } from "../i18n";
import type { Key } from "../i18n/en";
import { usable } from "../model/passkeys";
import { register } from "../model/register";
import { Beacon, Hills } from "./icons";
import { Field } from "./parts";
import { enter, enterByPasskey } from "./start";
import { loginError, place } from "./state";

export function Login() {
  const [making, setMaking] = useState(false), [name, setName] = useState(""), [password, setPassword] = useState(""), [busy, setBusy] = useState(false), [seen, setSeen] = useState(false);

  const [looking, setLooking] = useState(false), search = useRef<AbortController | null>(null);

  async function submit(who: string, secret: string, make: boolean) {
    search.current?.abort();
    const local = who.trim().toLowerCase().split("@")[0];
    loginError.value = null;
    if (make && !/^[a-z0-9][a-z0-9._-]{0,63}$/.test(local)) loginError.value = t("login.error.name");
    else if (make && secret.length < 8) loginError.value = t("login.error.short");
    if (loginError.value) return;
    setBusy(true);
    try {
      if (make) {
        const failed = await register(place.value, local, secret);
        if (failed) {
          const keys: Record<string, Key> = { conflict: "login.error.conflict", "not-allowed": "login.error.notAllowed", "service-unavailable": "login.error.notAllowed", forbidden: "login.error.notAllowed",
            "feature-not-implemented": "login.error.notAllowed", "resource-constraint": "login.error.busy", lost: "login.error.lost" };
          loginError.value = keys[failed] ? t(keys[failed]) : t("login.error.other", { why: failed });
          return;
        }
      }
      await enter(local, secret);
    } finally {
      setBusy(false);
    }
  }

  /** The browser may look for a passkey for minutes; the password goes on being a way in meanwhile. */
  async function byPasskey() {
    search.current = new AbortController();
    setLooking(true);
    try {
      await enterByPasskey(search.current.signal);
    } finally {
      setLooking(false);
    }
  }

  const other: Language = language.value === "ko" ? "en" : "ko", demo = place.value.demo ?? [];
  return (
    <main class="login">
      <div class="login-card">
        <Beacon />
        <h1>{t("app.name")}</h1>
        <p class="tagline">{t("app.tagline")}</p>
        <form onSubmit={(e) => { e.preventDefault(); void submit(name, password, making); }}>
          <Field label={t("login.name")} value={name} onInput={setName} autocomplete="username" required name="username" hint={making ? t("login.nameHint") : undefined} />
          <Field label={t("login.password")} value={password} onInput={setPassword} type={seen ? "text" : "password"} autocomplete={making ? "new-password" : "current-password"} required name="password"
            hint={making ? t("login.passwordHint") : undefined} />
          <label class="check"><input type="checkbox" checked={seen} onChange={() => setSeen(!seen)} />{t("login.show")}</label>
          <p class="error" role="alert">{loginError.value}</p>
          <button type="submit" class="primary" disabled={busy}>{busy ? t("login.wait") : making ? t("login.register") : t("login.submit")}</button>
        </form>
        {usable(place.value) && !making && <button type="button" class="soft passkey" disabled={busy || looking} onClick={() => void byPasskey()}>{t("login.passkey")}</button>}
        <button type="button" class="plain" onClick={() => { setMaking(!making); loginError.value = null; }}>{making ? t("login.have") : t("login.make")}</button>
        {demo.length > 0 && !making && <div class="demo"><p>{t("login.demo")}</p><div>{demo.map((d) => (
          <button type="button" class="soft" key={d.name} disabled={busy} onClick={() => void submit(d.name, d.password, false)}>{d.name}</button>))}</div></div>}
        <button type="button" class="plain language" lang={other} onClick={() => speak(other)}>{t("language.other")}</button>
      </div>
      <Hills />
    </main>
  );
}
