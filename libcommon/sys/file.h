/* libcommon/sys/file.h - whole files, mapped files, files that appear all at once */
#ifndef PENSTOCK_FILE_H
#define PENSTOCK_FILE_H

#include "libcommon/sys/buf.h"
#include "libcommon/sys/error.h"

/* Reads a whole regular file into b (NUL-terminated beyond size).  -1: missing, a directory, a device, over b->max. */
int file_read(const char *path, struct buf *b, struct error *e);

/* A read-only memory map; data NULL and size 0 for an empty file. */
struct file_map { const uint8_t *data; size_t size; };
int file_map_open(const char *path, struct file_map *m, struct error *e);
void file_map_close(struct file_map *m);

int file_write_all(int fd, const void *data, size_t n);         /* -1 with errno */
/* path becomes these bytes all or nothing, also across a power cut: part file, fsync, rename, fsync of the directory. */
int file_replace(const char *path, const void *data, size_t n, struct error *e);
int file_sync_dir(const char *path, struct error *e);
int dir_make(const char *path, struct error *e);                /* with parents; fine if there */
int dir_remove(const char *path, struct error *e);              /* with content; fine if absent */
/* "a/b" and "c" give "a/b/c"; an absolute c stays.  malloc'd; NULL out of memory. */
char *path_join(const char *dir, const char *name);

#endif
