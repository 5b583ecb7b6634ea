"""tests/fault/google.py - what Penstock uses of Google's JSON API, and its token and metadata servers"""
import gzip
import urllib.parse

from store import crc_text


def credentials(handler, store, url):
    """Tokens: of a service account or user, a metadata server, a federated identity; False: another path."""
    if url.path == "/token" or url.path.startswith("/computeMetadata"):
        return token(handler, store)
    if url.path == "/sts":
        handler.body()
        return handler.answer(200, {"access_token": "federated", "expires_in": 3600, "token_type": "Bearer"})
    if url.path == "/subject":
        good = handler.headers.get("X-Who") == "test"
        return handler.answer(200 if good else 403, {"subject": "subject-token"})
    if url.path == "/impersonate":
        handler.body()
        bearer = handler.headers.get("Authorization")
        if bearer != "Bearer federated" and not bearer.startswith("Bearer " + store.token):
            return handler.answer(403, {"error": {"message": "not federated"}})
        return handler.answer(200, {"accessToken": store.token, "expireTime": "2099-01-01T00:00:00Z"})
    return False


def token(handler, store):
    body = handler.body().decode()
    fault = store.fault("token", handler.path)
    if handler.refuse(fault):
        return
    if "computeMetadata" in handler.path and handler.headers.get("Metadata-Flavor") != "Google":
        return handler.answer(403)
    if "computeMetadata" not in handler.path and "assertion=" not in body and "refresh_token=" not in body:
        return handler.answer(400, {"error": "invalid_grant"})
    with store.lock:
        store.tokens += 1
    handler.answer(200, {"access_token": "%s%d" % (store.token, store.tokens),
                         "expires_in": "100" if fault == "short" else "3600", "token_type": "Bearer"})


def allowed(handler, store):
    if not store.token:
        return True
    want = "Bearer %s%d" % (store.token, store.tokens)
    if handler.headers.get("Authorization") in (want, "Bearer " + store.token):
        return True
    handler.answer(401, {"error": {"message": "no such token"}})
    return False


def handle(handler, store, url):
    q = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
    part = url.path.split("/")
    if not allowed(handler, store):
        handler.body()
        return None
    if store.payer and q.get("userProject") != store.payer and "upload_id" not in q:
        handler.body()
        return handler.answer(400, {"error": {"message": "Bucket is a requester pays bucket but no user project provided."}})
    if part[1:4] == ["storage", "v1", "b"]:
        bucket, name = urllib.parse.unquote(part[4]), urllib.parse.unquote("/".join(part[6:]))
        if not name:
            return listing(handler, store, bucket, q)
        if handler.command == "DELETE":
            return handler.answer(204 if store.remove(bucket, name) else 404)
        return content(handler, store, bucket, name, q) if q.get("alt") == "media" else stat(handler, store, bucket, name)
    if part[1:5] == ["upload", "storage", "v1", "b"]:
        bucket = urllib.parse.unquote(part[5])
        if handler.command == "POST" and q.get("uploadType") == "media":
            return put(handler, store, bucket, q)
        if handler.command == "POST":
            return start(handler, store, bucket, q)
        return chunk(handler, store, q.get("upload_id", ""))
    handler.body()
    return handler.answer(404, {"error": {"message": "no such path"}})


def resource(bucket, name, found):
    size = {"size": str(len(found[2]))} if found[2] else {}     # as protobuf's JSON, which leaves zeros away
    return dict(size, name=name, bucket=bucket, generation=str(found[0]), crc32c=crc_text(found[1]))


def stat(handler, store, bucket, name):
    if handler.refuse(store.fault("stat", name)):
        return
    found = store.find(bucket, name)
    if not found:
        return handler.answer(404, {"error": {"message": "No such object: %s/%s" % (bucket, name)}})
    handler.answer(200, resource(bucket, name, found))


def listing(handler, store, bucket, q):
    fault = store.fault("list", bucket)
    if handler.refuse(fault):
        return
    after, prefix = q.get("pageToken", ""), q.get("prefix", "")
    if fault == "empty_page":
        return handler.answer(200, {"nextPageToken": after + "+" if after else "+"})
    after = after.strip("+")
    names = [n for n in store.names(bucket) if n.startswith(prefix) and n.encode() > after.encode()]
    size = min(store.page, int(q.get("maxResults", 1000)))
    page = {"items": [resource(bucket, n, store.find(bucket, n)) for n in names[:size]]}
    if len(names) > size:
        page["nextPageToken"] = names[size - 1]
    handler.answer(200, page)


