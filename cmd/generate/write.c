/* cmd/generate/write.c - one line of JSON a sample: id, text, reference, tokens */
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
    text_put_json(b, text.s, text.n);
    text_release(&text);
    return rc;
}

/* What was said, and when. */
static int segments_put(const struct job *j, struct buf *b, const struct row *r, char why[WHY])
{
    int rc = 0;
    buf_printf(b, ", \"segments\": [");
    for (size_t i = 0; rc == 0 && i < r->utterances; i++) {
        const struct utterance *u = r->utterance + i;
        buf_printf(b, "%s{\"start\": %.2f, \"end\": %.2f, ", i ? ", " : "", u->start, u->end);
        rc = text_put(j, b, "text", r->said.id + u->from, u->n, why);
        buf_printf(b, "}");
    }
    buf_printf(b, "]");
    return rc;
}

static int answer_put(struct job *j, struct buf *b, const struct row *r, char why[WHY])
{
    buf_printf(b, ", ");
    int rc = text_put(j, b, "text", r->said.id, r->said.n, why);
    buf_printf(b, ", \"reference\": ");
    if (r->referenced)
        text_put_json(b, r->reference.s, r->reference.n);
    else
        buf_printf(b, "null");
    buf_printf(b, ", \"tokens\": [");
    for (size_t i = 0; i < r->said.n; i++)
        buf_printf(b, "%s%d", i ? ", " : "", r->said.id[i]);
    if (r->ended)
        buf_printf(b, "%s%d", r->said.n ? ", " : "", r->end);
    buf_printf(b, "]");
    if (r->language >= 0)
        put(b, "language", language_code[r->language]);
    if (rc == 0 && r->timestamps && j->speech)
        rc = segments_put(j, b, r, why);
    if (!r->ended)
        buf_printf(b, ", \"cut\": true");
    j->tokens += r->said.n + r->ended;
    return rc;
}

int row_write(struct job *j, const struct row *r, struct error *e)
{
    struct buf b;
    char why[WHY];
    int rc = 0;
    buf_init(&b, 16 << 20);
    buf_printf(&b, "{\"id\": ");
    text_put_json(&b, r->id.s ? r->id.s : "", r->id.n);
    if (!r->error) {
        rc = answer_put(j, &b, r, why);
    } else {
        buf_printf(&b, ", \"error\": {\"stage\": ");
        text_put_json(&b, r->stage ? r->stage : "", r->stage ? strlen(r->stage) : 0);
        put(&b, "message", r->error);
        buf_printf(&b, "}");
    }
    buf_printf(&b, "}\n");
    if (rc < 0)
        error_set(e, STATUS_BAD, "row '%.*s': %s", (int)(r->id.n < 200 ? r->id.n : 200), r->id.s, why);
    else if (b.failed)
        rc = error_memory(e);
    else
        rc = text_out_put(&j->out, b.data, b.size, e);
    buf_release(&b);
    return rc;
}
