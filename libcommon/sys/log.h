/* libcommon/sys/log.h - one line on stderr, prefixed with the program's name
 *
 * Every line is one write(2), so that lines of a pipeline do not mix.  Bytes
 * that a terminal would obey (newlines in ids, escapes) are shown escaped. */
#ifndef PENSTOCK_LOG_H
#define PENSTOCK_LOG_H

#include <stdint.h>

enum log_level { LOG_QUIET = -1, LOG_NORMAL = 0, LOG_VERBOSE = 1 };

void log_open(const char *program);         /* keeps the pointer; call first in main */
void log_level_set(enum log_level level);
const char *log_program(void);

void warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));      /* always */
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));      /* not with -q */
void debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));     /* with -v */
/* One of many alike, of which n were told before: the first NOTES_ALIKE are notes, the others debug.
 * `further` is what a note says once, when they begin: that they are named with -v. */
enum { NOTES_ALIKE = 10 };
void note_alike(uint64_t n, const char *further, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* warn, then exit(status).  For cmd/ only. */
_Noreturn void die(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A progress line that redraws itself; nothing unless stderr is a terminal and
 * not -q.  At most five times a second, except the last (final = 1). */
void progress_line(int final, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
