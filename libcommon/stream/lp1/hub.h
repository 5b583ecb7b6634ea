/* libcommon/stream/lp1/hub.h - HUB: a TAIL for the pool above, a HEAD for the pool below
 *
 * It begins upwards only when the TAIL below has said what it wants next, and
 * downwards when the workers above have shown the header of what they make. */
#ifndef PENSTOCK_LP1_HUB_H
#define PENSTOCK_LP1_HUB_H

#include "libcommon/stream/lp1/head.h"
#include "libcommon/stream/lp1/tail.h"

struct lp1_hub;
/* incarnation: towards above it grows with each start (the time), towards below it is only compared.
 * bytes: bodies held at most on each side.  The outs are the two machines' own; above.header should
 * keep the first header and give it to lp1_hub_header. */
struct lp1_hub *lp1_hub_new(uint64_t incarnation, uint64_t bytes, const struct lp1_tail_out *above,
                            const struct lp1_head_out *below);
void lp1_hub_free(struct lp1_hub *h);
void lp1_hub_header(struct lp1_hub *h, void *header);     /* borrowed until lp1_hub_free */

void lp1_hub_from_head(struct lp1_hub *h, const struct lp1_message *m, double now);
/* Bodies that it keeps are NULL in m afterwards. */
void lp1_hub_from_above(struct lp1_hub *h, uint64_t peer, struct lp1_message *m, double now);
void lp1_hub_from_below(struct lp1_hub *h, uint64_t peer, const struct lp1_message *m, double now);
void lp1_hub_tick(struct lp1_hub *h, double now);
void lp1_hub_flush(struct lp1_hub *h, double now);      /* after each batch of messages, and ticks */

bool lp1_hub_finished(const struct lp1_hub *h);
const char *lp1_hub_fatal(const struct lp1_hub *h, int *status);
/* NULL while that side has not begun. */
const struct lp1_tail *lp1_hub_tail(const struct lp1_hub *h);
const struct lp1_head *lp1_hub_head(const struct lp1_hub *h);

#endif
