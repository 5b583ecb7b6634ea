/* cmd/train-step/run/state.c - see state.h
 *
 * The keys are those of Hugging Face's TrainerState; ours are under "penstock".
 * No times are in it: the same run gives the same bytes. */
#include "cmd/train-step/run/state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/sys/log.h"

int state_init(struct train_state *s, struct error *e)
{
    *s = (struct train_state){ .best_metric = INFINITY, .log = json_array() };
    return s->log ? 0 : error_memory(e);
}

void state_release(struct train_state *s)
{
    json_decref(s->log);
    *s = (struct train_state){ 0 };
}

static json_t *best_name(const struct train_state *s)
{
    char name[64];
    if (!s->best_step)
        return json_null();
    snprintf(name, sizeof name, "step-%06llu", (unsigned long long)s->best_step);
    return json_string(name);
}

/* What the weights depend on, besides model and stream: going on with others is allowed, but told. */
static json_t *options_json(const struct options *o)
{
    json_t *j = json_pack("{s:I s:I s:f s:s s:I s:f s:f s:f s:f s:f s:f s:f s:I s:s s:f s:f s:b s:s? s:O?}",
                     "batch_size", (json_int_t)o->batch_size, "gradient_accumulation_steps", (json_int_t)o->accumulation,
                     "learning_rate", o->learning_rate, "lr_scheduler_type", o->scheduler,
                     "warmup_steps", (json_int_t)o->warmup_steps, "warmup_ratio", o->warmup_ratio,
                     "weight_decay", o->weight_decay,
                     "adam_beta1", o->beta1, "adam_beta2", o->beta2, "adam_epsilon", o->epsilon, "max_grad_norm",
                         o->max_grad_norm,
                     "label_smoothing_factor", o->label_smoothing, "seed", (json_int_t)o->seed, "dtype", o->dtype,
                     "lora_alpha", o->lora_alpha, "lora_dropout", o->lora_dropout, "use_rslora", o->lora_rslora,
                     "freeze", o->freeze, "lr_scheduler_kwargs", o->scheduler_json);
    for (size_t i = 0; i < MASKS; i++)
        json_object_set_new(j, mask_key(i), mask_json(o, i));
    return j;
}

static void options_compare(const struct options *o, const json_t *was, const char *dir)
{
    json_t *now = options_json(o), *value;
    const char *key;
    json_object_foreach(now, key, value) {
        const json_t *old = json_object_get(was, key);
        if (!old || json_equal(old, value))
            continue;
        char *text = json_dumps(old, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6)), option[64];
        snprintf(option, sizeof option, "%s", key);
        for (char *p = option; *p; p++)
            *p = *p == '_' ? '-' : *p;
        bool none = json_is_null(old);
        warn("'%s' had %s--%s%s%s: with another, the weights will not be those of an uninterrupted run", dir,
             none ? "no " : "", option, none ? "" : " ", none ? "" : text ? text : "?");
        free(text);
    }
    json_decref(now);
}

static json_t *number_or_null(bool known, double v) { return known && isfinite(v) ? json_real(v) : json_null(); }

