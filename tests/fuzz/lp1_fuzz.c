/* tests/fuzz/lp1_fuzz.c - frames from a hostile peer: what is read is written the same, and no role falls over it
 *
 * The bytes are frames, each after a byte that says to which role and connection
 * it goes and two that say its length. */
#include <stdlib.h>
#include <string.h>

#include "libcommon/stream/lp1/head.h"
#include "libcommon/stream/lp1/tail.h"
#include "libcommon/stream/lp1/worker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool peer_send(void *ctx, uint64_t peer, const struct lp1_message *m) { return (void)ctx, (void)m, peer != 3; }
static void body_free(void *ctx, void *body) { (void)ctx; free(body); }
static bool to_head(void *ctx, const struct lp1_message *m) { return (void)ctx, (void)m, true; }
static void reset(void *ctx) { (void)ctx; }
static bool to_worker(void *ctx, uint64_t peer, const struct lp1_message *m) { return (void)ctx, (void)m, peer != 3; }
static bool header(void *ctx, void *body) { return (void)ctx, body != NULL; }
static void ignore(void *ctx, void *body) { (void)ctx, (void)body; }
static bool link_send(void *ctx, enum lp1_link to,
                      const struct lp1_message *m) { return (void)ctx, (void)to, (void)m, true; }
static void link_reset(void *ctx, enum lp1_link which) { (void)ctx, (void)which; }
static void run(void *ctx, const struct lp1_unit *u) { (void)ctx; free(u->body); }

static void frame_check(const struct lp1_message *m)
{
    static struct lp1_message again;
    struct buf b;
    bool version;
    const char *why;
    buf_init(&b, 1 << 16);
    lp1_message_write(m, &b);
    if (b.size <= LP1_CONTROL_MAX && (b.failed || lp1_message_read(span_of(b.data, b.size), &again, &version,
                                                                   &why) < 0 || again.t != m->t))
        abort();
    buf_release(&b);
}

/* What the frames behind would be. */
static void bodies_make(struct lp1_message *m)
{
    m->header = lp1_message_may_carry(m->t) && !m->nunit ? malloc(1) : NULL;
    for (size_t i = 0; i < m->nunit; i++) {
        m->unit[i].n &= 0xffff;
        m->unit[i].body = malloc(1);
    }
}

static void bodies_free(struct lp1_message *m)
{
    free(m->header);
    for (size_t i = 0; i < m->nunit; i++)
        free(m->unit[i].body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct lp1_message m;
    static const uint8_t plan[16] = "plan", none[16];
    char *head_header = malloc(1);
    struct lp1_head *h = lp1_head_new(plan, 1, head_header, 1 << 20, &(struct lp1_head_out){ NULL, peer_send, body_free });
    struct lp1_tail *t = lp1_tail_new(none, 1, 0, LP1_TAIL, 1 << 20,
                                      &(struct lp1_tail_out){ NULL, to_head, reset, to_worker, header, ignore, body_free });
    struct lp1_worker *w = lp1_worker_new(1, 4, "fuzz",
                                          &(struct lp1_worker_out){ NULL, link_send, link_reset, ignore, run, body_free });
    double now = 0;
    while (size >= 3) {
        unsigned to = data[0];
        size_t n = (size_t)data[1] | (size_t)data[2] << 8;
        bool version;
        const char *why;
        uint64_t q;
        data += 3, size -= 3;
        if (n > size)
            n = size;
        if (lp1_message_read(span_of(data, n), &m, &version, &why) == 0) {
            frame_check(&m);
            bodies_make(&m);
            if (to % 4 == 0)
                lp1_head_message(h, 1 + to / 64, &m, now);
            else if (to % 4 == 1)
                lp1_tail_from_head(t, &m, now);
            else if (to % 4 == 2)
                lp1_tail_from_worker(t, 1 + to / 64, &m, now);
            else
                lp1_worker_message(w, (enum lp1_link)(to / 128), &m, now);
            bodies_free(&m);
        }
        for (int i = 0; i < 4 && lp1_head_wants(h, &q); i++)
            lp1_head_put(h, &(struct lp1_unit){ .q = q, .k = 1, .n = 100, .c = 1, .body = malloc(1) });
        lp1_head_flush(h, now);
        now += to / 64;
        lp1_head_tick(h, now);
        lp1_tail_flush(t, now);
        lp1_tail_tick(t, now);
        lp1_worker_flush(w, now);
        lp1_worker_tick(w, now);
        struct lp1_unit u;
        if (lp1_tail_take(t, &u))
            free(u.body);
        data += n, size -= n;
    }
    lp1_head_free(h);
    lp1_tail_free(t);
    lp1_worker_free(w);
    free(head_header);
    return 0;
}
