/* cmd/ckpt-write.c - put checkpoints where they are kept
 *
 * Reads a checkpoint stream (docs/checkpoint.7) and makes each checkpoint of it
 * a directory DEST/step-N, which is complete or not there at all.  It knows
 * nothing of models.  Signals that end a pipeline do not end this program: it
 * ends with its input, so that what the trainer still writes is kept. */
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "libcommon/ckpt/ckpt.h"
#include "libcommon/ckpt/dest.h"
#include "libcommon/cli/metrics.h"
#include "libcommon/cli/opt.h"
#include "libcommon/sys/clock.h"
#include "libcommon/sys/log.h"

enum { PATIENCE = 60 };         /* seconds that another writer in DEST has to leave */

struct work {
    struct ckpt_dest *dest;
    struct metrics *metrics;
    uint64_t bytes, size;       /* of the checkpoint; of the file */
    char name[CKPT_NAME + 1];
    double began;
};

static int committed(struct work *w, const struct ckpt_record *r, struct error *e)
{
    if (ckpt_dest_commit(w->dest, r->step, r->best, e) < 0)
        return -1;
    double seconds = clock_seconds() - w->began;
    note("'%s' is complete: %.1f MB in %.1f s", ckpt_dest_newest(w->dest), (double)w->bytes / 1e6, seconds);
    metrics_begin(w->metrics);
    metrics_int(w->metrics, "step", (int64_t)r->step);
    metrics_int(w->metrics, "bytes", (int64_t)w->bytes);
    metrics_real(w->metrics, "seconds", seconds);
    w->bytes = 0;
    return metrics_end(w->metrics, e);
}

static int record(struct work *w, enum ckpt_event event, const struct ckpt_record *r, struct error *e)
{
    switch (event) {
    case CKPT_FILE:
        if (!w->bytes)
            w->began = clock_seconds();
        memcpy(w->name, r->name, sizeof w->name);
        w->size = r->size;
        return ckpt_dest_file(w->dest, r->step, r->name, r->size, e);
    case CKPT_BYTES:
        w->bytes += r->data.size;
        progress_line(0, "step %" PRIu64 ": %s, %.0f MB", r->step, w->name, (double)w->bytes / 1e6);
        return ckpt_dest_bytes(w->dest, r->data.data, r->data.size, e);
    case CKPT_COMMIT:
        return committed(w, r, e);
    default:
        return 0;
    }
}

int main(int argc, char **argv)
{
    struct common c = { 0 };
    int64_t limit = 0;
    const struct opt opts[] = {
        { OPT_INT, .name = "save-total-limit", .value = &limit, .arg = "N", .min = 0, .max = 1e9,
          .help = "checkpoints to keep (newest, best, then the latest); 0: all" },
        { .name = NULL },
    };
    const struct program program = {
        .name = "ckpt-write", .operands = "DEST", .min_operands = 1, .max_operands = 1, .opts = opts,
        .summary = "checkpoint stream in, DEST/step-N and DEST/latest out",
    };
    const char *path = argv[opt_parse(&program, &c, OPT_NO_OUT, argc, argv)];
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);

    struct error e = { 0 };
    struct work w = { 0 };
    struct ckpt_record r;
    enum ckpt_event event = CKPT_FAILED;
    struct ckpt_in *in = NULL;
    if ((w.dest = ckpt_dest_open(path, (uint64_t)limit, PATIENCE, &e)) && (in = ckpt_in_open(c.in, &e)) &&
        ((w.metrics = metrics_open(c.metrics, &e)) || !e.status))
        while ((event = ckpt_next(in, &r, &e)) > CKPT_EOF)
            if (record(&w, event, &r, &e) < 0) {
                event = CKPT_FAILED;
                break;
            }
    if (event == CKPT_FAILED) {
        const char *newest = w.dest ? ckpt_dest_newest(w.dest) : NULL;
        if (newest)
            warn("%s; the newest complete checkpoint is '%s'", e.text, newest);
        else
            warn("%s", e.text);
    }
    metrics_close(w.metrics);
    ckpt_in_close(in);
    ckpt_dest_close(w.dest);
    return event == CKPT_FAILED ? e.status : STATUS_OK;
}
