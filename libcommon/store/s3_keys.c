/* libcommon/store/s3_keys.c - access keys and region for s3://
 *
 * The environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN,
 * AWS_REGION), then the profile AWS_PROFILE of ~/.aws/credentials and ~/.aws/config. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/store/auth.h"
#include "libcommon/store/s3.h"
#include "libcommon/sys/file.h"

static struct {
    pthread_mutex_t lock;
    bool have;
    struct s3_keys keys;
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
    if (b.data)
        memset(b.data, 0, b.size);
    buf_release(&b);
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
        return error_set(e, STATUS_AGAIN, "out of memory");
    if (store_is_anonymous())
        return 0;
    if ((k->id = environment("AWS_ACCESS_KEY_ID", NULL))) {
        k->secret = environment("AWS_SECRET_ACCESS_KEY", NULL);
        k->token = environment("AWS_SESSION_TOKEN", NULL);
    } else {
        k->id = profile_find("AWS_SHARED_CREDENTIALS_FILE", "credentials", profile, "aws_access_key_id", e);
        k->secret = profile_find("AWS_SHARED_CREDENTIALS_FILE", "credentials", profile, "aws_secret_access_key", e);
        k->token = profile_find("AWS_SHARED_CREDENTIALS_FILE", "credentials", profile, "aws_session_token", e);
    }
    if (k->id && k->secret && !strpbrk(k->id, "\r\n") && (!k->token || !strpbrk(k->token, "\r\n")))
        return 0;
    return error_set(e, STATUS_BAD, "no keys for s3://: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in ~/.aws/credentials; "
                                    "--no-auth reads what is public");
}

int s3_keys_get(const struct s3_keys **keys, struct error *e)
{
    int bad = 0;
    pthread_mutex_lock(&kept.lock);
    if (!kept.have) {
        struct s3_keys k = { 0 };
        if ((bad = keys_find(&k, e)) == 0) {
            kept.keys = k;
            kept.have = true;
        } else {
            free(k.id);
            free(k.secret);
            free(k.token);
            free(k.region);
        }
    }
    pthread_mutex_unlock(&kept.lock);
    *keys = &kept.keys;
    return bad;
}
