/* libcommon/stream/lp1/worker_impl.h - what worker.c (who says what) and hold.c (what is held, and told of) share */
#ifndef PENSTOCK_LP1_WORKER_IMPL_H
#define PENSTOCK_LP1_WORKER_IMPL_H

#include "libcommon/stream/lp1/worker.h"

struct link {
    bool up;
    uint64_t peer;                      /* its incarnation */
    double heard, said;
};

struct held {
    struct lp1_unit unit;               /* body: the result's, once there is one */
    bool offered;                       /* computed */
};

struct lp1_worker {
    struct lp1_worker_out out;
    uint64_t from, least, slots, done;  /* slots: least at least, and what HEAD was told last */
    char host[LP1_TEXT + 1];
    uint8_t run[16];
    bool run_known, leaving, dismissed;
    void *header;
    struct link link[2];
    double now, ticked, alone;          /* alone: since when no HEAD was heard */
    size_t nheld, noffered, nmade, nfree[2];
    uint64_t q[LP1_LIST];               /* of held[i], apart because it is searched for each unit */
    struct held held[LP1_LIST];
    uint64_t made[LP1_LIST];            /* offered, and not yet sent in this session */
    uint64_t freed[2][LP1_LIST], freed_tail;
    double paced, size;                 /* when the pace was taken last; bytes that a unit has on average */
    uint64_t paced_done;
    int status;
    char fatal[LP1_TEXT + 64];
    struct lp1_message m;
};

bool worker_send(struct lp1_worker *w, enum lp1_link l);        /* w->m */
struct lp1_message *worker_message(struct lp1_worker *w, enum lp1_link l, enum lp1_type t);     /* w->m, begun */

struct held *held_find(struct lp1_worker *w, uint64_t q);       /* NULL: it is not here */
struct held *held_add(struct lp1_worker *w, const struct lp1_unit *u);
void held_remove(struct lp1_worker *w, struct held *h);
void made_add(struct lp1_worker *w, uint64_t q);        /* to be sent with the next flush */
void made_all(struct lp1_worker *w);                    /* a new session: all that is offered */
void made_flush(struct lp1_worker *w);
void free_add(struct lp1_worker *w, uint64_t q, uint64_t good);
void free_flush(struct lp1_worker *w, bool at_once);    /* at once, or only what is worth a message now */
void size_note(struct lp1_worker *w, uint64_t n);       /* a unit of n bytes came or was made */

#endif
