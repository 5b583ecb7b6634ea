/* tests/unit/vec_test.c - functions of rows in every variant against double precision, at lengths around a vector's */
#include "kernels/linalg/dispatch.h"
#include "kernels/linalg/pack/pack.h"
#include "kernels/linalg/vec/vec.h"
#include "tests/unit/noise.h"
#include "tests/unit/tap.h"

#include <stdlib.h>

enum { MOST = 1100 };
static const size_t lengths[] = { 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 100, 257, MOST - 1 };
static const char *variant;
static float x[MOST], z[MOST], dy[MOST], y[MOST], dx[MOST], dz[MOST];
static double want[MOST], want_x[MOST], want_z[MOST];

static void fill(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        x[i] = 6 * noise();
        z[i] = 2 * noise();
        dy[i] = noise();
    }
    y[n] = dx[n] = dz[n] = 12345;               /* must stay */
}

/* Each within limit * (1 + |want|), and nothing written behind. */
static bool near(const float *got, const double *wanted, size_t n, double limit)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - wanted[i]) <= limit * (1 + fabs(wanted[i])))) {
            printf("# %s, %zu of %zu: got %.9g want %.9g (limit %g)\n", variant, i, n, (double)got[i], wanted[i], limit);
            return false;
        }
    return got[n] == 12345;
}

static bool close_to(double got, double wanted, double limit)
{
    bool pass = fabs(got - wanted) <= limit * (1 + fabs(wanted));
    if (!pass)
        printf("# %s: got %.9g want %.9g (limit %g)\n", variant, got, wanted, limit);
    return pass;
}

static double density(double a) { return exp(-a * a / 2) * 0.3989422804014327; }
static double below(double a) { return 0.5 * erfc(-a * 0.7071067811865476); }

/* What is kept in bfloat16: 1 part in 256, of a negative number's small value too. */
static bool activations_narrow(const struct vec *v, size_t n)
{
    uint16_t short_x[MOST] = { 0 }, short_y[MOST], again[MOST], short_dx[MOST];
    bool good = true;
    for (size_t i = 0; i < n; i++)
        short_x[i] = bf16_of(x[i]);
    short_y[n] = again[n] = short_dx[n] = 0x1234;
    v->gelu_narrow(short_y, short_x, n);
    v->gelu_back_narrow(short_dx, again, dy, short_x, n);
    for (size_t i = 0; i < n; i++) {
        double a = (double)bf16_float(short_x[i]), value = a * below(a), slope = (double)dy[i] * (below(a) + a * density(a));
        good = fabs((double)bf16_float(short_y[i]) - value) <= fabs(value) / 250 && short_y[i] == again[i] &&
               fabs((double)bf16_float(short_dx[i]) - slope) <= fabs(slope) / 250 + 1e-4 && good;
    }
    v->gelu_back_narrow(again, NULL, dy, short_x, n);
    return !memcmp(again, short_dx, n * sizeof *again) && short_y[n] == 0x1234 && again[n] == 0x1234 &&
           short_dx[n] == 0x1234 && good;
}

