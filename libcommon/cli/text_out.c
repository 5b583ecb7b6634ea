/* libcommon/cli/text_out.c - see text_out.h */
#include "libcommon/cli/text_out.h"

#include <errno.h>
#include <string.h>

static int failed(const struct text_out *t, struct error *e)
{
    return error_set(e, errno == EPIPE ? STATUS_OK : error_errno_status(errno), "cannot write %s: %s", t->name,
                     strerror(errno));
}

int text_out_open(struct text_out *t, const char *spec, struct error *e)
{
    if (!spec || !strcmp(spec, "-")) {
        *t = (struct text_out){ stdout, "standard output" };
        return 0;
    }
    snprintf(t->name, sizeof t->name, "'%s'", spec);
    return (t->file = fopen(spec, "we")) ? 0 : failed(t, e);
}

int text_out_put(struct text_out *t, const void *text, size_t n, struct error *e)
{
    return !n || fwrite(text, 1, n, t->file) == n ? 0 : failed(t, e);
}

int text_out_flush(struct text_out *t, struct error *e)
{
    return fflush(t->file) == 0 ? 0 : failed(t, e);
}

int text_out_close(struct text_out *t, struct error *e)
{
    int bad = 0;
    if (t->file)
        bad = text_out_flush(t, e);
    if (t->file && t->file != stdout && fclose(t->file) == EOF && !bad)
        bad = failed(t, e);
    t->file = NULL;
    return bad;
}
