/* store.c: the tables.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/pubsub/pubsub.h"
#include "talk/pubsub/inner.h"
#include "base/clock.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include <stdlib.h>

/* `bare` of a subscription is that of `jid`, so that all of one account are found. `sequence` of a node is
 * the highest that was given out. `items` and `bytes` are sums over its items, so that bounds cost one row.
 */
const struct db_migration pubsub_migrations[] = {
    { 1, "pubsub",
      "CREATE TABLE pubsub_node(id INTEGER PRIMARY KEY, owner INTEGER NOT NULL, name TEXT NOT NULL, creator "
      "TEXT NOT NULL,"
      " config TEXT NOT NULL, sequence INTEGER NOT NULL, items INTEGER NOT NULL, bytes INTEGER NOT NULL);"
      "CREATE UNIQUE INDEX pubsub_node_name ON pubsub_node(owner, name);"
      "CREATE INDEX pubsub_node_creator ON pubsub_node(owner, creator);"
      "CREATE TABLE pubsub_item(node INTEGER NOT NULL, sequence INTEGER NOT NULL, id TEXT NOT NULL, us "
      "INTEGER NOT NULL,"
      " publisher TEXT NOT NULL, xml TEXT NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY(node, sequence)) "
      "WITHOUT ROWID;"
      "CREATE UNIQUE INDEX pubsub_item_id ON pubsub_item(node, id);"
      "CREATE TABLE pubsub_affiliation(node INTEGER NOT NULL, jid TEXT NOT NULL, affiliation INTEGER NOT NULL,"
      " PRIMARY KEY(node, jid)) WITHOUT ROWID;"
      "CREATE INDEX pubsub_affiliation_jid ON pubsub_affiliation(jid);"
      "CREATE TABLE pubsub_subscription(node INTEGER NOT NULL, bare TEXT NOT NULL, jid TEXT NOT NULL, state "
      "INTEGER NOT NULL,"
      " PRIMARY KEY(node, bare, jid)) WITHOUT ROWID;"
      "CREATE INDEX pubsub_subscription_bare ON pubsub_subscription(bare);" },
    /* The server's own node (announced.c), which is always there. Nobody owns it; had somebody taken its name, theirs goes. */
    { 2, "pubsub",
#define TAKEN "(SELECT id FROM pubsub_node WHERE owner = 0 AND name = '" NODE_ANNOUNCED "')"
      "DELETE FROM pubsub_item WHERE node IN " TAKEN ";"
      "DELETE FROM pubsub_affiliation WHERE node IN " TAKEN ";"
      "DELETE FROM pubsub_subscription WHERE node IN " TAKEN ";"
#undef TAKEN
      "DELETE FROM pubsub_node WHERE owner = 0 AND name = '" NODE_ANNOUNCED "';"
      "INSERT INTO pubsub_node(id, owner, name, creator, config, sequence, items, bytes) VALUES (1, 0, '" NODE_ANNOUNCED "', '',"
      " '<x xmlns=''jabber:x:data'' type=''submit''><field var=''FORM_TYPE''><value>" NS_PUBSUB "#node_config</value></field>"
      "<field var=''pubsub#title''><value>공지 · Announcements</value></field>"
      "<field var=''pubsub#type''><value>" NODE_ANNOUNCED "</value></field>"
      "<field var=''pubsub#subscribe''><value>0</value></field></x>', 0, 0, 0);" },
    { 0 },
};

static struct db_sql node_select = { "SELECT id, creator, config, sequence, items, bytes FROM pubsub_node WHERE owner = ?1 AND name = ?2" };
static struct db_sql node_take = { "UPDATE pubsub_node SET sequence = sequence WHERE owner = ?1 AND name = ?2"
                                   " RETURNING id, creator, config, sequence, items, bytes" };
static struct db_sql nodes_of_account = { "SELECT count(*) FROM pubsub_node WHERE owner = ?1" };
static struct db_sql nodes_of_creator = { "SELECT count(*) FROM pubsub_node WHERE owner = 0 AND creator = ?1" };
static struct db_sql bytes_of_account = { "SELECT CAST(coalesce(sum(bytes), 0) AS BIGINT) FROM pubsub_node WHERE owner = ?1" };
static struct db_sql bytes_of_creator = {
    "SELECT CAST(coalesce(sum(bytes), 0) AS BIGINT) FROM pubsub_node WHERE owner = 0 AND creator = ?1"
};
static struct db_sql node_put = { "INSERT INTO pubsub_node(id, owner, name, creator, config, sequence, items, "
                                  "bytes) VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, 0)"
                                  " ON CONFLICT(owner, name) DO NOTHING RETURNING id" };
