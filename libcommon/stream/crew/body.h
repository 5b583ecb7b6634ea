/* libcommon/stream/crew/body.h - a unit's body {"samples": [...]}, looked at without taking its samples apart */
#ifndef PENSTOCK_BODY_H
#define PENSTOCK_BODY_H

#include "libcommon/stream/crew/blob.h"
#include "libcommon/stream/format/mp.h"

/* Behind {"samples": [ of k samples, at the first; -1: that is not how it begins. */
int body_enter(struct mp_cursor *c, uint64_t k);
/* Passes over a sample.  1: it has an error; 0; -1: it is no map with text for keys. */
int body_sample_failed(struct mp_cursor *c);
/* Samples with an error in a body; -1: it is not {"samples": [k maps]}. */
int64_t body_failed(struct span body, uint64_t k);
/* A body of k samples, whose bytes one after another are `samples`; NULL: too large, or out of memory. */
struct blob *body_make(uint64_t k, struct span samples);

#endif
