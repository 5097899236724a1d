/* search.c: bongsu-search: what finding a word in 200,000 messages costs, beside SQLite's own ways.
 *
 *   build/bench/bongsu-search [--messages N] [--lines FILE] [--directory DIR]
 *
 * One person's log with 20 others, settled and indexed; each question asks for the newest page of 50, as a client does. Beside it, in
 * the same database: reading every text of that log (LIKE), and SQLite's FTS5 with its trigram tokenizer, which is what a server
 * without an index of its own would do or take. Without --lines the lines are made up: some 3,000 Korean words by Zipf's law.
 * CPU is this process's. Beside a server (tools/with-postgres) it is PostgreSQL that holds the log, and the time is what passes.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "base/log.h"
#include "base/mem.h"
#include "talk/archive.h"
#include "talk/archive_id.h"
#include "talk/feature.h"
#include "talk/search.h"

enum { OWNER = 1, PEERS = 20, LINES_MAX = 100000, PAGE = 50 };

static const uint8_t key[16] = "of the benchmark";
static const char *const asked[] = { "학교", "여행", "좋아", "사랑해", "여자친구", "밥", "ㅋㅋ", "없는낱말", "하루 친구", "가" };

static int    lines_count, messages = 200000;
static char **lines;

static double cpu_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* ---- lines ---- */

static void lines_read(const char *path)
{
    FILE *f = fopen(path, "r");
    char  line[4096];

    if (!f)
        exit((fprintf(stderr, "bongsu-search: could not read \"%s\"\n", path), 1));
    while (lines_count < LINES_MAX && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\r\n<&")] = '\0';
        lines[lines_count++] = str_dup(str_of(line));
    }
    fclose(f);
}

static int put_syllable(char *out, unsigned n)
{
    unsigned c = 0xAC00 + n % 11172;

    out[0] = (char)(0xE0 | c >> 12);
    out[1] = (char)(0x80 | (c >> 6 & 63));
    out[2] = (char)(0x80 | (c & 63));
    return 3;
}

static const char *word(unsigned rank)
{
    static char out[4][16];
    static int  turn;
    char       *w = out[turn++ % 4];
    int         n = 0;

    if (rank < 10)
        return asked[rank];
    for (unsigned i = 0; i < 1 + rank % 3; i++)
        n += put_syllable(w + n, (rank * 2654435761u >> (3 * i)) % 700 * 16);
    w[n] = '\0';
    return w;
}

static void lines_make(void)
{
    srand(4);
    for (lines_count = 0; lines_count < 20000; lines_count++) {
        char line[300] = "";

        for (int words = 1 + rand() % 6; words > 0; words--) {
            double u = (rand() + 1.0) / RAND_MAX;

            strcat(line, word((unsigned)(12.0 / (u + 0.004) - 11.9 + rand() % 25)));
            strcat(line, words > 1 ? " " : "");
        }
        lines[lines_count] = str_dup(str_of(line));
    }
}

/* ---- the log ---- */

static void must(enum err e, struct db_conn *c, const char *what)
{
    if (!e)
        return;
    fprintf(stderr, "bongsu-search: %s: %s %s\n", what, err_info(e)->sentence, c ? db_conn_error(c) : "");
    exit(1);
}

static void fill(struct db_conn *c, int from, int to)
{
    must(db_atomic_begin(c), c, "begin");
    for (int i = from; i < to; i++) {
        char               stanza[6000];
        int64_t            peer = 2 + rand() % PEERS;
        bool               sent = rand() % 2;
        int                n = snprintf(stanza, sizeof stanza,
                                        "<message from='u%d@bench.example/home' to='u%d@bench.example' id='m%d' type='chat'><body>%s</body>"
                                        "<origin-id xmlns='urn:xmpp:sid:0' id='m%d'/></message>", sent ? OWNER : (int)peer,
                                        sent ? (int)peer : OWNER, i, lines[rand() % lines_count], i);
        struct archive_put p = { .id = 1700000000000000 + i * 61000000LL, .sender = sent ? OWNER : peer, .recipient = sent ? peer : OWNER,
                                 .keeps = ARCHIVE_SENDER_KEEPS | ARCHIVE_RECIPIENT_KEEPS, .stanza = str_make(stanza, (size_t)n) };

        must(archive_write(c, &p), c, "write");
    }
    must(archive_settle(c, 1700000000000000 + to * 61000000LL), c, "settle");
    must(db_atomic_end(c, OK), c, "commit");
}

