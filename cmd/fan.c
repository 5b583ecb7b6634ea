/* cmd/fan.c - N copies of a pipeline side by side, and the results back in order
 *
 * Between pipes it takes units in and puts them out; with --in and --out as
 * endpoints it is a worker of N copies for a head and a consumer elsewhere; with
 * one of each what net/ends.h says. */
#include <string.h>
#include <unistd.h>

#include "libcommon/stream/net/ends.h"
#include "libcommon/stream/net/supervise.h"
#include "libcommon/sys/log.h"

static int64_t copies;
static const char *cpus = "auto";
static double timeout = 600;
static uint64_t budget = 256 << 20;

static const struct opt options[] = {
    { OPT_INT, .letter = 'j', .name = "jobs", .value = &copies, .arg = "N", .min = 0, .max = CREW_MAX,
      .help = "copies of the pipeline (0: one a processor)" },
    { OPT_REAL, .name = "timeout", .value = &timeout, .arg = "SECONDS", .min = 0, .max = 1e9,
      .help = "a copy that holds a unit longer is killed (0: never)" },
    { OPT_SIZE, .name = "window", .value = &budget, .arg = "BYTES", .min = 1, .max = 1e15,
      .help = "units between input and output, in bytes" },
    { OPT_STRING, .name = "cpus", .value = &cpus, .arg = "auto|none|LIST",
      .help = "processors of the copies; auto: not those of train-step" },
    { .name = NULL },
};
static const struct program program = {
    .name = "fan", .operands = "'A | B | C'", .min_operands = 1, .max_operands = 1, .opts = options,
    .summary = "Runs N copies of a pipeline of filters on a stream, and keeps its order",
};

static int local(void *f, const struct common *c) { return fan_local(f, c); }
static int work(void *f, const struct common *c) { return worker_supervise(f, c); }

static int run(struct fan *f, enum ends kind, const struct common *c)
{
    switch (kind) {
    case ENDS_PIPES:
        return fan_local(f, c);
    case ENDS_HEAD:
        return ends_head(c, local, f);
    case ENDS_WORKER:
        return worker_supervise(f, c);
    default:
        return ends_serve(kind, c, work, f);
    }
}

int main(int argc, char **argv)
{
    struct common c = { 0 };
    struct error e = { 0 };
    int first = opt_parse(&program, &c, 0, argc, argv);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (!copies)
        copies = cores < 1 ? 1 : cores > CREW_MAX ? CREW_MAX : cores;
    struct fan f = { .copies = (int)copies, .timeout = timeout, .budget = budget };
    enum ends kind;
    if (ends_choose(&c, &kind, &e) < 0 || cpus_choose(cpus, &f.cpus, &e) < 0 ||
        pipeline_parse(&f.pipeline, argv[first], &e) < 0)
        die(e.status, "%s", e.text);
    int status = run(&f, kind, &c);
    pipeline_release(&f.pipeline);
    return status;
}