static bool activations(const struct vec *v, size_t n)
{
    bool good = true;
    for (size_t i = 0; i < n; i++) {
        double a = (double)x[i];
        want[i] = a * below(a);
        want_x[i] = (double)dy[i] * (below(a) + a * density(a));
    }
    v->gelu(y, x, n);
    good = near(y, want, n, 3e-7) && good;
    v->gelu_back(dx, false, x, dy, n);
    good = near(dx, want_x, n, 6e-7) && good;
    v->gelu_back(dx, true, x, dy, n);
    for (size_t i = 0; i < n; i++)
        want_x[i] *= 2;
    good = near(dx, want_x, n, 1e-6) && activations_narrow(v, n) && good;

    for (size_t i = 0; i < n; i++) {
        double a = (double)x[i], u = 0.7978845608028654 * (a + 0.044715 * a * a * a), h = tanh(u);
        double slope = 0.7978845608028654 * (1 + 3 * 0.044715 * a * a);
        want[i] = 0.5 * a * (1 + h) * (double)z[i];
        want_x[i] = (double)dy[i] * (double)z[i] * (0.5 * (1 + h) + 0.5 * a * (1 - h * h) * slope);
        want_z[i] = (double)dy[i] * 0.5 * a * (1 + h);
    }
    v->gated(y, x, z, n);
    good = near(y, want, n, 1e-6) && good;
    v->gated_back(dx, false, dz, false, x, z, dy, n);
    good = near(dx, want_x, n, 2e-6) && near(dz, want_z, n, 1e-6) && good;
    v->gated_back(dx, true, NULL, false, x, z, dy, n);
    for (size_t i = 0; i < n; i++)
        want_x[i] *= 2;
    return near(dx, want_x, n, 4e-6) && good;
}

/* Of rows that begin one after another. */
static bool columns(const struct vec *v, size_t n)
{
    enum { ROWS = 7 };
    static float rows[(ROWS + 1) * MOST], got[MOST];
    static uint16_t halves[(ROWS + 1) * MOST];
    static double wide[MOST], half[MOST];
    size_t ld = n + 3;
    memset(wide, 0, sizeof wide), memset(half, 0, sizeof half);
    got[n] = 12345;
    for (size_t i = 0; i < ROWS * ld; i++) {
        rows[i] = x[i % n] + z[i % 5];
        halves[i] = bf16_of(rows[i]);
        if (i % ld < n) {
            wide[i % ld] += (double)rows[i];
            half[i % ld] += (double)bf16_float(halves[i]);
        }
    }
    v->columns(got, rows, ld, ROWS, n);
    bool good = near(got, wide, n, 1e-6);
    v->columns_half(got, halves, ld, ROWS, n);
    return near(got, half, n, 1e-6) && good;
}

static bool sums(const struct vec *v, size_t n)
{
    double max = -INFINITY, sum = 0, squares = 0, dot = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        max = (double)x[i] > max ? (double)x[i] : max;
        sum += (double)x[i];
        squares += (double)x[i] * (double)x[i];
        dot += (double)x[i] * (double)z[i];
        all += want[i] = exp(0.5 * (double)x[i] - 1.25);
    }
    bool good = (double)v->max(x, n) == max && v->max(x, 0) == -INFINITY;
    good = close_to(v->sum(x, n), sum, 1e-12) && close_to(v->squares(x, n), squares, 1e-6) && good;
    good = close_to((double)v->dot(x, z, n), dot, 1e-5) && good;
    uint16_t a[MOST], b[MOST];
    double halves = 0;
    for (size_t i = 0; i < n; i++) {
        a[i] = bf16_of(x[i]), b[i] = bf16_of(z[i]);
        halves += (double)bf16_float(a[i]) * (double)bf16_float(b[i]);
    }
    good = close_to((double)v->dot_half(a, b, n), halves, 1e-5) && good;
    good = close_to((double)v->exp_sum(y, x, 0.5f, 1.25f, n), all, 2e-6) && near(y, want, n, 4e-7) && good;
    v->softmax_back(y, x, 1.5f, 0.25f, 0.01f, 0.02f, n);
    for (size_t i = 0; i < n; i++)
        want[i] = (exp((double)x[i] - 1.5) * 0.25 - 0.01) * (1 - 0.02 * (double)x[i] * (double)x[i]);
    good = near(y, want, n, 2e-6) && good;
    v->cap(y, x, 3, n);
    for (size_t i = 0; i < n; i++)
        want[i] = 3 * tanh((double)x[i] / 3);
    return near(y, want, n, 1e-6) && good;
}

