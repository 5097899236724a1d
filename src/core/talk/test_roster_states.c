/* test_roster_states.c: the subscription tables of RFC 6121 Appendix A, row by row.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/test.h"
#include "talk/subscription.h"

/* The nine states of Appendix A.1, in its order. */
enum { NONE, NONE_OUT, NONE_IN, NONE_OUT_IN, TO, TO_IN, FROM, FROM_OUT, BOTH, STATES };
static const uint8_t bits[STATES] = {
    [NONE] = 0, [NONE_OUT] = STATE_OUT, [NONE_IN] = STATE_IN, [NONE_OUT_IN] = STATE_OUT | STATE_IN,
    [TO] = STATE_TO, [TO_IN] = STATE_TO | STATE_IN, [FROM] = STATE_FROM, [FROM_OUT] = STATE_FROM | STATE_OUT,
    [BOTH] = STATE_TO | STATE_FROM,
};

struct table { bool pass[STATES]; uint8_t next[STATES]; };

static void check_table(struct test *t, bool out, enum stanza_type type, const struct table *want)
{
    for (int i = 0; i < STATES; i++) {
        struct subscription_step step = out ? subscription_outbound(bits[i], type) : subscription_inbound(bits[i], type);

        bool                     passes = CHECK_INT(t, want->pass[i], step.pass);

        if (!CHECK_INT(t, bits[want->next[i]], step.state & ~STATE_APPROVED) || !passes)
            fprintf(stderr, "  in row %d\n", i);
    }
}

static void out_subscribe(struct test *t)       /* A.2.1 */
{
    check_table(t, true, TYPE_SUBSCRIBE, &(struct table){ { 1, 1, 1, 1, 1, 1, 1, 1, 1 },
        { NONE_OUT, NONE_OUT, NONE_OUT_IN, NONE_OUT_IN, TO, TO_IN, FROM_OUT, FROM_OUT, BOTH } });
}

static void out_unsubscribe(struct test *t)     /* A.2.2 */
{
    check_table(t, true, TYPE_UNSUBSCRIBE, &(struct table){ { 1, 1, 1, 1, 1, 1, 1, 1, 1 },
        { NONE, NONE, NONE_IN, NONE_IN, NONE, NONE_IN, FROM, FROM, FROM } });
}

static void out_subscribed(struct test *t)      /* A.2.3 */
{
    check_table(t, true, TYPE_SUBSCRIBED, &(struct table){ { 0, 0, 1, 1, 0, 1, 0, 0, 0 },
        { NONE, NONE_OUT, FROM, FROM_OUT, TO, BOTH, FROM, FROM_OUT, BOTH } });
}

static void out_unsubscribed(struct test *t)    /* A.2.4 */
{
    check_table(t, true, TYPE_UNSUBSCRIBED, &(struct table){ { 0, 0, 1, 1, 0, 1, 1, 1, 1 },
        { NONE, NONE_OUT, NONE, NONE_OUT, TO, TO, NONE, NONE_OUT, TO } });
}

static void in_subscribe(struct test *t)        /* A.3.1 */
{
    check_table(t, false, TYPE_SUBSCRIBE, &(struct table){ { 1, 1, 0, 0, 1, 0, 0, 0, 0 },
        { NONE_IN, NONE_OUT_IN, NONE_IN, NONE_OUT_IN, TO_IN, TO_IN, FROM, FROM_OUT, BOTH } });
}

static void in_unsubscribe(struct test *t)      /* A.3.2 */
{
    check_table(t, false, TYPE_UNSUBSCRIBE, &(struct table){ { 0, 0, 1, 1, 0, 1, 1, 1, 1 },
        { NONE, NONE_OUT, NONE, NONE_OUT, TO, TO, NONE, NONE_OUT, TO } });
}

static void in_subscribed(struct test *t)       /* A.3.3 */
{
    check_table(t, false, TYPE_SUBSCRIBED, &(struct table){ { 0, 1, 0, 1, 0, 0, 0, 1, 0 },
        { NONE, TO, NONE_IN, TO_IN, TO, TO_IN, FROM, BOTH, BOTH } });
}

static void in_unsubscribed(struct test *t)     /* A.3.4 */
{
    check_table(t, false, TYPE_UNSUBSCRIBED, &(struct table){ { 0, 1, 0, 1, 1, 1, 0, 1, 1 },
        { NONE, NONE, NONE_IN, NONE_IN, NONE, NONE_IN, FROM, FROM, FROM } });
}

/* §3.1.3: who may see us already is answered at once. */
static void a_subscriber_is_answered_again(struct test *t)
{
    CHECK(t, subscription_inbound(STATE_FROM, TYPE_SUBSCRIBE).reply);
    CHECK(t, subscription_inbound(STATE_TO | STATE_FROM, TYPE_SUBSCRIBE).reply);
    CHECK(t, !subscription_inbound(STATE_TO, TYPE_SUBSCRIBE).reply);
}

/* §3.4: yes said beforehand answers the request, once. */
static void approval_beforehand_answers_the_request(struct test *t)
{
    struct subscription_step step = subscription_outbound(0, TYPE_SUBSCRIBED);

    CHECK_INT(t, STATE_APPROVED, step.state);
    CHECK(t, !step.pass);
    step = subscription_inbound(step.state, TYPE_SUBSCRIBE);
    CHECK(t, step.reply && !step.pass);
    CHECK_INT(t, STATE_FROM, step.state);
}

static void approval_beforehand_can_be_taken_back(struct test *t)
{
    struct subscription_step step = subscription_outbound(STATE_APPROVED | STATE_TO, TYPE_UNSUBSCRIBED);

    CHECK_INT(t, STATE_TO, step.state);
    CHECK(t, !step.pass);
}

TEST_MAIN(TEST(out_subscribe), TEST(out_unsubscribe), TEST(out_subscribed), TEST(out_unsubscribed),
          TEST(in_subscribe), TEST(in_unsubscribe), TEST(in_subscribed), TEST(in_unsubscribed),
          TEST(a_subscriber_is_answered_again), TEST(approval_beforehand_answers_the_request),
          TEST(approval_beforehand_can_be_taken_back))