def content(handler, store, bucket, name, q):
    fault = store.fault("get", name)
    if handler.refuse(fault):
        return
    found = store.find(bucket, name)
    if not found or q.get("generation", str(found[0])) != str(found[0]):
        return handler.answer(404, {"error": {"message": "No such object: %s/%s" % (bucket, name)}})
    generation, crc, data = found
    if fault == "wrong_crc":
        crc ^= 1
    headers = [("x-goog-generation", str(generation))] + ([("x-goog-hash", "crc32c=" + crc_text(crc))]
                                                          if crc is not None else [])
    headers += [("x-goog-hash", "md5=AAAAAAAAAAAAAAAAAAAAAA==")]
    if fault == "gzip_lie" or name.endswith(".gzipped"):
        headers.append(("Content-Encoding", "gzip"))
    if name.endswith(".transcoded"):
        headers.append(("x-guploader-response-body-transformations", "gunzipped"))
        data = gzip.decompress(data)
    if fault == "replaced":
        store.write(bucket, name, found[2][::-1])
    handler.deliver(data, headers, fault, name.endswith(".transcoded"))


# --- writing
def matches(store, bucket, q):
    if "ifGenerationMatch" not in q:
        return True
    found = store.find(bucket, q["name"])
    return q["ifGenerationMatch"] == str(found[0] if found else 0)


def keep(handler, store, bucket, name, data, fault):
    store.write(bucket, name, data)
    if fault == "lost":
        return handler.end(True)
    made = resource(bucket, name, store.find(bucket, name))
    if fault == "wrong_crc":
        made["crc32c"] = crc_text(1)
    handler.answer(200, made)


def put(handler, store, bucket, q):
    data = handler.body("put")
    if not handler.whole:
        return
    fault = store.fault("put", q["name"])
    if handler.refuse(fault):
        return
    if not matches(store, bucket, q):
        return handler.answer(412, {"error": {"message": "precondition"}})
    keep(handler, store, bucket, q["name"], data, fault)


def start(handler, store, bucket, q):
    handler.body()
    fault = store.fault("start", q["name"])
    if handler.refuse(fault):
        return
    if not matches(store, bucket, q):
        return handler.answer(412, {"error": {"message": "precondition"}})
    with store.lock:
        i = "s%d" % (len(store.sessions) + 1)
        store.sessions[i] = {"bucket": bucket, "q": q, "data": bytearray()}
    at = "http://%s/upload/storage/v1/b/%s/o?uploadType=resumable&upload_id=%s" % (handler.headers["Host"], bucket, i)
    handler.answer(200, b"", [("Location", at)])


def chunk(handler, store, i):
    data = handler.body("chunk")
    if handler.command == "DELETE":
        store.sessions.pop(i, None)
        return handler.answer(499)
    s = store.sessions.get(i)
    fault = store.fault("chunk", s["q"]["name"] if s else "")
    if fault in ("forget", "forget_410"):
        store.sessions.pop(i, None)
        return handler.answer(410 if fault == "forget_410" else 404)
    if not s:
        return handler.answer(404)
    if handler.refuse(fault):
        return
    what, _, total = handler.headers["Content-Range"][6:].partition("/")
    if "made" in s:
        return handler.answer(200, s["made"])
    if what != "*":
        a, b = map(int, what.split("-"))
        if not handler.whole:          # the client died: what came stays, in whole grains
            data, b, total = data[: len(data) // 262144 * 262144], a + len(data) // 262144 * 262144 - 1, "*"
        if a > len(s["data"]) or b - a + 1 != len(data) or (total == "*" and len(data) % 262144):
            return handler.answer(400, {"error": {"message": "chunk %s/%s does not go on at %d"
                                                  % (what, total, len(s["data"]))}})
        if fault == "short_persist":
            data, total = data[:262144] if len(data) > 262144 else b"", "*"
        if fault == "reset":
            data, total = data[: len(data) // 2 // 262144 * 262144], "*"
        s["data"][a:] = data
        if fault == "reset":
            return handler.end(True)
    if total != "*" and len(s["data"]) == int(total):
        if not matches(store, s["bucket"], s["q"]):
            return handler.answer(412, {"error": {"message": "precondition"}})
        store.write(s["bucket"], s["q"]["name"], bytes(s["data"]))
        s["made"] = resource(s["bucket"], s["q"]["name"], store.find(s["bucket"], s["q"]["name"]))
        s["data"] = bytearray()
        if fault == "wrong_crc":
            return handler.answer(200, dict(s["made"], crc32c=crc_text(1)))
        return handler.end(True) if fault == "lost" else handler.answer(200, s["made"])
    headers = [("Range", "bytes=0-%d" % (len(s["data"]) - 1))] if s["data"] else []
    handler.answer(308, b"", headers)