static double index_more(struct db_conn *c)
{
    double start = cpu_us();
    bool   more = true;

    while (more) {
        must(db_atomic_begin(c), c, "begin");
        must(search_step(c, key, OWNER, &more), c, "index");
        must(db_atomic_end(c, OK), c, "commit");
    }
    return cpu_us() - start;
}

static void clear(struct db_conn *c, const char *which)
{
    must(db_exec(c, which), c, "clear");
    must(db_exec(c, "DELETE FROM search_chunk WHERE segment NOT IN (SELECT segment FROM search_segment); DELETE FROM search_trash"), c, "clear");
}

/* As in life, 256 messages at a time, so that each is merged again and again. */
static double fill_and_index(struct db_conn *c)
{
    enum { AT_ONCE = 256 };
    double cpu = 0;

    srand(5);
    for (int i = 0; i < messages; i += AT_ONCE) {
        fill(c, i, i + AT_ONCE < messages ? i + AT_ONCE : messages);
        cpu += index_more(c);
    }
    clear(c, "SELECT 1");
    return cpu;
}

static int64_t number(struct db_conn *c, const char *sql)
{
    struct db_sql   q = { sql };
    struct db_stmt *s;
    int64_t         n = db_get(c, &s, &q, "") == OK ? db_i64(s, 0) : -1;

    db_done(s);
    return n;
}

/* ---- questions ---- */

static int ask_bongsu(struct db_conn *c, const char *text)
{
    struct search_query   q;
    struct archive_filter f = { .owner = OWNER, .search = &q };
    struct archive_page   page;
    struct arena          a;
    int                   count;

    arena_init(&a);
    must(search_query_read(&a, str_of(text), key, &q), NULL, "question");
    must(archive_read(c, &a, &f, PAGE, true, &page), c, "search");
    count = page.count;
    arena_done(&a);
    return count;
}

static int ask_sql(struct db_conn *c, struct db_sql *sql, struct str pattern)
{
    struct db_stmt *s = db_prepare(c, sql);
    int             count = 0;

    db_bind_str(s, 1, pattern);
    while (db_step(s) == OK)
        count++;
    db_done(s);
    return count;
}

static struct db_sql sql_like = { "SELECT l.id, m.stanza FROM log l CROSS JOIN message m ON m.id = l.id WHERE l.owner = 1 AND m.stanza LIKE ?1"
                                  " ORDER BY l.id DESC LIMIT 50" };
static struct db_sql sql_fts = { "SELECT f.rowid, m.stanza FROM fts f CROSS JOIN message m ON m.id = f.rowid WHERE f.body MATCH ?1"
                                 " ORDER BY f.rowid DESC LIMIT 50" };

enum { ROUNDS = 50 };

static double wall_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void ask_server(struct db_conn *c, const char *text)
{
    double start;
    int    found = 0;

    must(db_atomic_begin(c), c, "begin");
    ask_bongsu(c, text);
    start = wall_us();
    for (int i = 0; i < ROUNDS; i++)
        found = ask_bongsu(c, text);
    printf("| %s | %d | %.0f µs |\n", text, found, (wall_us() - start) / ROUNDS);
    must(db_atomic_end(c, OK), c, "commit");
}

