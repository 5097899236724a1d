/* XEP-0431 Full Text Search in MAM 0.2.0: words as one more condition of an archive query (xep0313_mam.c). What is found, and how,
 * is talk/search.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0431_fulltext.h"
#include "talk/feature.h"
#include "talk/owned.h"
#include "talk/search.h"

bool fulltext_is_field(struct str var)
{
    return str_is(var, "{" NS_FULLTEXT "}fulltext") || str_is(var, "withtext");
}

static const char *const fulltext_disco[] = { NS_FULLTEXT, NULL };

static const struct owned xep0431_fulltext_owned[] = { { "search_segment" }, { "search_chunk" }, { 0 } };

const struct feature xep0431_fulltext = {
    .spec = "XEP-0431 0.2.0",
    .title = "Full Text Search in MAM",
    .note = "every word of the question must be in the text, anywhere, of one syllable or more; folded by NFKC and case",
    .disco_server = fulltext_disco,
    .disco_account = fulltext_disco,
    .migrations = search_migrations,
    .init = search_init,
    .tick = search_tick,
    .owned = xep0431_fulltext_owned,
};
