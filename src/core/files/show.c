/* show.c: see show.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "files/show.h"

static const struct {
    const char *type;
    size_t      at;
    const char *bytes;      /* NULL: anything */
} shown[] = {
    { "image/png", 0, "\x89PNG" },       { "image/jpeg", 0, "\xff\xd8\xff" }, { "image/gif", 0, "GIF8" },
    { "image/webp", 8, "WEBP" },         { "image/avif", 4, "ftypavi" },      { "image/jxl", 4, "JXL " },
    { "video/mp4", 4, "ftyp" },          { "video/quicktime", 4, "ftyp" },    { "video/webm", 0, "\x1a\x45\xdf\xa3" },
    { "video/ogg", 0, "OggS" },          { "audio/mpeg", 0, "ID3" },          { "audio/mpeg", 0, "\xff\xfb" },
    { "audio/mpeg", 0, "\xff\xf3" },     { "audio/mpeg", 0, "\xff\xf2" },     { "audio/mp4", 4, "ftyp" },
    { "audio/x-m4a", 4, "ftyp" },        { "audio/aac", 0, "\xff\xf1" },      { "audio/aac", 0, "\xff\xf9" },
    { "audio/ogg", 0, "OggS" },          { "audio/opus", 0, "OggS" },         { "audio/webm", 0, "\x1a\x45\xdf\xa3" },
    { "audio/wav", 8, "WAVE" },          { "audio/x-wav", 8, "WAVE" },        { "audio/flac", 0, "fLaC" },
    { "text/plain", 0, NULL },
};

/* Kept as they are named; none of them is anything to a page. */
static const char *const harmless[] = {
    "image/", "video/", "audio/", "application/pdf", "application/zip", "application/gzip", "application/x-7z-compressed",
    "application/epub+zip", "application/msword", "application/vnd.openxmlformats-officedocument.",
    "application/vnd.oasis.opendocument.", "application/vnd.hancom.", "application/x-hwp", "application/pgp-encrypted", "text/csv",
    "text/calendar", "text/vcard",
};

bool show_inline(struct str type, struct str first)
{
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        struct str bytes = str_of(shown[i].bytes);

        if (str_is(type, shown[i].type) && (!bytes.len || (first.len >= shown[i].at + bytes.len
                                                           && memcmp(first.p + shown[i].at, bytes.p, bytes.len) == 0)))
            return true;
    }
    return false;
}

static bool is_shown_type(struct str type)
{
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        if (str_is(type, shown[i].type))
            return true;
    return false;
}

struct str show_type(struct str type, bool is_shown)
{
    if (is_shown)
        return str_is(type, "text/plain") ? STR("text/plain; charset=utf-8") : type;
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        if (str_starts(type, str_of(harmless[i])) && !str_ends(type, STR("+xml")) && !is_shown_type(type))
            return type;
    return STR("application/octet-stream");
}
