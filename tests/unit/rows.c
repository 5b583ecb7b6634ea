/* tests/unit/rows.c - see rows.h */
#include "tests/unit/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *rows_slurp(const char *path, size_t *n)
{
    char command[500];
    size_t room = 1 << 16, got;
    char *s = malloc(room);
    const char *dot = strrchr(path, '.');
    bool packed = dot && !strcmp(dot, ".xz");
    FILE *f;

    snprintf(command, sizeof command, "xz -dc %s", path);
    f = packed ? popen(command, "r") : fopen(path, "r");
    *n = 0;
    if (!f) {
        free(s);
        return NULL;
    }
    while ((got = fread(s + *n, 1, room - *n - 1, f)) > 0) {
        *n += got;
        if (room - *n < 2)
            s = realloc(s, room *= 2);
    }
    s[*n] = 0;
    if (packed)
        pclose(f);
    else
        fclose(f);
    return s;
}

bool rows_all(const char *path, bool (*check)(void *ctx, json_t *row), void *ctx)
{
    size_t n, rows = 0, bad = 0;
    char *all = rows_slurp(path, &n), *first = NULL;

    for (char *line = all; line && *line; rows++) {
        char *end = strchr(line, '\n');
        size_t size = end ? (size_t)(end - line) : strlen(line);
        json_t *row = json_loadb(line, size, JSON_ALLOW_NUL, NULL);
        if (!row || !check(ctx, row)) {
            bad++;
            if (!first)
                first = strndup(line, size < 300 ? size : 300);
        }
        json_decref(row);
        line = end ? end + 1 : line + size;
    }
    printf("# %s: %zu of %zu rows\n", path, rows - bad, rows);
    if (first)
        printf("# first: %s\n", first);
    free(first);
    free(all);
    return rows > 0 && !bad;
}
