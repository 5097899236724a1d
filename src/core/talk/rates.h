/* rates.h: what a client may send in a second: talk.stanzas_per_second_max and talk.bytes_per_second_max, or, for accounts that
 * an administrator has put into one, a class of talk.rate_classes ("slow 5 16k, bot 1000 4M").
 *
 *   rate_class(name, class)       name: the local part
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/person.h"
#include "talk/session.h"

enum { RATE_CLASSES_MAX = 16 };

struct rate_class {
    char    name[RATE_CLASS_BYTES];
    int     stanzas, bytes;         /* a second */
};
/* The setting's classes; what cannot be read is left out. How many there are. */
int  rates_read(const char *text, struct rate_class out[RATE_CLASSES_MAX]);
void rates_of(const struct session *s, int *stanzas, int *bytes);
/* `class` empty: none. */
typedef void rates_set_fn(struct talk *t, enum err e, void *arg);
void rates_set(struct talk *t, struct str user, struct str class, rates_set_fn *fn, void *arg);
