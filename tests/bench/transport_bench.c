/* tests/bench/transport_bench.c - raw libzmq PUSH/PULL between the processes of a pipeline: what fan is measured against
 *
 *   transport_bench push FILE ENDPOINT        each unit's body of a stream, one message each
 *   transport_bench work ENDPOINT ENDPOINT N  decodes and sums each body as a filter does, passes it on
 *   transport_bench pull ENDPOINT N           N messages, and away with them
 *   transport_bench drop ENDPOINT HEAD        the same as LP1's consumer: each unit once, in order, and away with it
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "libcommon/stream/crew/wire.h"
#include "libcommon/stream/stream.h"

static void *context;

static void *open_socket(int kind, const char *endpoint, bool bind)
{
    void *s = zmq_socket(context, kind);
    const int again = 1;                /* ms until a connect is tried again: else the start takes 0 or 200 ms, by chance */
    if (s)
        zmq_setsockopt(s, ZMQ_RECONNECT_IVL, &again, sizeof again);
    if (!s || (bind ? zmq_bind(s, endpoint) : zmq_connect(s, endpoint)) < 0) {
        fprintf(stderr, "transport_bench: '%s': %s\n", endpoint, zmq_strerror(zmq_errno()));
        exit(100);
    }
    return s;
}

static void let_go(void *data, void *hint)
{
    (void)data;
    blob_drop(hint);
}

static int push(const char *file, const char *endpoint)
{
    struct error e;
    struct wire w;
    struct span header;
    struct blob *body;
    void *out = open_socket(ZMQ_PUSH, endpoint, true);
    wire_init(&w, open(file, O_RDONLY));
    for (;;) {
        enum wire_event event = wire_next(&w, &header, &body, &e);
        if (event == WIRE_MORE && wire_fill(&w, &e) > 0)
            continue;
        if (event != WIRE_HEADER && event != WIRE_UNIT)
            break;
        zmq_msg_t m;
        if (event == WIRE_UNIT && zmq_msg_init_data(&m, body->data, body->size, let_go, body) == 0)
            zmq_msg_send(&m, out, 0);
    }
    wire_release(&w);
    zmq_close(out);
    zmq_ctx_term(context);
    return 0;
}

static int work(const char *from, const char *to, long n)
{
    void *in = open_socket(ZMQ_PULL, from, false), *out = open_socket(ZMQ_PUSH, to, true);
    struct unit u;
    struct error e;
    uint32_t sum = 0;
    unit_init(&u);
    while (n--) {
        zmq_msg_t m;
        zmq_msg_init(&m);
        zmq_msg_recv(&m, in, 0);
        u.body = (struct buf){ .data = zmq_msg_data(&m), .size = zmq_msg_size(&m), .max = SIZE_MAX };
        sum ^= crc32c(0, u.body.data, u.body.size);
        if (unit_decode(&u, 1, &e) < 0)
            fprintf(stderr, "transport_bench: %s\n", e.text);
        sum ^= crc32c(0, u.body.data, u.body.size);
        u.body = (struct buf){ 0 };
        zmq_msg_send(&m, out, 0);
    }
    zmq_close(in);
    zmq_close(out);
    zmq_ctx_term(context);
    return sum == 1;
}

static int pull(const char *from, long n)
{
    void *in = open_socket(ZMQ_PULL, from, false);
    while (n--) {
        zmq_msg_t m;
        zmq_msg_init(&m);
        zmq_msg_recv(&m, in, 0);
        zmq_msg_close(&m);
    }
    zmq_close(in);
    return 0;
}

static int drop(const char *from, const char *head)
{
    struct error e = { 0 };
    struct unit u;
    uint64_t n = 0;
    struct stream_tail tail = { .head = head };
    struct stream_in *in = stream_in_open_tail(from, &tail, &e);
    enum stream_event event = in ? STREAM_HEADER : STREAM_FAILED;
    unit_init(&u);
    for (; event != STREAM_FAILED && event != STREAM_EOF; n += event == STREAM_UNIT)
        event = stream_next(in, &u, &e);
    unit_release(&u);
    if (event == STREAM_FAILED) {
        fprintf(stderr, "transport_bench: %s\n", e.text);
        return 100;
    }
    stream_in_commit(in, n);
    stream_in_finish(in);
    stream_in_close(in);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "drop"))
        return drop(argv[2], argv[3]);
    context = zmq_ctx_new();
    if (argc == 4 && !strcmp(argv[1], "push"))
        return push(argv[2], argv[3]);
    if (argc == 5 && !strcmp(argv[1], "work"))
        return work(argv[2], argv[3], atol(argv[4]));
    if (argc == 4 && !strcmp(argv[1], "pull"))
        return pull(argv[2], atol(argv[3]));
    fprintf(stderr, "usage: transport_bench push FILE TO | work FROM TO N | pull FROM N | drop FROM HEAD\n");
    return 100;
}
