#!/bin/sh
# tests/bench/tokenizer.sh - our tokenizers beside tiktoken and Hugging Face's, one thread, the same text
#
#   tests/bench/tokenizer.sh [TEXT]
# Without TEXT the Perl manual, which Debian has, is the English.  The rivals are
# measured if $PYTHON (python3) has them.  Not a test: prints, never fails.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$top/build/obj}
golden=$top/tests/golden
tmp=$(mktemp -d "${TMPDIR:-/tmp}/penstock.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
text=${1:-$tmp/text}
if [ $# = 0 ]; then
    find /usr/share/perl /usr/lib -name '*.pod' | sort | xargs cat | iconv -c -f utf8 -t utf8 >"$text"
    [ -s "$text" ] || cat "$top"/docs/* >"$text"
fi
make -C "$top" -s BUILD="$build" "$build/kernels.a"
${CC:-cc} -std=c11 -D_GNU_SOURCE -O3 -I"$top" -o "$tmp/bench" "$top/tests/bench/tokenizer_bench.c" "$build/kernels.a" -lm -pthread
xz -dc "$golden/tokenizer-whisper/multilingual/tokenizer.json.xz" >"$tmp/whisper.json"
xz -dc "$golden/tokenizer-gemma3/tokenizer.json.xz" >"$tmp/gemma3.json"
for m in whisper gemma3; do
    printf '%s penstock %s\n' "$m" "$("$tmp/bench" "$tmp/$m.json" "$text")"
    TOKENIZERS_PARALLELISM=false ${PYTHON:-python3} - "$m" "$tmp/$m.json" "$text" <<'X' || echo "$m: no rivals in ${PYTHON:-python3}"
import json, sys, time
from tokenizers import Tokenizer

model, path, text = sys.argv[1:]
text = open(text, encoding="utf-8", newline="").read()
pieces, at = [], 0
while at < len(text):
    end = text.find("\n", at + 4000)
    end = len(text) if end < 0 else min(end, at + 8000)
    pieces.append(text[at:end])
    at = end
size = len(text.encode())

def best(make, encode):
    took = []
    for _ in range(3):
        t = make()
        start = time.process_time()
        n = sum(len(encode(t, p)) for p in pieces)
        took.append(time.process_time() - start)
    return size / min(took) / 1e6, n

start = time.process_time()
Tokenizer.from_file(path)
load = time.process_time() - start
rate, n = best(lambda: Tokenizer.from_file(path), lambda t, p: t.encode(p, add_special_tokens=False).ids)
print(f'{model} tokenizers {{"load_s": {load:.3f}, "encode_MB_s": {rate:.1f}, "tokens": {n}}}')
if model == "whisper":
    import tiktoken

    spec = json.load(open(path, encoding="utf-8"))
    byte, extra = {}, 256
    for b in range(256):
        if 0x20 < b < 0x7F or (b > 0xA0 and b != 0xAD):
            byte[chr(b)] = b
        else:
            byte[chr(extra)], extra = b, extra + 1
    ranks = {bytes(byte[c] for c in k): v for k, v in spec["model"]["vocab"].items() if k}
    added = {t["content"]: t["id"] for t in spec["added_tokens"]}
    ranks = {k: v for k, v in ranks.items() if v < min(added.values())}
    pattern = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
    make = lambda: tiktoken.Encoding("w", pat_str=pattern, mergeable_ranks=ranks, special_tokens=added)
    rate, n = best(make, lambda t, p: t.encode(p, allowed_special="all"))
    print(f'{model} tiktoken {{"encode_MB_s": {rate:.1f}, "tokens": {n}}}')
X
done
