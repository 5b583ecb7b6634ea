/* kernels/nn/attention/attention_backward.h - the backward of attention; private to kernels/nn */
#ifndef PENSTOCK_ATTENTION_BACKWARD_H
#define PENSTOCK_ATTENTION_BACKWARD_H

#include "kernels/nn/attention/attention.h"

struct attention_record {
    struct record r;
    struct attend j;
    struct tensor *q, *k, *v;
};
void attention_backward(struct tape *t, struct record *record);

#endif
