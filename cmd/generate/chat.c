/* cmd/generate/chat.c - a talk: each line read is a user's turn, each answer is written as it comes
 *
 * Every turn is rendered anew by the model's template, as training renders it; what
 * the cache has seen of it already is not computed again. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/generate/job.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/stop.h"

enum { TALK_TOKENS = 8192 };    /* of all turns together; fewer if the model takes fewer */

struct talk {
    struct job *j;
    const struct chat_template *template;
    struct encoder *encoder;
    struct chat_turn *turn;
    struct chat_part *part;     /* one a turn */
    size_t turns, room, first;  /* first: 1 behind a system text */
    struct chat_row row;
    struct tokens ids, seen;    /* of this turn's prompt; what the cache holds */
    struct text said;           /* the answer so far */
    size_t shown;               /* bytes of it that are written */
};

/* --- turns ------------------------------------------------------------------------- */
static int turn_add(struct talk *k, const char *role, const char *text, size_t n, struct error *e)
{
    char *copy = malloc(n + 1);
    if (!copy || grow(&k->turn, &k->room, k->turns, 1, sizeof *k->turn)) {
        free(copy);
        return error_memory(e);
    }
    struct chat_part *part = realloc(k->part, k->room * sizeof *part);
    if (!part) {
        free(copy);
        return error_memory(e);
    }
    memcpy(copy, text, n);
    k->part = part;
    k->part[k->turns] = (struct chat_part){ CHAT_TEXT, str_of(copy, n) };
    k->turn[k->turns++] = (struct chat_turn){ .role = str_of(role, strlen(role)), .parts = 1 };
    for (size_t i = 0; i < k->turns; i++)
        k->turn[i].part = k->part + i;
    return 0;
}

static void turns_drop(struct talk *k, size_t at, size_t n)
{
    if (!n)
        return;
    for (size_t i = at; i < at + n; i++)
        free((void *)(uintptr_t)k->part[i].text.s);
    memmove(k->part + at, k->part + at + n, (k->turns - at - n) * sizeof *k->part);
    memmove(k->turn + at, k->turn + at + n, (k->turns - at - n) * sizeof *k->turn);
    k->turns -= n;
    for (size_t i = 0; i < k->turns; i++)
        k->turn[i].part = k->part + i;
}

/* The prompt's tokens.  When it and an answer have no room, the oldest question and answer are forgotten. */
static int prompt_make(struct talk *k, size_t most, struct error *e)
{
    char why[WHY];
    size_t room = k->j->generator.cache.room;
    for (;;) {
        unsigned char *learnt = NULL;
        k->ids.n = 0;
        int bad = chat_render(k->template, k->turn, k->turns, true, &k->row, why);
        if (!bad)
            bad = chat_encode(k->j->tokenizer, k->encoder, &k->row, &k->ids, &learnt, why);
        free(learnt);
        if (bad)
            return error_set(e, bad == TEXT_MEMORY ? STATUS_AGAIN : STATUS_BAD, "%s", why);
        for (size_t i = 0; i < k->ids.n; i++)
            if ((size_t)k->ids.id[i] >= k->j->loaded.model->vocab)
                return error_set(e, STATUS_BAD, "the model has no token for '%.*s'",
                                 (int)tokenizer_name(k->j->tokenizer, k->ids.id[i]).n,
                                 tokenizer_name(k->j->tokenizer, k->ids.id[i]).s);
        if (k->ids.n + most <= room)
            return 0;
        if (k->turns < k->first + 3)
            return k->ids.n < room ? 0 : error_set(e, STATUS_BAD, "that is %zu tokens, and there is room for %zu",
                                                   k->ids.n, room - 1);
        turns_drop(k, k->first, 2);
    }
}

/* --- the answer ---------------------------------------------------------------------- */
/* Writes what is new of it; `all`: to the last byte, else not a character that may be incomplete. */
static int show(struct talk *k, bool all, struct error *e)
{
    const struct generate_row *a = k->j->answer;
    char why[WHY];
    k->said.n = 0;
    if (decode(k->j->tokenizer, a->token, a->n, true, &k->said, why))
        return error_set(e, STATUS_AGAIN, "%s", why);
    size_t end = k->said.n;
    while (!all && end >= 3 && !memcmp(k->said.s + end - 3, "\xef\xbf\xbd", 3))
        end -= 3;
    size_t fresh = end > k->shown ? end - k->shown : 0;
    if (fresh && text_out_put(&k->j->out, k->said.s + k->shown, fresh, e) < 0)
        return -1;
    k->shown += fresh;
    return text_out_flush(&k->j->out, e);
}