/* Rounded to bfloat16: 1 part in 256. */
static bool attention(const struct vec *v, size_t n)
{
    uint16_t p[MOST], ds[MOST];
    double all = 0, exact[MOST], grad[MOST];
    bool good = true;
    for (size_t i = 0; i < n; i++) {
        all += exact[i] = exp(0.3 * (double)x[i] - 2);
        y[i] = x[i];
    }
    p[n] = ds[n] = 0x1234;
    good = close_to((double)v->attend(p, y, 0.3f, 2, n), all, 1e-5) && p[n] == 0x1234 && good;
    for (size_t i = 0; i < n; i++)
        good = fabs((double)bf16_float(p[i]) - exact[i]) <= exact[i] / 250 && good;
    for (size_t i = 0; i < n; i++) {
        exact[i] = exp(0.3 * (double)x[i] - (double)z[i] - 3);
        grad[i] = exact[i] * ((double)dy[i] - (double)z[i]) * 0.3;
        y[i] = x[i];
        dx[i] = dy[i];
        dz[i] = z[i] + 3;
    }
    v->attend_back(p, ds, y, dx, dz, z, 0.3f, n);
    for (size_t i = 0; i < n; i++)
        good = fabs((double)bf16_float(p[i]) - exact[i]) <= exact[i] / 250 &&
               fabs((double)bf16_float(ds[i]) - grad[i]) <= fabs(grad[i]) / 250 + 1e-9 && good;
    return p[n] == 0x1234 && ds[n] == 0x1234 && good;
}

static bool norms(const struct vec *v, size_t n, bool centre, bool weights)
{
    static float w[MOST], b[MOST];
    double m = 0, var = 0, mean_g = 0, mean_gh = 0, offset = centre ? 0 : 1;
    float mean, scale;
    for (size_t i = 0; i < n; i++) {
        w[i] = noise();
        b[i] = noise();
        m += centre ? (double)x[i] / (double)n : 0;
    }
    for (size_t i = 0; i < n; i++)
        var += ((double)x[i] - m) * ((double)x[i] - m) / (double)n;
    double s = 1 / sqrt(var + 1e-3);
    for (size_t i = 0; i < n; i++) {
        double g = (double)dy[i] * (weights ? offset + (double)w[i] : 1), h = ((double)x[i] - m) * s;
        want[i] = h * (weights ? offset + (double)w[i] : 1) + (weights && centre ? (double)b[i] : 0);
        mean_g += centre ? g / (double)n : 0;
        mean_gh += g * h / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        double g = (double)dy[i] * (weights ? offset + (double)w[i] : 1), h = ((double)x[i] - m) * s;
        want_x[i] = s * (g - mean_g - h * mean_gh);
    }
    struct norm_row r = { .w = weights ? w : NULL, .b = weights && centre ? b : NULL, .eps = 1e-3f, .offset = (float)offset,
                          .centre = centre };
    v->norm(y, x, &r, &mean, &scale, n);
    bool good = near(y, want, n, 4e-6) && close_to((double)mean, m, 1e-6) && close_to((double)scale, s, 1e-5);
    v->norm_back(dx, false, x, dy, &r, mean, scale, scale, n);
    double limit = 1e-5 * (1 + s);              /* one number alone: s is large, and all cancels */
    good = near(dx, want_x, n, limit) && good;
    v->norm_back(dx, true, x, dy, &r, mean, scale, scale, n);
    for (size_t i = 0; i < n; i++) {
        want_x[i] *= 2;
        dz[i] = (x[i] - mean) * scale;          /* of the normed values themselves the same */
    }
    good = near(dx, want_x, n, 2 * limit) && good;
    v->norm_affine(y, dz, &r, n);
    good = near(y, want, n, 4e-6) && good;
    v->norm_back(dx, true, dz, dy, &r, 0, 1, scale, n);
    for (size_t i = 0; i < n; i++) {
        want_x[i] *= 1.5;
        want_z[i] = (double)z[i] + (double)dy[i] * (double)dz[i];
        y[i] = z[i];
    }
    v->norm_weight(y, x, dy, mean, scale, n);
    return near(dx, want_x, n, 3 * limit) && near(y, want_z, n, 1e-5) && good;
}

