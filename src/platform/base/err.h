/* err.h: what went wrong, said so that the caller knows what it can do.
 * One table in err.c maps each value to a stanza error (RFC 6120 §8.3.3),
 * an HTTP status and a plain sentence; handlers invent no others.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once

enum err {
    OK = 0,
    ERR_INVALID,      /* mend the input: malformed or not allowed by its standard */
    ERR_NOT_FOUND,    /* what was asked for does not exist */
    ERR_EXISTS,       /* it is there already */
    ERR_DENIED,       /* known, but may not */
    ERR_UNAUTHORIZED, /* not known: log in */
    ERR_UNSUPPORTED,  /* a feature this server does not have */
    ERR_LIMIT,        /* a bound was reached: slow down, try again later */
    ERR_FULL,         /* no room on the disk: try again later */
    ERR_UNAVAILABLE,  /* the other party or service is away: try again later */
    ERR_TIMEOUT,      /* no answer in time */
    ERR_UNCERTAIN,    /* the answer was lost: safe to repeat with the same key */
    ERR_CLOSED,       /* the connection or object is closed */
    ERR_AGAIN,        /* not complete yet: call again with more */
    ERR_IO,           /* disk or network failed */
    ERR_BUG,          /* our own mistake, survived */
    ERR_COUNT
};

struct err_info {
    const char *name;       /* "limit", for logs and metrics */
    const char *sentence;   /* "a limit was reached", for people */
    const char *condition;  /* "resource-constraint", RFC 6120 §8.3.3 */
    const char *type;       /* "wait", RFC 6120 §8.3.2 */
    int         http_status;
};

/* Never NULL; an unknown value reads as ERR_BUG. */
const struct err_info *err_info(enum err e);
/* Maps errno to the nearest value: ENOSPC/EDQUOT → ERR_FULL, … */
enum err err_from_errno(int errnum);
