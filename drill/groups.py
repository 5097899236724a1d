# SPDX-License-Identifier: AGPL-3.0-or-later
"""groups.py: people who write into a room. What Person does for its own archive, a member does for the room's: who had to bind anew
comes in again, reads the room's archive from the last stanza-id known, and only then goes on writing.

  ["gb", t, me, room, site]                comes in: what arrives live waits for "gk"
  ["gk", t, me, room]                      caught up with the room
  ["gl", t, me, room, from, n, id, site]   arrived live, one's own too
  ["gc", t, me, room, from, n, id, site]   came in the catch-up
  ["go", t, me, room, why]                 found outside, without having left

Who writes, and what was counted, is noted as of chats, with the room for the recipient: "s", "r", "a", "e".
"""
import asyncio

import xmpp

NS_MUC, NS_MAM, NS_RSM, NS_SID = "http://jabber.org/protocol/muc", "urn:xmpp:mam:2", "http://jabber.org/protocol/rsm", "urn:xmpp:sid:0"
PING = "are-you-there"
CLIENT = "{jabber:client}"
COME_IN_S, AGAIN_S, IDS_KEPT = 20, 0.5, 64
QUIET_S = 1.0                   # in a group somebody always writes: who hears nothing for so long asks whether the server is there


def address(room, domain):
    return f"{room}@rooms.{domain}"


async def make(stream, room, domain):
    """A public room that stays when all are out."""
    stream.send_raw(f"<presence to='{address(room, domain)}/maker'><x xmlns='{NS_MUC}'/></presence>")
    answer = await stream.ask("set", f"<query xmlns='{NS_MUC}#owner'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{NS_MUC}"
                              "#roomconfig</value></field><field var='muc#roomconfig_persistentroom'><value>1</value></field></x></query>",
                              to=address(room, domain))
    if answer.get("type") != "result":
        raise xmpp.XMPPError(f"{room} could not be made: {xmpp.show(answer)}")


def words_of(message):
    body = message.find(CLIENT + "body")
    words = (body.text or "").split() if body is not None else []
    return (words[0], int(words[2])) if len(words) == 4 else None


class Membership:
    """Beside a Person, before it in the order of classes."""

    def __init__(self, *args, room, **more):
        super().__init__(*args, **more)
        self.room, self.address = room, address(room, self.crowd.domain)
        self.line, self.line_owed, self.line_ahead = [], [], []     # as Person's known, owed and ahead
        self.line_page = self.entering = None
        self.inside = asyncio.Event()

    def may_say(self):
        return super().may_say() and self.line_owed is None

    def is_settled(self):
        return super().is_settled() and self.line_owed is None

    def tick(self, t):
        if self.stream and not self.lost.is_set() and self.asked is None and t - self.stream.heard > QUIET_S:
            self.sm_out += 1
            self.stream.send_raw(f"<iq type='get' id='{PING}'><ping xmlns='urn:xmpp:ping'/></iq>")
            self.asked = t
        super().tick(t)

    # ---- hearing ----

    def hears(self, item):
        if item is not xmpp.GONE and item is not xmpp.CLOSE and item.tag == CLIENT + "presence" \
                and item.get("from") == f"{self.address}/{self.name}":
            self.take_own_presence(item)
        return super().hears(item) or (item is not xmpp.GONE and item is not xmpp.CLOSE and item.get("id") == PING)

    def take_own_presence(self, p):
        if p.get("type") is None:
            self.inside.set()
        elif p.get("type") == "unavailable" or self.line_owed is None:
            self.put_out(p.get("type"))

    def take_message(self, m):
        if m.get("from", "").partition("/")[0] != self.address:
            super().take_message(m)
        elif m.get("type") == "error":
            self.take_refusal(m)
            if m.find(f"{CLIENT}error/{{{xmpp.NS_STANZAS}}}not-acceptable") is not None:
                self.put_out("not-acceptable")
        elif m.find(f"{{{NS_MAM}}}result") is not None:
            self.take_kept(m.find(f"{{{NS_MAM}}}result"))
        elif words_of(m):
            self.take_said(*words_of(m), [e.get("id") for e in m.findall(f"{{{NS_SID}}}stanza-id") if e.get("by") == self.address])

    def take_kept(self, result):
        inner = result.find(f"{{urn:xmpp:forward:0}}forwarded/{CLIENT}message")
        if self.line_page is not None and inner is not None and words_of(inner):
            self.line_page.append((result.get("id"), *words_of(inner)))

    def take_said(self, sender, number, ids):
        self.note("gl", self.room, sender, number, ids[0] if ids else "", self.site())
        line = self.line if self.line_owed is None else self.line_ahead
        line += ids[:1]
        del line[:-IDS_KEPT]

    def put_out(self, why):
        if self.line_owed is not None:
            return                              # it is coming in already
        self.note("go", self.room, why)
        self.line_owed = self.line
        if self.stream and not self.lost.is_set():
            self.enter_room(self.stream)

    # ---- coming in ----

    def settled_in(self, stream, resumed):
        if not resumed:
            self.line_owed = self.line if self.line_owed is None else self.line_owed
        if self.line_owed is not None:
            self.enter_room(stream)
        super().settled_in(stream, resumed)

    def enter_room(self, stream):
        if self.entering:
            self.entering.cancel()
        self.entering = asyncio.ensure_future(self.come_into_room(stream))
        self.entering.add_done_callback(self.crowd.died)

    async def come_into_room(self, stream):
        try:
            self.line_ahead = []
            self.note("gb", self.room, self.site())
            self.inside.clear()
            self.sm_out += 1
            stream.send_raw(f"<presence to='{self.address}/{self.name}'><x xmlns='{NS_MUC}'><history maxstanzas='0'/></x></presence>")
            await asyncio.wait_for(self.inside.wait(), COME_IN_S)
            while not await self.read_page(stream):
                pass
            self.line, self.line_owed = (self.line_owed + self.line_ahead)[-IDS_KEPT:], None
            self.note("gk", self.room)
            self.say_what_waits()
        except (OSError, xmpp.XMPPError, asyncio.TimeoutError, EOFError) as e:
            if self.stream is stream:
                self.leave(f"could not come into the room: {type(e).__name__} {e}")
        finally:
            self.line_page = None

    async def read_page(self, stream):
        """True: it was the last one."""
        self.line_page = []
        after = f"<after>{self.line_owed[-1]}</after>" if self.line_owed else ""
        self.sm_out += 1
        answer = await stream.ask("set", f"<query xmlns='{NS_MAM}'><set xmlns='{NS_RSM}'><max>100</max>{after}</set></query>",
                                  to=self.address, seconds=COME_IN_S)
        if answer.get("type") == "error":
            if "item-not-found" in xmpp.show(answer) and self.line_owed:
                self.line_owed = self.line_owed[:-1]
            else:
                await asyncio.sleep(AGAIN_S)
            return False
        for stanza_id, sender, number in self.line_page:
            self.note("gc", self.room, sender, number, stanza_id, self.site())
        if self.line_page:
            last = answer.find(f".//{{{NS_RSM}}}last")
            self.line_owed = [last.text if last is not None else self.line_page[-1][0]]
        return not self.line_page or answer.find(f"{{{NS_MAM}}}fin").get("complete") == "true"

    async def stay(self):
        await super().stay()
        if self.entering:
            self.entering.cancel()
            await asyncio.wait([self.entering])
            self.entering = None
