/* room_owner.c: how a room is set up, and its end (XEP-0045 §10; http://jabber.org/protocol/muc#owner).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/forms.h"
#include "talk/rooms/room_stanza.h"
#include <stdlib.h>

#define ROOMCONFIG "http://jabber.org/protocol/muc#roomconfig"
#define FIELD(name) "muc#roomconfig_" name

static const struct form_option allow_options[] = {
    { "anyone", "Anyone" }, { "participants", "Anyone with voice" }, { "moderators", "Moderators" }, { "none", "Nobody" }, { NULL, NULL }
};
static const struct form_option broadcast_options[] = {
    { "moderator", "Moderators" }, { "participant", "Participants" }, { "visitor", "Visitors" }, { NULL, NULL }
};
static const struct form_option whois_options[] = { { "moderators", "Moderators" }, { "anyone", "Anyone" }, { NULL, NULL } };

/* ---- the form ---- */

static void put_affiliated(struct buf *b, const struct room *r, const char *var, const char *label, enum affiliation a)
{
    struct str key;
    void      *value;

    form_field_open(b, FORM_JID_MULTI, var, label);
    for (size_t it = 0; strmap_next(&r->members, &it, &key, &value);)
        if (((struct member *)value)->affiliation == a)
            form_field_value(b, key);
    form_field_close(b);
}

static void put_list(struct buf *b, enum form_type type, const char *var, const char *label, const struct form_option *options,
                     unsigned chosen /* bits */)
{
    form_field_open(b, type, var, label);
    for (unsigned i = 0; options[i].value; i++)
        if (chosen >> i & 1)
            form_field_value(b, str_of(options[i].value));
    for (const struct form_option *o = options; o->value; o++)
        form_field_option(b, o->label, str_of(o->value));
    form_field_close(b);
}

static struct str text(const char *z)
{
    return z ? str_of(z) : STR("");
}

static void put_form(struct buf *b, const struct room *r)
{
    const struct room_config *c = &r->config;
    char                      max[16] = "";
    struct buf                number;

    buf_init(&number, 0);
    buf_put_i64(&number, c->occupants_max);
    str_copy(buf_str(&number), max, sizeof max);
    buf_done(&number);
    form_put_field(b, FORM_TEXT, FIELD("roomname"), "Name", text(c->name));
    form_put_field(b, FORM_TEXT, FIELD("roomdesc"), "Description", text(c->description));
    form_put_field(b, FORM_TEXT, FIELD("lang"), "Language", text(c->lang));
    form_put_bool(b, FIELD("publicroom"), "Shown in the list of rooms", c->public);
    form_put_bool(b, FIELD("persistentroom"), "Stays when everybody has left", c->persistent);
    form_put_bool(b, FIELD("membersonly"), "For members only", c->members_only);
    form_put_bool(b, FIELD("allowinvites"), "Members may invite", c->invites);
    form_put_bool(b, FIELD("moderatedroom"), "Only those with voice may speak", c->moderated);
    form_put_bool(b, FIELD("changesubject"), "Participants may change the subject", c->change_subject);
    put_list(b, FORM_LIST, FIELD("whois"), "Who sees addresses", whois_options, c->non_anonymous ? 2 : 1);
    put_list(b, FORM_LIST, FIELD("allowpm"), "Who may send private messages", allow_options, 1u << c->private_messages);
    put_list(b, FORM_LIST_MULTI, FIELD("presencebroadcast"), "Whose presence is shown", broadcast_options,
             (c->broadcast >> ROLE_MODERATOR & 1u) | (c->broadcast >> ROLE_PARTICIPANT & 1u) << 1 |
                 (c->broadcast >> ROLE_VISITOR & 1u) << 2);
    form_put_bool(b, FIELD("enablelogging"), "Keeps what is said for those who may enter", c->logging);
    form_put_field(b, FORM_TEXT, FIELD("maxusers"), "How many may be inside (0: as many as the server allows)", str_of(max));
    form_put_bool(b, FIELD("passwordprotectedroom"), "Has a password", c->password != NULL);
    form_put_field(b, FORM_PRIVATE, FIELD("roomsecret"), "Password", text(c->password));
    put_affiliated(b, r, FIELD("roomadmins"), "Admins", AFF_ADMIN);
    put_affiliated(b, r, FIELD("roomowners"), "Owners", AFF_OWNER);
}

