/* kernels/nn/ops/linear.c - y = x W^T + b, with the weight's low-rank adapter
 *
 * dx = dy W;  dW = dy^T x;  db = sum of dy's rows.
 * Adapter, with z = dropout(x) and u = s z A^T:  y += u B^T;
 * dB = dy^T u;  du = s dy B;  dA = du^T z;  dz = du A. */
#include "kernels/nn/ops/activation.h"
#include "kernels/nn/ops/dropout.h"
#include "kernels/nn/ops/elementwise.h"
#include "kernels/nn/ops/linear.h"

#include <string.h>

/* --- the adapter ------------------------------------------------------------------ */
static bool adapter_drops(const struct tape *t, const struct param *w)
{
    return w->lora.dropout > 0 && t->mode == TAPE_TRAIN;
}

/* z: x itself, or x with dropout in memory to be given back with adapter_input_give. */
static struct gemm_in adapter_input(struct tape *t, const struct tensor *x, const struct param *w, uint64_t key)
{
    if (!adapter_drops(t, w))
        return tensor_in(x);
    float *z = arena_take(t, tensor_count(x) * sizeof(float)), *wide = tensor_wide(t, x);
    dropout_apply(t, z, 0, wide, tensor_count(x), w->lora.dropout, key);
    tensor_wide_give(t, x, wide);
    return (struct gemm_in){ .f32 = z, .ld = x->cols };
}

static void adapter_input_give(struct tape *t, const struct tensor *x, const struct param *w, struct gemm_in z)
{
    if (adapter_drops(t, w))
        arena_give(t, (void *)(uintptr_t)z.f32, tensor_count(x) * sizeof(float));
}

static float *adapter_forward(struct tape *t, const struct tensor *x, const struct param *w, float *y, uint64_t key)
{
    size_t r = w->lora.a->shape[0], n = x->rows;
    float *u = arena_take(t, n * r * sizeof *u);
    struct gemm_in z = adapter_input(t, x, w, key);
    product_forward(t, (struct values){ .f32 = u }, false, z, w->lora.a, NULL, n);
    flat_add(t, u, 0, w->lora.scale, u, n * r);
    product_forward(t, (struct values){ .f32 = y }, true, (struct gemm_in){ .f32 = u, .ld = r }, w->lora.b, NULL, n);
    adapter_input_give(t, x, w, z);
    return u;
}

static void adapter_backward(struct tape *t, const struct linear *l, const float *dy)
{
    struct param *a = l->w->lora.a, *b = l->w->lora.b;
    struct tensor *x = l->x;
    size_t r = a->shape[0], n = x->rows;
    float *du = arena_take(t, n * r * sizeof *du), beta;
    struct gemm_in z = adapter_input(t, x, l->w, l->key);
    product_input(t, (struct values){ .f32 = du }, 0, grad_in(dy, l->w->shape[0]), b, n);
    flat_add(t, du, 0, l->w->lora.scale, du, n * r);
    product_weight(t, b, grad_in(dy, l->w->shape[0]), (struct gemm_in){ .f32 = l->u, .ld = r }, n);
    product_weight(t, a, grad_in(du, r), z, n);
    adapter_input_give(t, x, l->w, z);
    if (x->needs_grad) {
        float *dx = tensor_grad(t, x, &beta);
        bool drops = adapter_drops(t, l->w);
        float *dz = drops ? arena_take(t, tensor_count(x) * sizeof *dz) : dx;
        product_input(t, (struct values){ .f32 = dz }, drops ? 0 : beta, grad_in(du, r), a, n);
        if (drops) {
            dropout_apply(t, dx, beta, dz, tensor_count(x), l->w->lora.dropout, l->key);
            arena_give(t, dz, tensor_count(x) * sizeof *dz);
        }
    }
    arena_give(t, du, n * r * sizeof *du);
}

/* --- backward ---------------------------------------------------------------------- */
struct product linear_product(const struct linear *l)
{
    return (struct product){ .w = l->w, .b = l->b && l->b->trained ? l->b : NULL, .dy = l->dy };
}

static void input_backward(struct tape *t, struct linear *l, bool reads)
{
    struct tensor *x = l->x;
    struct gelu_block block;
    if (!l->u && gelu_back_begin(t, x, reads, &block)) {
        struct gemm_out to = gelu_back_out(&block);
        product_input_into(t, l->dy, l->w, x->rows, &to);
        return;
    }
    float beta = 0;
    uint16_t *half = l->u ? NULL : tensor_grad_narrow(t, x);
    struct values dx = { .bf16 = half };
    if (!half)
        dx.f32 = tensor_grad(t, x, &beta);
    product_input(t, dx, beta, l->dy, l->w, x->rows);
}

static size_t operand_bytes(struct gemm_in x, size_t n) { return n * x.ld * (x.bf16 ? sizeof *x.bf16 : sizeof *x.f32); }

static void operand_give(struct tape *t, struct gemm_in x, size_t n)
{
    arena_give(t, (void *)(x.bf16 ? (uintptr_t)x.bf16 : (uintptr_t)x.f32), operand_bytes(x, n));
}

static void weight_late(struct tape *t, struct later *later)
{
    struct linear *l = (struct linear *)(void *)((uint8_t *)later - offsetof(struct linear, later));
    struct product p = linear_product(l);
    product_weights(t, &p, 1, l->late_x, l->x->rows);
    operand_give(t, l->late_x, l->x->rows);
    operand_give(t, l->dy, l->x->rows);
}

/* With few rows its operands take less memory than the weight's gradient: if that can wait they are kept. */
static bool weight_waits(const struct tape *t, const struct linear *l)
{
    size_t rows = l->x->rows;
    return t->late && operand_bytes(l->dy, rows) + operand_bytes(tensor_in(l->x), rows) < l->w->count * sizeof *l->w->grad;
}

