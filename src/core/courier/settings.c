/* settings.c: courier's settings.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "courier/settings.h"

const struct setting courier_settings[] = {
    { "courier.database", SETTING_PATH, "courier.db", 0, 0, false,
      "What waits to leave the house, below data_dir unless it is an absolute path." },
    { "federation.on", SETTING_BOOL, "yes", 0, 0, false,
      "Whether people here and on other servers can write to each other (docs/federation.md)." },
    { "federation.listen", SETTING_ADDRESSES, "0.0.0.0:5269", 0, 0, false,
      "Where other servers connect and start TLS in the stream. Empty: none can." },
    { "federation.listen_tls", SETTING_ADDRESSES, "0.0.0.0:5270", 0, 0, false,
      "Where other servers connect with TLS from the first byte (XEP-0368)." },
    { "federation.allowed", SETTING_TEXT, "", 0, 0, true,
      "The only domains we speak with, \"a.example, *.b.example\". Empty: all but the blocked ones." },
    { "federation.blocked", SETTING_TEXT, "", 0, 0, true, "Domains we do not speak with." },
    { "federation.tls_required", SETTING_BOOL, "yes", 0, 0, true, "No stanza to or from a server without TLS." },
    { "federation.certificates_required", SETTING_BOOL, "no", 0, 0, true,
      "Whether the other server's certificate must prove its name. With no, a server whose certificate does "
      "not is asked back by its"
      " name in DNS (dialback)." },
    { "federation.ca", SETTING_PATH, "", 0, 0, true, "Whose word counts for other servers' certificates (PEM). Empty: the system's." },
    { "federation.routes", SETTING_TEXT, "", 0, 0, true,
      "Where servers are that DNS does not know, or not rightly: \"a.example=10.1.2.3:5269, "
      "b.example=tls:10.1.2.4:5270\"." },
    { "federation.resolver", SETTING_TEXT, "", 0, 0, false, "DNS servers to ask instead of those in /etc/resolv.conf: \"127.0.0.1:53\"." },
    { "federation.queue_time_max", SETTING_DURATION_MS, "2d", 1000, 30 * 86400000LL, true,
      "How long a message waits for a server that is away before its sender is told that it did not arrive." },
    { "federation.queue_stanzas_max", SETTING_INT, "20000", 10, 10000000, true, "Messages that may wait for one domain." },
    { "federation.live_time_max", SETTING_DURATION_MS, "30s", 100, 600000, true,
      "How long a question or a presence waits for a connection." },
    { "federation.retry_time_max", SETTING_DURATION_MS, "5m", 100, 86400000, true,
      "The longest pause between two attempts to reach a server; the first ones follow quickly." },
    { "federation.idle_time_max", SETTING_DURATION_MS, "10m", 1000, 86400000, true,
      "A connection that has carried nothing for so long is ended." },
    { "federation.login_time_max", SETTING_DURATION_MS, "30s", 1000, 600000, true,
      "A connection that has not proven a name by then is ended." },
    { "federation.connections_max", SETTING_INT, "4000", 1, 1000000, true, "Connections from other servers." },
    { "federation.connections_per_address_max", SETTING_INT, "20", 1, 1000000, true, "The same from one address (IPv6: one /64)." },
    { "federation.stanza_bytes_max", SETTING_BYTES, "256k", 10000, 800 * 1024, true, "The largest stanza another server may send." },
    { "federation.stanzas_per_second_max", SETTING_INT, "500", 1, 1000000, true,
      "What one connection may bring; beyond it we read more slowly." },
    { "federation.bytes_per_second_max", SETTING_BYTES, "1M", 10000, 1024 * 1024 * 1024, true, "The same in bytes." },
    { "courier.push_contact", SETTING_TEXT, "", 0, 0, true,
      "Whom a push service may ask when something is wrong with what we send: mailto: or https:. Empty: the domain's postmaster." },
    { "courier.push_retry_time", SETTING_DURATION_MS, "10s", 100, 3600000, true,
      "How long a notification waits that a push service could not take; twice as long each time, and at least as long as it says." },
    { "courier.push_queue_max", SETTING_INT, "100000", 1, 100000000, true,
      "Notifications that may wait; beyond it messengers keep theirs and ask again later." },
    { "courier.push_ca", SETTING_PATH, "", 0, 0, false,
      "Whose certificates push services may show (PEM). Empty: those that the system trusts." },
    { "courier.push_private", SETTING_BOOL, "no", 0, 0, false,
      "Pushes to private addresses and by plain HTTP too. A stranger could then make us speak to what only we can reach: for tests." },
    { 0 },
};

struct db_settings courier_database(const struct settings *s, struct arena *a)
{
    const char *path = settings_text(s, "courier.database");

    return (struct db_settings){
        .server = settings_text(s, "db.server"),
        .schema = "courier",
        .read_workers = 1,
        .path = path[0] == '/' ? arena_printf(a, "%s", path).p : arena_printf(a, "%s/%s", settings_text(s, "data_dir"), path).p,
    };
}
