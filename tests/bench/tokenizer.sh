#!/bin/sh
# tests/bench/tokenizer.sh - our tokenizers beside tiktoken and Hugging Face's, one thread, the same text
#
#   tests/bench/tokenizer.sh [TEXT]
# Without TEXT the Perl manual, which Debian has, is the English.  The rivals are
# measured if Python (see lib.sh) has them.  Not a test: prints, never fails.
set -eu
. "$(dirname "$0")/lib.sh"
golden=$top/tests/golden
tmp=$(mktemp -d "${TMPDIR:-/tmp}/penstock.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
text=${1:-$tmp/text}
if [ $# = 0 ]; then
    find /usr/share/perl /usr/lib -name '*.pod' | sort | xargs cat | iconv -c -f utf8 -t utf8 >"$text"
    [ -s "$text" ] || cat "$top"/docs/* >"$text"
fi
make -C "$top" -s BUILD="$build" "$build/kernels.a"
${CC:-cc} -std=c11 -D_GNU_SOURCE -O3 -I"$top" -o "$tmp/bench" "$top/tests/bench/tokenizer_bench.c" \
    "$build/kernels.a" -lm -pthread
xz -dc "$golden/tokenizer-whisper/multilingual/tokenizer.json.xz" >"$tmp/whisper.json"
xz -dc "$golden/tokenizer-gemma3/tokenizer.json.xz" >"$tmp/gemma3.json"
field() { sed -n "s/^$2 .*\"$1\": \([0-9.]*\).*/\1/p" "$tmp/told"; }
faster() {
    awk -v a="$(field encode_MB_s penstock)" -v b="$(field encode_MB_s "$1")" 'BEGIN { if (b > 0) printf "%.1f", a / b }'
}
for m in whisper gemma3; do
    printf 'penstock %s\n' "$("$tmp/bench" "$tmp/$m.json" "$text")" >"$tmp/told"
    TOKENIZERS_PARALLELISM=false "$python" "$top/tests/bench/tokenizer.py" "$m" "$tmp/$m.json" "$text" \
        >>"$tmp/told" 2>"$tmp/err" ||
        echo "not measured: $python has no tokenizers or tiktoken" >>"$tmp/told"
    sed "s/^/$m /" "$tmp/told"
    if [ "$m" = whisper ]; then
        goal "Whisper's ids, a core, beside tiktoken" least 1 "$(faster tiktoken)"
    else
        goal "Gemma 3's ids, a core, beside tokenizers" least 5 "$(faster tokenizers)"
        goal "loading Gemma 3's tokenizer.json, s" most 0.2 "$(field load_s penstock)"
    fi
done
