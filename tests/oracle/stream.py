"""tests/oracle/stream.py - streams as Python sees them: msgpack and msgpack-numpy, and nothing of ours

usage: stream.py check FILE    reads a stream and checks framing, counts and checksums; status 1 if anything is wrong
       stream.py values FILE   the same, and every value against what `stream_test make` puts
       stream.py write FILE    writes a stream of all types of arrays, for us to read
"""
import sys

import msgpack
import msgpack_numpy
import numpy as np

TABLE = []
for i in range(256):
    c = i
    for _ in range(8):
        c = (c >> 1) ^ (0x82F63B78 if c & 1 else 0)
    TABLE.append(c)


def crc32c(data):
    c = 0xFFFFFFFF
    for b in data:
        c = (c >> 8) ^ TABLE[(c ^ b) & 255]
    return c ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283


def objects(data):
    """Each top-level object with its first and last byte's place."""
    u = msgpack.Unpacker(object_hook=msgpack_numpy.decode, raw=False, strict_map_key=False, max_buffer_size=1 << 30)
    u.feed(data)
    at = 0
    for o in u:
        yield o, at, u.tell()
        at = u.tell()
    assert at == len(data), f"half an object at byte {at} of {len(data)}"


def streams(data):
    """Lists of (header, units), each unit (control, samples), after all checks."""
    found, header, units, control = [], None, [], None
    for o, a, b in objects(data):
        if control is not None:
            assert b - a == control["n"] and crc32c(data[a:b]) == control["c"], f"unit {control['q']}: size or checksum"
            assert list(o) == ["samples"] and len(o["samples"]) == control["k"], f"unit {control['q']}: samples"
            assert all(isinstance(s["id"], str) for s in o["samples"])
            units.append((control, o["samples"]))
            control = None
        elif header is None:
            assert o["penstock"] == 1 and isinstance(o["run"], bytes) and len(o["run"]) == 16, f"byte {a}: not a header"
            assert all(isinstance(s["name"], str) and isinstance(s["version"], str) for s in o["stages"])
            header, units, began = o, [], a
        elif o["t"] == "DATA":
            assert not units or o["q"] == units[-1][0]["q"] + 1, f"unit {o['q']} after {units[-1][0]['q']}"
            control = o
        else:
            samples = [s for _, unit in units for s in unit]
            assert o["t"] == "END" and o["units"] == len(units) and o["samples"] == len(samples)
            assert o["errors"] == sum("error" in s for s in samples)
            assert o["c"] == crc32c(data[began:a]), "checksum of the stream"
            found.append((header, units))
            header = None
    assert header is None and control is None, "no end"
    return found


def values(found):
    """What tests/unit/stream_test.c's `make` puts, of whatever size."""
    for header, units in found:
        for control, samples in units:
            for i, s in enumerate(samples):
                assert s["id"] == f"clip-{control['q']}-{i}", s["id"]
                if control["q"] % 5 == 4 and i == 0:
                    assert s == {"id": s["id"], "error": {"stage": "audio-decode", "message": "no sound in it"}}, s
                    continue
                pcm = s["pcm"]
                want = (np.arange(header["stages"][0]["bytes"] // 4) % 100).astype(np.float32) / np.float32(100)
                assert isinstance(pcm, np.ndarray) and pcm.dtype == np.float32 and np.array_equal(pcm, want), s["id"]
                assert s["rate"] == 16000 and s["text"] == "grüß dich", s


def samples_of_all_types():
    yield {"id": "floats", "input_features": np.arange(12, dtype=np.float32).reshape(3, 4) / 8,
           "padding_value": np.float32(-1.5)}
    yield {"id": "ints", "input_ids": np.array([1, 2, 3], np.int32), "labels": np.array([-100, 2, 3], np.int32)}
    yield {"id": "others", "d": np.array([0.5, np.nan]), "l": np.array([2**40]), "u": np.zeros((0, 2), np.uint8),
           "b": np.array([True]),
           "s": np.array([-7], np.int16)}
    yield {"id": "bfloat16", "w": {b"nd": True, b"type": "<u2", b"kind": b"", b"shape": [2], b"data": b"\x80\x3f\x00\xc0",
                                   b"dtype": "bfloat16"}}
    yield {"id": "plain ☃", "audio": b"\0" * 5, "text": "söt", "duration": 1.5,
           "row": {"n": -3, "big": 2**63, "none": None, "list": [1, "x"]}}
    yield {"id": "failed", "error": {"stage": "python", "message": "for the test"}}


def put(path, run, units, **header):
    """A stream of units, which are lists of samples."""
    pack = lambda o: msgpack.packb(o, default=msgpack_numpy.encode, use_bin_type=True)
    samples = sum(len(u) for u in units)
    data = pack({"penstock": 1, "run": run, "samples": samples, "epochs": 1, **header})
    for q, u in enumerate(units):
        body = pack({"samples": u})
        data += pack({"t": "DATA", "q": q, "e": 0, "k": len(u), "n": len(body), "c": crc32c(body)}) + body
    errors = sum("error" in s for u in units for s in u)
    data += pack({"t": "END", "units": len(units), "samples": samples, "errors": errors, "c": crc32c(data)})
    with open(path, "wb") as f:
        f.write(data)


def write(path):
    samples = list(samples_of_all_types())
    put(path, b"python's own run", [samples[2 * q : 2 * q + 2] for q in range(3)],
        stages=[{"name": "python", "version": "1", "depth": 2}])


if __name__ == "__main__":
    what, path = sys.argv[1:]
    if what == "write":
        write(path)
    else:
        with open(path, "rb") as f:
            found = streams(f.read())
        if what == "values":
            values(found)
        print(len(found), "streams,", sum(len(u) for _, u in found), "units,",
              sum(len(s) for _, u in found for _, s in u), "samples")
