/* cmd/replay.c - puts recorded streams again: from any unit, for any number of epochs, in any order
 *
 * As recorded unless --shuffle, --num-train-epochs or --unit say otherwise: then
 * samples are taken one by one in the plan's order, and the run is another one. */
#include <openssl/evp.h>
#include <string.h>

#include "libcommon/plan/plan.h"
#include "libcommon/plan/source.h"
#include "libcommon/record/recording.h"
#include "libcommon/sys/log.h"

static int64_t epochs = 1, seed = 42, start, unit_size, jobs = 2;
static bool shuffle, unit_given, seed_given;

static const struct opt options[] = {
    { OPT_INT, .name = "num-train-epochs", .value = &epochs, .arg = "N", .min = 1, .max = 1e9,
      .help = "how many times through all samples" },
    { OPT_FLAG, .name = "shuffle", .value = &shuffle, .help = "another order each epoch, by --seed" },
    { OPT_INT, .name = "seed", .value = &seed, .arg = "N", .min = 0, .max = 9e15, .given = &seed_given,
      .help = "of the order" },
    { OPT_INT, .name = "start", .value = &start, .arg = "SEQ", .min = 0, .max = 9e15,
      .help = "first unit put, to go on with a run" },
    { OPT_INT, .name = "unit", .value = &unit_size, .arg = "N", .min = 1, .max = 1 << 20, .given = &unit_given,
      .help = "samples a unit (0: as recorded; 1 when the order changes)" },
    { OPT_INT, .name = "jobs", .value = &jobs, .arg = "N", .min = 1, .max = 256, .help = "threads that read ahead" },
    { .name = NULL },
};
static const struct program program = {
    .name = "replay", .operands = "DIR|FILE...", .min_operands = 1, .max_operands = 1 << 20, .opts = options,
    .summary = "Writes the stream that record, or > and tee, kept in files",
};

struct replay {
    struct recording *from;
    struct header header;
    struct stage stage;
    bool as_recorded;
    struct plan plan;
};

/* --- units ------------------------------------------------------------------------ */

static int sample_copy(const struct replay *r, uint64_t item, struct unit *held, uint64_t *have, struct unit *to,
                       struct error *e)
{
    uint64_t unit, at;
    if (recording_find(r->from, item, &unit, &at, e) < 0)
        return -1;
    if (unit != *have && recording_unit(r->from, unit, held, e) < 0)
        return -1;
    *have = unit;
    if (at >= held->k)
        return error_set(e, STATUS_BAD, "unit %llu of the recording has %u samples, its index says more",
                         (unsigned long long)unit, held->k);
    const struct sample *s = &held->sample[at];
    struct span id = sample_id(s);
    struct sample *copy = unit_add(to, (const char *)id.data, id.size, e);
    for (size_t i = 0; copy && i < s->n; i++) {
        char key[256];
        if (s->field[i].key.size >= sizeof key)
            return error_set(e, STATUS_BAD, "a field name of %zu bytes", s->field[i].key.size);
        memcpy(key, s->field[i].key.data, s->field[i].key.size);
        key[s->field[i].key.size] = 0;
        if (sample_put_raw(copy, key, s->field[i].value, e) < 0)
            return -1;
    }
    return copy ? 0 : -1;
}

static int unit_make(void *ctx, uint64_t q, struct unit *u, struct error *e)
{
    const struct replay *r = ctx;
    if (r->as_recorded) {
        if (recording_unit(r->from, q - recording_first_q(r->from), u, e) < 0)
            return -1;
        u->q = q;
        return 0;
    }
    struct plan_slice s = plan_slice(&r->plan, q);
    uint64_t unit, at, have = UINT64_MAX;
    if (s.k == 1 && recording_units(r->from) == recording_samples(r->from)) {       /* no copy */
        if (recording_find(r->from, plan_item(&r->plan, s.epoch, s.first), &unit, &at, e) < 0 ||
            recording_unit(r->from, unit, u, e) < 0)
            return -1;
        if (u->k == 1) {
            u->q = q;
            u->epoch = s.epoch;
            return 0;
        }
    }
    struct unit held;
    int rc = 0;
    unit_init(&held);
    unit_begin(u, q, s.epoch);
    for (uint64_t i = 0; rc == 0 && i < s.k; i++)
        rc = sample_copy(r, plan_item(&r->plan, s.epoch, s.first + i), &held, &have, u, e);
    unit_release(&held);
    return rc;
}

