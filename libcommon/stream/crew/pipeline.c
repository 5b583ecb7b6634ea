/* libcommon/stream/crew/pipeline.c - see pipeline.h */
#include "libcommon/stream/crew/pipeline.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct splitter {
    struct pipeline *p;
    const char *text;           /* all of it, for messages */
    char *to;                   /* where the next letter goes */
    char quote;                 /* the one we are in, or 0 */
    bool open;                  /* in a word */
    int words, begin;           /* words so far; the first of this stage */
};

static int word_begin(struct splitter *s, struct error *e)
{
    if (s->open)
        return 0;
    if (s->words >= PIPELINE_WORDS - PIPELINE_STAGES)
        return error_set(e, STATUS_BAD, "'%s': too many words", s->text);
    s->p->word[s->words++] = s->to;
    s->open = true;
    return 0;
}

static void word_end(struct splitter *s)
{
    if (s->open)
        *s->to++ = 0;
    s->open = false;
}

static int stage_end(struct splitter *s, struct error *e)
{
    struct pipeline *p = s->p;
    word_end(s);
    if (s->words == s->begin)
        return error_set(e, STATUS_BAD, "'%s': a stage without a program", s->text);
    if (p->n == PIPELINE_STAGES)
        return error_set(e, STATUS_BAD, "'%s': more than %d stages", s->text, PIPELINE_STAGES);
    p->word[s->words++] = NULL;
    p->stage[p->n++] = &p->word[s->begin];
    s->begin = s->words;
    return 0;
}

/* What stands at `from`, of a word or between them; -1, or how many characters it was. */
static int take(struct splitter *s, const char *from, struct error *e)
{
    char c = *from;
    if (!s->quote && c == '|')
        return stage_end(s, e) < 0 ? -1 : 1;
    if (!s->quote && strchr(" \t\n", c)) {
        word_end(s);
        return 1;
    }
    if (!s->quote && strchr(";&<>$`*?(){}#~", c))
        return error_set(e, STATUS_BAD, "'%s': '%c' is for a shell, and this runs without one: quote it, or call "
                                        "sh -c", s->text, c);
    if (word_begin(s, e) < 0)
        return -1;
    bool escapes = c == '\\' && s->quote != '\'' && from[1];
    if (s->quote ? c == s->quote : c == '\'' || c == '"')
        s->quote = s->quote ? 0 : c;
    else
        *s->to++ = escapes ? from[1] : c;
    return escapes ? 2 : 1;
}

int pipeline_parse(struct pipeline *p, const char *text, struct error *e)
{
    *p = (struct pipeline){ .text = malloc(2 * strlen(text) + 2) };
    struct splitter s = { .p = p, .text = text, .to = p->text };
    if (!p->text)
        return error_memory(e);
    for (int n; *text; text += n)
        if ((n = take(&s, text, e)) < 0)
            return -1;
    if (s.quote)
        return error_set(e, STATUS_BAD, "'%s': a quote that is not closed", s.text);
    return stage_end(&s, e);
}

int pipeline_single(struct pipeline *p, char *const *argv, struct error *e)
{
    *p = (struct pipeline){ .n = 1 };
    int n = 0;
    for (; argv[n]; n++) {
        if (n == PIPELINE_WORDS - 1)
            return error_set(e, STATUS_BAD, "more than %d words on the command line", PIPELINE_WORDS);
        p->word[n] = argv[n];
    }
    p->stage[0] = p->word;
    return 0;
}

void pipeline_release(struct pipeline *p)
{
    free(p->text);
    *p = (struct pipeline){ 0 };
}

const char *pipeline_name(const struct pipeline *p, int stage)
{
    const char *slash = strrchr(p->stage[stage][0], '/');
    return slash ? slash + 1 : p->stage[stage][0];
}
