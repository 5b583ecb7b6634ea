/* kernels/text/prompt.h - Whisper's label rows: control tokens around a transcript
 *
 *   [<|startofprev|> previous] <|startoftranscript|> language task [<|notimestamps|>] text <|endoftext|>
 *
 * English-only models have neither language nor task.  A row is learnt from the
 * token after <|startoftranscript|> on; what was said before is only read.
 * No space is put before the text: what people write is what is learnt. */
#ifndef PENSTOCK_PROMPT_H
#define PENSTOCK_PROMPT_H

#include "kernels/text/tokenizer/tokenizer.h"

enum { LANGUAGES = 100 };
/* Codes in the order of Whisper's tokens, and English names. */
extern const char *const language_code[LANGUAGES], *const language_name[LANGUAGES];
/* Codes, names and other names, NULL-terminated: what language_find takes; for suggestions. */
extern const char *const language_words[];
/* The index of a code ("pt"), name ("Portuguese"), other name ("flemish"), token
 * ("<|pt|>") or locale ("pt-BR", "pt_br"), in any case; -1: none. */
int language_find(struct str word);

/* The control tokens of one tokenizer; -1 where it has none. */
struct prompt {
    const struct tokenizer *t;
    bool english;               /* of an English-only model */
    int32_t begin, end, no_timestamps, translate, transcribe, previous, no_speech;
    int32_t timestamp;          /* <|0.00|>; one each 0.02 s follows */
    int32_t timestamps;         /* how many there are: 1501 */
    int32_t language[LANGUAGES];
};

/* english: what the model's configuration says, or -1 if it says nothing: then
 * told by the tokenizer.  -1 with why: not Whisper's tokenizer. */
int prompt_init(struct prompt *p, const struct tokenizer *t, int english, char why[WHY]);

struct prompt_ask {
    int32_t language, task;     /* tokens, or -1 for none */
    bool timestamps;            /* without <|notimestamps|>: the text carries times */
};

/* The tokens before the text. */
int prompt_prefix(const struct prompt *p, const struct prompt_ask *ask, struct tokens *out);

struct segment {
    double start, end;          /* seconds from the clip's beginning */
    struct str text;
};

struct transcript {
    struct str text;            /* with ask.timestamps, <|1.20|> in it is a time; else all of it is text */
    const struct segment *segment;  /* with ask.timestamps and n > 0 they are used in place of text */
    size_t segments;
    struct str previous;        /* what was said before the clip; n = 0: nothing */
    size_t previous_max;        /* tokens of it at most: the last ones are kept */
};

/* Appends the row; tokens from *learnt on are supervised.  TEXT_BAD with why: text
 * that encode refuses, or times that go backwards or past the last timestamp. */
int prompt_row(const struct prompt *p, struct encoder *e, const struct prompt_ask *ask, const struct transcript *x,
               struct tokens *row, size_t *learnt, char why[WHY]);

/* Appends the text of a row for reading: no control tokens, no times, nothing of
 * what was said before.  As transformers' decode with skip_special_tokens. */
int prompt_decode(const struct prompt *p, const int32_t *ids, size_t n, struct text *out, char why[WHY]);

#endif
