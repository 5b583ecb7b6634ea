/* tests/unit/ops_test.c - every operation of the tape against a plain reference in double, its gradients against finite
 * differences of that reference */
#include "tests/unit/tap.h"

#include <stdlib.h>

#include "kernels/nn/random.h"
#include "kernels/nn/tape/record.h"
#include "tests/unit/golden.h"

enum { LEAVES = 4, MOST = 20000 };

struct leaf { size_t rows, cols, width; bool param; };      /* width: the third side of a convolution's weight */

struct op {
    const char *name;
    struct leaf leaf[LEAVES];   /* inputs first, then parameters; rows 0: none */
    size_t rows, cols;          /* of the result */
    struct tensor *(*tape)(struct tape *t, struct tensor **x, struct param **p);
    void (*ref)(double *const *l, double *y);
};

/* --- references ------------------------------------------------------------------- */
static void ref_linear(double *const *l, double *y)        /* x [5,7], W [6,7], b [6] */
{
    for (int i = 0; i < 5; i++)
        for (int o = 0; o < 6; o++) {
            y[i * 6 + o] = l[2][o];
            for (int k = 0; k < 7; k++)
                y[i * 6 + o] += l[0][i * 7 + k] * l[1][o * 7 + k];
        }
}
static struct tensor *op_linear(struct tape *t, struct tensor **x,
                                struct param **p) { return tape_linear(t, x[0], p[0], p[1]); }

static void ref_layer_norm(double *const *l, double *y)    /* x [9,37], w, b [37] */
{
    for (int i = 0; i < 9; i++) {
        const double *x = l[0] + i * 37;
        double m = 0, v = 0;
        for (int k = 0; k < 37; k++)
            m += x[k] / 37;
        for (int k = 0; k < 37; k++)
            v += (x[k] - m) * (x[k] - m) / 37;
        for (int k = 0; k < 37; k++)
            y[i * 37 + k] = (x[k] - m) / sqrt(v + 1e-5) * l[1][k] + l[2][k];
    }
}
static struct tensor *op_layer_norm(struct tape *t, struct tensor **x, struct param **p)
{
    return tape_layer_norm(t, x[0], p[0], p[1], 1e-5f);
}

static void ref_rms_norm(double *const *l, double *y)      /* x [4, 3 heads of 18], w [18], offset 1 */
{
    for (int i = 0; i < 12; i++) {
        double v = 0;
        for (int k = 0; k < 18; k++)
            v += l[0][i * 18 + k] * l[0][i * 18 + k] / 18;
        for (int k = 0; k < 18; k++)
            y[i * 18 + k] = l[0][i * 18 + k] / sqrt(v + 1e-6) * (1 + l[1][k]);
    }
}
static struct tensor *op_rms_norm(struct tape *t, struct tensor **x, struct param **p)
{
    return tape_rms_norm(t, x[0], p[0], 18, 1e-6f, 1);
}

/* What an operation may take over, as it may not an input. */
static struct tensor *copy(struct tape *t, struct tensor *x)
{
    static const size_t all[] = { 0, 1, 2, 3 };
    return tape_rows(t, x, all, x->rows);
}

static void ref_gelu(double *const *l, double *y)          /* gelu(x + x) */
{
    for (int i = 0; i < 300; i++)
        y[i] = 2 * l[0][i] * (1 + erf(2 * l[0][i] / sqrt(2))) / 2;
}
static struct tensor *op_gelu(struct tape *t, struct tensor **x, struct param **p)
{
    (void)p;
    return tape_gelu(t, tape_add(t, x[0], copy(t, x[0])));
}

static void ref_gated(double *const *l, double *y)
{
    for (int i = 0; i < 300; i++) {
        double x = l[0][i];
        y[i] = 0.5 * x * (1 + tanh(sqrt(2 / 3.141592653589793) * (x + 0.044715 * x * x * x))) * l[1][i];
    }
}
static struct tensor *op_gated(struct tape *t, struct tensor **x, struct param **p)
{
    (void)p;
    return tape_gelu_gated(t, x[0], x[1]);
}

/* A value with many users: y = (x + gelu(x)) + x W^T, x [6,8], W [8,8]. */
static void ref_shared(double *const *l, double *y)
{
    for (int i = 0; i < 6; i++)
        for (int o = 0; o < 8; o++) {
            double x = l[0][i * 8 + o];
            y[i * 8 + o] = x + x * (1 + erf(x / sqrt(2))) / 2;
            for (int k = 0; k < 8; k++)
                y[i * 8 + o] += l[0][i * 8 + k] * l[1][o * 8 + k];
        }
}
static struct tensor *op_shared(struct tape *t, struct tensor **x, struct param **p)
{
    struct tensor *sum = tape_add(t, x[0], tape_gelu(t, x[0]));
    return tape_add(t, sum, tape_linear(t, x[0], p[0], NULL));
}

