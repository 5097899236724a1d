/* XEP-0398 User Avatar to vCard-Based Avatars Conversion 1.0.0, and with it XEP-0084. The avatar nodes hold the picture;
 * cards show it, and presence shows its hash (xep0153_photo.h).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0398_avatars.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "talk/profile.h"
#include "talk/pubsub/inner.h"
#include "wire/base64.h"

#define NS_VCARD "vcard-temp"

/* ---- the avatar ---- */

/* The info of the picture that is in the data node (§3.1: the one without a URL). */
const struct xml_node *avatar_info(const struct xml_node *metadata)
{
    for (const struct xml_node *x = xml_first(metadata); x; x = xml_next(x))
        if (xml_is(x, "info", NODE_AVATAR_METADATA) && !xml_attr(x, "url").p && xml_attr(x, "id").len)
            return x;
    return NULL;
}

struct str picture_id(struct arena *a, struct str bytes)
{
    uint8_t hash[PHOTO_ID_BYTES / 2];
    char *id = arena_alloc(a, PHOTO_ID_BYTES);

    digest(DIGEST_SHA1, bytes, hash);
    hex_write(id, hash, sizeof hash);
    return str_make(id, PHOTO_ID_BYTES);
}

static bool hash_fits(struct arena *a, struct str data, struct str id)
{
    struct str bytes;

    return base64_decode(a, data, &bytes) == OK && str_eq_nocase(picture_id(a, bytes), id);
}

struct str picture_text(struct arena *a, struct str base64)
{
    char *out = arena_alloc(a, base64.len + 1);
    size_t n = 0;

    for (size_t i = 0; i < base64.len; i++)
        if (!strchr(" \t\r\n", base64.p[i]))
            out[n++] = base64.p[i];
    return str_make(out, n);
}

static enum err read_data(struct job *j, struct db_conn *c, struct avatar *out)
{
    struct xml_node *x;
    struct node n;
    struct item i;
    enum err e = node_read(j, c, STR(NODE_AVATAR_DATA), false, &n);

    if (!e)
        e = item_get(j, c, &n, out->id, &i);
    if (e)
        return e == ERR_NOT_FOUND ? OK : e;
    if (xml_parse(&j->work, i.xml, NULL, &x) != XML_FINE || !xml_is(x, "data", NODE_AVATAR_DATA))
        return OK;
    out->data = picture_text(&j->work, xml_text(&j->work, x));
    if (!hash_fits(&j->work, out->data, out->id))
        out->data = STR_NULL;
    return OK;
}

enum err avatar_read(struct job *j, struct db_conn *c, struct avatar *out, bool *there)
{
    const struct xml_node *info;
    struct xml_node *x;
    struct node n;
    struct item i;
    enum err e = item_last_seen(j, c, STR(NODE_AVATAR_METADATA), &n, &i);

    *out = (struct avatar){0};
    *there = n.id != 0;
    if (e)
        return e == ERR_NOT_FOUND ? OK : e;
    info = xml_parse(&j->work, i.xml, NULL, &x) == XML_FINE ? avatar_info(x) : NULL;
    if (!info)
        return OK;
    out->id = xml_attr(info, "id");
    out->type = xml_attr(info, "type").len ? xml_attr(info, "type") : STR("image/png");
    return read_data(j, c, out);
}

void avatar_put_photo(struct buf *b, const struct avatar *av)
{
    BUF_LIT(b, "<PHOTO><TYPE>");
    xml_put_escaped(b, av->type);
    BUF_LIT(b, "</TYPE><BINVAL>");
    buf_put_str(b, av->data);
    BUF_LIT(b, "</BINVAL></PHOTO>");
}

/* ---- from the card ---- */

static enum err publish_picture(struct job *j, struct db_conn *c, struct str type, struct str data,
                                struct str bytes)
{
    struct str name = picture_id(&j->work, bytes);
    struct buf xml;
    enum err e;

    buf_init(&xml, 0);
    BUF_LIT(&xml, "<data xmlns='" NODE_AVATAR_DATA "'>");
    buf_put_str(&xml, data);
    BUF_LIT(&xml, "</data>");
    e = publish_own(j, c, STR(NODE_AVATAR_DATA), name, arena_str(&j->work, buf_str(&xml)), ACCESS_OPEN);
    if (!e && !j->fault) {
        buf_clear(&xml);
        BUF_LIT(&xml, "<metadata xmlns='" NODE_AVATAR_METADATA "'><info");
        xml_put_attr(&xml, "id", name);
        xml_put_attr(&xml, "type", type);
        buf_printf(&xml, " bytes='%zu'/></metadata>", bytes.len);
        e = publish_own(j, c, STR(NODE_AVATAR_METADATA), name, arena_str(&j->work, buf_str(&xml)),
                        ACCESS_OPEN);
    }
    buf_done(&xml);
    return e;
}

/* A card without a picture says that there is none. */
static enum err publish_none(struct job *j, struct db_conn *c)
{
    struct avatar av;
    bool there;
    enum err e = avatar_read(j, c, &av, &there);

    if (e || !av.id.len)
        return e;
    return publish_own(j, c, STR(NODE_AVATAR_METADATA), STR("none"),
                       STR("<metadata xmlns='" NODE_AVATAR_METADATA "'/>"), ACCESS_OPEN);
}

enum err avatar_from_card(struct job *j, struct db_conn *c, const struct xml_node *photo)
{
    struct avatar now;
    struct str data, type, bytes;
    bool there;
    enum err e;

    data = photo ? xml_child_text(&j->work, photo, "BINVAL", NS_VCARD) : STR_NULL;
    type = photo ? xml_child_text(&j->work, photo, "TYPE", NS_VCARD) : STR_NULL;
    data = picture_text(&j->work, data);
    if (!data.len)
        return publish_none(j, c);
    if (base64_decode(&j->work, data, &bytes) != OK)
        return job_fail(j, &fault_bad_request);
    e = avatar_read(j, c, &now, &there);
    if (e || str_eq(now.data, data))
        return e; /* the same as before is no news */
    return publish_picture(j, c, type.len ? type : STR("image/png"), data, bytes);
}

/* ---- the rows ---- */

void avatar_changed(struct job *j, enum err e)
{
    if (!e && !j->fault && j->service.person)
        profile_changed(j->service.person);
}

static const char *const avatars_disco[] = {"urn:xmpp:pep-vcard-conversion:0", NULL};

const struct feature xep0398_avatars = {
    .spec = "XEP-0398 1.0.0",
    .title = "User Avatar to vCard-Based Avatars Conversion",
    .disco_account = avatars_disco,
};
const struct feature xep0084_avatar = {.spec = "XEP-0084 1.1.4", .title = "User Avatar"};
