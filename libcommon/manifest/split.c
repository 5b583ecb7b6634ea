/* libcommon/manifest/split.c - see split.h */
#include "libcommon/manifest/split.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const double ROUNDING = 1e-6;    /* of times that a piece's length is the difference of */

static double real_of(const json_t *v, double otherwise)
{
    double x = json_number_value(v);
    if (json_is_string(v) && json_string_length(v)) {
        char *end;
        x = strtod(json_string_value(v), &end);
        return *end ? otherwise : x;
    }
    return json_is_number(v) ? x : otherwise;
}

struct span_of_time { double start, end; };

static struct span_of_time times_of(const json_t *segments, size_t i)
{
    const json_t *s = json_array_get(segments, i);
    return (struct span_of_time){ real_of(json_object_get(s, "start"), NAN), real_of(json_object_get(s, "end"), NAN) };
}

static int check(const json_t *segments, struct error *e)
{
    double last = 0;
    for (size_t i = 0; i < json_array_size(segments); i++) {
        struct span_of_time t = times_of(segments, i);
        if (!json_is_string(json_object_get(json_array_get(segments, i), "text")) || isnan(t.start) || isnan(t.end))
            return error_set(e, STATUS_BAD, "too long, and not cut: segment %zu lacks a start and end in seconds, or "
                                            "a text", i + 1);
        if (!(t.start >= last && t.end >= t.start && isfinite(t.end)))
            return error_set(e, STATUS_BAD, "too long, and not cut: segment %zu goes from %g to %g s, after one that "
                                            "ends at %g s", i + 1,
                             t.start, t.end, last);
        last = t.end;
    }
    return 0;
}

/* The first segment behind the piece that begins with `from`. */
static size_t piece_end(const struct split *s, const json_t *segments, size_t from)
{
    double start = times_of(segments, from).start;
    size_t i = from + 1;
    while (i < json_array_size(segments) && times_of(segments, i).end - start <= s->most + ROUNDING)
        i++;
    return i;
}

int64_t split_count(const struct split *s, const json_t *row, struct error *e)
{
    const json_t *segments = json_object_get(row, "segments");
    size_t n = json_array_size(segments);
    int64_t pieces = 0;
    if (!n)
        return 0;
    double seconds = real_of(json_object_get(row, s->duration), 0);
    for (size_t i = 0; i < n; i++)
        seconds = fmax(seconds, times_of(segments, i).end);
    if (!(seconds > s->most + ROUNDING))
        return 0;
    if (check(segments, e) < 0)
        return -1;
    for (size_t at = 0; at < n; at = piece_end(s, segments, at))
        pieces++;
    return pieces;
}

/* The texts of segments [from, end), with a blank between where they bring none. */
static json_t *text_join(const json_t *segments, size_t from, size_t end)
{
    size_t n = 0;
    for (size_t i = from; i < end; i++)
        n += json_string_length(json_object_get(json_array_get(segments, i), "text")) + 1;
    char *text = malloc(n + 1), *to = text;
    if (!text)
        return NULL;
    for (size_t i = from; i < end; i++) {
        const json_t *t = json_object_get(json_array_get(segments, i), "text");
        size_t length = json_string_length(t);
        if (i > from && length && *json_string_value(t) != ' ')
            *to++ = ' ';
        memcpy(to, json_string_value(t), length);
        to += length;
    }
    json_t *joined = json_stringn(text, (size_t)(to - text));
    free(text);
    return joined;
}

/* Segments [from, end) with times from the first one's start. */
static json_t *segments_cut(const json_t *segments, size_t from, size_t end)
{
    double start = times_of(segments, from).start;
    json_t *list = json_array();
    for (size_t i = from; i < end; i++) {
        struct span_of_time t = times_of(segments, i);
        json_t *copy = json_copy(json_array_get(segments, i));
        json_object_set_new(copy, "start", json_real(t.start - start));
        json_object_set_new(copy, "end", json_real(t.end - start));
        json_array_append_new(list, copy);
    }
    return list;
}

static const char *text_column(const struct split *s, const json_t *row)
{
    for (const char *const *name = s->texts; *name; name++)
        if (json_is_string(json_object_get(row, *name)))
            return *name;
    return *s->texts;
}

int split_piece(const struct split *s, json_t *row, size_t k, const char *name, struct error *e)
{
    json_t *segments = json_incref(json_object_get(row, "segments"));
    size_t before = 0, from = 0, end = piece_end(s, segments, 0);
    for (size_t i = 0; i < k; i++) {
        before = from;
        from = end;
        end = piece_end(s, segments, from);
    }
    double start = times_of(segments, from).start, length = times_of(segments, end - 1).end - start;
    double offset = real_of(json_object_get(row, "offset"), 0);
    int bad = json_object_set_new(row, s->id, json_sprintf("%s#%zu", name, k + 1)) ||
              json_object_set_new(row, text_column(s, row), text_join(segments, from, end)) ||
              json_object_set_new(row, "offset", json_real(offset + start)) ||
              json_object_set_new(row, s->duration, json_real(length)) ||
              json_object_set_new(row, "segments", segments_cut(segments, from, end)) ||
              (k && json_object_set_new(row, "previous_text", text_join(segments, before, from)));
    json_decref(segments);
    return bad ? error_memory(e) : 0;
}
