/* xml_file.h: an XML file of any size, element by element. Those that the reader wants to enter are told by their start and
 * their end; all others come whole, as a tree. Comments, processing instructions and text between elements are passed over;
 * a DTD is refused. An element that is too large or not well-formed inside is told and passed over; where that is impossible
 * (a tag without end) the file ends with ERR_INVALID.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "wire/xml.h"

enum { XML_FILE_DEPTH_MAX = 16 };       /* entered ones */

enum xml_file_kind {
    XML_FILE_ENTERED,      /* `node`: the start tag, without children */
    XML_FILE_ELEMENT,      /* `node`: whole */
    XML_FILE_LEFT,         /* the end of an entered one */
    XML_FILE_SPOILT,       /* an element that could not be taken; `node`: its start tag; `why` says */
    XML_FILE_END,
};

struct xml_file_event {
    enum xml_file_kind     kind;
    int                    depth;      /* of the element, 0: the root */
    const struct xml_node *node;       /* in the arena given; p NULL for LEFT and END */
    const char            *why;
};

/* Up to `bytes` more into `to`; 0: the end; below 0: it failed. */
typedef long xml_file_read_fn(void *arg, char *to, size_t bytes);
/* Shall the element with this start tag be entered? */
typedef bool xml_file_enter_fn(void *arg, const struct xml_node *start, int depth);

struct xml_file;
struct xml_file *xml_file_new(xml_file_read_fn *read, xml_file_enter_fn *enter, void *arg, size_t element_bytes_max);
void     xml_file_free(struct xml_file **f);
/*   ERR_INVALID  no XML from here on; ERR_UNSUPPORTED a DTD; ERR_LIMIT entered too deep, or a tag beyond the bound; ERR_IO */
enum err xml_file_next(struct xml_file *f, struct arena *a, struct xml_file_event *out);
int64_t  xml_file_offset(const struct xml_file *f);     /* bytes behind us, for whoever looks for the place */