/* x [2 * 11, 5], W [4, 5, 3], b [4] */
static void ref_conv(double *const *l, double *y, int stride)
{
    int out = (11 + stride - 1) / stride;
    for (int b = 0; b < 2; b++)
        for (int i = 0; i < out; i++)
            for (int o = 0; o < 4; o++) {
                double s = l[2][o];
                for (int j = 0; j < 3; j++)
                    for (int k = 0; k < 5; k++) {
                        int at = stride * i + j - 1;
                        if (at >= 0 && at < 11)
                            s += l[0][(b * 11 + at) * 5 + k] * l[1][(o * 5 + k) * 3 + j];
                    }
                y[(b * out + i) * 4 + o] = s;
            }
}
static void ref_conv1(double *const *l, double *y) { ref_conv(l, y, 1); }
static void ref_conv2(double *const *l, double *y) { ref_conv(l, y, 2); }
static struct tensor *op_conv1(struct tape *t, struct tensor **x,
                               struct param **p) { return tape_conv1d(t, x[0], 2, p[0], p[1], 1); }
static struct tensor *op_conv2(struct tape *t, struct tensor **x,
                               struct param **p) { return tape_conv1d(t, x[0], 2, p[0], p[1], 2); }

static const int32_t looked_up[] = { 3, 1, 3, 0, 6, 3 };
static void ref_embedding(double *const *l, double *y)     /* W [7,5] and a table [3,5] */
{
    for (int i = 0; i < 6; i++)
        for (int c = 0; c < 5; c++)
            y[i * 5 + c] = 1.5 * l[0][looked_up[i] * 5 + c] + l[1][i % 3 * 5 + c];
}
static struct tensor *op_embedding(struct tape *t, struct tensor **x, struct param **p)
{
    (void)x;
    return tape_add_table(t, tape_embedding(t, p[0], looked_up, 6, -1, 1.5f), p[1]);
}

static const size_t picked[] = { 4, 0, 4 };
static void ref_rows(double *const *l, double *y)
{
    for (int i = 0; i < 3; i++)
        for (int c = 0; c < 5; c++)
            y[i * 5 + c] = l[0][picked[i] * 5 + (size_t)c];
}
static struct tensor *op_rows(struct tape *t, struct tensor **x, struct param **p)
{
    (void)p;
    return tape_rows(t, x[0], picked, 3);
}

static const int32_t turned[] = { 0, 1, 5, 70 };
static void ref_rope(double *const *l, double *y)          /* x [4, 2 heads of 6] */
{
    for (int i = 0; i < 4; i++)
        for (int h = 0; h < 2; h++)
            for (int k = 0; k < 3; k++) {
                double angle = turned[i] * pow(100, -2.0 * k / 6) / 4;
                const double *x = l[0] + i * 12 + h * 6;
                y[i * 12 + h * 6 + k] = x[k] * cos(angle) - x[k + 3] * sin(angle);
                y[i * 12 + h * 6 + k + 3] = x[k + 3] * cos(angle) + x[k] * sin(angle);
            }
}
static struct tensor *op_rope(struct tape *t, struct tensor **x, struct param **p)
{
    (void)p;
    return tape_rope(t, copy(t, x[0]), tape_rope_table(t, turned, 4, 6, 100, 4));
}

/* --- attention ------------------------------------------------------------------------ */
static void ref_attention(const struct attention *a, size_t d, double *const *l, double *y)
{
    for (size_t g = 0; g < a->n; g++)
        for (size_t h = 0; h < a->heads; h++)
            for (size_t i = 0; i < a->segment[g].n_q; i++) {
                const struct attended *s = a->segment + g;
                size_t kv = h / (a->heads / a->kv_heads);
                long at = (long)(s->n_k - s->n_q + i);
                double w[1024], sum = 0;
                for (size_t k = 0; k < s->n_k; k++) {
                    double z = 0;
                    for (size_t c = 0; c < d; c++)
                        z += l[0][((s->q + i) * a->heads + h) * d + c] * l[1][((s->k + k) * a->kv_heads + kv) * d + c];
                    z *= (double)a->scale;
                    if (a->cap > 0)
                        z = (double)a->cap * tanh(z / (double)a->cap);
                    bool seen = (!a->causal || (long)k <= at) && (!a->window || (long)k > at - (long)a->window);
                    w[k] = seen ? exp(z) : 0;
                    sum += w[k];
                }
                for (size_t c = 0; c < d; c++) {
                    double v = 0;
                    for (size_t k = 0; k < s->n_k; k++)
                        v += w[k] / sum * l[2][((s->k + k) * a->kv_heads + kv) * d + c];
                    y[((s->q + i) * a->heads + h) * d + c] = v;
                }
            }
}

