/* libcommon/store/gs/auth_sources.c - tokens from credentials files and from the metadata server
 *
 * https://google.aip.dev/auth (4110 to 4117) and RFC 7523 (signed claims), RFC 8693 (exchange). */
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libcommon/format/json.h"
#include "libcommon/store/gs/auth_impl.h"
#include "libcommon/sys/clock.h"
#include "libcommon/sys/file.h"

#define FORM "application/x-www-form-urlencoded"

static const char *field(const json_t *j, const char *key)
{
    const char *v = json_string_value(json_object_get(j, key));
    return v && *v ? v : NULL;
}

static int missing(const char *name, const char *key, struct error *e)
{
    return error_set(e, STATUS_BAD, "'%s': \"%s\" is missing", name, key);
}

/* --- service account: claims signed with its key ------------------------------------------ */

/* RS256 of text as base64url; NULL with a reason that shows nothing of the key. */
static char *rs256(const char *text, const char *pem)
{
    unsigned char signature[1024];
    size_t n = sizeof signature;
    char *out = NULL;
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"") : NULL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (key && ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestSign(ctx, signature, &n, (const unsigned char *)text, strlen(text)) == 1)
        out = base64_make(signature, n, true);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    BIO_free(bio);
    return out;
}

static char *json_base64(json_t *j)
{
    char *text = j ? json_dumps(j, JSON_COMPACT) : NULL, *out = text ? base64_make(text, strlen(text), true) : NULL;
    free(text);
    json_decref(j);
    return out;
}

static int from_service_account(const json_t *c, const char *name, struct token *t, struct error *e)
{
    const char *email = field(c, "client_email"), *key = field(c, "private_key"), *id = field(c, "private_key_id"),
               *uri = field(c, "token_uri");
    if (!email || !key)
        return missing(name, email ? "private_key" : "client_email", e);
    if (!uri)
        uri = "https://oauth2.googleapis.com/token";
    json_int_t now = (json_int_t)time(NULL);
    char *head = json_base64(json_pack("{s:s,s:s,s:s*}", "alg", "RS256", "typ", "JWT", "kid", id));
    char *claims = json_base64(json_pack("{s:s,s:s,s:s,s:I,s:I}", "iss", email, "scope", AUTH_SCOPE, "aud", uri, "iat",
                                         now, "exp", now + 3600));
    char *text = NULL, *signature = NULL, *body = NULL;
    int bad = 0;
    if (!head || !claims || asprintf(&text, "%s.%s", head, claims) < 0)
        bad = error_memory(e);
    else if (!(signature = rs256(text, key)))
        bad = error_set(e, STATUS_BAD, "'%s': its private_key cannot sign", name);
    else if (asprintf(&body, "grant_type=urn%%3Aietf%%3Aparams%%3Aoauth%%3Agrant-type%%3Ajwt-bearer&assertion=%s.%s",
                      text, signature) < 0)
        bad = error_memory(e);
    json_t *answer = NULL;
    if (!bad)
        bad = token_exchange(&(struct exchange){ name, "POST", uri, body, FORM, NULL, false }, &answer, e);
    if (!bad)
        bad = token_take(name, answer, t, e);
    json_decref(answer);
    free(head);
    free(claims);
    free(text);
    free(signature);
    free(body);
    return bad;
}

/* --- a form of escaped values --------------------------------------------------------------- */

static char *form(const char *const pairs[][2], size_t n)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < n; i++) {
        char *value = url_escape(pairs[i][1], "");
        buf_printf(&b, "%s%s=%s", i ? "&" : "", pairs[i][0], value ? value : "");
        b.failed |= !value;
        free(value);
    }
    buf_append(&b, "", 1);
    if (b.failed)
        buf_release(&b);
    return (char *)b.data;
}

