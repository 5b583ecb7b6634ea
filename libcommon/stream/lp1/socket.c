/* libcommon/stream/lp1/socket.c - see socket.h */
#include "libcommon/stream/lp1/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "libcommon/stream/lp1/security.h"
#include "libcommon/stream/stream.h"
#include "libcommon/sys/opt.h"

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
        if (key_read(c->curve_key, security.public_key, security.secret_key, e) < 0 || peers_read(c->curve_peers, &security, e) < 0)
            return -1;
    }
    context = zmq_ctx_new();
    return context ? 0 : error_set(e, STATUS_AGAIN, "cannot start libzmq: %s", zmq_strerror(errno));
}

static void set(void *socket, int option, int value) { zmq_setsockopt(socket, option, &value, sizeof value); }

static void limits_set(void *socket)
{
    int64_t frame = FRAME_MAX;
    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &frame, sizeof frame);
    set(socket, ZMQ_LINGER, 0);
    set(socket, ZMQ_SNDHWM, SEND_QUEUE);
    set(socket, ZMQ_RCVHWM, RECV_QUEUE);
    set(socket, ZMQ_HANDSHAKE_IVL, 5000);
    set(socket, ZMQ_BACKLOG, 128);
    set(socket, ZMQ_HEARTBEAT_IVL, 2000);
    set(socket, ZMQ_HEARTBEAT_TIMEOUT, 6000);
    set(socket, ZMQ_HEARTBEAT_TTL, 6000);
    set(socket, ZMQ_RECONNECT_IVL, 100);
    set(socket, ZMQ_RECONNECT_IVL_MAX, 2000);
    set(socket, ZMQ_TCP_KEEPALIVE, 1);
    set(socket, ZMQ_IPV6, 1);
}

