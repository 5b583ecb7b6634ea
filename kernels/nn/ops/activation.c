/* kernels/nn/ops/activation.c - gelu, alone, behind a product, and gated; the formulas are in kernels/linalg/vec/vec_body.h
 *
 * What passes between a product and gelu is done while a block of it is in the cache: forward
 * in the `done` of the product before, backward in that of the gradient of the product behind. */
#include "kernels/nn/ops/activation.h"
#include "kernels/linalg/pack/pack.h"

/* A task's elements are passed in stretches: what is stored in bfloat16 goes through the first cache. */
enum { EACH = 8192, STRETCH = 1024 };

struct flat {
    const struct kernels *k;
    struct values x, z, y, dy, dx, dz;
    float beta, beta_z;
    size_t n;
    void (*some)(const struct flat *j, size_t at, size_t n);    /* n <= STRETCH of them, from `at` on */
};

static void flat_task(void *ctx, size_t task, int worker)
{
    (void)worker;
    const struct flat *j = ctx;
    for (size_t at = task * EACH, end = rows_end(j->n, EACH, task); at < end; at += STRETCH)
        j->some(j, at, end - at < STRETCH ? end - at : STRETCH);
}

static void flat_run(struct tape *t, struct flat j)
{
    j.k = t->compute->k;
    if (tape_live(t))
        rows_run(t, j.n, EACH, flat_task, &j);
}

struct unary {
    struct record r;
    struct tensor *x, *z;
};

/* Where a backward puts the gradient of x, whose values it holds: rounded if that may be. */
static struct values grad_open(struct tape *t, struct tensor *x, float *beta)
{
    *beta = 0;
    uint16_t *half = tensor_grad_in_place(t, x);
    return half ? (struct values){ .bf16 = half } : (struct values){ .f32 = tensor_grad(t, x, beta) };
}

/* --- gelu --------------------------------------------------------------------------- */
static void gelu_some(const struct flat *j, size_t at, size_t n)
{
    float room[2][STRETCH];
    if (j->x.bf16 && j->y.bf16) {
        j->k->vec->gelu_narrow(j->y.bf16 + at, j->x.bf16 + at, n);
        return;
    }
    float *y = values_open(j->y, at, room[1]);
    j->k->vec->gelu(y, values_read(j->k, j->x, at, n, room[0]), n);
    values_close(j->k, j->y, at, n, y);
}

static void gelu_back_some(const struct flat *j, size_t at, size_t n)
{
    float room[2][STRETCH];
    const float *dy = values_read(j->k, j->dy, at, n, room[0]);
    if (j->dx.bf16)
        j->k->vec->gelu_back_narrow(j->dx.bf16 + at, NULL, dy, j->x.bf16 + at, n);
    else
        j->k->vec->gelu_back(j->dx.f32 + at, j->beta != 0, values_read(j->k, j->x, at, n, room[1]), dy, n);
}

static void gelu_run(struct tape *t, const struct tensor *x, const struct tensor *y)
{
    flat_run(t, (struct flat){ .some = gelu_some, .x = tensor_values(x), .y = tensor_values(y), .n = tensor_count(x) });
}

static void gelu_again(struct tape *t, struct record *record)
{
    struct unary *r = (struct unary *)record;
    tensor_again(t, r->x);
    gelu_run(t, r->x, r->r.out[0]);
}

static void gelu_backward(struct tape *t, struct record *record)
{
    struct unary *r = (struct unary *)record;
    tensor_again(t, r->x);
    struct flat j = { .some = gelu_back_some, .x = tensor_values(r->x), .dy = tensor_grads(r->r.out[0]),
                      .n = tensor_count(r->x) };
    j.dx = grad_open(t, r->x, &j.beta);
    flat_run(t, j);
}

struct tensor *gelu_of(struct tape *t, struct tensor *x, struct tensor *y)
{
    struct unary *r = tape_record(t, sizeof *r, gelu_backward, y, x->needs_grad);
    if (r) {
        r->r.reads_half = true;
        r->x = x;
        x->kept = true;
        tensor_use(x);
        tape_again(t, r, gelu_again);
    }
    return y;
}

struct tensor *tape_gelu(struct tape *t, struct tensor *x)
{
    struct tensor *y = tensor_make_narrow(t, x->rows, x->cols);
    gelu_run(t, x, y);
    return gelu_of(t, x, y);
}

/* --- gelu beside a product ---------------------------------------------------------------- */
static void gelu_done(void *ctx, size_t row, size_t col, size_t m, size_t n, float *c, size_t ldc)
{
    const struct gelu_block *j = ctx;
    for (size_t i = 0; i < m; i++) {
        size_t at = (row + i) * j->ld + col;
        if (j->bias)
            j->k->pack->from_sum(j->x + at, c + i * ldc, j->bias + col, n);
        else
            j->k->pack->from_f32(j->x + at, c + i * ldc, n);
        j->k->vec->gelu_narrow(j->y + at, j->x + at, n);
    }
}

