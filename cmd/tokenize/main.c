/* cmd/tokenize/main.c - texts in a stream become input_ids and labels
 *
 * The model's directory says which rows it was trained on: Whisper's prompt
 * tokens around a transcript, or the turns of a talk. */
#include "cmd/shared/cli/local_dir.h"
#include "cmd/tokenize/job.h"

#include <stdio.h>

#include "libcommon/sys/log.h"

/* What shaped the data: train-step refuses features made for another model. */
static void stage_fill(struct stage *st, const struct job *j)
{
    char hash[17];

    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)tokenizer_hash(j->t));
    stage_init(st, "tokenize");
    stage_put_str(st, "model_type", j->model_type);
    stage_put_str(st, "tokenizer", hash);
    stage_put_int(st, "vocab_size", tokenizer_size(j->t));
    stage_put_int(st, "max_length", j->max_length);
    stage_put_str(st, "over_long", j->over_long);
    if (!j->whisper) {
        stage_put_str(st, "loss_on", j->loss_on);
        return;
    }
    if (j->default_language >= 0)
        stage_put_str(st, "language", language_code[j->default_language]);
    if (j->task)
        stage_put_str(st, "task", j->task);
    stage_put_bool(st, "timestamps", j->timestamps);
    if (j->mixed)
        stage_put_real(st, "timestamp_probability", j->timestamp_probability);
    if (j->previous_probability > 0)
        stage_put_real(st, "condition_on_prev_probability", j->previous_probability);
    if (j->mixed || j->previous_probability > 0)
        stage_put_int(st, "seed", j->seed);
}

/* What was bent or is likely a mistake is told once, counted. */
static void counts_tell(const struct job *j)
{
    if (j->cut || j->dropped)
        note("over-long rows: %llu cut, %llu dropped", (unsigned long long)j->cut, (unsigned long long)j->dropped);
    if (j->untimed)
        warn("%llu rows have no times in them, though timestamps were asked for", (unsigned long long)j->untimed);
    if (j->no_language)
        warn("%llu rows name no language, so none is learnt; --language would set one", (unsigned long long)j->no_language);
}

int main(int argc, char **argv)
{
    static const char *const policies[] = { "error", "drop", "cut", "split", NULL },
                      *const tasks[] = { "transcribe", "translate", NULL };
    static const char *const losses[] = { "assistant", "all", NULL };
    struct job j = { .over_long = "error", .loss_on = "assistant", .timestamp_probability = 1 };
    bool show = false;
    const struct opt opts[] = {
        { OPT_STRING, .name = "model", .value = &j.model, .arg = "DIR",
          .help = "tokenizer and settings: a Hugging Face model directory" },
        { OPT_INT, .name = "max-length", .value = &j.max_length, .arg = "N", .min = 0, .max = 1 << 24,
          .help = "tokens of a row at most; 0: as many as the model takes" },
        { OPT_CHOICE, .name = "over-long", .value = &j.over_long, .arg = "WHAT", .choices = policies,
          .help = "with longer rows" },
        { OPT_FLAG, .name = "show", .value = &show, .help = "print rows as text, what is learnt in brackets" },
        { OPT_FLAG, .name = "keep", .value = &j.keep, .help = "leave in the record what has become tokens" },
        { OPT_GROUP, .name = "Whisper; a row's own columns come first" },
        { OPT_STRING, .name = "language", .value = &j.language, .arg = "NAME", .help = "code or English name" },
        { OPT_CHOICE, .name = "task", .value = &j.task, .arg = "TASK", .choices = tasks,
          .help = "what the speech becomes" },
        { OPT_FLAG, .name = "timestamps", .value = &j.timestamps,
          .help = "with times, from 'segments' or spelled in the text" },
        { OPT_REAL, .name = "timestamp-probability", .value = &j.timestamp_probability, .arg = "P", .min = 0,
          .max = 1, .given = &j.mixed, .help = "of rows with times, this share keeps them" },
        { OPT_REAL, .name = "condition-on-prev-probability", .value = &j.previous_probability, .arg = "P", .min = 0,
          .max = 1, .help = "share of rows behind their 'previous_text'" },
        { OPT_INT, .name = "seed", .value = &j.seed, .arg = "N", .help = "of these shares" },
        { OPT_GROUP, .name = "Gemma" },
        { OPT_CHOICE, .name = "loss-on", .value = &j.loss_on, .arg = "WHAT", .choices = losses,
          .help = "which turns are learnt" },
        { .name = NULL },
    };
    const struct program program = {
        .name = "tokenize", .opts = opts,
        .summary = "texts in a stream become tokens (input_ids, labels)",
    };
    struct common common = { 0 };
    struct stage stage;
    struct error e;
    int status;

    opt_parse(&program, &common, 0, argc, argv);
    if (*j.over_long == 's')
        die(STATUS_BAD, "--over-long split: a record cannot become several here; gcs-fetch --over-long split cuts "
                        "rows between their segments");
    if (!j.model)
        die(STATUS_BAD, "--model DIR is missing: which model's tokens?");
    j.model = local_dir(j.model);
    if (model_open(&j, &e) < 0)
        die(e.status, "%s", e.text);
    if (show) {
        status = show_run(&j, &common);
    } else {
        stage_fill(&stage, &j);
        status = filter_run(&(struct filter){ &j, &stage, NULL, job_sample }, &common);
        stage_release(&stage);
    }
    if (status == STATUS_OK)    /* else one line says why */
        counts_tell(&j);
    job_release(&j);
    return status;
}