enum err room_owner_get(struct session *s, const struct stanza *iq)
{
    struct room *r = room_of(s, iq);
    struct buf   b;

    if (room_affiliation(r, s->jid.bare) != AFF_OWNER)
        return room_refuse(s, iq, "auth", "forbidden", "only owners set a room up");
    buf_init(&b, 0);
    BUF_LIT(&b, "<query xmlns='" NS_MUC_OWNER "'><x xmlns='" NS_FORMS "' type='form'><title>Room</title>");
    form_put_field(&b, FORM_HIDDEN, "FORM_TYPE", NULL, STR(ROOMCONFIG));
    put_form(&b, r);
    BUF_LIT(&b, "</x></query>");
    iq_result_str(s, iq, buf_str(&b));
    buf_done(&b);
    return OK;
}

/* ---- what comes back ---- */

struct filling {
    const struct stanza   *iq;
    const struct xml_node *form;
    struct room_config    *c;
    const char            *condition, *why; /* NULL: fine */
};

static void wrong(struct filling *f, const char *why)
{
    f->condition = "not-acceptable";
    f->why = why;
}

static void take_bool(struct filling *f, const char *var, bool *out)
{
    struct str v = form_node_value(f->iq->arena, f->form, var);
    bool       yes;

    if (!v.p)
        return;
    if (form_read_bool(str_trim(v), &yes))
        *out = yes;
    else
        wrong(f, "a yes or no is expected");
}

static void take_text(struct filling *f, const char *var, char **out)
{
    struct str v = form_node_value(f->iq->arena, f->form, var);

    if (!v.p)
        return;
    if (v.len > ROOM_TEXT_BYTES_MAX) {
        wrong(f, "a text is too long");
        return;
    }
    free(*out);
    *out = v.len ? str_dup(v) : NULL;
}

static int choice(struct filling *f, const char *var, const struct form_option *options, int otherwise)
{
    struct str v = form_node_value(f->iq->arena, f->form, var);

    if (!v.p)
        return otherwise;
    for (int i = 0; options[i].value; i++)
        if (str_is(v, options[i].value))
            return i;
    wrong(f, "that is none of the choices");
    return otherwise;
}

static void take_broadcast(struct filling *f)
{
    static const enum role roles[] = { ROLE_MODERATOR, ROLE_PARTICIPANT, ROLE_VISITOR };
    const struct xml_node *field = form_node(f->form, FIELD("presencebroadcast"));
    unsigned               bits = 0;

    if (!field)
        return;
    for (const struct xml_node *v = xml_first(field); v; v = xml_next(v)) {
        struct str said = xml_text(f->iq->arena, v);
        bool       known = said.len == 0;

        for (int i = 0; xml_is(v, "value", NS_FORMS) && broadcast_options[i].value; i++)
            if (str_is(said, broadcast_options[i].value)) {
                bits |= 1u << roles[i];
                known = true;
            }
        if (!known && xml_is(v, "value", NS_FORMS))
            wrong(f, "that is no role");
    }
    f->c->broadcast = (uint8_t)bits;
}

static void take_max(struct filling *f, const struct talk *t)
{
    struct str v = form_node_value(f->iq->arena, f->form, FIELD("maxusers"));
    uint64_t   n;

    if (!v.p)
        return;
    if (v.len == 0 || str_is(v, "none"))
        f->c->occupants_max = 0;
    else if (str_to_u64(str_trim(v), &n) && n <= (uint64_t)t->limits.room_occupants_max)
        f->c->occupants_max = (int32_t)n;
    else
        wrong(f, "so many cannot be inside");
}

static void take_password(struct filling *f)
{
    bool protected = f->c->password != NULL;

    take_bool(f, FIELD("passwordprotectedroom"), &protected);
    take_text(f, FIELD("roomsecret"), &f->c->password);
    if (!protected) {
        free(f->c->password);
        f->c->password = NULL;
    } else if (!f->c->password) {
        wrong(f, "a password is missing"); /* §10.1.3 */
    }
}

