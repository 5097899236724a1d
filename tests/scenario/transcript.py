# SPDX-License-Identifier: AGPL-3.0-or-later
"""transcript.py: reads *.xmpp files and compares what came with what is written.

The language is described in README.md. A Transcript is a list of steps; a
Pattern is an expected element, matched partially; Names are the {variables}.
"""
import base64
import datetime
import hashlib
import hmac
import os
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

import xmpp
from xmpp import CLOSE, GONE, NS_CLIENT, NS_STREAMS, escape, local, namespace, show

TEST = "urn:bongsu:test"
LINE = re.compile(r"^([a-z][\w-]*(?:/[\w.-]+)?)(>|<~|<=|<\?|<)(?:\s+(.*))?$")
ACTOR = re.compile(r"^([a-z][\w-]*(?:/[\w.-]+)?) (.*)$")
DIFFERS = re.compile(r"^# ([\w-]+) differs: (.*)$")
HOLE = re.compile(r"\{([^{}]*)\}")
PATTERNS = {
    "*": r".*",
    "number": r"[0-9]+",
    "datetime": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:[0-9]{2})",
    "utc": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?Z",
}


class Mistake(Exception):
    """The transcript itself is wrong."""


@dataclass
class Step:
    line: int
    kind: str                       # send, expect, do
    actor: str
    text: str
    unordered: bool = False
    strict: bool = False
    optional: bool = False


@dataclass
class Transcript:
    name: str
    path: str
    title: str = ""
    differs: dict = field(default_factory=dict)
    steps: list = field(default_factory=list)

    def actors(self):
        """In order of appearance, `server`, `web` and raw streams left out."""
        found = {}
        for s in self.steps:
            for who in [s.actor] + (re.findall(r"and ([\w/-]+) are", s.text) if s.kind == "do" else []):
                if who.split("/")[0] not in ("server", "web", "check") and not who.startswith("raw"):
                    found.setdefault(who, s)
        return found

    def accounts(self):
        return list(dict.fromkeys(a.split("/")[0] for a in self.actors()))

    def alone(self):
        """It needs a server of its own."""
        return any(s.actor == "server" for s in self.steps)


def read(path):
    t = Transcript(os.path.basename(path).removesuffix(".xmpp"), path)
    for number, line in enumerate(open(path, encoding="utf-8").read().split("\n"), 1):
        if not line.strip():
            continue
        if line[0] == "#":
            differs = DIFFERS.match(line)
            if differs:
                t.differs[differs[1]] = differs[2]
            elif not t.title and "SPDX" not in line:
                t.title = line[1:].strip()
            continue
        if line[0] in " \t":
            if not t.steps:
                raise Mistake(f"{path}:{number}: a continuation of nothing")
            t.steps[-1].text += "\n" + line.strip()
            continue
        m = LINE.match(line)
        if m:
            kind = "send" if m[2] == ">" else "expect"
            t.steps.append(Step(number, kind, m[1], m[3] or "", m[2] == "<~", m[2] == "<=", m[2] == "<?"))
            continue
        m = ACTOR.match(line)
        if not m:
            raise Mistake(f"{path}:{number}: not understood: {line}")
        t.steps.append(Step(number, "do", m[1], m[2]))
    return t


