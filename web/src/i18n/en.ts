// Every word of the app in English. {n} is filled in; {n|one|other} chooses by number. SPDX-License-Identifier: AGPL-3.0-or-later
export const en = {
  "app.name": "Bongsu", "app.tagline": "Messages that arrive, like beacon fire from hill to hill.",
  "language.name": "English", "language.other": "한국어",

  "line.connecting": "Connecting…", "line.connecting.long": "Connecting. You can read and write meanwhile; it will be sent once the line is back.",
  "line.offline": "Offline. You can read and write; it will be sent once the line is back.",
  "line.offline.waiting": "Offline. {n|one message waits|{n} messages wait} to be sent.",
  "line.syncing": "Getting what came meanwhile…", "line.back": "Connected", "line.ended": "This device is logged out.",
  "line.outdated": "A new version is ready.", "line.reload": "Use it now",
  "banner.read": "Read it", "banner.close": "Close this announcement",

  "login.title": "Log in", "login.name": "Name", "login.password": "Password", "login.submit": "Log in", "login.make": "New account",
  "login.register": "Make account", "login.have": "I have an account", "login.demo": "Try a demo account", "login.wait": "One moment…",
  "login.nameHint": "Letters and numbers. Friends find you by it.", "login.passwordHint": "8 characters or more",
  "login.show": "Show password", "login.hide": "Hide password",
  "login.error.password": "That name and password do not fit together.", "login.error.token": "Please log in again on this device.",
  "login.error.busy": "The server is busy. Please try again in a moment.", "login.error.lost": "The server cannot be reached now. Please try again.",
  "login.error.disabled": "This account is closed.", "login.error.unsupported": "This server does not speak as expected. It may be the wrong one.",
  "login.error.other": "Log-in did not work: {why}", "login.error.conflict": "That name is taken. Please choose another.",
  "login.error.notAllowed": "This server makes no accounts here. Ask whoever runs it.", "login.error.name": "Please use letters, numbers, dots and dashes for the name.",
  "login.error.short": "Please use 8 characters or more for the password.", "login.error.out": "This device was logged out from another one.", "login.error.replaced": "This account was opened elsewhere on this device.",

  "tab.chats": "Chats", "tab.friends": "Friends", "tab.settings": "Settings", "tabs": "Main areas", "skip": "Skip to the conversation",

  "chats.title": "Chats", "chats.none": "No chats yet. Choose a friend to write to.", "chats.new": "New chat", "chats.unread": "{n|one unread message|{n} unread messages}",
  "chats.pin": "Pin on top", "chats.unpin": "Unpin", "chats.mute": "Mute", "chats.unmute": "Unmute", "chats.hide": "Put away", "chats.pinned": "pinned", "chats.muted": "muted",
  "chats.draft": "Draft:", "chats.you": "You:", "chats.mentioned": "mentions you", "chats.menu": "More about {name}", "chats.reading": "Reading what is on this device…",
  "chats.search": "Search chats and messages", "chats.newGroup": "New group",

  "friends.title": "Friends", "friends.none": "Nobody here yet. Add a friend by their name.", "friends.add": "Add friend", "friends.address": "Name or address",
  "friends.add.hint": "minji or minji@example.org", "friends.add.bad": "This is not a name or an address.", "friends.added": "Asked {name}. They will see your request.",
  "friends.requests": "Requests", "friends.wants": "{name} wants to be your friend", "friends.accept": "Accept", "friends.decline": "Decline",
  "friends.waiting": "Request sent", "friends.over": "Not friends", "friends.favourites": "Favourites", "friends.all": "All", "friends.me": "Me", "friends.count": "{n|one friend|{n} friends}",
  "friends.qr": "My code", "friends.qr.hint": "Let a friend scan this with their camera, or send them the link.", "friends.qr.copy": "Copy link", "friends.copied": "Copied",
  "friends.scan": "Scan a code", "friends.scan.hint": "Hold the code in front of the camera.", "friends.scan.none": "The camera cannot be used here. Type the name instead.", "friends.invite": "Invitation link",

  "person.chat": "Write", "person.favourite": "Favourite", "person.unfavourite": "No favourite any more", "person.remove": "Remove friend", "person.block": "Block", "person.unblock": "Unblock",
  "person.name": "My name for them", "person.save": "Save", "person.card": "What I wrote down", "person.told": "Another way to reach them", "person.told.when": "They told it themselves, as of {when}.", "person.phone": "Telephone", "person.email": "E-mail", "person.note": "Note",
  "person.card.hint": "Kept on this device, so it is there when nothing else works.", "person.export": "Export contact", "person.exportAll": "Export all contacts", "person.online": "online", "person.away": "away", "person.dnd": "do not disturb",
  "person.remove.sure": "Remove {name} from your friends? The chat stays.", "person.block.sure": "Block {name}? They cannot write to you any more, and are not told why.", "person.saved": "Saved",
  "person.report": "Report", "person.report.why": "What is wrong with {name}?", "person.report.spam": "Spam or fraud", "person.report.abuse": "Abuse or threats", "person.reported": "Reported and blocked",
  "person.report.sure": "Report {name}? Whoever runs this server gets the last messages that they sent you, and {name} is blocked.",
  "person.blocked": "Blocked", "person.profile": "Profile of {name}",

  "chat.write": "Message", "chat.send": "Send", "chat.empty": "Choose a chat", "chat.empty.hint": "One beacon lights the next.", "chat.back": "Back to the list", "chat.first": "This is where it begins.",
  "chat.older": "Getting older messages…", "chat.goTo": "Go to a date", "chat.goTo.date": "Date", "chat.goTo.first": "The first message", "chat.goTo.none": "Nothing was written since.", "chat.goTo.short": "What is older could not be got now.", "chat.down": "To the newest", "chat.unreadLine": "Unread from here", "chat.jumpUnread": "{n|one unread|{n} unread} above",
  "chat.typing": "{name} is writing…", "chat.typing.many": "Several people are writing…", "chat.waiting": "waiting", "chat.sent": "sent", "chat.failed": "not sent", "chat.delivered": "delivered", "chat.readBy": "read",
  "chat.unreadBy": "{n|one person has|{n} people have} not read it yet", "chat.edited": "edited", "chat.retracted": "Message deleted", "chat.retracted.line": "Message deleted",
  "chat.reply": "Reply", "chat.react": "React", "chat.edit": "Edit", "chat.delete": "Delete for everyone", "chat.copy": "Copy", "chat.forward": "Forward", "chat.forward.to": "Forward to", "chat.forwarded": "forwarded", "chat.retry": "Send again", "chat.discard": "Discard",
  "chat.menu": "Message actions", "chat.replying": "Reply to {name}", "chat.editing": "Edit message", "chat.cancel": "Cancel", "chat.emoji": "Emoji", "chat.stickers": "Stickers", "chat.attach": "Photo or file", "chat.voice": "Voice note", "chat.voice.stop": "Stop and send",
  "chat.delete.sure": "Delete this message for everyone?", "chat.delete.note": "This person deleted a message, which your app does not support.", "chat.list": "Messages with {name}", "chat.newFrom": "{name}: {body}", "chat.more": "Info", "chat.me": "Me",
  "chat.failed.why": "The server refused it: {why}", "chat.reacted": "{emoji}, {n|one person|{n} people}", "chat.blockedNotice": "You have blocked this person.", "chat.notFriend": "You are not friends yet.",
  "chat.roomGone": "You are not in this group any more.", "chat.mention": "Mention", "chat.replyGone": "earlier message",

  "file.photo": "Photo", "file.video": "Video", "file.audio": "Voice note", "file.file": "File", "file.sticker": "Sticker", "file.uploading": "Uploading, {n} %", "file.waits": "Waits to be uploaded", "file.waitsAt": "Waits to go on, {n} % is there", "file.cancel": "Do not send it", "file.cancelLate": "It has been sent already.", "file.tellsMore": "{name} says more than it shows, such as where it was taken, and that cannot be taken out here. Please send it as a JPEG or PNG.", "file.noRoom": "{name} could not be kept until it is sent: too much waits already, or this device is full.", "file.open": "Open {name}", "file.tooLarge": "This is too large. At most {size}.",
  "file.unsupported": "This server takes no files.", "file.offline": "The file is fetched once the line is back.", "file.close": "Close", "file.drop": "Drop to send",

  "room.new": "New group", "room.name": "Name of the group", "room.choose": "Who is in it?", "room.make": "Make group", "room.members": "{n|one person|{n} people}", "room.invite": "Invite", "room.leave": "Leave group", "room.leave.sure": "Leave this group?",
  "room.drawer": "Photos and files", "room.drawer.newer": "Newer", "room.drawer.older": "Older", "room.drawer.none": "No photos or files yet.", "room.links": "Links", "room.links.none": "No links yet.", "room.links.from": "{name}, {when}", "room.owner": "owner", "room.admin": "manager", "room.rename": "Rename", "room.subject": "Notice to all", "room.makeAdmin": "Make manager", "room.unmakeAdmin": "No manager any more", "room.removePerson": "Remove from group", "room.ban": "Remove and keep out", "room.ban.sure": "Remove {name}, who cannot come back then until somebody lets them in again?", "room.banned": "Kept out", "room.unban": "Let in again", "room.unsupported": "This server has no groups.", "room.error": "The group cannot be entered now: {why}",
  "room.here": "here now",

  "search.title": "Search", "search.field": "Search", "search.none": "Nothing found for “{words}”.", "search.device": "Searched on this device.", "search.everywhere": "Searched everywhere.", "search.people": "People and groups", "search.messages": "Messages",

  "settings.title": "Settings", "settings.profile": "Profile", "settings.nick": "My name", "settings.about": "About me", "settings.picture": "Choose picture", "settings.pictureRemove": "Remove picture", "settings.reach.hint": "Another way to reach you. Friends who see this profile keep it on their device; nobody else sees it.", "settings.save": "Save", "settings.saved": "Saved", "settings.failed": "That did not work: {why}",
  "settings.look": "Look", "settings.language": "Language", "settings.theme": "Theme", "settings.theme.system": "As the device", "settings.theme.light": "Light", "settings.theme.dark": "Dark", "settings.enterSends": "Enter sends", "settings.enterSends.hint": "Shift and Enter begin a new line.",
  "settings.notify": "Notifications", "settings.notify.on": "Tell me about new messages", "settings.notify.tell": "Show who wrote, and what", "settings.notify.tell.hint": "Also while Bongsu is closed. Otherwise a notification then says only that there is a message.", "settings.notify.denied": "The browser forbids it. You can change that in its settings for this page.",
  "settings.password": "Change password", "settings.password.new": "New password", "settings.password.again": "Once more", "settings.password.differ": "They are not the same.", "settings.password.done": "The password is changed.", "settings.password.set": "Set a password",
  "login.passkey": "Log in with a passkey", "login.error.passkey": "This passkey opens no account here. Use your password, or another passkey.",
  "methods.title": "Passkeys", "methods.about": "Log in with your finger, your face or your device's lock. It goes on beside your password: two ways in are safer than one.", "methods.add": "Add a passkey", "methods.added": "The passkey is added", "methods.unknown": "Your passkeys cannot be seen now.",
  "methods.name": "Name", "methods.rename": "Rename", "methods.rename.ask": "What should “{name}” be called?", "methods.remove": "Remove", "methods.remove.sure": "Remove “{name}”? It opens this account no more.", "methods.removed": "The passkey is removed",
  "methods.made": "added {when}", "methods.used": "last used {when}", "methods.unused": "not used yet",
  "methods.password.remove": "Remove the password", "methods.password.removed": "The password is removed", "methods.password.none": "This account has no password: only your passkeys open it.",
  "methods.password.sure": "Remove the password? Then {n|only one passkey opens|only {n} passkeys open} this account. Whoever loses what keeps {n|it|them} cannot log in any more. Devices that are logged in stay so; you can set a password again on them.",
  "methods.error.cancelled": "No passkey was used.", "methods.error.exists": "This device has a passkey for this account already.", "methods.error.limit": "There are as many passkeys as there may be. Remove one first.", "methods.error.last": "This is the last way to log in. Set a password or add another passkey first.",
  "settings.storage": "On this device", "settings.storage.messages": "{n|one message|{n} messages}", "settings.storage.size": "about {size}", "settings.storage.waiting": "{n|one waits|{n} wait} to be sent", "settings.export": "Export what is on this device", "settings.exportAll": "Export all that the server keeps", "settings.exportAll.comes": "It is being made. A message of the server brings the link.", "settings.prune": "Remove old messages", "settings.prune.older": "Older than {n|one month|{n} months}", "settings.pruned": "{n|One message|{n} messages} removed from this device",
  "settings.prune.sure": "Remove messages older than {n|one month|{n} months} from this device? As long as the server keeps them, they come back when you scroll up.",
  "settings.account": "Account", "settings.logout": "Log out", "settings.logout.sure": "Log out on this device?", "settings.logout.waiting": "{n|One message waits|{n} messages wait} to be sent and would be lost.", "settings.logout.erase": "Also erase what is on this device",
  "settings.remove": "Delete account", "settings.remove.sure": "Delete the account {name} for ever, with everything that belongs to it? Type the name to confirm.", "settings.blocked": "Blocked people", "settings.server": "Server", "settings.site": "Connected to {site}", "settings.install": "Install as an app",

  "profiles.mine": "My profiles", "profiles.basic": "Basic profile", "profiles.number": "Profile {n}", "profiles.new": "New profile", "profiles.viewers": "{n|one friend|{n} friends}", "profiles.asOf": "As of {when}. Cannot be confirmed now.", "profiles.unknown": "Cannot be confirmed now", "profiles.minimal": "Only my name: we are not friends both ways", "profiles.photo": "Choose photo", "profiles.photoRemove": "Remove photo", "profiles.background": "Choose background", "profiles.backgroundRemove": "Remove background", "profiles.badPicture": "This picture cannot be used.", "profiles.who": "Who sees it", "profiles.who.hint": "Everybody else sees the basic profile.", "profiles.seesNow": "Sees “{profile}” now", "profiles.seesNow.done": "{name} sees “{profile}” from now on", "profiles.sees": "Which of my profiles {name} sees", "profiles.remove": "Delete profile", "profiles.remove.sure": "Delete this profile? {n|One friend|{n} friends} will see the basic profile instead.", "profiles.remove.unseen": "Delete this profile? Nobody sees it.", "profiles.removed": "The profile is deleted.",

  "devices.title": "Devices that are logged in", "devices.this": "this device", "devices.open": "connected now", "devices.seen": "last seen {when}", "devices.unseen": "last seen unknown", "devices.unnamed": "Device without a name", "devices.end": "Log out", "devices.end.of": "Log out {name}", "devices.end.sure": "Log out “{name}”? It will need the password to come back.", "devices.endOthers": "Log out all other devices", "devices.endOthers.sure": "Log out {n|the other device|the {n} other devices}?", "devices.ended": "Logged out there", "devices.reading": "Asking the server…", "devices.unknown": "Cannot be read now.", "devices.hint": "Is one not yours? Log it out and change the password.",

  "yes": "Yes", "no": "No", "ok": "OK", "cancel": "Cancel", "close": "Close", "back": "Back", "again": "Again",
  "today": "Today", "yesterday": "Yesterday", "emoji.pick": "Choose an emoji", "emoji.recent": "Recent", "sticker.pick": "Choose a sticker", "needsLine": "This needs a connection. Please try again once it is back.",
  "sticker.hello": "Hello", "sticker.love": "Love", "sticker.thanks": "Thank you", "sticker.sorry": "Sorry", "sticker.wow": "Wow", "sticker.sleep": "Good night", "sticker.cheer": "Go for it", "sticker.ok": "OK",
  "about.offlineReady": "Ready to be used offline",
};

export type Key = keyof typeof en;
export type Catalogue = Record<Key, string>;
