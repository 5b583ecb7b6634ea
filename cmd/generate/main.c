/* cmd/generate/main.c - features or prompts in a stream become text, as JSON lines
 *
 * Decoding with a key-value cache, in batches; names of options follow
 * transformers' generate. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/generate/job.h"
#include "cmd/shared/local_dir.h"
#include "cmd/shared/max_errors.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/metrics.h"
#include "libcommon/sys/opt.h"
#include "libcommon/sys/stop.h"

/* Features of other settings would be decoded without a word. */
static int header_check(const struct job *j, const struct header *h, struct error *e)
{
    struct span value;
    struct mp_value v;
    char hash[17];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)tokenizer_hash(j->tokenizer));
    if (!j->speech && header_option_str(h, "tokenize", "tokenizer", &value) && (value.size != 16 || memcmp(value.data, hash, 16)))
        return error_set(e, STATUS_BAD, "tokens of another tokenizer than that of '%s': give tokenize the same --model", j->path);
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
    j->out = c->out && strcmp(c->out, "-") ? fopen(c->out, "w") : stdout;
    if (!j->out)
        return error_set(e, error_errno_status(errno), "cannot write '%s': %s", c->out, strerror(errno));
    if (j->chat)
        return chat_run(j, e);
    struct stream_in *in = stream_in_open(c->in, e);
    if (!in)
        return -1;
    int rc = stream_run(j, in, e);
    double waited = stream_in_waited(in);
    stream_in_close(in);
    bool gone = (rc < 0 && e->status == STATUS_OK) || (fflush(j->out) == EOF && errno == EPIPE);      /* its reader has left */
    if (j->out != stdout && fclose(j->out) == EOF && rc == 0)
        rc = error_set(e, STATUS_AGAIN, "cannot write '%s': %s", c->out, strerror(errno));
    if (gone)
        return 0;
    if (rc == 0)
        rc = metrics_write(j, c->metrics, clock_seconds() - began, waited, e);
    progress_line(1, "%llu samples, %llu tokens, %.1f s", (unsigned long long)j->samples, (unsigned long long)j->tokens,
                  clock_seconds() - began);
    return rc;
}

