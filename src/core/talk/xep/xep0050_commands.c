/* XEP-0050 Ad-Hoc Commands 1.3: the list, the runs and their stages. What a command does is told by its step (talk/command.h).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/mem.h"
#include "base/metric.h"
#include "crypto/digest.h"
#include "talk/admin.h"
#include "talk/command.h"
#include "talk/feature.h"
#include <assert.h>
#include <stdlib.h>

METRIC_GAUGE(runs_open, "bongsu_talk_commands_open", "Ad-hoc commands under way.");

enum { RUN_ID_CHARS = 20 };
enum action { ACTION_EXECUTE, ACTION_NEXT, ACTION_PREV, ACTION_COMPLETE, ACTION_CANCEL, ACTION_UNKNOWN };

struct command_stage {
    struct command_run  run;                /* first */
    struct list         in_all;
    char                id[RUN_ID_CHARS + 1];
    struct iq_later     iq;                 /* waits for an answer while `busy` */
    bool                busy;               /* a step is under way */
    bool                gone;               /* nobody waits for its answer */
    bool                expired;
    int64_t             touched_ms;
    int                 shown;              /* forms that were asked */
    int                 steps;
    size_t              taken_bytes;        /* of forms, in the arena */
    struct { struct str form; bool last; } forms[COMMAND_STAGES_MAX];
};

struct commands {
    struct strmap by_id;
    struct list   all;
    int           count;
};

/* ---- life ---- */

static struct commands *commands_of(struct talk *t)
{
    if (!t->commands) {
        t->commands = NEW(struct commands);
        strmap_init(&t->commands->by_id);
        list_init(&t->commands->all);
    }
    return t->commands;
}

static struct command_stage *stage_of(struct command_run *r)
{
    return (struct command_stage *)r;
}

static void run_empty(struct command_stage *g)
{
    if (g->run.command->ended)
        g->run.command->ended(&g->run);
    g->run.own = NULL;
    arena_done(&g->run.arena);
    arena_init(&g->run.arena);
    g->shown = 0;
}

static void run_free(struct command_stage *g)
{
    struct commands *all = commands_of(g->run.talk);

    strmap_del(&all->by_id, str_of(g->id));
    list_remove(&g->in_all);
    metric_set(&runs_open, --all->count);
    run_empty(g);
    arena_done(&g->run.arena);
    free(g->iq.id);
    free(g->iq.to);
    free((char *)g->run.by.p);
    free(g);
}

/* Nobody wants it any more: now, or when its step answers. */
static void run_drop(struct command_stage *g)
{
    if (g->busy)
        g->gone = true;
    else
        run_free(g);
}

static int runs_of(struct commands *all, uint64_t session_id)
{
    int n = 0;

    LIST_EACH(it, &all->all)
        n += LIST_ITEM(it, struct command_stage, in_all)->run.session_id == session_id;
    return n;
}

static struct command_stage *run_new(struct session *s, const struct command *c)
{
    struct commands      *all = commands_of(s->talk);
    struct command_stage *g;

    if (all->count >= COMMAND_RUNS_MAX || runs_of(all, s->id) >= COMMAND_RUNS_PER_SESSION_MAX)
        return NULL;
    g = NEW(struct command_stage);
    g->run = (struct command_run){ .talk = s->talk, .command = c, .session_id = s->id,
                                   .by = str_make(str_dup(s->jid.bare), s->jid.bare.len) };
    arena_init(&g->run.arena);
    random_token(g->id, RUN_ID_CHARS);
    strmap_put(&all->by_id, str_of(g->id), g);
    list_append(&all->all, &g->in_all);
    metric_set(&runs_open, ++all->count);
    return g;
}

static void commands_ended(struct session *s)
{
    if (!s->talk->commands)
        return;
    LIST_EACH(it, &s->talk->commands->all) {
        struct command_stage *g = LIST_ITEM(it, struct command_stage, in_all);

        if (g->run.session_id == s->id)
            run_drop(g);
    }
}

void commands_done(struct talk *t)
{
    if (!t->commands)
        return;
    while (!list_empty(&t->commands->all))
        run_free(LIST_ITEM(t->commands->all.next, struct command_stage, in_all));
    strmap_done(&t->commands->by_id);
    free(t->commands);
    t->commands = NULL;
}

