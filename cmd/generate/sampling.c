/* cmd/generate/sampling.c - how a token is chosen: options before generation_config.json before transformers' defaults */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/generate/job.h"
#include "libcommon/cli/opt.h"

static const double STEP = 0.2, LAST = 1.0;     /* of second thoughts, as OpenAI's and transformers' code have them */

/* --temperature T[,T...] */
static int temperatures_read(struct job *j, struct error *e)
{
    size_t n = 0;
    char **word = opt_list(j->asked.temperature, &n);
    if (!word)
        return error_memory(e);
    j->temperatures = 0;
    for (size_t i = 0; i < n && i < TEMPERATURES; i++) {
        char *end;
        double t = strtod(word[i], &end);
        if (!*word[i] || *end || !(t >= 0 && t <= 1e3))
            break;
        j->temperature[j->temperatures++] = t;
    }
    free(word);
    if (!n || j->temperatures != n)
        return error_set(e, STATUS_BAD, "--temperature '%s': a number from 0 to 1000, or several with commas between",
                         j->asked.temperature);
    return 0;
}

/* Options that only a draw can heed. */
static const char *needs_draw(const struct job *j)
{
    const struct asked *a = &j->asked;
    return a->temperature && j->temperatures == 1 ? "--temperature" : a->gave_top_k ? "--top-k" : a->gave_top_p ? "--top-p" :
           a->gave_min_p ? "--min-p" : NULL;
}

/* The first, and those of second thoughts.  A threshold that only the configuration has draws nothing anew unless it
 * has a list of temperatures too: so do transformers. */
static void temperatures_settle(struct job *j)
{
    const struct asked *a = &j->asked;
    const struct generation *g = &j->generation;
    if (a->temperature && j->temperatures > 1)
        return;
    if (!a->sample && j->speech && g->n_temperatures) {
        memcpy(j->temperature, g->temperatures, sizeof g->temperatures);
        j->temperatures = g->n_temperatures;
        return;
    }
    double first = !a->sample ? 0 : a->temperature ? j->temperature[0] : g->n_temperatures ? g->temperatures[0] :
                   g->temperature;
    j->temperature[0] = first;
    j->temperatures = 1;
    if (!a->gave_logprob_threshold && !a->gave_compression_threshold)
        return;
    while ((double)j->temperatures * STEP <= LAST + STEP / 2) {
        j->temperature[j->temperatures] = first + (double)j->temperatures * STEP;
        j->temperatures++;
    }
}

/* A threshold as asked, where 0 asks nothing, or as configured. */
static double threshold(bool gave, double asked, double configured)
{
    return gave ? asked != 0 ? asked : NAN : configured;
}

int sampling_settle(struct job *j, struct error *e)
{
    const struct asked *a = &j->asked;
    const struct generation *g = &j->generation;
    if (a->temperature && temperatures_read(j, e) < 0)
        return -1;
    if (a->sample && a->gave_beams && a->beams > 1)
        return error_set(e, STATUS_BAD, "--num-beams and --do-sample exclude each other");
    if (a->sample && a->temperature && j->temperatures > 1)
        return error_set(e, STATUS_BAD, "--temperature %s: --do-sample takes one; without it the list is for answers "
                                        "that are not credible",
                         a->temperature);
    if (a->sample && g->absent)
        return error_set(e, STATUS_BAD,
                         "'%s' of the model's generation_config.json is not there for --do-sample: take it out", g->absent);
    if (!a->sample && needs_draw(j))
        return error_set(e, STATUS_BAD, "%s needs --do-sample: without it the likeliest token is taken", needs_draw(j));
    temperatures_settle(j);
    j->sampling = (struct sampling){
        .repetition_penalty = a->gave_penalty ? a->penalty : g->repetition_penalty, .seed = (uint64_t)a->seed,
        .top_k = (size_t)(a->gave_top_k ? a->top_k : g->top_k), .top_p = a->gave_top_p ? a->top_p : g->top_p,
        .min_p = a->gave_min_p ? a->min_p : g->min_p,
    };
    j->sampling.temperature = j->temperature[0];
    j->beams = a->sample ? 1 : (size_t)(a->gave_beams ? a->beams : g->beams <= 64 ? g->beams : 64);
    if (a->gave_no_repeat)
        j->generation.rules.no_repeat = (size_t)a->no_repeat;
    if (a->gave_min_new)
        j->generation.rules.min_new = (size_t)a->min_new;
    j->length_penalty = a->gave_length_penalty ? a->length_penalty : g->length_penalty;
    j->logprob_threshold = threshold(a->gave_logprob_threshold, a->logprob_threshold, g->logprob_threshold);
    j->compression_threshold = threshold(a->gave_compression_threshold, a->compression_threshold, g->compression_threshold);
    j->no_speech_threshold = threshold(a->gave_no_speech_threshold, a->no_speech_threshold, g->no_speech_threshold);
    if (!isnan(j->no_speech_threshold) && isnan(j->logprob_threshold))
        return error_set(e, STATUS_BAD, "%s needs --logprob-threshold: both together tell silence",
                         a->gave_no_speech_threshold ? "--no-speech-threshold" :
                             "no_speech_threshold in generation_config.json");
    return 0;
}