static void weight_wait(struct tape *t, struct linear *l)
{
    struct gemm_in in = tensor_in(l->x);
    size_t bytes = operand_bytes(in, l->x->rows);
    void *copy = arena_take(t, bytes);          /* others may want x, and then it goes */
    if (tape_live(t))
        memcpy(copy, in.bf16 ? (const void *)in.bf16 : in.f32, bytes);
    l->late_x = (struct gemm_in){ .f32 = in.bf16 ? NULL : copy, .bf16 = in.bf16 ? copy : NULL, .ld = in.ld };
    tape_later(t, &l->later, weight_late);
}

void linear_weights(struct tape *t, struct linear *const *list, size_t count)
{
    struct product of[PRODUCTS];
    struct tensor *x = list[0]->x;
    bool late[PRODUCTS] = { false };
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        struct linear *l = list[i];
        if (!l->w->trained)
            bias_backward(t, l->b, l->dy, x->rows);
        else if ((late[i] = weight_waits(t, l)))
            weight_wait(t, l);
        else
            of[n++] = linear_product(l);
    }
    if (n)
        product_weights(t, of, n, tensor_in(x), x->rows);
    for (size_t i = 0; i < count; i++)
        if (!late[i])
            operand_give(t, list[i]->dy, x->rows);
}

static void linear_backward(struct tape *t, struct record *record)
{
    struct linear *l = (struct linear *)record;
    struct tensor *x = l->x, *y = l->r.out[0];
    bool reads = l->w->trained || l->u;
    l->dy = grads_in(y);
    y->grad = NULL;                             /* ours now: it may outlive the result */
    y->grad_half = NULL;
    if (linear_beside(t, l))
        return;
    if (x->needs_grad)
        input_backward(t, l, reads);
    if (reads)
        tensor_again(t, x);
    if (l->u) {
        adapter_backward(t, l, l->dy.f32);
        arena_give(t, l->u, x->rows * l->w->lora.a->shape[0] * sizeof(float));
    }
    linear_weights(t, &l, 1);
}

/* --- forward ------------------------------------------------------------------------- */
static bool linear_fits(struct tape *t, const struct tensor *x, const struct param *w)
{
    if (x->cols != w->shape[1] && !t->failed)
        tape_fail(t, "'%s' takes %zu features, not %zu", w->name, w->shape[1], x->cols);
    return !t->failed;
}

/* NULL if no gradient will come. */
static struct linear *linear_record(struct tape *t, struct tensor *x, struct param *w, struct param *b, struct tensor *y)
{
    bool adapted = w->lora.a != NULL, trained = w->trained || (b && b->trained) || adapted;
    struct linear *l = tape_record(t, sizeof *l, linear_backward, y, x->needs_grad || trained);
    if (!l)
        return NULL;
    l->r.reads_half = !adapted;
    l->x = x;
    l->w = w;
    l->b = b;
    x->kept |= w->trained || adapted;
    tensor_use(x);
    return l;
}

struct tensor *tape_linear(struct tape *t, struct tensor *x, struct param *w, struct param *b)
{
    linear_fits(t, x, w);
    bool adapted = w->lora.a != NULL;           /* two products are added before rounding */
    struct tensor *y = adapted ? tensor_make(t, x->rows, w->shape[0]) : tensor_make_narrow(t, x->rows, w->shape[0]);
    product_forward(t, tensor_values(y), false, tensor_in(x), w, b ? b->data : NULL, x->rows);
    uint64_t key = adapted && adapter_drops(t, w) ? dropout_key(t) : 0;
    float *u = adapted ? adapter_forward(t, x, w, y->data, key) : NULL;

    struct linear *l = linear_record(t, x, w, b, y);
    if (l) {
        l->u = u;
        l->key = key;
    } else if (u) {
        arena_give(t, u, x->rows * w->lora.a->shape[0] * sizeof *u);
    }
    return y;
}

struct tensor *tape_linear_add(struct tape *t, struct tensor *r, struct tensor *x, struct param *w, struct param *b)
{
    if (!t->narrow || w->lora.a || r->half)
        return tape_add(t, r, tape_linear(t, x, w, b));
    linear_fits(t, x, w);
    sum_fits(t, r, x->rows, w->shape[0]);
    struct tensor *y = tensor_wrap(t, NULL, x->rows, w->shape[0]);     /* never there as such */
    struct tensor *out = tensor_make(t, x->rows, w->shape[0]);
    struct gemm_out to = { .f32 = out->data, .ld = w->shape[0], .plus = r->data, .bias = b ? b->data : NULL };
    y->narrow = !t->failed;
    product_forward_into(t, tensor_in(x), w, x->rows, &to);
    linear_record(t, x, w, b, y);
    return sum_of(t, r, y, out);
}

struct tensor *tape_linear_gelu(struct tape *t, struct tensor *x, struct param *w, struct param *b)
{
    if (!t->narrow || w->lora.a)
        return tape_gelu(t, tape_linear(t, x, w, b));
    linear_fits(t, x, w);
    struct tensor *before = tensor_make_narrow(t, x->rows, w->shape[0]), *y = tensor_make_narrow(t, x->rows, w->shape[0]);
    struct gelu_block block = { .k = t->compute->k, .x = before->half, .y = y->half, .bias = b ? b->data : NULL,
                                .ld = w->shape[0] };
    struct gemm_out to = gelu_out(&block);
    product_forward_into(t, tensor_in(x), w, x->rows, &to);
    linear_record(t, x, w, b, before);
    return gelu_of(t, before, y);
}