static struct db_sql node_config_write = { "UPDATE pubsub_node SET config = ?2 WHERE id = ?1" };
static struct db_sql node_sums_write = { "UPDATE pubsub_node SET sequence = ?2, items = ?3, bytes = ?4 WHERE id = ?1" };
static struct db_sql affiliation_select = { "SELECT affiliation FROM pubsub_affiliation WHERE node = ?1 AND jid = ?2" };
static struct db_sql affiliation_put = { "INSERT INTO pubsub_affiliation(node, jid, affiliation) VALUES (?1, ?2, ?3)"
                                         " ON CONFLICT(node, jid) DO UPDATE SET affiliation = excluded.affiliation" };
static struct db_sql affiliation_delete = { "DELETE FROM pubsub_affiliation WHERE node = ?1 AND jid = ?2" };
static struct db_sql subscribed_select = { "SELECT coalesce(max(state), 0) FROM pubsub_subscription WHERE node = ?1 AND bare = ?2" };
static struct db_sql item_newest = { "SELECT sequence, us, id, publisher, xml FROM pubsub_item WHERE node = "
                                     "?1 AND us >= ?2 ORDER BY sequence DESC LIMIT 1" };
static struct db_sql item_select = { "SELECT sequence, us, id, publisher, xml FROM pubsub_item WHERE node = ?1 AND id = ?2 AND us >= ?3" };
static struct db_sql item_delete = { "DELETE FROM pubsub_item WHERE node = ?1 AND id = ?2 RETURNING bytes" };
static struct db_sql item_put_sql = { "INSERT INTO pubsub_item(node, sequence, id, us, publisher, xml, bytes) "
                                      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)" };
static struct db_sql items_too_many = {
    "DELETE FROM pubsub_item WHERE node = ?1 AND sequence <= (SELECT max(x.sequence) FROM (SELECT sequence "
    "FROM pubsub_item"
    " WHERE node = ?1 ORDER BY sequence LIMIT ?2) AS x) RETURNING id, bytes"
};
static struct db_sql items_expired = { "DELETE FROM pubsub_item WHERE node = ?1 AND us < ?2 RETURNING id, bytes" };
static struct db_sql items_delete = { "DELETE FROM pubsub_item WHERE node = ?1" };
/* With each, whether the account's owner lets it see their presence, and what it is to the node. */
static struct db_sql subscribers_select = {
    "SELECT s.jid, s.bare, r.jid, r.item_groups, coalesce(a.affiliation, 0) FROM pubsub_subscription s"
    " LEFT JOIN roster r ON r.owner = ?3 AND r.jid = s.bare AND (r.subscription & 2) <> 0"
    " LEFT JOIN pubsub_affiliation a ON a.node = s.node AND a.jid = s.bare"
    " WHERE s.node = ?1 AND s.state >= ?2 ORDER BY s.jid"
};
static struct db_sql delete_subscriptions = { "DELETE FROM pubsub_subscription WHERE node = ?1" };
static struct db_sql delete_affiliations = { "DELETE FROM pubsub_affiliation WHERE node = ?1" };
static struct db_sql delete_node = { "DELETE FROM pubsub_node WHERE id = ?1" };

bool name_fits(struct str name)
{
    return name.len > 0 && name.len <= PUBSUB_NAME_BYTES_MAX;
}

void ids_add(struct arena *a, struct ids *l, struct str id)
{
    if (l->count == l->cap) {
        struct str *more;

        l->cap = l->cap ? l->cap * 2 : 8;
        more = arena_alloc(a, sizeof *more * (size_t)l->cap);
        if (l->count)
            memcpy(more, l->ids, sizeof *more * (size_t)l->count);
        l->ids = more;
    }
    l->ids[l->count++] = arena_str(a, id);
}

/* ---- nodes ---- */

static enum err number_of(struct db_stmt *row, enum err e, int64_t *out)
{
    *out = e ? 0 : db_i64(row, 0);
    if (row)
        db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

enum err affiliation_of(struct job *j, struct db_conn *c, const struct node *n, struct str bare, enum affiliation *out)
{
    struct db_stmt *row = NULL;
    int64_t         v;
    enum err        e;

