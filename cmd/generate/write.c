/* cmd/generate/write.c - one line of JSON a sample: id, text, reference, tokens */
#include <errno.h>
#include <string.h>

#include "cmd/generate/job.h"
#include "libcommon/sys/text.h"

static void put(struct buf *b, const char *key, const char *text)
{
    buf_printf(b, ", \"%s\": ", key);
    if (text)
        text_put_json(b, text, strlen(text));
    else
        buf_printf(b, "null");
}

static int text_put(const struct job *j, struct buf *b, const char *key, const int32_t *ids, size_t n, char why[WHY])
{
    struct text text = { 0 };
    int rc = j->speech ? prompt_decode(&j->prompt, ids, n, &text, why) : decode(j->tokenizer, ids, n, true, &text, why);
    buf_printf(b, "\"%s\": ", key);
    text_put_json(b, text.s ? text.s : "", text.n);
    text_release(&text);
    return rc;
}

/* What was said between two times; the last may be open. */
static int segments_put(const struct job *j, struct buf *b, const struct generate_row *a, char why[WHY])
{
    const int32_t first = j->prompt.timestamp;
    size_t from = 0, written = 0;
    int32_t start = -1;
    int rc = 0;
    buf_printf(b, ", \"segments\": [");
    for (size_t i = 0; rc == 0 && i <= a->n; i++) {
        bool time = i < a->n && a->token[i] >= first;
        if (i < a->n && !time)
            continue;
        if (i > from) {
            buf_printf(b, "%s{\"start\": %.2f, \"end\": ", written++ ? ", " : "", start < 0 ? 0.0 : (double)start * 0.02);
            if (time)
                buf_printf(b, "%.2f, ", (double)(a->token[i] - first) * 0.02);
            else
                buf_printf(b, "null, ");
            rc = text_put(j, b, "text", a->token + from, i - from, why);
            buf_printf(b, "}");
        }
        start = time ? a->token[i] - first : -1;
        from = i + 1;
    }
    buf_printf(b, "]");
    return rc;
}

static int answer_put(struct job *j, struct buf *b, const struct row *r, const struct generate_row *a, char why[WHY])
{
    buf_printf(b, ", ");
    int rc = text_put(j, b, "text", a->token, a->n, why);
    put(b, "reference", r->reference);
    buf_printf(b, ", \"tokens\": [");
    for (size_t i = 0; i < a->n; i++)
        buf_printf(b, "%s%d", i ? ", " : "", a->token[i]);
    if (a->ended)
        buf_printf(b, "%s%d", a->n ? ", " : "", a->end);
    buf_printf(b, "]");
    if (r->language >= 0)
        put(b, "language", language_code[r->language]);
    if (rc == 0 && j->timestamps)
        rc = segments_put(j, b, a, why);
    if (!a->ended)
        buf_printf(b, ", \"cut\": true");
    j->tokens += a->n + a->ended;
    return rc;
}

int row_write(struct job *j, const struct row *r, const struct generate_row *answer, struct error *e)
{
    struct buf b;
    char why[WHY];
    int rc = 0;
    buf_init(&b, 16 << 20);
    buf_printf(&b, "{\"id\": ");
    text_put_json(&b, r->id, strlen(r->id));
    if (answer) {
        rc = answer_put(j, &b, r, answer, why);
    } else {
        buf_printf(&b, ", \"error\": {\"stage\": ");
        text_put_json(&b, r->stage ? r->stage : "", r->stage ? strlen(r->stage) : 0);
        put(&b, "message", r->error);
        buf_printf(&b, "}");
    }
    buf_printf(&b, "}\n");
    if (rc < 0)
        error_set(e, STATUS_BAD, "row '%s': %s", r->id, why);
    else if (b.failed)
        rc = error_set(e, STATUS_AGAIN, "out of memory");
    else if (fwrite(b.data, 1, b.size, j->out) != b.size)
        rc = error_set(e, STATUS_AGAIN, "cannot write the output: %s", strerror(errno));
    buf_release(&b);
    return rc;
}
