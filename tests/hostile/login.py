# SPDX-License-Identifier: AGPL-3.0-or-later
"""login.py: floods of log-ins, and what a log-in lets strangers learn."""
import base64
import re

import xmpp
from enemy import PASSWORD, auth_plain, check, plain

SASL2 = "urn:xmpp:sasl:2"


async def tries_are_bounded(t):
    """a stream that guesses too often is ended with policy-violation"""
    r = await t.raw_stream()
    for _ in range(20):
        r.send(auth_plain("nobody", "guess"))
    check(await r.end(), "it may go on")
    check(b"policy-violation" in r.heard, f"said: {r.heard[-300:]}")
    check(r.heard.count(b"<failure") <= 5, "more than five tries")


async def guesser(t, address, tries):
    """The failures that so many guesses of the victim's password get."""
    found = []
    while len(found) < tries:
        r = await t.raw_stream(address)
        for _ in range(4):
            r.heard = b""
            r.send(auth_plain("victim", f"guess {len(found)}"))
            await r.until(b"</failure>")
            found += re.findall(rb"<failure[^>]*><([a-z-]+)", r.heard)
        r.close()
    return found


async def guesser_is_slowed_owner_gets_in(t):
    """who guesses a password is told to wait, even with the right one; the owner gets in from elsewhere"""
    address = t.address()
    found = await guesser(t, address, 16)
    check(found[0] == b"not-authorized", f"first: {found[0]}")
    check(found[-1] == b"temporary-auth-failure", f"last: {found[-1]}")
    r = await t.raw_stream(address)
    r.send(auth_plain("victim"))
    await r.until(b">")
    check(b"temporary-auth-failure" in await r.until(b"</failure>"), f"the right password: {r.heard}")
    r.close()
    owner = await t.log_in("victim")
    await owner.ask("get", "<ping xmlns='urn:xmpp:ping'/>", t.server.domain)
    owner.link.abort()
    other = await t.log_in("carol", None, address)
    other.link.abort()


def shape(data):
    """With what is random by design replaced by its length."""
    def challenge(m):
        text = base64.b64decode(m[2]).decode()
        text = re.sub(r"(r|s)=([^,]*)", lambda v: f"{v[1]}={len(v[2])}", text)
        return m[1] + text.encode() + m[3]
    return re.sub(rb"(<challenge[^>]*>)([^<]*)(</challenge>)", challenge, data)


async def failed_login(t, user, mechanism, sasl2):
    """Every byte the server says to a wrong password, and the salt."""
    r = await t.raw_stream()
    said, scram = b"", None
    if mechanism == "PLAIN":
        first = plain(user, "wrong")
    else:
        scram = xmpp.Scram(mechanism, user, "wrong")
        scram.nonce = "n" * 24
        scram.bare = f"n={user},r={scram.nonce}"
        first = xmpp.b64(scram.first())
    r.send(f"<authenticate xmlns='{SASL2}' mechanism='{mechanism}'><initial-response>{first}</initial-response></authenticate>"
           if sasl2 else f"<auth xmlns='{xmpp.NS_SASL}' mechanism='{mechanism}'>{first}</auth>")
    salt = None
    if scram:
        await r.until(b"</challenge>")
        found = re.search(rb"<challenge[^>]*>([^<]*)", r.heard)
        check(found, f"no challenge to {user}: {r.heard}")
        challenge = base64.b64decode(found[1])
        salt = re.search(rb"s=([^,]*)", challenge)[1]
        said, r.heard = r.heard, b""
        r.send(f"<response xmlns='{SASL2 if sasl2 else xmpp.NS_SASL}'>{xmpp.b64(scram.final(challenge))}</response>")
    await r.until(b"</failure>")
    said += r.heard
    r.heard = b""
    r.send("</stream:stream>")
    await r.end()
    r.close()
    return shape(said + r.heard), salt


async def names_are_not_told(t):
    """a wrong password and an unknown name get the same bytes, and the same salt each time"""
    for mechanism in ("PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"):
        for sasl2 in (False, True):
            known, salt = await failed_login(t, "victim", mechanism, sasl2)
            check(b"not-authorized" in known, f"{mechanism}: {known}")
            for name in ("nobody", "x", "a-name-much-longer-than-the-others"):
                unknown, false_salt = await failed_login(t, name, mechanism, sasl2)
                again, same_salt = await failed_login(t, name, mechanism, sasl2)
                check(unknown == known == again, f"{mechanism}: {known} and {unknown}")
                check(false_salt == same_salt, f"{mechanism}: the salt of an unknown name changes")
            check((await failed_login(t, "victim", mechanism, sasl2))[1] == salt, f"{mechanism}: the salt of a name changes")