static void ask_all(struct db_conn *c, const char *text)
{
    char   like[200], match[200];
    double start, bongsu, scan, fts;
    int    found, in_scan, in_fts = 0;

    snprintf(like, sizeof like, "%%<body>%%%s%%</body>%%", text);
    snprintf(match, sizeof match, "\"%s\"", text);
    must(db_atomic_begin(c), c, "begin");        /* as on the server's read workers */
    found = ask_bongsu(c, text);
    start = cpu_us();
    for (int i = 0; i < ROUNDS; i++)
        ask_bongsu(c, text);
    bongsu = (cpu_us() - start) / ROUNDS;
    start = cpu_us();
    in_scan = ask_sql(c, &sql_like, str_of(like));
    scan = cpu_us() - start;
    ask_sql(c, &sql_fts, str_of(match));
    start = cpu_us();
    for (int i = 0; i < ROUNDS; i++)
        in_fts = ask_sql(c, &sql_fts, str_of(match));
    fts = (cpu_us() - start) / ROUNDS;
    must(db_atomic_end(c, OK), c, "commit");
    printf("| %s | %d | %.0f µs | %d | %.0f µs (%.0f×) | %d | %.0f µs (%.1f×) |\n", text, found, bongsu, in_scan, scan, scan / bongsu, in_fts, fts,
           fts / bongsu);
}

static struct db_conn *database(const char *dir, struct arena *a)
{
    struct loop       *l = loop_new();
    struct db         *d = NULL;
    struct db_conn    *c = NULL;
    struct str         why = STR_NULL;
    struct str         path = arena_printf(a, "%s/bench-search.db", dir);
    struct db_settings s = { .path = path.p, .server = getenv("BONGSU_TEST_POSTGRESQL"), .schema = "bench_search" };

    unlink(path.p);
    must(db_open(l, &s, features_migrations(), &d, a, &why), NULL, "open");
    db_close(&d);
    loop_free(&l);
    must(db_conn_open(&s, true, &c, a, &why), NULL, "open");
    return c;
}

int main(int argc, char **argv)
{
    const char     *dir = "/tmp", *file = NULL;
    struct arena    a;
    struct db_conn *c;
    double          cpu, fts_cpu;
    int64_t         fts_bytes;

    lines = mem_new(sizeof *lines * LINES_MAX);
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--messages") == 0)
            messages = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--lines") == 0)
            file = argv[i + 1];
        else if (strcmp(argv[i], "--directory") == 0)
            dir = argv[i + 1];
    }
    if (file)
        lines_read(file);
    else
        lines_make();
    arena_init(&a);
    archive_id_setup(key);
    c = database(dir, &a);
    cpu = fill_and_index(c);
    printf("index, 256 at a time: %.2f µs of CPU and %.1f bytes a message and log, in %lld segments\n", cpu / messages,
           (double)number(c, "SELECT CAST(sum(length(body) + 30) AS BIGINT) FROM search_chunk") / messages,
           (long long)number(c, "SELECT count(*) FROM search_segment"));
    if (getenv("BONGSU_TEST_POSTGRESQL")) {
        must(db_exec(c, "ANALYZE"), c, "analyze");     /* as autovacuum does */
        printf("\n| newest 50 of %d messages, PostgreSQL | found | takes |\n|---|---:|---:|\n", messages);
        for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
            ask_server(c, asked[i]);
        return 0;
    }
    clear(c, "DELETE FROM search_segment");
    printf("index, made anew: %.2f µs\n", index_more(c) / messages);
    must(db_exec(c, "CREATE VIRTUAL TABLE fts USING fts5(body, content='', tokenize='trigram')"), c, "fts5");
    cpu = cpu_us();
    must(db_exec(c, "INSERT INTO fts(rowid, body) SELECT id, substr(stanza, instr(stanza, '<body>') + 6, instr(stanza, '</body>') -"
                    " instr(stanza, '<body>') - 6) FROM message"), c, "fts5");
    fts_cpu = cpu_us() - cpu;
    fts_bytes = number(c, "SELECT sum(length(block)) FROM fts_data");
    printf("FTS5 trigram: %.2f µs of CPU and %.1f bytes a message\n\n", fts_cpu / messages, (double)fts_bytes / messages);
    printf("| newest 50 of %d messages | found | Bongsu | found | LIKE | found | FTS5 trigram |\n|---|---:|---:|---:|---:|---:|---:|\n", messages);
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
        ask_all(c, asked[i]);
    db_conn_close(&c);
    arena_done(&a);
    return 0;
}
