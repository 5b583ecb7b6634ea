/* libcommon/store/s3/roles.c - keys of a role for s3://, from whoever vouches for this program
 *
 * A web identity (a token in a file, as Kubernetes mounts it) is traded at the Security
 * Token Service: docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html.
 * Containers (ECS, EKS) and machines (EC2, IMDSv2) have a service beside them:
 * docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html and
 * docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libcommon/store/gs/auth_impl.h"
#include "libcommon/store/s3/s3.h"
#include "libcommon/sys/clock.h"
#include "libcommon/sys/file.h"
#include "libcommon/sys/log.h"
#include "libcommon/sys/secret.h"

#define FORM "application/x-www-form-urlencoded"
#define CONTAINER "http://169.254.170.2"

static const char *environment(const char *name)
{
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}

/* "2026-01-31T12:00:00Z", as this process counts time; 0: never, or it cannot be read. */
static double time_read(const char *text)
{
    struct tm t = { 0 };
    if (!text || sscanf(text, "%d-%d-%dT%d:%d:%d", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour, &t.tm_min, &t.tm_sec) != 6)
        return 0;
    t.tm_year -= 1900;
    t.tm_mon--;
    double at = clock_seconds() + difftime(timegm(&t), time(NULL));
    return at > 0 ? at : 1;
}

/* Takes over id, secret and token. */
static int keys_take(struct s3_keys *k, const char *what, char *id, char *secret, char *token, const char *expires,
                     struct error *e)
{
    k->id = id;
    k->secret = secret;
    k->token = token;
    k->expires = time_read(expires);
    return id && secret && token ? 1 : error_set(e, STATUS_AGAIN, "%s: the answer holds no keys", what);
}

/* The one line of a file; malloc'd. */
static char *line_read(const char *path, struct error *e)
{
    struct buf b;
    char *text = NULL;
    buf_init(&b, EXCHANGE_MAX);
    if (file_read(path, &b, e) == 0) {
        while (b.size && strchr(" \t\r\n", b.data[b.size - 1]))
            b.size--;
        if (b.size && !memchr(b.data, '\n', b.size) && !memchr(b.data, '\r', b.size))
            text = strndup((const char *)b.data, b.size);
        else
            error_set(e, STATUS_BAD, "'%s' holds no token: one line is meant", path);
    }
    secret_release(&b);
    return text;
}

/* --- a web identity ---------------------------------------------------------------------- */

static char *xml_copy(struct span page, const char *tag)
{
    struct span text = xml_text(&page, tag);
    return text.data ? xml_plain(text) : NULL;
}

static int identity_trade(struct s3_keys *k, const char *body, struct error *e)
{
    static const char what[] = "AssumeRoleWithWebIdentity";
    const char *set = environment("AWS_ENDPOINT_URL_STS");
    struct buf text;
    char *url = NULL;
    int found = -1;
    buf_init(&text, EXCHANGE_MAX);
    if (set ? !(url = strdup(set)) : asprintf(&url, "https://sts.%s.amazonaws.com%s/", k->region,
                                              strncmp(k->region, "cn-", 3) ? "" : ".cn") < 0)
        return error_memory(e);
    if (auth_exchange(&(struct exchange){ what, "POST", url, body, FORM, NULL, false }, &text, e) == 0) {
        struct span page = span_of(text.data, text.size);
        char *ends = xml_copy(page, "Expiration");
        found = keys_take(k, what, xml_copy(page, "AccessKeyId"), xml_copy(page, "SecretAccessKey"),
                          xml_copy(page, "SessionToken"), ends, e);
        free(ends);
    }
    secret_release(&text);
    free(url);
    return found;
}

int s3_keys_of_identity(struct s3_keys *k, struct error *e)
{
    const char *file = environment("AWS_WEB_IDENTITY_TOKEN_FILE"), *role = environment("AWS_ROLE_ARN"),
               *name = environment("AWS_ROLE_SESSION_NAME");
    if (!file)
        return 0;
    if (!role)
        return error_set(e, STATUS_BAD, "AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not");
    char *token = line_read(file, e);
    if (!token)
        return -1;
    char *token_escaped = url_escape(token, ""), *role_escaped = url_escape(role, ""),
         *name_escaped = url_escape(name ? name : "penstock", ""), *body = NULL;
    int found = -1;
    if (!token_escaped || !role_escaped || !name_escaped ||
        asprintf(&body, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=%s&RoleSessionName=%s"
                        "&WebIdentityToken=%s", role_escaped, name_escaped, token_escaped) < 0)
        error_memory(e);
    else
        found = identity_trade(k, body, e);
    free(token);
    free(token_escaped);
    free(role_escaped);
    free(name_escaped);
    free(body);
    return found;
}

