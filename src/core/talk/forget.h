/* forget.h: the deletion of accounts; person_delete (person.h) is what begins it.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/talk.h"

extern const struct db_migration forget_migrations[];

void forget_done(struct talk *t);
