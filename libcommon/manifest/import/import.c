/* libcommon/manifest/import/import.c - which import it is, and what they share; see import.h */
#include "libcommon/manifest/import/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "libcommon/manifest/import/import_impl.h"
#include "libcommon/store/store.h"
#include "libcommon/sys/temporary.h"

static bool is_tar(const char *name)
{
    size_t n = strlen(name);
    return n > 4 && !strcmp(name + n - 4, ".tar");
}

bool import_wanted(const char *name)
{
    struct stat s;
    if (is_tar(name))
        return true;
    return !url_is_remote(name) && stat(name, &s) == 0 && S_ISDIR(s.st_mode);
}

char *import_base(const char *name)
{
    size_t n = strlen(name);
    char *base;
    if (is_tar(name))
        return strndup(name, import_shards_base(name));
    return asprintf(&base, "%s%s", name, n && name[n - 1] == '/' ? "" : "/") < 0 ? NULL : base;
}

int import_write(const char *name, int fd, struct error *e)
{
    return is_tar(name) ? import_shards(name, fd, e) : import_kaldi(name, fd, e);
}

int import_row_write(int fd, json_t *row, const char *name, struct error *e)
{
    char *line = json_dumps(row, JSON_COMPACT);
    json_decref(row);
    if (!line)
        return error_memory(e);
    size_t n = strlen(line);
    line[n++] = '\n';           /* where the NUL was */
    int bad = temporary_write(fd, line, n, name, e);
    free(line);
    return bad;
}