static void take_all(struct filling *f, const struct talk *t)
{
    struct room_config *c = f->c;

    take_text(f, FIELD("roomname"), &c->name);
    take_text(f, FIELD("roomdesc"), &c->description);
    take_text(f, FIELD("lang"), &c->lang);
    take_bool(f, FIELD("publicroom"), &c->public);
    take_bool(f, FIELD("persistentroom"), &c->persistent);
    take_bool(f, FIELD("membersonly"), &c->members_only);
    take_bool(f, FIELD("allowinvites"), &c->invites);
    take_bool(f, FIELD("moderatedroom"), &c->moderated);
    take_bool(f, FIELD("changesubject"), &c->change_subject);
    take_bool(f, FIELD("enablelogging"), &c->logging);
    c->non_anonymous = choice(f, FIELD("whois"), whois_options, c->non_anonymous) == 1;
    c->private_messages = (uint8_t)choice(f, FIELD("allowpm"), allow_options, c->private_messages);
    take_broadcast(f);
    take_max(f, t);
    take_password(f);
}

/* ---- lists of people: what the form says is all there are (§10.5, footnote) ---- */

static bool names(struct filling *f, const struct xml_node *field, struct str jid)
{
    for (const struct xml_node *v = xml_first(field); v; v = xml_next(v)) {
        struct jid j;

        if (xml_is(v, "value", NS_FORMS) && jid_parse(f->iq->arena, str_trim(xml_text(f->iq->arena, v)), &j) == OK && str_eq(j.bare, jid))
            return true;
    }
    return false;
}

static void add_people(struct filling *f, struct room_change *c, const char *var, enum affiliation a, struct str actor)
{
    const struct xml_node *field = form_node(f->form, var);

    for (const struct xml_node *v = field ? xml_first(field) : NULL; v; v = xml_next(v)) {
        struct str said = xml_is(v, "value", NS_FORMS) ? str_trim(xml_text(f->iq->arena, v)) : STR_NULL;
        struct jid j;

        if (!said.len)
            continue;
        if (jid_parse(f->iq->arena, said, &j) != OK || !j.local.len)
            wrong(f, "that is no address of a person");
        else if (room_affiliation(c->room, j.bare) != a && !room_affiliate(c, j.bare, a, STR_NULL, actor, STR_NULL))
            wrong(f, "too many at once, or the lists of this room are full");
    }
}

/* Whoever is in the other list now is none of these already. */
static void drop_people(struct filling *f, struct room_change *c, const char *var, enum affiliation a, struct str actor)
{
    const struct xml_node *field = form_node(f->form, var);
    struct str             key;
    void                  *value;

    for (size_t it = 0; field && strmap_next(&c->room->members, &it, &key, &value);)
        if (((struct member *)value)->affiliation == a && !names(f, field, key) && room_affiliation_after(c, key) == a &&
            !room_affiliate(c, key, AFF_MEMBER, STR_NULL, actor, STR_NULL))
            wrong(f, "too many at once");
}

/* ---- a new configuration ---- */

unsigned room_config_changes(const struct room_config *old, const struct room_config *fresh)
{
    struct room_config a = *old, b = *fresh;
    struct buf         x, y;
    unsigned           bits =
        (old->logging != fresh->logging ? CHANGED_LOGGING : 0u) | (old->non_anonymous != fresh->non_anonymous ? CHANGED_WHOIS : 0u);

    a.logging = b.logging;
    a.non_anonymous = b.non_anonymous;
    buf_init(&x, 0);
    buf_init(&y, 0);
    room_config_write(&a, &x);
    room_config_write(&b, &y);
    if (!str_eq(buf_str(&x), buf_str(&y)))
        bits |= CHANGED_OTHER;
    buf_done(&x);
    buf_done(&y);
    return bits;
}

/* §10.2: who may no longer be inside goes; where voice is no longer given, all have it. */
static void fit_occupants(struct room_change *c, const struct room_config *fresh)
{
    struct room *r = c->room;

    LIST_EACH(it, &r->in_order) {
        struct occupant  *o = LIST_ITEM(it, struct occupant, in_room);
        struct room_delta d = { .kind = DELTA_ROLE, .nick = o->nick, .jid = o->bare };

        if (fresh->members_only && !r->config.members_only && room_affiliation_after(c, o->bare) == AFF_NONE) {
            d.code = 322;
            room_delta(c, &d);
        } else if (!fresh->moderated && r->config.moderated && o->role == ROLE_VISITOR) {
            d.role = ROLE_PARTICIPANT;
            room_delta(c, &d);
        }
    }
}

