/* libcommon/stream/net/packet.c - messages to frames and back; see socket.h
 *
 * The body of a unit that goes alone is neither copied on its way out nor on its
 * way in: libzmq sends it from the blob, and a blob keeps the frame it came in.
 * Units that share a frame are small, and are copied: so none of them holds the
 * memory of the others. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/stream/net/socket.h"
#include "libcommon/stream/stream.h"

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

static bool share_put(void *socket, struct blob *b)
{
    zmq_msg_t msg;
    if (zmq_msg_init_data(&msg, b->data, b->size, sent, blob_share(b)) < 0) {
        blob_drop(b);
        return false;
    }
    return frame_put(socket, &msg, 0);
}

static bool units_put(void *socket, const struct lp1_message *m)
{
    zmq_msg_t msg;
    if (m->nunit == 1)
        return share_put(socket, m->unit[0].body);
    if (zmq_msg_init_size(&msg, (size_t)lp1_message_bytes(m)) < 0)
        return false;
    uint8_t *to = zmq_msg_data(&msg);
    for (size_t i = 0; i < m->nunit; i++) {
        const struct blob *b = m->unit[i].body;
        if (b->size)
            memcpy(to, b->data, b->size);
        to += b->size;
    }
    return frame_put(socket, &msg, 0);
}

/* The message's map as a frame. */
static bool control_frame(const struct lp1_message *m, zmq_msg_t *msg)
{
    struct buf b;
    buf_init(&b, 2 * LP1_CONTROL_MAX);
    lp1_message_write(m, &b);
    bool made = !b.failed && zmq_msg_init_size(msg, b.size) == 0;
    if (made)
        memcpy(zmq_msg_data(msg), b.data, b.size);
    buf_release(&b);
    return made;
}

bool socket_send(void *socket, uint64_t peer, const struct lp1_message *m)
{
    bool more = m->nunit || m->header;
    zmq_msg_t msg;
    if (!control_frame(m, &msg))
        return false;
    if (peer && !peer_put(socket, peer)) {
        zmq_msg_close(&msg);
        return false;
    }
    if (!frame_put(socket, &msg, more ? ZMQ_SNDMORE : 0))
        return false;
    return !more || (m->nunit ? units_put(socket, m) : share_put(socket, m->header));
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
    h->blob.shadow = NULL;
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
        (void)socket_send(socket, peer, &m);
    return -1;
}

/* On TCP with keys the key's role must be the one that HELLO claims; a hub may have workers of its own, and
 * may be the consumer for those who read its pipe. */
static bool role_right(zmq_msg_t *control, const struct lp1_message *m)
{
    const char *user = socket_keyed() ? zmq_msg_gets(control, "User-Id") : NULL;
    return m->t != LP1_HELLO || !user || !*user || !strcmp(user, lp1_role_name((enum lp1_role)m->role)) ||
           (!strcmp(user, lp1_role_name(LP1_HUB)) && (m->role == LP1_WORKER || m->role == LP1_TAIL));
}

/* Frame 1 becomes the header, or the units' bodies.  Empties msg.  -1: *why. */
static int payload_take(zmq_msg_t *msg, bool more, struct lp1_message *m, const char **why)
{
    size_t size = zmq_msg_size(msg);
    const uint8_t *from = zmq_msg_data(msg);
    bool whole = true;
    *why = "bodies of another size than announced, or more frames";
    if (more || (lp1_message_must_carry(m->t) ? size != lp1_message_bytes(m) || size > UNIT_MAX : size > HEADER_MAX)) {
        zmq_msg_close(msg);
        return -1;
    }
    *why = "out of memory";
    if (!m->nunit)
        whole = (m->header = blob_of(msg)) != NULL;
    else if (m->nunit == 1)
        whole = (m->unit[0].body = blob_of(msg)) != NULL;
    for (struct lp1_unit *u = m->unit; m->nunit > 1 && whole && u < m->unit + m->nunit; u++) {
        whole = (u->body = blob_copy(span_of(from, (size_t)u->n))) != NULL;
        from += u->n;
    }
    zmq_msg_close(msg);
    return whole ? 0 : -1;
}

void packet_drop(struct packet *p)
{
    blob_drop(p->m.header);
    p->m.header = NULL;
    for (size_t i = 0; i < p->m.nunit; i++) {
        blob_drop(p->m.unit[i].body);
        p->m.unit[i].body = NULL;
    }
}

/* The frames behind the control frame: 0, or -1 and why the message is none. */
static int payload_get(void *socket, bool *more, struct lp1_message *m, const char **why)
{
    zmq_msg_t msg;
    if (*more ? !lp1_message_may_carry(m->t) : lp1_message_must_carry(m->t))
        return -1;
    if (!*more)
        return 0;
    return frame_get(socket, &msg, more) ? payload_take(&msg, *more, m, why) : -1;
}

int socket_recv(void *socket, bool router, struct packet *p)
{
    zmq_msg_t msg;
    bool more = false, version;
    const char *why;
    p->peer = 0;
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
    bool right = rc == 0 && role_right(&msg, &p->m);
    zmq_msg_close(&msg);
    if (rc < 0) {
        rest_drop(socket, more);
        return refuse(socket, p->peer, 0, version ? LP1_LIMIT : LP1_BAD_VERSION, why);
    }
    why = "more or fewer frames than a message has";
    rc = payload_get(socket, &more, &p->m, &why);
    rest_drop(socket, more);
    if (rc == 0 && right)
        return 1;
    packet_drop(p);
    if (rc < 0)
        return refuse(socket, p->peer, 0, LP1_LIMIT, why);
    return refuse(socket, p->peer, p->m.from, LP1_BAD_ROLE, "this key has another role in the list");
}