static const struct attended ragged[] = { { 0, 5, 0, 5 }, { 5, 1, 5, 1 }, { 6, 9, 6, 9 } };
static const struct attended crossing[] = { { 0, 3, 10, 14 }, { 3, 4, 0, 10 } };
static const struct attended cached[] = { { 0, 1, 0, 9 }, { 1, 3, 12, 10 } };
static const struct attended longer[] = { { 0, 300, 0, 600 } };
static const struct attention causal = { .heads = 4, .kv_heads = 2, .scale = 0.7f, .causal = true, .segment = ragged,
                                         .n = 3 };
static const struct attention windowed = { .heads = 4, .kv_heads = 1, .scale = 0.9f, .causal = true, .window = 3, .cap = 2,
                                           .segment = ragged, .n = 3 };
static const struct attention cross = { .heads = 2, .kv_heads = 2, .scale = 0.5f, .segment = crossing, .n = 2 };
static const struct attention cache = { .heads = 2, .kv_heads = 1, .scale = 0.5f, .causal = true, .segment = cached,
                                        .n = 2 };
static const struct attention blocks = { .heads = 1, .kv_heads = 1, .scale = 0.5f, .causal = true, .window = 290,
                                         .segment = longer, .n = 1 };

#define ATTENTION(name, d)                                                                                          \
    static void ref_##name(double *const *l, double *y) { ref_attention(&name, d, l, y); }                          \
    static struct tensor *op_##name(struct tape *t, struct tensor **x, struct param **p)                            \
    {                                                                                                               \
        (void)p;                                                                                                    \
        return tape_attention(t, x[0], x[1], x[2], &name);                                                          \
    }
ATTENTION(causal, 6)
ATTENTION(windowed, 6)
ATTENTION(cross, 5)
ATTENTION(cache, 4)
ATTENTION(blocks, 3)

#define VALUE(rows, cols) { rows, cols, 0, false }
#define PARAM(rows, cols) { rows, cols, 0, true }

static const struct op ops[] = {
    { "linear", { VALUE(5, 7), PARAM(6, 7), PARAM(1, 6) }, 5, 6, op_linear, ref_linear },
    { "layer norm", { VALUE(9, 37), PARAM(1, 37), PARAM(1, 37) }, 9, 37, op_layer_norm, ref_layer_norm },
    { "rms norm in heads", { VALUE(4, 54), PARAM(1, 18) }, 4, 54, op_rms_norm, ref_rms_norm },
    { "gelu of a sum", { VALUE(3, 100) }, 3, 100, op_gelu, ref_gelu },
    { "gated gelu", { VALUE(3, 100), VALUE(3, 100) }, 3, 100, op_gated, ref_gated },
    { "a value with three users", { VALUE(6, 8), PARAM(8, 8) }, 6, 8, op_shared, ref_shared },
    { "convolution of stride 1", { VALUE(22, 5), { 4, 5, 3, true }, PARAM(1, 4) }, 22, 4, op_conv1, ref_conv1 },
    { "convolution of stride 2", { VALUE(22, 5), { 4, 5, 3, true }, PARAM(1, 4) }, 12, 4, op_conv2, ref_conv2 },
    { "embedding and table", { PARAM(7, 5), PARAM(3, 5) }, 6, 5, op_embedding, ref_embedding },
    { "rows", { VALUE(6, 5) }, 3, 5, op_rows, ref_rows },
    { "rope", { VALUE(4, 12) }, 4, 12, op_rope, ref_rope },
    { "causal attention of ragged rows", { VALUE(15, 24), VALUE(15, 12), VALUE(15, 12) }, 15, 24, op_causal, ref_causal },
    { "attention in a window with a soft cap", { VALUE(15, 24), VALUE(15, 6), VALUE(15, 6) }, 15, 24, op_windowed,
      ref_windowed },
    { "cross attention", { VALUE(7, 10), VALUE(24, 10), VALUE(24, 10) }, 7, 10, op_cross, ref_cross },
    { "attention behind a cache", { VALUE(4, 8), VALUE(22, 4), VALUE(22, 4) }, 4, 8, op_cache, ref_cache },
    { "attention of many blocks", { VALUE(300, 3), VALUE(600, 3), VALUE(600, 3) }, 300, 3, op_blocks, ref_blocks },
};

/* --- the comparison ---------------------------------------------------------------------- */
struct run {
    const struct op *op;
    float *value[LEAVES], *grad[LEAVES];    /* what the tape works on, what it found */
    struct param param[LEAVES], *list[LEAVES];
    float *y;
    const float *weight;                    /* the sum of weight * y is what is differentiated */
};

