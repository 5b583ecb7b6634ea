/* cmd/shared/cli/local_dir.h - --model gs://...: a model directory wherever it lies */
#ifndef PENSTOCK_LOCAL_DIR_H
#define PENSTOCK_LOCAL_DIR_H

/* A path stays (also NULL); of a URL, the path of its copy on this machine
 * (libcommon/store/cache/mirror.h), which is kept for the life of the program.  Leaves the
 * program with a line on stderr if there is no such directory. */
const char *local_dir(const char *path_or_url);

#endif
