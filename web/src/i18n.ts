// Every word a person reads, in both languages. The rest of the app has none.
// SPDX-License-Identifier: AGPL-3.0-or-later

const ko = {
  tagline: "받았다고 답한 말은 잃어버리지 않습니다.",
  name: "아이디",
  password: "비밀번호",
  logIn: "로그인",
  logOut: "로그아웃",
  connecting: "연결하는 중…",
  online: "연결됨",
  offline: "연결이 끊겼습니다. 다시 연결하는 중…",
  wrongPassword: "아이디나 비밀번호가 맞지 않습니다.",
  tooMany: "시도가 너무 많습니다. 잠시 뒤에 다시 해 주세요.",
  notReached: "채팅 서버에 연결할 수 없습니다. 인증서를 직접 만든 서버라면 이 주소를 한 번 열어 허용해 주세요:",
  notThisServer: "서버의 신원을 확인할 수 없습니다.",
  replaced: "이 연결은 서버가 끝냈습니다. 다시 로그인해 주세요.",
  friends: "친구",
  addFriend: "친구 추가",
  addFriendHint: "아이디 또는 아이디@서버",
  noFriends: "아직 대화가 없습니다. 아이디로 친구를 추가해 보세요.",
  wantsToBeFriend: "님이 친구가 되고 싶어 합니다.",
  accept: "수락",
  decline: "거절",
  choose: "대화할 친구를 고르세요.",
  back: "뒤로",
  write: "메시지를 입력하세요",
  send: "보내기",
  older: "이전 대화 보기",
  waiting: "저장을 기다리는 중",
  kept: "저장됨",
  failed: "보내지 못했습니다",
};

export type Words = typeof ko;

const en: Words = {
  tagline: "What was acknowledged is kept.",
  name: "Name",
  password: "Password",
  logIn: "Log in",
  logOut: "Log out",
  connecting: "Connecting…",
  online: "Connected",
  offline: "Connection lost. Connecting again…",
  wrongPassword: "The name or the password is not right.",
  tooMany: "Too many tries. Please wait a little.",
  notReached: "The chat server cannot be reached. If it made its own certificate, open this address once and allow it:",
  notThisServer: "The server could not prove who it is.",
  replaced: "The server ended this session. Please log in again.",
  friends: "Friends",
  addFriend: "Add a friend",
  addFriendHint: "name or name@server",
  noFriends: "No conversations yet. Add a friend by name.",
  wantsToBeFriend: "wants to be your friend.",
  accept: "Accept",
  decline: "Decline",
  choose: "Choose a friend to talk to.",
  back: "Back",
  write: "Write a message",
  send: "Send",
  older: "Show earlier messages",
  waiting: "waiting to be kept",
  kept: "kept",
  failed: "could not be sent",
};

const tables: Record<string, Words> = { ko, en };
const chosen = localStorage.getItem("language") ?? (navigator.language.startsWith("ko") ? "ko" : "en");

export const language = chosen in tables ? chosen : "en";
export const words: Words = tables[language];
export const otherLanguage = language === "ko" ? { code: "en", label: "English" } : { code: "ko", label: "한국어" };

export function chooseLanguage(code: string): void {
  localStorage.setItem("language", code);
  location.reload();
}
