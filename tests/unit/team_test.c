/* tests/unit/team_test.c - every task once, whoever takes it */
#include "kernels/linalg/compute.h"
#include "tests/unit/tap.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

struct count {
    _Atomic int *hits;
    _Atomic int strangers;
    int size;
};

static void hit(void *ctx, size_t i, int worker)
{
    struct count *c = ctx;
    atomic_fetch_add(&c->hits[i], 1);
    if (worker < 0 || worker >= c->size)
        atomic_fetch_add(&c->strangers, 1);
}

static bool all_once(struct team *team, size_t tasks, int *strangers)
{
    struct count c = {.hits = calloc(tasks + 1, sizeof(*c.hits)), .size = team_size(team)};
    team_run(team, tasks, hit, &c);
    bool good = c.hits[tasks] == 0;
    for (size_t i = 0; i < tasks; i++)
        good = good && c.hits[i] == 1;
    *strangers += c.strangers;
    free(c.hits);
    return good;
}

static void slow(void *ctx, size_t i, int worker)
{
    (void)worker;
    struct timespec nap = {.tv_nsec = i == 0 ? 3000000 : 0};
    nanosleep(&nap, NULL);
    atomic_fetch_add((_Atomic int *)ctx, 1);
}

int main(void)
{
    for (int threads = 1; threads <= 5; threads += 2) {
        struct team *team = team_new(threads, NULL);
        ok(team && team_size(team) == threads, "a team of %d", threads);
        int strangers = 0;
        bool good = true;
        for (size_t tasks = 0; tasks < 40; tasks++)
            good = all_once(team, tasks, &strangers) && good;
        ok(good, "%d threads: 0 to 39 tasks run once each", threads);
        for (int round = 0; round < 20000; round++)
            good = good && all_once(team, 3, &strangers);
        ok(good, "%d threads: 20000 runs of 3 tasks in a row", threads);
        ok(all_once(team, 300000, &strangers), "%d threads: 300000 tasks", threads);
        is_int(strangers, 0, "worker numbers are below the size");

        /* The pause lets the others fall asleep; the slow task makes the caller sleep. */
        _Atomic int ran = 0;
        for (int round = 0; round < 5; round++) {
            struct timespec nap = {.tv_nsec = 3000000};
            nanosleep(&nap, NULL);
            team_run(team, 7, slow, &ran);
        }
        is_int(ran, 35, "sleepers wake, and a sleeping caller is woken");
        team_free(team);
    }
    int cpus[2] = {0, 0};
    struct team *team = team_new(2, cpus);
    int strangers = 0;
    ok(team && all_once(team, 100, &strangers), "two threads pinned to one processor");
    team_free(team);
    ok(team_new(0, NULL) == NULL, "a team of none is refused");
    team_free(NULL);

    ok(kernels_choose(NULL) != NULL, "there is always a table");
    is_str(kernels_name(kernels_choose("ref")), "ref", "the reference can be asked for");
    ok(kernels_choose("mmx") == NULL, "an unknown variant is refused");
    return done();
}
