/* cmd/generate/row.c - see row.h */
#include "cmd/generate/row.h"

#include <stdlib.h>

int row_extend(struct row *r, const struct generate_row *answer, size_t n, struct error *e)
{
    if (tokens_reserve(&r->said, n + 1))
        return error_memory(e);
    for (size_t i = 0; i < n; i++)
        tokens_add(&r->said, answer->token[i]);
    r->ended = answer->ended;
    r->end = answer->end;
    return 0;
}

void row_clear(struct row *r)
{
    text_release(&r->id);
    text_release(&r->reference);
    free(r->error);
    free(r->stage);
    free(r->sound.features);
    free(r->utterance);
    tokens_release(&r->said);
    *r = (struct row){ 0 };
}
