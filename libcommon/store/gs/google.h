/* libcommon/store/gs/google.h - Google Cloud Storage's JSON API, as the files of this room share it */
#ifndef PENSTOCK_GOOGLE_H
#define PENSTOCK_GOOGLE_H

#include <jansson.h>

#include "libcommon/store/http/http.h"
#include "libcommon/store/kind.h"

struct gs_name {
    char *bucket, *object;      /* the object may be empty; both percent-encoded in `path` */
    char *bucket_escaped, *object_escaped;
};
int gs_name_read(const char *url, struct gs_name *name, bool object_needed, struct error *e);
void gs_name_release(struct gs_name *name);

/* "https://storage.googleapis.com", or what STORAGE_EMULATOR_HOST or
 * CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE say; malloc'd. */
char *gs_endpoint(void);
bool gs_emulated(void);
/* "&userProject=P" of GCS_REQUESTER_PAYS_PROJECT, or ""; malloc'd. */
char *gs_user_project(void);

/* A request with credentials, tried again while that may help.  0: r is an answer,
 * whatever its status, to be released; 2xx bodies are in `answer`.  -1: e.
 * body NULL: none.  header: one more header line, or NULL. */
int gs_call(const char *subject, const char *method, const char *url, const struct span *body, const char *header,
            struct http_request *r, struct buf *answer, struct error *e);
/* What an answer other than the ones a caller expects means: fills e, returns -1. */
int gs_refused(const char *subject, const struct http_request *r, struct error *e);

/* size, generation, crc32c of an object's resource; false if it is none. */
bool gs_resource_read(const json_t *j, struct object_info *i);

enum { GS_ANSWER_MAX = 64 << 10 };
/* Where uploads of `url` ("media", "resumable") are sent, replacing only the version that is there now; malloc'd. */
char *gs_upload_url(const char *url, const char *type, struct error *e);
bool gs_resource_from(const struct buf *answer, struct object_info *i);
/* -1 unless what the store made is what was sent. */
int gs_made_check(const char *url, const struct object_info *made, uint64_t size, uint32_t crc, struct error *e);
/* The precondition failed.  0: it was our own success, whose answer got lost. */
int gs_already_there(const char *url, uint64_t size, uint32_t crc, struct error *e);

int gs_put(const char *url, const void *data, size_t n, struct error *e);
int gs_remove_version(const char *url, uint64_t generation, struct error *e);      /* no other one */
struct store_writer *gs_writer_open(const char *url, struct error *e);
int gs_writer_append(struct store_writer *w, const void *data, size_t n, struct error *e);
int gs_writer_commit(struct store_writer *w, struct error *e);
void gs_writer_abort(struct store_writer *w);

#endif
