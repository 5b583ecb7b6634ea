/* cmd/wer/report.c - the result of wer, as JSON and as text */
#include <string.h>

#include "cmd/wer/score.h"
#include "libcommon/sys/text.h"

static void json_text(struct buf *b, const char *key, const char *text, size_t n)
{
    buf_printf(b, "\"%s\": ", key);
    text_put_json(b, text, n);
}

void report_json(struct buf *b, const struct score *s)
{
    const struct wer_count *w = &s->words, *c = &s->characters;
    buf_printf(b, "{\"wer\": ");
    text_put_json_real(b, wer_rate(w));
    buf_printf(b, ", \"cer\": ");
    text_put_json_real(b, wer_rate(c));
    buf_printf(b, ", \"substitutions\": %llu, \"deletions\": %llu, \"insertions\": %llu, \"words\": %llu",
               (unsigned long long)w->substitutions,
               (unsigned long long)w->deletions, (unsigned long long)w->insertions, (unsigned long long)wer_length(w));
    buf_printf(b, ", \"character_errors\": %llu, \"characters\": %llu", (unsigned long long)wer_errors(c),
               (unsigned long long)wer_length(c));
    buf_printf(b, ", \"rows\": %llu, \"failed\": %llu, \"unscored\": %llu, ", (unsigned long long)s->rows,
               (unsigned long long)s->failed, (unsigned long long)s->unscored);
    const char *name = normalizer_name(s->normalizer.kind);
    json_text(b, "normalizer", name, strlen(name));
    buf_printf(b, ", \"spelling\": %s, \"languages\": [", s->spelling.n ? "true" : "false");
    for (size_t i = 0; i < s->n_languages; i++) {
        const struct language *l = &s->language[i];
        buf_printf(b, "%s{", i ? ", " : "");
        json_text(b, "language", l->code, strlen(l->code));
        buf_printf(b, ", \"wer\": ");
        text_put_json_real(b, wer_rate(&l->words));
        buf_printf(b, ", \"cer\": ");
        text_put_json_real(b, wer_rate(&l->characters));
        buf_printf(b, ", \"words\": %llu, \"rows\": %llu}", (unsigned long long)wer_length(&l->words),
                   (unsigned long long)l->rows);
    }
    buf_printf(b, "], \"worst\": [");
    for (size_t i = 0; i < s->n_worst; i++) {
        const struct row *r = &s->worst[i];
        buf_printf(b, "%s{", i ? ", " : "");
        json_text(b, "id", r->id, strlen(r->id));
        buf_printf(b, ", \"errors\": %llu, \"words\": %llu, ", (unsigned long long)wer_errors(&r->words),
                   (unsigned long long)wer_length(&r->words));
        json_text(b, "reference", r->reference.s ? r->reference.s : "", r->reference.n);
        buf_printf(b, ", ");
        json_text(b, "text", r->text.s ? r->text.s : "", r->text.n);
        buf_printf(b, "}");
    }
    buf_printf(b, "]}\n");
}

void report_text(struct buf *b, const struct score *s)
{
    const struct wer_count *w = &s->words, *c = &s->characters;
    buf_printf(b, "WER %.2f %%: %llu errors in %llu words (%llu substitutions, %llu deletions, %llu insertions)\n",
               100 * wer_rate(w),
               (unsigned long long)wer_errors(w), (unsigned long long)wer_length(w), (unsigned long long)w->substitutions,
               (unsigned long long)w->deletions, (unsigned long long)w->insertions);
    buf_printf(b, "CER %.2f %%: %llu errors in %llu characters\n", 100 * wer_rate(c), (unsigned long long)wer_errors(c),
               (unsigned long long)wer_length(c));
    bool english = s->normalizer.kind == NORMALIZER_ENGLISH;
    buf_printf(b, "normalizer %s%s; %llu rows compared", normalizer_name(s->normalizer.kind),
               !english ? "" : s->spelling.n ? ", with spellings" : ", without spellings",
                   (unsigned long long)(s->rows - s->failed - s->unscored));
    if (s->failed)
        buf_printf(b, ", %llu failed", (unsigned long long)s->failed);
    if (s->unscored)
        buf_printf(b, ", %llu without a reference", (unsigned long long)s->unscored);
    buf_printf(b, "\n");
    for (size_t i = 0; s->n_languages > 1 && i < s->n_languages; i++) {
        const struct language *l = &s->language[i];
        text_put_json(b, l->code, strlen(l->code));
        buf_printf(b, ": WER %.2f %%, CER %.2f %%, %llu rows\n", 100 * wer_rate(&l->words), 100 * wer_rate(&l->characters),
                   (unsigned long long)l->rows);
    }
    for (size_t i = 0; i < s->n_worst; i++) {
        const struct row *r = &s->worst[i];
        buf_printf(b, "%s", i ? "  " : "worst rows:\n  ");
        text_put_json(b, r->id, strlen(r->id));
        buf_printf(b, ": %llu of %llu\n    reference ", (unsigned long long)wer_errors(&r->words),
                   (unsigned long long)wer_length(&r->words));
        text_put_json(b, r->reference.s ? r->reference.s : "", r->reference.n);
        buf_printf(b, "\n    text      ");
        text_put_json(b, r->text.s ? r->text.s : "", r->text.n);
        buf_printf(b, "\n");
    }
}
