/* libcommon/store/s3/keys.c - access keys and region for s3://
 *
 * The environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN,
 * AWS_REGION); a web identity; the profile AWS_PROFILE of ~/.aws/credentials and
 * ~/.aws/config; then what the container or the machine offers (roles.c). */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/store/gs/auth.h"
#include "libcommon/store/s3/s3.h"
#include "libcommon/sys/clock.h"
#include "libcommon/sys/file.h"
#include "libcommon/sys/secret.h"

enum { RENEW_SECONDS = 300, RENEW_PAUSE = 10 };

static struct {
    pthread_mutex_t lock;
    struct s3_keys *keys;       /* and those before */
    double asked;               /* for a renewal, last */
} kept = { .lock = PTHREAD_MUTEX_INITIALIZER };

static char *environment(const char *a, const char *b)
{
    const char *v = getenv(a);
    if ((!v || !*v) && b)
        v = getenv(b);
    return v && *v ? strdup(v) : NULL;
}

/* The value of `key` in a [section] of an INI text. */
static char *ini_find(char *text, const char *section, const char *key)
{
    char *save = NULL;
    bool inside = false;
    for (char *line = strtok_r(text, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save)) {
        line += strspn(line, " \t");
        if (*line == '[') {
            char *end = strchr(line, ']');
            inside = end && (size_t)(end - line - 1) == strlen(section) && !strncmp(line + 1, section, strlen(section));
            continue;
        }
        char *equals = strchr(line, '=');
        size_t n = strcspn(line, " \t=");
        if (!inside || !equals || n != strlen(key) || strncmp(line, key, n))
            continue;
        char *value = equals + 1 + strspn(equals + 1, " \t");
        size_t length = strlen(value);
        while (length && strchr(" \t", value[length - 1]))
            length--;
        return strndup(value, length);
    }
    return NULL;
}

/* From ~/.aws/NAME, or the file that `variable` names; NULL if it is not there. */
static char *profile_find(const char *variable, const char *name, const char *section, const char *key, struct error *e)
{
    const char *set = getenv(variable), *home = getenv("HOME");
    char *path, *value = NULL;
    struct buf b;
    if (set && *set ? !(path = strdup(set)) : asprintf(&path, "%s/.aws/%s", home ? home : "", name) < 0)
        return NULL;
    buf_init(&b, 1 << 20);
    if (access(path, F_OK) == 0 && file_read(path, &b, e) == 0)
        value = ini_find((char *)b.data, section, key);
    secret_release(&b);
    free(path);
    return value;
}

static int keys_find(struct s3_keys *k, struct error *e)
{
    const char *profile = getenv("AWS_PROFILE");
    char section[200];
    if (!profile || !*profile)
        profile = "default";
    snprintf(section, sizeof section, "%s%s", strcmp(profile, "default") ? "profile " : "", profile);
    k->region = environment("AWS_REGION", "AWS_DEFAULT_REGION");
    if (!k->region)
        k->region = profile_find("AWS_CONFIG_FILE", "config", section, "region", e);
    if (!k->region && !(k->region = strdup("us-east-1")))
        return error_memory(e);
    if (store_is_anonymous())
        return 0;
    int found = 1;
    if ((k->id = environment("AWS_ACCESS_KEY_ID", NULL))) {
        k->secret = environment("AWS_SECRET_ACCESS_KEY", NULL);
        k->token = environment("AWS_SESSION_TOKEN", NULL);
    } else if ((found = s3_keys_of_identity(k, e)) == 0) {
        k->id = profile_find("AWS_SHARED_CREDENTIALS_FILE", "credentials", profile, "aws_access_key_id", e);
        k->secret = profile_find("AWS_SHARED_CREDENTIALS_FILE", "credentials", profile, "aws_secret_access_key", e);
        k->token = profile_find("AWS_SHARED_CREDENTIALS_FILE", "credentials", profile, "aws_session_token", e);
        found = k->id ? 1 : s3_keys_of_container(k, e);
    }
    if (found == 0)
        found = s3_keys_of_machine(k, e);
    if (found < 0)
        return -1;
    if (k->id && k->secret && !strpbrk(k->id, "\r\n") && (!k->token || !strpbrk(k->token, "\r\n")))
        return 0;
    return error_set(e, STATUS_BAD, "no keys for s3://: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a "
                                    "profile in ~/.aws/credentials; "
                                    "--no-auth reads what is public");
}

static void keys_free(struct s3_keys *k)
{
    free(k->id);
    secret_free(k->secret);
    secret_free(k->token);
    free(k->region);
    free(k);
}

/* Worth asking for others?  A service may offer the same ones until shortly before they end. */
static bool stale(double now)
{
    double left = kept.keys ? kept.keys->expires - now : 0;
    if (!kept.keys)
        return true;
    return kept.keys->expires > 0 && (left <= 0 || (left < RENEW_SECONDS && now - kept.asked > RENEW_PAUSE));
}

int s3_keys_get(const struct s3_keys **keys, struct error *e)
{
    int bad = 0;
    double now = clock_seconds();
    pthread_mutex_lock(&kept.lock);
    if (stale(now)) {
        struct s3_keys *k = calloc(1, sizeof *k);
        kept.asked = now;
        bad = k ? keys_find(k, e) : error_memory(e);
        if (!bad) {
            k->before = kept.keys;
            kept.keys = k;
        } else if (k) {
            keys_free(k);
        }
        if (bad && kept.keys && kept.keys->expires > now)
            bad = 0;            /* those are good for a while */
    }
    *keys = kept.keys;
    pthread_mutex_unlock(&kept.lock);
    return bad;
}
