#!/bin/sh
# tests/bench/gemma.sh - Gemma 3 of true size, random weights, on 111 short talks: start, seconds a step, memory, losses
#
#   tests/bench/gemma.sh [270m|1b [STEPS [OPTION...]]]
# 270m takes 5 GB of memory, 1b 18 GB; options are train-step's (--dtype bfloat16, --lora-r 16 ...).
# The start: from the shell's line to the end of the first step, the best of three, with the files in the system's cache.
# PyTorch with transformers (gemma.py) takes the same steps from the same weights on the same rows, if
# Python (see lib.sh; PENSTOCK_PYTHON=none: not) has them, all of the model
# and in float32 or, with --dtype bfloat16, under autocast.  Not a test: prints, never fails.
set -eu
. "$(dirname "$0")/lib.sh"
size=${1:-270m} steps=${2:-6}
[ $# -lt 2 ] || shift
[ $# -lt 1 ] || shift
PATH=${BIN:-$top/bin}:$PATH
tmp=$(mktemp -d "${TMPDIR:-/var/tmp}/penstock.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

case $size in
270m) shape='"hidden_size": 640, "num_hidden_layers": 18, "intermediate_size": 2048' ;;
1b) shape='"hidden_size": 1152, "num_hidden_layers": 26, "intermediate_size": 6912' ;;
*) echo "gemma.sh: 270m or 1b, not '$size'" >&2; exit 100 ;;
esac
cat >"$tmp/config.json" <<END
{"architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "vocab_size": 262144, $shape,
 "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256, "query_pre_attn_scalar": 256, "sliding_window": 512,
 "max_position_embeddings": 32768, "bos_token_id": 2, "eos_token_id": [1, 106], "pad_token_id": 0}
END
mkdir "$tmp/tokenizer"
for f in tokenizer tokenizer_config; do
    xz -dc "$top/tests/golden/tokenizer-gemma3/$f.json.xz" >"$tmp/tokenizer/$f.json"
done

# 111 questions and answers of some 100 tokens, words drawn by a fixed rule
awk 'BEGIN {
    n = split("the river turns under a grey bridge where boats wait for morning light and nobody counts " \
              "the hours of slow water moving past old stones toward salt wind gulls rope tar lamp tide sand", w, " ")
    x = 7
    for (r = 1; r <= 111; r++) {
        for (side = 0; side < 2; side++) {
            text[side] = ""; len = side ? 45 + r % 40 : 8 + r % 9
            for (i = 0; i < len; i++) { x = (x * 1103 + 12345) % 65536; text[side] = text[side] (i ? " " : "") w[x % n + 1] }
        }
        printf "{\"id\": \"r%d\", \"prompt\": \"%s?\", \"response\": \"%s.\"}\n", r, text[0], text[1]
    }
}' >"$tmp/rows.jsonl"

model-init -q --tokenizer "$tmp/tokenizer" "$tmp/config.json" "$tmp/m"
train() { # train STEPS METRICS OPTION...: the whole river, from the rows of text to nowhere
    n=$1 metrics=$2; shift 2
    gcs-fetch -q --num-train-epochs 4 "$tmp/rows.jsonl" | tokenize -q --model "$tmp/m" |
        train-step --model "$tmp/m" --batch-size 4 --max-steps "$n" --learning-rate 1e-5 --weight-decay 0.01 \
            --logging-steps 1 --save-steps 0 --metrics "$metrics" --out /dev/null "$@"
}
train "$steps" "$tmp/metrics" "$@" 2>"$tmp/told" || { cat "$tmp/told"; exit 0; }
grep memory "$tmp/told" | sed "s/^train-step:/Gemma 3 $size, plan:/"
perl -MJSON::PP -e '
    my @m = map { decode_json($_) } <STDIN>; shift @m if @m > 1;       # the first step touches its memory
    my ($s, $t) = (0, 0); $s += $_->{step_seconds} for @m;
    printf "Gemma 3 %s, ours: %.2f s a step of 4 rows (an epoch of 111: %.0f s), peak memory %.2f GB; losses %s\n",
        shift, $s / @m, 111 / 4 * $s / @m, $m[-1]{peak_memory} / 1e9,
        join " ", map { sprintf "%.4f", $_->{loss} } @m' "$size" <"$tmp/metrics"
mkfifo "$tmp/first"
for _ in 1 2 3; do
    perl -MTime::HiRes=time -MJSON::PP -e '
        my $from = time; my $path = shift; open my $f, "+<", $path or die "$path: $!"; my $line = <$f>;
        printf "%.3f %.3f\n", time - $from, decode_json($line)->{step_seconds}' "$tmp/first" >>"$tmp/starts" &
    train 1 "$tmp/first" "$@" 2>/dev/null
    wait
done
sort -n "$tmp/starts" | head -1 >"$tmp/start"
awk -v size="$size" '{
    printf "Gemma 3 %s, ours: the first step ends %.2f s after the start, of which the step %.2f s\n", size, $1, $2
}' "$tmp/start"
[ "$size" = 1b ] || goal "Gemma 3 $size, from start to the first step, without the step, s" most 2 \
    "$(awk '{ printf "%.2f", $1 - $2 }' "$tmp/start")"
[ "$python" != none ] || exit 0
bf16=0; for o; do [ "$o" != bfloat16 ] || bf16=1; done
for n in "$steps" 1 1; do
    "$python" "$top/tests/bench/gemma.py" "$tmp/m" "$tmp/rows.jsonl" "$n" "$size" "$bf16" "$(date +%s.%N)" 2>"$tmp/err" ||
        { tail -1 "$tmp/err"; echo "Gemma 3 $size, PyTorch: not measured, transformers is not in $python"; break; }
done
