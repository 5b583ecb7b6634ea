/* libcommon/sys/error.h - what went wrong, in one line, and whether trying again may help
 *
 * Libraries return; only cmd/ decides to leave.  A function that can fail for a
 * reason worth telling takes a struct error and returns -1 (or NULL) after
 * filling it.  Wording: what failed first, subject in quotes, lower case, no
 * full stop, the remedy or the system's reason last. */
#ifndef PENSTOCK_ERROR_H
#define PENSTOCK_ERROR_H

enum status {
    STATUS_OK = 0,
    STATUS_FAILED_RECORDS = 1,  /* done, but more records failed than allowed */
    STATUS_BAD = 100,           /* usage, input, configuration: do not retry */
    STATUS_AGAIN = 111,         /* peer, system, signal: trying again may help */
};

struct error {
    int status;                 /* STATUS_BAD or STATUS_AGAIN */
    char text[1000];
};

/* Fills e and returns -1, so that `return error_set(...)` reads well.  e may be NULL. */
int error_set(struct error *e, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The commonest: STATUS_AGAIN, "out of memory"; returns -1. */
int error_memory(struct error *e);
/* Puts "prefix: " in front of what e says; returns -1. */
int error_prefix(struct error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* STATUS_BAD for errno values that retrying cannot mend (ENOENT, EACCES, ...), else STATUS_AGAIN. */
int error_errno_status(int err);

#endif
