#!/usr/bin/env python3
"""tests/fault/server.py - object stores that misbehave on purpose

    server.py --root DIR [--port-file FILE] [--latency MS] [--gather N] [--rate P --seed N] [--token T] [--page N]
              [--tool PATH] [--payer P]

DIR/BUCKET/OBJECT are served as Google's JSON API (/storage/v1, /upload/storage/v1, see google.py),
as S3 (/s3/BUCKET/OBJECT, see s3.py) and as plain files (/plain/BUCKET/OBJECT).
Also token servers (/token, /sts, /sts-aws, /container), metadata servers
(/computeMetadata/..., /latest/...), and what tests ask for:

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
With --gather N nothing is answered before N requests are there at once (or 100 s have passed).
With --rate P each request has one of 503 429-without-waiting reset cut with probability P,
as a hash of (seed, how many requests this one is for its path).
"""
import argparse
import http.server
import json
import os
import socket
import struct
import time
import urllib.parse

import google
import s3
from store import Store


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
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
        until = time.time() + 100
        while store.most < args.gather and time.time() < until:
            time.sleep(0.01)
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
            return self.answer(200, {"counts": store.counts, "most": store.most, "bytes": store.received,
                                     "unfinished": len(s3.uploads), "sent": store.sent})
        if part[1] in ("sts-aws", "container", "latest"):
            return s3.credentials(self, store, url)
        if part[1] == "s3":
            return s3.handle(self, store, url)
        if part[1] == "plain":
            return self.plain(part[2], urllib.parse.unquote("/".join(part[3:])))
        if google.credentials(self, store, url) is False:
            google.handle(self, store, url)
        return None

    # --- content
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


parser = argparse.ArgumentParser()
parser.add_argument("--root", required=True)
parser.add_argument("--port-file")
parser.add_argument("--latency", type=float, default=0)
parser.add_argument("--gather", type=int, default=0)
parser.add_argument("--rate", type=float, default=0)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--token", default="")
parser.add_argument("--tool", default="")
parser.add_argument("--payer", default="")
parser.add_argument("--page", type=int, default=1000)
args = parser.parse_args()
store = Store(args.root, args.tool, args.rate, args.seed, args.page, args.token, args.payer)


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
