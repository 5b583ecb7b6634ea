/* libcommon/stream/format/unit.c - see unit.h */
#include "libcommon/stream/format/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void unit_init(struct unit *u)
{
    *u = (struct unit){ .q = 0 };
    buf_init(&u->body, UNIT_MAX);
}

void unit_release(struct unit *u)
{
    free(u->sample);
    arena_release(&u->arena);
    buf_release(&u->body);
    unit_init(u);
}

void unit_begin(struct unit *u, uint64_t q, uint64_t epoch)
{
    u->q = q;
    u->epoch = epoch;
    u->failed = 0;
    u->k = 0;
    arena_clear(&u->arena);
    buf_clear(&u->body);
}

static int room_make(struct unit *u, size_t k, struct error *e)
{
    if (k <= u->room)
        return 0;
    if (k > UNIT_SAMPLES)
        return error_set(e, STATUS_BAD, "a unit of more than %d samples", UNIT_SAMPLES);
    size_t room = u->room ? u->room * 2 : 16;
    if (room < k)
        room = k;
    struct sample *sample = realloc(u->sample, room * sizeof *sample);
    if (!sample)
        return error_set(e, STATUS_AGAIN, "out of memory for a unit of %zu samples", k);
    u->sample = sample;
    u->room = (uint32_t)room;
    return 0;
}

struct sample *unit_add(struct unit *u, const char *id, size_t n, struct error *e)
{
    if (room_make(u, (size_t)u->k + 1, e) < 0)
        return NULL;
    struct sample *s = &u->sample[u->k];
    *s = (struct sample){ .arena = &u->arena };
    if (sample_put_str(s, "id", id, n, e) < 0)
        return NULL;
    u->k++;
    return s;
}

void unit_count(struct unit *u)
{
    u->failed = 0;
    for (uint32_t i = 0; i < u->k; i++)
        u->failed += sample_failed(&u->sample[i]);
}

/* --- reading --------------------------------------------------------------------------- */
int unit_decode(struct unit *u, uint64_t k, struct error *e)
{
    struct mp_cursor c = mp_cursor(span_of(u->body.data, u->body.size));
    struct mp_value v;
    u->k = 0;
    u->failed = 0;
    arena_clear(&u->arena);
    if (mp_read(&c, &v) < 0 || v.type != MP_MAP || v.n != 1 || mp_read(&c, &v) < 0 || !mp_str_is(&v, "samples")
        || mp_read(&c, &v) < 0 || v.type != MP_ARRAY)
        return error_set(e, STATUS_BAD, "the body is not {\"samples\": [...]}");
    if (v.n != k)
        return error_set(e, STATUS_BAD, "the body holds %u samples, its control map says %llu", v.n, (unsigned long long)k);
    if (room_make(u, k, e) < 0)
        return -1;
    for (uint32_t i = 0; i < k; i++) {
        struct span whole;
        const char *why = "no msgpack, or nested too deep";
        const uint8_t *at = c.p;
        struct sample *s = &u->sample[i];
        struct mp_value id;
        if (mp_skip(&c, &whole) == 0 && sample_read(whole, &u->arena, s, &why) == 0) {
            const struct span *value = sample_get(s, "id");
            if (value && mp_read_span(*value, &id) == 0 && id.type == MP_STR) {
                u->failed += sample_failed(s);
                continue;
            }
            why = "a sample without an 'id' that is text";
        }
        return error_set(e, STATUS_BAD, "sample %u of %llu, at byte %zu of the body: %s", i + 1, (unsigned long long)k,
                         (size_t)(at - u->body.data), why);
    }
    if (c.p != c.end)
        return error_set(e, STATUS_BAD, "%zu bytes behind the body's last sample", (size_t)(c.end - c.p));
    u->k = (uint32_t)k;
    return 0;
}

/* --- writing ------------------------------------------------------------------------------- */
enum { FAR_MIN = 4096 };        /* values below are cheaper to copy than to point at */

void gather_init(struct gather *g)
{
    *g = (struct gather){ .n = 0 };
    buf_init(&g->text, SIZE_MAX);
}

