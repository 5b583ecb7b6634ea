/* kernels/nn/ops/linear_beside.c - the backward of linear layers that read one value: q, k and v of a norm, gate and up,
 * all keys and values of an encoder's output
 *
 * Its gradient is one sum, dy W + dy' W' + ..., which is made at once, rounded once and not added up in memory,
 * and it is laid out once for the gradients of all their weights.  So each waits for the others until x's own backward
 * is next.  What waits keeps the results' gradients, which mostly lie where the results were. */
#include "kernels/nn/ops/linear.h"

struct beside {
    struct joint joint;
    struct linear *first;       /* of those whose results' gradients have come */
};

static void beside_inputs(struct tape *t, struct tensor *x, const struct product *of, size_t count, bool all)
{
    for (size_t i = 0, some; i < count; i += some) {
        some = product_inputs_most(of + i, count - i, x->rows);
        if (all && some == count)
            x->uses = 1;                        /* that is left */
        float beta = 0;
        struct values dx = { .bf16 = tensor_grad_narrow(t, x) };
        if (!dx.bf16)
            dx.f32 = tensor_grad(t, x, &beta);
        product_inputs(t, dx, beta, of + i, some, x->rows);
    }
}

static void beside_run(struct tape *t, struct joint *joint)
{
    struct beside *b = (struct beside *)joint;
    struct tensor *x = joint->x;
    struct linear *list[PRODUCTS];
    struct product of[PRODUCTS];
    for (struct linear *l = b->first; l;) {
        size_t n = 0;
        bool reads = false, all = l == b->first;
        for (; l && n < PRODUCTS; l = l->beside) {
            reads |= l->w->trained;
            of[n] = linear_product(l);
            list[n++] = l;
        }
        if (x->needs_grad)
            beside_inputs(t, x, of, n, all && !l);
        if (reads)
            tensor_again(t, x);
        linear_weights(t, list, n);
    }
}

bool linear_beside(struct tape *t, struct linear *l)
{
    struct tensor *x = l->x;
    if (!t->narrow || l->u || x->uses < 2 || !l->dy.bf16 || (x->joint && x->joint->run != beside_run))
        return false;
    struct beside *b = (struct beside *)x->joint;
    if (!b) {
        b = tape_small(t, sizeof *b);
        if (!b)
            return true;
        tape_joint(t, &b->joint, x, beside_run);
    }
    l->beside = b->first;
    b->first = l;
    return true;
}
