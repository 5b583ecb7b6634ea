/* libcommon/stream/lp1/message.c - writes and reads control frames, driven by one table of keys */
#include "libcommon/stream/lp1/message.h"

#include <string.h>

#include "libcommon/stream/format/mp.h"

static const char *const type_names[LP1_TYPES] = { "HELLO", "WELCOME", "REJECT", "WORK", "DATA", "RECV", "FREE", "ACK",
                                                   "EOS", "BEAT", "BYE" };
static const char *const role_names[LP1_ROLES] = { "head", "worker", "tail", "hub" };
static const char *const code_names[LP1_CODES] = { "session", "wait", "busy", "version", "run", "config", "role", "fenced",
                                                   "limit" };

#define T(x) (1u << (x))
enum { UNIT_TYPES = T(LP1_WORK) | T(LP1_DATA), ACK_TYPES = T(LP1_HELLO) | T(LP1_ACK), UNIT_NUMBERS = 5 };
static const unsigned list_types = T(LP1_HELLO) | T(LP1_RECV) | T(LP1_FREE) | T(LP1_BYE);
static const unsigned run_types = T(LP1_HELLO) | T(LP1_WELCOME), text_types = T(LP1_HELLO) | T(LP1_REJECT);

/* Numbers: which types carry them; each is then required.  max: the largest value allowed. */
static const struct number {
    const char *key;
    size_t at;
    unsigned types;
    uint64_t max;
} numbers[] = {
#define AT(f) offsetof(struct lp1_message, f)
    { "i", AT(from), ~0u, UINT64_MAX },
    { "to", AT(to), ~0u, UINT64_MAX },
    { "role", AT(role), T(LP1_HELLO), LP1_ROLES - 1 },
    { "slots", AT(slots), T(LP1_HELLO) | T(LP1_FREE), LP1_LIST },
    { "ok", AT(ok), T(LP1_RECV) | T(LP1_FREE), 1 },
    { "tail", AT(tail), T(LP1_FREE), UINT64_MAX },
    { "next", AT(next), ACK_TYPES, UINT64_MAX - 1 },
    { "limit", AT(limit), ACK_TYPES, UINT64_MAX - 1 },
    { "commit", AT(commit), ACK_TYPES, UINT64_MAX - 1 },
    { "total", AT(total), T(LP1_EOS), UINT64_MAX },
    { "final", AT(final), T(LP1_EOS) | ACK_TYPES, 1 },
    { "code", AT(code), T(LP1_REJECT), UINT64_MAX },
    { "done", AT(done), T(LP1_BEAT_MSG), UINT64_MAX },
#undef AT
};
enum { NUMBERS = sizeof numbers / sizeof *numbers };

const char *lp1_type_name(enum lp1_type t) { return t < LP1_TYPES ? type_names[t] : "?"; }
const char *lp1_role_name(enum lp1_role r) { return r < LP1_ROLES ? role_names[r] : "?"; }
const char *lp1_code_name(enum lp1_code c) { return c < LP1_CODES ? code_names[c] : "?"; }

uint64_t lp1_message_bytes(const struct lp1_message *m)
{
    uint64_t n = 0;
    for (size_t i = 0; i < m->nunit; i++)
        n += m->unit[i].n;
    return n;
}

bool lp1_message_must_carry(enum lp1_type t) { return t == LP1_WORK || t == LP1_DATA; }
bool lp1_message_may_carry(enum lp1_type t) { return lp1_message_must_carry(t) || t == LP1_HELLO || t == LP1_WELCOME; }

void lp1_message_init(struct lp1_message *m, enum lp1_type t, uint64_t from, uint64_t to)
{
    memset(m, 0, offsetof(struct lp1_message, text) + 1);
    m->t = t;
    m->from = from;
    m->to = to;
    m->nunit = m->nlist = m->nsack = 0;
}

static uint64_t *number_of(const struct number *f, struct lp1_message *m)
{
    return (uint64_t *)(void *)((char *)m + f->at);
}

static void units_write(const struct lp1_message *m, struct buf *b)
{
    mp_put_str(b, "us");
    mp_put_array(b, (uint32_t)(UNIT_NUMBERS * m->nunit));
    for (const struct lp1_unit *u = m->unit; u < m->unit + m->nunit; u++) {
        mp_put_uint(b, u->q);
        mp_put_uint(b, u->e);
        mp_put_uint(b, u->k);
        mp_put_uint(b, u->n);
        mp_put_uint(b, u->c);
    }
}

