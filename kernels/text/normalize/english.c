/* kernels/text/normalize/english.c - contractions, titles and fillers of the English normaliser */
#include "kernels/text/normalize/steps.h"

#include <string.h>

/* Replaced one after another, in this order, each in the whole text.  `begins`: a word must begin
 * there (\b); a word must end behind all of them. */
static const struct replacement {
    bool begins;
    const char *from, *to;
} replacements[] = {
    {true, "won't", "will not"}, {true, "can't", "can not"}, {true, "let's", "let us"}, {true, "ain't", "aint"},
    {true, "y'all", "you all"}, {true, "wanna", "want to"}, {true, "gotta", "got to"}, {true, "gonna", "going to"},
    {true, "i'ma", "i am going to"}, {true, "imma", "i am going to"}, {true, "woulda", "would have"},
    {true, "coulda", "could have"}, {true, "shoulda", "should have"}, {true, "ma'am", "madam"},
    {true, "mr", "mister "}, {true, "mrs", "missus "}, {true, "st", "saint "}, {true, "dr", "doctor "},
    {true, "prof", "professor "}, {true, "capt", "captain "}, {true, "gov", "governor "}, {true, "ald", "alderman "},
    {true, "gen", "general "}, {true, "sen", "senator "}, {true, "rep", "representative "}, {true, "pres", "president "},
    {true, "rev", "reverend "}, {true, "hon", "honorable "}, {true, "asst", "assistant "}, {true, "assoc", "associate "},
    {true, "lt", "lieutenant "}, {true, "col", "colonel "}, {true, "jr", "junior "}, {true, "sr", "senior "},
    {true, "esq", "esquire "},
    {false, "'d been", " had been"}, {false, "'s been", " has been"}, {false, "'d gone", " had gone"},
    {false, "'s gone", " has gone"}, {false, "'d done", " had done"}, {false, "'s got", " has got"},
    {false, "n't", " not"}, {false, "'re", " are"}, {false, "'s", " is"}, {false, "'d", " would"}, {false, "'ll", " will"},
    {false, "'t", " not"}, {false, "'ve", " have"}, {false, "'m", " am"},
};

static void replace(const struct points *from, struct points *to, const struct replacement *r)
{
    size_t n = strlen(r->from);
    for (size_t i = 0; i < from->n; i++) {
        if (from->v[i] == (uint8_t)r->from[0] && from->n - i >= n && points_are(from->v + i, n, r->from) &&
            (!r->begins || word_begins(from, i)) && word_ends(from, i + n)) {
            points_puts(to, r->to);
            i += n - 1;
        } else {
            points_add(to, from->v[i]);
        }
    }
}

/* \b(hmm|mm|mhm|mmm|uh|um)\b goes. */
static void step_fillers(const struct points *from, struct points *to)
{
    static const char *const fillers[] = {"hmm", "mm", "mhm", "mmm", "uh", "um"};
    for (size_t i = 0; i < from->n; i++) {
        size_t end = i;
        if (point_is_word(from->v[i]) && word_begins(from, i))
            while (end < from->n && end - i < 4 && point_is_word(from->v[end]))
                end++;
        bool filler = false;
        for (size_t f = 0; f < sizeof fillers / sizeof *fillers; f++)
            filler = filler || (end > i && points_are(from->v + i, end - i, fillers[f]));
        if (filler)
            i = end - 1;
        else
            points_add(to, from->v[i]);
    }
}

/* \s+' to ': "don 't" */
static void step_apostrophes(const struct points *from, struct points *to)
{
    for (size_t i = 0; i < from->n; i++) {
        size_t end = i;
        while (end < from->n && point_is_space(from->v[end]))
            end++;
        if (end == i) {
            points_add(to, from->v[i]);
            continue;
        }
        if (end == from->n || from->v[end] != '\'')
            points_append(to, from->v + i, end - i);
        i = end - 1;
    }
}

/* (\d),(\d) to \1\2; a digit that closed one match does not open the next. */
static void step_commas(const struct points *from, struct points *to)
{
    for (size_t i = 0; i < from->n; i++) {
        points_add(to, from->v[i]);
        if (point_is_digit(from->v[i]) && i + 2 < from->n && from->v[i + 1] == ',' && point_is_digit(from->v[i + 2])) {
            points_add(to, from->v[i + 2]);
            i += 2;
        }
    }
}

/* \.([^0-9]|$) to " \1": full stops that are no decimal points. */
static void step_stops(const struct points *from, struct points *to)
{
    for (size_t i = 0; i < from->n; i++) {
        if (from->v[i] != '.') {
            points_add(to, from->v[i]);
        } else if (i + 1 == from->n) {
            points_add(to, ' ');
        } else if (from->v[i + 1] >= '0' && from->v[i + 1] <= '9') {
            points_add(to, '.');
        } else {
            points_add(to, ' ');
            points_add(to, from->v[++i]);
        }
    }
}

void step_contractions(struct points *text, struct points *spare)
{
    step_fillers(text, spare);
    points_turn(text, spare);
    step_apostrophes(text, spare);
    points_turn(text, spare);
    for (size_t i = 0; i < sizeof replacements / sizeof *replacements; i++) {
        replace(text, spare, &replacements[i]);
        points_turn(text, spare);
    }
    step_commas(text, spare);
    points_turn(text, spare);
    step_stops(text, spare);
    points_turn(text, spare);
}
