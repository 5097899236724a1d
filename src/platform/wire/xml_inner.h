/* xml_inner.h: what the files of xml.h share.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "wire/xml.h"

#define XML_NS_XML   "http://www.w3.org/XML/1998/namespace"
#define XML_NS_XMLNS "http://www.w3.org/2000/xmlns/"

/* One look per byte. A byte that is not "plain" ends the tight loops. */
enum {
    XML_IS_START = 1,   /* may begin a name; ASCII, without ':' */
    XML_IS_NAME = 2,    /* may continue a name */
    XML_IS_TEXT = 4,    /* character data as it stands */
    XML_IS_VALUE = 8,   /* attribute value as it stands */
    XML_IS_SPACE = 16,
    XML_IS_TAG = 32,    /* nothing that ends or nests a tag */
};
extern const uint8_t xml_class[256];

/* Beyond ASCII; `c` is a code point. */
bool xml_name_start(uint32_t c);
bool xml_name_char(uint32_t c);
