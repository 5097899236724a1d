/* rates.c: see rates.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/rates.h"
#include "base/mem.h"
#include "talk/feature.h"
#include "talk/nodes.h"
#include "talk/owned.h"
#include <stdlib.h>

static const struct db_migration rates_migrations[] = {
    { 1, "rates", "CREATE TABLE rate_class(name TEXT PRIMARY KEY, class TEXT NOT NULL);" },
    { 0 },
};

/* ---- the setting ---- */

/* "16k", "4M", "1000" */
static bool read_number(struct str s, int *out)
{
    int64_t  unit = str_ends(s, STR("k")) ? 1024 : str_ends(s, STR("M")) ? 1024 * 1024 : 1;
    uint64_t n;

    if (unit > 1)
        s.len--;
    if (!str_to_u64(s, &n) || n < 1 || n > (uint64_t)(1024 * 1024 * 1024 / unit))
        return false;
    *out = (int)((int64_t)n * unit);
    return true;
}

static struct str word(struct str *rest)
{
    struct str w;

    *rest = str_trim(*rest);
    w = str_split(rest, ' ');
    return str_trim(w);
}

int rates_read(const char *text, struct rate_class out[RATE_CLASSES_MAX])
{
    struct str list = str_of(text);
    int        n = 0;

    while (list.p && n < RATE_CLASSES_MAX) {
        struct str one = str_split(&list, ','), name = word(&one);

        if (name.len && str_copy(name, out[n].name, RATE_CLASS_BYTES) && read_number(word(&one), &out[n].stanzas) &&
            read_number(word(&one), &out[n].bytes))
            n++;
    }
    return n;
}

void rates_of(const struct session *s, int *stanzas, int *bytes)
{
    struct rate_class all[RATE_CLASSES_MAX];
    int               n;

    *stanzas = s->talk->limits.stanzas_per_second_max;
    *bytes = s->talk->limits.bytes_per_second_max;
    if (!s->person || !s->person->rate_class[0])
        return;
    n = rates_read(settings_text(s->talk->settings, "talk.rate_classes"), all);
    for (int i = 0; i < n; i++)
        if (strcmp(all[i].name, s->person->rate_class) == 0) {
            *stanzas = all[i].stanzas;
            *bytes = all[i].bytes;
        }
}

/* ---- who is in which ---- */

static struct db_sql class_put = {
    "INSERT INTO rate_class(name, class) VALUES (?1, ?2) ON CONFLICT(name) DO UPDATE SET class = excluded.class" };
static struct db_sql class_remove = { "DELETE FROM rate_class WHERE name = ?1" };
static struct db_sql class_select = { "SELECT class FROM rate_class WHERE name = ?1" };

struct rates_op {
    struct change change;
    char         *user, *class;
    rates_set_fn *fn;
    void         *arg;
};

static enum err rates_apply(struct db_conn *c, struct change *ch)
{
    struct rates_op *o = (struct rates_op *)ch;

    if (!*o->class)
        return db_run(c, &class_remove, "s", str_of(o->user));
    return db_run(c, &class_put, "ss", str_of(o->user), str_of(o->class));
}

static void rates_done(struct talk *t, struct change *ch, enum err e)
{
    struct rates_op *o = (struct rates_op *)ch;
    struct person   *p = strmap_get(&t->persons, str_of(o->user));

    if (!e && p) {
        str_copy(str_of(o->class), p->rate_class, sizeof p->rate_class);
        p->changes++;
    }
    if (!e)
        event_send(t, &(struct event){ .kind = EVENT_CHANGED, .local = str_of(o->user) });
    o->fn(t, e, o->arg);
    free(o->user);
    free(o->class);
    free(o);
}

void rates_set(struct talk *t, struct str user, struct str class, rates_set_fn *fn, void *arg)
{
    struct rates_op *o = NEW(struct rates_op);

    o->change.apply = rates_apply;
    o->change.done = rates_done;
    o->user = str_dup(user);
    o->class = str_dup(class);
    o->fn = fn;
    o->arg = arg;
    if (session_change(NULL, t, &o->change) != OK)
        rates_done(t, &o->change, ERR_LIMIT);
}

static void rates_loaded(struct person *p, struct db_conn *c)
{
    struct db_stmt *s;

    p->rate_class[0] = 0;
    if (db_get(c, &s, &class_select, "s", p->jid.local) == OK)
        str_copy(db_text(s, 0), p->rate_class, sizeof p->rate_class);
    if (s)
        db_done(s);
}

static void rates_deleted(struct person *p, struct db_conn *c)
{
    db_run(c, &class_remove, "s", p->jid.local);
}

static const struct owned rates_owned[] = { { "rate_class", "name = ?2" }, { 0 } };

const struct feature rate_classes = {
    .spec = "XEP-0133 1.2",
    .title = "Rate classes",
    .migrations = rates_migrations,
    .owned = rates_owned,
    .person_loaded = rates_loaded,
    .person_deleted = rates_deleted,
};
