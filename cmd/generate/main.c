/* cmd/generate/main.c - features or prompts in a stream become text, as JSON lines
 *
 * Decoding with a key-value cache, in batches; names of options follow
 * transformers' generate. */
#include <stdlib.h>
#include <string.h>

#include "cmd/generate/job.h"
#include "cmd/shared/cli/local_dir.h"
#include "cmd/shared/cli/max_errors.h"
#include "libcommon/cli/metrics.h"
#include "libcommon/cli/opt.h"
#include "libcommon/sys/clock.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/stop.h"

/* Features of other settings would be decoded without a word. */
static int header_check(const struct job *j, const struct header *h, struct error *e)
{
    struct span value;
    struct mp_value v;
    char hash[17];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)tokenizer_hash(j->tokenizer));
    if (!j->speech && header_option_str(h, "tokenize", "tokenizer", &value) &&
        (value.size != 16 || memcmp(value.data, hash, 16)))
        return error_set(e, STATUS_BAD, "tokens of another tokenizer than that of '%s': give tokenize the same --model",
                         j->path);
    if (!j->speech || !header_option(h, "mel-features", "feature_size", &value))
        return 0;
    struct mp_cursor c = { value.data, value.data + value.size };
    uint64_t bands;
    if (mp_read(&c, &v) == 0 && mp_to_u64(&v, &bands) && bands != j->loaded.model->bins)
        return error_set(e, STATUS_BAD, "features of %llu mel bands, '%s' takes %zu: give mel-features the same --model",
                         (unsigned long long)bands, j->path, j->loaded.model->bins);
    return 0;
}

static int stream_run(struct job *j, struct stream_in *in, struct error *e)
{
    struct unit u;
    int rc = 0;
    unit_init(&u);
    while (rc == 0) {
        enum stream_event event = stop_asked() ? STREAM_FAILED : stream_next(in, &u, e);
        if (stop_asked()) {
            rc = error_set(e, STATUS_AGAIN, "stopped by a signal after %llu samples", (unsigned long long)j->samples);
            break;
        }
        if (event == STREAM_EOF)
            break;
        if (event == STREAM_FAILED)
            rc = -1;
        else if (event == STREAM_HEADER)
            rc = header_check(j, stream_in_header(in), e);
        for (uint32_t i = 0; rc == 0 && event == STREAM_UNIT && i < u.k; i++)
            rc = job_sample(j, u.sample + i, e);
        progress_line(0, "%llu samples, %llu tokens", (unsigned long long)j->samples, (unsigned long long)j->tokens);
    }
    struct error later;
    if (job_flush(j, rc ? &later : e) < 0 && rc == 0)
        rc = -1;
    unit_release(&u);
    return rc;
}

static int metrics_write(const struct job *j, const char *path, double seconds, double waited, struct error *e)
{
    e->status = 0;
    struct metrics *m = metrics_open(path, e);
    if (!m)
        return e->status ? -1 : 0;
    metrics_begin(m);
    metrics_int(m, "samples", (int64_t)j->samples);
    metrics_int(m, "errors", (int64_t)j->failed);
    metrics_int(m, "tokens", (int64_t)j->tokens);
    metrics_real(m, "seconds", seconds);
    metrics_real(m, "wait_seconds", waited);
    metrics_int(m, "peak_memory", (int64_t)peak_memory_bytes());
    int rc = metrics_end(m, e);
    metrics_close(m);
    return rc;
}

/* Everything between the options and the exit. */
static int run(struct job *j, const struct common *c, struct error *e)
{
    double began = clock_seconds();
    if (job_open(j, c->threads, e) < 0)
        return -1;
    if (text_out_open(&j->out, c->out, e) < 0)
        return -1;
    if (j->chat)
        return chat_run(j, e) < 0 ? -1 : text_out_close(&j->out, e);
    struct stream_in *in = stream_in_open(c->in, e);
    if (!in)
        return -1;
    int rc = stream_run(j, in, e);
    double waited = stream_in_waited(in);
    stream_in_close(in);
    if (rc == 0)
        rc = text_out_close(&j->out, e);
    if (rc == 0)
        rc = metrics_write(j, c->metrics, clock_seconds() - began, waited, e);
    progress_line(1, "%llu samples, %llu tokens, %.1f s", (unsigned long long)j->samples, (unsigned long long)j->tokens,
                  clock_seconds() - began);
    return rc;
}

static struct job set = { .batch_size = 8, .asked = { .top_k = 50, .top_p = 1, .penalty = 1, .seed = 42, .beams = 1,
                                                      .length_penalty = 1 } };
static const char *allowed = MAX_ERRORS_DEFAULT;
static const char *const tasks[] = { "transcribe", "translate", NULL };

