/* tests/unit/lp1_worker_test.c - a worker that no HEAD ever answers gives up, and not before its time */
#include "libcommon/stream/lp1/worker.h"
#include "libcommon/sys/error.h"
#include "tests/unit/tap.h"

static bool on_send(void *ctx, enum lp1_link to, const struct lp1_message *m) { return (void)ctx, (void)to, (void)m, false; }
static void on_reset(void *ctx, enum lp1_link which) { (void)ctx, (void)which; }
static void on_header(void *ctx, void *body) { (void)ctx, (void)body; }
static void on_run(void *ctx, const struct lp1_unit *u) { (void)ctx, (void)u; }

/* Seconds after which it gives up, ticked every quarter second from `start` on the clock. */
static double patience(double start)
{
    struct lp1_worker *w = lp1_worker_new(1, 2, "host",
                                          &(struct lp1_worker_out){ NULL, on_send, on_reset, on_header, on_run, on_header });
    int status = 0;
    double t = 0;
    while (t < 3 * LP1_ALONE && !lp1_worker_fatal(w, &status)) {
        lp1_worker_tick(w, start + t);
        t += 0.25;
    }
    ok(status == STATUS_AGAIN || t >= 3 * LP1_ALONE, "and another try may help (status %d)", status);
    lp1_worker_free(w);
    return t;
}

int main(void)
{
    double young = patience(0.5), old = patience(5e5);
    ok(fabs(young - LP1_ALONE) < 5, "a worker without a head gives up after 600 seconds (after %.2f)", young);
    ok(fabs(old - LP1_ALONE) < 5, "also on a machine that has been up for days (after %.2f)", old);
    return done();
}
