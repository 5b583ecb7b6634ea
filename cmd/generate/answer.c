/* cmd/generate/answer.c - a batch's answers: greedy, drawn or by beams, and tried again where they are not credible
 *
 * An answer that fails --logprob-threshold or --compression-ratio-threshold is drawn
 * anew at the temperatures that follow, as OpenAI's and transformers' code do. */
#include <math.h>

#include "cmd/generate/job.h"

static const double WARM = 0.5;         /* the next window does not hear of what was drawn from here on */

static bool unlikely(const struct job *j, const struct generate_row *a) { return mean_logprob(a) < j->logprob_threshold; }

/* Nothing was said: an unlikely answer to what does not sound like speech. */
static bool nothing(const struct job *j, size_t r) { return unlikely(j, j->answer + r) &&
                                                     j->silent[r] > j->no_speech_threshold; }

static bool credible(const struct job *j, const struct generate_row *a)
{
    size_t n = a->n + a->ended;
    if (a->ended)
        a->token[a->n] = a->end;                        /* it counts too; a prompt left room for it */
    return !unlikely(j, a) && !(compression_ratio(a->token, n, j->loaded.model->vocab) > j->compression_threshold);
}

/* At the temperature of this turn; rows without room are passed over. */
static int run(struct job *j, size_t most, size_t turn, struct error *e)
{
    char why[WHY];
    double temperature = j->temperature[turn];
    j->generator.sampling = j->sampling;
    j->generator.sampling.temperature = temperature;
    j->generator.sampling.seed += turn;
    for (size_t r = 0; r < j->batch.rows; r++)
        if (j->answer[r].room)
            j->going[r]->condition = j->condition && temperature < WARM;
    int rc = j->beams > 1 && !(temperature > 0)
                 ? generator_beams(&j->generator, &j->batch, j->answer, most, j->beams, j->length_penalty, why)
                 : generator_run(&j->generator, &j->batch, j->answer, most, why);
    return rc < 0 ? error_set(e, STATUS_AGAIN, "%s", why) : 0;
}

/* Another draw for those that are not credible; *again: how many there were. */
static int retry(struct job *j, size_t most, size_t turn, size_t *again, struct error *e)
{
    *again = 0;
    for (size_t r = 0; r < j->batch.rows; r++) {
        j->kept[r] = j->answer[r];
        if (nothing(j, r) || credible(j, j->answer + r))
            j->answer[r].room = 0;                      /* the loop passes over it */
        else
            (*again)++;
    }
    generator_rewind(&j->generator);
    int rc = *again ? run(j, most, turn, e) : 0;
    for (size_t r = 0; r < j->batch.rows; r++)
        if (j->answer[r].room == 0)
            j->answer[r] = j->kept[r];
    return rc;
}

/* One answer to each row of the batch. */
static int answer_once(struct job *j, struct error *e)
{
    size_t most = (size_t)j->max_new_tokens, again = 1;
    generator_clear(&j->generator);
    if (j->speech ? speech_prompts(j, e) < 0 : text_room(j, most, e) < 0)
        return -1;
    int rc = run(j, most, 0, e);
    for (size_t turn = 1; rc == 0 && again && turn < j->temperatures; turn++)
        rc = retry(j, most, turn, &again, e);
    for (size_t r = 0; rc == 0 && r < j->batch.rows; r++)
        if (nothing(j, r)) {
            j->answer[r].n = 0;
            j->answer[r].ended = true;
            j->answer[r].end = j->generation.rules.end[0];
        }
    return rc;
}

int batch_answer(struct job *j, struct error *e)
{
    int rc = 0;
    while (rc == 0 && j->good) {
        rc = answer_once(j, e);
        if (rc == 0 && j->speech) {
            rc = speech_advance(j, e);
            continue;
        }
        for (size_t r = 0; rc == 0 && r < j->good; r++)
            rc = row_extend(j->going[r], j->answer + r, j->answer[r].n, e);
        break;
    }
    return rc;
}