static int from_form(const char *name, const char *url, const char *const pairs[][2], size_t n, struct token *t,
                     struct error *e)
{
    char *body = form(pairs, n);
    json_t *answer = NULL;
    int bad = body ? token_exchange(&(struct exchange){ name, "POST", url, body, FORM, NULL, false }, &answer, e) :
              error_memory(e);
    if (!bad)
        bad = token_take(name, answer, t, e);
    json_decref(answer);
    free(body);
    return bad;
}

static int from_authorized_user(const json_t *c, const char *name, struct token *t, struct error *e)
{
    static const char *const needed[] = { "client_id", "client_secret", "refresh_token" };
    for (size_t i = 0; i < 3; i++)
        if (!field(c, needed[i]))
            return missing(name, needed[i], e);
    const char *uri = field(c, "token_uri");
    const char *const pairs[][2] = { { "grant_type", "refresh_token" }, { "client_id", field(c, "client_id") },
                                     { "client_secret", field(c, "client_secret") },
                                         { "refresh_token", field(c, "refresh_token") } };
    return from_form(name, uri ? uri : "https://oauth2.googleapis.com/token", pairs, 4, t, e);
}

/* --- another identity -------------------------------------------------------------------------- */

/* Trades t for a token of the account that url names. */
static int impersonate(const char *name, const char *url, const json_t *delegates, struct token *t, struct error *e)
{
    json_t *ask = json_pack("{s:O?,s:[s],s:s}", "delegates", delegates, "scope", AUTH_SCOPE, "lifetime", "3600s");
    if (ask && !delegates)
        json_object_set_new(ask, "delegates", json_array());
    char *body = ask ? json_dumps(ask, JSON_COMPACT) : NULL, *header = NULL;
    json_t *answer = NULL;
    int bad = -1;
    if (!body || asprintf(&header, "Authorization: Bearer %s", t->value) < 0)
        error_memory(e);
    else
        bad = token_exchange(&(struct exchange){ name, "POST", url, body, "application/json", header, false }, &answer, e);
    const char *value = json_string_value(json_object_get(answer, "accessToken"));
    if (!bad && (!value || strpbrk(value, "\r\n")))
        bad = error_set(e, STATUS_AGAIN, "%s: the answer holds no access token", name);
    if (!bad) {
        free(t->value);
        t->value = strdup(value);
        t->expires = clock_seconds() + 3600;
    }
    json_decref(answer);
    json_decref(ask);
    free(body);
    free(header);
    return bad;
}

static int from_impersonated(const json_t *c, const char *name, struct token *t, struct error *e)
{
    const char *url = field(c, "service_account_impersonation_url");
    json_t *source = json_object_get(c, "source_credentials"), *delegates = json_object_get(c, "delegates");
    if (!url || !json_is_object(source))
        return missing(name, url ? "source_credentials" : "service_account_impersonation_url", e);
    if (field(source, "type") && !strcmp(field(source, "type"), "impersonated_service_account"))
        return error_set(e, STATUS_BAD, "'%s': source_credentials are impersonated themselves", name);
    if (token_from_json(source, name, t, e) < 0)
        return -1;
    return impersonate(name, url, json_is_array(delegates) ? delegates : NULL, t, e);
}

/* --- workload identity: somebody else's token is traded in ------------------------------------- */

/* The text itself, or a field of it if the source is JSON. */
static char *subject_pick(const json_t *source, const char *text, size_t n, const char *name, struct error *e)
{
    json_t *format = json_object_get(source, "format");
    const char *type = field(format, "type"), *key = field(format, "subject_token_field_name");
    while (n && strchr(" \r\n", text[n - 1]))
        n--;
    if (!type || strcmp(type, "json"))
        return strndup(text, n);
    json_error_t why;
    json_t *j = json_loadb(text, n, 0, &why);
    const char *v = key ? field(j, key) : NULL;
    char *token = v ? strdup(v) : NULL;
    json_decref(j);
    if (!token)
        error_set(e, STATUS_BAD, "'%s': its token source has no field '%s'", name, key ? key : "subject_token_field_name");
    return token;
}

