#!/bin/sh
# tests/bench/idle.sh [STEPS] - the share of a training step in which the trainer stands still for samples
#
# A Whisper of 25 million parameters, 8 clips of 30 s a step, features replayed: from a file,
# through a pipe, through fan, and over sockets with a worker. The first step is left out: all begins there.
set -eu
steps=${1:-12}
. "$(dirname "$0")/lib.sh"
micro=$top/tests/golden/whisper-micro
tmp=$(mktemp -d "${TMPDIR:-/tmp}/idle.XXXXXX")
chmod 700 "$tmp"
trap 'rm -rf "$tmp"' EXIT
size=d_model=512,encoder_attention_heads=8,decoder_attention_heads=8,encoder_ffn_dim=2048,decoder_ffn_dim=2048
model-init -q "$micro/model" "$tmp/model" --set $size,encoder_layers=4,decoder_layers=4
perl "$top/tests/filters/micro-stream.pl" "$micro" --repeat $(((steps * 8 + 2) / 3)) | record -q "$tmp/features"
replay -q "$tmp/features" >"$tmp/file"
train="train-step -q --model $tmp/model --batch-size 8 --max-steps $steps --save-steps 0 --logging-steps 1"
train="$train --dtype ${DTYPE:-bfloat16} --threads ${THREADS:-1}"
share() { # NAME: of $tmp/metrics, from the second step on
    perl -MJSON::PP -ne '
        my $l = decode_json($_); next if $l->{step} < 2;
        $w += $l->{wait_seconds}; $s += $l->{step_seconds}; $n++;
        END { printf "%-44s %.3f %% of %.2f s a step waiting (%d steps)\n", "'"$1"'", 100 * $w / $s, $s / $n, $n }
        ' "$tmp/metrics" | tee -a "$tmp/told"
    rm -f "$tmp/metrics"
}
$train --metrics "$tmp/metrics" --in "$tmp/file" >/dev/null 2>&1
share 'from a file'
replay -q "$tmp/features" | $train --metrics "$tmp/metrics" >/dev/null
share 'from replay through a pipe'
replay -q "$tmp/features" | fan -q -j 2 'cat | cat' | $train --metrics "$tmp/metrics" >/dev/null
share 'through fan -j 2'
replay -q --out "@ipc://$tmp/h" "$tmp/features" &
fan -q -j 2 --in "ipc://$tmp/h" --out "ipc://$tmp/t" cat &
$train --metrics "$tmp/metrics" --in "@ipc://$tmp/t" --head "ipc://$tmp/h" --resume "$tmp/out" | ckpt-write -q "$tmp/out"
wait
share 'over sockets, acknowledged, a worker of 2'
goal 'the trainer waits for samples, % of a step, the most of four ways' most 1 "$(awk '
    { for (i = 2; i <= NF; i++) if ($i == "%" && $(i - 1) > most) most = $(i - 1) }
    END { print most + 0 }' "$tmp/told")"