    *out = AFFILIATION_OWNER;
    if (j->service.pep && str_eq(bare, j->service.bare))
        return OK;
    e = db_get(c, &row, &affiliation_select, "is", n->id, bare);
    e = number_of(row, e, &v);
    *out = (enum affiliation)v;
    return e;
}

enum err affiliation_write(struct db_conn *c, const struct node *n, struct str bare, enum affiliation a)
{
    return a == AFFILIATION_NONE ? db_run(c, &affiliation_delete, "is", n->id, bare)
                                 : db_run(c, &affiliation_put, "isi", n->id, bare, (int64_t)a);
}

/* What the asker is to the node. */
static enum err relation(struct job *j, struct db_conn *c, struct node *n)
{
    struct db_stmt *row = NULL;
    int64_t         v;
    enum err        e = affiliation_of(j, c, n, j->asker.bare, &n->mine);

    if (e)
        return e;
    e = db_get(c, &row, &subscribed_select, "is", n->id, j->asker.bare);
    e = number_of(row, e, &v);
    n->subscribed = (enum sub_state)v;
    return e;
}

enum err node_read(struct job *j, struct db_conn *c, struct str name, bool take, struct node *n)
{
    struct db_stmt *row = NULL;
    enum err        e = db_get(c, &row, take ? &node_take : &node_select, "is", j->service.owner, name);

    *n = (struct node){ .name = name };
    if (!e) {
        n->id = db_i64(row, 0);
        n->creator = arena_str(&j->work, db_text(row, 1));
        n->sequence = db_i64(row, 3);
        n->items = db_i64(row, 4);
        n->bytes = db_i64(row, 5);
        config_read(&j->work, db_text(row, 2), j->service.pep, name, &n->config);
    }
    if (row)
        db_done(row);
    return e ? e : relation(j, c, n);
}

enum err node_find(struct job *j, struct db_conn *c, struct str name, bool take, struct node *n)
{
    enum err e = node_read(j, c, name, take, n);

    return e == ERR_NOT_FOUND ? job_fail(j, &fault_not_found) : e;
}

static enum err count_nodes(struct job *j, struct db_conn *c, int64_t *n)
{
    struct db_stmt *row = NULL;
    enum err        e =
        j->service.pep ? db_get(c, &row, &nodes_of_account, "i", j->service.owner) : db_get(c, &row, &nodes_of_creator, "s", j->asker.bare);

    return number_of(row, e, n);
}

enum err node_insert(struct job *j, struct db_conn *c, struct str name, const struct node_config *config, struct node *n)
{
    struct db_stmt *row = NULL;
    struct buf      kept;
    int64_t         count;
    enum err        e = count_nodes(j, c, &count);

    if (e || count >= PUBSUB_NODES_MAX)
        return e ? e : job_fail(j, &fault_limit);
    *n = (struct node){ .id = (int64_t)(random_u64() >> 1) | 1,
                        .name = name,
                        .config = *config,
                        .mine = AFFILIATION_OWNER,
                        .creator = j->service.pep ? STR("") : j->asker.bare };
    buf_init(&kept, 0);
    config_write(&kept, config, j->service.pep, name);
    e = db_get(c, &row, &node_put, "iisss", n->id, j->service.owner, name, n->creator, buf_str(&kept));
    buf_done(&kept);
    if (row)
        db_done(row);
    if (e) /* somebody has made it meanwhile */
        return e == ERR_NOT_FOUND ? job_fail(j, &fault_conflict) : e;
    return j->service.pep ? OK : affiliation_write(c, n, j->asker.bare, AFFILIATION_OWNER);
}

enum err node_write_config(struct job *j, struct db_conn *c, const struct node *n)
{
    struct buf kept;
    enum err   e;

    buf_init(&kept, 0);
    config_write(&kept, &n->config, j->service.pep, n->name);
    e = db_run(c, &node_config_write, "is", n->id, buf_str(&kept));
    buf_done(&kept);
    return e;
}

enum err node_delete(struct db_conn *c, int64_t id)
{
    enum err e = db_run(c, &items_delete, "i", id);