/* --- the run ------------------------------------------------------------------------- */

/* Another order is another run: its id is made of the recording's and of what the order depends on. */
static int header_change(struct replay *r, struct error *e)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    struct buf b;
    struct span run = header_run(&r->header);
    buf_init(&b, 1 << 16);
    buf_append(&b, run.data, run.size);
    buf_printf(&b, "replay %d %llu %llu %llu %d %lld", PLAN_VERSION, (unsigned long long)recording_samples(r->from),
               (unsigned long long)recording_units(r->from), (unsigned long long)r->plan.unit, shuffle,
                   shuffle ? (long long)seed : 0);
    bool hashed = !b.failed && EVP_Digest(b.data, b.size, sum, NULL, EVP_sha256(), NULL) == 1;
    buf_release(&b);
    if (!hashed)
        return error_memory(e);
    if (header_rerun(&r->header, sum, r->plan.items, r->plan.epochs, e) < 0)
        return -1;
    stage_put_int(&r->stage, "num_train_epochs", epochs);
    stage_put_bool(&r->stage, "shuffle", shuffle);
    stage_put_int(&r->stage, "seed", seed);
    return header_append(&r->header, &r->stage, e);
}

static int prepare(struct replay *r, struct error *e)
{
    const struct header *h = recording_header(r->from);
    if (header_read(&r->header, span_of(h->map.data, h->map.size), e) < 0)
        return -1;
    r->as_recorded = !shuffle && epochs == 1 && !unit_given && recording_streams(r->from) == 1;
    if (r->as_recorded)
        return 0;
    if ((epochs > 1 || shuffle) && header_epochs(h) > 1)
        return error_set(e, STATUS_BAD, "the recording holds %llu epochs already: record one, and replay it for as "
                                        "many as wanted",
                         (unsigned long long)header_epochs(h));
    r->plan = (struct plan){ .items = recording_samples(r->from), .epochs = (uint64_t)epochs,
                             .unit = unit_given ? (uint64_t)unit_size : 1, .shuffle = shuffle, .seed = (uint64_t)seed };
    if (!r->plan.items)
        return error_set(e, STATUS_BAD, "the recording holds no sample");
    return plan_check(&r->plan, e) < 0 ? -1 : header_change(r, e);
}

int main(int argc, char **argv)
{
    struct common c = { 0 };
    struct error e = { 0 };
    struct replay r = { 0 };
    int first = opt_parse(&program, &c, OPT_NO_IN, argc, argv);
    header_init(&r.header);
    stage_init(&r.stage, "replay");
    if (!(r.from = recording_open(argv + first, (size_t)(argc - first), &e)) || prepare(&r, &e) < 0)
        die(e.status, "%s", e.text);
    uint64_t begin = r.as_recorded ? recording_first_q(r.from) : 0;
    struct source s = { .ctx = &r, .header = &r.header, .unit = unit_make,
                        .units = r.as_recorded ? begin + recording_units(r.from) : plan_units(&r.plan) };
    if ((uint64_t)start > s.units)
        die(STATUS_BAD, "--start %lld: the run has %llu units", (long long)start, (unsigned long long)s.units);
    int status = source_run(&s, &c, (uint64_t)start > begin ? (uint64_t)start : begin, jobs);
    recording_close(r.from);
    header_release(&r.header);
    stage_release(&r.stage);
    return status;
}