int state_write(const struct train_state *s, const struct options *o, struct buf *b, struct error *e)
{
    char run[2 * RUN_MAX + 1] = "";
    for (size_t i = 0; i < s->run_size; i++)
        snprintf(run + 2 * i, 3, "%02x", s->run[i]);
    json_t *j = json_pack("{s:o s:o s:o s:f s:I s:I s:b s:b s:b s:O s:I s:I s:I s:I s:I s:n s:n s:f s:I s:{} s:{s:s "
                          "s:I s:I s:I s:b s:s s:{s:f s:I s:I s:I} s:o}}",
                          "best_global_step", s->best_step ? json_integer((json_int_t)s->best_step) : json_null(),
                          "best_metric", number_or_null(s->best_step > 0, s->best_metric),
                          "best_model_checkpoint", best_name(s),
                          "epoch", s->epoch,
                          "eval_steps", (json_int_t)(o->eval_steps ? o->eval_steps : o->logging_steps),
                          "global_step", (json_int_t)s->step,
                          "is_hyper_param_search", 0, "is_local_process_zero", 1, "is_world_process_zero", 1,
                          "log_history", s->log,
                          "logging_steps", (json_int_t)o->logging_steps,
                          "max_steps", (json_int_t)(s->total ? s->total : s->step),
                          "num_input_tokens_seen", (json_int_t)s->tokens,
                          "num_train_epochs", (json_int_t)ceil(s->epoch),
                          "save_steps", (json_int_t)o->save_steps,
                          "trial_name", "trial_params", "total_flos", 0.0,
                          "train_batch_size", (json_int_t)o->batch_size, "stateful_callbacks",
                          "penstock", "run", run, "next", (json_int_t)s->cursor.next,
                          "offset", (json_int_t)s->cursor.offset, "skipped", (json_int_t)s->cursor.skipped,
                          "finished", (int)s->finished, "base", s->base, "since_log", "loss", s->tally.sum, "tokens",
                              (json_int_t)s->tally.tokens,
                          "samples", (json_int_t)s->tally.samples, "steps", (json_int_t)s->tally.steps,
                          "options", options_json(o));
    char *text = j ? json_dumps(j, JSON_INDENT(2)) : NULL;
    json_decref(j);
    if (!text)
        return error_set(e, STATUS_AGAIN, "out of memory for trainer_state.json");
    buf_append(b, text, strlen(text));
    buf_append(b, "\n", 1);
    free(text);
    return b->failed ? error_set(e, STATUS_AGAIN, "out of memory for trainer_state.json") : 0;
}

static bool run_read(struct train_state *s, const char *hex)
{
    size_t n = strlen(hex);
    if (n % 2 || n / 2 > RUN_MAX)
        return false;
    for (size_t i = 0; i < n; i += 2) {
        char two[3] = { hex[i], hex[i + 1], 0 }, *end;
        s->run[i / 2] = (uint8_t)strtoul(two, &end, 16);
        if (*end)
            return false;
    }
    s->run_size = n / 2;
    return true;
}

static void tally_read(struct tally *t, const json_t *j)
{
    t->sum = json_number_value(json_object_get(j, "loss"));
    t->tokens = (uint64_t)json_integer_value(json_object_get(j, "tokens"));
    t->samples = (uint64_t)json_integer_value(json_object_get(j, "samples"));
    t->steps = (uint64_t)json_integer_value(json_object_get(j, "steps"));
}

int state_read(struct train_state *s, const struct options *o, const char *dir, struct error *e)
{
    json_t *j = json_read_in(dir, "trainer_state.json", e);
    if (!j)
        return e->status ? -1 : error_set(e, STATUS_BAD, "checkpoint '%s' has no trainer_state.json", dir);
    json_int_t step, next, offset, skipped, tokens = 0;
    const char *run;
    json_t *log = NULL;
    int rc = json_unpack(j, "{s:I s?I s:F s?o s:{s:s s:I s:I s:I}}", "global_step", &step, "num_input_tokens_seen", &tokens,
                         "epoch", &s->epoch, "log_history", &log,
                         "penstock", "run", &run, "next", &next, "offset", &offset, "skipped", &skipped);
    if (rc < 0 || !run_read(s, run) || step < 1 || next < 0 || offset < 0 || skipped < 0 || tokens < 0 ||
        !json_is_array(log)) {
        json_decref(j);
        return error_set(e, STATUS_BAD, "'%s/trainer_state.json' does not say where training stopped: it is not one "
                                        "of Penstock's", dir);
    }
    s->step = (uint64_t)step;
    s->tokens = (uint64_t)tokens;
    s->cursor = (struct cursor){ (uint64_t)next, (uint64_t)offset, (uint64_t)skipped };
    s->best_step = (uint64_t)json_integer_value(json_object_get(j, "best_global_step"));
    if (s->best_step)
        s->best_metric = json_number_value(json_object_get(j, "best_metric"));
    s->finished = json_is_true(json_object_get(json_object_get(j, "penstock"), "finished"));
    const char *base = json_string_value(json_object_get(json_object_get(j, "penstock"), "base"));
    snprintf(s->base, sizeof s->base, "%s", base ? base : "");
    json_decref(s->log);
    s->log = json_incref(log);
    options_compare(o, json_object_get(json_object_get(j, "penstock"), "options"), dir);
    tally_read(&s->tally, json_object_get(json_object_get(j, "penstock"), "since_log"));
    json_decref(j);
    return 0;
}