    if (!e)
        e = db_run(c, &delete_subscriptions, "i", id);
    if (!e)
        e = db_run(c, &delete_affiliations, "i", id);
    return e ? e : db_run(c, &delete_node, "i", id);
}

/* Who was let in once may be out now: a contact that is none any more, an access model that has changed. */
static bool still_may(const struct job *j, const struct node *n, struct db_stmt *row)
{
    enum affiliation a = (enum affiliation)db_i64(row, 4);

    if ((j->service.pep && str_eq(db_text(row, 1), j->service.bare)) || a >= AFFILIATION_PUBLISHER || a == AFFILIATION_MEMBER)
        return true;
    switch (n->config.access) {
    case ACCESS_PRESENCE:
        return !db_is_null(row, 2);
    case ACCESS_ROSTER:
        return !db_is_null(row, 2) && groups_meet(db_text(row, 3), n->config.group_count, n->config.groups);
    case ACCESS_WHITELIST:
        return false;
    default:
        return a != AFFILIATION_OUTCAST;
    }
}

enum err subscribers_read(struct job *j, struct db_conn *c, const struct node *n, bool pending_too, struct ids *out)
{
    struct db_stmt *row = db_prepare(c, &subscribers_select);
    enum err        e;

    *out = (struct ids){ 0 };
    if (!row)
        return ERR_IO;
    db_bind_i64(row, 1, n->id);
    db_bind_i64(row, 2, pending_too ? SUBSTATE_PENDING : SUBSTATE_SUBSCRIBED);
    db_bind_i64(row, 3, j->service.owner);
    while ((e = db_step(row)) == OK)
        if (still_may(j, n, row))
            ids_add(&j->work, out, db_text(row, 0));
    db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

/* ---- items ---- */

int64_t node_oldest_us(const struct node *n)
{
    return n->config.expire_s ? clock_us() - n->config.expire_s * 1000000 : 0;
}

void item_fill(struct job *j, struct db_stmt *row, struct item *out)
{
    *out = (struct item){
        .sequence = db_i64(row, 0),
        .us = db_i64(row, 1),
        .id = arena_str(&j->work, db_text(row, 2)),
        .publisher = arena_str(&j->work, db_text(row, 3)),
        .xml = arena_str(&j->work, db_text(row, 4)),
    };
}

enum err item_last(struct job *j, struct db_conn *c, const struct node *n, struct item *out)
{
    struct db_stmt *row = NULL;
    enum err        e = db_get(c, &row, &item_newest, "ii", n->id, node_oldest_us(n));

    if (!e)
        item_fill(j, row, out);
    if (row)
        db_done(row);
    return e;
}

enum err item_get(struct job *j, struct db_conn *c, const struct node *n, struct str id, struct item *out)
{
    struct db_stmt *row = NULL;
    enum err        e = db_get(c, &row, &item_select, "isi", n->id, id, node_oldest_us(n));

    if (!e)
        item_fill(j, row, out);
    if (row)
        db_done(row);
    return e;
}

void item_put(struct buf *b, const struct item *i, bool payload, bool publisher)
{
    BUF_LIT(b, "<item");
    xml_put_attr(b, "id", i->id);
    if (publisher)
        xml_put_attr(b, "publisher", i->publisher);
    if (!payload || i->xml.len == 0) {
        BUF_LIT(b, "/>");
        return;
    }
    buf_put_c(b, '>');
    buf_put_str(b, i->xml);
    BUF_LIT(b, "</item>");
}

/* Runs a DELETE … RETURNING id, bytes. */
static enum err take_away(struct job *j, struct node *n, struct db_stmt *row, struct ids *removed)
{
    enum err e;

    while ((e = db_step(row)) == OK) {
        n->items--;
        n->bytes -= db_i64(row, 1);
        if (removed)
            ids_add(&j->work, removed, db_text(row, 0));
    }
    db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err remove_expired(struct job *j, struct db_conn *c, struct node *n)
{
    struct db_stmt *row;

    if (!n->config.expire_s || !n->items)
        return OK;
    row = db_prepare(c, &items_expired);
    if (!row)
        return ERR_IO;
    db_bind_i64(row, 1, n->id);
    db_bind_i64(row, 2, node_oldest_us(n));
    return take_away(j, n, row, NULL);
}

static enum err make_room(struct job *j, struct db_conn *c, struct node *n, int64_t too_many, struct ids *removed)
{
    struct db_stmt *row;