/* What has expired keeps its name for a while, so that its owner is told why it is gone. */
static void commands_tick(struct talk *t)
{
    int64_t now = loop_now_ms(t->loop);

    if (!t->commands)
        return;
    LIST_EACH(it, &t->commands->all) {
        struct command_stage *g = LIST_ITEM(it, struct command_stage, in_all);
        int64_t               idle_ms = now - g->touched_ms;

        if (g->busy || idle_ms < COMMAND_IDLE_MS_MAX)
            continue;
        if (!g->expired)
            run_empty(g);
        g->expired = true;
        if (idle_ms > COMMAND_IDLE_MS_MAX + COMMAND_EXPIRED_MS_MAX)
            run_free(g);
    }
}

/* ---- answers ---- */

static void put_command(struct buf *b, const struct command_stage *g, const char *status)
{
    BUF_LIT(b, "<command xmlns='" NS_COMMANDS "'");
    xml_put_attr(b, "node", str_of(g->run.command->node));
    xml_put_attr(b, "sessionid", str_of(g->id));
    xml_put_attr(b, "status", str_of(status));
    BUF_LIT(b, " xml:lang='en'>");
}

static void put_actions(struct buf *b, const struct command_stage *g)
{
    bool last = g->forms[g->shown - 1].last;

    buf_printf(b, "<actions execute='%s'>%s%s</actions>", last ? "complete" : "next", g->shown > 1 ? "<prev/>" : "",
               last ? "<complete/>" : "<next/>");
}

static void put_note(struct buf *b, const char *type, struct str text)
{
    buf_printf(b, "<note type='%s'>", type);
    xml_put_escaped(b, text);
    BUF_LIT(b, "</note>");
}

static void answer(struct command_stage *g, struct str payload)
{
    g->busy = false;
    g->touched_ms = loop_now_ms(g->run.talk->loop);
    iq_later_result(g->run.talk, &g->iq, payload);
}

static void answer_form(struct command_stage *g)
{
    struct buf b;

    buf_init(&b, 0);
    put_command(&b, g, "executing");
    put_actions(&b, g);
    buf_put_str(&b, g->forms[g->shown - 1].form);
    BUF_LIT(&b, "</command>");
    answer(g, buf_str(&b));
    buf_done(&b);
}

void command_ask(struct command_run *r, struct str form, bool last)
{
    struct command_stage *g = stage_of(r);

    assert(g->shown < COMMAND_STAGES_MAX);
    g->forms[g->shown].form = arena_str(&r->arena, form);
    g->forms[g->shown++].last = last;
    answer_form(g);
    if (g->gone)
        run_free(g);
}

static void complete(struct command_stage *g, struct str payload, const char *note_type, const char *note)
{
    struct buf b;

    buf_init(&b, 0);
    put_command(&b, g, "completed");
    buf_put_str(&b, payload);
    if (note)
        put_note(&b, note_type, str_of(note));
    BUF_LIT(&b, "</command>");
    answer(g, buf_str(&b));
    buf_done(&b);
    run_free(g);
}

void command_done(struct command_run *r, struct str payload, const char *note)
{
    complete(stage_of(r), payload, "info", note);
}

void command_failed(struct command_run *r, const char *why)
{
    complete(stage_of(r), STR_NULL, "error", why);
}

/* `own`: a condition of this namespace (§4.4); NULL: none. Without what was asked: it may be a form with a password. */
static void later_error(struct talk *t, struct iq_later *k, const char *type, const char *condition, const char *own, struct str text)
{
    struct buf b;

    buf_init(&b, 0);
    buf_printf(&b, "<error type='%s'><%s xmlns='" NS_STANZA_ERRORS "'/>", type, condition);
    if (text.len) {
        BUF_LIT(&b, "<text xmlns='" NS_STANZA_ERRORS "' xml:lang='en'>");
        xml_put_escaped(&b, text);
        BUF_LIT(&b, "</text>");
    }
    if (own)
        buf_printf(&b, "<%s xmlns='" NS_COMMANDS "'/>", own);
    BUF_LIT(&b, "</error>");
    iq_later_answer(t, k, "error", buf_str(&b));
    buf_done(&b);
}

static void answer_error(struct command_stage *g, const char *type, const char *condition, const char *own, struct str text)
{
    g->busy = false;
    g->touched_ms = loop_now_ms(g->run.talk->loop);
    later_error(g->run.talk, &g->iq, type, condition, own, text);
}

void command_again(struct command_run *r, struct str why)
{
    struct command_stage *g = stage_of(r);

    answer_error(g, "modify", "bad-request", "bad-payload", why);
    if (g->gone)
        run_free(g);
}

