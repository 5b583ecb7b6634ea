/* cmd/generate/sampling.c - how a token is chosen: options before generation_config.json before transformers' defaults */
#include <string.h>

#include "cmd/generate/job.h"

static int number(const json_t *config, const char *key, double min, double max, double *to, struct error *e)
{
    const json_t *v = json_object_get(config, key);
    double x = json_number_value(v);
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_number(v) || !(x >= min && x <= max))
        return error_set(e, STATUS_BAD, "generation_config.json: '%s' must be a number from %g to %g", key, min, max);
    *to = x;
    return 0;
}

/* Options that only a draw can heed. */
static const char *needs_draw(const struct asked *a)
{
    return a->gave_temperature ? "--temperature" : a->gave_top_k ? "--top-k" : a->gave_top_p ? "--top-p" : a->gave_min_p ? "--min-p" : NULL;
}

int sampling_settle(struct job *j, const json_t *config, struct error *e)
{
    const struct asked *a = &j->asked;
    double temperature = 1, top_k = 50, top_p = 1, min_p = 0, penalty = 1;
    if (number(config, "repetition_penalty", 1e-3, 1e3, &penalty, e) < 0)
        return -1;
    j->sampling = (struct sampling){ .repetition_penalty = a->gave_penalty ? a->penalty : penalty, .seed = (uint64_t)a->seed };
    if (a->sample && a->beams > 1)
        return error_set(e, STATUS_BAD, "--num-beams and --do-sample exclude each other");
    if (!a->sample) {
        if (needs_draw(a))
            return error_set(e, STATUS_BAD, "%s needs --do-sample: without it the likeliest token is taken", needs_draw(a));
        return 0;
    }
    if (number(config, "temperature", 0, 1e3, &temperature, e) < 0 || number(config, "top_k", 0, 1e9, &top_k, e) < 0 ||
        number(config, "top_p", 0, 1, &top_p, e) < 0 || number(config, "min_p", 0, 1, &min_p, e) < 0)
        return -1;
    j->sampling.temperature = a->gave_temperature ? a->temperature : temperature;
    j->sampling.top_k = a->gave_top_k ? (size_t)a->top_k : (size_t)top_k;
    j->sampling.top_p = a->gave_top_p ? a->top_p : top_p;
    j->sampling.min_p = a->gave_min_p ? a->min_p : min_p;
    return 0;
}
