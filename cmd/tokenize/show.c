/* cmd/tokenize/show.c - rows as lines of text: what is learnt stands between ⟦ and ⟧ */
#include <string.h>

#include "cmd/tokenize/job.h"
#include "libcommon/cli/text_out.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/stop.h"

/* One line a row: what would break it is escaped. */
static void line_put(struct buf *b, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        const char *escape = c == '\n' ? "\\n" : c == '\t' ? "\\t" : c == '\\' ? "\\\\" : NULL;
        if (escape)
            buf_append(b, escape, 2);
        else if (c < 0x20 || c == 0x7f)
            buf_printf(b, "\\x%02x", c);
        else
            buf_append(b, &c, 1);
    }
}

static void row_put(struct buf *b, const struct job *j)
{
    char why[WHY];
    struct text text = { 0 };

    for (size_t i = 0, end; i < j->ids.n; i = end) {
        for (end = i; end < j->ids.n && j->learnt[end] == j->learnt[i]; end++)
            ;
        text.n = 0;
        decode(j->t, j->ids.id + i, end - i, false, &text, why);
        buf_printf(b, "%s", j->learnt[i] ? "⟦" : "");
        line_put(b, text.s, text.n);
        buf_printf(b, "%s", j->learnt[i] ? "⟧" : "");
    }
    text_release(&text);
}

static int sample_put(struct buf *b, struct job *j, struct sample *s, uint64_t epoch, struct error *e)
{
    struct span id = sample_id(s);
    struct sample_error what;
    int rc = sample_failed(s) ? 0 : job_sample(j, s, epoch, e);

    if (rc < 0 && e->status == STATUS_AGAIN)
        return -1;
    line_put(b, (const char *)id.data, id.size);
    buf_printf(b, ": ");
    if (rc < 0) {
        buf_printf(b, "error: ");
        line_put(b, e->text, strlen(e->text));
    } else if (sample_error(s, &what)) {
        buf_printf(b, "error: ");
        line_put(b, (const char *)what.message.data, what.message.size);
    } else {
        row_put(b, j);
    }
    buf_printf(b, "\n");
    return 0;
}

static int stream_show(struct job *j, struct stream_in *in, struct unit *u, struct text_out *out, struct error *e)
{
    struct buf b;
    int rc = 0;
    enum stream_event event = STREAM_HEADER;
    buf_init(&b, SIZE_MAX);
    while (rc == 0 && (event = stream_next(in, u, e)) != STREAM_EOF && event != STREAM_FAILED) {
        buf_clear(&b);
        for (uint32_t i = 0; rc == 0 && event == STREAM_UNIT && i < u->k; i++)
            rc = sample_put(&b, j, &u->sample[i], u->epoch, e);
        if (rc == 0)
            rc = b.failed ? error_memory(e) : text_out_put(out, b.data, b.size, e);
        if (rc == 0 && stop_asked())
            rc = error_set(e, STATUS_AGAIN, "stopped by a signal");
    }
    buf_release(&b);
    return event == STREAM_FAILED ? -1 : rc;
}

int show_run(struct job *j, const struct common *c)
{
    struct error e = { .status = STATUS_OK }, late;
    struct text_out out;
    struct unit u;
    struct stream_in *in;
    int rc = -1;

    stop_install();
    unit_init(&u);
    in = stream_in_open(c->in, &e);
    if (in && text_out_open(&out, c->out, &e) == 0) {
        rc = stream_show(j, in, &u, &out, &e);
        if (text_out_close(&out, rc ? &late : &e) < 0)
            rc = -1;
    }
    stream_in_close(in);
    unit_release(&u);
    if (rc < 0 && e.status != STATUS_OK)
        warn("%s", e.text);
    return rc < 0 ? e.status : STATUS_OK;
}