void command_error_condition(struct command_run *r, const char *type, const char *condition, const char *text)
{
    struct command_stage *g = stage_of(r);

    answer_error(g, type, condition, NULL, str_of(text));
    run_free(g);
}

void command_error(struct command_run *r, enum err e)
{
    const struct err_info *i = err_info(e);

    command_error_condition(r, i->type, i->condition, NULL);
}

/* ---- who may see what ---- */

static bool on_server(const struct stanza *iq)
{
    return iq->has_to && iq->to.local.len == 0;
}

static bool on_own_account(const struct session *s, const struct stanza *iq)
{
    return !iq->has_to || str_eq(iq->to.full, s->jid.bare);
}

static bool may_run(const struct session *s, const struct command *c)
{
    return !c->admin || (s->person && person_is_admin(s->person));
}

static const struct command *next_command(size_t *at, const struct command *c)
{
    if (c && c[1].node)
        return c + 1;
    while (features[*at]) {
        const struct command *first = features[(*at)++]->commands;

        if (first && first->node)
            return first;
    }
    return NULL;
}

#define EACH_COMMAND(c) \
    size_t at_ = 0; \
    for (const struct command *c = next_command(&at_, NULL); c; c = next_command(&at_, c))

static const struct command *find(const struct session *s, const struct stanza *iq, struct str node)
{
    unsigned on = on_server(iq) ? COMMAND_ON_SERVER : on_own_account(s, iq) ? COMMAND_ON_ACCOUNT : 0;

    EACH_COMMAND(c)
        if ((c->on & on) && str_is(node, c->node))
            return c;
    return NULL;
}

static void put_items(struct session *s, const struct stanza *iq, struct buf *b)
{
    unsigned on = on_server(iq) ? COMMAND_ON_SERVER : on_own_account(s, iq) ? COMMAND_ON_ACCOUNT : 0;

    EACH_COMMAND(c) {
        if (!(c->on & on) || !may_run(s, c))
            continue;
        BUF_LIT(b, "<item");
        xml_put_attr(b, "jid", on == COMMAND_ON_SERVER ? s->talk->domain : s->jid.bare);
        xml_put_attr(b, "node", str_of(c->node));
        xml_put_attr(b, "name", str_of(c->name));
        BUF_LIT(b, "/>");
    }
}

/* §2.2 */
static enum err commands_disco(struct session *s, const struct stanza *iq, struct str node, bool items, struct buf *b)
{
    const struct command *c;

    if (str_is(node, NS_COMMANDS)) {
        if (items)
            put_items(s, iq, b);
        else
            BUF_LIT(b, "<identity category='automation' type='command-list' name='Commands'/><feature var='" NS_COMMANDS "'/>");
        return OK;
    }
    c = find(s, iq, node);
    if (!c)
        return ERR_UNSUPPORTED;
    if (!may_run(s, c))
        return ERR_DENIED;
    if (items)
        return OK;
    BUF_LIT(b, "<identity category='automation' type='command-node'");
    xml_put_attr(b, "name", str_of(c->name));
    BUF_LIT(b, "/><feature var='" NS_COMMANDS "'/><feature var='" NS_FORMS "'/>");
    return OK;
}

/* ---- a request ---- */

static enum err refuse(struct session *s, const struct stanza *iq, const char *type, const char *condition, const char *own)
{
    struct iq_later now = iq_keep(s, iq);

    later_error(s->talk, &now, type, condition, own, STR_NULL);
    return OK;
}

static enum action read_action(const struct xml_node *command)
{
    static const char *const names[] = { "execute", "next", "prev", "complete", "cancel" };
    struct str               text = xml_attr(command, "action");

    if (!text.p)
        return ACTION_EXECUTE;
    for (int i = 0; i < ACTION_UNKNOWN; i++)
        if (str_is(text, names[i]))
            return (enum action)i;
    return ACTION_UNKNOWN;
}

static void run_step(struct command_stage *g, struct session *s, const struct stanza *iq)
{
    g->iq = iq_keep(s, iq);
    g->busy = true;
    g->touched_ms = loop_now_ms(s->talk->loop);
    g->run.command->step(&g->run);
}

static enum err start(struct session *s, const struct stanza *iq, enum action action)
{
    struct str            node = xml_attr(iq->payload, "node");
    const struct command *c = find(s, iq, node);
    struct command_stage *g;

