/* cmd/tokenize/whisper.c - a row of speech: language, task, times, what was said before */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/shared/text/tokens.h"
#include "cmd/tokenize/job.h"

/* A number in [0, 1) that depends on nothing but the seed, the epoch, the row's id and what is asked. */
static double chance(const struct job *j, const struct sample *s, uint64_t epoch, uint64_t ask)
{
    struct span id = sample_id(s);
    uint64_t h = 0xcbf29ce484222325u ^ (uint64_t)j->seed * 0x9e3779b97f4a7c15u;

    h = (h ^ epoch) * 0x100000001b3u;
    h = (h ^ ask) * 0x100000001b3u;
    for (size_t i = 0; i < id.size; i++)
        h = (h ^ id.data[i]) * 0x100000001b3u;
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9u;        /* splitmix64's finish */
    h = (h ^ h >> 27) * 0x94d049bb133111ebu;
    h ^= h >> 31;
    return (double)(h >> 11) * 0x1p-53;
}

/* 1 with *to; 0: the row does not say. */
static int row_flag(const struct sample *s, const char *key, bool *to, struct error *e)
{
    static const char *const yes[] = { "true", "True", "TRUE", "1", "yes" },
                      *const no[] = { "false", "False", "FALSE", "0", "no", "" };
    struct span value;
    struct mp_value v;
    int64_t number;

    if (!column_get(s, key, &value) || mp_read_span(value, &v) < 0 || v.type == MP_NIL)
        return 0;
    if (v.type == MP_BOOL) {
        *to = v.b;
        return 1;
    }
    if (mp_to_i64(&v, &number) && (number == 0 || number == 1)) {
        *to = number != 0;
        return 1;
    }
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (mp_str_is(&v, yes[i]))
            return *to = true;
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (mp_str_is(&v, no[i])) {
            *to = false;
            return 1;
        }
    return error_set(e, STATUS_BAD, "'%s' is neither true nor false", key);
}

/* One segment: a map with start, end and text. */
static int segment_read(struct mp_cursor *c, size_t number, struct segment *to, struct error *e)
{
    struct mp_value v, key, item;
    int got = 0;

    if (mp_read(c, &v) < 0 || v.type != MP_MAP)
        return error_set(e, STATUS_BAD, "segment %zu is no map of start, end and text", number);
    for (uint32_t i = 0; i < v.n; i++) {
        struct span value;
        if (mp_read(c, &key) < 0 || mp_skip(c, &value) < 0 || mp_read_span(value, &item) < 0)
            return error_set(e, STATUS_BAD, "segment %zu is damaged", number);
        if (mp_str_is(&key, "start") && mp_to_real(&item, &to->start))
            got |= 1;
        else if (mp_str_is(&key, "end") && mp_to_real(&item, &to->end))
            got |= 2;
        else if (mp_str_is(&key, "text") && item.type == MP_STR) {
            to->text = str_of((const char *)item.bytes.data, item.bytes.size);
            got |= 4;
        }
    }
    if (got != 7)
        return error_set(e, STATUS_BAD, "segment %zu lacks a start and end in seconds, or a text", number);
    return 0;
}

static int segments_read(const struct sample *s, struct transcript *x, struct error *e)
{
    struct span value;
    struct mp_value v;
    struct mp_cursor c;
    struct segment *segment;

    if (!column_get(s, "segments", &value))
        return 0;
    c = mp_cursor(value);
    if (mp_read(&c, &v) < 0 || (v.type != MP_ARRAY && v.type != MP_NIL))
        return error_set(e, STATUS_BAD, "'segments' is no list");
    if (v.type == MP_NIL || !v.n)
        return 0;
    segment = arena_alloc(s->arena, v.n * sizeof *segment);
    if (!segment)
        return error_memory(e);
    for (uint32_t i = 0; i < v.n; i++)
        if (segment_read(&c, i + 1, &segment[i], e) < 0)
            return -1;
    x->segment = segment;
    x->segments = v.n;
    return 0;
}

/* A row without a text of its own is the sum of its segments, and travels on with it. */
static int text_join(struct sample *s, struct transcript *x, struct error *e)
{
    size_t n = 0;
    char *to;

    for (size_t i = 0; i < x->segments; i++)
        n += x->segment[i].text.n + 1;
    to = arena_alloc(s->arena, n + 1);
    if (!to)
        return error_memory(e);
    x->text.s = to;
    for (size_t i = 0; i < x->segments; i++) {
        struct str t = x->segment[i].text;
        if (i && t.n && t.s[0] != ' ')
            *to++ = ' ';
        if (t.n)
            memcpy(to, t.s, t.n);
        to += t.n;
    }
    x->text.n = (size_t)(to - x->text.s);
    return sample_put_str(s, "text", x->text.s, x->text.n, e);
}