/* Keys on TCP, or loopback and --insecure; a closed directory for ipc. */
static int security_set(void *socket, const char *endpoint, bool server, unsigned roles, struct error *e)
{
    const struct common *c = opt_common();
    if (!strncmp(endpoint, "ipc://", 6))
        return ipc_check(endpoint, e);
    if (strncmp(endpoint, "tcp://", 6))
        return error_set(e, STATUS_BAD, "'%s': tcp:// and ipc:// are understood", endpoint);
    if (!*security.secret_key) {
        if (c && c->insecure && address_is_loopback(endpoint))
            return 0;
        return error_set(e, STATUS_BAD, c && c->insecure ? "'%s': --insecure is for loopback (tcp://127.0.0.1:PORT) only" :
                         "'%s': give --curve-key and --curve-peers (keygen makes them), or --insecure on loopback", endpoint);
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

void *socket_bind(const char *spec, struct error *e)
{
    const char *endpoint = spec + (*spec == '@');
    if (context_open(e) < 0)
        return NULL;
    void *s = zmq_socket(context, ZMQ_ROUTER);
    if (!s) {
        error_set(e, STATUS_AGAIN, "cannot make a socket: %s", zmq_strerror(errno));
        return NULL;
    }
    limits_set(s);
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
    if (context_open(e) < 0)
        return NULL;
    void *s = zmq_socket(context, ZMQ_DEALER);
    if (!s) {
        error_set(e, STATUS_AGAIN, "cannot make a socket: %s", zmq_strerror(errno));
        return NULL;
    }
    limits_set(s);
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

/* --- sending --------------------------------------------------------------------------- */

static void sent(void *data, void *hint)
{
    (void)data;
    blob_drop(hint);
}

static bool frame_put(void *socket, zmq_msg_t *msg, int flags)
{
    if (zmq_msg_send(msg, socket, flags | ZMQ_DONTWAIT) >= 0)
        return true;
    zmq_msg_close(msg);
    return false;
}

/* A ROUTER knows its peers by five bytes: 0 and a number. */
static bool peer_put(void *socket, uint64_t peer)
{
    uint8_t id[5] = { 0, (uint8_t)(peer >> 24), (uint8_t)(peer >> 16), (uint8_t)(peer >> 8), (uint8_t)peer };
    zmq_msg_t msg;
    if (zmq_msg_init_size(&msg, sizeof id) < 0)
        return false;
    memcpy(zmq_msg_data(&msg), id, sizeof id);
    return frame_put(socket, &msg, ZMQ_SNDMORE);
}

bool socket_send(void *socket, uint64_t peer, const struct lp1_message *m, struct blob *body)
{
    static _Thread_local struct buf b;
    zmq_msg_t msg;
    if (!b.max)
        buf_init(&b, 2 * LP1_CONTROL_MAX);
    buf_clear(&b);
    lp1_message_write(m, &b);
    if (b.failed || (peer && !peer_put(socket, peer)) || zmq_msg_init_size(&msg, b.size) < 0)
        return false;
    memcpy(zmq_msg_data(&msg), b.data, b.size);
    if (!frame_put(socket, &msg, body ? ZMQ_SNDMORE : 0))
        return false;
    if (!body)
        return true;
    if (zmq_msg_init_data(&msg, body->data, body->size, sent, blob_share(body)) < 0) {
        blob_drop(body);
        return false;
    }
    return frame_put(socket, &msg, 0);
}

/* --- receiving --------------------------------------------------------------------------- */

struct held_msg {
    struct blob blob;
    zmq_msg_t msg;
};

static void held_release(struct blob *b)
{
    struct held_msg *h = (struct held_msg *)b;
    zmq_msg_close(&h->msg);
    free(h);
}

/* The message's own memory as a blob; msg is left empty. */
static struct blob *blob_of(zmq_msg_t *msg)
{
    struct held_msg *h = malloc(sizeof *h);
    if (!h)
        return NULL;
    zmq_msg_init(&h->msg);
    zmq_msg_move(&h->msg, msg);
    atomic_init(&h->blob.refs, 1);
    h->blob.size = zmq_msg_size(&h->msg);
    h->blob.data = zmq_msg_data(&h->msg);
    h->blob.release = held_release;
    return &h->blob;
}

static bool frame_get(void *socket, zmq_msg_t *msg, bool *more)
{
    zmq_msg_init(msg);
    if (zmq_msg_recv(msg, socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(msg);
        return false;
    }
    *more = zmq_msg_more(msg);
    return true;
}

static void rest_drop(void *socket, bool more)
{
    zmq_msg_t msg;
    while (more && frame_get(socket, &msg, &more))
        zmq_msg_close(&msg);
}

static bool peer_get(zmq_msg_t *id, uint64_t *peer)
{
    const uint8_t *p = zmq_msg_data(id);
    if (zmq_msg_size(id) != 5 || p[0] != 0)
        return false;                   /* it chose its own name: none of ours does */
    *peer = 1ull << 32 | (uint64_t)p[1] << 24 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 8 | p[4];
    return true;
}

static int refuse(void *socket, uint64_t peer, uint64_t to, enum lp1_code code, const char *why)
{
    static _Thread_local struct lp1_message m;
    lp1_message_init(&m, LP1_REJECT, 0, to);
    m.code = code;
    snprintf(m.text, sizeof m.text, "%s", why);
    if (peer)
        (void)socket_send(socket, peer, &m, NULL);
    return -1;
}

/* On TCP with keys the key's role must be the one that HELLO claims; a hub may have workers of its own, and
 * may be the consumer for those who read its pipe. */
static bool role_right(zmq_msg_t *control, const struct lp1_message *m)
{
    const char *user = *security.secret_key ? zmq_msg_gets(control, "User-Id") : NULL;
    return m->t != LP1_HELLO || !user || !*user || !strcmp(user, lp1_role_name((enum lp1_role)m->role)) ||
           (!strcmp(user, lp1_role_name(LP1_HUB)) && (m->role == LP1_WORKER || m->role == LP1_TAIL));
}

int socket_recv(void *socket, bool router, struct packet *p)
{
    zmq_msg_t msg;
    bool more = false, version, right;
    const char *why = "more or fewer frames than a message has";
    p->peer = 0;
    p->body = NULL;
    if (!frame_get(socket, &msg, &more))
        return 0;
    if (router) {
        bool named = peer_get(&msg, &p->peer);
        zmq_msg_close(&msg);
        if (!named || !more || !frame_get(socket, &msg, &more)) {
            rest_drop(socket, more);
            return -1;
        }
    }
    int rc = lp1_message_read(span_of(zmq_msg_data(&msg), zmq_msg_size(&msg)), &p->m, &version, &why);
    right = rc == 0 && role_right(&msg, &p->m);
    zmq_msg_close(&msg);
    if (rc == 0 && more && lp1_message_may_carry(p->m.t) && frame_get(socket, &msg, &more)) {
        size_t size = zmq_msg_size(&msg);
        bool wrong = more || (lp1_message_must_carry(p->m.t) ? size != p->m.n || size > UNIT_MAX : size > HEADER_MAX);
        if (!wrong)
            p->body = blob_of(&msg);
        zmq_msg_close(&msg);
        if (!wrong && p->body && right)
            return 1;
        why = wrong ? "a body of another size than announced, or more frames" : "out of memory";
        rc = -1;
    } else if (rc == 0 && (more || lp1_message_must_carry(p->m.t))) {
        rc = -1;
    }
    rest_drop(socket, more);
    if (rc == 0 && right)
        return 1;
    blob_drop(p->body);
    p->body = NULL;
    if (!right && rc == 0)
        return refuse(socket, p->peer, p->m.from, LP1_BAD_ROLE, "this key has another role in the list");
    return refuse(socket, p->peer, 0, version ? LP1_LIMIT : LP1_BAD_VERSION, why);
}

uint64_t incarnation_random(void)
{
    uint64_t v = 0;
    while (v == 0)
        if (getentropy(&v, sizeof v) < 0)
            v = (uint64_t)getpid() << 32 ^ (uint64_t)(uintptr_t)&v;
    return v;
}
