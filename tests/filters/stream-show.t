#!/bin/sh
# tests/filters/stream-show.t - what a person sees of a stream
. "$(dirname "$0")/lib.sh"
tool=${BUILD:-$top/build/obj}/unit/stream_test

"$tool" make 6 2 400 >"$tmp/s"
run stream-show "$tmp/s"
is 'a stream is shown' "$st:$err" 0:
is 'one line a sample' "$(wc -l <"$out" | tr -d ' ')" 12
is 'arrays in summary, texts and numbers as they are' "$(sed -n 1p "$out")" \
    '{"id": "clip-0-0", "pcm": {"shape": [100], "dtype": "float32", "min": 0, "mean": 0.495, "max": 0.99}, "rate": 16000, "text": "grüß dich"}'
is 'error records with stage and message' "$(sed -n 9p "$out")" \
    '{"id": "clip-4-0", "error": {"stage": "audio-decode", "message": "no sound in it"}}'
run stream-show --values 2 --in "$tmp/s"
like '--values lists the first items' "$(sed -n 1p "$out")" '"values": \[0, 0.01\]'
run stream-show --header "$tmp/s"
is '--header prints the header alone' "$(cat "$out")" \
    '{"penstock": 1, "run": "30313233343536373839616263646566", "samples": 12, "epochs": 1, "stages": [{"name": "stream-make", "version": "0.1.0", "bytes": 400}]}'

run stream-show --stats --metrics "$tmp/m" "$tmp/s"
like '--stats counts the stream' "$(sed -n 1p "$out")" \
    '"headers": 1, "units": 6, "samples": 12, "errors": 1, "epochs": 1, "bytes": [0-9]+, "complete": true'
like 'who failed samples' "$(cat "$out")" '"failed_by": "audio-decode", "count": 1'
like 'and each field' "$(cat "$out")" '"field": "pcm", "count": 11, "type": "array", .*"shape_min": \[100\]'
like '--metrics tells of the run' "$(cat "$tmp/m")" \
    '"stage": "stream-show", "units_in": 6, "units": 6, "samples": 12, "errors": 1'

cat "$tmp/s" "$tmp/s" >"$tmp/two"
run stream-show --header "$tmp/two"
is 'two streams in one file are two headers' "$(wc -l <"$out" | tr -d ' ')" 2

head -c 2500 "$tmp/s" >"$tmp/cut"
run stream-show "$tmp/cut"
is 'a file cut short is shown up to the break' "$(wc -l <"$out" | tr -d ' ')" 4
like 'the break is named' "$err" '^stream-show: .*cut.: truncated at byte 2500, inside a body: the file is not complete$'
is 'and trying again will not help' "$st" 100
runsh "cat '$tmp/cut' | stream-show"
like 'a pipe cut short: the stage before it died' "$err" 'standard input: truncated at byte 2500, .* the stage before it'
is 'and trying again may help' "$st" 111
runsh "(dd bs=1 count=1000; printf x; dd bs=1 skip=1) <'$tmp/s' 2>/dev/null | stream-show"
like 'a changed byte is told' "$err" 'standard input: byte [0-9]+: unit 0: checksum of the body'
is 'and is bad input' "$st" 100

runsh "'$tool' make 2000 1 40 | stream-show | head -n 1"
is 'a reader that leaves early ends it quietly' "$err" ''
full "stream-show '$tmp/s'"
run stream-show "$tmp/none"
like 'a missing file is named' "$err" "^stream-show: cannot read '.*/none': No such file"
is 'with status 100' "$st" 100
run stream-show "$tmp"
like 'a directory is refused' "$err" 'it is a directory'
runsh "echo hello | stream-show"
like 'text is not taken for a stream' "$err" 'byte 0: not a stream'
micro=$golden/whisper-micro
perl "$here/micro-stream.pl" "$micro" | train-step -q --model "$micro/model" --max-steps 1 --resume "$tmp/dest" >"$tmp/ck"
run stream-show "$tmp/ck"
like 'a stream of checkpoints is told to be one' "$st $err" \
    "^100 stream-show: '$tmp/ck': byte [0-9]+: a stream of checkpoints, not of samples: it is for ckpt-write\$"
run ckpt-write -q --in "$tmp/ck" "$tmp/dest"
perl "$here/micro-stream.pl" "$micro" | train-step -q --model "$micro/model" --max-steps 1 --resume "$tmp/dest" \
    >"$tmp/none.ck"
run stream-show "$tmp/none.ck"
like 'also one that holds none' "$st $err" "^100 .*a stream of checkpoints, not of samples"
run stream-show --stat
is 'a misspelt option is told the nearest' "$err" "stream-show: unknown option '--stat'; the nearest is '--stats'"
plan
