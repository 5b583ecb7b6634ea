/* tests/unit/lp1_sim.h - the simulated processes, connections and time of lp1_model.c
 *
 * Bodies are counted, so that none is lost from sight; whoever holds one has a reference. */
#ifndef PENSTOCK_TESTS_LP1_SIM_H
#define PENSTOCK_TESTS_LP1_SIM_H

#include "libcommon/stream/lp1/hub.h"
#include "libcommon/stream/lp1/worker.h"
#include "lp1_model.h"


enum { UNIT_BYTES = 16000, HELD = 64, NODES = 24, CONNS = 64, SERVERS = 3 };

struct body { int refs; uint64_t value; };
struct wire { struct wire *next; struct lp1_message *m; };
struct queue { struct wire *head, **tail; int n; };

enum kind { NODE_HEAD, NODE_TAIL, NODE_HUB, NODE_WORKER };
enum port { PORT_HEAD, PORT_HUB_UP, PORT_HUB_DOWN, PORT_TAIL, PORTS };      /* what binds */

struct conn {
    bool used, open;
    uint64_t id;
    int client, link;           /* node, and which of its two sockets */
    enum port port;
    struct queue up, down;      /* to the binder, to the client */
};

struct job { uint64_t q, e, value; double until; };

struct node {
    enum kind kind;
    bool alive, left;
    struct sim *sim;
    int at;
    struct lp1_worker *worker;
    struct lp1_head *head;
    struct lp1_tail *tail;
    struct lp1_hub *hub;
    enum port dial[2];          /* where its sockets connect */
    double up_at, next_tick;    /* not before this is it started */
    size_t njob;
    struct job job[LP1_LIST];
    struct body *header;
    bool header_known;
    int pool;
};

struct checkpoint { uint64_t cursor, state; bool final; double durable_at; };

struct sim {
    const struct model_plan *p;
    struct model_result *r;
    uint64_t rng, ids, tail_counter, clock_counter;
    double now;
    long bodies;
    struct node node[NODES];
    int nnode;
    struct conn conn[CONNS];
    int kills, breaks, joins, leaves;
    uint64_t cursor, state;     /* the consumer's */
    struct checkpoint saved, pending;
    bool is_pending, committed_final, done_head;
};

/* Chance, of the seed alone. */
static inline uint64_t rnd(struct sim *s)
{
    s->rng += 0x9e3779b97f4a7c15u;
    uint64_t z = s->rng;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
static inline uint64_t below(struct sim *s, uint64_t n) { return rnd(s) % n; }
static inline double unit_real(struct sim *s) { return (double)(rnd(s) >> 11) / 9007199254740992.0; }
static inline uint64_t mix(uint64_t a, uint64_t b)
{
    a = (a ^ b) * 0xff51afd7ed558ccdu;
    return a ^ (a >> 32);
}

/* --- lp1_sim_net.c: bodies and the network */
struct body *body_new(struct sim *s, uint64_t value);
void body_drop(struct sim *s, struct body *b);
/* As the machines call it. */
void on_body_free(void *ctx, void *body);
void wire_free(struct sim *s, struct wire *w);
/* All but the first `keep` are lost. */
void queue_cut(struct sim *s, struct queue *k, int keep);
/* The process that listens there, if it lives. */
struct node *sim_binder(struct sim *s, enum port port);
void conn_break(struct sim *s, struct conn *c, bool client_dead, bool binder_dead);
bool client_send(struct node *n, int link, const struct lp1_message *m);
bool binder_send(struct node *n, uint64_t peer, const struct lp1_message *m);
void client_reset(struct node *n, int link);

/* --- lp1_sim_node.c: processes, and what they do */
void node_start(struct sim *s, struct node *n);
void node_end(struct sim *s, struct node *n);
struct node *node_add(struct sim *s, enum kind kind, int pool);
void node_kill(struct sim *s, struct node *n);
/* What it does when it is its turn. */
void node_turn(struct sim *s, struct node *n);
/* The run has failed. */
void sim_wrong(struct sim *s, const char *what, uint64_t q);
/* The body that the consumer must get. */
uint64_t sim_expected(const struct sim *s, uint64_t q);
/* For whoever looks for the reason of a hang. */
void node_show(const struct node *n);

#endif
