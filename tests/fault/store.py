"""tests/fault/store.py - what the servers of server.py keep: objects as files, the faults that tests ask for, counts"""
import base64
import hashlib
import os
import struct
import subprocess
import threading
import time

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
    def __init__(self, root, tool, rate, seed, page, token, payer):
        self.root, self.lock = root, threading.RLock()
        self.tool, self.rate, self.seed, self.page, self.token, self.payer = tool, rate, seed, page, token, payer
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
        elif k[1] is None and self.tool:
            k[1] = int(subprocess.run([self.tool, "crc32c", self.path(bucket, name)], stdout=subprocess.PIPE).stdout)
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

    def remove(self, bucket, name):
        """False: there was none."""
        try:
            os.unlink(self.path(bucket, name))
        except OSError:
            return False
        try:                    # a bucket has no empty directories
            with self.lock:
                os.removedirs(os.path.dirname(self.path(bucket, name)))
        except OSError:
            pass
        return True

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
            if self.rate:
                n = self.seen[(on, path)] = self.seen.get((on, path), 0) + 1
                h = hashlib.sha256(("%d %s %s %d" % (self.seed, on, path, n)).encode()).digest()
                if struct.unpack(">I", h[:4])[0] < self.rate * 2**32:
                    names = {"get": ["503", "quick_429", "reset", "cut", "corrupt"],
                             "chunk": ["503", "reset", "lost", "short_persist", "forget"],
                             "put": ["503", "lost"], "list": ["503", "empty_page"]}.get(on, ["503", "quick_429"])
                    return names[h[4] % len(names)]
        return None