class Names:
    """Variables of one run, and the accounts' real names."""

    def __init__(self, accounts, tag, domain, password):
        self.values, self.password = {"domain": domain}, password
        self.real = {a: f"{a}-{tag}" for a in accounts}
        for a, r in self.real.items():
            self.values[a] = r
            self.values[a + ".password"] = password
        self.forth = re.compile(r"(?<![\w.-])(" + "|".join(map(re.escape, accounts)) + r")(?=@)") if accounts else None
        back = {r: a for a, r in self.real.items()}
        self.back_to = back
        self.back = re.compile("|".join(map(re.escape, back))) if back else None

    def map(self, text):
        return self.forth.sub(lambda m: self.real[m[1]], text) if self.forth else text

    def unmap(self, text):
        return self.back.sub(lambda m: self.back_to[m[0]], text) if self.back else text

    def call(self, inner):
        """A function of the language, or None."""
        name, space, rest = inner.partition(" ")
        rest = rest.replace("\\0", "\0")
        if not space:
            if name == "now":
                return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            if name == "uuid":
                return os.urandom(16).hex()
            return None
        if name == "base64":
            return base64.b64encode(rest.encode()).decode()
        if name == "sha1":
            return base64.b64encode(hashlib.sha1(rest.encode()).digest()).decode()
        if name == "sha1hex":
            return hashlib.sha1(rest.encode()).hexdigest()
        if name == "repeat":
            count, _, what = rest.partition(" ")
            return what * int(count)
        if name == "ht":                # {ht USER TOKEN}: XEP-0484 with HT-SHA-256-NONE
            user, _, token = rest.partition(" ")
            mac = hmac.digest(token.encode(), b"Initiator", "sha256")
            return base64.b64encode(user.encode() + b"\0" + mac).decode()
        if name == "upper":
            return rest.upper()
        if name in ("scram-guess", "scram-wrong-binding"):
            return scram_guess(rest, self.password, name == "scram-wrong-binding")
        if name == "caps":              # {caps FEATURE…}: XEP-0115 §5.1 of a client with these features
            return caps_hash([("client", "pc", "", "")], rest.split(), [])
        return None

    def expand(self, text, sending):
        """Variables and functions. What is not known stays, for the pattern."""
        text = self.map(text)
        for _ in range(5):
            before = text

            def one(m):
                inner = m[1]
                if inner in self.values:
                    return escape(self.values[inner])
                if inner.startswith("copies "):     # {copies COUNT ELEMENT}
                    _, count, what = inner.split(" ", 2)
                    return what * int(count)
                made = self.call(inner)
                return escape(made) if made is not None else m[0]
            text = HOLE.sub(one, text)
            if text == before:
                break
        if sending:
            left = HOLE.search(text)
            if left and not left[1].startswith("hex "):
                raise Mistake(f"{{{left[1]}}} is not known here")
        return text

    def expand_bytes(self, text):
        """For raw streams: \\n and {hex …} as bytes too."""
        out, last = b"", 0
        text = self.expand(text, True)
        for m in re.finditer(r"\{hex ([0-9a-f ]+)\}", text):
            out += text[last:m.start()].encode() + bytes.fromhex(m[1])
            last = m.end()
        return out + text[last:].encode()


def scram_guess(challenge, password, wrong_binding):
    """The last SCRAM-SHA-256 message of one who sits in the middle, or who guesses."""
    scram = xmpp.Scram("SCRAM-SHA-256", "", password, ("tls-server-end-point", b"not this") if wrong_binding else None)
    scram.nonce = ""
    return base64.b64encode(scram.final(base64.b64decode(challenge))).decode()


def caps_hash(identities, features, forms):
    """XEP-0115 §5.1. Forms are (FORM_TYPE, {var: values})."""
    s = "".join("/".join(i) + "<" for i in sorted(identities))
    s += "".join(f + "<" for f in sorted(features))
    for kind, fields in sorted(forms):
        s += kind + "<"
        for var in sorted(fields):
            s += var + "<" + "".join(v + "<" for v in sorted(fields[var]))
    return base64.b64encode(hashlib.sha1(s.encode()).digest()).decode()


def caps_of(answer):
    """The hash of a disco#info answer."""
    ns = "{http://jabber.org/protocol/disco#info}"
    query = answer.find(ns + "query")
    identities = [(i.get("category", ""), i.get("type", ""),
                   i.get("{http://www.w3.org/XML/1998/namespace}lang", ""), i.get("name", ""))
                  for i in query.findall(ns + "identity")]
    forms = []
    for x in query.findall("{jabber:x:data}x"):
        fields = {f.get("var"): [v.text or "" for v in f.findall("{jabber:x:data}value")]
                  for f in x.findall("{jabber:x:data}field")}
        kind = fields.pop("FORM_TYPE", [""])[0]
        forms.append((kind, fields))
    return caps_hash(identities, [f.get("var") for f in query.findall(ns + "feature")], forms)


# ---- patterns ----

def parse(text):
    """The expected element; a stream header may be written unclosed."""
    if text == "</stream:stream>":
        return CLOSE
    if text in ("closed", "end of connection"):
        return GONE
    if re.match(r"<(stream:)?stream(\s[^<]*[^/])?>$", text):
        text = text[:-1] + "/>"
    try:
        root = ET.fromstring(f"<w xmlns='{NS_CLIENT}' xmlns:stream='{NS_STREAMS}' xmlns:t='{TEST}'>{text}</w>")
    except ET.ParseError as e:
        raise Mistake(f"the expected XML is not well-formed: {e}: {text}")
    if len(root) != 1:
        raise Mistake("one element a line, please")
    return root[0]


