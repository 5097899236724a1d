/* migrations.c: the identity database.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "id/accounts.h"

const struct db_migration id_migrations[] = {
    { 1, "id",
      "CREATE TABLE account ("
      "  name       TEXT   NOT NULL PRIMARY KEY,"
      "  created_us BIGINT NOT NULL,"
      "  disabled   BIGINT NOT NULL DEFAULT 0"
      ");"
      /* kind: 1 SCRAM-SHA-1, 2 SCRAM-SHA-256 */
      "CREATE TABLE credential ("
      "  name       TEXT   NOT NULL,"
      "  kind       BIGINT NOT NULL,"
      "  salt       BLOB   NOT NULL,"
      "  iterations BIGINT NOT NULL,"
      "  stored_key BLOB   NOT NULL,"
      "  server_key BLOB   NOT NULL,"
      "  PRIMARY KEY (name, kind)"
      ");"
      /* slot: 0 current, 1 new (XEP-0484 §6.1). The secret itself is the HMAC key
       * both sides need, so no hash of it could stand here. */
      "CREATE TABLE fast_token ("
      "  name       TEXT   NOT NULL,"
      "  agent      TEXT   NOT NULL,"
      "  slot       BIGINT NOT NULL,"
      "  mechanism  TEXT   NOT NULL,"
      "  secret     TEXT   NOT NULL,"
      "  created_us BIGINT NOT NULL,"
      "  expires_us BIGINT NOT NULL,"
      "  last_count BIGINT NOT NULL DEFAULT 0,"
      "  PRIMARY KEY (name, agent, slot)"
      ");"
      "CREATE TABLE secret ("
      "  name  TEXT NOT NULL PRIMARY KEY,"
      "  value BLOB NOT NULL"
      ");" },
    /* Accounts that are gone here while others may still have something of theirs: told until they say that nothing is left. */
    { 2, "id", "CREATE TABLE deletion (name TEXT NOT NULL PRIMARY KEY, at_us BIGINT NOT NULL);" },
    /* What a person recognises a device by (XEP-0388 §2.3.2), and when its token was last used. */
    { 3, "id",
      "ALTER TABLE fast_token ADD COLUMN software TEXT NOT NULL DEFAULT '';"
      "ALTER TABLE fast_token ADD COLUMN device TEXT NOT NULL DEFAULT '';"
      "ALTER TABLE fast_token ADD COLUMN seen_us BIGINT NOT NULL DEFAULT 0;" },
    /* passkey: id is the credential's, key as webauthn.h says. passkey_challenge: those that were used and have not expired, so
     * that none is used twice at any site. */
    { 4, "id",
      "CREATE TABLE passkey ("
      "  id         BLOB   NOT NULL PRIMARY KEY,"
      "  name       TEXT   NOT NULL,"
      "  label      TEXT   NOT NULL,"
      "  algorithm  BIGINT NOT NULL,"
      "  key        BLOB   NOT NULL,"
      "  counter    BIGINT NOT NULL,"
      "  created_us BIGINT NOT NULL,"
      "  used_us    BIGINT NOT NULL DEFAULT 0"
      ");"
      "CREATE INDEX passkey_name ON passkey(name);"
      "CREATE TABLE passkey_challenge (nonce BLOB NOT NULL PRIMARY KEY, expires_us BIGINT NOT NULL);"
      "CREATE INDEX passkey_challenge_expires ON passkey_challenge(expires_us);" },
    { 0 },
};
