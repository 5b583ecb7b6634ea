/* libcommon/stream/lp1/session.c - see session.h */
#include "libcommon/stream/lp1/session.h"

#include <stdlib.h>

struct lp1_session *lp1_session_find(struct lp1_sessions *t, uint64_t peer)
{
    if (t->hit < t->n && t->at[t->hit]->peer == peer)
        return t->at[t->hit];
    for (size_t i = 0; i < t->n; i++)
        if (t->at[i]->peer == peer) {
            t->hit = i;
            return t->at[i];
        }
    return NULL;
}

struct lp1_session *lp1_session_of(struct lp1_sessions *t, uint64_t from)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->at[i]->from == from)
            return t->at[i];
    return NULL;
}

struct lp1_session *lp1_session_add(struct lp1_sessions *t, uint64_t peer, uint64_t from, double now)
{
    if (t->n == LP1_SESSIONS)
        return NULL;
    if (t->n == t->room) {
        size_t room = t->room ? 2 * t->room : 8;
        struct lp1_session **at = realloc(t->at, room * sizeof *at);
        if (!at)
            return NULL;
        t->at = at;
        t->room = room;
    }
    struct lp1_session *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->peer = peer;
    s->from = from;
    s->heard = s->said = now;
    return t->at[t->n++] = s;
}

void lp1_session_remove(struct lp1_sessions *t, struct lp1_session *s)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->at[i] == s) {
            t->at[i] = t->at[--t->n];
            free(s);
            return;
        }
}

void lp1_sessions_release(struct lp1_sessions *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->at[i]);
    free(t->at);
    *t = (struct lp1_sessions){ 0 };
}
