/* tests/unit/sigv4_test.c - the signatures that AWS publishes
 *
 * Examples of "Authenticating Requests: Using the Authorization Header (AWS
 * Signature Version 4)", Amazon S3 API Reference; and "get-vanilla-query-order"
 * of the Signature Version 4 test suite. */
#include <stdlib.h>

#include "libcommon/store/checksum.h"
#include "libcommon/store/s3/sigv4.h"
#include "tests/unit/tap.h"

static const time_t may24 = 1369353600;         /* 2013-05-24 00:00:00 UTC */
static const time_t august30 = 1440938160;      /* 2015-08-30 12:36:00 UTC */
static const struct sigv4_keys s3 = { "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1",
                                      "s3" };
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define HOST { "host", "examplebucket.s3.amazonaws.com" }
#define DATE { "x-amz-date", "20130524T000000Z" }

static void signed_as(const struct sigv4_request *r, const struct sigv4_keys *k, time_t now, const char *want,
                      const char *name)
{
    char *got = sigv4_authorization(r, k, now, NULL), *at = got ? strstr(got, "Signature=") : NULL;
    is_str(at ? at + 10 : got, want, name);
    free(got);
}

int main(void)
{
    static const char *const get[][2] = { HOST, { "range", "bytes=0-9" }, { "x-amz-content-sha256", EMPTY }, DATE };
    signed_as(&(struct sigv4_request){ "GET", "/test.txt", "", get, 4, EMPTY }, &s3, may24,
              "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41", "GET of a range");
    static const char *const put[][2] = { { "date", "Fri, 24 May 2013 00:00:00 GMT" }, HOST,
        { "x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072" }, DATE,
            { "x-amz-storage-class", "REDUCED_REDUNDANCY" } };
    char hash[65];
    sha256_hex("Welcome to Amazon S3.", 21, hash);
    signed_as(&(struct sigv4_request){ "PUT", "/test%24file.text", "", put, 5, hash }, &s3, may24,
              "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd", "PUT of a body");
    static const char *const plain[][2] = { HOST, { "x-amz-content-sha256", EMPTY }, DATE };
    signed_as(&(struct sigv4_request){ "GET", "/", "lifecycle", plain, 3, EMPTY }, &s3, may24,
              "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543", "a query of a name alone");
    signed_as(&(struct sigv4_request){ "GET", "/", "prefix=J&max-keys=2", plain, 3, EMPTY }, &s3, may24,
              "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7", "a listing, its query in any order");
    static const struct sigv4_keys suite = { "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1",
                                             "service" };
    static const char *const vanilla[][2] = { { "host", "example.amazonaws.com" }, { "x-amz-date", "20150830T123600Z" } };
    signed_as(&(struct sigv4_request){ "GET", "/", "Param2=value2&Param1=value1", vanilla, 2, EMPTY }, &suite, august30,
              "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500", "the suite's unsorted query");
    struct buf canonical;
    buf_init(&canonical, 1 << 16);
    free(sigv4_authorization(&(struct sigv4_request){ "GET", "/test.txt", "", get, 4, EMPTY }, &s3, may24, &canonical));
    sha256_hex(canonical.data, canonical.size, hash);
    is_str(hash, "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972",
           "the canonical request hashes to what AWS prints");
    buf_release(&canonical);
    return done();
}
