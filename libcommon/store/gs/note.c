/* libcommon/store/gs/note.c - see note.h
 *
 * Lines of text: the name, the address, then "OFFSET CRC32C" as the upload goes. */
#include "libcommon/store/gs/note.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "libcommon/store/cache/cache.h"
#include "libcommon/store/checksum.h"
#include "libcommon/sys/file.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/secret.h"

enum { SESSION_SECONDS = 7 * 24 * 3600, NOTE_MAX = 16 << 20, NAME = 32 };

/* Sessions live for a week. */
static void old_remove(const char *dir)
{
    DIR *d = opendir(dir);
    struct stat s;
    for (struct dirent *entry; d && (entry = readdir(d));)
        if (strlen(entry->d_name) == NAME && fstatat(dirfd(d), entry->d_name, &s, 0) == 0 &&
            time(NULL) - s.st_mtime > SESSION_SECONDS)
            (void)unlinkat(dirfd(d), entry->d_name, 0);
    if (d)
        closedir(d);
}

static char *path_of(const char *url)
{
    char *home = cache_home(), *dir = home ? path_join(home, "uploads") : NULL, *path = NULL, hash[65];
    sha256_hex(url, strlen(url), hash);
    if (dir && dir_make(dir, NULL) == 0 && chmod(dir, 0700) == 0) {
        old_remove(dir);
        if (asprintf(&path, "%s/%.*s", dir, NAME, hash) < 0)
            path = NULL;
    }
    free(home);
    free(dir);
    return path;
}

/* A lock is worth something only on the file that bears the name now. */
static int locked(const char *path)
{
    for (int i = 0; i < 10; i++) {
        struct stat mine, named;
        int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) {
            if (fd >= 0)
                close(fd);
            return -1;
        }
        if (fstat(fd, &mine) == 0 && stat(path, &named) == 0 && mine.st_ino == named.st_ino &&
            mine.st_uid == geteuid() && fchmod(fd, 0600) == 0)
            return fd;
        close(fd);
    }
    return -1;
}

/* The next line of *text, without its end; NULL: no whole line is left. */
static char *line_take(char **text)
{
    char *line = *text, *end = strchr(line, '\n');
    if (!end)
        return NULL;
    *end = 0;
    *text = end + 1;
    return line;
}

static void note_read(struct gs_note *t)
{
    struct buf b;
    buf_init(&b, NOTE_MAX);
    if (file_read(t->path, &b, NULL) == 0 && b.size) {
        char *at = (char *)b.data, *name = line_take(&at), *session = name ? line_take(&at) : NULL;
        if (session && !strcmp(name, t->url) && *session && (t->sum = calloc(b.size / 4 + 1, sizeof *t->sum)))
            t->session = strdup(session);
        for (char *line; t->session && (line = line_take(&at)); ) {
            struct gs_sum s;
            if (sscanf(line, "%" SCNu64 " %" SCNx32, &s.offset, &s.crc) != 2 ||
                (t->n && s.offset <= t->sum[t->n - 1].offset))
                break;
            t->sum[t->n++] = s;
        }
    }
    secret_release(&b);
}

void gs_note_open(struct gs_note *t, const char *url)
{
    *t = (struct gs_note){ .fd = -1, .url = strdup(url), .path = path_of(url) };
    if (t->path && t->url)
        t->fd = locked(t->path);
    if (t->fd < 0)
        debug("'%s': no notes can be kept of this upload; after a kill it begins anew", url);
    else
        note_read(t);
}

void gs_note_begin(struct gs_note *t, const char *session)
{
    secret_free(t->session);
    t->session = NULL;
    t->n = 0;
    if (t->fd < 0)
        return;
    char *text;
    int n = asprintf(&text, "%s\n%s\n", t->url, session);
    if (n < 0 || ftruncate(t->fd, 0) < 0 || file_write_all(t->fd, text, (size_t)n) < 0)
        gs_note_close(t, false);
    if (n >= 0)
        secret_free(text);
}

void gs_note_add(struct gs_note *t, uint64_t offset, uint32_t crc)
{
    char line[40];
    int n = snprintf(line, sizeof line, "%" PRIu64 " %08" PRIx32 "\n", offset, crc);
    if (t->fd >= 0 && file_write_all(t->fd, line, (size_t)n) < 0)
        gs_note_close(t, false);
}

void gs_note_close(struct gs_note *t, bool keep)
{
    if (t->fd >= 0 && !keep)
        (void)unlink(t->path);
    if (t->fd >= 0)
        close(t->fd);
    secret_free(t->session);
    free(t->sum);
    free(t->path);
    free(t->url);
    *t = (struct gs_note){ .fd = -1 };
}
