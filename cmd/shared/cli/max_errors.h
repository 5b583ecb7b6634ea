/* cmd/shared/cli/max_errors.h - --max-errors N|P%: how many failed records are still a success
 *
 * For the programs at the end of a stream, which count them (train-step, record). */
#ifndef PENSTOCK_MAX_ERRORS_H
#define PENSTOCK_MAX_ERRORS_H

#include <stdbool.h>
#include <stdint.h>

#define MAX_ERRORS_DEFAULT "1%"

struct max_errors {
    double percent;             /* < 0: `count` is the limit */
    uint64_t count;
};

/* "20" or "0.5%".  false: neither. */
bool max_errors_parse(const char *text, struct max_errors *m);
/* Were more than allowed?  A percentage always allows 10. */
bool max_errors_exceeded(const struct max_errors *m, uint64_t failed, uint64_t samples);

#endif