static struct str actor_of(const struct room *r, const struct session *s)
{
    const struct seat *seat = room_seat(r, s->jid.full);

    return seat ? seat->occupant->nick : STR_NULL;
}

static enum err configure(struct room *r, struct session *s, const struct stanza *iq, const struct xml_node *form)
{
    struct room_config  fresh;
    struct room_change *c = room_change_new(r, NULL);
    struct filling      f = { .iq = iq, .form = form, .c = &fresh };
    struct buf          b;
    const char         *condition;

    room_config_copy(&fresh, &r->config);
    take_all(&f, r->talk);
    add_people(&f, c, FIELD("roomadmins"), AFF_ADMIN, actor_of(r, s));
    add_people(&f, c, FIELD("roomowners"), AFF_OWNER, actor_of(r, s));
    drop_people(&f, c, FIELD("roomadmins"), AFF_ADMIN, actor_of(r, s));
    drop_people(&f, c, FIELD("roomowners"), AFF_OWNER, actor_of(r, s));
    fit_occupants(c, &fresh);
    buf_init(&b, 0);
    room_config_write(&fresh, &b);
    if (!room_delta(c, &(struct room_delta){ .kind = DELTA_CONFIG,
                                             .text = buf_str(&b),
                                             .flags = fresh.public,
                                             .other = text(fresh.name),
                                             .code = r->locked ? CHANGED_UNLOCKED : room_config_changes(&r->config, &fresh) }))
        wrong(&f, "too much at once");
    buf_done(&b);
    room_config_free(&fresh);
    condition = f.condition ? f.condition : room_owners_after(c) == 0 ? "conflict" : NULL;
    if (condition) {
        room_change_drop(c);
        return room_refuse(s, iq, f.condition ? "modify" : "cancel", condition, f.condition ? f.why : "a room has an owner");
    }
    c->cause = room_cause_new(s, iq, room_iq_tries());
    c->answer = room_answer_done;
    room_change_go(c);
    return OK;
}

/* ---- the end ---- */

static enum err destroy(struct room *r, struct session *s, const struct stanza *iq, const struct xml_node *d)
{
    struct room_change *c;
    struct str          reason = d ? xml_child_text(iq->arena, d, "reason", NS_MUC_OWNER) : STR_NULL;
    struct str          password = d ? xml_child_text(iq->arena, d, "password", NS_MUC_OWNER) : STR_NULL;
    struct str          other = d ? xml_attr(d, "jid") : STR_NULL;
    struct jid          j;

    if (other.len && jid_parse(iq->arena, other, &j) != OK)
        return room_refuse(s, iq, "modify", "jid-malformed", "the other room's address is none");
    if (reason.len > ROOM_TEXT_BYTES_MAX || password.len > ROOM_TEXT_BYTES_MAX)
        return room_refuse(s, iq, "modify", "policy-violation", "the reason is too long");
    c = room_change_new(r, room_cause_new(s, iq, room_iq_tries()));
    c->answer = room_answer_done;
    room_delta(c, &(struct room_delta){ .kind = DELTA_DESTROY, .other = other, .reason = reason, .text = password });
    room_change_go(c);
    return OK;
}

enum err room_owner_set(struct session *s, const struct stanza *iq)
{
    struct room           *r = room_of(s, iq);
    const struct xml_node *d = xml_child(iq->payload, "destroy", NS_MUC_OWNER), *x = xml_child(iq->payload, "x", NS_FORMS);

    if (room_affiliation(r, s->jid.bare) != AFF_OWNER)
        return room_refuse(s, iq, "auth", "forbidden", "only owners set a room up");
    if (d)
        return destroy(r, s, iq, d);
    if (x && str_is(xml_attr(x, "type"), "cancel")) /* §10.1.3: of the first one, it is the end */
        return r->locked ? destroy(r, s, iq, NULL) : iq_result(s, iq, NULL);
    x = form_submitted(iq->arena, iq->payload, ROOMCONFIG);
    if (!x)
        return room_refuse(s, iq, "modify", "bad-request", "a submitted form, or destroy");
    return configure(r, s, iq, x);
}
