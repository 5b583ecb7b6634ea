#!/usr/bin/env python3
"""tests/fault/server.py - object stores that misbehave on purpose

    server.py --root DIR [--port-file FILE] [--latency MS] [--rate P --seed N] [--token T] [--page N] [--tool PATH] [--payer P]

DIR/BUCKET/OBJECT are served as Google's JSON API (/storage/v1, /upload/storage/v1)
as S3 (/s3/BUCKET/OBJECT, see s3.py) and as plain files (/plain/BUCKET/OBJECT).  Also token servers (/token, /sts, /sts-aws, /container),
metadata servers (/computeMetadata/..., /latest/...), and what tests ask for:

    GET /fault?on=get&name=503&times=2&path=a.wav    the next two reads of a.wav
    GET /fault?clear=1                               no more faults
    GET /stats    how often what was asked, how many at once, bytes that came

Faults on "get" (content), "list", "stat", "put", "start" (of an upload), "chunk", "token":
  503 429 500 408            that status (429 says Retry-After: 1)
  reset, cut                 the connection ends after half of the body, by RST or FIN
  stall                      half of the body, then nothing
  corrupt                    one byte of the body is another
  wrong_crc                  the checksum told is another
  replaced                   the object is replaced after half of the body, then cut
  gzip_lie                   Content-Encoding: gzip, of what is none
  whole                      ranges are ignored
  401                        the token has expired
  short                      (token) one that soon expires
  ended                      (token, of s3) keys that have expired already
  empty_page                 a page of a listing without items
  short_persist              of a chunk, only the first 256 KiB are kept
  forget                     the upload is forgotten (404; forget_410: 410)
  lost                       done, but the answer gets lost
  odd_etag                   (s3) an ETag that looks like an MD5 and is none
With --rate P each request has one of 503 429-without-waiting reset cut with probability P,
as a hash of (seed, how many requests this one is for its path).
"""
import argparse
import base64
import gzip
import hashlib
import http.server
import json
import os
import socket
import struct
import subprocess
import threading
import time
import urllib.parse

import s3

SUMMED = 1 << 20        # the crc32c of larger objects would take Python too long: --tool (store_test) computes it
CRC = []
for _i in range(256):
    _c = _i
    for _ in range(8):
        _c = (_c >> 1) ^ 0x82F63B78 if _c & 1 else _c >> 1
    CRC.append(_c)


def crc32c(data):
    c = 0xFFFFFFFF
    for b in data:
        c = CRC[(c ^ b) & 255] ^ (c >> 8)
    return c ^ 0xFFFFFFFF


def crc_text(c):
    if c is None:
        return ""
    return base64.b64encode(struct.pack(">I", c)).decode()


