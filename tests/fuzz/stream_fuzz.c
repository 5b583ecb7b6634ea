/* tests/fuzz/stream_fuzz.c - a stream of any bytes: read to its end, each field tried as everything, shown */
#include "libcommon/stream/format/control.h"
#include "libcommon/stream/show.h"
#include "libcommon/stream/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void sample_try(struct sample *s)
{
    struct error e;
    struct span span;
    struct array a;
    double real;
    int64_t i;
    for (size_t k = 0; k < s->n; k++) {
        char key[64];
        if (s->field[k].key.size >= sizeof key || memchr(s->field[k].key.data, 0, s->field[k].key.size))
            continue;
        memcpy(key, s->field[k].key.data, s->field[k].key.size);
        key[s->field[k].key.size] = 0;
        sample_str(s, key, &span, &e);
        sample_bin(s, key, &span, &e);
        sample_real(s, key, &real, &e);
        sample_int(s, key, &i, &e);
        if (sample_array(s, key, &a, &e) == 1 && array_count(&a))
            real = array_at(&a, array_count(&a) - 1);
    }
}

/* A unit that was read must be written and read again as it was. */
static void unit_again(const struct unit *u)
{
    struct error e;
    struct unit back;
    unit_init(&back);
    if (unit_encode(u, &back.body, &e) == 0 && (unit_decode(&back, u->k, &e) < 0 || back.failed != u->failed))
        abort();
    unit_release(&back);
}

static void unit_try(struct unit *u)
{
    struct buf text;
    buf_init(&text, 1 << 24);
    unit_again(u);
    for (uint32_t i = 0; i < u->k; i++) {
        sample_try(&u->sample[i]);
        show_sample(&text, &u->sample[i], &(struct show){ .values = 3 });
        buf_clear(&text);
    }
    buf_release(&text);
}

/* The parts without their checksums, which a fuzzer seldom gets right. */
static void parts_try(struct span bytes)
{
    struct error e;
    struct control c;
    struct header h;
    struct unit u;
    control_read(bytes, &c, &e);
    header_init(&h);
    struct stage st;
    stage_init(&st, "x");
    if (header_read(&h, bytes, &e) == 0 && header_append(&h, &st, &e) < 0 && h.map.size < HEADER_MAX / 2)
        abort();
    stage_release(&st);
    header_release(&h);
    unit_init(&u);
    for (uint64_t k = 0; k < 4; k++) {
        buf_clear(&u.body);
        buf_append(&u.body, bytes.data, bytes.size);
        if (unit_decode(&u, k, &e) == 0)
            unit_try(&u);
    }
    unit_release(&u);
}

static void stream_try(struct span bytes)
{
    int fds[2];
    struct error e;
    char spec[40];
    if (bytes.size > 60000 || pipe(fds) < 0)            /* what a pipe holds without a reader */
        return;
    bool sent = write(fds[1], bytes.data, bytes.size) == (ssize_t)bytes.size;
    close(fds[1]);
    snprintf(spec, sizeof spec, "/dev/fd/%d", fds[0]);
    struct stream_in *in = sent ? stream_in_open(spec, &e) : NULL;
    struct unit u;
    unit_init(&u);
    enum stream_event event = STREAM_EOF;
    while (in && (event = stream_next(in, &u, &e)) > STREAM_EOF)
        if (event == STREAM_UNIT)
            unit_try(&u);
    if (in && event == STREAM_FAILED && (!e.text[0] || (e.status != STATUS_BAD && e.status != STATUS_AGAIN)))
        abort();
    stream_in_close(in);
    unit_release(&u);
    close(fds[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    parts_try(span_of(data, n));
    stream_try(span_of(data, n));
    return 0;
}
