/* cmd/tokenize/row.c - what both kinds of rows share: errors, marks of what is learnt, the policy for long ones */
#include <string.h>

#include "cmd/tokenize/job.h"

int text_error(int bad, const char *why, struct error *e)
{
    return error_set(e, bad == TEXT_MEMORY ? STATUS_AGAIN : STATUS_BAD, "%s", why);
}

int learnt_from(struct job *j, size_t from, struct error *e)
{
    if (grow(&j->learnt, &j->learnt_room, 0, j->ids.n + 1, 1))
        return error_memory(e);
    memset(j->learnt, 0, from);
    memset(j->learnt + from, 1, j->ids.n - from);
    return 0;
}

int over_long(struct job *j, size_t n, size_t most, struct error *e)
{
    if (!strcmp(j->over_long, "cut"))
        return 1;
    error_set(e, STATUS_BAD, "%zu tokens, but at most %zu are taken (--over-long cut or drop would go on)", n, most);
    return *j->over_long == 'd' ? 0 : -1;
}
