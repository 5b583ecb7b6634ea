/* tests/unit/tap.h - results as TAP lines: "ok 3 - name" or "not ok 3 - name", for prove
 *
 * A test is a program; a failure says inputs, both values and the limit.  Ends
 * with `return done();`, which prints the plan, so that a test which dies
 * midway is not taken for a pass. */
#ifndef PENSTOCK_TAP_H
#define PENSTOCK_TAP_H

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* One count for all objects of a test: helpers check, too. */
__attribute__((weak)) int tap_count, tap_failed;

__attribute__((format(printf, 2, 3), unused))
static bool ok(bool pass, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    printf("%sok %d - ", pass ? "" : "not ", ++tap_count);
    vprintf(fmt, ap);
    putchar('\n');
    va_end(ap);
    if (!pass)
        tap_failed++;
    fflush(stdout);
    return pass;
}

__attribute__((unused))
static bool is_str(const char *got, const char *want, const char *name)
{
    bool pass = got && want ? !strcmp(got, want) : got == want;
    ok(pass, "%s", name);
    if (!pass)
        printf("# got  '%s'\n# want '%s'\n", got ? got : "(null)", want ? want : "(null)");
    return pass;
}

__attribute__((unused))
static bool is_int(long long got, long long want, const char *name)
{
    return ok(got == want, "%s (got %lld, want %lld)", name, got, want);
}

/* The larger of two errors.  A NaN is larger than any number, whichever of them it is: with fmax, or with
 * `if (!(e <= worst)) worst = e`, the next finite error would hide it. */
__attribute__((unused))
static double worse(double worst, double e) { return isnan(worst) || e <= worst ? worst : e; }

/* The scaled error of a tensor: largest |got - want| over largest |want|; NaN if any difference is. */
__attribute__((unused))
static double scaled_error(const float *got, const float *want, size_t n, size_t *at)
{
    double worst = 0, size = 0;
    *at = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - (double)want[i]);
        if (!(d <= worst)) {
            worst = d;
            *at = i;
            if (isnan(d))
                return d;
        }
        if (fabs((double)want[i]) > size)
            size = fabs((double)want[i]);
    }
    return size > 0 ? worst / size : worst;
}

__attribute__((unused))
static bool is_close(const float *got, const float *want, size_t n, double limit, const char *name)
{
    size_t at;
    double e = scaled_error(got, want, n, &at);
    return ok(e <= limit, "%s: scaled error %.1e (limit %.0e) at %zu of %zu: got %.9g want %.9g", name, e, limit,
              at, n, n ? (double)got[at] : 0.0, n ? (double)want[at] : 0.0);
}

__attribute__((unused))
static int done(void)
{
    printf("1..%d\n", tap_count);
    return tap_failed ? 1 : 0;
}

#endif
