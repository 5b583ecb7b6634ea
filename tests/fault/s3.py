"""tests/fault/s3.py - the part of S3 that Penstock uses, for server.py: path style, under /s3/

Signatures (version 4) are verified by code of their own, with key id "test" and secret "secret", or
with keys that were handed out here: to a web identity, a container, a machine (IMDSv2).
"""
import hashlib
import hmac
import urllib.parse
from xml.sax.saxutils import escape

from store import crc32c, crc_text

uploads = {}        # id -> {"bucket", "key", "full", "parts": {number: (bytes, crc32c)}}
roles = {}          # key id -> (secret, session token)
known = {}          # (bucket, key) -> (MD5 of the bytes, ETag, crc32c): of what was uploaded here


def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature_wrong(handler, path, query, body):
    """None, or what is wrong with the Authorization header."""
    h = handler.headers
    auth = h.get("Authorization", "")
    if not auth.startswith("AWS4-HMAC-SHA256 "):
        return "no signature"
    field = dict(f.split("=", 1) for f in auth[17:].split(", "))
    key_id, day, region, service, _ = field["Credential"].split("/")
    if key_id != "test" and (key_id not in roles or roles[key_id][1] != h["x-amz-security-token"]):
        return "no such key"
    secret = roles[key_id][0] if key_id in roles else "secret"
    payload = h["x-amz-content-sha256"]
    if payload != "UNSIGNED-PAYLOAD" and payload != hashlib.sha256(body).hexdigest():
        return "the body is not the one that was signed"
    names = field["SignedHeaders"].split(";")
    if names != sorted(names) or "host" not in names:
        return "headers out of order"
    pairs = sorted((k, v) for k, v in urllib.parse.parse_qsl(query, keep_blank_values=True))
    canonical = "\n".join(
        [handler.command, path, "&".join("%s=%s" % (urllib.parse.quote(k, safe="-_.~"),
                                                    urllib.parse.quote(v, safe="-_.~")) for k, v in pairs)]
        + ["%s:%s" % (n, h.get(n, "").strip()) for n in names]
        + ["", field["SignedHeaders"], payload]
    )
    scope = "%s/%s/%s/aws4_request" % (day, region, service)
    text = "AWS4-HMAC-SHA256\n%s\n%s\n%s" % (h["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest())
    key = b"AWS4" + secret.encode()
    for part in (day, region, service, "aws4_request"):
        key = sign(key, part)
    good = hmac.compare_digest(sign(key, text).hex(), field["Signature"])
    return None if good else "the signature does not match: " + canonical


def error(handler, status, code, message=""):
    handler.answer(status, ("<Error><Code>%s</Code><Message>%s</Message></Error>"
                            % (code, escape(message or code))).encode())


def credentials(handler, store, url):
    body, h = handler.body().decode(), handler.headers
    fault = store.fault("token", url.path)
    if handler.refuse(fault):
        return None
    n = len(roles) + 1
    new = {"AccessKeyId": "role-%d" % n, "SecretAccessKey": "s/%d+&" % n,
           "Expiration": "2001-01-01T00:00:00Z" if fault == "ended" else "2099-01-01T00:00:00Z"}
    token = "session/%d+==" % n
    if url.path == "/latest/api/token":
        good = handler.command == "PUT" and h.get("X-aws-ec2-metadata-token-ttl-seconds") == "21600"
        return handler.answer(200, b"imds-token") if good else handler.answer(400)
    if url.path.startswith("/latest/"):
        if h.get("X-aws-ec2-metadata-token") != "imds-token":
            return handler.answer(401)
        if url.path.endswith("/security-credentials/"):
            return handler.answer(200, b"a-role\n")
        if not url.path.endswith("/a-role"):
            return handler.answer(404)
    if url.path == "/container" and h.get("Authorization") != "container-token":
        return handler.answer(403)
    roles[new["AccessKeyId"]] = (new["SecretAccessKey"], token)
    if url.path != "/sts-aws":
        return handler.answer(200, dict(new, Token=token, Code="Success"))
    q = dict(urllib.parse.parse_qsl(body))
    asked = q.get("Action"), q.get("WebIdentityToken"), q.get("RoleArn")
    if asked != ("AssumeRoleWithWebIdentity", "identity+token/=", "arn:aws:iam::1:role/r"):
        return error(handler, 403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
    fields = "".join("<%s>%s</%s>" % (k, escape(v), k) for k, v in dict(new, SessionToken=token).items())
    text = "<AssumeRoleWithWebIdentityResponse><Credentials>%s</Credentials></AssumeRoleWithWebIdentityResponse>"
    return handler.answer(200, (text % fields).encode())


def quoted_md5(data):
    return '"%s"' % hashlib.md5(data).hexdigest()


def checked(handler, body):
    """The crc32c that an upload names, verified if that does not take Python too long; False: wrong."""
    told = handler.headers.get("x-amz-checksum-crc32c", "")
    return False if told and len(body) < 1 << 20 and crc_text(crc32c(body)) != told else told


def handle(handler, store, url):
    q = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
    body = handler.body("chunk" if "partNumber" in q else "put")
    if not handler.whole:
        return None
    wrong = signature_wrong(handler, url.path, url.query, body)
    if wrong:
        return error(handler, 403, "SignatureDoesNotMatch", wrong)
    _, _, bucket, key = (url.path + "/").split("/", 3)
    key = urllib.parse.unquote(key[:-1] if key.endswith("/") else key)
    if not key:
        return unfinished(handler, bucket, q) if "uploads" in q else listing(handler, store, bucket, q)
    if "uploads" in q or "uploadId" in q:
        return multipart(handler, store, bucket, key, q, body)
    if handler.command == "DELETE":
        return handler.answer(204 if store.remove(bucket, key) else 404)
    if handler.command == "PUT":
        return put(handler, store, bucket, key, body)
    return get(handler, store, bucket, key)


def put(handler, store, bucket, key, body):
    fault = store.fault("put", key)
    if handler.refuse(fault):
        return None
    crc = checked(handler, body)
    if crc is False:
        return error(handler, 400, "BadDigest")
    store.write(bucket, key, body)
    known[(bucket, key)] = (quoted_md5(body), quoted_md5(body), crc)
    return handler.end(True) if fault == "lost" else handler.answer(200, b"", [("ETag", quoted_md5(body))])


def get(handler, store, bucket, key):
    fault = store.fault("stat" if handler.command == "HEAD" else "get", key)
    if handler.refuse(fault):
        return None
    found = store.find(bucket, key)
    if not found:
        return error(handler, 404, "NoSuchKey")
    md5 = quoted_md5(found[2])
    was, etag, crc = known.get((bucket, key), (md5, md5, ""))
    if was != md5:
        etag, crc = md5, ""
    if key.endswith(".kms"):
        etag = '"%s"' % ("1" * 32)
    if fault == "odd_etag":
        etag = '"%s"' % ("0" * 32)
    if handler.headers.get("If-Match", etag) != etag:
        return error(handler, 412, "PreconditionFailed")
    if fault == "replaced":
        store.write(bucket, key, found[2][::-1])
    headers = [("ETag", etag)]
    if crc and handler.headers.get("x-amz-checksum-mode") == "ENABLED":
        # as Amazon's: of a range there is none, or one of other bytes
        part = "Range" in handler.headers
        headers += [("x-amz-checksum-crc32c", "AAAAAA==" if part else crc), ("x-amz-checksum-type", "FULL_OBJECT")]
    if key.endswith(".kms"):
        headers.append(("x-amz-server-side-encryption", "aws:kms"))
    return handler.deliver(found[2], headers, fault)


def listing(handler, store, bucket, q):
    if handler.refuse(store.fault("list", bucket)):
        return None
    quote = lambda n: urllib.parse.quote(n, safe="/")
    names = [n for n in store.names(bucket) if n.startswith(q["prefix"])
             and n.encode() > q.get("continuation-token", "").encode()]
    size = store.page
    text = "".join("<Contents><Key>%s</Key><Size>%d</Size></Contents>" % (quote(n), len(store.find(bucket, n)[2]))
                   for n in names[:size])
    text += "<IsTruncated>%s</IsTruncated>" % ("true" if len(names) > size else "false")
    if len(names) > size:
        text += "<NextContinuationToken>%s</NextContinuationToken>" % escape(names[size - 1])
    handler.answer(200, ("<ListBucketResult>%s</ListBucketResult>" % text).encode())


def unfinished(handler, bucket, q):
    text = ""
    for n, i in enumerate(uploads):
        u = uploads[i]
        if u["bucket"] == bucket and u["key"].startswith(q["prefix"]):
            text += ("<Upload><Key>%s</Key><UploadId>%s</UploadId><Initiated>2026-01-01T00:00:%02d.000Z</Initiated>"
                     "</Upload>" % (urllib.parse.quote(u["key"], safe="/"), escape(i), n % 60))
    handler.answer(200, ("<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>%s"
                         "</ListMultipartUploadsResult>" % text).encode())


def multipart(handler, store, bucket, key, q, body):
    if "uploads" in q:
        i = "u+%d/" % (len(uploads) + len(known) + 1)
        full = handler.headers.get("x-amz-checksum-type") == "FULL_OBJECT"
        uploads[i] = {"bucket": bucket, "key": key, "full": full, "parts": {}}
        headers = [("x-amz-checksum-algorithm", "CRC32C"), ("x-amz-checksum-type", "FULL_OBJECT")] if full else []
        return handler.answer(200, ("<R><UploadId>%s</UploadId></R>" % i).encode(), headers)
    u = uploads.get(q["uploadId"])
    if u is None:
        return error(handler, 404, "NoSuchUpload")
    parts = u["parts"]
    if handler.command == "DELETE":
        uploads.pop(q["uploadId"])
        return handler.answer(204)
    if handler.command == "GET":
        start = int(q.get("part-number-marker", 0))
        numbers = [n for n in sorted(parts) if n > start]
        text = "".join("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag><Size>%d</Size>%s</Part>" % (
            n, escape(quoted_md5(parts[n][0]), {'"': "&quot;"}), len(parts[n][0]),
            "<ChecksumCRC32C>%s</ChecksumCRC32C>" % parts[n][1] if parts[n][1] else "") for n in numbers[: store.page])
        sums = "<ChecksumAlgorithm>CRC32C</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>" if u["full"] else ""
        more = len(numbers) > store.page
        mark = "<NextPartNumberMarker>%d</NextPartNumberMarker>" % numbers[store.page - 1] if more else ""
        text = "<ListPartsResult>%s<IsTruncated>%s</IsTruncated>%s%s</ListPartsResult>" % (
            sums, "true" if more else "false", mark, text)
        return handler.answer(200, text.encode())
    fault = store.fault("chunk", key)
    if fault == "forget":
        uploads.pop(q["uploadId"])
        return error(handler, 404, "NoSuchUpload")
    if handler.refuse(fault):
        return None
    if handler.command == "PUT":
        crc = checked(handler, body)
        if crc is False:
            return error(handler, 400, "BadDigest")
        parts[int(q["partNumber"])] = (body, crc)
        return handler.end(True) if fault in ("lost", "reset") else handler.answer(200, b"", [("ETag", quoted_md5(body))])
    named = body.decode().count("<Part>")
    if any(len(parts[n][0]) < 5 << 20 for n in sorted(parts)[: named - 1]):
        return error(handler, 400, "EntityTooSmall")
    for n in range(1, named + 1):
        want = "<PartNumber>%d</PartNumber><ETag>%s</ETag>" % (n, quoted_md5(parts[n][0]))
        if want + ("<ChecksumCRC32C>%s</ChecksumCRC32C>" % parts[n][1] if parts[n][1] else "") not in body.decode():
            return error(handler, 400, "InvalidPart")
    if fault == "late_error":
        return error(handler, 200, "InternalError", "in the end it failed")
    data = b"".join(parts[n][0] for n in range(1, named + 1))
    sums = b"".join(hashlib.md5(parts[n][0]).digest() for n in range(1, named + 1))
    etag = '"%s-%d"' % (hashlib.md5(sums).hexdigest(), named)
    store.write(bucket, key, data)
    known[(bucket, key)] = (quoted_md5(data), etag, handler.headers.get("x-amz-checksum-crc32c", "") if u["full"] else "")
    del uploads[q["uploadId"]]
    return handler.end(True) if fault == "lost" else handler.answer(200, b"<R></R>")