    if (!node.len)
        return refuse(s, iq, "modify", "bad-request", NULL);
    if (!c)
        return refuse(s, iq, "cancel", "item-not-found", NULL);
    if (!may_run(s, c))
        return refuse(s, iq, "auth", "forbidden", NULL);
    if (action != ACTION_EXECUTE)
        return refuse(s, iq, "modify", "bad-request", "bad-action");
    g = run_new(s, c);
    if (!g)
        return refuse(s, iq, "wait", "resource-constraint", NULL);
    run_step(g, s, iq);
    return OK;
}

static enum err cancel(struct command_stage *g, struct session *s, const struct stanza *iq)
{
    struct buf b;

    buf_init(&b, 0);
    put_command(&b, g, "canceled");
    BUF_LIT(&b, "</command>");
    iq_result_str(s, iq, buf_str(&b));
    buf_done(&b);
    run_free(g);
    return OK;
}

static enum err go_back(struct command_stage *g, struct session *s, const struct stanza *iq)
{
    if (g->shown < 2)
        return refuse(s, iq, "modify", "bad-request", "bad-action");
    g->shown--;
    g->iq = iq_keep(s, iq);
    answer_form(g);
    return OK;
}

/* Their form, copied into the run: a later step may still look at it. What cannot be read is in the arena all the same. */
static enum err take_form(struct command_stage *g, const struct stanza *iq)
{
    struct xml_node *copy = NULL;
    struct str       text;
    struct buf       b;
    const struct xml_node *x = form_find(iq->payload, NULL);

    if (!x)
        return ERR_INVALID;
    buf_init(&b, 0);
    xml_put_node(&b, x, STR_NULL);
    text = arena_str(&g->run.arena, buf_str(&b));
    buf_done(&b);
    g->taken_bytes += text.len;
    if (xml_parse(&g->run.arena, text, NULL, &copy) != XML_FINE)
        return ERR_INVALID;
    return form_read(&g->run.arena, copy, &g->run.form);
}

static enum err go_on(struct command_stage *g, struct session *s, const struct stanza *iq, enum action action)
{
    bool last = g->forms[g->shown - 1].last;

    if ((action == ACTION_NEXT && last) || (action == ACTION_COMPLETE && !last))
        return refuse(s, iq, "modify", "bad-request", "bad-action");
    if (++g->steps > COMMAND_STEPS_MAX || g->taken_bytes > COMMAND_BYTES_MAX)
        return refuse(s, iq, "wait", "resource-constraint", NULL);
    if (take_form(g, iq) != OK)
        return refuse(s, iq, "modify", "bad-request", "bad-payload");
    g->run.stage = g->shown;
    run_step(g, s, iq);
    return OK;
}

static enum err proceed(struct session *s, const struct stanza *iq, struct str id, enum action action)
{
    struct command_stage *g = strmap_get(&commands_of(s->talk)->by_id, id);
    struct str            node = xml_attr(iq->payload, "node");

    if (!g || g->run.session_id != s->id || g->gone || !str_is(node, g->run.command->node))
        return refuse(s, iq, "modify", "bad-request", "bad-sessionid");
    if (g->expired)
        return refuse(s, iq, "cancel", "not-allowed", "session-expired");
    if (!may_run(s, g->run.command))
        return refuse(s, iq, "auth", "forbidden", NULL);
    if (g->busy)
        return refuse(s, iq, "wait", "unexpected-request", NULL);
    if (action == ACTION_CANCEL)
        return cancel(g, s, iq);
    if (action == ACTION_PREV)
        return go_back(g, s, iq);
    return go_on(g, s, iq, action);
}

static enum err commands_set(struct session *s, const struct stanza *iq)
{
    struct str  id = xml_attr(iq->payload, "sessionid");
    enum action action = read_action(iq->payload);

    if (action == ACTION_UNKNOWN)
        return refuse(s, iq, "modify", "bad-request", "malformed-action");
    return id.p ? proceed(s, iq, id, action) : start(s, iq, action);
}

static const struct iq_handler commands_iqs[] = {
    { "command", NS_COMMANDS, IQ_TO_SERVER | IQ_TO_SELF, NULL, commands_set },
    { 0 },
};
static const char *const commands_vars[] = { NS_COMMANDS, NS_FORMS, NULL };

const struct feature xep0050_commands = {
    .spec = "XEP-0050 1.3",
    .title = "Ad-Hoc Commands",
    .disco_server = commands_vars,
    .disco_account = commands_vars,
    .iqs = commands_iqs,
    .disco_node = commands_disco,
    .ended = commands_ended,
    .tick = commands_tick,
};
