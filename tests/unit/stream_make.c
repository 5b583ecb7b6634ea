/* tests/unit/stream_make.c - see stream_make.h */
#include "stream_make.h"
#include "libcommon/stream/filter.h"
#include "libcommon/sys/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const uint8_t stream_make_run[16] = "0123456789abcdef";

struct clips { uint32_t k; size_t bytes; };      /* of each unit, of each */

static int clips_make(void *ctx, struct unit *u, uint64_t q, struct error *e)
{
    const struct clips *c = ctx;
    uint32_t k = c->k;
    size_t bytes = c->bytes;
    float *pcm = calloc(bytes / 4 + 1, sizeof *pcm);
    for (uint32_t i = 0; i < k; i++) {
        char id[40];
        snprintf(id, sizeof id, "clip-%llu-%u", (unsigned long long)q, i);
        struct sample *s = unit_add(u, id, strlen(id), e);
        struct array a = { .type = ARRAY_F32, .rank = 1, .shape = { bytes / 4 }, .data = span_of(pcm, bytes / 4 * 4) };
        for (size_t j = 0; j < bytes / 4; j++)
            pcm[j] = (float)(j % 100) / 100;
        if (!s || sample_put_array(s, "pcm", &a, e) < 0 || sample_put_int(s, "rate", 16000, e) < 0
            || sample_put_str(s, "text", "gr\xc3\xbc\xc3\x9f dich", 11, e) < 0) {
            free(pcm);
            return -1;
        }
        if (q % 5 == 4 && i == 0)
            sample_fail(s, "audio-decode", "no sound in it");
    }
    free(pcm);
    return 0;
}

int stream_make_of(const char *to, const struct stage *st, uint64_t samples, uint64_t first, uint64_t units,
                   int (*fill)(void *ctx, struct unit *u, uint64_t q, struct error *e), void *ctx, struct error *e)
{
    struct header h;
    struct unit u;
    struct stream_out *out = stream_out_open(to, e);
    if (!out)
        return -1;
    stream_out_batch(out);
    unit_init(&u);
    header_init(&h);
    int rc = header_make(&h, stream_make_run, samples, 1, st, e) < 0 || stream_put_header(out, &h, e) < 0 ? -1 : 0;
    for (uint64_t q = first; rc == 0 && q < first + units; q++) {
        unit_begin(&u, q, 0);
        rc = fill(ctx, &u, q, e) < 0 || stream_put_unit(out, &u, e) < 0 ? -1 : 0;
    }
    if (rc == 0)
        rc = stream_put_end(out, e);
    struct error late;
    int closed = stream_out_close(out, rc ? &late : e);
    unit_release(&u);
    header_release(&h);
    return rc ? rc : closed;
}

int stream_make(const char *to, uint64_t units, uint32_t k, size_t bytes, uint64_t first, struct error *e)
{
    struct clips c = { k, bytes };
    struct stage st;
    stage_init(&st, "stream-make");
    stage_put_int(&st, "bytes", (int64_t)bytes);
    int rc = stream_make_of(to, &st, units * k, first, units, clips_make, &c, e);
    stage_release(&st);
    return rc;
}

static int same(void *ctx, struct sample *s, uint64_t epoch, struct error *e)
{
    (void)ctx, (void)s, (void)epoch, (void)e;
    return 0;
}

static int flip(void *ctx, struct sample *s, uint64_t epoch, struct error *e)
{
    uint64_t *n = ctx;
    if (++*n % 3 == 0)
        return error_set(e, STATUS_BAD, "the third is never good");
    return sample_put_int(s, "flipped", (int64_t)epoch, e);
}

int stream_tool(int argc, char **argv)
{
    struct error e = { 0, "" };
    if (!strcmp(argv[1], "make") && argc >= 5) {
        log_open("stream-make");
        int rc = stream_make(NULL, strtoull(argv[2], NULL, 10), (uint32_t)strtoul(argv[3], NULL, 10),
                             strtoull(argv[4], NULL, 10), argc > 5 ? strtoull(argv[5], NULL, 10) : 0, &e);
        if (rc < 0)
            die(e.status, "%s", e.text);
        return 0;
    }
    static const struct opt none[] = { { .name = NULL } };
    bool flips = !strcmp(argv[1], "flip");
    struct program p = { flips ? "flip" : "pass", NULL, 0, 0, "a filter for tests", none };
    struct common c = { 0 };
    opt_parse(&p, &c, 0, argc - 1, argv + 1);
    uint64_t n = 0;
    struct stage st;
    stage_init(&st, p.name);
    struct filter f = { .ctx = &n, .stage = &st, .sample = flips ? flip : same };
    int status = filter_run(&f, &c);
    stage_release(&st);
    return status;
}
