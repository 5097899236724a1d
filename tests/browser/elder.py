# SPDX-License-Identifier: AGPL-3.0-or-later
"""elder.py: an account with a history of 100,000 messages of one chat, as another server would export it (XEP-0227), for `bongsu import`."""
import datetime

NAME, PASSWORD, MANY, NEEDLE = "elder", "pass-elder", 100000, 50000
FIRST = datetime.datetime(2026, 6, 1, tzinfo=datetime.timezone.utc)     # and then one a minute
PHOTO = ("<file-sharing xmlns='urn:xmpp:sfs:0' disposition='inline'><file xmlns='urn:xmpp:file:metadata:0'><name>p{0}.png</name><media-type>image/png</media-type>"
         "<size>1000</size><width>90</width><height>60</height></file><sources><url-data xmlns='http://jabber.org/protocol/url-data'"
         " target='https://elsewhere.example/p.png'/></sources></file-sharing>")


def message(n):
    """As the archive has it: every fortieth with a photo, one with a word of its own."""
    at = (FIRST + datetime.timedelta(minutes=n)).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = "the needle 바늘" if n == NEEDLE else f"line {n} {'word ' * (n % 17)}".strip()
    return (f"<result xmlns='urn:xmpp:mam:2' id='a{n}'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='{at}'/>"
            f"<message xmlns='jabber:client' type='chat' from='old@town.example/x' to='{NAME}@town.example' id='o{n}'><body>{body}</body>"
            f"{'' if n % 40 else PHOTO.format(n)}</message></forwarded></result>\n")


def write(path):
    with open(path, "w") as f:
        f.write(f"<server-data xmlns='urn:xmpp:pie:0'><host jid='town.example'><user name='{NAME}' password='{PASSWORD}'><archive xmlns='urn:xmpp:pie:0#mam'>\n")
        f.writelines(map(message, range(MANY)))
        f.write("</archive></user></host></server-data>\n")
