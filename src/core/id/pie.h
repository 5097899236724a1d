/* pie.h: reading XEP-0227 1.1 files, as other servers write them: one file, or several that include each other (XInclude), or one
 * for each user. Walks hosts and users and tells what stands in each <user/>; large parts (roster, private XML, offline messages,
 * archive, PEP items) are told element by element, so memory is that of one element.
 *
 * Namespaces of 1.0 ("http://www.xmpp.org/extensions/xep-0227.html#ns") and 1.1 ("urn:xmpp:pie:0") alike.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "wire/xml.h"

#define NS_PIE_SCRAM "urn:xmpp:pie:0#scram"
#define NS_PIE_MAM   "urn:xmpp:pie:0#mam"

enum { PIE_ELEMENT_BYTES_MAX = 8 * 1024 * 1024, PIE_INCLUDES_MAX = 8 /* in each other */ };

enum pie_kind {
    PIE_USER,           /* `node`: <user/>, with its attributes */
    PIE_USER_END,
    PIE_ELEMENT,        /* `node`: in the user, or in `inside` */
    PIE_SPOILT,         /* one that could not be read; `why` */
};
struct pie_event {
    enum pie_kind          kind;
    struct str             host, user;      /* as written */
    const struct xml_node *node;
    const struct xml_node *inside;          /* start tag of what it stands in, below <user/>: query, archive, items …; NULL: nothing */
    const char            *why;
};
/* Anything but OK ends the reading and is returned. Texts live until it returns. */
typedef enum err pie_fn(void *arg, const struct pie_event *e);

/* `why` (in `a`) names the file and the place. */
enum err pie_read(const char *path, pie_fn *fn, void *arg, struct arena *a, struct str *why);
/* The same for a file or for every *.xml of a folder, in order of their names. */
enum err pie_read_all(const char *path, pie_fn *fn, void *arg, struct arena *a, struct str *why);
