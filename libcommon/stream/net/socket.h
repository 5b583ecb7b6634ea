/* libcommon/stream/net/socket.h - LP1's messages over libzmq: sockets with limits and keys, and nothing of the protocol
 *
 * The context and the keys belong to the process and are made at first use, from
 * the common options.  A socket is used by one thread at a time. */
#ifndef PENSTOCK_SOCKET_H
#define PENSTOCK_SOCKET_H

#include <zmq.h>

#include "libcommon/stream/crew/blob.h"
#include "libcommon/stream/lp1/message.h"
#include "libcommon/sys/error.h"

/* spec with its "@": a ROUTER that others connect to. */
void *socket_bind(const char *spec, struct error *e);
/* A DEALER; roles: bits of enum lp1_role that may be there. */
void *socket_connect(const char *spec, unsigned roles, struct error *e);
void socket_close(void *socket, int linger_ms);
bool socket_keyed(void);                /* on TCP peers show keys, and libzmq says which role each has */

/* peer: 0 on a DEALER.  m's header or bodies are struct blobs; a large one is shared, not copied.  false: nobody
 * is there now. */
bool socket_send(void *socket, uint64_t peer, const struct lp1_message *m);

struct packet {
    uint64_t peer;
    struct lp1_message m;       /* its header or bodies, as struct blob, are the receiver's */
};
/* 1: *p is filled; 0: nothing is there now; -1: something that is no message, which has been answered and dropped. */
int socket_recv(void *socket, bool router, struct packet *p);
/* What is left of it: bodies that somebody took are NULL. */
void packet_drop(struct packet *p);

/* Random, for incarnations; never 0. */
uint64_t incarnation_random(void);

#endif
