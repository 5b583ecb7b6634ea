/* cmd/generate/answer.c - a batch's answers: greedy, drawn or by beams, and tried again where they are not credible
 *
 * With --logprob-threshold or --compression-ratio-threshold an answer that fails is
 * drawn anew at temperatures 0.2, 0.4 ... 1, as OpenAI's and transformers' code do. */
#include "cmd/generate/job.h"

static const double STEP = 0.2, LAST = 1.0;

static bool credible(const struct job *j, const struct generate_row *a)
{
    size_t n = a->n + a->ended;
    if (a->ended)
        a->token[a->n] = a->end;                        /* it counts too; a prompt left room for it */
    if (j->asked.logprob_threshold < 0 && mean_logprob(a) < j->asked.logprob_threshold)
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
        if (credible(j, j->answer + r))
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

int batch_answer(struct job *j, struct error *e)
{
    size_t most = (size_t)j->max_new_tokens, again = 1;
    bool judged = j->asked.logprob_threshold < 0 || j->asked.compression_threshold > 0;
    if (!j->good)
        return 0;
    if (!j->speech && text_room(j, most, e) < 0)       /* there may be no generator before */
        return -1;
    generator_clear(&j->generator);
    if (j->speech && speech_prompts(j, e) < 0)
        return -1;
    int rc = run(j, most, (size_t)j->asked.beams, e);
    for (int turn = 1; rc == 0 && judged && again && turn * STEP <= LAST + STEP / 2; turn++)
        rc = retry(j, most, turn, &again, e);
    return rc;
}
