/* libcommon/stream/net/socket.c - sockets are opened, limited and guarded; packet.c is what goes through; see socket.h */
#include "libcommon/stream/net/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "libcommon/cli/opt.h"
#include "libcommon/stream/net/security.h"
#include "libcommon/stream/stream.h"

enum { FRAME_MAX = UNIT_MAX + (64 << 10), SEND_QUEUE = 1024, RECV_QUEUE = 64,
       ZAP_ENFORCE_DOMAIN = 93 };       /* zmq.h of 4.3 names it among its drafts only, the library has it */

static void *context;
static struct security security;
static int sockets;                     /* open ones */

static int context_open(struct error *e)
{
    const struct common *c = opt_common();
    if (context)
        return 0;
    if (c && c->curve_key) {
        if (!c->curve_peers)
            return error_set(e, STATUS_BAD, "--curve-key needs --curve-peers, the list of keys");
        if (key_read(c->curve_key, security.public_key, security.secret_key, e) < 0 ||
            peers_read(c->curve_peers, &security, e) < 0)
            return -1;
    }
    blob_memory_keep();
    context = zmq_ctx_new();
    return context ? 0 : error_set(e, STATUS_AGAIN, "cannot start libzmq: %s", zmq_strerror(errno));
}

static void set(void *socket, int option, int value) { zmq_setsockopt(socket, option, &value, sizeof value); }

/* Who has gone without a word is noticed by BEATs; the system ends the connection.  Not ZMQ_HEARTBEAT_IVL: libzmq
 * 4.3 aborts the process when a heartbeat is due to a peer that left while this socket's queue was full
 * (stream_engine_base_t::timer_event, "Assertion failed: !_io_error"). */
static void tcp_limits_set(void *socket)
{
    set(socket, ZMQ_TCP_KEEPALIVE, 1);
    set(socket, ZMQ_TCP_KEEPALIVE_IDLE, 10);
    set(socket, ZMQ_TCP_KEEPALIVE_INTVL, 5);
    set(socket, ZMQ_TCP_KEEPALIVE_CNT, 3);
    set(socket, ZMQ_TCP_MAXRT, 30000);
}

static void limits_set(void *socket)
{
    int64_t frame = FRAME_MAX;
    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &frame, sizeof frame);
    set(socket, ZMQ_LINGER, 0);
    set(socket, ZMQ_SNDHWM, SEND_QUEUE);
    set(socket, ZMQ_RCVHWM, RECV_QUEUE);
    set(socket, ZMQ_HANDSHAKE_IVL, 5000);
    set(socket, ZMQ_BACKLOG, 128);
    set(socket, ZMQ_RECONNECT_IVL, 20);
    set(socket, ZMQ_RECONNECT_IVL_MAX, 2000);
    tcp_limits_set(socket);
    set(socket, ZMQ_IPV6, 1);
}

/* ZeroMQ takes any port to connect to, and would look for one that cannot be for ever. */
static bool port_there(const char *endpoint)
{
    const char *colon = strrchr(endpoint, ':');
    char *end;
    long port = strtol(colon + 1, &end, 10);
    return !strcmp(colon, ":*") || (end > colon + 1 && !*end && port > 0 && port < 65536);
}

