#!/bin/sh
# tests/filters/python-stream.t - msgpack and msgpack-numpy read what we write, and we read what they write
#
# They live in tests/.venv, which is made here when it can be: the first time that needs the network.
. "$(dirname "$0")/lib.sh"
tool=${BUILD:-$top/build/obj}/unit/stream_test
venv=$top/tests/.venv

venv_make() {
    "$venv/bin/python" -c 'import msgpack, msgpack_numpy' 2>/dev/null && return 0
    command -v python3 >/dev/null || { echo 'no python3'; return 1; }
    rm -rf "$venv"
    python3 -m venv "$venv" >/dev/null 2>&1 || { rm -rf "$venv"; echo 'python3 has no venv'; return 1; }
    "$venv/bin/python" -m pip install -q --disable-pip-version-check --retries 1 --timeout 15 msgpack msgpack-numpy \
        >/dev/null 2>&1 \
        || { rm -rf "$venv"; echo 'pip cannot install msgpack and msgpack-numpy'; return 1; }
}
if ! why=$(venv_make); then
    echo "1..0 # SKIP $why"
    exit 0
fi
check() { "$venv/bin/python" "$top/tests/oracle/stream.py" "$@"; }

"$tool" make 7 3 400 >"$tmp/s"
run check values "$tmp/s"
is 'Python reads our stream, value for value' "$(cat "$out")$err" '1 streams, 7 units, 21 samples'
"$tool" pass <"$tmp/s" | "$tool" flip -q >"$tmp/f"
run check check "$tmp/f"
is 'and what filters made of it' "$(cat "$out")$err" '1 streams, 7 units, 21 samples'
"$tool" make 2 2 20000 9 | cat "$tmp/s" - >"$tmp/two"
run check values "$tmp/two"
is 'and two streams one after another, with large values' "$(cat "$out")$err" '2 streams, 9 units, 25 samples'

check write "$tmp/py"
run stream-show "$tmp/py"
is 'we read a stream that Python wrote' "$st:$err" 0:
is 'arrays, numbers and texts' "$(cat "$out")" \
    '{"id": "floats", "input_features": {"shape": [3, 4], "dtype": "float32", "min": 0, "mean": 0.6875, "max": 1.375}, "padding_value": -1.5}
{"id": "ints", "input_ids": {"shape": [3], "dtype": "int32", "min": 1, "mean": 2, "max": 3}, "labels": {"shape": [3], "dtype": "int32", "min": -100, "mean": -31.66667, "max": 3}}
{"id": "others", "d": {"shape": [2], "dtype": "float64", "min": 0.5, "mean": 0.5, "max": 0.5, "nan": 1}, "l": {"shape": [1], "dtype": "int64", "min": 1099511627776, "mean": 1.099512e+12, "max": 1099511627776}, "u": {"shape": [0, 2], "dtype": "uint8"}, "b": {"shape": [1], "dtype": "bool", "min": 1, "mean": 1, "max": 1}, "s": {"shape": [1], "dtype": "int16", "min": -7, "mean": -7, "max": -7}}
{"id": "bfloat16", "w": {"shape": [2], "dtype": "bfloat16", "min": -2, "mean": -0.5, "max": 1}}
{"id": "plain ☃", "audio": {"bytes": 5}, "text": "söt", "duration": 1.5, "row": {"n": -3, "big": 9223372036854775808, "none": null, "list": [1, "x"]}}
{"id": "failed", "error": {"stage": "python", "message": "for the test"}}'
"$tool" pass <"$tmp/py" >"$tmp/p"
run check check "$tmp/p"
is 'and Python reads it again after a filter' "$(cat "$out")$err" '1 streams, 3 units, 6 samples'
is 'with nothing changed but the header' "$(stream-show "$tmp/p" | cksum)" "$(stream-show "$tmp/py" | cksum)"

# The example in the manual, as it stands there.
sed -n '/^import msgpack/,/^\.Ed/{/^\.Ed/!p;}' "$top/docs/stream.7" >"$tmp/example.py"
cp "$tmp/s" "$tmp/features.stream"
runsh "cd '$tmp' && '$venv/bin/python' example.py"
is "the manual's example in Python prints the ids" "$err$(sed -n '1p;$p' "$out")" "clip-0-0
clip-6-2"
plan
