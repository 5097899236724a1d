/* pie.c: see pie.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "id/pie.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "wire/uri.h"
#include "wire/xml_file.h"

#define NS_PIE      "urn:xmpp:pie:0"
#define NS_PIE_OLD  "http://www.xmpp.org/extensions/xep-0227.html#ns"
#define NS_XINCLUDE "http://www.w3.org/2001/XInclude"
#define NS_PUBSUB   "http://jabber.org/protocol/pubsub"

enum { INSIDE_MAX = 3, PATH_BYTES_MAX = 4096 };

struct walk {
    pie_fn      *fn;
    void        *arg;
    struct arena host_arena, user_arena, arena;     /* of the host, of the user, of the element at hand */
    struct str   host, user;
    int          inside_count;                      /* entered below <user/> */
    const struct xml_node *inside[INSIDE_MAX];      /* in user_arena */
    int          includes;
    struct arena *why_arena;
    struct str  *why;
};

/* ---- what is entered ---- */

static bool is_pie(const struct xml_node *n, const char *name)
{
    return xml_is(n, name, NS_PIE) || xml_is(n, name, NS_PIE_OLD);
}

enum entered_kind { ENTERED_FRAME, ENTERED_USER, ENTERED_LIST };

static bool is_frame(const struct xml_node *n)
{
    return is_pie(n, "server-data") || is_pie(n, "host") || is_pie(n, "user");
}

static bool is_list(const struct xml_node *n)
{
    return is_pie(n, "offline-messages") || xml_is(n, "query", "jabber:iq:roster") || xml_is(n, "query", "jabber:iq:private") ||
           xml_is(n, "archive", NS_PIE_MAM) || xml_is(n, "pubsub", NS_PUBSUB) || xml_is(n, "pubsub", NS_PUBSUB "#owner") ||
           xml_is(n, "items", NS_PUBSUB);
}

static bool enters(void *arg, const struct xml_node *start, int depth)
{
    (void)depth;
    (void)arg;
    return is_frame(start) || is_list(start);
}

static long read_fd(void *arg, char *to, size_t bytes)
{
    ssize_t n;

    do
        n = read(*(int *)arg, to, bytes);
    while (n < 0 && errno == EINTR);
    return (long)n;
}

/* ---- telling ---- */

static enum err tell(struct walk *w, enum pie_kind kind, const struct xml_node *n, const char *why)
{
    struct pie_event e = { .kind = kind, .host = w->host, .user = w->user, .node = n, .why = why,
                           .inside = w->inside_count ? w->inside[w->inside_count - 1] : NULL };

    return w->fn(w->arg, &e);
}

/* The start tag outlives its content. */
static const struct xml_node *keep_start(struct arena *a, const struct xml_node *n)
{
    struct xml_node *copy = arena_alloc(a, sizeof *copy);

    *copy = (struct xml_node){ .name = arena_str(a, n->name), .ns = arena_str(a, n->ns), .attr_count = n->attr_count };
    copy->attrs = arena_alloc(a, sizeof *copy->attrs * (size_t)(n->attr_count + 1));
    for (int i = 0; i < n->attr_count; i++)
        copy->attrs[i] = (struct xml_attr){ .name = arena_str(a, n->attrs[i].name), .ns = arena_str(a, n->attrs[i].ns),
                                            .value = arena_str(a, n->attrs[i].value) };
    return copy;
}

static enum err entered(struct walk *w, const struct xml_node *n)
{
    if (is_pie(n, "host")) {
        arena_reset(&w->host_arena);
        w->host = arena_str(&w->host_arena, xml_attr(n, "jid"));
        return OK;
    }
    if (is_pie(n, "user")) {
        arena_reset(&w->user_arena);
        w->user = arena_str(&w->user_arena, xml_attr(n, "name"));
        w->inside_count = 0;
        return tell(w, PIE_USER, n, NULL);
    }
    if (is_frame(n))
        return OK;
    if (w->inside_count == INSIDE_MAX)
        return ERR_INVALID;
    w->inside[w->inside_count++] = keep_start(&w->user_arena, n);
    return OK;
}

static enum err left(struct walk *w, enum entered_kind kind)
{
    if (kind == ENTERED_USER) {
        enum err e = tell(w, PIE_USER_END, NULL, NULL);

        w->user = STR_NULL;
        return e;
    }
    if (kind == ENTERED_LIST && w->inside_count)
        w->inside_count--;
    return OK;
}

/* ---- files ---- */

static enum err read_file(struct walk *w, const char *path);

/* §4: a relative URI, below the folder of the file that names it. */
static enum err include(struct walk *w, const char *path, const struct xml_node *n)
{
    struct str  href = xml_attr(n, "href"), plain;
    const char *slash = strrchr(path, '/');
    char        there[PATH_BYTES_MAX];
    bool        fits;
    enum err    e;