static bool token_show(void *ctx, size_t row, int32_t token)
{
    (void)row;
    (void)token;
    return show(ctx, false, NULL) == 0 && !stop_asked();
}

/* Tokens of the prompt that the cache has seen; at least one is left to be fed.  A penalty
 * counts what is fed, so that then nothing is kept. */
static size_t known(const struct talk *k)
{
    size_t n = 0;
    double penalty = k->j->sampling.repetition_penalty;
    if (penalty > 0 && penalty != 1)
        return 0;
    while (n < k->seen.n && n + 1 < k->ids.n && k->seen.id[n] == k->ids.id[n])
        n++;
    return n;
}

static int answer(struct talk *k, struct error *e)
{
    struct job *j = k->j;
    struct generator *g = &j->generator;
    struct generate_row *a = j->answer;
    char why[WHY];
    if (prompt_make(k, (size_t)j->max_new_tokens, e) < 0)
        return -1;
    size_t from = known(k);
    g->cache.length[0] = from;
    batch_clear(&j->batch);
    k->shown = 0;
    a->key = k->turns;
    if (batch_add(&j->batch, k->ids.id + from, NULL, k->ids.n - from, NULL, 0, 0, 0, 0, why) ||
        generator_run(g, &j->batch, a, (size_t)j->max_new_tokens, why))
        return error_set(e, STATUS_AGAIN, "%s", why);
    if (tokens_reserve(&k->ids, a->n))
        return error_memory(e);
    memcpy(k->ids.id + k->ids.n, a->token, a->n * sizeof *a->token);
    k->ids.n += a->n;
    struct tokens seen = k->ids;
    k->ids = k->seen;
    k->seen = seen;
    k->seen.n = g->cache.length[0];         /* the last token was not fed */
    j->tokens += a->n + a->ended;
    if (show(k, true, e) < 0 || text_out_put(&j->out, "\n", 1, e) < 0 || text_out_flush(&j->out, e) < 0)
        return -1;
    return turn_add(k, "assistant", k->said.s ? k->said.s : "", k->said.n, e);
}

static int line_answer(struct talk *k, const char *line, size_t n, struct error *e)
{
    k->j->samples++;
    if (turn_add(k, "user", line, n, e) < 0)
        return -1;
    int rc = answer(k, e);
    if (rc < 0 && e->status == STATUS_BAD) {        /* the line's fault: it is as if it had not been said */
        warn("%s", e->text);
        turns_drop(k, k->turns - 1, 1);
        rc = 0;
    }
    return rc;
}

static int lines_read(struct talk *k, struct error *e)
{
    char *line = NULL;
    size_t room = 0;
    bool terminal = isatty(STDIN_FILENO) == 1;
    int rc = 0;
    while (rc == 0 && !stop_asked()) {
        if (terminal)
            fputs("> ", stderr);
        ssize_t n = getline(&line, &room, stdin);
        if (n < 0)
            break;
        while (n && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            n--;
        if (n)
            rc = line_answer(k, line, (size_t)n, e);
    }
    if (rc == 0 && ferror(stdin) && !stop_asked())
        rc = error_set(e, STATUS_AGAIN, "cannot read the standard input: %s", strerror(errno));
    if (rc == 0 && stop_asked())
        rc = error_set(e, STATUS_AGAIN, "stopped by a signal");
    free(line);
    return rc;
}

int chat_run(struct job *j, struct error *e)
{
    struct talk k = { .j = j, .template = chat_find(j->loaded.model->model_type) };
    size_t room = j->loaded.model->max_tokens < TALK_TOKENS ? j->loaded.model->max_tokens : TALK_TOKENS;
    if (j->speech || !k.template)
        return error_set(e, STATUS_BAD, "--chat: no talks are known of model_type '%s'", j->loaded.model->model_type);
    if (j->beams > 1)
        return error_set(e, STATUS_BAD, "--num-beams: a talk is answered token by token");
    if (generator_make(j, 1, room, e) < 0)
        return -1;
    j->generator.each = token_show;
    j->generator.each_ctx = &k;
    k.encoder = encoder_new(j->tokenizer);
    int rc = k.encoder ? 0 : error_memory(e);
    if (rc == 0 && j->system) {
        k.first = 1;
        rc = turn_add(&k, "system", j->system, strlen(j->system), e);
    }
    if (rc == 0)
        rc = lines_read(&k, e);
    turns_drop(&k, 0, k.turns);
    free(k.turn);
    free(k.part);
    chat_release(&k.row);
    tokens_release(&k.ids);
    tokens_release(&k.seen);
    text_release(&k.said);
    encoder_free(k.encoder);
    return rc;
}
