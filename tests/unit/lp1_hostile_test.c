/* tests/unit/lp1_hostile_test.c - peers that break the protocol, on a real socket: memory bounded, no harm */
#include <stdlib.h>
#include <unistd.h>

#include "libcommon/cli/metrics.h"
#include "libcommon/cli/opt.h"
#include "libcommon/stream/end.h"
#include "libcommon/stream/format/mp.h"
#include "libcommon/stream/net/socket.h"
#include "tap.h"

static char dir[] = "/tmp/penstock.XXXXXX", spec[64];
static struct stream_out *head;

static void *peer(void) { return socket_connect(spec + 1, 1u << LP1_HEAD, NULL); }

/* Raw frames; the last without more. */
static void frames(void *s, int n, const void *data, size_t size)
{
    for (int i = 0; i < n; i++)
        if (zmq_send(s, data, size, i < n - 1 ? ZMQ_SNDMORE : 0) < 0)
            return;
}

/* The answer's type, within a second; -1: none came. */
static int answer(void *s, struct packet *p)
{
    for (int i = 0; i < 100; i++) {
        int got = socket_recv(s, false, p);
        if (got > 0) {
            packet_drop(p);
            return (int)p->m.t;
        }
        usleep(10000);
    }
    return -1;
}

static void hello(struct lp1_message *m, enum lp1_role role)
{
    lp1_message_init(m, LP1_HELLO, 77, 0);
    m->role = role;
    m->slots = 4;
}

static bool send_when_there(void *s, const struct lp1_message *m)
{
    for (int i = 0; i < 100; i++) {
        if (socket_send(s, 0, m))
            return true;
        usleep(10000);
    }
    return false;
}

static void honest_worker_gets_a_welcome(const char *when)
{
    static struct lp1_message m;
    static struct packet p;
    void *s = peer();
    hello(&m, LP1_WORKER);
    ok(send_when_there(s, &m) && answer(s, &p) == LP1_WELCOME, "an honest worker is welcomed %s", when);
    socket_close(s, 0);
}

static void nonsense(void)
{
    static struct packet p;
    static uint8_t junk[70000];
    void *s = peer();
    for (size_t i = 0; i < sizeof junk; i++)
        junk[i] = (uint8_t)(i * 7919);
    static struct lp1_message m;
    hello(&m, LP1_WORKER);
    m.from = 5;
    ok(send_when_there(s, &m) && answer(s, &p) == LP1_WELCOME, "a peer begins well");
    frames(s, 1, junk, 10);
    ok(answer(s, &p) == LP1_REJECT, "then junk: it is told so");
    frames(s, 1, junk, sizeof junk);
    ok(answer(s, &p) == LP1_REJECT && p.m.code == LP1_LIMIT, "a control frame of 70 kB is refused");
    frames(s, 40, junk, 100);
    ok(answer(s, &p) == LP1_REJECT, "forty frames are refused");
    frames(s, 1, "", 0);
    ok(answer(s, &p) == LP1_REJECT, "so is an empty one");
    lp1_message_init(&m, LP1_DATA, 5, 0);
    struct blob *small = blob_new(10);
    memset(small->data, 0, 10);
    m.nunit = 1;
    m.unit[0] = (struct lp1_unit){ .n = 1 << 20, .body = small };
    socket_send(s, 0, &m);
    blob_drop(small);
    ok(answer(s, &p) == LP1_REJECT && p.m.code == LP1_LIMIT, "and a body of another size than announced");
    lp1_message_init(&m, LP1_ACK, 5, 99);
    m.next = m.limit = m.commit = UINT64_MAX - 1;
    m.final = 1;
    socket_send(s, 0, &m);
    ok(answer(s, &p) == LP1_REJECT && p.m.code == LP1_SESSION, "an ACK of one who is no consumer ends nothing");
    socket_close(s, 0);
}

static void older_consumer(void)
{
    static struct lp1_message m;
    static struct packet p;
    void *new = peer(), *old = peer();
    hello(&m, LP1_TAIL);
    m.from = 1000;
    ok(send_when_there(new, &m) && answer(new, &p) == LP1_WELCOME, "a consumer is welcomed");
    m.from = 999;
    ok(send_when_there(old, &m) && answer(old, &p) == LP1_REJECT && p.m.code == LP1_FENCED, "an older one is fenced off");
    m.from = 1001;
    memset(m.run, 1, sizeof m.run);
    ok(send_when_there(old, &m) && answer(old, &p) == LP1_REJECT && p.m.code == LP1_BAD_RUN,
       "one of another plan is refused");
    socket_close(new, 0);
    socket_close(old, 0);
}

