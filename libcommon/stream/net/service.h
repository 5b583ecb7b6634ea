/* libcommon/stream/net/service.h - the thread behind an end: it owns the sockets, the program works meanwhile
 *
 * One lock guards the state machine; only the thread sends and receives. */
#ifndef PENSTOCK_SERVICE_H
#define PENSTOCK_SERVICE_H

#include <pthread.h>

#include "libcommon/stream/net/socket.h"

enum { SERVICE_BATCH = 256, SERVICE_SOCKETS = 2 };

struct service {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int wake[2];
    bool started, woken, stop, over;
    /* Called under the lock when there may be messages, and every tenth of a second with tick; false: it is over. */
    bool (*serve)(void *ctx, bool tick, double now);
    void *ctx;
    void **socket;              /* the thread's, from start to end; serve may replace one (opened anew) */
    int n;
};

int service_start(struct service *s, bool (*serve)(void *, bool, double), void *ctx, void **socket, int n, struct error *e);
void service_lock(struct service *s);
void service_unlock(struct service *s);
void service_wait(struct service *s);   /* with the lock: until something changed, or a tenth of a second */
void service_wake(struct service *s);   /* serve soon */
/* until_over: lets it end by itself first.  Joins; does nothing if it was never started. */
void service_end(struct service *s, bool until_over);

#endif
