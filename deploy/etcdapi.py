# SPDX-License-Identifier: AGPL-3.0-or-later
"""etcdapi.py: the few calls to etcd that a site needs, over its JSON gateway, by the site's certificate.

Every call asks one server (an address) and ends within SECONDS; failures are OSError. Ids are decimal strings, as etcd's JSON has them.
"""
import base64
import concurrent.futures
import json
import ssl
import urllib.request

from siteconf import ETCD, ETCD_PEER

SECONDS = 2
_contexts = {}


def _context(s):
    if s.ca not in _contexts:
        context = ssl.create_default_context(cafile=s.ca)
        context.load_cert_chain(s.certificate, s.key)
        _contexts[s.ca] = context
    return _contexts[s.ca]


def call(s, address, path, body=None, seconds=SECONDS):
    request = urllib.request.Request(f"https://{address}:{ETCD}/v3/{path}", json.dumps(body or {}).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=seconds, context=_context(s)) as answer:
        return json.load(answer)


def status(s, address):
    """{"id", "leader"} of that server; leader is "0" when it knows none."""
    answer = call(s, address, "maintenance/status")
    return {"id": answer["header"]["member_id"], "leader": answer.get("leader", "0")}


def statuses(s):
    """{site: status} of those that answer."""
    def ask(item):
        try:
            return item[0], status(s, item[1])
        except (OSError, ValueError, KeyError):
            return item[0], None
    with concurrent.futures.ThreadPoolExecutor(len(s.sites)) as pool:
        return {name: found for name, found in pool.map(ask, s.sites.items()) if found}


def members_alive(s):
    """The sites whose etcd answers and knows a leader."""
    return [name for name, found in statuses(s).items() if found["leader"] != "0"]


def member_list(s, address):
    return call(s, address, "cluster/member/list")["members"]


def member_remove(s, address, member_id):
    call(s, address, "cluster/member/remove", {"ID": member_id}, 5)


def member_add(s, address, name):
    call(s, address, "cluster/member/add", {"peerURLs": [f"https://{s.sites[name]}:{ETCD_PEER}"]}, 5)


def leader_move(s, address, member_id):
    """`address` must be the leader's."""
    call(s, address, "maintenance/transfer-leadership", {"targetID": member_id}, 3)


def get(s, address, key):
    """The value as text, or None."""
    found = call(s, address, "kv/range", {"key": base64.b64encode(key.encode()).decode()}).get("kvs")
    return base64.b64decode(found[0]["value"]).decode() if found else None


def get_all(s, address, prefix):
    """{key behind the prefix: value} of all keys that begin so."""
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    body = {"key": base64.b64encode(prefix.encode()).decode(), "range_end": base64.b64encode(end.encode()).decode()}
    rows = call(s, address, "kv/range", body).get("kvs", [])
    return {base64.b64decode(r["key"]).decode()[len(prefix):]: base64.b64decode(r.get("value", "")).decode() for r in rows}


def lease_grant(s, address, seconds):
    return call(s, address, "lease/grant", {"TTL": seconds})["ID"]


def lease_keep(s, address, lease):
    """False when it has run out."""
    return "TTL" in call(s, address, "lease/keepalive", {"ID": lease}).get("result", {})


def put(s, address, key, value, lease="0"):
    call(s, address, "kv/put", {"key": base64.b64encode(key.encode()).decode(), "value": base64.b64encode(value.encode()).decode(), "lease": lease})


def delete_if(s, address, key, value):
    """Deletes the key if it has that value; says whether."""
    name = base64.b64encode(key.encode()).decode()
    compare = {"key": name, "target": "VALUE", "result": "EQUAL", "value": base64.b64encode(value.encode()).decode()}
    return call(s, address, "kv/txn", {"compare": [compare], "success": [{"requestDeleteRange": {"key": name}}]}).get("succeeded", False)


def delete(s, address, key):
    call(s, address, "kv/deleterange", {"key": base64.b64encode(key.encode()).decode()})