    arena_reset(&w->arena);
    if (xml_attr(n, "parse").p || xml_attr(n, "xpointer").p || href.len == 0 || href.p[0] == '/' || memmem(href.p, href.len, "..", 2) ||
        memmem(href.p, href.len, "://", 3) || uri_path(&w->arena, arena_printf(&w->arena, "/%.*s", STR_ARG(href)), &plain) != OK)
        return tell(w, PIE_SPOILT, n, "such an include is not followed");
    if (w->includes >= PIE_INCLUDES_MAX)
        return tell(w, PIE_SPOILT, n, "too many includes in each other");
    fits = str_copy(arena_printf(&w->arena, "%.*s%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".", STR_ARG(plain)), there, sizeof there);
    if (!fits)
        return tell(w, PIE_SPOILT, n, "its name is too long");
    w->includes++;
    e = read_file(w, there);
    w->includes--;
    return e;
}

static enum err take(struct walk *w, const char *path, enum entered_kind kinds[XML_FILE_DEPTH_MAX], const struct xml_file_event *ev)
{
    switch (ev->kind) {
    case XML_FILE_ENTERED:
        kinds[ev->depth] = is_pie(ev->node, "user") ? ENTERED_USER : is_frame(ev->node) ? ENTERED_FRAME : ENTERED_LIST;
        return entered(w, ev->node);
    case XML_FILE_LEFT:
        return left(w, kinds[ev->depth]);
    case XML_FILE_SPOILT:
        return tell(w, PIE_SPOILT, ev->node, ev->why);
    case XML_FILE_ELEMENT:
        if (xml_is(ev->node, "include", NS_XINCLUDE))
            return include(w, path, ev->node);
        return tell(w, w->user.p ? PIE_ELEMENT : PIE_SPOILT, ev->node, "it stands outside of every user");
    default:
        return OK;
    }
}

static enum err read_open(struct walk *w, const char *path, int fd)
{
    struct xml_file      *f = xml_file_new(read_fd, enters, &fd, PIE_ELEMENT_BYTES_MAX);
    struct xml_file_event ev = { .kind = XML_FILE_LEFT };
    enum entered_kind     kinds[XML_FILE_DEPTH_MAX];
    enum err              e = OK;

    while (!e && ev.kind != XML_FILE_END) {
        struct arena a;         /* an include reads another file meanwhile */

        arena_init(&a);
        e = xml_file_next(f, &a, &ev);
        if (e)
            *w->why = arena_printf(w->why_arena, "\"%s\" cannot be read from byte %lld on: %s", path, (long long)xml_file_offset(f),
                                   e == ERR_UNSUPPORTED ? "it has a document type" : err_info(e)->sentence);
        else
            e = take(w, path, kinds, &ev);
        arena_done(&a);
    }
    xml_file_free(&f);
    return e;
}

static enum err read_file(struct walk *w, const char *path)
{
    int      fd = open(path, O_RDONLY | O_CLOEXEC);
    enum err e;

    if (fd < 0) {
        e = err_from_errno(errno);
        *w->why = arena_printf(w->why_arena, "could not open \"%s\": %s", path, err_info(e)->sentence);
        return e;
    }
    e = read_open(w, path, fd);
    close(fd);
    return e;
}

enum err pie_read(const char *path, pie_fn *fn, void *arg, struct arena *a, struct str *why)
{
    struct walk w = { .fn = fn, .arg = arg, .why_arena = a, .why = why };
    enum err    e;

    arena_init(&w.arena);
    arena_init(&w.host_arena);
    arena_init(&w.user_arena);
    e = read_file(&w, path);
    arena_done(&w.arena);
    arena_done(&w.host_arena);
    arena_done(&w.user_arena);
    return e;
}

static int is_xml(const struct dirent *d)
{
    return str_ends(str_of(d->d_name), STR(".xml"));
}

enum err pie_read_all(const char *path, pie_fn *fn, void *arg, struct arena *a, struct str *why)
{
    struct dirent **names;
    struct stat     st;
    int             n;
    enum err        e = OK;

    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return pie_read(path, fn, arg, a, why);
    n = scandir(path, &names, is_xml, alphasort);
    if (n < 0)
        return err_from_errno(errno);
    for (int i = 0; i < n; i++) {
        if (!e)
            e = pie_read(arena_printf(a, "%s/%s", path, names[i]->d_name).p, fn, arg, a, why);
        free(names[i]);
    }
    free(names);
    if (!e && n == 0) {
        *why = arena_printf(a, "there is no .xml file in \"%s\"", path);
        e = ERR_NOT_FOUND;
    }
    return e;
}
