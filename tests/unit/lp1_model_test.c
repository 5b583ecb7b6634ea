/* tests/unit/lp1_model_test.c - LP1's state machines through ten thousand simulated disasters
 *
 * MODEL_RUNS sets how many, MODEL_SEED which is the first: a failure names its seed. */
#include <stdlib.h>

#include "lp1_model.h"
#include "tap.h"

static struct model_plan plan_of(uint64_t seed)
{
    bool quick = seed % 8 == 3;
    return (struct model_plan){ .seed = seed,
                                .units = seed % 97 == 0 ? 0 : quick ? 200 + seed * 7919 % 400 : 1 + seed * 7919 % 60,
                                .workers = (int)(1 + seed % (quick ? 3 : 7)), .hub = seed % 5 == 4, .quick = quick,
                                    .kills = (int)(seed % 12),
                                .breaks = (int)(seed % 6), .joins = (int)(seed % 3), .leaves = (int)(seed % 2),
                                .window = quick ? 20 + seed % 300 : 2 + seed % 15 };
}

int main(void)
{
    const char *text = getenv("MODEL_RUNS"), *first = getenv("MODEL_SEED");
#ifdef __SANITIZE_ADDRESS__
    uint64_t runs = 1000;
#else
    uint64_t runs = 10000;
#endif
    uint64_t from = first ? strtoull(first, NULL, 10) : 1;
    if (text)
        runs = strtoull(text, NULL, 10);
    uint64_t hung = 0, wrong = 0, unbounded = 0, leaked = 0, duplicates = 0, refused = 0, batches = 0;
    long kills[4] = { 0 };
    for (uint64_t seed = from; seed < from + runs; seed++) {
        struct model_plan p = plan_of(seed);
        struct model_result r;
        model_run(&p, &r);
        if (!r.finished || !r.right || !r.bounded || r.leaked)
            printf("# seed %llu: %s%s%s, %ld bodies leaked, after %.0f s; %s\n", (unsigned long long)seed,
                   r.finished ? "" : "hung ",
                   r.right ? "" : "wrong ", r.bounded ? "" : "unbounded ", r.leaked, r.seconds, r.why);
        hung += !r.finished;
        wrong += !r.right;
        unbounded += !r.bounded;
        leaked += r.leaked != 0;
        kills[0] += r.head_kills, kills[1] += r.tail_kills, kills[2] += r.hub_kills, kills[3] += r.worker_kills;
        duplicates += r.duplicates;
        refused += r.refused;
        batches += r.batches;
    }
    printf("# %llu runs, kills: %ld of head, %ld of tail, %ld of hub, %ld of workers; "
           "%llu duplicates dropped, %llu refused; %llu messages of more than one unit\n",
           (unsigned long long)runs, kills[0], kills[1], kills[2], kills[3], (unsigned long long)duplicates,
               (unsigned long long)refused, (unsigned long long)batches);
    ok(!hung, "every run ends: %llu of %llu hung", (unsigned long long)hung, (unsigned long long)runs);
    ok(!wrong, "each unit counts once and in order, as without faults: %llu of %llu did not", (unsigned long long)wrong,
       (unsigned long long)runs);
    ok(!unbounded, "no TAIL holds more than its window: %llu did", (unsigned long long)unbounded);
    ok(!leaked, "no body is lost from sight: %llu runs leaked", (unsigned long long)leaked);
    ok(runs < 1000 || (kills[0] && kills[1] && kills[2] && kills[3] && duplicates && batches > runs),
       "all roles were killed, duplicates came, and batches");
    return done();
}
