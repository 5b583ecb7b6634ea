/* libcommon/sys/log.c - see log.h */
#include "libcommon/sys/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/sys/clock.h"

static const char *program = "penstock";
static enum log_level level = LOG_NORMAL;
static bool line_drawn;

void log_open(const char *name) { program = name; }
void log_level_set(enum log_level l) { level = l; }
const char *log_program(void) { return program; }

/* Control bytes become \n, \t or \xHH: what a file says must not move the cursor. */
static size_t escape(char *to, size_t room, const char *from)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    for (const unsigned char *s = (const unsigned char *)from; *s && n + 4 < room; s++) {
        if (*s >= 0x20 && *s != 0x7f) {
            to[n++] = (char)*s;
            continue;
        }
        to[n++] = '\\';
        if (*s == '\n' || *s == '\t' || *s == '\r') {
            to[n++] = *s == '\n' ? 'n' : *s == '\t' ? 't' : 'r';
        } else {
            to[n++] = 'x';
            to[n++] = hex[*s >> 4];
            to[n++] = hex[*s & 15];
        }
    }
    return n;
}

static void emit(const char *fmt, va_list ap)
{
    char text[3000], line[4096];
    vsnprintf(text, sizeof text, fmt, ap);
    size_t n = (size_t)snprintf(line, 200, "%s%s: ", line_drawn ? "\r\033[K" : "", program);
    line_drawn = false;
    n += escape(line + n, sizeof line - n - 1, text);
    line[n++] = '\n';
    ssize_t done = write(STDERR_FILENO, line, n);
    (void)done;                             /* nowhere left to complain */
}

void warn(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    emit(fmt, ap);
    va_end(ap);
}

void note(const char *fmt, ...)
{
    if (level < LOG_NORMAL)
        return;
    va_list ap;
    va_start(ap, fmt);
    emit(fmt, ap);
    va_end(ap);
}

void debug(const char *fmt, ...)
{
    if (level < LOG_VERBOSE)
        return;
    va_list ap;
    va_start(ap, fmt);
    emit(fmt, ap);
    va_end(ap);
}

void note_alike(uint64_t n, const char *further, const char *fmt, ...)
{
    bool hidden = n >= NOTES_ALIKE && level < LOG_VERBOSE;
    if (hidden && n == NOTES_ALIKE)
        note("%s", further);
    if (hidden || level < LOG_NORMAL)
        return;
    va_list ap;
    va_start(ap, fmt);
    emit(fmt, ap);
    va_end(ap);
}

_Noreturn void die(int status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    emit(fmt, ap);
    va_end(ap);
    exit(status);
}

void progress_line(int final, const char *fmt, ...)
{
    static int terminal = -1;
    static double last;
    if (terminal < 0)
        terminal = isatty(STDERR_FILENO);
    if (!terminal || level < LOG_NORMAL)
        return;
    double now = clock_seconds();
    if (!final && now - last < 0.2)
        return;
    last = now;
    char text[300], line[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    int n = snprintf(line, sizeof line, "\r\033[K%s: %s%s", program, text, final ? "\n" : "");
    line_drawn = !final;
    ssize_t done = write(STDERR_FILENO, line, (size_t)n);
    (void)done;
}