/* AddressSanitizer keeps up to 256 MB of what was freed, which is no growth of ours. */
#ifdef __SANITIZE_ADDRESS__
enum { FREED_KEPT = 256 };
#else
enum { FREED_KEPT = 0 };
#endif

static void flood(void)
{
    static struct lp1_message m;
    uint64_t before = peak_memory_bytes();
    void *s[20];
    for (int i = 0; i < 20; i++)
        s[i] = peer();
    for (int round = 0; round < 200; round++)
        for (int i = 0; i < 20; i++) {
            hello(&m, LP1_WORKER);
            m.from = (uint64_t)(round * 20 + i + 100);          /* a new worker each time, on the same connection */
            m.nlist = LP1_LIST;
            for (size_t k = 0; k < LP1_LIST; k++)
                m.list[k] = k * 1000003;
            socket_send(s[i], 0, &m);
        }
    usleep(300000);
    for (int i = 0; i < 20; i++)
        socket_close(s[i], 0);
    uint64_t grown = peak_memory_bytes() - before;
    ok(grown < (uint64_t)(64 + FREED_KEPT) << 20, "4,000 HELLOs of the longest kind take %.1f MB (limit %d)",
       (double)grown / 1e6, 64 + FREED_KEPT);
}

static void unending(void)
{
    static uint8_t part[65536];
    uint64_t before = peak_memory_bytes();
    void *s = peer();
    static struct lp1_message m;
    static struct packet p;
    hello(&m, LP1_WORKER);
    m.from = 6;
    send_when_there(s, &m);
    answer(s, &p);
    int parts = 0;
    for (; parts < 400 && zmq_send(s, part, sizeof part, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0; parts++)
        ;
    usleep(300000);
    /* libzmq itself holds what a peer of ours never ends; the last bound is the process's limit (protocol(7)). */
    ok(peak_memory_bytes() - before < (uint64_t)(200 + FREED_KEPT) << 20,
       "a message of %d parts that never ends: %.1f MB for now, and nothing of it is ours", parts,
       (double)(peak_memory_bytes() - before) / 1e6);
    socket_close(s, 0);
}

/* libzmq's own heartbeats, every two seconds or so, would abort the process here. */
static void leaver(void)
{
    static const uint8_t junk[3000];
    char own[sizeof spec + 2];
    struct error e = { 0 };
    snprintf(own, sizeof own, "%s2", spec);
    void *unread = socket_bind(own, &e), *s = socket_connect(own + 1, 1u << LP1_HEAD, &e);
    int sent = 0, got = 0;
    static struct packet p;
    for (int tries = 0; tries < 200 && sent < 900; tries++) {
        while (sent < 900 && zmq_send(s, junk, sizeof junk, ZMQ_DONTWAIT) >= 0)
            sent++;
        usleep(10000);
    }
    socket_close(s, 0);
    sleep(3);
    while (socket_recv(unread, true, &p))
        got++;
    ok(sent > 100 && got >= 64, "a peer that fills the queue (%d messages, %d came) and leaves harms nobody %s",
       sent, got, e.text);
    socket_close(unread, 0);
}

int main(void)
{
    struct error e = { 0 };
    struct header h;
    struct stage st;
    uint8_t run[16] = "the plan of it";
    if (!mkdtemp(dir))
        return 1;
    snprintf(spec, sizeof spec, "@ipc://%s/h", dir);
    head = stream_out_open(spec, &e);
    stage_init(&st, "source");
    if (!ok(head && header_make(&h, run, 10, 1, &st, &e) == 0 && stream_put_header(head, &h, &e) == 0,
            "a head serves: %s", e.text))
        return done();
    honest_worker_gets_a_welcome("at first");
    nonsense();
    flood();
    unending();
    older_consumer();
    leaver();
    honest_worker_gets_a_welcome("after all that");
    stream_out_close(head, &e);
    header_release(&h);
    stage_release(&st);
    char path[100];
    snprintf(path, sizeof path, "rm -rf %s", dir);
    return system(path) == 0 ? done() : 1;
}
