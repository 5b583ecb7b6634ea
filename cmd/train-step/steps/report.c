/* cmd/train-step/steps/report.c - see report.h */
#include "cmd/train-step/steps/report.h"

#include <inttypes.h>
#include <stdio.h>

#include "libcommon/sys/log.h"

void report_begin(struct trainer *t)
{
    t->run_began = clock_seconds();
    t->run_first = t->state.step;
    t->report = (struct report){ .began = t->run_began, .waited = source_waited(&t->source), .first = t->state.step,
                                 .logged = t->state.step };
}

void report_pause(struct trainer *t, double since)
{
    double lost = clock_seconds() - since;
    t->report.began += lost;
    t->run_began += lost;
}

static double loss_since(const struct tally *y) { return y->tokens ? y->sum / (double)y->tokens : 0; }

static void clock_text(char to[32], double seconds)
{
    uint64_t s = seconds > 0 ? (uint64_t)seconds : 0;
    if (s >= 3600)
        snprintf(to, 32, "%" PRIu64 ":%02u:%02u", s / 3600, (unsigned)(s / 60 % 60), (unsigned)(s % 60));
    else
        snprintf(to, 32, "%u:%02u", (unsigned)(s / 60), (unsigned)(s % 60));
}

void report_progress(const struct trainer *t, bool final)
{
    const struct train_state *s = &t->state;
    const struct report *r = &t->report;
    double now = clock_seconds(), took = now - r->began, each = (now - t->run_began) / (double)(s->step - t->run_first);
    char of[32] = "", left[64] = "", clock[32];
    if (s->total) {
        snprintf(of, sizeof of, " of %" PRIu64, s->total);
        clock_text(clock, each * (double)(s->total - s->step));
        snprintf(left, sizeof left, ", %s left", clock);
    }
    double waited = source_waited(&t->source) - r->waited;
    progress_line(final, "step %" PRIu64 "%s, loss %.4f, %.0f tokens/s%s, waiting for samples %.0f %%", s->step, of,
                  loss_since(&s->tally),
                  took > 0 ? (double)s->tally.tokens / took : 0, left, took > 0 ? 100 * waited / took : 0);
}

static void history_add(struct trainer *t, bool evaluated)
{
    const struct train_state *s = &t->state;
    json_array_append_new(s->log, json_pack("{s:f s:f s:f s:f s:I}", "epoch", s->epoch, "grad_norm", t->last.grad_norm,
                                            "learning_rate",
                                            t->last.learning_rate, "loss", loss_since(&s->tally), "step",
                                                (json_int_t)s->step));
    if (!evaluated)
        return;
    json_t *line = json_pack("{s:f s:f s:I}", "epoch", s->epoch, "eval_loss", t->eval_loss, "step", (json_int_t)s->step);
    if (t->predictor)
        json_object_set_new(line, "eval_wer", json_real(t->eval_wer));
    json_array_append_new(s->log, line);
}

void report_log(struct trainer *t)
{
    struct train_state *s = &t->state;
    struct report *r = &t->report;
    bool evaluated = t->evaluated == s->step;
    double now = clock_seconds(), waited = source_waited(&t->source),
           steps = s->step > r->first ? (double)(s->step - r->first) : 1;
    struct error e = { 0 };
    history_add(t, evaluated);
    metrics_begin(t->metrics);
    metrics_int(t->metrics, "step", (int64_t)s->step);
    metrics_real(t->metrics, "epoch", s->epoch);
    metrics_real(t->metrics, "loss", loss_since(&s->tally));
    metrics_real(t->metrics, "grad_norm", t->last.grad_norm);
    metrics_real(t->metrics, "learning_rate", t->last.learning_rate);
    metrics_int(t->metrics, "tokens", (int64_t)s->tally.tokens);
    metrics_int(t->metrics, "samples", (int64_t)s->tally.samples);
    metrics_real(t->metrics, "step_seconds", (now - r->began) / steps);
    metrics_real(t->metrics, "wait_seconds", (waited - r->waited) / steps);
    metrics_int(t->metrics, "peak_memory", (int64_t)peak_memory_bytes());
    if (evaluated)
        metrics_real(t->metrics, "eval_loss", t->eval_loss);
    if (evaluated && t->predictor)
        metrics_real(t->metrics, "eval_wer", t->eval_wer);
    if (metrics_end(t->metrics, &e) < 0)
        warn("%s; training goes on without", e.text);
    s->tally = (struct tally){ 0 };
    *r = (struct report){ .began = now, .waited = waited, .first = s->step, .logged = s->step };
}
