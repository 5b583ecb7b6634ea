/* libcommon/stream/net/service.c - see service.h */
#include "libcommon/stream/net/service.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libcommon/sys/clock.h"

#define TICK 0.1

static void drain(int fd)
{
    char b[64];
    while (read(fd, b, sizeof b) > 0)
        ;
}

static void *run(void *arg)
{
    struct service *s = arg;
    double ticked = 0;
    for (bool more = true; more;) {
        zmq_pollitem_t p[SERVICE_SOCKETS + 1] = { { .fd = s->wake[0], .events = ZMQ_POLLIN } };
        for (int i = 0; i < s->n; i++)
            p[i + 1] = (zmq_pollitem_t){ .socket = s->socket[i], .events = ZMQ_POLLIN };
        zmq_poll(p, s->n + 1, (long)(TICK * 1000));
        pthread_mutex_lock(&s->lock);
        if (p[0].revents)
            drain(s->wake[0]);
        s->woken = false;
        double now = clock_seconds();
        bool tick = now - ticked >= TICK;
        if (tick)
            ticked = now;
        more = s->serve(s->ctx, tick, now) && !s->stop;
        s->over = !more;
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}

int service_start(struct service *s, bool (*serve)(void *, bool, double), void *ctx, void **socket, int n, struct error *e)
{
    *s = (struct service){ .serve = serve, .ctx = ctx, .socket = socket, .n = n };
    if (pipe(s->wake) < 0)
        return error_set(e, STATUS_AGAIN, "cannot make a pipe: %s", strerror(errno));
    for (int i = 0; i < 2; i++) {
        fcntl(s->wake[i], F_SETFD, FD_CLOEXEC);
        fcntl(s->wake[i], F_SETFL, O_NONBLOCK);
    }
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    if (pthread_create(&s->thread, NULL, run, s))
        return error_set(e, STATUS_AGAIN, "cannot start a thread");
    s->started = true;
    return 0;
}

void service_lock(struct service *s) { pthread_mutex_lock(&s->lock); }
void service_unlock(struct service *s) { pthread_mutex_unlock(&s->lock); }

void service_wait(struct service *s)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += 100000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_nsec -= 1000000000;
        t.tv_sec++;
    }
    pthread_cond_timedwait(&s->changed, &s->lock, &t);
}

void service_wake(struct service *s)
{
    pthread_mutex_lock(&s->lock);
    bool first = !s->woken;
    s->woken = true;
    pthread_mutex_unlock(&s->lock);
    if (first && write(s->wake[1], "", 1) < 0)
        return;                         /* full: it is awake */
}

void service_end(struct service *s, bool until_over)
{
    if (!s->started)
        return;
    pthread_mutex_lock(&s->lock);
    while (until_over && !s->over)
        service_wait(s);
    s->stop = true;
    pthread_mutex_unlock(&s->lock);
    service_wake(s);
    pthread_join(s->thread, NULL);
    close(s->wake[0]);
    close(s->wake[1]);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->changed);
    s->started = false;
}
