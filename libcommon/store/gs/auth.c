/* libcommon/store/gs/auth.c - which credentials, and one token at a time; see auth.h */
#include "libcommon/store/gs/auth.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/format/json.h"
#include "libcommon/store/gs/auth_impl.h"
#include "libcommon/store/gs/google.h"
#include "libcommon/store/http/retry.h"
#include "libcommon/store/store.h"
#include "libcommon/sys/clock.h"
#include "libcommon/sys/file.h"
#include "libcommon/sys/secret.h"

enum { RENEW_SECONDS = 225, TOKEN_MAX = 64 << 10 };

static struct {
    pthread_mutex_t lock;
    struct token token;
    bool have;
    uint64_t renewed;           /* how often */
    bool anonymous;
    const char *file;
} kept = { .lock = PTHREAD_MUTEX_INITIALIZER };

void store_anonymous(void) { kept.anonymous = true; }
bool store_is_anonymous(void) { return kept.anonymous; }
void store_token_file(const char *path) { kept.file = path; }

int token_take(const char *what, const json_t *answer, struct token *t, struct error *e)
{
    const char *value = json_string_value(json_object_get(answer, "access_token"));
    json_t *expires = json_object_get(answer, "expires_in");
    double seconds = json_is_string(expires) ? strtod(json_string_value(expires), NULL) : json_number_value(expires);
    if (!value || !*value || strpbrk(value, "\r\n"))
        return error_set(e, STATUS_AGAIN, "%s: the answer holds no access token", what);
    if (!(t->value = strdup(value)))
        return error_memory(e);
    t->expires = clock_seconds() + (seconds > 0 ? seconds : 3600);
    return 0;
}

/* --- the order -------------------------------------------------------------------------- */

static int from_text(const char *text, size_t n, const char *name, struct token *t, struct error *e)
{
    while (n && strchr(" \t\r\n", text[n - 1]))
        n--;
    if (n == 0 || memchr(text, '\n', n) || memchr(text, '\r', n) || memchr(text, 0, n))
        return error_set(e, STATUS_BAD, "'%s' holds no token: one line is meant", name);
    return (t->value = strndup(text, n)) ? 0 : error_memory(e);
}

/* Read again each time, so that whoever renews it need not restart us. */
static int from_token_file(const char *path, struct token *t, struct error *e)
{
    struct buf b;
    buf_init(&b, TOKEN_MAX);
    int bad = file_read(path, &b, e);
    if (!bad)
        bad = from_text((const char *)b.data, b.size, path, t, e);
    secret_release(&b);
    t->expires = clock_seconds() + RENEW_SECONDS + 60;
    return bad;
}

static int from_file(const char *path, struct token *t, struct error *e)
{
    json_t *j = json_read_file(path, e);
    int bad = j ? token_from_json(j, path, t, e) : -1;
    const char *quota = json_string_value(json_object_get(j, "quota_project_id"));
    if (!bad && quota && !strpbrk(quota, "\r\n"))
        t->quota_project = strdup(quota);
    json_decref(j);
    return bad;
}

static char *gcloud_file(void)
{
    const char *config = getenv("CLOUDSDK_CONFIG"), *home = getenv("HOME");
    char *path;
    if (asprintf(&path, "%s%s/application_default_credentials.json", config && *config ? config : home ? home : "",
                 config && *config ? "" : "/.config/gcloud") < 0)
        return NULL;
    if (access(path, F_OK) == 0)
        return path;
    free(path);
    return NULL;
}

static int token_find(struct token *t, struct error *e)
{
    const char *text;
    char *path;
    if (kept.anonymous || gs_emulated())
        return 0;
    if (kept.file)
        return from_token_file(kept.file, t, e);
    if ((text = getenv("GCS_OAUTH_TOKEN")) && *text)
        return from_text(text, strlen(text), "GCS_OAUTH_TOKEN", t, e);
    if ((text = getenv("GOOGLE_APPLICATION_CREDENTIALS")) && *text)
        return from_file(text, t, e);
    if ((path = gcloud_file())) {
        int bad = from_file(path, t, e);
        free(path);
        return bad;
    }
    text = getenv("NO_GCE_CHECK");
    if (!text || strcmp(text, "true")) {
        struct error why;
        if (token_from_metadata(t, &why) == 0)
            return 0;
    }
    return error_set(e, STATUS_BAD, "no Google credentials: run 'gcloud auth application-default login', set "
                                    "GOOGLE_APPLICATION_CREDENTIALS, "
                                    "or use --no-auth for what is public");
}

static void token_release(struct token *t)
{
    secret_free(t->value);
    free(t->quota_project);
    *t = (struct token){ 0 };
}

int auth_google(struct http_request *r, bool fresh, struct error *e)
{
    static _Thread_local uint64_t used;     /* which renewal this thread saw last */
    int bad = 0;
    pthread_mutex_lock(&kept.lock);
    bool stale = !kept.have || (kept.token.expires > 0 && clock_seconds() > kept.token.expires - RENEW_SECONDS) ||
                 (fresh && used == kept.renewed);
    if (stale) {
        struct token t = { 0 };
        if ((bad = token_find(&t, e)) == 0) {
            token_release(&kept.token);
            kept.token = t;
            kept.have = true;
            kept.renewed++;
        } else {
            token_release(&t);
        }
    }
    used = kept.renewed;
    if (!bad && kept.token.value)
        bad = http_header(r, "Authorization: Bearer %s", kept.token.value);
    if (!bad && kept.token.quota_project)
        bad = http_header(r, "x-goog-user-project: %s", kept.token.quota_project);
    pthread_mutex_unlock(&kept.lock);
    if (bad && e && !e->status)
        error_memory(e);
    return bad ? -1 : 0;
}
