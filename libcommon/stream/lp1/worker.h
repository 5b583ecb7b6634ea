/* libcommon/stream/lp1/worker.h - WORKER: holds units between a HEAD and a TAIL while they are computed
 *
 * Events in, actions out through struct lp1_worker_out; no socket, no clock. */
#ifndef PENSTOCK_LP1_WORKER_H
#define PENSTOCK_LP1_WORKER_H

#include "libcommon/stream/lp1/message.h"

#define LP1_ALONE 600.0         /* seconds without a HEAD after which a worker gives up */

enum lp1_link { LP1_UP, LP1_DOWN };     /* towards HEAD, towards TAIL */

struct lp1_worker_out {
    void *ctx;
    /* bodies are borrowed; false: not connected */
    bool (*send)(void *ctx, enum lp1_link to, const struct lp1_message *m);
    void (*reset)(void *ctx, enum lp1_link which);      /* close that socket, open another */
    /* HEAD's header (borrowed), each time it says WELCOME; -1: it cannot be served (then say why by lp1_worker_fail). */
    void (*header)(void *ctx, void *header);
    void (*run)(void *ctx, const struct lp1_unit *u);   /* compute it; its body changes hands */
    void (*body_free)(void *ctx, void *body);
};

struct lp1_worker_state {
    bool up[2];
    size_t running, offered;
    uint64_t done;              /* results that a TAIL has */
};

struct lp1_worker;
/* slots: units held at least (if there is work); more, up to LP1_LIST, while they are small and quickly done. */
struct lp1_worker *lp1_worker_new(uint64_t incarnation, uint64_t slots, const char *host, const struct lp1_worker_out *out);
void lp1_worker_free(struct lp1_worker *w);

/* Bodies that it keeps (or has run) are NULL in m afterwards. */
void lp1_worker_message(struct lp1_worker *w, enum lp1_link from, struct lp1_message *m, double now);
void lp1_worker_tick(struct lp1_worker *w, double now);
/* DATA and FREEs that have gathered: after each batch of messages or results */
void lp1_worker_flush(struct lp1_worker *w, double now);

/* The header of what is made here: HELLO to the TAIL waits for it.  Borrowed until the machine ends. */
void lp1_worker_header(struct lp1_worker *w, void *header, double now);
void lp1_worker_result(struct lp1_worker *w, const struct lp1_unit *u, double now);     /* takes u->body */
/* SIGTERM: these n, not started, are given back; finished once the others are delivered. */
void lp1_worker_leave(struct lp1_worker *w, const uint64_t *unstarted, size_t n, double now);
bool lp1_worker_finished(const struct lp1_worker *w);
bool lp1_worker_dismissed(const struct lp1_worker *w);          /* the run is over (rather than: we leave) */
const char *lp1_worker_fatal(const struct lp1_worker *w, int *status);
void lp1_worker_state(const struct lp1_worker *w, struct lp1_worker_state *s);

#endif