    if (too_many <= 0)
        return OK;
    row = db_prepare(c, &items_too_many);
    if (!row)
        return ERR_IO;
    db_bind_i64(row, 1, n->id);
    db_bind_i64(row, 2, too_many);
    return take_away(j, n, row, removed);
}

static enum err fits(struct job *j, struct db_conn *c, const struct node *n, int64_t more)
{
    struct db_stmt *row = NULL;
    int64_t         sum;
    enum err        e =
        j->service.pep ? db_get(c, &row, &bytes_of_account, "i", j->service.owner) : db_get(c, &row, &bytes_of_creator, "s", n->creator);

    e = number_of(row, e, &sum);
    return e ? e : sum + more > PUBSUB_BYTES_MAX ? job_fail(j, &fault_limit) : OK;
}

static enum err replace(struct db_conn *c, struct node *n, struct str id)
{
    struct db_stmt *row = NULL;
    int64_t         bytes;
    enum err        e = db_get(c, &row, &item_delete, "is", n->id, id);

    if (!e)
        n->items--;
    e = number_of(row, e, &bytes);
    n->bytes -= bytes;
    return e;
}

static enum err sums(struct db_conn *c, const struct node *n)
{
    return db_run(c, &node_sums_write, "iiii", n->id, n->sequence, n->items, n->bytes);
}

enum err item_store(struct job *j, struct db_conn *c, struct node *n, const struct item *i, struct ids *removed)
{
    int64_t  bytes = (int64_t)(i->xml.len + i->id.len + i->publisher.len);
    enum err e = fits(j, c, n, bytes);

    if (e || j->fault)
        return e;
    e = remove_expired(j, c, n);
    if (!e)
        e = replace(c, n, i->id);
    if (!e)
        e = make_room(j, c, n, n->items + 1 - n->config.max_items, removed);
    n->sequence++;
    n->items++;
    n->bytes += bytes;
    if (!e)
        e = db_run(c, &item_put_sql, "iisissi", n->id, n->sequence, i->id, i->us, i->publisher, i->xml, bytes);
    return e ? e : sums(c, n);
}

enum err items_trim(struct job *j, struct db_conn *c, struct node *n)
{
    enum err e = n->config.persist ? make_room(j, c, n, n->items - n->config.max_items, NULL) : items_purge(j, c, n);

    return e ? e : sums(c, n);
}

enum err item_remove(struct job *j, struct db_conn *c, struct node *n, struct str id)
{
    int64_t  before = n->items;
    enum err e = replace(c, n, id);

    (void)j;
    if (e)
        return e;
    return n->items == before ? ERR_NOT_FOUND : sums(c, n);
}

enum err items_purge(struct job *j, struct db_conn *c, struct node *n)
{
    enum err e = db_run(c, &items_delete, "i", n->id);

    (void)j;
    n->items = n->bytes = 0;
    return e ? e : sums(c, n);
}

/* ---- the account goes ---- */

static struct db_sql owned_items = { "DELETE FROM pubsub_item WHERE node IN (SELECT id FROM pubsub_node WHERE "
                                     "owner = ?1 OR (owner = 0 AND creator = ?2))" };
static struct db_sql owned_subscriptions = { "DELETE FROM pubsub_subscription WHERE node IN (SELECT id FROM "
                                             "pubsub_node WHERE owner = ?1 OR (owner = 0 AND creator = ?2))" };
static struct db_sql owned_affiliations = { "DELETE FROM pubsub_affiliation WHERE node IN (SELECT id FROM "
                                            "pubsub_node WHERE owner = ?1 OR (owner = 0 AND creator = ?2))" };
static struct db_sql owned_nodes = { "DELETE FROM pubsub_node WHERE owner = ?1 OR (owner = 0 AND creator = ?2)" };

static struct db_sql subscriptions_elsewhere = { "DELETE FROM pubsub_subscription WHERE bare = ?1" };
static struct db_sql affiliations_elsewhere = { "DELETE FROM pubsub_affiliation WHERE jid = ?1" };

/* What it was to others goes too: whoever gets its name next is somebody else. */
void pubsub_delete_all(struct db_conn *c, int64_t owner, struct str bare)
{
    db_run(c, &owned_items, "is", owner, bare);
    db_run(c, &owned_subscriptions, "is", owner, bare);
    db_run(c, &owned_affiliations, "is", owner, bare);
    db_run(c, &owned_nodes, "is", owner, bare);
    db_run(c, &subscriptions_elsewhere, "s", bare);
    db_run(c, &affiliations_elsewhere, "s", bare);
}
