/* kernels/text/prompt.c - see prompt.h */
#include "kernels/text/prompt.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

int prompt_init(struct prompt *p, const struct tokenizer *t, int english, char why[WHY])
{
    struct { int32_t *to; const char *name; } control[] = {
        { &p->begin, "<|startoftranscript|>" }, { &p->end, "<|endoftext|>" }, { &p->no_timestamps, "<|notimestamps|>" },
        { &p->translate, "<|translate|>" }, { &p->transcribe, "<|transcribe|>" }, { &p->previous, "<|startofprev|>" },
        { &p->no_speech, "<|nospeech|>" }, { &p->timestamp, "<|0.00|>" },
    };
    bool any = false;
    char name[40];

    p->t = t;
    for (size_t i = 0; i < sizeof control / sizeof *control; i++)
        *control[i].to = tokenizer_find(t, control[i].name);
    if (p->no_speech < 0)
        p->no_speech = tokenizer_find(t, "<|nocaptions|>");     /* as the first checkpoints spelt it */
    if (p->begin < 0 || p->end < 0 || p->no_timestamps < 0) {
        snprintf(why, WHY, "the tokenizer lacks <|startoftranscript|>, <|endoftext|> or <|notimestamps|>");
        return -1;
    }
    for (int i = 0; i < LANGUAGES; i++) {
        snprintf(name, sizeof name, "<|%s|>", language_code[i]);
        p->language[i] = tokenizer_find(t, name);
        any |= p->language[i] >= 0;
    }
    for (p->timestamps = 0; p->timestamp >= 0; p->timestamps++) {
        snprintf(name, sizeof name, "<|%d.%02d|>", (int)(p->timestamps / 50), (int)(p->timestamps % 50 * 2));
        if (tokenizer_find(t, name) != p->timestamp + p->timestamps)
            break;
    }
    /* GPT-2's own vocabulary, which only these models have, holds the end at 50256 */
    p->english = english >= 0 ? english : !any || p->end == 50256;
    return 0;
}

int prompt_prefix(const struct prompt *p, const struct prompt_ask *ask, struct tokens *out)
{
    if (tokens_reserve(out, 4))
        return -1;
    out->id[out->n++] = p->begin;
    if (ask->language >= 0)
        out->id[out->n++] = ask->language;
    if (ask->task >= 0)
        out->id[out->n++] = ask->task;
    if (!ask->timestamps)
        out->id[out->n++] = p->no_timestamps;
    return 0;
}

/* The timestamp nearest to a time. */
static int put_time(const struct prompt *p, double seconds, struct tokens *row, char why[WHY])
{
    double at = round(seconds * 50);

    if (!(at >= 0 && at < p->timestamps)) {
        snprintf(why, WHY, "a time of %g s: timestamps go from 0 to %.2f s", seconds, (p->timestamps - 1) / 50.0);
        return TEXT_BAD;
    }
    if (tokens_add(row, p->timestamp + (int32_t)at)) {
        snprintf(why, WHY, "out of memory");
        return TEXT_MEMORY;
    }
    return 0;
}

static int put_segments(const struct prompt *p, struct encoder *e, const struct transcript *x, struct tokens *row,
                        char why[WHY])
{
    double last = 0;
    int bad;

    for (size_t i = 0; i < x->segments; i++) {
        const struct segment *s = &x->segment[i];
        if (!(s->start >= last && s->end >= s->start)) {
            snprintf(why, WHY, "segment %zu goes from %g to %g s, after one that ends at %g s: times must not go back",
                     i + 1, s->start, s->end, last);
            return TEXT_BAD;
        }
        if ((bad = put_time(p, s->start, row, why)) || (bad = encode(e, s->text.s, s->text.n, ADDED_NONE, row, why)) ||
            (bad = put_time(p, s->end, row, why)))
            return bad;
        last = s->end;
    }
    return 0;
}

