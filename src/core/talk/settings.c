/* settings.c: the messenger's settings, and their way into struct talk_limits.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/settings.h"

const struct setting talk_settings[] = {
    { "talk.database", SETTING_PATH, "talk.db", 0, 0, false,
      "The message database, below data_dir unless it is an absolute path." },
    { "talk.read_workers", SETTING_INT, "2", 1, 64, false, "Threads that read history." },
    { "talk.stanza_bytes_max", SETTING_BYTES, "256k", 10000, 16 * 1024 * 1024, true,
      "The largest stanza a logged-in client may send. RFC 6120 asks for at least 10000." },
    { "talk.stanza_bytes_max_early", SETTING_BYTES, "16k", 10000, 1024 * 1024, true,
      "The same before log-in." },
    { "talk.login_time_max", SETTING_DURATION_MS, "30s", 1000, 600000, true,
      "A connection that has not logged in by then is ended." },
    { "talk.login_tries_max", SETTING_INT, "5", 1, 100, true, "Log-in attempts on one connection." },
    { "talk.idle_time_max", SETTING_DURATION_MS, "5m", 10000, 86400000, true,
      "A client that has been silent for so long is asked whether it is still there." },
    { "talk.dead_time_max", SETTING_DURATION_MS, "1m", 1000, 3600000, true,
      "A client that has not answered that question by then is disconnected." },
    { "talk.resume_time_max", SETTING_DURATION_MS, "10m", 0, 86400000, true,
      "How long a client that lost its connection may resume its stream (XEP-0198)." },
    { "talk.sessions_max", SETTING_INT, "19500", 10, 1000000, true, "Connections of this process." },
    { "talk.sessions_per_account_max", SETTING_INT, "20", 1, 1000, true,
      "Devices of one account; beyond it the oldest is ended." },
    { "talk.connections_per_address_max", SETTING_INT, "200", 1, 1000000, true,
      "Connections from one address (IPv6: one /64)." },
    { "talk.accepts_per_second_max", SETTING_INT, "1000", 0, 1000000, true,
      "New connections taken in a second at the most; fewer while the machine falls behind. The others wait in the kernel's"
      " queue, so that a crowd that comes back at once does not slow those who are in. 0: no bound." },
    { "talk.stanzas_per_second_max", SETTING_INT, "200", 1, 1000000, true,
      "What one client may send; beyond it we read more slowly." },
    { "talk.bytes_per_second_max", SETTING_BYTES, "512k", 10000, 1024 * 1024 * 1024, true, "The same in bytes." },
    { "talk.rate_classes", SETTING_TEXT, "", 0, 0, true,
      "Other bounds for some accounts: \"slow 5 16k, bot 1000 4M\" is a name, stanzas and bytes a second. Administrators put accounts"
      " into a class from their client." },
    { "talk.out_bytes_max", SETTING_BYTES, "2M", 65536, 64 * 1024 * 1024, false,
      "Output that may wait for a slow client before it is disconnected." },
    { "talk.roster_items_max", SETTING_INT, "2000", 1, 100000, true, "Contacts of one account." },
    { "talk.offline_max", SETTING_INT, "10000", 0, 1000000, true, "Messages that may wait for one account." },
    { "talk.archive_time_max", SETTING_DURATION_MS, "0s", 0, INT64_MAX, true,
      "How long the archive keeps messages; 0s keeps them for ever." },
    { "talk.plain_without_tls", SETTING_BOOL, "no", 0, 0, false,
      "Lets clients log in without TLS. For measurements on one machine only." },
    { "talk.registration", SETTING_BOOL, "no", 0, 0, true,
      "Lets clients make accounts (XEP-0077). ident.registration must allow it too." },
    { "talk.exports_url", SETTING_TEXT, "", 0, 0, true,
      "What the links to people's own exports begin with, when a proxy stands before web: \"https://town.example/exports/\". Empty:"
      " https://domain:port of web.listen." },
    { "talk.sasl_sha_256", SETTING_BOOL, "yes", 0, 0, true,
      "Offers SCRAM-SHA-256. \"no\" for a time after `bongsu import` has brought accounts that have only SCRAM-SHA-1 credentials: clients"
      " take the strongest that is offered, and could not log in. Those come back when people change their passwords." },
    { "talk.invitations", SETTING_BOOL, "no", 0, 0, true,
      "Lets everyone invite others to make an account here (XEP-0401); else their invitations only make contacts. The"
      " operator (`bongsu user invite`) and administrators always may." },
    { "talk.invite_page", SETTING_TEXT, "", 0, 0, true,
      "The page that links of invitations lead to, such as https://town.example/invite.html, which the app brings along; empty:"
      " invitations are xmpp: links only." },
    { "talk.admins", SETTING_TEXT, "", 0, 0, true,
      "Accounts that may administer the service from their client (XEP-0133), separated by commas; `bongsu user admin` names"
      " others. What they do is written down: `bongsu audit`." },
    { "talk.log_messages", SETTING_BOOL, "no", 0, 0, true,
      "Writes one log line for each message: its ids, both sides and what became of it, never its text. Failed"
      " and repeated ones are logged in any case." },
    { "turn.host", SETTING_TEXT, "", 0, 0, true,
      "The relay for calls (TURN, STUN): the name or address that clients reach it by. Empty: none is offered." },
    { "turn.port", SETTING_INT, "3478", 0, 65535, true, "Its port for UDP and TCP; 0: not offered." },
    { "turn.tls_port", SETTING_INT, "0", 0, 65535, true, "Its port for TLS; 0: not offered." },
    { "turn.secret", SETTING_TEXT, "", 0, 0, true,
      "What it shares with us (coturn: static-auth-secret). Each account gets credentials made of it, which expire. Empty: STUN only." },
    { "turn.lifetime", SETTING_DURATION_MS, "12h", 60000, 604800000, true, "How long such credentials are good." },
    { 0 },
};

void talk_limits_read(const struct settings *s, struct talk_limits *l)
{
    *l = (struct talk_limits){
        .stanza_bytes_max = (uint32_t)settings_int(s, "talk.stanza_bytes_max"),
        .stanza_bytes_max_early = (uint32_t)settings_int(s, "talk.stanza_bytes_max_early"),
        .login_ms_max = (int)settings_int(s, "talk.login_time_max"),
        .login_tries_max = (int)settings_int(s, "talk.login_tries_max"),
        .idle_ms_max = (int)settings_int(s, "talk.idle_time_max"),
        .dead_ms_max = (int)settings_int(s, "talk.dead_time_max"),
        .resume_ms_max = (int)settings_int(s, "talk.resume_time_max"),
        .sessions_max = (int)settings_int(s, "talk.sessions_max"),
        .sessions_per_person_max = (int)settings_int(s, "talk.sessions_per_account_max"),
        .connections_per_address_max = (int)settings_int(s, "talk.connections_per_address_max"),
        .accepts_per_second_max = (int)settings_int(s, "talk.accepts_per_second_max"),
        .stanzas_per_second_max = (int)settings_int(s, "talk.stanzas_per_second_max"),
        .bytes_per_second_max = (int)settings_int(s, "talk.bytes_per_second_max"),
        .roster_items_max = (int)settings_int(s, "talk.roster_items_max"),
        .offline_max = (int)settings_int(s, "talk.offline_max"),
        .archive_us_max = settings_int(s, "talk.archive_time_max") * 1000,
        .plain_without_tls = settings_bool(s, "talk.plain_without_tls"),
        .registration = settings_bool(s, "talk.registration"),
        .no_sha_256 = !settings_bool(s, "talk.sasl_sha_256"),
        .invitations = settings_bool(s, "talk.invitations"),
        .log_messages = settings_bool(s, "talk.log_messages"),
    };
}
