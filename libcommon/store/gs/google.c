/* libcommon/store/gs/google.c - names, endpoint and calls of Google Cloud Storage; see google.h */
#include "libcommon/store/gs/google.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/store/checksum.h"
#include "libcommon/store/gs/auth.h"
#include "libcommon/store/http/retry.h"

int gs_name_read(const char *url, struct gs_name *name, bool object_needed, struct error *e)
{
    *name = (struct gs_name){ 0 };
    const char *bucket = strstr(url, "://") + 3, *slash = strchr(bucket, '/');
    size_t n = slash ? (size_t)(slash - bucket) : strlen(bucket);
    if (n == 0 || (object_needed && (!slash || !slash[1])))
        return error_set(e, STATUS_BAD, "'%s' names no %s; gs://BUCKET/NAME is meant", url, n ? "object" : "bucket");
    name->bucket = strndup(bucket, n);
    name->object = strdup(slash ? slash + 1 : "");
    name->bucket_escaped = name->bucket ? url_escape(name->bucket, "") : NULL;
    name->object_escaped = name->object ? url_escape(name->object, "") : NULL;
    if (name->bucket_escaped && name->object_escaped)
        return 0;
    gs_name_release(name);
    return error_memory(e);
}

void gs_name_release(struct gs_name *name)
{
    free(name->bucket);
    free(name->object);
    free(name->bucket_escaped);
    free(name->object_escaped);
    *name = (struct gs_name){ 0 };
}

static const char *environment(const char *name)
{
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}

bool gs_emulated(void)
{
    return environment("STORAGE_EMULATOR_HOST");
}

char *gs_endpoint(void)
{
    const char *host = environment("STORAGE_EMULATOR_HOST"), *other = environment("CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE");
    const char *v = host ? host : other ? other : "https://storage.googleapis.com";
    char *url;
    if (asprintf(&url, "%s%s", strstr(v, "://") ? "" : host ? "http://" : "https://", v) < 0)
        return NULL;
    /* gcloud's setting ends with the API's path */
    static const char *const endings[] = { "/", "/storage/v1", "/" };
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(url), k = strlen(endings[i]);
        if (n > k && !strcmp(url + n - k, endings[i]))
            url[n - k] = 0;
    }
    return url;
}

char *gs_user_project(void)
{
    const char *project = environment("GCS_REQUESTER_PAYS_PROJECT");
    char *escaped = project ? url_escape(project, "") : NULL, *text = NULL;
    if (!project)
        return strdup("");
    if (!escaped || asprintf(&text, "&userProject=%s", escaped) < 0)
        text = NULL;
    free(escaped);
    return text;
}

int gs_refused(const char *subject, const struct http_request *r, struct error *e)
{
    char why[400];
    http_reason(r, why, sizeof why);
    return error_set(e, http_passing(r) ? STATUS_AGAIN : STATUS_BAD, "'%s': %s", subject, why);
}

int gs_call(const char *subject, const char *method, const char *url, const struct span *body, const char *header,
            struct http_request *r, struct buf *answer, struct error *e)
{
    struct retry t;
    bool fresh = false;
    retry_begin(&t, subject);
    for (;;) {
        buf_clear(answer);
        if (http_init(r, method, url, e) < 0)
            return -1;
        if (auth_google(r, fresh, e) < 0)
            break;
        if (header)
            http_header(r, "%s", header);
        if (body) {
            r->has_body = true;
            r->body = *body;
        }
        r->into = answer;
        http_perform((struct http_request *const[]){ r }, 1);
        bool refused = r->code == CURLE_OK && r->status == 401 && !fresh;
        if (r->code == CURLE_OK && !http_passing(r) && !refused)
            return 0;
        if (!refused && retry_after(&t, r, 0, e) < 0)
            break;
        fresh = refused || fresh;
        http_release(r);
    }
    http_release(r);
    return -1;
}

bool gs_resource_read(const json_t *j, struct object_info *i)
{
    const char *size = json_string_value(json_object_get(j, "size"));
    const char *generation = json_string_value(json_object_get(j, "generation"));
    const char *crc = json_string_value(json_object_get(j, "crc32c"));
    struct checksum sum;
    *i = (struct object_info){ 0 };
    if (!size && !generation)
        return false;
    i->size = size ? strtoull(size, NULL, 10) : 0;      /* protobuf's JSON leaves zeros away */
    i->generation = generation ? strtoull(generation, NULL, 10) : 0;
    if (crc && checksum_from_base64(&sum, CHECKSUM_CRC32C, span_of(crc, strlen(crc)))) {
        i->has_crc32c = true;
        i->crc32c = checksum_number(&sum);
    }
    return true;
}
