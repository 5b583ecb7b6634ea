/* cmd/hub.c - between two pools of workers: takes what one makes, hands it to the other */
#include "libcommon/stream/end.h"
#include "libcommon/stream/net/hub_run.h"
#include "libcommon/sys/log.h"

static const char *head;
static uint64_t window = 256 << 20;

static const struct opt options[] = {
    { OPT_STRING, .name = "head", .value = &head, .arg = "ENDPOINT", .help = "where the source (or the hub above) is" },
    { OPT_SIZE, .name = "window", .value = &window, .arg = "BYTES", .min = 1, .max = 1e15,
      .help = "units held for each side, in bytes" },
    { .name = NULL },
};
static const struct program program = {
    .name = "hub", .opts = options,
    .summary = "Joins two pools of workers: --in @ENDPOINT --out @ENDPOINT --head ENDPOINT",
};

int main(int argc, char **argv)
{
    struct common c = { 0 };
    opt_parse(&program, &c, 0, argc, argv);
    if (!head || !endpoint_is(c.in) || !endpoint_is(c.out) || *c.in != '@' || *c.out != '@')
        die(STATUS_BAD, "hub binds both ends and knows its head: --in @ENDPOINT --out @ENDPOINT --head ENDPOINT");
    return hub_run(&(struct hub_ends){ .head = head, .above = c.in, .below = c.out, .bytes = window }, &c);
}
