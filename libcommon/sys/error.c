/* libcommon/sys/error.c - see error.h */
#include "libcommon/sys/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *e, int status, const char *fmt, ...)
{
    if (!e)
        return -1;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    e->status = status;
    return -1;
}

int error_memory(struct error *e) { return error_set(e, STATUS_AGAIN, "out of memory"); }

int error_prefix(struct error *e, const char *fmt, ...)
{
    if (!e)
        return -1;
    char text[sizeof e->text];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof text - 3)
        return -1;
    snprintf(text + n, sizeof text - (size_t)n, ": %.*s", (int)(sizeof text - (size_t)n - 3), e->text);
    memcpy(e->text, text, sizeof text);
    return -1;
}

int error_errno_status(int err)
{
    switch (err) {
    case ENOENT: case EACCES: case EPERM: case EISDIR: case ENOTDIR: case EROFS:
    case ENAMETOOLONG: case ELOOP: case EINVAL: case ENODEV: case ENXIO:
        return STATUS_BAD;
    default:
        return STATUS_AGAIN;
    }
}
