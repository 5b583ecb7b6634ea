/* libcommon/ckpt/steps.c - see steps.h; and finding the newest complete checkpoint (dest.h) */
#include "libcommon/ckpt/steps.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcommon/ckpt/ckpt.h"
#include "libcommon/ckpt/dest.h"
#include "libcommon/ckpt/remote.h"
#include "libcommon/format/json.h"
#include "libcommon/store/checksum.h"
#include "libcommon/store/store.h"
#include "libcommon/sys/file.h"

char *step_path(const char *dest, const char *before, uint64_t step, const char *after)
{
    char name[64];
    snprintf(name, sizeof name, "%sstep-%06" PRIu64 "%s", before, step, after);
    return path_join(dest, name);
}

/* Is name [before]step-N[after]?  Only the spelling that step_path gives is ours. */
static bool name_step(const char *name, const char *before, const char *after, uint64_t *step)
{
    char again[64];
    size_t b = strlen(before);
    if (strncmp(name, before, b) || strncmp(name + b, "step-", 5) || name[b + 5] < '0' || name[b + 5] > '9')
        return false;
    errno = 0;
    *step = strtoull(name + b + 5, NULL, 10);
    snprintf(again, sizeof again, "%sstep-%06" PRIu64 "%s", before, *step, after);
    return !errno && !strcmp(name, again);
}

static bool has_marker(const char *dir)
{
    char *marker = path_join(dir, "complete.json");
    struct stat st;
    bool there = marker && stat(marker, &st) == 0 && S_ISREG(st.st_mode);
    free(marker);
    return there;
}

static int by_step(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Steps of the entries [before]step-N[after], ascending. */
static int list(const char *dest, const char *before, const char *after, uint64_t **steps, size_t *n, struct error *e)
{
    *steps = NULL;
    *n = 0;
    DIR *dir = opendir(dest);
    if (!dir)
        return errno == ENOENT ? 0 : error_set(e, error_errno_status(errno), "cannot list '%s': %s", dest, strerror(errno));
    size_t room = 0;
    int rc = 0;
    for (struct dirent *d; rc == 0 && (d = readdir(dir)); ) {
        uint64_t step;
        if (!name_step(d->d_name, before, after, &step))
            continue;
        if (*n == room) {
            room = room ? room * 2 : 64;
            uint64_t *more = realloc(*steps, room * sizeof **steps);
            if (!more) {
                rc = error_memory(e);
                break;
            }
            *steps = more;
        }
        (*steps)[(*n)++] = step;
    }
    closedir(dir);
    if (*n)
        qsort(*steps, *n, sizeof **steps, by_step);
    return rc;
}

/* The steps that have a directory step-N with a marker, ascending; malloc'd.  No directory: none. */
static int steps_list(const char *dest, uint64_t **steps, size_t *n, struct error *e)
{
    size_t all, kept = 0;
    if (list(dest, "", "", steps, &all, e) < 0)
        return -1;
    for (size_t i = 0; i < all; i++) {
        char *path = step_path(dest, "", (*steps)[i], "");
        if (path && has_marker(path))
            (*steps)[kept++] = (*steps)[i];
        free(path);
    }
    *n = kept;
    return 0;
}

static int clean_kind(const char *dest, const char *after, struct error *e)
{
    uint64_t *steps;
    size_t n;
    int rc = list(dest, ".", after, &steps, &n, e);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        char *left = step_path(dest, ".", steps[i], after), *name = step_path(dest, "", steps[i], "");
        if (!left || !name)
            rc = error_memory(e);
        else if (strcmp(after, ".gone") || access(name, F_OK) == 0 || !has_marker(left) || rename(left, name) < 0)
            rc = dir_remove(left, e);
        free(left);
        free(name);
    }
    free(steps);
    return rc;
}

int steps_clean(const char *dest, struct error *e)
{
    char *link = path_join(dest, ".latest.part");
    if (link)
        (void)unlink(link);
    free(link);
    static const char *const kinds[] = { ".part", ".gone", ".doomed" };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (clean_kind(dest, kinds[i], e) < 0)
            return -1;
    return 0;
}

static int step_remove(const char *dest, uint64_t step, struct error *e)
{
    char *name = step_path(dest, "", step, ""), *gone = step_path(dest, ".", step, ".doomed");
    int rc = 0;
    if (!name || !gone)
        rc = error_memory(e);
    else if (rename(name, gone) < 0)
        rc = error_set(e, error_errno_status(errno), "cannot remove '%s': %s", name, strerror(errno));
    else
        rc = dir_remove(gone, e);
    free(name);
    free(gone);
    return rc;
}

