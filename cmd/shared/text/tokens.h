/* cmd/shared/text/tokens.h - a model directory's tokenizer, and the languages it knows */
#ifndef PENSTOCK_MODEL_TOKENS_H
#define PENSTOCK_MODEL_TOKENS_H

#include "kernels/text/prompt.h"
#include "libcommon/sys/error.h"

/* DIR/tokenizer.json; NULL with e: missing, or none that is known here. */
struct tokenizer *tokenizer_from_dir(const char *dir, struct error *e);

/* Index of the language that a row or an option names; -1 with e: unknown, or not one of this model. */
int language_read(const struct prompt *p, struct str word, struct error *e);

#endif