async def presence_is_not_told(t):
    """a stranger's question to somebody online gets the same bytes as one to somebody offline"""
    s = await t.log_in("mallory")
    for payload in ("<query xmlns='http://jabber.org/protocol/disco#info'/>", "<query xmlns='http://jabber.org/protocol/disco#items'/>",
                    "<query xmlns='jabber:iq:last'/>",
                    "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:avatar:metadata'/></pubsub>"):
        for resource in ("", "/elsewhere"):
            told = []
            for name in ("alice", "victim", "never-here"):
                answer = await s.ask("get", payload, f"{name}@{t.server.domain}{resource}")
                answer.attrib.pop("id")
                told.append(xmpp.show(answer).replace(name, "NAME"))
            check(told[0] == told[1] == told[2], f"{payload[:50]}{resource}: {told}")
    said = []
    for address in (f"alice@{t.server.domain}/phone", f"alice@{t.server.domain}/other", f"never-here@{t.server.domain}/phone"):
        answer = await s.ask("get", "<query xmlns='jabber:iq:last'/>", address)
        said.append(answer.get("type") + " ".join(xmpp.local(e) for e in answer.iter()))
    check(len(set(said)) == 1, f"last activity of a resource: {said}")
    s.link.abort()


async def tokens_and_wrong_fields(t):
    """log-ins with tokens, passwords as names and broken base64 work as they should (and are for the log to keep quiet of)"""
    r = await t.raw_stream()
    r.send(f"<authenticate xmlns='{SASL2}' mechanism='PLAIN'><initial-response>{plain('carol')}</initial-response>"
           "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87778'/>"
           "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/></authenticate>")
    await r.until(b"</success>")
    token = re.search(rb"<token [^>]*token='([^']+)'", r.heard) or re.search(rb'<token [^>]*token="([^"]+)"', r.heard)
    check(token, f"no token: {r.heard[-300:]}")
    t.secrets.append(token[1].decode())
    r.close()
    r = await t.raw_stream()
    r.send(auth_plain(PASSWORD, PASSWORD))
    await r.until(b"</failure>")
    check(b"not-authorized" in r.heard, f"a password as a name: {r.heard}")
    r.send(f"<auth xmlns='{xmpp.NS_SASL}' mechanism='{PASSWORD}'>{PASSWORD}</auth>")
    r.send(f"<auth xmlns='{xmpp.NS_SASL}' mechanism='PLAIN'>{PASSWORD}</auth>")
    r.send(f"<response xmlns='{xmpp.NS_SASL}'>{PASSWORD}</response><{PASSWORD}/>")
    check(await r.end(), "it may go on")


async def stanzas_before_login(t):
    """nothing but log-in is heard before log-in"""
    for said in (f"<message to='alice@{t.server.domain}'><body>1</body></message>", "<presence/>",
                 f"<iq type='get' id='1' to='{t.server.domain}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
                 f"<iq type='set' id='1'><bind xmlns='{xmpp.NS_BIND}'/></iq>",
                 f"<enable xmlns='{xmpp.NS_SM}' resume='true'/>", f"<resume xmlns='{xmpp.NS_SM}' previd='x' h='0'/>"):
        r = await t.raw_stream()
        r.send(said)
        r.send("</stream:stream>")
        await r.end()
        check(b"not-authorized" in r.heard or b"<failed " in r.heard, f"{said}: {r.heard}")


async def password_in_clear_is_refused(t):
    """no log-in without TLS"""
    r = await t.raw_stream(secure=False)
    r.send(auth_plain("mallory"))
    check(await r.end(), "it may go on")
    check(b"encryption-required" in r.heard and b"<success" not in r.heard, f"said: {r.heard}")


TESTS = (tries_are_bounded, guesser_is_slowed_owner_gets_in, names_are_not_told, presence_is_not_told, tokens_and_wrong_fields,
         stanzas_before_login, password_in_clear_is_refused)
