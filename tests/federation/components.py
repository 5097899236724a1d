# SPDX-License-Identifier: AGPL-3.0-or-later
"""components.py: a component of ours (XEP-0114) and the people of another server. Their server knows it by DNS, as it knows ours."""
from people import IRC, hear, presence, say
import xmpp
from component import NS, Component
from trials import check

PING = "<ping xmlns='urn:xmpp:ping'/>"


async def components(town):
    """A component of ours: they write to it, ask it, see it, and it them; while it is away they hear so"""
    bob, node = await town.bob(), getattr(town.here, "nodes", [town.here])[0]
    answer = await bob.ask("get", PING, IRC, 30)
    check("remote-server-timeout" in xmpp.show(answer), f"while it is away: {xmpp.show(answer)}")
    irc = Component(IRC)
    check(await irc.log_in(node), "it could not log in")
    await town_hears(bob, irc)

    say(bob, f"#harbour@{IRC}", "안녕 there")
    got = await irc.message("안녕 there")
    check(got is not None and got.get("from").startswith(town.bob_jid), "a message did not arrive")
    for i in range(50):
        irc.send(f"<message from='#harbour@{IRC}/x' to='{town.bob_jid}' type='chat' id='h{i}'><body>h{i}</body></message>")
    for i in range(50):
        await hear(bob, f"h{i}", 30, f"#harbour@{IRC}/x")
    irc.send(f"<iq type='get' from='{IRC}' to='{town.bob_jid}/home' id='q2'><query xmlns='jabber:iq:version'/></iq>")
    q = await bob.take_where(lambda i: i is not xmpp.GONE and xmpp.local(i) == "iq" and i.get("from") == IRC and i.get("type") == "get", 30)
    check(q is not None, "its question did not arrive")
    bob.send(f"<iq type='result' id='{q.get('id')}' to='{IRC}'><query xmlns='jabber:iq:version'><name>mine</name></query></iq>")
    answer = await irc.stanza("iq", id="q2")
    check(answer is not None and answer.findtext(".//{jabber:iq:version}name") == "mine", "and was not answered")

    irc.send(f"<presence type='subscribe' from='{IRC}' to='{town.bob_jid}'/>")
    await presence(bob, IRC, "subscribe", 30)
    bob.send(f"<presence type='subscribed' to='{IRC}'/><presence type='subscribe' to='{IRC}'/>")
    check(await irc.stanza("presence", kind="subscribed") is not None and await irc.stanza("presence", kind="subscribe") is not None, "no contact")
    check(await irc.take(lambda i: i.tag == f"{{{NS}}}presence" and i.get("from") == town.bob_jid + "/home" and not i.get("type")) is not None,
          "he was not seen")
    irc.send(f"<presence type='subscribed' from='{IRC}' to='{town.bob_jid}'/><presence from='{IRC}' to='{town.bob_jid}'/>")
    await presence(bob, IRC, None, 30)
    irc.close()
    bob.link.abort()


async def town_hears(bob, irc):
    """A question comes through: all our messengers know where it is."""
    for n in range(30):
        bob.send(f"<iq type='get' id='there{n}' to='{IRC}'>{PING}</iq>")
        mine = await bob.take_where(lambda i: i is not xmpp.GONE and xmpp.local(i) == "iq" and i.get("id") == f"there{n}", 0.01)
        got = None if mine is not None else await irc.stanza("iq", id=f"there{n}", seconds=1)
        if got is not None:
            irc.send(f"<iq type='result' id='there{n}' from='{IRC}' to='{got.get('from')}'/>")
            answer = await bob.take_where(lambda i: i is not xmpp.GONE and xmpp.local(i) == "iq" and i.get("id") == f"there{n}", 30)
            check(answer is not None and answer.get("type") == "result", f"the answer did not come back: {answer is not None and xmpp.show(answer)}")
            return
    check(False, "it is in, and cannot be asked")
