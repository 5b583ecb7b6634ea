#!/bin/sh
# tests/filters/filter.t - the loop that all filters share, with two that exist for tests (stream_test.c)
. "$(dirname "$0")/lib.sh"
tool=${BUILD:-$top/build/obj}/unit/stream_test
show() { stream-show "$@" 2>/dev/null; }

"$tool" make 20 3 400 7 >"$tmp/s"
run "$tool" pass --in "$tmp/s" --out "$tmp/p"
is 'a filter that changes nothing succeeds and is silent' "$st:$err" 0:
ok 'and passes all samples on' sh -c "[ \"\$(stream-show '$tmp/s')\" = \"\$(stream-show '$tmp/p')\" ]"
like 'with itself in the header' "$(show --header "$tmp/p")" '"name": "stream-make".*"name": "pass", "version": "[0-9.]+"'
runsh "cat '$tmp/s' '$tmp/s' | '$tool' pass --metrics '$tmp/m' | stream-show --stats"
like 'two streams one after another stay two' "$(head -n 1 "$out")" '"headers": 2, "units": 40, "samples": 120'
like 'metrics count both' "$(tail -n 1 "$tmp/m")" \
    '^\{"stage": "pass", "units_in": 40, "units": 40, "samples": 120, "errors": 8, "window": 0, "rate": [0-9.e+]+, "seconds": [0-9.e-]+, "wait_in": [0-9.e-]+, "wait_out": [0-9.e-]+\}$'

# the slowest stage is found by looking once: here the source
perl "$here/micro-stream.pl" "$golden/whisper-micro" --epochs 3 --sleep 0.25 | "$tool" pass --metrics "$tmp/m1" | record -q \
    --metrics "$tmp/m2" "$tmp/kept"
waits() {
    perl -MJSON::PP -ne '$l = decode_json($_);
        END { print $l->{units}, $l->{wait_in} > 0.7 * $l->{seconds} ? " starved" : "",
                    $l->{wait_out} > 0.3 * $l->{seconds} ? " blocked" : "" }' "$1"
}
is 'behind a slow source all say that they are starved' "$(waits "$tmp/m1"), $(waits "$tmp/m2")" '9 starved, 9 starved'
ok 'and each second' [ "$(wc -l <"$tmp/m2")" -ge 3 ]
rm "$tmp/m1" "$tmp/m2"
"$tool" make 400 3 40000 | "$tool" pass --metrics "$tmp/m1" | (sleep 4; cat >/dev/null)
is 'before a slow reader they are blocked' "$(waits "$tmp/m1")" '400 blocked'

run "$tool" flip --in "$tmp/s" --out "$tmp/f"
is 'samples that fail do not fail the run' "$st" 0
like 'they are named on standard error' "$err" "^flip: sample 'clip-7-2': the third is never good$"
like 'as many as a person reads' "$err" '^flip: further failed samples are counted, and named with -v$'
run "$tool" flip -v --in "$tmp/s" --out "$tmp/f"
is 'with -v all are named, and nobody is told so' \
    "$(echo "$err" | grep -c "^flip: sample '") $(echo "$err" | grep -c further)" '18 0'
like 'and counted at the end' "$err" '^flip: 18 samples failed here; they travel on as error records$'
like 'they travel on as error records' "$(show "$tmp/f")" \
    '\{"id": "clip-7-2", "error": \{"stage": "flip", "message": "the third is never good"\}\}'
like 'the counts add up' "$(show --stats "$tmp/f")" '"units": 20, "samples": 60, "errors": 22'

head -c 20000 "$tmp/s" >"$tmp/cut"
runsh "'$tool' pass <'$tmp/cut' >'$tmp/p'"
like 'a truncated file is told' "$err" '^pass: standard input: truncated at byte 20000,'
is 'status 100' "$st" 100
like 'and what was valid was passed on, without an end' "$(show --stats "$tmp/p")" '"units": 14, .*"complete": false'

