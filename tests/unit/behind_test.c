/* tests/unit/behind_test.c - the optimizer's step behind the next forward: every task once, the same bits */
#include "kernels/models/model.h"
#include "kernels/nn/optim/optim.h"
#include "tests/unit/tap.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

/* --- the list ---------------------------------------------------------------------- */
enum { TASKS = 3000 };

struct count { _Atomic int hits[TASKS], strangers; int size; long nap; };

static void hit(void *ctx, size_t i, int worker)
{
    struct count *c = ctx;
    if (c->nap)
        nanosleep(&(struct timespec){ .tv_nsec = c->nap }, NULL);
    atomic_fetch_add(&c->hits[i], 1);
    if (worker < 0 || worker >= c->size)
        atomic_fetch_add(&c->strangers, 1);
}

static bool each_once(const struct count *c, size_t from, size_t to)
{
    bool good = c->strangers == 0;
    for (size_t i = from; i < to; i++)
        good = good && c->hits[i] == 1;
    return good;
}

static void check_list(int threads)
{
    struct team *team = team_new(threads, NULL);
    static struct count c, run;
    c = (struct count){ .size = threads };
    ok(team_behind(team, TASKS, hit, &c) == 0, "%d threads: a list", threads);
    team_need(team, 2000, 2010);
    ok(each_once(&c, 2000, 2010), "%d threads: what is needed is done when it is", threads);
    run = (struct count){ .size = threads };
    team_run(team, 500, hit, &run);
    ok(each_once(&run, 0, 500), "%d threads: runs pass before it", threads);
    team_need(team, 1990, 2020);
    ok(each_once(&c, 1990, 2020), "%d threads: a part of which some was done", threads);
    team_behind_end(team);
    ok(each_once(&c, 0, TASKS), "%d threads: at the end all is done, once each", threads);

    bool good = true;
    for (size_t round = 0; round < 2000; round++) {
        size_t n = 1 + round % 7;
        c = (struct count){ .size = threads };
        good = team_behind(team, n, hit, &c) == 0 && good;
        if (round % 3)
            team_need(team, n / 2, n);
        team_run(team, 3, hit, &run);
        if (round % 2)                          /* else the next list ends this one, whose counts go on being ours */
            team_behind_end(team);
        team_behind_end(team);
        good = each_once(&c, 0, n) && c.hits[n] == 0 && good;
    }
    ok(good, "%d threads: 2,000 short lists in a row", threads);

    c = (struct count){ .size = threads, .nap = 100000 };
    team_behind(team, TASKS, hit, &c);
    team_need(team, 0, 2);
    team_free(team);
    int most = 0, sum = 0;
    for (size_t i = 0; i < TASKS; i++) {
        most = c.hits[i] > most ? c.hits[i] : most;
        sum += c.hits[i];
    }
    ok(most == 1 && sum < TASKS, "%d threads: a team is freed in the middle (%d of %d done)", threads, sum, TASKS);
}

/* --- the step ---------------------------------------------------------------------- */
/* The table of entries is several of the optimizer's chunks, the head has a table of its own or not. */
static const char config[] =
    "{\"model_type\": \"gemma3_text\", \"hidden_size\": 64, \"intermediate_size\": 192, \"num_hidden_layers\": 2, "
    "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"head_dim\": 16, \"vocab_size\": 5000, "
    "\"max_position_embeddings\": 512, \"query_pre_attn_scalar\": 16, \"rms_norm_eps\": 1e-06, \"rope_theta\": 1000000.0, "
    "\"rope_local_base_freq\": 10000.0, \"sliding_window\": 32, \"hidden_activation\": \"gelu_pytorch_tanh\", "
    "\"attention_bias\": false, \"attention_dropout\": 0.0, \"initializer_range\": 0.02, \"pad_token_id\": 0, "
    "\"bos_token_id\": 2, \"eos_token_id\": 1, \"layer_types\": [\"sliding_attention\", \"full_attention\"]";

struct way { bool bf16, tied, behind; int threads; };

static struct model *train(struct way w)
{
    enum { ROWS = 3, TOKENS = 24 };
    struct compute k = { .team = team_new(w.threads, NULL), .k = kernels_choose(getenv("PENSTOCK_KERNELS")),
                         .bf16 = w.bf16 };
    char why[WHY] = "", text[2048];
    snprintf(text, sizeof text, "%s, \"tie_word_embeddings\": %s}", config, w.tied ? "true" : "false");
    struct model *m = model_new(text, strlen(text), why);
    if (!ok(m && params_reserve(&m->params, true, why) == 0, "a model %s", why))
        exit(1);
    for (size_t i = 0; i < m->params.n; i++)
        param_init(m->params.p[i], 5);
    struct tape *tape = tape_new(&k);
    tape->poison = true;
    struct adamw a = { .learning_rate = 1e-2, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.1,
                       .max_grad_norm = 1 };
    for (int step = 0; step < 4; step++) {
        struct batch b;
        struct loss loss = { 0 };
        batch_reserve(&b, ROWS, ROWS * TOKENS, 0, 0, why);
        for (size_t r = 0; r < ROWS; r++) {
            int32_t ids[TOKENS], labels[TOKENS];
            for (size_t i = 0; i < TOKENS; i++) {
                /* each step in another part of the table: what the one before changed is not looked up */
                ids[i] = (int32_t)((r * 1301 + i * 711) % 900 + (size_t)step % 3 * 2000);
                /* in the third no token is supervised: so none has a gradient */
                labels[i] = i < 4 || step == 2 ? -100 : ids[i];
            }
            batch_add(&b, ids, labels, TOKENS - r, NULL, 0, 0, 0, r + 1, why);
        }
        if (model_step(tape, m, &b, TAPE_TRAIN, 1, &loss, why))
            ok(false, "a step: %s", why);
        if (loss.tokens)
            (w.behind ? adamw_begin : adamw_step)(&k, &m->params, &a, (double)loss.tokens);
        else
            grads_clear(&m->params);
        batch_release(&b);
    }
    adamw_end(&k, &m->params);
    tape_free(tape);
    team_free(k.team);
    return m;
}

static bool same(const struct model *a, const struct model *b)
{
    for (size_t i = 0; i < a->params.n; i++) {
        const struct param *p = a->params.p[i], *q = b->params.p[i];
        if (memcmp(p->data, q->data, p->count * sizeof *p->data) || memcmp(p->m, q->m, p->count * sizeof *p->m) ||
            memcmp(p->v, q->v, p->count * sizeof *p->v) || p->steps != q->steps)
            return printf("# '%s' differs\n", p->name), false;
    }
    return true;
}

static void check_step(bool bf16, bool tied)
{
    struct model *once = train((struct way){ .bf16 = bf16, .tied = tied, .threads = 2 });
    for (int threads = 1; threads <= 5; threads++) {
        struct model *behind = train((struct way){ .bf16 = bf16, .tied = tied, .behind = true, .threads = threads });
        ok(same(once, behind), "%s, %s: %d threads, the optimizer behind the next forward: the same bits",
           bf16 ? "bfloat16" : "float32", tied ? "one table" : "a head of its own", threads);
        model_free(behind);
    }
    model_free(once);
}

int main(void)
{
    for (int threads = 1; threads <= 5; threads++)
        check_list(threads);
    for (int i = 0; i < 4; i++)
        check_step(i & 1, i & 2);
    return done();
}
