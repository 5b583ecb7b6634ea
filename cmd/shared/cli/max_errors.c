/* cmd/shared/cli/max_errors.c - see max_errors.h */
#include "cmd/shared/cli/max_errors.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST = 10 };            /* that a percentage allows */

bool max_errors_parse(const char *text, struct max_errors *m)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *m = (struct max_errors){ .percent = -1 };
    if (strchr(text, '%')) {
        m->percent = strtod(text, &end);
        return !errno && !strcmp(end, "%") && m->percent <= 100;
    }
    m->count = strtoull(text, &end, 10);
    return !errno && !*end;
}

bool max_errors_exceeded(const struct max_errors *m, uint64_t failed, uint64_t samples)
{
    if (m->percent < 0)
        return failed > m->count;
    return failed > LEAST && (double)failed > m->percent / 100 * (double)samples;
}