# A unit is put before the next is waited for: the first 2 units of a source that then sleeps.
mkfifo "$tmp/fifo"
"$tool" pass <"$tmp/fifo" >"$tmp/live" 2>"$tmp/live.err" &
pid=$!
exec 3>"$tmp/fifo"
head -c 3500 "$tmp/s" >&3
two_there() { show --stats "$tmp/live" | head -n 1 | grep -q '"units": 2,'; }
wait_until 100 two_there
like 'units are handed on before the next is waited for' "$(show --stats "$tmp/live" | head -n 1)" '"units": 2,'
kill -TERM "$pid"
st=0; wait "$pid" || st=$?
exec 3>&-
is 'SIGTERM ends a filter that waits, with status 111' "$st" 111
like 'saying so' "$(cat "$tmp/live.err")" 'stopped by a signal'
like 'and without an end' "$(show --stats "$tmp/live" | head -n 1)" '"units": 2, .*"complete": false'

runsh "'$tool' make 5000 1 4000 | ('$tool' pass; echo pass \$? >&2) | head -c 100 >/dev/null"
is 'a reader that leaves early ends a filter quietly' "$err" 'pass 0'
full "'$tool' pass <'$tmp/s'"
runsh "ulimit -f 1; '$tool' pass --out '$tmp/small' <'$tmp/s'"
is 'so is a limit of the size of files, in place of a signal' "$st $err" \
    "111 pass: cannot write '$tmp/small': File too large"
run record "" --in "$tmp/s"
is 'an operand that is empty does not become the root of all files' "$st $err" \
    '100 record: operand 1 is empty, where DIR is wanted'
runsh "audio-decode <&- >/dev/null"
is 'a closed input is an error, not a wait for something else' "$st $err" \
    '111 audio-decode: standard input: byte 0: cannot read: Bad file descriptor'
runsh "audio-decode <'$tmp/s' >&-"
is 'and a closed output one, not silence' "$st $err" '111 audio-decode: cannot write standard output: Bad file descriptor'
run "$tool" pass --in "$tmp/s" --out "$tmp/s"
like 'input and output must differ' "$err" 'is both --in and --out'
ok 'and the file is as it was' sh -c "stream-show '$tmp/s' >/dev/null"
# Of any program, however the file is named: it would be emptied, or overwritten as it is read.
cp "$tmp/s" "$tmp/held"
for words in "fan -j 1 cat --in $tmp/s" "replay $tmp/s" "stream-show $tmp/s" "stream-show --in $tmp/../${tmp##*/}/s" \
             "train-step --model $golden/whisper-micro/model --in $tmp/s" \
              "generate --model $golden/whisper-micro/model --in $tmp/s" \
             "gcs-fetch --format jsonl $tmp/s" "wer $tmp/s" "hub --in $tmp/s"; do
    run $words --out "$tmp/s"
    like "${words%% *} does not write to what it reads" "$st $err" "^100 ${words%% *}: '.*/s' is both .* and --out"
done
runsh "stream-show <'$tmp/s' >>'$tmp/s'"
like 'nor to its standard input' "$st $err" '^100 .*both --in and --out'
ok 'of all which the file stays as it was' cmp "$tmp/held" "$tmp/s"
run "$tool" pass --in tcp://localhost:1
is 'endpoints are told apart' "$st" 100
if command -v script >/dev/null && script -qec true /dev/null </dev/null >/dev/null 2>&1; then
    script -qec "'$tool' pass" /dev/null >"$tmp/tty" 2>&1 </dev/null || :
    like 'a terminal is refused as input' "$(cat "$tmp/tty")" 'standard input is a terminal'
    script -qec "'$tool' pass <'$tmp/s'" /dev/null >"$tmp/tty" 2>&1 </dev/null || :
    like 'and as output' "$(cat "$tmp/tty")" 'standard output is a terminal'
else
    skip 'a terminal is refused' 'no script(1) of util-linux'
fi
plan
