/* libcommon/store/http/retry.c - see retry.h */
#include "libcommon/store/http/retry.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "libcommon/sys/clock.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/stop.h"

enum { FIRST_PATIENCE = 15 };
static const double first_wait = 0.25, longest_wait = 32;

static atomic_uint told;

static double patience(void)
{
    const char *text = getenv("PENSTOCK_STORE_PATIENCE");
    double n = text ? strtod(text, NULL) : 0;
    return n > 0 ? n : 300;
}

static double uniform(void)
{
    static atomic_uint_fast64_t state;
    uint64_t x = atomic_fetch_add(&state, 0x9e3779b97f4a7c15) ^ (uint64_t)getpid() << 32 ^ (uint64_t)(clock_seconds() * 1e9);
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return (double)((x ^ x >> 31) >> 11) * 0x1p-53;
}

void retry_begin(struct retry *t, const char *subject)
{
    *t = (struct retry){ .subject = subject, .progress = clock_seconds() };
}

void retry_progress(struct retry *t)
{
    t->progress = clock_seconds();
    t->tries = 0;
}

bool http_passing(const struct http_request *r)
{
    switch (r->code) {
    case CURLE_OK:
        return r->status == 408 || r->status == 429 || r->status / 100 == 5;
    case CURLE_COULDNT_CONNECT: case CURLE_COULDNT_RESOLVE_HOST: case CURLE_COULDNT_RESOLVE_PROXY: case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR: case CURLE_PARTIAL_FILE: case CURLE_GOT_NOTHING: case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR: case CURLE_HTTP2: case CURLE_HTTP2_STREAM: case CURLE_WEIRD_SERVER_REPLY:
        return true;
    default:
        return false;
    }
}

/* False if a stop was asked meanwhile. */
static bool slept(double seconds)
{
    double until = clock_seconds() + seconds, left;
    while (!stop_asked() && (left = until - clock_seconds()) > 0) {
        long ns = left > 0.2 ? 200000000 : (long)(left * 1e9);
        nanosleep(&(struct timespec){ 0, ns }, NULL);
    }
    return !stop_asked();
}

static int wait_and_go(struct retry *t, const char *why, uint64_t byte, double at_least, struct error *e)
{
    double limit = first_wait;
    for (unsigned i = 0; i < t->tries && limit < longest_wait; i++)
        limit *= 2;
    double wait = uniform() * (limit < longest_wait ? limit : longest_wait);
    if (wait < at_least)
        wait = at_least;
    double without = clock_seconds() - t->progress, most = http_ever_answered() ? patience() : FIRST_PATIENCE;
    if (most > patience())
        most = patience();
    t->tries++;
    if (without + wait > most)
        return error_set(e, STATUS_AGAIN, "'%s' byte %llu: %s; given up after %.0f s without progress, %u tries", t->subject,
                         (unsigned long long)byte, why, without, t->tries);
    note_alike(atomic_fetch_add(&told, 1), "further retries are named with -v",
               "'%s' byte %llu: %s; trying again in %.1f s", t->subject, (unsigned long long)byte, why, wait);
    if (!slept(wait))
        return error_set(e, STATUS_AGAIN, "'%s': interrupted", t->subject);
    return 0;
}

int retry_because(struct retry *t, const char *why, uint64_t byte, struct error *e)
{
    return wait_and_go(t, why, byte, 0, e);
}

int retry_after(struct retry *t, const struct http_request *r, uint64_t byte, struct error *e)
{
    char why[400];
    uint64_t seconds = 0;
    http_reason(r, why, sizeof why);
    if (stop_asked())
        return error_set(e, STATUS_AGAIN, "'%s': interrupted", t->subject);
    if (!http_passing(r))
        return error_set(e, STATUS_BAD, "'%s': %s", t->subject, why);
    http_answer_u64(r, "Retry-After", &seconds);
    return wait_and_go(t, why, byte, (double)seconds, e);
}
