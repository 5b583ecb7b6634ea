"""tests/fault/s3.py - the part of S3 that Penstock uses, for server.py: path style, under /s3/

Signatures (version 4) are verified by code of their own, with key id "test" and secret "secret".
"""
import hashlib
import hmac
import urllib.parse
from xml.sax.saxutils import escape

uploads = {}


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
    if key_id != "test":
        return "no such key"
    payload = h["x-amz-content-sha256"]
    if payload != "UNSIGNED-PAYLOAD" and payload != hashlib.sha256(body).hexdigest():
        return "the body is not the one that was signed"
    names = field["SignedHeaders"].split(";")
    if names != sorted(names) or "host" not in names:
        return "headers out of order"
    pairs = sorted((k, v) for k, v in urllib.parse.parse_qsl(query, keep_blank_values=True))
    canonical = "\n".join(
        [handler.command, path, "&".join("%s=%s" % (urllib.parse.quote(k, safe="-_.~"), urllib.parse.quote(v, safe="-_.~")) for k, v in pairs)]
        + ["%s:%s" % (n, h.get(n, "").strip()) for n in names]
        + ["", field["SignedHeaders"], payload]
    )
    scope = "%s/%s/%s/aws4_request" % (day, region, service)
    text = "AWS4-HMAC-SHA256\n%s\n%s\n%s" % (h["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest())
    key = b"AWS4secret"
    for part in (day, region, service, "aws4_request"):
        key = sign(key, part)
    good = hmac.compare_digest(sign(key, text).hex(), field["Signature"])
    return None if good else "the signature does not match: " + canonical


def error(handler, status, code, message=""):
    handler.answer(status, ("<Error><Code>%s</Code><Message>%s</Message></Error>" % (code, escape(message or code))).encode())


def handle(handler, store, url):
    body = handler.body()
    wrong = signature_wrong(handler, url.path, url.query, body)
    if wrong:
        return error(handler, 403, "SignatureDoesNotMatch", wrong)
    q = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
    _, _, bucket, key = (url.path + "/").split("/", 3)
    key = urllib.parse.unquote(key[:-1] if key.endswith("/") else key)
    if not key:
        return listing(handler, store, bucket, q)
    if handler.command in ("POST", "PUT") and ("uploads" in q or "uploadId" in q):
        return multipart(handler, store, bucket, key, q, body)
    if handler.command == "DELETE":
        if "uploadId" in q:
            uploads.pop(q["uploadId"], None)
            return handler.answer(204)
        return handler.remove(bucket, key)
    if handler.command == "PUT":
        fault = store.fault("put", key)
        if handler.refuse(fault):
            return None
        store.write(bucket, key, body)
        return handler.end(True) if fault == "lost" else handler.answer(200, b"", [("ETag", '"%s"' % hashlib.md5(body).hexdigest())])
    fault = store.fault("get", key)
    if handler.refuse(fault):
        return None
    found = store.find(bucket, key)
    if not found:
        return error(handler, 404, "NoSuchKey")
    etag = '"%s"' % hashlib.md5(found[2]).hexdigest()
    if handler.headers.get("If-Match", etag) != etag:
        return error(handler, 412, "PreconditionFailed")
    if fault == "replaced":
        store.write(bucket, key, found[2][::-1])
    return handler.deliver(found[2], [("ETag", etag)], fault)


def listing(handler, store, bucket, q):
    if handler.refuse(store.fault("list", bucket)):
        return None
    quote = lambda n: urllib.parse.quote(n, safe="/")
    names = [n for n in store.names(bucket) if n.startswith(q["prefix"]) and n.encode() > q.get("continuation-token", "").encode()]
    size = handler.page_size
    text = "".join("<Contents><Key>%s</Key><Size>%d</Size></Contents>" % (quote(n), len(store.find(bucket, n)[2])) for n in names[:size])
    text += "<IsTruncated>%s</IsTruncated>" % ("true" if len(names) > size else "false")
    if len(names) > size:
        text += "<NextContinuationToken>%s</NextContinuationToken>" % escape(names[size - 1])
    handler.answer(200, ("<ListBucketResult>%s</ListBucketResult>" % text).encode())


def multipart(handler, store, bucket, key, q, body):
    if "uploads" in q:
        i = "u+%d/" % (len(uploads) + 1)
        uploads[i] = {}
        return handler.answer(200, ("<R><UploadId>%s</UploadId></R>" % i).encode())
    parts = uploads.get(q["uploadId"])
    if parts is None:
        return error(handler, 404, "NoSuchUpload")
    fault = store.fault("chunk", key)
    if handler.refuse(fault):
        return None
    if handler.command == "PUT":
        parts[int(q["partNumber"])] = body
        return handler.end(True) if fault in ("lost", "reset") else handler.answer(200, b"", [("ETag", '"%s"' % hashlib.md5(body).hexdigest())])
    if any(len(parts[n]) < 5 << 20 for n in sorted(parts)[:-1]):
        return error(handler, 400, "EntityTooSmall")
    for n in parts:
        if "<PartNumber>%d</PartNumber><ETag>\"%s\"</ETag>" % (n, hashlib.md5(parts[n]).hexdigest()) not in body.decode():
            return error(handler, 400, "InvalidPart")
    if fault == "late_error":
        return error(handler, 200, "InternalError", "in the end it failed")
    store.write(bucket, key, b"".join(parts[n] for n in sorted(parts)))
    del uploads[q["uploadId"]]
    return handler.end(True) if fault == "lost" else handler.answer(200, b"<R></R>")