/* Are there times in it at all? */
static bool timed(const struct transcript *x)
{
    for (size_t i = 0; i + 6 < x->text.n; i++)
        if (x->text.s[i] == '<' && x->text.s[i + 1] == '|' && x->text.s[i + 2] >= '0' && x->text.s[i + 2] <= '9')
            return true;
    return x->segments > 0;
}

static int transcript_read(struct job *j, struct sample *s, uint64_t epoch, struct transcript *x, struct error *e)
{
    struct span text;
    int got = sample_str(s, "text", &text, e);

    *x = (struct transcript){ .previous_max = (size_t)j->limit / 2 - 1 };
    if (got < 0 || segments_read(s, x, e) < 0)
        return -1;
    if (got)
        x->text = str_of((const char *)text.data, text.size);
    else if (!x->segments)
        return error_set(e, STATUS_BAD, "no 'text'");
    else if (text_join(s, x, e) < 0)
        return -1;
    if (chance(j, s, epoch, 2) < j->previous_probability && column_str(s, "previous_text", &x->previous, e) < 0)
        return -1;
    return 0;
}

static int ask_read(struct job *j, const struct sample *s, uint64_t epoch, const struct transcript *x,
                    struct prompt_ask *ask, struct error *e)
{
    struct str language, task = { "", 0 };
    int index = j->default_language, got = column_str(s, "language", &language, e), flag;

    *ask = (struct prompt_ask){ -1, -1, false };
    if (got < 0 || (got && (index = language_read(&j->prompt, language, e)) < 0))
        return -1;
    got = column_str(s, "task", &task, e);
    if (got < 0)
        return -1;
    if (!got && j->task)
        task = str_of(j->task, strlen(j->task));
    bool translate = str_is(task, "translate");
    if (task.n && !translate && !str_is(task, "transcribe"))
        return error_set(e, STATUS_BAD, "task '%.*s' is neither transcribe nor translate",
                         (int)(task.n < 60 ? task.n : 60), task.s);
    if (translate && j->prompt.english)
        return error_set(e, STATUS_BAD, "task translate: this model knows English only");
    if (!j->prompt.english) {
        if (index >= 0)
            ask->language = j->prompt.language[index];
        else
            j->no_language++;
        if (index >= 0 || task.n)
            ask->task = translate ? j->prompt.translate : j->prompt.transcribe;
    }
    flag = row_flag(s, "timestamps", &ask->timestamps, e);
    if (flag < 0)
        return -1;
    if (!flag)                          /* in a mixture, rows without times are plain ones */
        ask->timestamps = j->mixed ? timed(x) && chance(j, s, epoch, 1) < j->timestamp_probability : j->timestamps;
    if (ask->timestamps && x->text.n && !timed(x))
        j->untimed++;
    return 0;
}

/* A time that is none of the model's would be learnt as the letters that spell it. */
static int times_check(const struct prompt *p, struct str text, struct error *e)
{
    const char *end = text.s + text.n;

    for (const char *s = text.s; s < end && (s = memchr(s, '<', (size_t)(end - s))); s++) {
        char word[32], time[48];
        int size = 0;
        snprintf(word, sizeof word, "%.*s", (int)(end - s < 31 ? end - s : 31), s);
        if (sscanf(word, "<|%*[0-9].%*[0-9]|>%n", &size) < 0 || !size)
            continue;
        double at = round(strtod(word + 2, NULL) * 50);
        snprintf(time, sizeof time, "<|%.2f|>", at / 50);
        if (!(at < p->timestamps) || strncmp(word, time, (size_t)size))
            return error_set(e, STATUS_BAD, "%.*s is no timestamp of this model: they go from <|0.00|> to <|%.2f|> in steps "
                                            "of 0.02", size, word, (p->timestamps - 1) / 50.0);
    }
    return 0;
}

int whisper_row(struct job *j, struct sample *s, uint64_t epoch, struct error *e)
{
    struct transcript x;
    struct prompt_ask ask;
    char why[WHY];
    size_t learnt, most = (size_t)j->max_length;
    int bad, rc;

    if (transcript_read(j, s, epoch, &x, e) < 0 || ask_read(j, s, epoch, &x, &ask, e) < 0 ||
        (ask.timestamps && !x.segments && times_check(&j->prompt, x.text, e) < 0))
        return -1;
    bad = prompt_row(&j->prompt, j->e, &ask, &x, &j->ids, &learnt, why);
    if (bad)
        return text_error(bad, why, e);
    if (j->ids.n - 1 > most) {          /* labels are the row without its first */
        rc = over_long(j, j->ids.n - 1, most, e);
        if (rc <= 0)
            return rc;
        j->cut++;
        j->ids.n = most + 1;            /* without an end: the speech goes on */
    }
    if (learnt >= j->ids.n)
        return error_set(e, STATUS_BAD, "nothing of it is learnt: what was said before fills the row");
    return learnt_from(j, learnt, e) < 0 ? -1 : 1;
}
