/* kernels/text/chat.h - talks as the models were trained to read them
 *
 * Templates are built in, one for each family of models, and render what the
 * Jinja template of the family's checkpoints renders (tests/golden/tokenizer-gemma3/
 * chat.jsonl).  The text is to be encoded as a whole, with all added tokens, as
 * newlines at the edges of a turn merge with their neighbours; it begins with
 * <bos>, so no other is to be added. */
#ifndef PENSTOCK_CHAT_H
#define PENSTOCK_CHAT_H

#include "kernels/text/tokenizer/tokenizer.h"

enum chat_kind { CHAT_TEXT, CHAT_IMAGE, CHAT_AUDIO, CHAT_OTHER };

struct chat_part {
    enum chat_kind kind;
    struct str text;            /* of CHAT_TEXT */
};

struct chat_turn {
    struct str role;            /* user, assistant or model, system */
    const struct chat_part *part;   /* content that is a text is one part; none: an empty turn */
    size_t parts;
};

struct chat_span { size_t begin, end; };    /* bytes of the text */

struct chat_row {               /* starts as { 0 } */
    struct text text;
    struct chat_span *span;     /* what the model says: its text, the end of its turn and the newline after it */
    size_t spans, room;
};

struct chat_template;
/* By the model_type of a config.json ("gemma3_text"); NULL: a family without a template. */
const struct chat_template *chat_find(const char *model_type);

/* Renders a talk, replacing what `row` held; prompt: the model's turn is begun at
 * the end.  TEXT_BAD with why: roles that do not alternate, a part this family
 * cannot have; TEXT_MEMORY. */
int chat_render(const struct chat_template *c, const struct chat_turn *turn, size_t turns, bool prompt,
                struct chat_row *row, char why[WHY]);
void chat_release(struct chat_row *row);

/* Encodes the text of a row and marks each token that has a byte in a span:
 * answer[i] is 1, else 0; of a row without spans none is.  *answer is malloc'd, the caller's. */
int chat_encode(const struct tokenizer *t, struct encoder *e, const struct chat_row *row, struct tokens *ids,
                unsigned char **answer, char why[WHY]);

#endif
