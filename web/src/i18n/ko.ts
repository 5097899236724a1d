// 앱의 모든 한국어 문구. SPDX-License-Identifier: AGPL-3.0-or-later
import type { Catalogue } from "./en";

export const ko: Catalogue = {
  "app.name": "봉수", "app.tagline": "봉우리에서 봉우리로, 꼭 전해지는 메시지.",
  "language.name": "한국어", "language.other": "English",

  "line.connecting": "연결하는 중…", "line.connecting.long": "연결하는 중이에요. 그동안 읽고 쓸 수 있고, 다시 연결되면 보내 드려요.",
  "line.offline": "오프라인이에요. 읽고 쓸 수 있고, 다시 연결되면 보내 드려요.",
  "line.offline.waiting": "오프라인이에요. 메시지 {n}개가 전송을 기다려요.",
  "line.syncing": "그동안 온 메시지를 받는 중…", "line.back": "연결됨", "line.ended": "이 기기에서 로그아웃되었어요.",
  "line.outdated": "새 버전이 준비되었어요.", "line.reload": "지금 사용하기",
  "banner.read": "공지 읽기", "banner.close": "이 공지 닫기",

  "login.title": "로그인", "login.name": "아이디", "login.password": "비밀번호", "login.submit": "로그인", "login.make": "새 계정 만들기",
  "login.register": "계정 만들기", "login.have": "이미 계정이 있어요", "login.demo": "체험 계정으로 시작하기", "login.wait": "잠시만요…",
  "login.nameHint": "영문자와 숫자로 정해 주세요. 친구가 이 아이디로 찾아요.", "login.passwordHint": "8자 이상",
  "login.show": "비밀번호 보기", "login.hide": "비밀번호 숨기기",
  "login.error.password": "아이디나 비밀번호가 맞지 않아요.", "login.error.token": "이 기기에서 다시 로그인해 주세요.",
  "login.error.busy": "서버가 바빠요. 잠시 후 다시 해 주세요.", "login.error.lost": "지금은 서버에 연결할 수 없어요. 다시 시도해 주세요.",
  "login.error.disabled": "닫힌 계정이에요.", "login.error.unsupported": "서버가 예상과 다르게 응답해요. 다른 서버일 수 있어요.",
  "login.error.other": "로그인하지 못했어요: {why}", "login.error.conflict": "이미 쓰는 아이디예요. 다른 아이디를 골라 주세요.",
  "login.error.notAllowed": "이 서버에서는 계정을 만들 수 없어요. 운영자에게 문의해 주세요.", "login.error.name": "아이디에는 영문자, 숫자, 점, 붙임표를 써 주세요.",
  "login.error.short": "비밀번호는 8자 이상이어야 해요.", "login.error.out": "다른 기기에서 이 기기를 로그아웃했어요.", "login.error.replaced": "이 기기의 다른 곳에서 이 계정을 열었어요.",

  "tab.chats": "대화", "tab.friends": "친구", "tab.settings": "설정", "tabs": "주요 화면", "skip": "대화로 건너뛰기",

  "chats.title": "대화", "chats.none": "아직 대화가 없어요. 친구를 골라 말을 걸어 보세요.", "chats.new": "새 대화", "chats.unread": "읽지 않은 메시지 {n}개",
  "chats.pin": "맨 위에 고정", "chats.unpin": "고정 해제", "chats.mute": "알림 끄기", "chats.unmute": "알림 켜기", "chats.hide": "목록에서 치우기", "chats.pinned": "고정됨", "chats.muted": "알림 꺼짐",
  "chats.draft": "작성 중:", "chats.you": "나:", "chats.mentioned": "나를 언급함", "chats.menu": "{name} 더 보기", "chats.reading": "이 기기에 있는 것을 읽는 중…",
  "chats.search": "대화와 메시지 검색", "chats.newGroup": "새 그룹",

  "friends.title": "친구", "friends.none": "아직 친구가 없어요. 아이디로 추가해 보세요.", "friends.add": "친구 추가", "friends.address": "아이디 또는 주소",
  "friends.add.hint": "minji 또는 minji@example.org", "friends.add.bad": "아이디나 주소가 아니에요.", "friends.added": "{name}님에게 친구 요청을 보냈어요.",
  "friends.requests": "친구 요청", "friends.wants": "{name}님이 친구가 되고 싶어 해요", "friends.accept": "수락", "friends.decline": "거절",
  "friends.waiting": "요청 보냄", "friends.over": "친구가 아니에요", "friends.favourites": "즐겨찾기", "friends.all": "전체", "friends.me": "나", "friends.count": "친구 {n}명",
  "friends.qr": "내 코드", "friends.qr.hint": "친구가 카메라로 찍게 하거나 링크를 보내 주세요.", "friends.qr.copy": "링크 복사", "friends.copied": "복사했어요",
  "friends.scan": "코드 스캔", "friends.scan.hint": "코드를 카메라 앞에 대 주세요.", "friends.scan.none": "여기서는 카메라를 쓸 수 없어요. 아이디를 입력해 주세요.", "friends.invite": "초대 링크",

  "person.chat": "대화하기", "person.favourite": "즐겨찾기", "person.unfavourite": "즐겨찾기 해제", "person.remove": "친구 삭제", "person.block": "차단", "person.unblock": "차단 해제",
  "person.name": "내가 부르는 이름", "person.save": "저장", "person.card": "내가 적어 둔 것", "person.told": "다른 연락 방법", "person.told.when": "본인이 알려 준 정보예요. {when} 기준.", "person.phone": "전화", "person.email": "이메일", "person.note": "메모",
  "person.card.hint": "이 기기에 저장되어, 다른 것이 안 될 때도 볼 수 있어요.", "person.export": "연락처 내보내기", "person.exportAll": "모든 연락처 내보내기", "person.online": "온라인", "person.away": "자리 비움", "person.dnd": "방해 금지",
  "person.remove.sure": "{name}님을 친구에서 삭제할까요? 대화는 남아요.", "person.block.sure": "{name}님을 차단할까요? 더는 나에게 메시지를 보낼 수 없고, 그 까닭은 알려 주지 않아요.", "person.saved": "저장했어요",
  "person.report": "신고", "person.report.why": "{name}님에게 어떤 문제가 있나요?", "person.report.spam": "스팸이나 사기", "person.report.abuse": "욕설이나 위협", "person.reported": "신고하고 차단했어요",
  "person.report.sure": "{name}님을 신고할까요? 그 사람에게서 마지막으로 받은 메시지가 서버 운영자에게 전달되고, {name}님은 차단돼요.",
  "person.blocked": "차단됨", "person.profile": "{name}님의 프로필",

  "chat.write": "메시지", "chat.send": "보내기", "chat.empty": "대화를 골라 주세요", "chat.empty.hint": "봉화 하나가 다음 봉화를 밝혀요.", "chat.back": "목록으로", "chat.first": "여기서 대화가 시작되었어요.",
  "chat.older": "이전 메시지를 가져오는 중…", "chat.goTo": "날짜로 가기", "chat.goTo.date": "날짜", "chat.goTo.first": "첫 메시지", "chat.goTo.none": "그 뒤로 쓴 메시지가 없어요.", "chat.goTo.short": "더 오래된 메시지는 지금 가져올 수 없어요.", "chat.down": "최신 메시지로", "chat.unreadLine": "여기부터 읽지 않음", "chat.jumpUnread": "위에 읽지 않은 메시지 {n}개",
  "chat.typing": "{name}님이 쓰는 중…", "chat.typing.many": "여러 사람이 쓰는 중…", "chat.waiting": "대기 중", "chat.sent": "보냄", "chat.failed": "전송 안 됨", "chat.delivered": "전달됨", "chat.readBy": "읽음",
  "chat.unreadBy": "{n}명이 아직 읽지 않음", "chat.edited": "수정됨", "chat.retracted": "삭제된 메시지예요", "chat.retracted.line": "삭제된 메시지",
  "chat.reply": "답장", "chat.react": "공감", "chat.edit": "수정", "chat.delete": "모두에게서 삭제", "chat.copy": "복사", "chat.forward": "전달", "chat.forward.to": "전달할 대화", "chat.forwarded": "전달됨", "chat.retry": "다시 보내기", "chat.discard": "버리기",
  "chat.menu": "메시지 메뉴", "chat.replying": "{name}님에게 답장", "chat.editing": "메시지 수정", "chat.cancel": "취소", "chat.emoji": "이모지", "chat.stickers": "이모티콘", "chat.attach": "사진이나 파일", "chat.voice": "음성 메시지", "chat.voice.stop": "멈추고 보내기",
  "chat.delete.sure": "이 메시지를 모두에게서 삭제할까요?", "chat.delete.note": "메시지가 삭제되었지만, 사용 중인 앱은 이를 지원하지 않습니다.", "chat.list": "{name}님과의 메시지", "chat.newFrom": "{name}: {body}", "chat.more": "정보", "chat.me": "나",
  "chat.failed.why": "서버가 거절했어요: {why}", "chat.reacted": "{emoji}, {n}명", "chat.blockedNotice": "차단한 사람이에요.", "chat.notFriend": "아직 친구가 아니에요.",
  "chat.roomGone": "이제 이 그룹에 있지 않아요.", "chat.mention": "언급", "chat.replyGone": "이전 메시지",

  "file.photo": "사진", "file.video": "동영상", "file.audio": "음성 메시지", "file.file": "파일", "file.sticker": "이모티콘", "file.uploading": "올리는 중, {n}%", "file.waits": "올리기를 기다려요", "file.waitsAt": "이어 올리기를 기다려요, {n}% 올라감", "file.cancel": "보내지 않기", "file.cancelLate": "이미 보냈어요.", "file.tellsMore": "{name}에는 찍은 곳처럼 보이지 않는 정보가 들어 있는데, 여기서는 지울 수 없어요. JPEG나 PNG로 보내 주세요.", "file.noRoom": "{name} 파일을 보낼 때까지 둘 곳이 없어요. 기다리는 파일이 너무 많거나 기기가 가득 찼어요.", "file.open": "{name} 열기", "file.tooLarge": "너무 커요. 최대 {size}까지예요.",
  "file.unsupported": "이 서버는 파일을 받지 않아요.", "file.offline": "다시 연결되면 파일을 가져와요.", "file.close": "닫기", "file.drop": "놓으면 보내요",

  "room.new": "새 그룹", "room.name": "그룹 이름", "room.choose": "누구와 함께할까요?", "room.make": "그룹 만들기", "room.members": "{n}명", "room.invite": "초대", "room.leave": "그룹 나가기", "room.leave.sure": "이 그룹에서 나갈까요?",
  "room.drawer": "사진과 파일", "room.drawer.newer": "더 최근", "room.drawer.older": "더 이전", "room.drawer.none": "아직 사진이나 파일이 없어요.", "room.links": "링크", "room.links.none": "아직 링크가 없어요.", "room.links.from": "{name}, {when}", "room.owner": "방장", "room.admin": "관리자", "room.rename": "이름 바꾸기", "room.subject": "공지", "room.makeAdmin": "관리자로 지정", "room.unmakeAdmin": "관리자 해제", "room.removePerson": "그룹에서 내보내기", "room.ban": "내보내고 다시 못 들어오게 하기", "room.ban.sure": "{name}님을 내보낼까요? 누군가 다시 허용할 때까지 들어올 수 없어요.", "room.banned": "들어올 수 없는 사람", "room.unban": "다시 허용", "room.unsupported": "이 서버에는 그룹이 없어요.", "room.error": "지금은 그룹에 들어갈 수 없어요: {why}",
  "room.here": "지금 여기 있음",

  "search.title": "검색", "search.field": "검색", "search.none": "“{words}”에 대한 결과가 없어요.", "search.device": "이 기기에서 찾았어요.", "search.everywhere": "전체에서 찾았어요.", "search.people": "사람과 그룹", "search.messages": "메시지",

  "settings.title": "설정", "settings.profile": "프로필", "settings.nick": "내 이름", "settings.about": "소개", "settings.picture": "사진 고르기", "settings.pictureRemove": "사진 지우기", "settings.reach.hint": "다른 연락 방법이에요. 이 프로필을 보는 친구의 기기에만 저장되고, 다른 사람은 볼 수 없어요.", "settings.save": "저장", "settings.saved": "저장했어요", "settings.failed": "하지 못했어요: {why}",
  "settings.look": "화면", "settings.language": "언어", "settings.theme": "테마", "settings.theme.system": "기기 설정에 따름", "settings.theme.light": "밝게", "settings.theme.dark": "어둡게", "settings.enterSends": "Enter로 보내기", "settings.enterSends.hint": "Shift+Enter로 줄을 바꿔요.",
  "settings.notify": "알림", "settings.notify.on": "새 메시지를 알려 주세요", "settings.notify.tell": "보낸 사람과 내용 보이기", "settings.notify.tell.hint": "봉수를 닫아 두었을 때도 보여요. 끄면 그때는 메시지가 왔다는 것만 알려요.", "settings.notify.denied": "브라우저가 막고 있어요. 이 페이지의 브라우저 설정에서 바꿀 수 있어요.",
  "settings.password": "비밀번호 바꾸기", "settings.password.new": "새 비밀번호", "settings.password.again": "한 번 더", "settings.password.differ": "두 비밀번호가 달라요.", "settings.password.done": "비밀번호를 바꿨어요.", "settings.password.set": "비밀번호 정하기",
  "login.passkey": "패스키로 로그인", "login.error.passkey": "이 패스키로 열 수 있는 계정이 없어요. 비밀번호나 다른 패스키를 써 주세요.",
  "methods.title": "패스키", "methods.about": "지문, 얼굴, 기기 잠금으로 로그인해요. 비밀번호도 그대로 쓸 수 있어서, 들어오는 길이 두 개라 더 안전해요.", "methods.add": "패스키 추가", "methods.added": "패스키를 추가했어요", "methods.unknown": "지금은 패스키를 볼 수 없어요.",
  "methods.name": "이름", "methods.rename": "이름 바꾸기", "methods.rename.ask": "“{name}”의 새 이름을 정해 주세요.", "methods.remove": "삭제", "methods.remove.sure": "“{name}”을(를) 삭제할까요? 더는 이 계정을 열 수 없어요.", "methods.removed": "패스키를 삭제했어요",
  "methods.made": "{when} 추가", "methods.used": "{when} 마지막 사용", "methods.unused": "아직 쓰지 않음",
  "methods.password.remove": "비밀번호 삭제", "methods.password.removed": "비밀번호를 삭제했어요", "methods.password.none": "비밀번호가 없는 계정이에요. 패스키로만 열 수 있어요.",
  "methods.password.sure": "비밀번호를 삭제할까요? 그러면 패스키 {n}개로만 로그인할 수 있고, 패스키가 든 기기를 잃어버리면 더는 로그인할 수 없어요. 지금 로그인된 기기는 그대로이고, 거기서 비밀번호를 다시 정할 수 있어요.",
  "methods.error.cancelled": "패스키를 쓰지 않았어요.", "methods.error.exists": "이 기기에는 이 계정의 패스키가 이미 있어요.", "methods.error.limit": "패스키를 더 추가할 수 없어요. 먼저 하나를 삭제해 주세요.", "methods.error.last": "로그인할 수 있는 마지막 방법이에요. 먼저 비밀번호를 정하거나 다른 패스키를 추가해 주세요.",
  "settings.storage": "이 기기에 저장된 것", "settings.storage.messages": "메시지 {n}개", "settings.storage.size": "약 {size}", "settings.storage.waiting": "{n}개가 전송을 기다려요", "settings.export": "이 기기의 내용 내보내기", "settings.exportAll": "서버에 있는 내 데이터 내보내기", "settings.exportAll.comes": "만드는 중이에요. 다 되면 서버가 링크를 메시지로 보내요.", "settings.prune": "오래된 메시지 지우기", "settings.prune.older": "{n}개월 넘은 메시지", "settings.pruned": "메시지 {n}개를 이 기기에서 지웠어요",
  "settings.prune.sure": "{n}개월 넘은 메시지를 이 기기에서 지울까요? 서버에 남아 있는 동안은 위로 올리면 다시 받아요.",
  "settings.account": "계정", "settings.logout": "로그아웃", "settings.logout.sure": "이 기기에서 로그아웃할까요?", "settings.logout.waiting": "메시지 {n}개가 전송을 기다리고 있어, 사라지게 돼요.", "settings.logout.erase": "이 기기에 있는 것도 지우기",
  "settings.remove": "계정 삭제", "settings.remove.sure": "계정 {name}과 관련된 모든 것을 영원히 삭제할까요? 확인하려면 아이디를 입력해 주세요.", "settings.blocked": "차단한 사람", "settings.server": "서버", "settings.site": "{site}에 연결됨", "settings.install": "앱으로 설치",

  "profiles.mine": "내 프로필", "profiles.basic": "기본 프로필", "profiles.number": "프로필 {n}", "profiles.new": "새 프로필", "profiles.viewers": "친구 {n}명", "profiles.asOf": "{when} 기준이에요. 지금은 확인할 수 없어요.", "profiles.unknown": "지금은 확인할 수 없어요", "profiles.minimal": "이름만 보여요. 아직 서로 친구가 아니에요", "profiles.photo": "사진 고르기", "profiles.photoRemove": "사진 지우기", "profiles.background": "배경 고르기", "profiles.backgroundRemove": "배경 지우기", "profiles.badPicture": "이 사진은 쓸 수 없어요.", "profiles.who": "이 프로필을 볼 사람", "profiles.who.hint": "나머지 사람은 기본 프로필을 봐요.", "profiles.seesNow": "지금은 ‘{profile}’을(를) 봐요", "profiles.seesNow.done": "이제 {name}님은 ‘{profile}’을(를) 봐요", "profiles.sees": "{name}님이 보는 내 프로필", "profiles.remove": "프로필 삭제", "profiles.remove.sure": "이 프로필을 삭제할까요? 보던 친구 {n}명은 기본 프로필을 보게 돼요.", "profiles.remove.unseen": "이 프로필을 삭제할까요? 보는 사람이 없어요.", "profiles.removed": "프로필을 삭제했어요.",

  "devices.title": "로그인된 기기", "devices.this": "이 기기", "devices.open": "지금 연결됨", "devices.seen": "마지막 접속 {when}", "devices.unseen": "마지막 접속 알 수 없음", "devices.unnamed": "이름 없는 기기", "devices.end": "로그아웃", "devices.end.of": "{name} 로그아웃", "devices.end.sure": "‘{name}’에서 로그아웃할까요? 다시 들어오려면 비밀번호가 필요해요.", "devices.endOthers": "다른 기기 모두 로그아웃", "devices.endOthers.sure": "다른 기기 {n}대에서 로그아웃할까요?", "devices.ended": "로그아웃했어요", "devices.reading": "서버에 묻는 중…", "devices.unknown": "지금은 확인할 수 없어요.", "devices.hint": "모르는 기기가 있으면 로그아웃하고 비밀번호를 바꿔 주세요.",

  "yes": "네", "no": "아니요", "ok": "확인", "cancel": "취소", "close": "닫기", "back": "뒤로", "again": "다시",
  "today": "오늘", "yesterday": "어제", "emoji.pick": "이모지 고르기", "emoji.recent": "최근", "sticker.pick": "이모티콘 고르기", "needsLine": "연결이 필요해요. 다시 연결되면 해 주세요.",
  "sticker.hello": "안녕", "sticker.love": "사랑해", "sticker.thanks": "고마워", "sticker.sorry": "미안해", "sticker.wow": "우와", "sticker.sleep": "잘 자", "sticker.cheer": "힘내", "sticker.ok": "좋아",
  "about.offlineReady": "오프라인에서도 쓸 수 있어요",
};
