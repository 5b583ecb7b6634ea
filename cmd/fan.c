/* cmd/fan.c - N copies of a pipeline side by side, and the results back in order
 *
 * Between pipes it takes units in and puts them out; with --in and --out as
 * endpoints it is a worker of N copies for a head and a consumer elsewhere. */
#include <string.h>
#include <unistd.h>

#include "libcommon/stream/end.h"
#include "libcommon/stream/lp1/supervise.h"
#include "libcommon/sys/log.h"

static int64_t copies;
static const char *cpus = "auto";
static double timeout = 600;
static uint64_t budget = 256 << 20;

static const struct opt options[] = {
    { OPT_INT, .letter = 'j', .name = "jobs", .value = &copies, .arg = "N", .min = 1, .max = CREW_MAX, .help = "copies of the pipeline (0: one a processor)" },
    { OPT_REAL, .name = "timeout", .value = &timeout, .arg = "SECONDS", .min = 0, .max = 1e9, .help = "a copy that holds a unit longer is killed (0: never)" },
    { OPT_SIZE, .name = "window", .value = &budget, .arg = "BYTES", .min = 1, .max = 1e15, .help = "units between input and output, in bytes" },
    { OPT_STRING, .name = "cpus", .value = &cpus, .arg = "auto|none|LIST", .help = "processors of the copies; auto: not those of train-step" },
    { .name = NULL },
};
static const struct program program = { .name = "fan", .operands = "'A | B | C'", .min_operands = 1, .max_operands = 1,
                                        .summary = "Runs N copies of a pipeline of filters on a stream, and keeps its order", .opts = options };

int main(int argc, char **argv)
{
    struct common c = { 0 };
    struct error e = { 0 };
    int first = opt_parse(&program, &c, 0, argc, argv);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (!copies)
        copies = cores < 1 ? 1 : cores > CREW_MAX ? CREW_MAX : cores;
    struct fan f = { .copies = (int)copies, .timeout = timeout, .budget = budget };
    if (cpus_choose(cpus, &f.cpus, &e) < 0 || pipeline_parse(&f.pipeline, argv[first], &e) < 0)
        die(e.status, "%s", e.text);
    bool in = endpoint_is(c.in), out = endpoint_is(c.out);
    if (in != out)
        die(STATUS_BAD, "fan needs endpoints as --in and --out, or as neither");
    int status = in ? worker_supervise(&f, &c) : fan_local(&f, &c);
    pipeline_release(&f.pipeline);
    return status;
}
