// The invitation's link, from the fragment of this page's address; nothing else is taken for one.
// SPDX-License-Identifier: AGPL-3.0-or-later
"use strict";
const invitation = /^((?:[A-Za-z0-9._~!$*+-]|%[0-9A-Fa-f]{2})+@)?([A-Za-z0-9.-]+)\?(roster|register);preauth=([A-Za-z0-9_-]+)(;ibr=y)?$/;
const target = location.hash.slice(1);
const parts = invitation.exec(target);

if (!parts) {
  document.getElementById("bad").hidden = false;
} else {
  const link = document.getElementById("open");

  link.href = "xmpp:" + target;
  link.hidden = false;
  if (parts[1] && parts[3] === "roster") {
    const name = decodeURIComponent(parts[1].slice(0, -1)) + "@" + parts[2];
    const here = document.getElementById("here");

    here.href = "/#/friends/" + encodeURIComponent(name) + "/add/" + parts[4];
    here.hidden = false;
    document.getElementById("title-ko").textContent = name + " 님이 초대했습니다";
    document.getElementById("title-en").textContent = name + " has invited you";
  }
}