static const struct opt opts[] = {
    { OPT_STRING, .name = "model", .value = &set.path, .arg = "DIR",
      .help = "a Hugging Face model directory, or an adapter's" },
    { OPT_STRING, .name = "base-model", .value = &set.base, .arg = "DIR",
      .help = "an adapter's base, if not where the adapter says" },
    { OPT_INT, .name = "max-new-tokens", .value = &set.max_new_tokens, .arg = "N", .min = 0, .max = 1 << 24,
      .help = "of a row at most; 0: of texts 256, of speech as many as fit" },
    { OPT_INT, .name = "batch-size", .value = &set.batch_size, .arg = "N", .min = 1, .max = 4096,
      .help = "rows decoded at once" },
    { OPT_STRING, .name = "max-errors", .value = &allowed, .arg = "N|P%",
      .help = "failed records that are still a success" },
    { OPT_GROUP, .name = "Choice of tokens; else as generation_config.json says" },
    { OPT_FLAG, .name = "do-sample", .value = &set.asked.sample, .help = "draw tokens; else the likeliest is taken" },
    { OPT_STRING, .name = "temperature", .value = &set.asked.temperature, .arg = "T",
      .help = "flattens or sharpens; T,T...: the first, then of what is drawn anew" },
    { OPT_INT, .name = "top-k", .value = &set.asked.top_k, .arg = "K", .min = 0, .max = 1 << 30,
      .given = &set.asked.gave_top_k, .help = "of the K likeliest; 0: all" },
    { OPT_REAL, .name = "top-p", .value = &set.asked.top_p, .arg = "P", .min = 0, .max = 1,
      .given = &set.asked.gave_top_p, .help = "of the fewest that hold P of all" },
    { OPT_REAL, .name = "min-p", .value = &set.asked.min_p, .arg = "P", .min = 0, .max = 1,
      .given = &set.asked.gave_min_p, .help = "of those P times as likely as the likeliest" },
    { OPT_REAL, .name = "repetition-penalty", .value = &set.asked.penalty, .arg = "X", .min = 1e-3, .max = 1e3,
      .given = &set.asked.gave_penalty, .help = "on tokens that were there before; 1: none" },
    { OPT_INT, .name = "no-repeat-ngram-size", .value = &set.asked.no_repeat, .arg = "N", .min = 0, .max = 1 << 24,
      .given = &set.asked.gave_no_repeat, .help = "no run of N tokens twice; 0: any" },
    { OPT_INT, .name = "min-new-tokens", .value = &set.asked.min_new, .arg = "N", .min = 0, .max = 1 << 24,
      .given = &set.asked.gave_min_new, .help = "no end before so many" },
    { OPT_INT, .name = "seed", .value = &set.asked.seed, .arg = "N", .help = "of the draws" },
    { OPT_INT, .name = "num-beams", .value = &set.asked.beams, .arg = "N", .min = 1, .max = 64,
      .given = &set.asked.gave_beams, .help = "answers that are followed side by side" },
    { OPT_REAL, .name = "length-penalty", .value = &set.asked.length_penalty, .arg = "X", .min = -10, .max = 10,
      .given = &set.asked.gave_length_penalty, .help = "beams: their log probability is divided by length^X" },
    { OPT_REAL, .name = "logprob-threshold", .value = &set.asked.logprob_threshold, .arg = "X", .min = -1e3,
      .max = 0, .given = &set.asked.gave_logprob_threshold,
      .help = "an answer of a lower mean log probability is drawn anew; 0: never" },
    { OPT_REAL, .name = "compression-ratio-threshold", .value = &set.asked.compression_threshold, .arg = "X",
      .min = 0, .max = 1e3, .given = &set.asked.gave_compression_threshold,
      .help = "so is one that zlib shrinks more; 0: never" },
    { OPT_GROUP, .name = "Speech" },
    { OPT_REAL, .name = "no-speech-threshold", .value = &set.asked.no_speech_threshold, .arg = "P", .min = 0,
      .max = 1, .given = &set.asked.gave_no_speech_threshold,
      .help = "less likely than --logprob-threshold, and no speech with P: nothing; 0: never" },
    { OPT_STRING, .name = "language", .value = &set.language, .arg = "NAME",
      .help = "code or English name, for rows that name none; else detected" },
    { OPT_CHOICE, .name = "task", .value = &set.task, .arg = "TASK", .choices = tasks,
      .help = "what the speech becomes" },
    { OPT_FLAG, .name = "return-timestamps", .value = &set.timestamps, .help = "with times, as 'segments'" },
    { OPT_FLAG, .name = "no-return-timestamps", .value = &set.no_timestamps,
      .help = "without, whatever the configuration says" },
    { OPT_FLAG, .name = "condition-on-prev-tokens", .value = &set.condition,
      .help = "long sound: each window hears what the last said" },
    { OPT_FLAG, .name = "no-condition-on-prev-tokens", .value = &set.no_condition,
      .help = "or not, whatever the configuration says" },
    { OPT_GROUP, .name = "Texts" },
    { OPT_FLAG, .name = "chat", .value = &set.chat, .help = "talk: each line of standard input is a turn" },
    { OPT_STRING, .name = "system", .value = &set.system, .arg = "TEXT", .help = "what such a talk begins with" },
    { .name = NULL },
};

int main(int argc, char **argv)
{
    const struct program program = {
        .name = "generate", .opts = opts,
        .summary = "features or prompts in a stream become text: JSON lines of id, text, reference, tokens",
    };
    struct common common = { 0 };
    struct max_errors most;
    struct error e = { .status = STATUS_OK };
    opt_parse(&program, &common, OPT_THREADS, argc, argv);
    if (!set.path)
        die(STATUS_BAD, "--model DIR is missing: which model shall answer?");
    set.path = local_dir(set.path);
    if (!max_errors_parse(allowed, &most))
        die(STATUS_BAD, "--max-errors '%s' is neither a number nor a percentage", allowed);
    if (set.system && !set.chat)
        die(STATUS_BAD, "--system begins a --chat; of a stream each row brings its own");
    if (set.chat && common.in && strcmp(common.in, "-"))
        die(STATUS_BAD, "--chat reads standard input, not --in '%s'", common.in);
    stop_install();
    int rc = run(&set, &common, &e);
    uint64_t failed = set.failed, samples = set.samples;
    job_close(&set);
    if (rc < 0 && e.status != STATUS_OK)       /* else its reader has left */
        die(e.status, "%s", e.text);
    if (failed)
        note("%llu of %llu samples failed", (unsigned long long)failed, (unsigned long long)samples);
    return max_errors_exceeded(&most, failed, samples) ? STATUS_FAILED_RECORDS : STATUS_OK;
}
