/* nodes.c: what an owner does with a node as a whole (XEP-0060 §8.1 to §8.5).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/pubsub/pubsub.h"
#include "talk/pubsub/inner.h"
#include "crypto/digest.h"

static const struct fault misplaced_configure = { "bad-request", NULL, NULL, "configure names no node of its own here" };
static const struct fault bad_form = { "bad-request", NULL, NULL, "a form of type submit or cancel is needed" };
static const struct fault no_persistence = { "feature-not-implemented", "unsupported", "persistent-items", NULL };
static const struct fault too_long = { "bad-request", NULL, NULL, "the name is too long" };

enum err node_of_owner(struct job *j, struct db_conn *c, bool take, struct node *n)
{
    struct str name = xml_attr(j->verb, "node");
    enum err   e;

    if (!name_fits(name))
        return job_fail(j, &fault_nodeid_required);
    e = node_find(j, c, name, take, n);
    if (e || j->fault)
        return e;
    return is_owner(n) ? OK : job_fail(j, &fault_forbidden);
}

/* The form inside, of type submit. False: it is no such form. `f->kind == FORM_SUBMIT` false: nothing is to be changed. */
static bool read_form(struct job *j, const struct xml_node *configure, struct form *f)
{
    const struct xml_node *x = xml_child(configure, "x", NS_FORMS);

    *f = (struct form){ 0 };
    return x && form_read(&j->work, x, f) == OK && (f->kind == FORM_SUBMIT || f->kind == FORM_CANCEL) &&
           (!f->type.len || str_is(f->type, NS_PUBSUB "#node_config"));
}

/* ---- create ---- */

static enum err read_new_config(struct job *j, struct str name, struct node_config *config)
{
    const struct xml_node *configure = xml_child(j->payload, "configure", NS_PUBSUB);
    const struct fault    *why;
    struct form            f;

    config_defaults(config, j->service.pep, name);
    if (!configure)
        return OK;
    if (xml_attr(configure, "node").p)
        return job_fail(j, &misplaced_configure);
    if (!xml_first(configure))
        return OK;
    if (!read_form(j, configure, &f))
        return job_fail(j, &bad_form);
    return f.kind != FORM_SUBMIT || config_take(config, &f, j->service.pep, false, &why) ? OK : job_fail(j, why);
}

enum err verb_create(struct job *j, struct db_conn *c)
{
    struct str         name = xml_attr(j->verb, "node");
    char               token[17];
    struct node_config config;
    struct node        n;
    enum err           e;

    if (j->service.pep ? !j->asker.self : !j->asker.local)
        return job_fail(j, &fault_forbidden);
    random_token(token, 16);
    if (name.len == 0)
        name = arena_str(&j->work, str_of(token)); /* §8.1.2: an instant node */
    if (!name_fits(name))
        return job_fail(j, &too_long);
    e = read_new_config(j, name, &config);
    if (!e && !j->fault)
        e = node_insert(j, c, name, &config, &n);
    if (e || j->fault)
        return e;
    BUF_LIT(&j->out, "<pubsub xmlns='" NS_PUBSUB "'><create");
    xml_put_attr(&j->out, "node", name);
    BUF_LIT(&j->out, "/></pubsub>");
    return OK;
}

/* ---- configure ---- */

enum err verb_configure_get(struct job *j, struct db_conn *c)
{
    struct node n;
    enum err    e = node_of_owner(j, c, false, &n);

    if (e || j->fault)
        return e;
    BUF_LIT(&j->out, "<pubsub xmlns='" NS_PUBSUB_OWNER "'><configure");
    xml_put_attr(&j->out, "node", n.name);
    buf_put_c(&j->out, '>');
    config_put(&j->out, &n.config, j->service.pep, NS_PUBSUB "#node_config", FORM_EMPTY);
    BUF_LIT(&j->out, "</configure></pubsub>");
    return OK;
}

static enum err tell_config(struct job *j, struct db_conn *c, const struct node *n)
{
    struct buf b;
    enum err   e;

    buf_init(&b, 0);
    BUF_LIT(&b, "<configuration");
    xml_put_attr(&b, "node", n->name);
    buf_put_c(&b, '>');
    if (n->config.payloads)
        config_put(&b, &n->config, j->service.pep, NS_PUBSUB "#node_config", FORM_RESULT);
    BUF_LIT(&b, "</configuration>");
    e = node_tell(j, c, n, arena_str(&j->work, buf_str(&b)), false);
    buf_done(&b);
    return e;
}

enum err verb_configure_set(struct job *j, struct db_conn *c)
{
    const struct fault *why;
    struct form         f;
    struct node         n;
    enum err            e = node_of_owner(j, c, true, &n);

    if (e || j->fault)
        return e;
    if (!read_form(j, j->verb, &f))
        return job_fail(j, &bad_form);
    if (f.kind != FORM_SUBMIT)
        return OK;
    if (!config_take(&n.config, &f, j->service.pep, false, &why))
        return job_fail(j, why);
    e = node_write_config(j, c, &n);
    if (!e)
        e = items_trim(j, c, &n);
    return e || !n.config.notify_config ? e : tell_config(j, c, &n);
}

enum err verb_owner_default(struct job *j, struct db_conn *c)
{
    struct node_config config;

    (void)c;
    config_defaults(&config, j->service.pep, STR_NULL);
    BUF_LIT(&j->out, "<pubsub xmlns='" NS_PUBSUB_OWNER "'><default>");
    config_put(&j->out, &config, j->service.pep, NS_PUBSUB "#node_config", FORM_EMPTY);
    BUF_LIT(&j->out, "</default></pubsub>");
    return OK;
}

/* ---- delete, purge ---- */

static struct str element_of(struct job *j, const char *name, struct str node)
{
    struct buf b;
    struct str s;

    buf_init(&b, 0);
    buf_printf(&b, "<%s", name);
    xml_put_attr(&b, "node", node);
    BUF_LIT(&b, "/>");
    s = arena_str(&j->work, buf_str(&b));
    buf_done(&b);
    return s;
}

enum err verb_delete(struct job *j, struct db_conn *c)
{
    struct node n;
    enum err    e = node_of_owner(j, c, true, &n);

    if (e || j->fault)
        return e;
    if (n.config.notify_delete)
        e = node_tell(j, c, &n, element_of(j, "delete", n.name), true);
    return e ? e : node_delete(c, n.id);
}

enum err verb_purge(struct job *j, struct db_conn *c)
{
    struct node n;
    enum err    e = node_of_owner(j, c, true, &n);

    if (e || j->fault)
        return e;
    if (!n.config.persist)
        return job_fail(j, &no_persistence);
    e = items_purge(j, c, &n);
    return e || !n.config.notify_retract ? e : node_tell(j, c, &n, element_of(j, "purge", n.name), false);
}
