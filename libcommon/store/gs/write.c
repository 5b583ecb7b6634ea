/* libcommon/store/gs/write.c - writing to gs://: one request, and what uploads have in common
 *
 * An object is only replaced if it is still the one that was there at the start
 * (generation match), so that an answer which got lost is told from somebody else's
 * object: by size and checksum.  Resumable uploads are in upload.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/store/gs/google.h"
#include "libcommon/sys/crc32c.h"

char *gs_upload_url(const char *url, const char *type, struct error *e)
{
    struct object_info now = { 0 };
    struct gs_name name;
    char *endpoint = NULL, *project = NULL, *request = NULL;
    if (store_gs.stat(url, &now, e) < 0 || gs_name_read(url, &name, true, e) < 0)
        return NULL;
    endpoint = gs_endpoint();
    project = gs_user_project();
    if (!endpoint || !project ||
        asprintf(&request, "%s/upload/storage/v1/b/%s/o?uploadType=%s&name=%s&ifGenerationMatch=%llu%s", endpoint,
                 name.bucket_escaped, type, name.object_escaped, (unsigned long long)now.generation, project) < 0) {
        request = NULL;
        error_memory(e);
    }
    free(endpoint);
    free(project);
    gs_name_release(&name);
    return request;
}

int gs_made_check(const char *url, const struct object_info *made, uint64_t size, uint32_t crc, struct error *e)
{
    if (made->size != size || (made->has_crc32c && made->crc32c != crc))
        return error_set(e, STATUS_AGAIN, "'%s': the store kept %llu bytes, crc32c %08x; sent were %llu, %08x", url,
                         (unsigned long long)made->size, made->crc32c, (unsigned long long)size, crc);
    return 0;
}

int gs_already_there(const char *url, uint64_t size, uint32_t crc, struct error *e)
{
    struct object_info i;
    int found = store_gs.stat(url, &i, e);
    if (found < 0)
        return -1;
    if (found == 1 && i.size == size && i.has_crc32c && i.crc32c == crc)
        return 0;
    return error_set(e, STATUS_BAD, "'%s' was changed by somebody else meanwhile", url);
}

bool gs_resource_from(const struct buf *answer, struct object_info *i)
{
    json_error_t why;
    json_t *j = json_loadb((const char *)answer->data, answer->size, 0, &why);
    bool good = gs_resource_read(j, i);
    json_decref(j);
    return good;
}

int gs_put(const char *url, const void *data, size_t n, struct error *e)
{
    char *request = gs_upload_url(url, "media", e);
    struct http_request r;
    struct buf answer;
    struct span body = span_of(data, n);
    uint32_t crc = crc32c(0, data, n);
    buf_init(&answer, GS_ANSWER_MAX);
    int bad = request ? gs_call(url, "POST", request, &body, "Content-Type: application/octet-stream", &r, &answer, e) : -1;
    if (!bad) {
        struct object_info made;
        if (r.status == 412)
            bad = gs_already_there(url, n, crc, e);
        else if (r.status / 100 != 2)
            bad = gs_refused(url, &r, e);
        else if (!gs_resource_from(&answer, &made))
            bad = error_set(e, STATUS_AGAIN, "'%s': the store's answer is no resource", url);
        else
            bad = gs_made_check(url, &made, n, crc, e);
        http_release(&r);
    }
    buf_release(&answer);
    free(request);
    return bad;
}