void lp1_message_write(const struct lp1_message *m, struct buf *b)
{
    unsigned bit = T(m->t);
    uint32_t pairs = 2;                                 /* v, t */
    for (int i = 0; i < NUMBERS; i++)
        pairs += numbers[i].types & bit ? 1 : 0;
    pairs += (uint32_t)((bit & run_types) != 0) + ((bit & text_types) != 0) + ((bit & list_types) != 0) + (m->t == LP1_ACK) +
             ((bit & UNIT_TYPES) != 0);
    mp_put_map(b, pairs);
    mp_put_str(b, "v");
    mp_put_uint(b, LP1_VERSION);
    mp_put_str(b, "t");
    mp_put_str(b, type_names[m->t]);
    for (int i = 0; i < NUMBERS; i++)
        if (numbers[i].types & bit) {
            uint64_t v;
            memcpy(&v, (const char *)m + numbers[i].at, sizeof v);
            mp_put_str(b, numbers[i].key);
            mp_put_uint(b, v);
        }
    if (bit & run_types) {
        mp_put_str(b, "r");
        mp_put_bin(b, m->run, sizeof m->run);
    }
    if (bit & text_types) {
        mp_put_str(b, "text");
        mp_put_str(b, m->text);
    }
    if (bit & list_types) {
        mp_put_str(b, "qs");
        mp_put_array(b, (uint32_t)m->nlist);
        for (size_t i = 0; i < m->nlist; i++)
            mp_put_uint(b, m->list[i]);
    }
    if (bit & UNIT_TYPES)
        units_write(m, b);
    if (m->t == LP1_ACK) {
        mp_put_str(b, "sack");
        mp_put_array(b, (uint32_t)(2 * m->nsack));
        for (size_t i = 0; i < m->nsack; i++) {
            mp_put_uint(b, m->sack[i].lo);
            mp_put_uint(b, m->sack[i].hi);
        }
    }
}

static int list_read(struct mp_cursor c, uint64_t *to, size_t max, size_t *n)
{
    struct mp_value v;
    if (mp_read(&c, &v) < 0 || v.type != MP_ARRAY || v.n > max)
        return -1;
    *n = v.n;
    for (size_t i = 0; i < *n; i++)
        if (mp_read(&c, &v) < 0 || !mp_to_u64(&v, &to[i]) || to[i] == UINT64_MAX)
            return -1;
    return 0;
}

/* Numbers in fives: q, e, k, n, c of each unit. */
static int units_read(struct mp_cursor c, struct lp1_message *m)
{
    struct mp_value v;
    if (mp_read(&c, &v) < 0 || v.type != MP_ARRAY || !v.n || v.n % UNIT_NUMBERS || v.n / UNIT_NUMBERS > LP1_BATCH)
        return -1;
    m->nunit = v.n / UNIT_NUMBERS;
    for (struct lp1_unit *u = m->unit; u < m->unit + m->nunit; u++) {
        uint64_t x[UNIT_NUMBERS];
        for (int i = 0; i < UNIT_NUMBERS; i++)
            if (mp_read(&c, &v) < 0 || !mp_to_u64(&v, &x[i]))
                return -1;
        if (x[0] == UINT64_MAX || x[2] > UINT32_MAX || x[3] > UINT32_MAX || x[4] > UINT32_MAX)
            return -1;
        *u = (struct lp1_unit){ .q = x[0], .e = x[1], .k = x[2], .n = x[3], .c = (uint32_t)x[4] };
    }
    return 0;
}

static int text_read(struct mp_cursor c, struct lp1_message *m)
{
    struct mp_value v;
    if (mp_read(&c, &v) < 0 || v.type != MP_STR || v.bytes.size > LP1_TEXT)
        return -1;
    if (v.bytes.size)
        memcpy(m->text, v.bytes.data, v.bytes.size);
    m->text[v.bytes.size] = 0;
    return 0;
}

static int run_read(struct mp_cursor c, struct lp1_message *m)
{
    struct mp_value v;
    if (mp_read(&c, &v) < 0 || v.type != MP_BIN || v.bytes.size != sizeof m->run)
        return -1;
    memcpy(m->run, v.bytes.data, sizeof m->run);
    return 0;
}

