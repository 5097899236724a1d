/* xep0313_mam.h: queries of an archive that is not one's own: a room's.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/session.h"
#include "talk/stanza.h"

struct mam_archive {
    int64_t owner;
    struct str bare; /* whose it is: the results' `from` */
    bool room;       /* messages without `to`; `with` may be an occupant */
    bool sees;       /* the asker may know who is behind a nickname */
};

/* Who asks has been judged. */
enum err mam_form(struct session *s, const struct stanza *iq);
enum err mam_query(struct session *s, const struct stanza *iq, const struct mam_archive *of);
enum err mam_metadata(struct session *s, const struct stanza *iq, const struct mam_archive *of);
