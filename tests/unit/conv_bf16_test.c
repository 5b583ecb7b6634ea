/* tests/unit/conv_bf16_test.c - the convolution in bfloat16 against the same in float32 */
#include "kernels/nn/random.h"
#include "kernels/nn/tape/record.h"
#include "tests/unit/tap.h"

#include <stdlib.h>

struct run {
    size_t batch, t_in, in, out, stride;
    float *x, *weight, *y, *dx;
    struct param w;
};

static void conv_run(struct tape *t, void *ctx)
{
    struct run *r = ctx;
    struct tensor *x = tape_input(t, r->x, r->batch * r->t_in, r->in);
    x->needs_grad = true;
    struct tensor *y = tape_conv1d(t, x, r->batch, &r->w, NULL, r->stride);
    float beta;
    tensor_grad(t, y, &beta);
    float *wide = tensor_wide(t, y);
    if (!t->dry && !t->failed) {
        memcpy(r->y, wide, tensor_count(y) * sizeof(float));
        memcpy(y->grad, r->weight, tensor_count(y) * sizeof(float));
    }
    tensor_wide_give(t, y, wide);
    tape_backward(t);
    if (!t->dry && !t->failed)
        memcpy(r->dx, x->grad, tensor_count(x) * sizeof(float));
}

/* Numbers that bfloat16 holds, so that only the order of sums differs. */
static float *small_new(uint64_t key, size_t n)
{
    float *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = roundf(32 * random_uniform(key, i) - 16) / 16;
    return x;
}

static void compare(const struct team *team, size_t batch, size_t t_in, size_t in, size_t out, size_t stride)
{
    size_t t_out = (t_in + stride - 1) / stride, n_w = out * in * 3;
    struct run r = { .batch = batch, .t_in = t_in, .in = in, .out = out, .stride = stride,
                     .x = small_new(1, batch * t_in * in), .weight = small_new(2, batch * t_out * out) };
    float *w = small_new(3, n_w), *y[2], *dx[2], *dw[2];
    for (int pass = 0; pass < 2; pass++) {
        struct compute c = { .team = (struct team *)(uintptr_t)team, .k = kernels_choose(getenv("PENSTOCK_KERNELS")),
                             .bf16 = pass };
        struct tape *t = tape_new(&c);
        char why[WHY] = "";
        r.y = y[pass] = calloc(batch * t_out * out, 4);
        r.dx = dx[pass] = calloc(batch * t_in * in, 4);
        dw[pass] = calloc(n_w, 4);
        r.w = (struct param){ .name = "w", .kind = PARAM_CONV, .rank = 3, .shape = { out, in, 3 }, .count = n_w, .data = w,
                              .grad = dw[pass], .trained = true };
        t->poison = true;
        if (tape_run(t, TAPE_TRAIN, 1, conv_run, &r, why))
            ok(false, "it runs: %s", why);
        packed_free(r.w.packed);
        tape_free(t);
    }
    char name[100];
    snprintf(name, sizeof name, "%zu clips of %zu, %zu to %zu features, stride %zu", batch, t_in, in, out, stride);
    is_close(y[1], y[0], batch * t_out * out, 4e-3, name);        /* stored in bfloat16 */
    is_close(dx[1], dx[0], batch * t_in * in, 2e-6, "its gradient of x");
    is_close(dw[1], dw[0], n_w, 2e-6, "its gradient of the weight");
    for (int i = 0; i < 2; i++)
        free(y[i]), free(dx[i]), free(dw[i]);
    free(r.x), free(r.weight), free(w);
}

int main(void)
{
    struct team *team = team_new(2, NULL);
    compare(team, 2, 11, 5, 7, 1);
    compare(team, 3, 10, 6, 4, 2);
    compare(team, 1, 11, 8, 65, 2);
    compare(team, 2, 1, 3, 3, 2);
    compare(team, 1, 2100, 80, 64, 1);
    compare(team, 1, 2100, 64, 64, 2);
    team_free(team);
    return done();
}
