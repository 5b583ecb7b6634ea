/* cmd/shared/model_tokens.h - a model directory's tokenizer and rules of decoding */
#ifndef PENSTOCK_MODEL_TOKENS_H
#define PENSTOCK_MODEL_TOKENS_H

#include "kernels/models/generate.h"
#include "kernels/text/tokenizer.h"
#include "libcommon/format/modeldir.h"

/* DIR/tokenizer.json; NULL with e: missing, or none that is known here. */
struct tokenizer *tokenizer_from_dir(const char *dir, struct error *e);
/* generation_config.json, or config.json, which held the same keys before there was one.  The end is at
 * least config.json's eos_token_id. */
int rules_from_dir(struct rules *r, const struct modeldir *dir, size_t vocab, struct error *e);

#endif