static size_t leaf_count(const struct leaf *l) { return l->rows * l->cols * (l->width ? l->width : 1); }

static void op_run(struct tape *t, void *ctx)
{
    struct run *r = ctx;
    struct tensor *x[LEAVES];
    size_t n_x = 0, n_p = 0, n = r->op->rows * r->op->cols;
    for (size_t i = 0; i < LEAVES && r->op->leaf[i].rows; i++) {
        const struct leaf *l = r->op->leaf + i;
        if (l->param) {
            struct param *p = r->param + i;
            *p = (struct param){ .name = "w", .rank = l->width ? 3 : 2, .shape = { l->rows, l->cols, l->width },
                                 .count = leaf_count(l), .data = r->value[i], .grad = r->grad[i], .trained = true };
            r->list[n_p++] = p;
        } else {
            x[n_x] = tape_input(t, r->value[i], l->rows, l->cols);
            x[n_x++]->needs_grad = true;
        }
    }
    struct tensor *y = r->op->tape(t, x, r->list);
    if (t->mode != TAPE_TRAIN || t->failed)
        return;
    float beta;
    tensor_grad(t, y, &beta);
    if (!t->dry) {
        memcpy(r->y, y->data, n * sizeof(float));
        memcpy(y->grad, r->weight, n * sizeof(float));
    }
    tape_backward(t);
    n_x = 0;
    for (size_t i = 0; i < LEAVES && r->op->leaf[i].rows; i++)
        if (!r->op->leaf[i].param && !t->dry && !t->failed)
            memcpy(r->grad[i], x[n_x++]->grad, leaf_count(r->op->leaf + i) * sizeof(float));
}

static double ref_sum(const struct op *op, double *const *l, const float *weight)
{
    static double y[MOST];
    double sum = 0;
    op->ref(l, y);
    for (size_t i = 0; i < op->rows * op->cols; i++)
        sum += (double)weight[i] * y[i];
    return sum;
}

static void op_check(const struct compute *c, const struct op *op)
{
    struct run r = { .op = op };
    struct tape *t = tape_new(c);
    double *l[LEAVES] = { 0 };
    char why[WHY] = "";
    size_t n = op->rows * op->cols;
    float *weight = malloc(n * sizeof *weight), *want = malloc(MOST * sizeof *want);
    double *exact = malloc(MOST * sizeof *exact);
    r.weight = weight;
    r.y = malloc(n * sizeof *r.y);
    for (size_t i = 0; i < n; i++)
        weight[i] = 2 * random_uniform(99, i) - 1;
    for (size_t i = 0; i < LEAVES && op->leaf[i].rows; i++) {
        size_t k = leaf_count(op->leaf + i);
        r.value[i] = malloc(k * sizeof(float));
        r.grad[i] = malloc(k * sizeof(float));
        l[i] = malloc(k * sizeof(double));
        for (size_t j = 0; j < k; j++)
            l[i][j] = (double)(r.value[i][j] = 3 * random_uniform(i + 1, j) - 1.5f);
    }
    t->poison = true;
    ok(tape_run(t, TAPE_TRAIN, 1, op_run, &r, why) == 0, "%s runs %s", op->name, why);
    op->ref(l, exact);
    for (size_t i = 0; i < n; i++)
        want[i] = (float)exact[i];
    is_close(r.y, want, n, 2e-6, op->name);
    for (size_t i = 0; i < LEAVES && op->leaf[i].rows; i++) {
        size_t k = leaf_count(op->leaf + i), step = k > 60 ? k / 60 : 1, m = 0;
        for (size_t j = 0; j < k; j += step) {
            double at = l[i][j], h = 1e-5;
            l[i][j] = at + h;
            double above = ref_sum(op, l, weight);
            l[i][j] = at - h;
            double below = ref_sum(op, l, weight);
            l[i][j] = at;
            r.grad[i][m] = r.grad[i][j];
            want[m++] = (float)((above - below) / (2 * h));
        }
        char name[100];
        snprintf(name, sizeof name, "%s, gradient of argument %zu", op->name, i);
        is_close(r.grad[i], want, m, 1e-5, name);
    }
    for (size_t i = 0; i < LEAVES; i++) {
        free(r.value[i]);
        free(r.grad[i]);
        free(l[i]);
    }
    free(weight);
    free(want);
    free(exact);
    free(r.y);
    tape_free(t);
}

int main(void)
{
    struct compute c;
    golden_compute(&c, 2);
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        op_check(&c, ops + i);
    team_free(c.team);
    return done();
}
