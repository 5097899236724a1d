/* settings.c: ident's settings.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "id/settings.h"
#include "id/accounts.h"
#include "net/pool.h"
#include "wire/jid.h"

const struct setting id_settings[] = {
    { "ident.database", SETTING_PATH, "ident.db", 0, 0, false,
      "The identity database: accounts, credentials and tokens. A relative path is below data_dir." },
    { "ident.scram_iterations", SETTING_INT, "10000", SCRAM_ITERATIONS_MIN, SCRAM_ITERATIONS_MAX, false,
      "PBKDF2 rounds of new passwords. More makes guessing from a stolen database slower, and every log-in slower on the "
      "person's phone, which does the rounds. 10,000 is what NIST SP 800-63B and XEP-0438 ask for at least. A password keeps "
      "its rounds until it is changed, and until then its name can be told from one that does not exist." },
    { "ident.hash_threads", SETTING_INT, "2", 1, POOL_THREADS_MAX, false,
      "Threads that hash passwords, for PLAIN log-ins, registrations and changed passwords." },
    { "ident.failures_per_address", SETTING_INT, "60", 0, 1000000, true,
      "Failed log-ins one address may make in five minutes before it must wait. 0 sets no limit." },
    { "ident.failures_per_user", SETTING_INT, "10", 0, 1000000, true,
      "Failed log-ins one address may make for one name in five minutes. Others who know the password are not held up. "
      "0 sets no limit." },
    { "ident.registration", SETTING_BOOL, "no", 0, 0, true,
      "Whether strangers may make themselves an account. talk.registration must allow it too." },
    { "ident.registrations_per_hour", SETTING_INT, "5", 0, 1000000, true,
      "Accounts one address may make in an hour, when registration is on. 0 sets no limit." },
    { "ident.fast_token_days", SETTING_INT, "21", 1, 365, true,
      "How long a token for quick log-in (FAST) is good. It is renewed when it is used in the second half of that time." },
    { "ident.passkey_rp", SETTING_TEXT, "", 0, 0, false,
      "The name that passkeys are bound to (WebAuthn's RP ID): the host of the pages where people log in, or a domain above it. Empty is "
      "the domain. Passkeys made under another name are of no use any more when it is changed." },
    { "ident.passkey_origins", SETTING_TEXT, "", 0, 0, false,
      "The pages where passkeys may be used, with commas: https://chat.town.example, https://town.example:5280. Empty is that name at any "
      "port, over https; and over http when it is localhost." },
    { 0 },
};

struct str ident_database_path(const struct settings *s, struct arena *a)
{
    const char *path = settings_text(s, "ident.database");

    if (path[0] == '/')
        return arena_printf(a, "%s", path);
    return arena_printf(a, "%s/%s", settings_text(s, "data_dir"), path);
}

struct db_settings ident_database(const struct settings *s, struct arena *a)
{
    return (struct db_settings){ .server = settings_text(s, "db.server"), .schema = "ident",
                                 .path = ident_database_path(s, a).p, .read_workers = 1 };
}

struct str ident_passkey_rp(const struct settings *s, struct arena *a)
{
    const char *given = settings_text(s, "ident.passkey_rp");
    struct str  name = str_of(*given ? given : settings_text(s, "domain")), ascii;

    return jid_domain_ascii(a, name, &ascii) ? name : ascii;
}

void ident_options_read(const struct settings *s, struct arena *a, struct ident_options *out)
{
    *out = (struct ident_options){
        .server = settings_text(s, "db.server"),
        .schema = "ident",
        .database = ident_database_path(s, a).p,
        .domain = settings_text(s, "domain"),
        .scram_iterations = (int)settings_int(s, "ident.scram_iterations"),
        .hash_threads = (int)settings_int(s, "ident.hash_threads"),
        .failures_per_address = (int)settings_int(s, "ident.failures_per_address"),
        .failures_per_user = (int)settings_int(s, "ident.failures_per_user"),
        .registration = settings_bool(s, "ident.registration"),
        .registrations_per_hour = (int)settings_int(s, "ident.registrations_per_hour"),
        .fast_token_days = (int)settings_int(s, "ident.fast_token_days"),
        .passkey_rp = ident_passkey_rp(s, a).p,
        .passkey_origins = settings_text(s, "ident.passkey_origins"),
    };
}