static void gelu_back_done(void *ctx, size_t row, size_t col, size_t m, size_t n, float *c, size_t ldc)
{
    const struct gelu_block *j = ctx;
    for (size_t i = 0; i < m; i++) {
        size_t at = (row + i) * j->ld + col;
        j->k->vec->gelu_back_narrow(j->dx + at, j->y ? j->y + at : NULL, c + i * ldc, j->x + at, n);
    }
}

struct gemm_out gelu_out(struct gelu_block *j)
{
    return (struct gemm_out){ .ld = j->ld, .done = gelu_done, .ctx = j, .touched = { j->x, j->y } };
}

struct gemm_out gelu_back_out(struct gelu_block *j)
{
    return (struct gemm_out){ .ld = j->ld, .done = gelu_back_done, .ctx = j,
                              .touched = { j->x, j->dx == j->x ? NULL : j->dx, j->y } };
}

bool gelu_back_begin(struct tape *t, struct tensor *y, bool again, struct gelu_block *j)
{
    if (!y->narrow || !y->maker || y->maker->backward != gelu_backward || y->uses != 1 || y->grad || y->grad_half)
        return false;
    struct unary *r = (struct unary *)y->maker;
    uint16_t *x = r->x->half, *dx = x ? tensor_grad_in_place(t, r->x) : NULL;
    if (!dx)
        return false;
    bool makes = again && y->gone;
    if (makes) {
        y->half = arena_take(t, tensor_count(y) * sizeof *y->half);
        y->gone = false;
    }
    *j = (struct gelu_block){ .k = t->compute->k, .x = x, .y = makes ? y->half : NULL, .dx = dx, .ld = y->cols };
    return true;
}

/* --- gated gelu ------------------------------------------------------------------------ */
static void gated_some(const struct flat *j, size_t at, size_t n)
{
    float room[3][STRETCH];
    float *y = values_open(j->y, at, room[2]);
    j->k->vec->gated(y, values_read(j->k, j->x, at, n, room[0]), values_read(j->k, j->z, at, n, room[1]), n);
    values_close(j->k, j->y, at, n, y);
}

static void gated_back_some(const struct flat *j, size_t at, size_t n)
{
    float room[5][STRETCH];
    bool wants_x = j->dx.f32 || j->dx.bf16, wants_z = j->dz.f32 || j->dz.bf16;
    float *dx = wants_x ? values_open(j->dx, at, room[2]) : NULL, *dz = wants_z ? values_open(j->dz, at, room[3]) : NULL;
    j->k->vec->gated_back(dx, j->beta != 0, dz, j->beta_z != 0, values_read(j->k, j->x, at, n, room[0]),
                          values_read(j->k, j->z, at, n, room[1]), values_read(j->k, j->dy, at, n, room[4]), n);
    values_close(j->k, j->dx, at, n, dx);
    values_close(j->k, j->dz, at, n, dz);
}

static void gated_run(struct tape *t, const struct tensor *x, const struct tensor *z, const struct tensor *y)
{
    flat_run(t, (struct flat){ .some = gated_some, .x = tensor_values(x), .z = tensor_values(z), .y = tensor_values(y),
                               .n = tensor_count(x) });
}

static void gated_again(struct tape *t, struct record *record)
{
    struct unary *r = (struct unary *)record;
    tensor_again(t, r->x);
    tensor_again(t, r->z);
    gated_run(t, r->x, r->z, r->r.out[0]);
}

static void gated_backward(struct tape *t, struct record *record)
{
    struct unary *r = (struct unary *)record;
    tensor_again(t, r->x);
    tensor_again(t, r->z);
    struct flat j = { .some = gated_back_some, .x = tensor_values(r->x), .z = tensor_values(r->z),
                      .dy = tensor_grads(r->r.out[0]), .n = tensor_count(r->x) };
    if (r->x->needs_grad)
        j.dx = grad_open(t, r->x, &j.beta);
    if (r->z->needs_grad)
        j.dz = grad_open(t, r->z, &j.beta_z);
    flat_run(t, j);
}

struct tensor *tape_gelu_gated(struct tape *t, struct tensor *gate, struct tensor *up)
{
    struct tensor *y = tensor_make_narrow(t, gate->rows, gate->cols);
    gated_run(t, gate, up, y);
    struct unary *r = tape_record(t, sizeof *r, gated_backward, y, gate->needs_grad || up->needs_grad);
    if (r) {
        r->r.reads_half = true;
        r->x = gate;
        r->z = up;
        gate->kept = up->kept = true;
        tensor_use(gate);
        tensor_use(up);
        tape_again(t, r, gated_again);
    }
    return y;
}
