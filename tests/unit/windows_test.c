/* tests/unit/windows_test.c - what a window of long audio says, and where the next begins */
#include <math.h>

#include "kernels/models/generate/generate.h"
#include "tests/unit/tap.h"

enum { T = 100, FRAMES = 3000 };        /* <|0.00|>; ids below are text */

static struct utterance u[16];
static size_t used, advance;

static size_t read_at(double begin, size_t frames, const int32_t *token, size_t n)
{
    struct window w = { token, n, T, begin, frames };
    return window_read(&w, u, &used, &advance);
}

static bool is_said(size_t i, double start, double end, size_t from, size_t n)
{
    return fabs(u[i].start - start) <= 1e-9 && fabs(u[i].end - end) <= 1e-9 && u[i].from == from && u[i].n == n;
}

int main(void)
{
    static const int32_t closed[] = { T, 1, 2, T + 50, T + 60, 3, T + 100 }, open[] = { T, 1, 2, T + 50, T + 50, 3 },
                         pair[] = { T + 5, 1, T + 50, T + 60 }, single[] = { T + 5, 1, 2, T + 50 }, untimed[] = { T, 1, 2 },
                         stuck[] = { T, T, 1 };
    is_int((long long)read_at(30, FRAMES, closed, 7), 2, "utterances end where times meet");
    ok(is_said(0, 30, 31, 0, 4) && is_said(1, 31.2, 32, 4, 3), "with times from the clip's beginning");
    ok(used == 7 && advance == FRAMES, "a single time at the end: nothing follows in the window");
    is_int((long long)read_at(0, FRAMES, open, 6), 1, "what comes after the last pair");
    ok(is_said(0, 0, 1, 0, 5) && used == 5 && advance == 100, "is left to the next window, which begins there");
    ok(read_at(0, FRAMES, pair, 4) == 1 && is_said(0, 0.1, 1, 0, 4) && used == 4 && advance == 100, "a pair at the end too");
    ok(read_at(3, FRAMES, single, 4) == 1 && is_said(0, 3, 4, 0, 4) && used == 4 && advance == FRAMES,
       "without a pair all is one utterance up to its last time");
    ok(read_at(3, 501, untimed, 3) == 1 && is_said(0, 3, 8, 0, 3) && advance == 501, "or to the window's end");
    ok(read_at(0, FRAMES, untimed, 0) == 0 && used == 0 && advance == FRAMES, "nothing said is no utterance");
    ok(read_at(0, FRAMES, stuck, 3) == 1 && advance == FRAMES, "a pair at 0 does not hold the window");
    return done();
}