def text_pattern(text, names):
    """A regular expression for an attribute or text, and the names it captures."""
    out, captures, last = "", [], 0
    for m in re.finditer(r"\{([^{}]*)\}|\*", text):
        out += re.escape(text[last:m.start()])
        last = m.end()
        inner = m[1]
        if m[0] == "*":
            out += ".*"
        elif inner in PATTERNS:
            out += PATTERNS[inner]
        elif inner in names:
            out += re.escape(names[inner])
        elif "|" in inner:
            out += "(?:" + "|".join(re.escape(p) for p in inner.split("|")) + ")"
        elif re.fullmatch(r"[a-z][\w.-]*", inner):
            captures.append(inner)
            out += "(.+)"
        else:
            raise Mistake(f"{{{inner}}} is not understood")
    return re.compile(out + re.escape(text[last:]), re.S), captures


def match_text(expected, got, names):
    """The captures as a dict, or None."""
    pattern, captures = text_pattern(expected, names)
    m = pattern.fullmatch(got)
    return dict(zip(captures, m.groups())) if m else None


def match(expected, got, names, strict=False, where=""):
    """None and the new names, or the reason why it does not fit."""
    if expected is CLOSE or expected is GONE or got is CLOSE or got is GONE:
        return (None, {}) if expected is got else (f"that is {show(got)}", {})
    if expected.tag == f"{{{TEST}}}either":
        reasons = []
        for option in expected:
            why, found = match(option, got, names, strict, where)
            if not why:
                return None, found
            reasons.append(why)
        return "none of these: " + "; ".join(reasons), {}
    name = f"{where}<{local(expected)}>"
    if expected.tag != got.tag:
        if local(expected) == local(got):
            return f"{name} is in the namespace {namespace(got)!r}, not {namespace(expected)!r}", {}
        return f"{name} was expected, not <{local(got)}>", {}
    found = {}
    for key, value in expected.attrib.items():
        real = got.get(key)
        if value == "{none}":
            if real is not None:
                return f"{name} should have no {local_key(key)}, it is {real!r}", {}
            continue
        if real is None:
            return f"{name} has no {local_key(key)}, {value!r} was expected", {}
        more = match_text(value, real, {**names, **found})
        if more is None:
            return f"{name} has {local_key(key)} {real!r}, {value!r} was expected", {}
        found.update(more)
    text = (expected.text or "") + "".join(c.tail or "" for c in expected)
    for banned in re.findall(r"\{no ([^{}]+)\}", text):
        text = text.replace(f"{{no {banned}}}", "")
        if any(local(c) == banned for c in got):
            return f"{name} should hold no <{banned}>", {}
    got_text = (got.text or "") + "".join(c.tail or "" for c in got)
    if text.strip():
        more = match_text(text.strip(), got_text.strip(), {**names, **found})
        if more is None:
            return f"{name} says {got_text.strip()!r}, {text.strip()!r} was expected", {}
        found.update(more)
    elif strict and got_text.strip():
        return f"{name} says {got_text.strip()!r}, no text was expected", {}
    why, more = match_children(list(expected), list(got), {**names, **found}, strict, name)
    if why:
        return why, {}
    if strict and len(got) > len(expected):
        wanted = [c.tag for c in expected]
        extra = [local(c) for c in got if c.tag not in wanted] or [local(c) for c in got]
        return f"{name} holds more than was expected: " + ", ".join(f"<{e}>" for e in extra), {}
    return None, {**found, **more}


def local_key(key):
    return key.rpartition("}")[2]


def match_children(expected, got, names, strict, where):
    """Each expected child has its own among those that came, in any order."""
    if not expected:
        return None, {}
    first, rest, nearest = expected[0], expected[1:], None
    for n, candidate in enumerate(got):
        why, found = match(first, candidate, names, strict, where)
        if why:
            if candidate.tag == first.tag or first.tag == f"{{{TEST}}}either":
                nearest = deeper(nearest, why)
            continue
        why, more = match_children(rest, got[:n] + got[n + 1:], {**names, **found}, strict, where)
        if not why:
            return None, {**found, **more}
        nearest = deeper(nearest, why)
    if nearest:
        return nearest, {}
    there = ", ".join(f"<{local(c)}>" for c in got) or "nothing"
    return f"{where} holds no <{local(first)} xmlns='{namespace(first)}'>, it holds {there}", {}


def deeper(one, other):
    """Of two reasons the one that got further into the element."""
    return other if one is None or other.split(" ")[0].count("<") >= one.split(" ")[0].count("<") else one


def match_group(patterns, items, names, stricts):
    """Several items against as many patterns, in any order."""
    if not patterns:
        return None, {}
    reasons = []
    for n, item in enumerate(items):
        why, found = match(patterns[0], item, names, stricts[0])
        if why:
            reasons.append(why)
            continue
        why, more = match_group(patterns[1:], items[:n] + items[n + 1:], {**names, **found}, stricts[1:])
        if not why:
            return None, {**found, **more}
        reasons.append(why)
    return "; ".join(reasons) or "nothing came", {}
