/* cmd/shared/text/tokens.c - see tokens.h */
#include "cmd/shared/text/tokens.h"

#include <stdlib.h>
#include <string.h>

#include "libcommon/cli/opt.h"
#include "libcommon/sys/file.h"

struct tokenizer *tokenizer_from_dir(const char *dir, struct error *e)
{
    struct tokenizer *t = NULL;
    struct file_map map;
    char why[WHY], *path = path_join(dir, "tokenizer.json");
    if (!path) {
        error_memory(e);
        return NULL;
    }
    if (file_map_open(path, &map, e) == 0) {
        t = tokenizer_new((const char *)map.data, map.size, why);
        if (!t)
            error_set(e, STATUS_BAD, "'%s': %s", path, why);
        file_map_close(&map);
    }
    free(path);
    return t;
}

int language_read(const struct prompt *p, struct str word, struct error *e)
{
    int i = language_find(word), n = (int)(word.n < 100 ? word.n : 100);

    if (i < 0) {
        char copy[101];
        const char *near;
        memcpy(copy, word.s, (size_t)n);
        copy[n] = 0;
        near = opt_nearest(copy, language_words);
        return error_set(e, STATUS_BAD, "unknown language '%s'%s%s%s", copy, near ? "; the nearest is '" : "",
                         near ? near : "", near ? "'" : "");
    }
    if (p->english && i != 0)
        return error_set(e, STATUS_BAD, "language '%.*s': this model knows English only", n, word.s);
    if (!p->english && p->language[i] < 0)
        return error_set(e, STATUS_BAD, "language '%.*s' is not one of this model", n, word.s);
    return i;
}
