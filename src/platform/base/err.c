/* err.c: the one table of what each error means to people and protocols.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/err.h"
#include <errno.h>

static const struct err_info table[ERR_COUNT] = {
    [OK]               = { "ok", "it worked", "undefined-condition", "cancel", 200 },
    [ERR_INVALID]      = { "invalid", "the request is not valid", "bad-request", "modify", 400 },
    [ERR_NOT_FOUND]    = { "not_found", "there is no such thing", "item-not-found", "cancel", 404 },
    [ERR_EXISTS]       = { "exists", "it exists already", "conflict", "cancel", 409 },
    [ERR_DENIED]       = { "denied", "this is not allowed", "forbidden", "auth", 403 },
    [ERR_UNAUTHORIZED] = { "unauthorized", "log in first", "not-authorized", "auth", 401 },
    [ERR_UNSUPPORTED]  = { "unsupported", "this server does not do that", "feature-not-implemented", "cancel", 501 },
    [ERR_LIMIT]        = { "limit", "a limit was reached, try again later", "resource-constraint", "wait", 429 },
    [ERR_FULL]         = { "full", "the disk is full, try again later", "resource-constraint", "wait", 507 },
    [ERR_UNAVAILABLE]  = { "unavailable", "a part of the service is away, try again later", "internal-server-error", "wait", 503 },
    [ERR_TIMEOUT]      = { "timeout", "no answer came in time, try again", "remote-server-timeout", "wait", 504 },
    [ERR_UNCERTAIN]    = { "uncertain", "the answer was lost, repeating is safe", "internal-server-error", "wait", 503 },
    [ERR_CLOSED]       = { "closed", "the connection is closed", "recipient-unavailable", "wait", 503 },
    [ERR_AGAIN]        = { "again", "it is not complete yet", "internal-server-error", "wait", 503 },
    [ERR_IO]           = { "io", "the disk or the network failed, try again later", "internal-server-error", "wait", 503 },
    [ERR_BUG]          = { "bug", "the server made a mistake", "internal-server-error", "cancel", 500 },
};

const struct err_info *err_info(enum err e)
{
    return (unsigned)e < ERR_COUNT ? &table[e] : &table[ERR_BUG];
}

enum err err_from_errno(int errnum)
{
    switch (errnum) {
    case 0:
        return OK;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return ERR_FULL;
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case EEXIST:
    case EADDRINUSE:
        return ERR_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_DENIED;
    case EINVAL:
    case ENAMETOOLONG:
        return ERR_INVALID;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
        return ERR_LIMIT;
    case EAGAIN:
    case EINTR:
        return ERR_AGAIN;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return ERR_UNAVAILABLE;
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
    case ENOTCONN:
        return ERR_CLOSED;
    default:
        return ERR_IO;
    }
}