static char *subject_from_url(const json_t *source, const char *url, const char *name, struct error *e)
{
    json_t *headers = json_object_get(source, "headers"), *answer = NULL, *value;
    const char *key;
    char *header = NULL, *token = NULL;
    json_object_foreach(headers, key, value)        /* one is all that is in use */
        if (!header && json_is_string(value) && asprintf(&header, "%s: %s", key, json_string_value(value)) < 0)
            header = NULL;
    if (token_exchange(&(struct exchange){ name, "GET", url, NULL, NULL, header, false }, &answer, e) == 0) {
        char *text = json_dumps(answer, JSON_COMPACT);
        token = text ? subject_pick(source, text, strlen(text), name, e) : NULL;
        free(text);
    }
    json_decref(answer);
    free(header);
    return token;
}

static char *subject_token(const json_t *source, const char *name, struct error *e)
{
    const char *file = field(source, "file"), *url = field(source, "url");
    if (url && !field(source, "environment_id"))
        return subject_from_url(source, url, name, e);
    if (!file) {
        error_set(e, STATUS_BAD, "'%s': its credential_source is neither a file nor a url; no other kind is supported",
                  name);
        return NULL;
    }
    struct buf b;
    char *token = NULL;
    buf_init(&b, 1 << 20);
    if (file_read(file, &b, e) == 0)
        token = subject_pick(source, (const char *)b.data, b.size, name, e);
    buf_release(&b);
    return token;
}

static int from_external_account(const json_t *c, const char *name, struct token *t, struct error *e)
{
    static const char *const needed[] = { "audience", "subject_token_type", "token_url" };
    for (size_t i = 0; i < 3; i++)
        if (!field(c, needed[i]))
            return missing(name, needed[i], e);
    char *subject = subject_token(json_object_get(c, "credential_source"), name, e);
    if (!subject)
        return -1;
    const char *other = field(c, "service_account_impersonation_url");
    const char *const pairs[][2] = {
        { "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange" }, { "audience", field(c, "audience") },
        { "scope", other ? "https://www.googleapis.com/auth/cloud-platform" : AUTH_SCOPE },
        { "requested_token_type", "urn:ietf:params:oauth:token-type:access_token" }, { "subject_token", subject },
        { "subject_token_type", field(c, "subject_token_type") },
    };
    int bad = from_form(name, field(c, "token_url"), pairs, 6, t, e);
    free(subject);
    return bad || !other ? bad : impersonate(name, other, NULL, t, e);
}

int token_from_json(const json_t *c, const char *name, struct token *t, struct error *e)
{
    static const struct { const char *type; int (*get)(const json_t *, const char *, struct token *,
                                                       struct error *); } known[] = {
        { "service_account", from_service_account }, { "authorized_user", from_authorized_user },
        { "external_account", from_external_account }, { "impersonated_service_account", from_impersonated },
    };
    const char *type = field(c, "type");
    for (size_t i = 0; type && i < sizeof known / sizeof *known; i++)
        if (!strcmp(type, known[i].type))
            return known[i].get(c, name, t, e);
    return error_set(e, STATUS_BAD, "'%s': credentials of type '%s' are not supported", name, type ? type : "(none)");
}

/* --- on Google's own machines ------------------------------------------------------------------- */

int token_from_metadata(struct token *t, struct error *e)
{
    const char *host = getenv("GCE_METADATA_HOST");
    if (!host || !*host)
        host = getenv("GCE_METADATA_ROOT");
    char *url;
    if (asprintf(&url, "http://%s/computeMetadata/v1/instance/service-accounts/default/token?scopes=%s",
                 host && *host ? host : "metadata.google.internal", AUTH_SCOPE) < 0)
        return error_memory(e);
    json_t *answer = NULL;
    int bad = token_exchange(&(struct exchange){ "the metadata server", "GET", url, NULL, NULL,
                                                 "Metadata-Flavor: Google", true }, &answer, e);
    if (!bad)
        bad = token_take("the metadata server", answer, t, e);
    json_decref(answer);
    free(url);
    return bad;
}