static bool optimizer(const struct vec *v, size_t n)
{
    struct adamw_row a = { .factor = 0.5f, .keep = 0.999f, .beta1 = 0.9f, .beta2 = 0.99f, .share1 = 0.1f, .share2 = 0.01f,
                           .rate = 0.01f, .root = 0.3f, .epsilon = 1e-6f };
    float m[MOST], q[MOST];
    for (size_t i = 0; i < n; i++) {
        double d = (double)dy[i] * 0.5;
        m[i] = z[i];
        q[i] = z[i] * z[i];
        want_x[i] = 0.9f * (double)m[i] + (double)0.1f * d;
        want_z[i] = 0.99f * (double)q[i] + (double)0.01f * d * d;
        want[i] = (double)x[i] * (double)0.999f - (double)0.01f * want_x[i] / (sqrt(want_z[i]) / (double)0.3f + 1e-6);
        y[i] = x[i];
    }
    m[n] = q[n] = 12345;
    v->adamw(y, m, q, dy, &a, n);
    bool good = near(m, want_x, n, 2e-7) && near(q, want_z, n, 2e-7) && near(y, want, n, 3e-7);
    float turned[2 * MOST], plus[2 * MOST], pair[2 * MOST];
    for (size_t i = 0; i < 2 * n; i++)
        pair[i] = turned[i] = i < n ? x[i] : dy[i - n];
    for (size_t i = 0; i < 2 * n; i++)
        plus[i] = 1;
    v->rope(turned, false, turned, m, z, -1, n);
    v->rope(plus, true, pair, m, z, -1, n);
    for (size_t i = 0; i < n; i++) {
        double one = (double)x[i] * (double)m[i] + (double)dy[i] * (double)z[i],
               two = (double)dy[i] * (double)m[i] - (double)x[i] * (double)z[i];
        good = fabs((double)turned[i] - one) <= 2e-6 * (1 + fabs(one)) &&
               fabs((double)turned[i + n] - two) <= 2e-6 * (1 + fabs(two)) && good;
        good = fabs((double)plus[i] - one - 1) <= 4e-6 * (2 + fabs(one)) &&
               fabs((double)plus[i + n] - two - 1) <= 4e-6 * (2 + fabs(two)) && good;
    }
    v->add(y, x, z, n);
    for (size_t i = 0; i < n; i++)
        good = y[i] == x[i] + z[i] && good;
    return good;
}

int main(void)
{
    static const char *const names[] = { "ref", "avx2", "avx512", "avx512bf16", "neon" };
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        const struct kernels *table = kernels_choose(names[k]);
        if (!table)
            continue;
        bool good[6] = { true, true, true, true, true, true };
        variant = names[k];
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            size_t n = lengths[i];
            fill(n);
            good[0] = activations(table->vec, n) && good[0];
            good[1] = sums(table->vec, n) && columns(table->vec, n) && good[1];
            good[2] = attention(table->vec, n) && good[2];
            good[3] = norms(table->vec, n, true, true) && norms(table->vec, n, true, false) && good[3];
            good[4] = norms(table->vec, n, false, true) && norms(table->vec, n, false, false) && good[4];
            good[5] = optimizer(table->vec, n) && good[5];
        }
        ok(good[0], "%s: gelu, gated gelu, and their gradients", variant);
        ok(good[1], "%s: largest, sums, softmax and its gradient, cap", variant);
        ok(good[2], "%s: probabilities and their gradients in bfloat16", variant);
        ok(good[3], "%s: layer norm and its gradient", variant);
        ok(good[4], "%s: rms norm and its gradient", variant);
        ok(good[5], "%s: AdamW, rotations, sums of two", variant);
    }
    return done();
}
