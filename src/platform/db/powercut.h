/* powercut.h: a disk that loses what was not synced, for tests of durability. A
 * SQLite VFS that keeps every write in memory until its file is synced; at
 * a chosen sync "the power goes": unsynced writes are dropped (or a part of them
 * survives, in pieces, as on a real disk).
 *
 * In a server BONGSU_POWERCUT=<n> or <n>:torn drops the unsynced data at the
 * n-th sync and ends the process with SIGKILL.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum powercut_mode {
    POWERCUT_DROP,      /* nothing unsynced survives */
    POWERCUT_TORN,      /* some of it does: every other 512-byte sector or so, drawn from the seed */
};

/* Makes the VFS the default for databases opened from now on. Safe to repeat. */
void db_powercut_vfs_register(void);
/* The n-th sync from now does not happen; from then on every file operation fails with an
 * I/O error, until powercut_reset. n == 0: never. */
void db_powercut_arm(int n, enum powercut_mode mode, uint64_t seed);
void db_powercut_now(void);
bool db_powercut_happened(void);
int  db_powercut_syncs(void);        /* syncs since the last arming */
/* "The power is back": forgets everything in memory. All databases must be closed. */
void db_powercut_reset(void);
/* For BONGSU_POWERCUT. */
void db_powercut_from_env(const char *text);
