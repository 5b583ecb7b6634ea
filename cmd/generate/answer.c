/* cmd/generate/answer.c - a batch's answers: greedy, drawn or by beams, and tried again where they are not credible
 *
 * With --logprob-threshold or --compression-ratio-threshold an answer that fails is
 * drawn anew at temperatures 0.2, 0.4 ... 1, as OpenAI's and transformers' code do. */
#include "cmd/generate/job.h"

static const double STEP = 0.2, LAST = 1.0;

static bool unlikely(const struct job *j, const struct generate_row *a)
{
    return j->asked.logprob_threshold < 0 && mean_logprob(a) < j->asked.logprob_threshold;
}

/* Nothing was said: an unlikely answer to what does not sound like speech. */
static bool nothing(const struct job *j, size_t r)
{
    return j->asked.no_speech_threshold > 0 && unlikely(j, j->answer + r) && j->silent[r] > j->asked.no_speech_threshold;
}

static bool credible(const struct job *j, const struct generate_row *a)
{
    size_t n = a->n + a->ended;
    if (a->ended)
        a->token[a->n] = a->end;                        /* it counts too; a prompt left room for it */
    if (unlikely(j, a))
        return false;
    return !(j->asked.compression_threshold > 0) ||
           compression_ratio(a->token, n, j->loaded.model->vocab) <= j->asked.compression_threshold;
}

static int run(struct job *j, size_t most, size_t beams, struct error *e)
{
    char why[WHY];
    int rc = beams > 1 ? generator_beams(&j->generator, &j->batch, j->answer, most, beams, j->asked.length_penalty, why)
                       : generator_run(&j->generator, &j->batch, j->answer, most, why);
    return rc < 0 ? error_set(e, STATUS_AGAIN, "%s", why) : 0;
}

/* Another draw for those that are not credible; *again: how many there were. */
static int retry(struct job *j, size_t most, int turn, size_t *again, struct error *e)
{
    *again = 0;
    for (size_t r = 0; r < j->batch.rows; r++) {
        j->kept[r] = j->answer[r];
        if (nothing(j, r) || credible(j, j->answer + r))
            j->answer[r].room = 0;                      /* the loop passes over it */
        else
            (*again)++;
    }
    j->generator.sampling = j->sampling;
    j->generator.sampling.temperature += turn * STEP;
    j->generator.sampling.seed += (uint64_t)turn;
    j->generator.sampling.top_k = (size_t)j->asked.top_k;
    generator_rewind(&j->generator);
    int rc = *again ? run(j, most, 1, e) : 0;
    for (size_t r = 0; r < j->batch.rows; r++)
        if (j->answer[r].room == 0)
            j->answer[r] = j->kept[r];
    j->generator.sampling = j->sampling;
    return rc;
}

/* One answer to each row of the batch. */
static int answer_once(struct job *j, struct error *e)
{
    size_t most = (size_t)j->max_new_tokens, again = 1;
    bool judged = j->asked.logprob_threshold < 0 || j->asked.compression_threshold > 0;
    generator_clear(&j->generator);
    if (j->speech ? speech_prompts(j, e) < 0 : text_room(j, most, e) < 0)
        return -1;
    int rc = run(j, most, (size_t)j->asked.beams, e);
    for (int turn = 1; rc == 0 && judged && again && turn * STEP <= LAST + STEP / 2; turn++)
        rc = retry(j, most, turn, &again, e);
    for (size_t r = 0; rc == 0 && r < j->batch.rows; r++)
        if (nothing(j, r)) {
            j->answer[r].n = 0;
            j->answer[r].ended = true;
            j->answer[r].end = j->rules.end[0];
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