/* Keys on TCP, or loopback and --insecure; a closed directory for ipc. */
static int security_set(void *socket, const char *endpoint, bool server, unsigned roles, struct error *e)
{
    const struct common *c = opt_common();
    if (!strncmp(endpoint, "ipc://", 6))
        return ipc_check(endpoint, e);
    if (strncmp(endpoint, "tcp://", 6))
        return error_set(e, STATUS_BAD, "'%s': tcp:// and ipc:// are understood", endpoint);
    if (!port_there(endpoint))
        return error_set(e, STATUS_BAD, "'%s': tcp://HOST:PORT is wanted, with a port up to 65535", endpoint);
    if (!*security.secret_key) {
        if (c && c->insecure && address_is_loopback(endpoint))
            return 0;
        return error_set(e, STATUS_BAD, c && c->insecure ? "'%s': --insecure is for loopback (tcp://127.0.0.1:PORT) only" :
                         "'%s': give --curve-key and --curve-peers (keygen makes them), or --insecure on loopback",
                             endpoint);
    }
    zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, security.public_key, KEY_TEXT);
    zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, security.secret_key, KEY_TEXT);
    if (server) {
        set(socket, ZMQ_CURVE_SERVER, 1);
        set(socket, ZAP_ENFORCE_DOMAIN, 1);
        zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, "penstock", strlen("penstock"));
        return security_serve(&security, context, e);
    }
    const struct peer_key *p = security_server(&security, endpoint, roles, e);
    if (!p)
        return -1;
    zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, p->text, KEY_TEXT);
    return 0;
}

/* A second bind of an ipc path would silently take it away from the first. */
static int ipc_own(const char *endpoint, struct error *e)
{
    char path[200];
    if (strncmp(endpoint, "ipc://", 6))
        return 0;
    snprintf(path, sizeof path, "%s.lock", endpoint + 6);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (fd >= 0)
            close(fd);
        return error_set(e, STATUS_AGAIN, "'%s' is in use by another process", endpoint);
    }
    return 0;                           /* held until the process ends */
}

/* With its limits; neither bound nor connected. */
static void *socket_make(int type, struct error *e)
{
    if (context_open(e) < 0)
        return NULL;
    void *s = zmq_socket(context, type);
    if (s)
        limits_set(s);
    else
        error_set(e, STATUS_AGAIN, "cannot make a socket: %s", zmq_strerror(errno));
    return s;
}

void *socket_bind(const char *spec, struct error *e)
{
    const char *endpoint = spec + (*spec == '@');
    void *s = socket_make(ZMQ_ROUTER, e);
    if (!s)
        return NULL;
    set(s, ZMQ_ROUTER_MANDATORY, 1);
    if (security_set(s, endpoint, true, 0, e) < 0 || ipc_own(endpoint, e) < 0) {
        zmq_close(s);
        return NULL;
    }
    if (zmq_bind(s, endpoint) < 0) {
        error_set(e, errno == EADDRINUSE ? STATUS_AGAIN : STATUS_BAD, "cannot bind '%s': %s", endpoint, zmq_strerror(errno));
        zmq_close(s);
        return NULL;
    }
    sockets++;
    return s;
}

void *socket_connect(const char *spec, unsigned roles, struct error *e)
{
    if (*spec == '@') {
        error_set(e, STATUS_BAD, "'%s': this end connects, so without the @", spec);
        return NULL;
    }
    void *s = socket_make(ZMQ_DEALER, e);
    if (!s)
        return NULL;
    set(s, ZMQ_IMMEDIATE, 1);           /* nothing queues for one who is not there */
    if (security_set(s, spec, false, roles, e) < 0) {
        zmq_close(s);
        return NULL;
    }
    if (zmq_connect(s, spec) < 0) {
        error_set(e, STATUS_BAD, "cannot connect '%s': %s", spec, zmq_strerror(errno));
        zmq_close(s);
        return NULL;
    }
    sockets++;
    return s;
}

void socket_close(void *socket, int linger_ms)
{
    if (!socket)
        return;
    set(socket, ZMQ_LINGER, linger_ms);
    zmq_close(socket);
    if (--sockets)
        return;
    while (zmq_ctx_term(context) < 0 && errno == EINTR)     /* only this waits for what lingers */
        ;
    context = NULL;
    security_release(&security);
}

bool socket_keyed(void) { return *security.secret_key != 0; }

uint64_t incarnation_random(void)
{
    uint64_t v = 0;
    while (v == 0)
        if (getentropy(&v, sizeof v) < 0)
            v = (uint64_t)getpid() << 32 ^ (uint64_t)(uintptr_t)&v;
    return v;
}