/* Once the type is known: one pair.  The key's bit in *seen, so that a key twice and a missing one are found. */
static int pair_read(struct span key, struct mp_cursor value, struct lp1_message *m, uint32_t *seen)
{
    unsigned bit = T(m->t);
    struct mp_value v;
    int at = -1, r = 0;
    for (int i = 0; i < NUMBERS && at < 0; i++)
        if (key.size == strlen(numbers[i].key) && !memcmp(key.data, numbers[i].key, key.size)) {
            if (!(numbers[i].types & bit))
                return 0;
            r = mp_read(&value, &v) < 0 || !mp_to_u64(&v, number_of(&numbers[i], m)) ||
                *number_of(&numbers[i], m) > numbers[i].max ? -1 : 0;
            at = i;
        }
    if (at < 0 && key.size == 1 && key.data[0] == 'r' && (bit & run_types))
        r = run_read(value, m), at = NUMBERS;
    else if (at < 0 && key.size == 4 && !memcmp(key.data, "text", 4) && (bit & text_types))
        r = text_read(value, m), at = NUMBERS + 1;
    else if (at < 0 && key.size == 2 && !memcmp(key.data, "qs", 2) && (bit & list_types))
        r = list_read(value, m->list, LP1_LIST, &m->nlist), at = NUMBERS + 2;
    else if (at < 0 && key.size == 2 && !memcmp(key.data, "us", 2) && (bit & UNIT_TYPES))
        r = units_read(value, m), at = NUMBERS + 4;
    else if (at < 0 && key.size == 4 && !memcmp(key.data, "sack", 4) && m->t == LP1_ACK) {
        size_t n = 0;                                   /* an ACK has no list of its own: read there */
        r = list_read(value, m->list, (size_t)2 * LP1_RANGES, &n), at = NUMBERS + 3;
        for (size_t i = 0; !r && i + 1 < n; i += 2)
            m->sack[i / 2] = (struct lp1_range){ m->list[i], m->list[i + 1] };
        m->nsack = n / 2;
        r = n % 2 ? -1 : r;
    }
    if (at < 0)
        return 0;                                       /* not a key of this type: passed over */
    if (*seen & 1u << at)
        return -1;
    *seen |= 1u << at;
    return r;
}

static uint32_t required(enum lp1_type t)
{
    uint32_t need = 0;
    for (int i = 0; i < NUMBERS; i++)
        need |= numbers[i].types & T(t) ? 1u << i : 0;
    return need | (T(t) & run_types ? 1u << NUMBERS : 0) | (T(t) & text_types ? 1u << (NUMBERS + 1) : 0) |
           (T(t) & list_types ? 1u << (NUMBERS + 2) : 0) | (t == LP1_ACK ? 1u << (NUMBERS + 3) : 0) |
           (T(t) & UNIT_TYPES ? 1u << (NUMBERS + 4) : 0);
}
_Static_assert(NUMBERS + 4 < 32, "a bit for each key");

/* The keys v and t may stand anywhere: a first walk finds them. */
static int kind_read(struct mp_cursor c, uint32_t pairs, struct lp1_message *m, bool *version, const char **why)
{
    bool v_seen = false, t_seen = false;
    struct mp_value key, v;
    for (uint32_t i = 0; i < pairs; i++) {
        struct span whole;
        if (mp_read(&c, &key) < 0 || key.type != MP_STR || mp_skip(&c, &whole) < 0)
            return *why = "a key that is no text, or a broken value", -1;
        struct mp_cursor value = { whole.data, whole.data + whole.size };
        if (mp_str_is(&key, "v")) {
            uint64_t n;
            if (mp_read(&value, &v) < 0 || !mp_to_u64(&v, &n))
                return *why = "'v' is no number", -1;
            v_seen = true;
            *version = n == LP1_VERSION;
        } else if (mp_str_is(&key, "t")) {
            if (mp_read(&value, &v) < 0 || v.type != MP_STR)
                return *why = "'t' is no text", -1;
            for (unsigned t = 0; t < LP1_TYPES && !t_seen; t++)
                if (mp_str_is(&v, type_names[t]))
                    lp1_message_init(m, (enum lp1_type)t, 0, 0), t_seen = true;
        }
    }
    if (c.p != c.end)
        return *why = "bytes after the map", -1;
    if (!v_seen || !*version)
        return *version = false, *why = "another version of the protocol", -1;
    if (!t_seen)
        return *why = "an unknown type of message", -1;
    return 0;
}

int lp1_message_read(struct span frame, struct lp1_message *m, bool *version, const char **why)
{
    struct mp_cursor c = { frame.data, frame.data + frame.size };
    struct mp_value map, key;
    uint32_t seen = 0;
    *version = true;
    if (frame.size > LP1_CONTROL_MAX)
        return *why = "a control frame over 4096 bytes", -1;
    if (mp_read(&c, &map) < 0 || map.type != MP_MAP || map.n > 64)
        return *why = "no map of at most 64 keys", -1;
    if (kind_read(c, map.n, m, version, why) < 0)
        return -1;
    for (uint32_t i = 0; i < map.n; i++) {
        struct span whole;
        if (mp_read(&c, &key) < 0 || mp_skip(&c, &whole) < 0 ||
            pair_read(key.bytes, (struct mp_cursor){ whole.data, whole.data + whole.size }, m, &seen) < 0)
            return *why = "a value of the wrong type or out of range, or a key twice", -1;
    }
    if (seen != required(m->t))
        return *why = "a key is missing", -1;
    if (m->nunit > 1 && lp1_message_bytes(m) > LP1_BATCH_BYTES)
        return *why = "units of more bytes than may go together", -1;
    for (size_t i = 0; i < m->nsack; i++)
        if (m->sack[i].lo >= m->sack[i].hi)
            return *why = "an empty range", -1;
    return 0;
}