int main(int argc, char **argv)
{
    static const char *const tasks[] = { "transcribe", "translate", NULL };
    struct job j = { .batch_size = 8, .asked = { .top_k = 50, .top_p = 1, .penalty = 1, .seed = 42, .beams = 1,
                     .length_penalty = 1 } };
    struct asked *a = &j.asked;
    const char *allowed = MAX_ERRORS_DEFAULT;
    const struct opt opts[] = {
        { OPT_STRING, 0, "model", &j.path, "DIR", "a Hugging Face model directory, or an adapter's", 0, 0, NULL, NULL },
        { OPT_STRING, 0, "base-model", &j.base, "DIR", "an adapter's base, if not where the adapter says", 0, 0, NULL, NULL },
        { OPT_INT, 0, "max-new-tokens", &j.max_new_tokens, "N", "of a row at most; 0: of texts 256, of speech as many as fit", 0, 1 << 24, NULL, NULL },
        { OPT_INT, 0, "batch-size", &j.batch_size, "N", "rows decoded at once", 1, 4096, NULL, NULL },
        { OPT_STRING, 0, "max-errors", &allowed, "N|P%", "failed records that are still a success", 0, 0, NULL, NULL },
        { OPT_GROUP, 0, "Choice of tokens; else as generation_config.json says", NULL, NULL, NULL, 0, 0, NULL, NULL },
        { OPT_FLAG, 0, "do-sample", &a->sample, NULL, "draw tokens; else the likeliest is taken", 0, 0, NULL, NULL },
        { OPT_STRING, 0, "temperature", &a->temperature, "T", "flattens or sharpens; T,T...: the first, then of what is drawn anew", 0, 0, NULL, NULL },
        { OPT_INT, 0, "top-k", &a->top_k, "K", "of the K likeliest; 0: all", 0, 1 << 30, NULL, &a->gave_top_k },
        { OPT_REAL, 0, "top-p", &a->top_p, "P", "of the fewest that hold P of all", 0, 1, NULL, &a->gave_top_p },
        { OPT_REAL, 0, "min-p", &a->min_p, "P", "of those P times as likely as the likeliest", 0, 1, NULL, &a->gave_min_p },
        { OPT_REAL, 0, "repetition-penalty", &a->penalty, "X", "on tokens that were there before; 1: none", 1e-3, 1e3, NULL, &a->gave_penalty },
        { OPT_INT, 0, "seed", &a->seed, "N", "of the draws", 0, 0, NULL, NULL },
        { OPT_INT, 0, "num-beams", &a->beams, "N", "answers that are followed side by side", 1, 64, NULL, &a->gave_beams },
        { OPT_REAL, 0, "length-penalty", &a->length_penalty, "X", "beams: their log probability is divided by length^X", -10, 10, NULL, &a->gave_length_penalty },
        { OPT_REAL, 0, "logprob-threshold", &a->logprob_threshold, "X", "an answer of a lower mean log probability is drawn anew; 0: never", -1e3, 0, NULL, &a->gave_logprob_threshold },
        { OPT_REAL, 0, "compression-ratio-threshold", &a->compression_threshold, "X", "so is one that zlib shrinks more; 0: never", 0, 1e3, NULL, &a->gave_compression_threshold },
        { OPT_GROUP, 0, "Speech", NULL, NULL, NULL, 0, 0, NULL, NULL },
        { OPT_REAL, 0, "no-speech-threshold", &a->no_speech_threshold, "P", "less likely than --logprob-threshold, and no speech with P: nothing; 0: never", 0, 1, NULL, &a->gave_no_speech_threshold },
        { OPT_STRING, 0, "language", &j.language, "NAME", "code or English name, for rows that name none; else detected", 0, 0, NULL, NULL },
        { OPT_CHOICE, 0, "task", &j.task, "TASK", "what the speech becomes", 0, 0, tasks, NULL },
        { OPT_FLAG, 0, "return-timestamps", &j.timestamps, NULL, "with times, as 'segments'", 0, 0, NULL, NULL },
        { OPT_FLAG, 0, "no-return-timestamps", &j.no_timestamps, NULL, "without, whatever the configuration says", 0, 0, NULL, NULL },
        { OPT_FLAG, 0, "condition-on-prev-tokens", &j.condition, NULL, "long sound: each window hears what the last said", 0, 0, NULL, NULL },
        { OPT_FLAG, 0, "no-condition-on-prev-tokens", &j.no_condition, NULL, "or not, whatever the configuration says", 0, 0, NULL, NULL },
        { OPT_GROUP, 0, "Texts", NULL, NULL, NULL, 0, 0, NULL, NULL },
        { OPT_FLAG, 0, "chat", &j.chat, NULL, "talk: each line of standard input is a turn", 0, 0, NULL, NULL },
        { OPT_STRING, 0, "system", &j.system, "TEXT", "what such a talk begins with", 0, 0, NULL, NULL },
        { .name = NULL },
    };
    const struct program program = { "generate", NULL, 0, 0, "features or prompts in a stream become text: JSON lines of id, text, reference, tokens", opts };
    struct common common = { 0 };
    struct max_errors most;
    struct error e = { .status = STATUS_OK };
    opt_parse(&program, &common, OPT_THREADS, argc, argv);
    if (!j.path)
        die(STATUS_BAD, "--model DIR is missing: which model shall answer?");
    j.path = local_dir(j.path);
    if (!max_errors_parse(allowed, &most))
        die(STATUS_BAD, "--max-errors '%s' is neither a number nor a percentage", allowed);
    stop_install();
    int rc = run(&j, &common, &e);
    uint64_t failed = j.failed, samples = j.samples;
    job_close(&j);
    if (rc < 0)
        die(e.status, "%s", e.text);
    if (failed)
        note("%llu of %llu samples failed", (unsigned long long)failed, (unsigned long long)samples);
    return max_errors_exceeded(&most, failed, samples) ? STATUS_FAILED_RECORDS : STATUS_OK;
}