/* Times that the text spells must not go back either. */
static int check_times(const struct prompt *p, const struct tokens *row, size_t from, char why[WHY])
{
    int32_t last = -1;

    for (size_t i = from; i < row->n; i++) {
        int32_t at = row->id[i] - p->timestamp;
        if (p->timestamp < 0 || at < 0 || at >= p->timestamps)
            continue;
        if (at < last) {
            snprintf(why, WHY, "<|%.2f|> comes after <|%.2f|>: times must not go back", at / 50.0, last / 50.0);
            return TEXT_BAD;
        }
        last = at;
    }
    return 0;
}

static int put_previous(const struct prompt *p, struct encoder *e, const struct transcript *x, struct tokens *row,
                        char why[WHY])
{
    struct tokens said = { 0 };
    int bad = encode(e, x->previous.s, x->previous.n, ADDED_NONE, &said, why);
    size_t n = said.n < x->previous_max ? said.n : x->previous_max;

    if (!bad && p->previous < 0) {
        snprintf(why, WHY, "the tokenizer has no <|startofprev|>");
        bad = TEXT_BAD;
    }
    if (!bad && tokens_reserve(row, n + 1)) {
        snprintf(why, WHY, "out of memory");
        bad = TEXT_MEMORY;
    }
    if (!bad && n) {
        row->id[row->n++] = p->previous;
        memcpy(row->id + row->n, said.id + said.n - n, n * sizeof *row->id);
        row->n += n;
    }
    tokens_release(&said);
    return bad;
}

int prompt_row(const struct prompt *p, struct encoder *e, const struct prompt_ask *ask, const struct transcript *x,
               struct tokens *row, size_t *learnt, char why[WHY])
{
    size_t from = row->n;
    int bad = x->previous.n ? put_previous(p, e, x, row, why) : 0;

    *learnt = row->n - from + 1;
    if (!bad && prompt_prefix(p, ask, row)) {
        snprintf(why, WHY, "out of memory");
        bad = TEXT_MEMORY;
    }
    if (!bad && ask->timestamps && x->segments)
        bad = put_segments(p, e, x, row, why);
    else if (!bad)
        bad = encode(e, x->text.s, x->text.n, ask->timestamps ? ADDED_ORDINARY : ADDED_NONE, row, why);
    if (!bad && ask->timestamps)
        bad = check_times(p, row, from + *learnt, why);
    if (!bad && tokens_add(row, p->end)) {
        snprintf(why, WHY, "out of memory");
        bad = TEXT_MEMORY;
    }
    if (bad)
        row->n = from;
    return bad;
}

/* The length of "<|12.34|>" at s, or 0. */
static size_t time_size(const char *s, size_t n)
{
    size_t i = 2, digits;

    if (n < 7 || memcmp(s, "<|", 2))
        return 0;
    for (digits = i; i < n && s[i] >= '0' && s[i] <= '9'; i++)
        ;
    if (i == digits || i == n || s[i++] != '.')
        return 0;
    for (digits = i; i < n && s[i] >= '0' && s[i] <= '9'; i++)
        ;
    return i > digits && n - i >= 2 && !memcmp(s + i, "|>", 2) ? i + 2 : 0;
}

int prompt_decode(const struct prompt *p, const int32_t *ids, size_t n, struct text *out, char why[WHY])
{
    size_t start = out->n, to;
    int bad;

    if (n && ids[0] == p->previous)
        while (n && ids[0] != p->begin) {
            ids++;
            n--;
        }
    bad = decode(p->t, ids, n, true, out, why);
    if (bad)
        return bad;
    to = start;
    for (size_t i = start; i < out->n;) {       /* times go by their spelling, whatever tokens spell them */
        size_t size = out->s[i] == '<' ? time_size(out->s + i, out->n - i) : 0;
        if (size)
            i += size;
        else
            out->s[to++] = out->s[i++];
    }
    out->n = to;
    return 0;
}
