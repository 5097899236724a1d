// Our own drawings: line icons of one weight, the beacon, and the hills. SPDX-License-Identifier: AGPL-3.0-or-later
const paths = {
  chats: "M4 5h16v11H9l-5 4z", friends: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zm-6.5 9c0-4 3-6 6.5-6s6.5 2 6.5 6M16 4.5a3.5 3.5 0 0 1 0 6.5m2 3.5c2 .8 3.5 2.600 3.500 5.500",
  settings: "M4 7h10m4 0h2M4 17h2m4 0h10M16 5v4M8 15v4", back: "M15 5l-7 7 7 7", send: "M5 12l14-7-5 14-3-6z", plus: "M12 5v14M5 12h14", more: "M5 12h.01M12 12h.01M19 12h.01",
  search: "M10.500 17a6.500 6.500 0 1 0 0-13 6.500 6.500 0 0 0 0 13zm5-2l5 5", smile: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM8.500 14c.8 1.400 2 2 3.500 2s2.700-.6 3.500-2M9 9.500h.01M15 9.500h.01",
  attach: "M20 11l-8.500 8.500a5 5 0 0 1-7-7L13 4a3.300 3.300 0 0 1 4.700 4.700l-8.400 8.400a1.700 1.700 0 0 1-2.400-2.400L14.500 7", sticker: "M20 13V6a2 2 0 0 0-2-2H6a2 2 0 0 0-2 2v12a2 2 0 0 0 2 2h7zm0 0h-5a2 2 0 0 0-2 2v5M8.500 9h.01M14 9h.01M8 12.500c1 1.500 4 1.500 5 .5",
  mic: "M12 15a3 3 0 0 0 3-3V6a3 3 0 0 0-6 0v6a3 3 0 0 0 3 3zm-6-4a6 6 0 0 0 12 0M12 17v4", stop: "M7 7h10v10H7z", close: "M6 6l12 12M18 6L6 18", check: "M5 12.500l4.500 4.500L19 7",
  clock: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5l3.500 2", alert: "M12 4l9 16H3zM12 10v4m0 3h.01", down: "M12 5v13m-6-6l6 6 6-6", star: "M12 4l2.500 5.200 5.700.8-4.100 4 1 5.700L12 17l-5.100 2.700 1-5.700-4.100-4 5.700-.8z",
  pin: "M9 4h6l-1 6 3 3H7l3-3zM12 13v7", mute: "M6 10a6 6 0 0 1 9-5M18 10v5l2 2H8m2 3a2 2 0 0 0 4 0M6 10v5l-2 2M4 4l16 16", group: "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zm8 0a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM2.500 19c0-3.500 2.500-5 5.500-5s5.500 1.500 5.500 5m0-3.800c3.500-2.700 8-.7 8 3.800",
  qr: "M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h2v2h-2zm4 0h2v2h-2zm-4 4h2v2h-2zm4 0h2v2h-2z", file: "M6 3h8l4 4v14H6zM14 3v4h4", eye: "M2.500 12S6 5.500 12 5.500 21.500 12 21.500 12 18 18.500 12 18.500 2.500 12 2.500 12zM12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6z", reply: "M10 6l-6 6 6 6v-4c5 0 8 1.500 10 4 0-6-4-9-10-9z",
  info: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 11v5m0-8h.01", play: "M8 5l11 7-11 7z",
} as const;
export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }) {
  return <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d={paths[name]} /></svg>;
}

/** The mark: a stone beacon with its fire; `lit` is whether it burns. */
export function Beacon({ lit = true }: { lit?: boolean }) {
  return (
    <svg class={`beacon ${lit ? "lit" : ""}`} viewBox="0 0 48 48" aria-hidden="true" focusable="false">
      <path class="stone" d="M14 44l2.500-17h15L34 44z" /><path class="course" d="M15.500 33.500h17M14.800 38.500h18.400" /><path class="rim" d="M13 25.500h22" />
      <path class="flame" d="M24 3c1 5 7.500 8 7.500 14.500A7.500 7.500 0 0 1 24 25a7.500 7.500 0 0 1-7.500-7.500c0-3.500 2-5 3-8 1 1.300 2 2 2.500 3.500C23.500 10 24 6.500 24 3z" />
      <path class="core" d="M24 14c.6 2.300 3.500 3.600 3.500 6.500a3.500 3.500 0 0 1-7 0c0-2.900 2.900-4.200 3.500-6.500z" />
    </svg>
  );
}

/** Hills at dusk, one beacon lighting the next: what an empty place shows. */
export function Hills() {
  return (
    <svg class="hills" viewBox="0 0 360 160" aria-hidden="true" focusable="false">
      <path class="far" d="M0 110c40-30 70-48 98-38s44 20 74-4 60-44 92-24 60 34 96 22v94H0z" /><path class="mid" d="M0 132c50-26 80-30 126-16s78-22 120-18 70 34 114 24v38H0z" /><path class="near" d="M0 152c60-16 120-20 180-8s120 2 180-10v26H0z" />
      <g class="fires"><path d="M97 70v-9l3-5 3 5v9z" /><path d="M258 40v-8l2.500-5 2.500 5v8z" /><path d="M196 97v-13l4-7 4 7v13z" /></g>
    </svg>
  );
}