void gather_release(struct gather *g)
{
    free(g->piece);
    buf_release(&g->text);
    gather_init(g);
}

static int far_add(struct gather *g, struct span far)
{
    if (g->n == g->room) {
        size_t room = g->room ? g->room * 2 : 16;
        struct gather_piece *piece = realloc(g->piece, room * sizeof *piece);
        if (!piece)
            return -1;
        g->piece = piece;
        g->room = room;
    }
    g->piece[g->n++] = (struct gather_piece){ g->text.size, far };
    g->size += far.size;
    return 0;
}

/* -1 out of memory. */
static int unit_gather(const struct unit *u, struct gather *g, struct error *e)
{
    struct buf *b = &g->text;
    buf_clear(b);
    g->n = g->size = 0;
    mp_put_map(b, 1);
    mp_put_str(b, "samples");
    mp_put_array(b, u->k);
    for (uint32_t i = 0; i < u->k; i++) {
        const struct sample *s = &u->sample[i];
        mp_put_map(b, (uint32_t)s->n);
        for (const struct field *f = s->field, *end = f + s->n; f < end; f++) {
            mp_put_strn(b, (const char *)f->key.data, f->key.size);
            if (f->value.size < FAR_MIN)
                buf_append(b, f->value.data, f->value.size);
            else if (far_add(g, f->value) < 0)
                b->failed = true;
        }
    }
    g->size += b->size;
    return b->failed ? error_set(e, STATUS_AGAIN, "out of memory for unit %llu", (unsigned long long)u->q) : 0;
}

struct span gather_span(const struct gather *g, size_t i)
{
    if (i & 1)
        return g->piece[i / 2].far;
    size_t from = i ? g->piece[i / 2 - 1].text_end : 0;
    size_t to = i / 2 < g->n ? g->piece[i / 2].text_end : g->text.size;
    return span_of(g->text.data + from, to - from);
}

uint32_t gather_crc(const struct gather *g)
{
    uint32_t crc = 0;
    for (size_t i = 0; i < 2 * g->n + 1; i++) {
        struct span s = gather_span(g, i);
        crc = crc32c(crc, s.data, s.size);
    }
    return crc;
}

static size_t sample_size(const struct sample *s)
{
    size_t n = 5;
    for (size_t i = 0; i < s->n; i++)
        n += s->field[i].key.size + 5 + s->field[i].value.size;
    return n;
}

int unit_fit(struct unit *u, struct gather *g, const char *stage, struct error *e)
{
    if (unit_gather(u, g, e) < 0)
        return -1;
    while (g->size > UNIT_MAX) {
        uint32_t worst = 0;
        size_t most = 0;
        for (uint32_t i = 0; i < u->k; i++) {
            size_t n = sample_size(&u->sample[i]);
            if (n > most && !sample_failed(&u->sample[i])) {
                most = n;
                worst = i;
            }
        }
        if (!most)
            return error_set(e, STATUS_BAD, "unit %llu is %zu bytes, over the limit of %d", (unsigned long long)u->q,
                             g->size, UNIT_MAX);
        char why[160];
        snprintf(why, sizeof why, "a sample of about %zu bytes makes its unit %zu bytes, over the limit of %d (64 MiB)",
                 most, g->size, UNIT_MAX);
        sample_fail(&u->sample[worst], stage, why);
        if (unit_gather(u, g, e) < 0)
            return -1;
    }
    return 0;
}

int unit_encode(const struct unit *u, struct buf *body, struct error *e)
{
    struct gather g;
    gather_init(&g);
    buf_clear(body);
    int rc = unit_gather(u, &g, e);
    for (size_t i = 0; rc == 0 && i < 2 * g.n + 1; i++) {
        struct span s = gather_span(&g, i);
        buf_append(body, s.data, s.size);
    }
    if (rc == 0 && body->failed)
        rc = error_set(e, STATUS_BAD, "unit %llu is %zu bytes, over the limit of %zu", (unsigned long long)u->q, g.size,
                       body->max);
    gather_release(&g);
    return rc;
}