/* --- services beside a container or a machine ------------------------------------------------ */

static char *json_copy_of(const json_t *j, const char *key)
{
    const char *v = json_string_value(json_object_get(j, key));
    return v && *v ? strdup(v) : NULL;
}

static int service_ask(struct s3_keys *k, const char *what, const char *url, const char *header, struct error *e)
{
    json_t *j = NULL;
    if (token_exchange(&(struct exchange){ what, "GET", url, NULL, NULL, header, true }, &j, e) < 0)
        return -1;
    int found = keys_take(k, what, json_copy_of(j, "AccessKeyId"), json_copy_of(j, "SecretAccessKey"),
                          json_copy_of(j, "Token"), json_string_value(json_object_get(j, "Expiration")), e);
    json_decref(j);
    return found;
}

int s3_keys_of_container(struct s3_keys *k, struct error *e)
{
    static const char *const nearby[] = { "http://169.254.170.2/", "http://169.254.170.23/", "http://[fd00:ec2::23]/" };
    const char *relative = environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
               *full = environment("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    const char *file = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
               *set = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    char *url = NULL, *token = NULL, *header = NULL;
    int found = -1;
    if (!relative && !full)
        return 0;
    bool good = relative || auth_address_ok(full);
    for (size_t i = 0; !good && i < sizeof nearby / sizeof *nearby; i++)
        good = !strncmp(full, nearby[i], strlen(nearby[i]));
    if (!good)
        return error_set(e, STATUS_BAD, "AWS_CONTAINER_CREDENTIALS_FULL_URI: '%s' is neither https nor this machine", full);
    if (file && !(token = line_read(file, e)))
        return -1;
    if (set && !file && strpbrk(set, "\r\n"))
        return error_set(e, STATUS_BAD, "AWS_CONTAINER_AUTHORIZATION_TOKEN has more than one line");
    if (asprintf(&url, "%s%s", relative ? CONTAINER : "", relative ? relative : full) < 0 ||
        ((token || set) && asprintf(&header, "Authorization: %s", token ? token : set) < 0))
        error_memory(e);
    else
        found = service_ask(k, "the container's credentials", url, header, e);
    free(url);
    free(token);
    free(header);
    return found;
}

/* A text of the metadata service; malloc'd. */
static char *machine_text(const char *method, const char *endpoint, const char *path, const char *header, struct error *e)
{
    struct buf b;
    char *url = NULL, *text = NULL;
    buf_init(&b, EXCHANGE_MAX);
    if (asprintf(&url, "%s%s", endpoint, path) < 0)
        error_memory(e);
    else if (auth_exchange(&(struct exchange){ "the metadata service", method, url, *method == 'P' ? "" : NULL,
                                               "text/plain", header, true }, &b, e) == 0 &&
             b.size && !memchr(b.data, '\r', b.size)) {
        const uint8_t *newline = memchr(b.data, '\n', b.size);
        text = strndup((const char *)b.data, newline ? (size_t)(newline - b.data) : b.size);
    }
    secret_release(&b);
    free(url);
    return text;
}

int s3_keys_of_machine(struct s3_keys *k, struct error *e)
{
    const char *off = environment("AWS_EC2_METADATA_DISABLED"), *set = environment("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    char endpoint[500], *header = NULL, *url = NULL;
    struct error why = { 0 };
    int found = 0;
    if (off && !strcmp(off, "true"))
        return 0;
    snprintf(endpoint, sizeof endpoint, "%s", set ? set : "http://169.254.169.254");
    if (*endpoint && endpoint[strlen(endpoint) - 1] == '/')
        endpoint[strlen(endpoint) - 1] = 0;
    char *token = machine_text("PUT", endpoint, "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds: 21600", &why);
    if (token && asprintf(&header, "X-aws-ec2-metadata-token: %s", token) < 0)
        header = NULL;
    char *role = header ? machine_text("GET", endpoint, "/latest/meta-data/iam/security-credentials/", header, &why) : NULL;
    if (role && asprintf(&url, "%s/latest/meta-data/iam/security-credentials/%s", endpoint, role) >= 0)
        found = service_ask(k, "the metadata service", url, header, e);
    else
        debug("no keys of this machine: %s", why.text);
    free(token);
    free(header);
    free(role);
    free(url);
    return found;
}
