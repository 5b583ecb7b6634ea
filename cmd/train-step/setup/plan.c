/* cmd/train-step/setup/plan.c - see plan.h */
#include "cmd/train-step/setup/plan.h"

#include <unistd.h>

#include "kernels/linalg/gemm/gemm.h"
#include "libcommon/sys/log.h"

enum { PROGRAM = 24 << 20 };    /* code, tables, small things */

/* Bytes that stay, whatever the batch. */
struct fixed { double weights, state, packed, other; };

/* What products in bfloat16 touch of the team's memory: both operands of the widest, rounded. */
static double shared_touched(const struct trainer *t, size_t rows, size_t tokens)
{
    const struct params *ps = &t->model->params;
    size_t widest = 0, each = t->model->source > tokens ? t->model->source : tokens, together = t->model->part / each;
    size_t positions = each * (rows < together ? rows : together ? together : 1);
    for (size_t i = 0; i < ps->n; i++) {
        const struct param *p = ps->p[i];
        size_t in = p->count / p->shape[0], wide = in > p->shape[0] ? in : p->shape[0];
        if (p->kind == PARAM_LINEAR && wide > widest)
            widest = wide;
    }
    double bytes = 2.0 * 2.0 * (double)positions * (double)widest;
    return bytes < TEAM_SHARED ? bytes : TEAM_SHARED;
}

static struct fixed fixed_sizes(const struct trainer *t, size_t rows, size_t tokens)
{
    const struct params *ps = &t->model->params;
    struct fixed f = { .other = PROGRAM };
    for (size_t i = 0; i < ps->n; i++) {
        const struct param *p = ps->p[i];
        f.weights += 4.0 * (double)p->count;
        f.state += p->trained ? (ps->lent ? 8.0 : 12.0) * (double)p->count : 0;
        if (t->machine.compute.bf16 && (p->kind == PARAM_LINEAR || p->kind == PARAM_ADAPTER || p->kind == PARAM_CONV ||
                                        p == t->model->output))
            f.packed += (double)packed_bytes(p->shape[0], p->count / p->shape[0]);
    }
    f.other += (double)t->collator.rows * (double)(t->model->bins * t->model->frames) * sizeof(float);
    f.other += (double)team_size(t->machine.compute.team) * TEAM_SCRATCH;
    f.other += t->machine.compute.bf16 ? shared_touched(t, rows, tokens) : 0;
    return f;
}

static double machine_bytes(void) { return (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE); }

bool plan_lends(const struct trainer *t)
{
    const struct params *ps = &t->model->params;
    double bytes = 0, machine = machine_bytes();
    if (t->o->accumulation > 1)         /* they add up over several batches */
        return false;
    if (t->model->bins || team_size(t->machine.compute.team) == 1)
        return true;
    for (size_t i = 0; i < ps->n; i++)
        bytes += (double)ps->p[i]->count * (ps->p[i]->trained ? 18 : 6);
    return machine > 0 && bytes > 0.75 * machine;
}

static double mb(double bytes) { return bytes / 1e6; }

int plan_tell(struct trainer *t, struct error *e)
{
    const struct batch *b = &t->collator.batch;
    struct tape_plan like;
    char why[WHY];
    size_t tokens = (b->start[b->rows] + b->rows - 1) / b->rows;
    struct fixed f = fixed_sizes(t, b->rows, tokens);
    t->planned = true;
    if (model_plan(t->tape, t->model, b->rows, tokens, TAPE_TRAIN, &like, why) < 0)
        return error_set(e, STATUS_AGAIN, "no memory for a batch: %s", why);
    double fixed = f.weights + f.state + f.packed + f.other, total = fixed + (double)like.arena,
           most = fixed + (double)t->plan.arena;
    note("%.2f of %.2f million parameters are trained", (double)params_count(&t->model->params, true) / 1e6,
         (double)params_count(&t->model->params, false) / 1e6);
    bool lent = t->model->params.lent;
    note("memory: weights %.0f MB, %smoments %.0f MB, bfloat16 copies %.0f MB, activations%s %.0f MB, other %.0f MB: "
         "%.0f MB with %zu rows of %zu tokens, as in the first batch; at most %.0f MB, with %zu rows of %zu",
         mb(f.weights), lent ? "" : "gradients and ", mb(f.state), mb(f.packed), lent ? " and gradients" : "",
         mb((double)like.arena), mb(f.other), mb(total), b->rows, tokens, mb(most), t->collator.rows, t->longest);
    double machine = machine_bytes();
    if (machine > 0 && total > machine)
        warn("this machine has %.0f MB: a smaller --batch-size, --gradient-checkpointing or --lora-r would fit",
             mb(machine));
    return 0;
}

/* The longest rows that can come: what tokenize was told, else what the model takes. */
static size_t longest(const struct trainer *t)
{
    double n;
    size_t most = t->model->max_tokens;
    if (header_option_real(stream_in_header(t->source.in), "tokenize", "max_length", &n) && n >= 1 && n < (double)most)
        most = (size_t)n;
    return most;
}

/* A model may take rows (Gemma: 32768 tokens) that no batch will have and no machine could hold:
 * then for the longest that this one could. */
static int arena_make(struct trainer *t, size_t rows, struct error *e)
{
    char why[WHY];
    for (t->longest = longest(t); ; t->longest /= 2) {
        if (model_plan(t->tape, t->model, rows, t->longest, TAPE_TRAIN, &t->plan, why) == 0)
            return 0;
        if (t->longest < 64)
            return error_set(e, STATUS_AGAIN, "no memory for batches of %zu rows: %s", rows, why);
    }
}

int plan_make(struct trainer *t, struct error *e)
{
    /* also where this header announces fewer samples: another stream may follow */
    size_t rows = (size_t)t->o->batch_size;
    t->tape = tape_new(&t->machine.compute);
    if (!t->tape)
        return error_memory(e);
    t->tape->recompute = t->o->gradient_checkpointing;
    return collator_init(&t->collator, t->model, rows, (uint64_t)t->o->seed, e) < 0 ? -1 : arena_make(t, rows, e);
}
