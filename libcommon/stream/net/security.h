/* libcommon/stream/net/security.h - who may speak to us over TCP, and who we speak to
 *
 * The list of keys (--curve-peers) has a line for each: public key (Z85, 40
 * characters), role (head, worker, tail, hub), name; # begins a comment.  The own
 * key (--curve-key) is what keygen wrote; nobody else may be able to read it. */
#ifndef PENSTOCK_SECURITY_H
#define PENSTOCK_SECURITY_H

#include "libcommon/stream/lp1/message.h"
#include "libcommon/sys/error.h"

enum { KEY_TEXT = 41, SECURITY_PEERS = 4096 };

struct peer_key {
    char text[KEY_TEXT];
    enum lp1_role role;
    char name[64];
};

struct security {
    char public_key[KEY_TEXT], secret_key[KEY_TEXT];
    struct peer_key *peer;
    size_t n;
    void *zap;                  /* the handler's thread, once started */
};

int key_read(const char *path, char public_key[KEY_TEXT], char secret_key[KEY_TEXT], struct error *e);
/* Makes a pair; the file (0600) must not exist. */
int key_make(const char *path, char public_key[KEY_TEXT], struct error *e);
int peers_read(const char *path, struct security *s, struct error *e);
void security_release(struct security *s);

/* The key of the one behind `endpoint`, whose role is one of `roles` (bits): the peer named as its
 * host, else the only head (or tail), else the only hub. */
const struct peer_key *security_server(const struct security *s, const char *endpoint, unsigned roles, struct error *e);
/* Answers ZAP requests in a thread of `context` until it ends; the user id is the role's name. */
int security_serve(struct security *s, void *context, struct error *e);

/* May this address do without keys?  tcp:// on loopback. */
bool address_is_loopback(const char *endpoint);
/* The directory of an ipc:// path: ours, and closed to others. */
int ipc_check(const char *endpoint, struct error *e);

#endif
