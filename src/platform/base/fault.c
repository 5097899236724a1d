/* fault.c: see fault.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/fault.h"
#include "base/str.h"
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

enum { POINTS_MAX = 16, PLACE_BYTES_MAX = 40 };

struct point {
    char     place[PLACE_BYTES_MAX];
    uint64_t passed, nth;
    enum err error;
    bool     kill, each, fired, armed;
};

bool                   fault_any_armed;
static struct point    points[POINTS_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int armed_count(void)
{
    int count = 0;

    for (int i = 0; i < POINTS_MAX; i++)
        count += points[i].armed;
    return count;
}

static void any_armed(void) { __atomic_store_n(&fault_any_armed, armed_count() > 0, __ATOMIC_RELAXED); }

enum err fault_hit(const char *place)
{
    enum err e = OK;

    pthread_mutex_lock(&lock);
    for (int i = 0; i < POINTS_MAX; i++) {
        struct point *p = &points[i];

        if (!p->armed || strcmp(p->place, place) != 0)
            continue;
        p->passed++;
        if (p->nth != 0 && (p->each ? p->passed % p->nth != 0 : p->passed != p->nth))
            continue;
        p->fired = true;
        if (p->kill)
            raise(SIGKILL);
        e = p->error;
    }
    pthread_mutex_unlock(&lock);
    return e;
}

static bool arm(struct str place, struct point how)
{
    bool done = false;

    pthread_mutex_lock(&lock);
    for (int i = 0; i < POINTS_MAX && !done; i++) {
        if (points[i].armed)
            continue;
        points[i] = how;
        points[i].armed = done = str_copy(place, points[i].place, PLACE_BYTES_MAX);
        if (!done)
            break;
    }
    any_armed();
    pthread_mutex_unlock(&lock);
    return done;
}

void fault_arm(const char *place, int nth, enum err e)
{
    bool done;

    fault_disarm(place);
    done = arm(str_of(place), (struct point){ .nth = (uint64_t)nth, .error = e });
    assert(done);
}

bool fault_disarm(const char *place)
{
    bool fired = false;

    pthread_mutex_lock(&lock);
    for (int i = 0; i < POINTS_MAX; i++) {
        if (!points[i].armed || strcmp(points[i].place, place) != 0)
            continue;
        fired |= points[i].fired;
        points[i].armed = false;
    }
    any_armed();
    pthread_mutex_unlock(&lock);
    return fired;
}

static bool error_named(struct str name, enum err *out)
{
    for (int e = OK + 1; e < ERR_COUNT; e++) {
        if (str_is(name, err_info((enum err)e)->name)) {
            *out = (enum err)e;
            return true;
        }
    }
    return false;
}

/* "place=3:io", "place=%3:io", "place=kill@100"; nothing is armed unless all of it is right. */
static bool parse_one(struct str one, bool really)
{
    struct str   place = str_split(&one, '=');
    struct str   head = one;
    struct point how = { .error = OK };
    size_t       skip;

    if (place.len == 0 || place.len >= PLACE_BYTES_MAX)
        return false;
    if (str_starts(head, STR("kill@")))
        how.kill = true;
    how.each = str_starts(head, STR("%"));
    if (!how.kill)
        head = str_split(&one, ':');
    skip = how.kill ? 5 : how.each;
    return str_to_u64(str_make(head.p + skip, head.len - skip), &how.nth) && (!how.each || how.nth) && (how.kill || error_named(one, &how.error)) && (!really || arm(place, how));
}

enum err fault_arm_text(const char *text)
{
    int room = POINTS_MAX - armed_count();

    for (int really = 0; really < 2; really++) {
        struct str rest = str_of(text);

        for (int n = 0; rest.len; n++)
            if (n >= room || !parse_one(str_trim(str_split(&rest, ',')), really))
                return ERR_INVALID;
    }
    return OK;
}