class Store:
    def __init__(self, root):
        self.root, self.lock = root, threading.RLock()
        self.known = {}             # (bucket, name) -> [generation, crc32c or None, (mtime, size)]
        self.sessions, self.faults, self.counts, self.seen = {}, [], {}, {}
        self.now, self.most, self.tokens = 0, 0, 0
        self.listed = {}            # bucket -> (when, names)
        self.received = {}          # what for -> bytes of bodies
        self.sent = 0               # bytes of content

    def path(self, bucket, name):
        return os.path.join(self.root, bucket, name)

    def find(self, bucket, name):
        """(generation, crc32c, data) or None"""
        try:
            with open(self.path(bucket, name), "rb") as f:
                data = f.read()
                s = os.fstat(f.fileno())
        except (OSError, ValueError):
            return None
        with self.lock:
            k = self.known.get((bucket, name))
            if not k or k[2] != (s.st_mtime_ns, s.st_size):
                k = [(k[0] if k else 1000) + 1, None, (s.st_mtime_ns, s.st_size)]
                self.known[(bucket, name)] = k
        if k[1] is None and len(data) <= SUMMED:
            k[1] = crc32c(data)
        elif k[1] is None and args.tool:
            k[1] = int(subprocess.run([args.tool, "crc32c", self.path(bucket, name)], stdout=subprocess.PIPE).stdout)
        return k[0], k[1], data

    def write(self, bucket, name, data):
        path = self.path(bucket, name)
        with self.lock:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            old = self.known.get((bucket, name), [1000])[0]
            with open(path + ".server-part", "wb") as f:
                f.write(data)
            os.rename(path + ".server-part", path)
            s = os.stat(path)
            self.known[(bucket, name)] = [old + 1, None, (s.st_mtime_ns, s.st_size)]

    def names(self, bucket):
        kept = self.listed.get(bucket)
        if kept and time.time() - kept[0] < 10:
            return kept[1]
        top = os.path.join(self.root, bucket)
        found = []
        for d, _, files in os.walk(top):
            found += [os.path.relpath(os.path.join(d, f), top) for f in files if not f.endswith(".server-part")]
        found.sort(key=lambda s: s.encode())
        if len(found) > 10000:      # too many to be walked for every page
            self.listed[bucket] = (time.time(), found)
        return found

    def fault(self, on, path):
        with self.lock:
            self.counts[on] = self.counts.get(on, 0) + 1
            for f in self.faults:
                if f["on"] == on and f["times"] > 0 and f.get("path", "") in path:
                    f["times"] -= 1
                    return f["name"]
            if args.rate:
                n = self.seen[(on, path)] = self.seen.get((on, path), 0) + 1
                h = hashlib.sha256(("%d %s %s %d" % (args.seed, on, path, n)).encode()).digest()
                if struct.unpack(">I", h[:4])[0] < args.rate * 2**32:
                    names = {"get": ["503", "quick_429", "reset", "cut", "corrupt"], "chunk": ["503", "reset", "lost", "short_persist", "forget"],
                             "put": ["503", "lost"], "list": ["503", "empty_page"]}.get(on, ["503", "quick_429"])
                    return names[h[4] % len(names)]
        return None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    page_size = 1000
    disable_nagle_algorithm = True

    def log_message(self, *a):
        pass

    # --- answers
    def answer(self, status, body=b"", headers=(), fault=None):
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        self.send_response(status)
        for k, v in headers:
            self.send_header(k, v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault in ("reset", "cut", "stall", "replaced"):
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            if fault == "stall":
                time.sleep(30)
            self.end(fault == "reset")
        else:
            self.wfile.write(body)

    def end(self, rst):
        self.close_connection = True
        if rst:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        else:
            try:
                self.connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def refuse(self, fault):
        """Faults that are a status; True if it was one."""
        if fault in ("503", "500", "408"):
            self.answer(int(fault), {"error": {"code": int(fault), "message": "fault " + fault}})
        elif fault == "429":
            self.answer(429, {"error": {"message": "slow down"}}, [("Retry-After", "1")])
        elif fault == "quick_429":
            self.answer(429, {"error": {"message": "slow down"}})
        elif fault == "401":
            self.answer(401, {"error": {"message": "the token has expired"}})
        else:
            return False
        return True

    def allowed(self):
        if not args.token:
            return True
        want = "Bearer %s%d" % (args.token, store.tokens)
        if self.headers.get("Authorization") in (want, "Bearer " + args.token):
            return True
        self.answer(401, {"error": {"message": "no such token"}})
        return False

    def body(self, what=None):
        """What came of it: less if the client died meanwhile."""
        data, left = [], int(self.headers.get("Content-Length") or 0)
        while left:
            try:
                piece = self.rfile.read1(min(left, 1 << 18))
            except OSError:
                break
            if not piece:
                break
            data.append(piece)
            left -= len(piece)
            if what:
                with store.lock:
                    store.received[what] = store.received.get(what, 0) + len(piece)
        self.whole = not left
        return b"".join(data)

    # --- methods
    def handle_any(self):
        if args.latency:
            time.sleep(args.latency / 1000)
        with store.lock:
            store.now += 1
            store.most = max(store.most, store.now)
        try:
            self.route()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with store.lock:
                store.now -= 1

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

    def route(self):
        url = urllib.parse.urlsplit(self.path)
        q = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        part = url.path.split("/")
        if url.path == "/fault":
            if "clear" in q:
                store.faults.clear()
            else:
                store.faults.append(dict(q, times=int(q.get("times", 1))))
            return self.answer(200, b"ok")
        if url.path == "/stats":
            return self.answer(200, {"counts": store.counts, "most": store.most, "bytes": store.received, "unfinished": len(s3.uploads), "sent": store.sent})
        if url.path == "/token" or part[1] == "computeMetadata":
            return self.token()
        if url.path == "/sts":
            self.body()
            return self.answer(200, {"access_token": "federated", "expires_in": 3600, "token_type": "Bearer"})
        if url.path == "/subject":
            good = self.headers.get("X-Who") == "test"
            return self.answer(200 if good else 403, {"subject": "subject-token"})
        if url.path == "/impersonate":
            self.body()
            if self.headers.get("Authorization") != "Bearer federated" and not self.headers.get("Authorization").startswith("Bearer " + args.token):
                return self.answer(403, {"error": {"message": "not federated"}})
            return self.answer(200, {"accessToken": args.token, "expireTime": "2099-01-01T00:00:00Z"})
        if part[1] in ("sts-aws", "container", "latest"):
            return s3.credentials(self, store, url)
        if part[1] == "s3":
            return s3.handle(self, store, url)
        if part[1] == "plain":
            return self.plain(part[2], urllib.parse.unquote("/".join(part[3:])))
        if not self.allowed():
            self.body()
            return None
        if args.payer and q.get("userProject") != args.payer and "upload_id" not in q:
            self.body()
            return self.answer(400, {"error": {"message": "Bucket is a requester pays bucket but no user project provided."}})
        if part[1:4] == ["storage", "v1", "b"]:
            bucket, name = urllib.parse.unquote(part[4]), urllib.parse.unquote("/".join(part[6:]))
            if not name:
                return self.list(bucket, q)
            if self.command == "DELETE":
                return self.remove(bucket, name)
            return self.content(bucket, name, q) if q.get("alt") == "media" else self.stat(bucket, name)
        if part[1:5] == ["upload", "storage", "v1", "b"]:
            bucket = urllib.parse.unquote(part[5])
            if self.command == "POST" and q.get("uploadType") == "media":
                return self.put(bucket, q)
            if self.command == "POST":
                return self.start(bucket, q)
            return self.chunk(q.get("upload_id", ""))
        self.body()
        return self.answer(404, {"error": {"message": "no such path"}})

    def token(self):
        body = self.body().decode()
        fault = store.fault("token", self.path)
        if self.refuse(fault):
            return
        if "computeMetadata" in self.path and self.headers.get("Metadata-Flavor") != "Google":
            return self.answer(403)
        if "computeMetadata" not in self.path and "assertion=" not in body and "refresh_token=" not in body:
            return self.answer(400, {"error": "invalid_grant"})
        with store.lock:
            store.tokens += 1
        self.answer(200, {"access_token": "%s%d" % (args.token, store.tokens), "expires_in": "100" if fault == "short" else "3600", "token_type": "Bearer"})

    def resource(self, bucket, name, found):
        size = {"size": str(len(found[2]))} if found[2] else {}     # as protobuf's JSON, which leaves zeros away
        return dict(size, name=name, bucket=bucket, generation=str(found[0]), crc32c=crc_text(found[1]))

    def stat(self, bucket, name):
        if self.refuse(store.fault("stat", name)):
            return
        found = store.find(bucket, name)
        if not found:
            return self.answer(404, {"error": {"message": "No such object: %s/%s" % (bucket, name)}})
        self.answer(200, self.resource(bucket, name, found))

    def remove(self, bucket, name):
        try:
            os.unlink(store.path(bucket, name))
        except OSError:
            return self.answer(404)
        try:                    # a bucket has no empty directories
            with store.lock:
                os.removedirs(os.path.dirname(store.path(bucket, name)))
        except OSError:
            pass
        return self.answer(204)

    def list(self, bucket, q):
        fault = store.fault("list", bucket)
        if self.refuse(fault):
            return
        after, prefix = q.get("pageToken", ""), q.get("prefix", "")
        if fault == "empty_page":
            return self.answer(200, {"nextPageToken": after + "+" if after else "+"})
        after = after.strip("+")
        names = [n for n in store.names(bucket) if n.startswith(prefix) and n.encode() > after.encode()]
        size = min(args.page, int(q.get("maxResults", 1000)))
        page = {"items": [self.resource(bucket, n, store.find(bucket, n)) for n in names[:size]]}
        if len(names) > size:
            page["nextPageToken"] = names[size - 1]
        self.answer(200, page)

    def range(self, size):
        """(from, to) or None"""
        r = self.headers.get("Range", "")
        if not r.startswith("bytes="):
            return None
        a, b = r[6:].split("-")
        return int(a), min(int(b) if b else size - 1, size - 1)

    def deliver(self, data, headers, fault, ignore_range=False):
        r = None if ignore_range or fault == "whole" else self.range(len(data))
        if r and r[0] >= len(data):
            return self.answer(416, b"", [("Content-Range", "bytes */%d" % len(data))])
        if r:
            headers = headers + [("Content-Range", "bytes %d-%d/%d" % (r[0], r[1], len(data)))]
            data = data[r[0] : r[1] + 1]
        if fault == "corrupt" and data:
            i = len(data) // 2
            data = data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :]
        with store.lock:
            store.sent += len(data)
        self.answer(206 if r else 200, data, headers, fault)

    def content(self, bucket, name, q):
        fault = store.fault("get", name)
        if self.refuse(fault):
            return
        found = store.find(bucket, name)
        if not found or q.get("generation", str(found[0])) != str(found[0]):
            return self.answer(404, {"error": {"message": "No such object: %s/%s" % (bucket, name)}})
        generation, crc, data = found
        if fault == "wrong_crc":
            crc ^= 1
        headers = [("x-goog-generation", str(generation))] + ([("x-goog-hash", "crc32c=" + crc_text(crc))] if crc is not None else [])
        headers += [("x-goog-hash", "md5=AAAAAAAAAAAAAAAAAAAAAA==")]
        if fault == "gzip_lie" or name.endswith(".gzipped"):
            headers.append(("Content-Encoding", "gzip"))
        if name.endswith(".transcoded"):
            headers.append(("x-guploader-response-body-transformations", "gunzipped"))
            data = gzip.decompress(data)
        if fault == "replaced":
            store.write(bucket, name, found[2][::-1])
        self.deliver(data, headers, fault, name.endswith(".transcoded"))

    def plain(self, bucket, name):
        fault = store.fault("get", name)
        if self.refuse(fault):
            return
        found = store.find(bucket, name)
        if not found:
            return self.answer(404)
        headers = [] if name.endswith(".noetag") else [("ETag", '"%d"' % found[0])]
        if fault == "replaced":
            store.write(bucket, name, found[2][::-1])
        self.deliver(found[2], headers, fault, name.endswith(".noranges"))

    # --- writing
    def matches(self, bucket, q):
        if "ifGenerationMatch" not in q:
            return True
        found = store.find(bucket, q["name"])
        return q["ifGenerationMatch"] == str(found[0] if found else 0)

    def keep(self, bucket, name, data, fault):
        store.write(bucket, name, data)
        if fault == "lost":
            return self.end(True)
        resource = self.resource(bucket, name, store.find(bucket, name))
        if fault == "wrong_crc":
            resource["crc32c"] = crc_text(1)
        self.answer(200, resource)

    def put(self, bucket, q):
        data = self.body("put")
        if not self.whole:
            return
        fault = store.fault("put", q["name"])
        if self.refuse(fault):
            return
        if not self.matches(bucket, q):
            return self.answer(412, {"error": {"message": "precondition"}})
        self.keep(bucket, q["name"], data, fault)

    def start(self, bucket, q):
        self.body()
        fault = store.fault("start", q["name"])
        if self.refuse(fault):
            return
        if not self.matches(bucket, q):
            return self.answer(412, {"error": {"message": "precondition"}})
        with store.lock:
            i = "s%d" % (len(store.sessions) + 1)
            store.sessions[i] = {"bucket": bucket, "q": q, "data": bytearray()}
        at = "http://%s/upload/storage/v1/b/%s/o?uploadType=resumable&upload_id=%s" % (self.headers["Host"], bucket, i)
        self.answer(200, b"", [("Location", at)])

    def chunk(self, i):
        data = self.body("chunk")
        if self.command == "DELETE":
            store.sessions.pop(i, None)
            return self.answer(499)
        s = store.sessions.get(i)
        fault = store.fault("chunk", s["q"]["name"] if s else "")
        if fault in ("forget", "forget_410"):
            store.sessions.pop(i, None)
            return self.answer(410 if fault == "forget_410" else 404)
        if not s:
            return self.answer(404)
        if self.refuse(fault):
            return
        what, _, total = self.headers["Content-Range"][6:].partition("/")
        if "made" in s:
            return self.answer(200, s["made"])
        if what != "*":
            a, b = map(int, what.split("-"))
            if not self.whole:          # the client died: what came stays, in whole grains
                data, b, total = data[: len(data) // 262144 * 262144], a + len(data) // 262144 * 262144 - 1, "*"
            if a > len(s["data"]) or b - a + 1 != len(data) or (total == "*" and len(data) % 262144):
                return self.answer(400, {"error": {"message": "chunk %s/%s does not go on at %d" % (what, total, len(s["data"]))}})
            if fault == "short_persist":
                data, total = data[:262144] if len(data) > 262144 else b"", "*"
            if fault == "reset":
                data, total = data[: len(data) // 2 // 262144 * 262144], "*"
            s["data"][a:] = data
            if fault == "reset":
                return self.end(True)
        if total != "*" and len(s["data"]) == int(total):
            if not self.matches(s["bucket"], s["q"]):
                return self.answer(412, {"error": {"message": "precondition"}})
            store.write(s["bucket"], s["q"]["name"], bytes(s["data"]))
            s["made"] = self.resource(s["bucket"], s["q"]["name"], store.find(s["bucket"], s["q"]["name"]))
            s["data"] = bytearray()
            if fault == "wrong_crc":
                return self.answer(200, dict(s["made"], crc32c=crc_text(1)))
            return self.end(True) if fault == "lost" else self.answer(200, s["made"])
        headers = [("Range", "bytes=0-%d" % (len(s["data"]) - 1))] if s["data"] else []
        self.answer(308, b"", headers)


parser = argparse.ArgumentParser()
parser.add_argument("--root", required=True)
parser.add_argument("--port-file")
parser.add_argument("--latency", type=float, default=0)
parser.add_argument("--rate", type=float, default=0)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--token", default="")
parser.add_argument("--tool", default="")
parser.add_argument("--payer", default="")
parser.add_argument("--page", type=int, default=1000)
args = parser.parse_args()
store = Store(args.root)
Handler.page_size = args.page


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        pass                    # clients may leave


server = Server(("127.0.0.1", 0), Handler)
if args.port_file:
    with open(args.port_file + ".part", "w") as f:
        f.write(str(server.server_address[1]))
    os.rename(args.port_file + ".part", args.port_file)
else:
    print(server.server_address[1], flush=True)
server.serve_forever()
