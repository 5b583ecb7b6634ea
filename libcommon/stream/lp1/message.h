/* libcommon/stream/lp1/message.h - the messages of LP1 (docs/protocol.7)
 *
 * A message's control frame as a struct.  Reading is for bytes from outside:
 * bounded, allocates nothing, and refuses whatever lacks a key of its type. */
#ifndef PENSTOCK_LP1_MESSAGE_H
#define PENSTOCK_LP1_MESSAGE_H

#include "libcommon/sys/buf.h"

enum { LP1_VERSION = 2, LP1_CONTROL_MAX = 4096, LP1_LIST = 256, LP1_RANGES = 64, LP1_TEXT = 256, LP1_WINDOW = 65536,
       LP1_SESSIONS = 4096 };
/* Units of one message, and their bytes when it is more than one. */
enum { LP1_BATCH = 64, LP1_BATCH_BYTES = 256 << 10 };

/* Seconds: between beats; of silence that end a session; that a finished HEAD or TAIL waits for the others. */
#define LP1_BEAT 1.0
#define LP1_LOST 6.0
#define LP1_LATE 1.0            /* so long a HEAD stays when all is durable, for workers that come late */
#define LP1_LINGER 10.0

enum lp1_type { LP1_HELLO, LP1_WELCOME, LP1_REJECT, LP1_WORK, LP1_DATA, LP1_RECV, LP1_FREE, LP1_ACK, LP1_EOS, LP1_BEAT_MSG,
                LP1_BYE, LP1_TYPES };
enum lp1_role { LP1_HEAD, LP1_WORKER, LP1_TAIL, LP1_HUB, LP1_ROLES };
enum lp1_code { LP1_SESSION, LP1_WAIT, LP1_BUSY, LP1_BAD_VERSION, LP1_BAD_RUN, LP1_BAD_CONFIG, LP1_BAD_ROLE, LP1_FENCED,
                LP1_LIMIT, LP1_CODES };

#define LP1_UNKNOWN UINT64_MAX          /* a total that is not known yet */

struct lp1_unit {
    uint64_t q, e, k, n;                /* number, epoch, samples, bytes */
    uint32_t c;                         /* crc32c of its body */
    void *body;                         /* opaque here; not part of the control frame */
};

struct lp1_message {
    enum lp1_type t;
    uint64_t from, to;                  /* incarnations; `to` 0: not known */
    uint64_t role, slots;
    uint64_t ok, tail;
    uint64_t next, limit, commit;
    uint64_t total, final;
    uint64_t code, done;
    uint8_t run[16];
    void *header;                       /* HELLO, WELCOME: of a stream, opaque here; NULL: none */
    char text[LP1_TEXT + 1];            /* why (REJECT), which host (HELLO) */
    size_t nunit, nlist, nsack;
    struct lp1_unit unit[LP1_BATCH];    /* WORK, DATA: at least one */
    uint64_t list[LP1_LIST];            /* sequence numbers */
    struct lp1_range { uint64_t lo, hi; } sack[LP1_RANGES];
};

/* Sets all that is not a list to zero: cheap enough for every unit. */
void lp1_message_init(struct lp1_message *m, enum lp1_type t, uint64_t from, uint64_t to);
/* Would one unit more of n bytes still fit a message that has so many units and bytes? */
static inline bool lp1_batch_fits(size_t units, uint64_t bytes, uint64_t n)
{
    return !units || (units < LP1_BATCH && bytes + n <= LP1_BATCH_BYTES);
}
/* Appends the control frame. */
void lp1_message_write(const struct lp1_message *m, struct buf *b);
/* Reads one, with all bodies NULL.  -1: not a message (why: a static text).  A version
 * other than ours is refused with *version set false, so that the peer can be told. */
int lp1_message_read(struct span frame, struct lp1_message *m, bool *version, const char **why);
/* May this type have a second frame (a header, or its units' bodies one after the other), must it? */
bool lp1_message_may_carry(enum lp1_type t);
bool lp1_message_must_carry(enum lp1_type t);
/* Bytes of its units' bodies together. */
uint64_t lp1_message_bytes(const struct lp1_message *m);

const char *lp1_type_name(enum lp1_type t);
const char *lp1_role_name(enum lp1_role r);
const char *lp1_code_name(enum lp1_code c);

#endif