int steps_limit(const char *dest, uint64_t limit, uint64_t newest, uint64_t best, struct error *e)
{
    uint64_t *steps;
    size_t n;
    if (!limit)
        return 0;
    int rc = steps_list(dest, &steps, &n, e);
    uint64_t spared = best && best != newest ? 2 : 1, keep = limit > spared ? limit - spared : 0;
    for (size_t i = n; rc == 0 && i-- > 0; ) {
        if (steps[i] == newest || (best && steps[i] == best))
            continue;
        if (steps[i] < newest && keep) {
            keep--;
            continue;
        }
        rc = step_remove(dest, steps[i], e);
    }
    free(steps);
    return rc;
}

/* --- finding -------------------------------------------------------------------- */
/* Are the file's bytes those that complete.json has the SHA-256 of?  A disk that lost some would else train on. */
static int sum_check(const char *path, const char *want, struct error *e)
{
    enum { PIECE = 1 << 20 };
    char hex[CHECKSUM_TEXT];
    ssize_t n = -1;
    char *piece = malloc(PIECE);
    struct checksum_run *sha = checksum_begin(CHECKSUM_SHA256);
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
    if (!piece || !sha)
        rc = error_memory(e);
    while (rc == 0 && fd >= 0 && ((n = read(fd, piece, PIECE)) > 0 || (n < 0 && errno == EINTR)))
        if (n > 0)
            checksum_add(sha, piece, (size_t)n);
    if (rc == 0 && n < 0)
        rc = error_set(e, error_errno_status(errno), "cannot read '%s': %s", path, strerror(errno));
    struct checksum sum = checksum_end(sha);
    checksum_show(&sum, hex);
    if (rc == 0 && (!want || strcmp(hex, want)))
        rc = error_set(e, STATUS_BAD, "'%s' is damaged: its SHA-256 is not the one in complete.json", path);
    if (fd >= 0)
        close(fd);
    free(piece);
    return rc;
}

int ckpt_check(const char *dir, struct error *e)
{
    json_t *marker = json_read_in(dir, "complete.json", e);
    if (!marker)
        return e->status ? -1 : error_set(e, STATUS_BAD, "'%s' is not a complete checkpoint: it has no 'complete.json'",
                                          dir);
    const char *name;
    json_t *entry, *files = json_object_get(marker, "files");
    int rc = json_is_object(files) ? 0 : error_set(e, STATUS_BAD, "'%s/complete.json' has no 'files'", dir);
    json_object_foreach(files, name, entry) {
        if (rc < 0)
            break;
        struct stat st;
        char *path = ckpt_name_ok(span_of(name, strlen(name))) ? path_join(dir, name) : NULL;
        json_int_t size = json_integer_value(json_object_get(entry, "size"));
        if (!path)
            rc = error_set(e, STATUS_BAD, "'%s/complete.json' names a file that cannot be one: '%s'", dir, name);
        else if (stat(path, &st) < 0)
            rc = error_set(e, error_errno_status(errno),
                           "checkpoint '%s' lacks a file that its complete.json lists: '%s': %s", dir, name,
                           strerror(errno));
        else if (st.st_size != size)
            rc = error_set(e, STATUS_BAD, "'%s' has %jd bytes, but complete.json says %" JSON_INTEGER_FORMAT, path,
                           (intmax_t)st.st_size, size);
        else
            rc = sum_check(path, json_string_value(json_object_get(entry, "sha256")), e);
        free(path);
    }
    json_decref(marker);
    return rc;
}

/* The step that `latest` names, if that is complete; else the highest that is. */
static int newest_step(const char *dest, uint64_t *step, struct error *e)
{
    uint64_t *steps;
    size_t n;
    if (steps_list(dest, &steps, &n, e) < 0) {
        free(steps);
        return -1;
    }
    char to[64] = "", *link = path_join(dest, "latest");
    ssize_t len = link ? readlink(link, to, sizeof to - 1) : -1;
    free(link);
    uint64_t named;
    bool has = n > 0;
    if (has)
        *step = steps[n - 1];
    if (len > 0 && name_step(to, "", "", &named) && bsearch(&named, steps, n, sizeof *steps, by_step))
        *step = named;
    free(steps);
    return has;
}

int ckpt_find(const char *path, char **found, struct error *e)
{
    if (url_is_remote(path))
        return ckpt_remote_find(path, found, e);
    *found = NULL;
    uint64_t step = 0;
    int rc = newest_step(path, &step, e);
    if (rc <= 0)
        return rc;
    *found = step_path(path, "", step, "");
    return *found ? 1 : error_memory(e);
}
