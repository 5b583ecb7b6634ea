/* cmd/shared/cli/local_dir.c - see local_dir.h */
#include "cmd/shared/cli/local_dir.h"

#include "libcommon/store/cache/mirror.h"
#include "libcommon/store/store.h"
#include "libcommon/sys/log.h"

const char *local_dir(const char *path_or_url)
{
    struct error e = { .status = STATUS_AGAIN };
    char *path;
    if (!path_or_url || !url_is_remote(path_or_url))
        return path_or_url;
    if (store_mirror(path_or_url, &path, &e) < 0)
        die(e.status, "%s", e.text);
    return path;
}
