/* libcommon/sys/temporary.c - see temporary.h */
#include "libcommon/sys/temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/sys/file.h"

int temporary_file(struct error *e)
{
    const char *dir = getenv("TMPDIR");
    if (!dir || !*dir)
        dir = access("/var/tmp", W_OK) == 0 ? "/var/tmp" : "/tmp";
    char *path;
    if (asprintf(&path, "%s/penstock.XXXXXX", dir) < 0)
        return error_memory(e);
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        error_set(e, STATUS_AGAIN, "cannot make a temporary file in '%s' (TMPDIR chooses another place): %s", dir,
                  strerror(errno));
    else
        unlink(path);
    free(path);
    return fd;
}

int temporary_write(int fd, const void *data, size_t n, const char *name, struct error *e)
{
    if (file_write_all(fd, data, n) == 0)
        return 0;
    return error_set(e, STATUS_AGAIN, "cannot write a temporary file for '%s' (TMPDIR chooses its place): %s", name,
                     strerror(errno));
}
