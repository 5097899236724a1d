# SPDX-License-Identifier: AGPL-3.0-or-later
"""peers.py: the servers of tests/lib/server.py, made to speak with each other: a domain for each, certificates of one authority (or
not), and the DNS of names.py."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import server as servers        # noqa: E402
from names import SRV           # noqa: E402

EJABBERD_S2S = """\
s2s_use_starttls: required
s2s_cafile: "{ca}"
s2s_dns_timeout: 2
s2s_dns_retries: 1
s2s_timeout: 30
s2s_max_retry_delay: 2
"""
PROSODY_S2S = """
-- s2s is on
s2s_ports = {{ {s2s} }}
s2s_direct_tls_ports = {{ {s2s_tls} }}
s2s_require_encryption = true
s2s_secure_auth = false
smacks_s2s_resend = true
unbound = {{ resolvconf = false, hoststxt = false, forward = {{ "127.0.0.1@{dns}" }}, options = {{ ["do-not-query-localhost:"] = "no" }} }}
"""
PROSODY_FILES = """
Component "upload.{domain}" "http_file_share"
    http_host = "localhost"
    http_external_url = "https://localhost:{port}/"
"""


BONGSU_S2S = """\
federation.listen = 127.0.0.1:{s2s}
federation.listen_tls =
federation.resolver = 127.0.0.1:{dns}
federation.ca = {ca}
federation.retry_time_max = 1s
"""


def prosody_speaks(server):
    """Its configuration, for one who speaks with others. No option may stand there twice."""
    text = open(server.config).read().replace('"websocket" }', '"websocket", "dialback", "s2s_bidi" }', 1)
    text = text.replace(f'\nssl = {{ key = "{server.key}",', f'\nssl = {{ cafile = "{server.ca}", key = "{server.key}",', 1)
    open(server.config, "w").write(text + PROSODY_FILES.format(domain=server.domain, port=server.web_port))


def three(names, domain, extra):
    """Three sites of one Bongsu; other servers find all of them."""
    ports = []
    own = domain

    class Sites(servers.BongsuThree):
        domain = own

        class Node(servers.BongsuThree.Node):
            domain = own

            def prepare(self):
                self.s2s, = servers.free_ports(1)
                ports.append(self.s2s)
                self.extra += BONGSU_S2S.format(s2s=self.s2s, dns=names.port, ca=self.ca)
                super().prepare()

    sites = Sites(extra)
    for node in sites.nodes:
        ca = open(sites.ca).read()
        open(node.ca, "w").write(ca)        # the authority of the one certificate that they share
    names.domain(domain, ports[0])
    names.records[f"_xmpp-server._tcp.{domain}", SRV] = [(10, 1, port, "localhost") for port in ports]
    return sites


def serves(kind, names, domain, authority=None, extra=""):
    """A server of that kind for that domain, not started; `names` knows it."""
    base = {"bongsu": servers.Bongsu, "prosody": servers.Prosody, "ejabberd": servers.Ejabberd,
            "bongsu-postgresql": servers.BongsuPostgreSQL, "bongsu-three": servers.BongsuThree}[kind]
    why = base.missing()
    if why:
        raise servers.ServerError(why)
    if kind == "bongsu-three":
        return three(names, domain, extra)
    s2s, s2s_tls, files = servers.free_ports(3)

    class Peer(base):
        def __init__(self, text):
            self.domain, self.authority = domain, authority
            self.s2s, self.s2s_tls = s2s, s2s_tls
            super().__init__(text)

        def prepare(self):
            if kind.startswith("bongsu"):
                self.extra += (f"federation.listen = 127.0.0.1:{s2s}\nfederation.listen_tls = 127.0.0.1:{s2s_tls}\n"
                               f"federation.resolver = 127.0.0.1:{names.port}\nfederation.ca = {self.ca}\n"
                               f"federation.retry_time_max = 1s\n")
            elif kind == "prosody":
                self.extra += PROSODY_S2S.format(s2s=s2s, s2s_tls=s2s_tls, dns=names.port)
            super().prepare()
            if kind == "prosody":
                prosody_speaks(self)

        def ejabberd_extra(self):
            return EJABBERD_S2S.format(ca=self.ca)

        def ejabberd_listen(self):
            return (f'  - {{ port: {s2s}, ip: "127.0.0.1", module: ejabberd_s2s_in, max_stanza_size: 262144 }}\n'
                    f'  - {{ port: {files}, ip: "127.0.0.1", module: ejabberd_http, tls: true, request_handlers: {{ /upload: mod_http_upload }} }}\n')

        def ejabberd_modules(self):
            return ("  mod_s2s_dialback: {}\n"
                    f'  mod_http_upload: {{ docroot: "{self.dir}/files", put_url: "https://localhost:{files}/upload", access: all }}\n')

        def environment(self):
            env = dict(super().environment())
            if kind == "ejabberd":
                env["ERL_INETRC"] = self.write("inetrc", '{resolv_conf, ""}.\n{hosts_file, ""}.\n{lookup, [dns]}.\n'
                                               '{nameserver, {127,0,0,1}, %d}.\n' % names.port)
            return env

    server = Peer(extra)
    names.domain(domain, s2s, s2s_tls if kind.startswith("bongsu") or kind == "prosody" else None)
    return server
