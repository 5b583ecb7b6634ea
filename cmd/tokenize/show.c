/* cmd/tokenize/show.c - rows as lines of text: what is learnt stands between ⟦ and ⟧ */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/tokenize/job.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/stop.h"

/* One line a row: what would break it is escaped. */
static void put_line(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '\n')
            fputs("\\n", stdout);
        else if (c == '\t')
            fputs("\\t", stdout);
        else if (c == '\\')
            fputs("\\\\", stdout);
        else if (c < 0x20 || c == 0x7f)
            printf("\\x%02x", c);
        else
            putchar(c);
    }
}

static void put_row(const struct job *j)
{
    char why[WHY];
    struct text text = { 0 };

    for (size_t i = 0, end; i < j->ids.n; i = end) {
        for (end = i; end < j->ids.n && j->learnt[end] == j->learnt[i]; end++)
            ;
        text.n = 0;
        decode(j->t, j->ids.id + i, end - i, false, &text, why);
        fputs(j->learnt[i] ? "⟦" : "", stdout);
        put_line(text.s, text.n);
        fputs(j->learnt[i] ? "⟧" : "", stdout);
    }
    text_release(&text);
}

/* error.message of a record that failed before. */
static void put_failure(const struct sample *s)
{
    const struct span *value = sample_get(s, "error");
    struct mp_cursor c = mp_cursor(*value);
    struct mp_value v, key;

    fputs("error: ", stdout);
    if (mp_read(&c, &v) < 0 || v.type != MP_MAP)
        return;
    for (uint32_t i = 0; i < v.n; i++) {
        struct span item;
        struct mp_value text;
        if (mp_read(&c, &key) < 0 || mp_skip(&c, &item) < 0)
            return;
        if (mp_str_is(&key, "message") && mp_read_span(item, &text) == 0 && text.type == MP_STR)
            put_line((const char *)text.bytes.data, text.bytes.size);
    }
}

static int show_sample(struct job *j, struct sample *s, uint64_t epoch, struct error *e)
{
    struct span id = sample_id(s);
    bool came_failed = sample_failed(s);
    int rc = came_failed ? 0 : job_sample(j, s, epoch, e);

    if (rc < 0 && e->status == STATUS_AGAIN)
        return -1;
    put_line((const char *)id.data, id.size);
    fputs(": ", stdout);
    if (rc < 0) {
        fputs("error: ", stdout);
        put_line(e->text, strlen(e->text));
    } else if (sample_failed(s)) {
        put_failure(s);
    } else {
        put_row(j);
    }
    putchar('\n');
    return 0;
}

static int show_stream(struct job *j, struct stream_in *in, struct unit *u, struct error *e)
{
    for (;;) {
        enum stream_event event = stream_next(in, u, e);
        if (event == STREAM_FAILED)
            return -1;
        if (event == STREAM_EOF)
            return 0;
        for (uint32_t i = 0; event == STREAM_UNIT && i < u->k; i++)
            if (show_sample(j, &u->sample[i], u->epoch, e) < 0)
                return -1;
        if (ferror(stdout))
            return errno == EPIPE ? 0 : error_set(e, error_errno_status(errno), "standard output: %s", strerror(errno));
        if (stop_asked())
            return error_set(e, STATUS_AGAIN, "stopped by a signal");
    }
}

int show_run(struct job *j, const struct common *c)
{
    struct error e = { .status = STATUS_OK };
    struct unit u;
    struct stream_in *in;
    int rc = -1;

    stop_install();
    unit_init(&u);
    in = stream_in_open(c->in, &e);
    if (in)
        rc = show_stream(j, in, &u, &e);
    stream_in_close(in);
    unit_release(&u);
    if (fflush(stdout) && rc == 0 && errno != EPIPE)
        rc = error_set(&e, error_errno_status(errno), "standard output: %s", strerror(errno));
    if (rc < 0)
        warn("%s", e.text);
    return rc < 0 ? e.status : STATUS_OK;
}
