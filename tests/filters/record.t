#!/bin/sh
# tests/filters/record.t - record and replay: a stream on disk is the same bytes, survives kills, and can be begun anywhere
. "$(dirname "$0")/lib.sh"

texts 300 | sed 's/"}$/ of some length, so that a part fills up"}/' >"$tmp/m.jsonl"
gcs-fetch "$tmp/m.jsonl" >"$tmp/a.stream"
gcs-fetch --unit 7 "$tmp/m.jsonl" >"$tmp/u7.stream"

run record --part-size 5K "$tmp/d" --in "$tmp/a.stream"
is 'record says that it is done' "$st" 0
ok 'into files no larger than asked for' sh -c \
    "[ \$(ls $tmp/d/*.stream | wc -l) -gt 4 ] && [ -z \"\$(find $tmp/d -name '*.stream' -size +5k)\" ]"
runsh "replay '$tmp/d' | cmp - '$tmp/a.stream'"
is 'replay puts the same bytes again' "$st$err" 0
runsh "cat '$tmp'/d/*.stream | stream-show --stats"
like 'cat of the parts is a stream' "$(cat "$out")" '"units": 300, .*"complete": true'
run record "$tmp/d" --in "$tmp/a.stream"
is 'a recording that is whole is left alone' "$st" 0
like 'and it says so' "$err" 'whole already'
run record "$tmp/d" --in "$tmp/u7.stream"
like 'but not when another stream comes, which would be lost' "$st $err" "^100 record: '.*/d' holds another stream"
run record "$tmp/d"
is 'nor when none does' "$st" 0
is 'and of a directory that is not there, without making it' "$(record --next "$tmp/none") $(test -e "$tmp/none"; echo $?)" \
    '0 1'
is '--next says how many units there are' "$(record --next "$tmp/d")" 300

# --- orders -----------------------------------------------------------------------
ids() { stream-show | sed -n 's/.*"id": "\([^"]*\)".*/\1/p'; }
shuffled='replay --shuffle --seed 1 --num-train-epochs 3'
runsh "$shuffled '$tmp/d' >'$tmp/x.stream'; $shuffled '$tmp/a.stream' | cmp - '$tmp/x.stream'"
is 'a plain file and a recording are shuffled alike' "$st$err" 0
ids <"$tmp/x.stream" >"$tmp/ids"
is 'three epochs are three times all samples' \
    "$(awk 'END { print NR }' "$tmp/ids") $(sort "$tmp/ids" | uniq -c | awk '{print $1}' | sort -u)" '900 3'
ok 'and no epoch has the order of another' [ "$(sed -n 1,300p "$tmp/ids" | digest)" != \
    "$(sed -n 301,600p "$tmp/ids" | digest)" ]
replay --shuffle --seed 1 --num-train-epochs 3 --start 700 "$tmp/d" | ids >"$tmp/late"
is '--start begins in the midst of it' "$(cat "$tmp/late")" "$(sed -n '701,$p' "$tmp/ids")"
record "$tmp/d7" <"$tmp/u7.stream"
ok 'units of 7 come again as they were' sh -c "replay $tmp/d7 | cmp - $tmp/u7.stream"
replay --shuffle --seed 1 --num-train-epochs 3 "$tmp/d7" | ids >"$tmp/ids7"
is 'shuffled, they are the same samples in the same order' "$(digest <"$tmp/ids7")" "$(digest <"$tmp/ids")"
replay --unit 7 "$tmp/a.stream" | ids >"$tmp/grouped"
is '--unit groups anew' "$(digest <"$tmp/grouped")" "$(ids <"$tmp/a.stream" | digest)"
run replay --num-train-epochs 2 "$tmp/x.stream"
like 'epochs of epochs are refused' "$st $err" '^100 .*holds 3 epochs already'
run replay "$tmp/a.stream" "$tmp/d"
is 'two recordings of the same stages are one' \
    "$(stream-show --stats <"$out" | sed -n 's/.*"units": \([0-9]*\),.*/\1/p')" 600
TMPDIR="$tmp/none" run replay "$tmp/a.stream"
like 'a file is indexed where TMPDIR says' "$st $err" "^111 .*temporary file in '$tmp/none'"

# --- damage -------------------------------------------------------------------------
size=$(wc -c <"$tmp/a.stream") bad=
for n in 1 100 1000 5001 20000 $((size - 1)); do
    rm -rf "$tmp/t"
    head -c "$n" "$tmp/a.stream" | record "$tmp/t" 2>/dev/null && bad="$bad cut-at-$n-was-a-success"
    record "$tmp/t" <"$tmp/a.stream" 2>/dev/null || bad="$bad cut-at-$n-cannot-go-on"
    replay "$tmp/t" 2>/dev/null | cmp -s - "$tmp/a.stream" || bad="$bad cut-at-$n-differs"
done
is 'a stream cut anywhere can be gone on with, to the same bytes' "$bad" ''
rm -rf "$tmp/t"
head -c 9000 "$tmp/a.stream" | record "$tmp/t" 2>/dev/null
n=$(record --next "$tmp/t")
ok '--start and --next go on without reading again' sh -c \
    "gcs-fetch --start $n $tmp/m.jsonl | record $tmp/t && replay $tmp/t | cmp - $tmp/a.stream"
rm -rf "$tmp/t"
head -c 9000 "$tmp/a.stream" | record "$tmp/t" 2>/dev/null
run record "$tmp/t" --in "$tmp/x.stream"
like 'another stream is refused' "$st $(echo "$err" | tail -n 1)" '^100 .*another stream'
first=$(wc -c <"$tmp/a.stream")
for n in 1000 9000 $((first + 50)) $((first + 9000)); do      # in the first, in the second
    rm -rf "$tmp/two"
    cat "$tmp/a.stream" "$tmp/u7.stream" | head -c "$n" | record "$tmp/two" 2>/dev/null
    runsh "cat '$tmp/a.stream' '$tmp/u7.stream' | record '$tmp/two'"
    is "of two streams one behind the other, cut at byte $n, the rest is recorded" \
       "$st $(cat "$tmp/two"/*.stream | stream-show | cksum)" \
       "0 $(cat "$tmp/a.stream" "$tmp/u7.stream" | stream-show | cksum)"
done
runsh "cat '$tmp/u7.stream' | record '$tmp/two'"
like 'and the second alone is another stream' "$st $err" '^100 .*another stream'
run replay "$tmp/t"
like 'a recording that is not whole is not replayed' "$st $err" '^100 .*no finished recording'
runsh "gcs-fetch --start 20 '$tmp/m.jsonl' | record '$tmp/gap'"
like 'a gap is refused' "$st $err" '^100 .*--start 0'
cp -r "$tmp/d" "$tmp/bad"
at=$(grep -abo 'of some length' "$tmp/bad/part-000001.stream" | sed -n '5s/:.*//p')
printf 'X' | dd of="$tmp/bad/part-000001.stream" bs=1 seek="$at" conv=notrunc 2>/dev/null
run replay "$tmp/bad"
like 'a damaged unit is named' "$st $err" "^100 .*part-000001.*checksum"
: >"$tmp/bad/part-000001.index"
run replay "$tmp/bad"
like 'so is an index that is none' "$st $err" '^100 .*no index'

rm -rf "$tmp/bad"
cp -r "$tmp/d" "$tmp/bad"
size=$(wc -c <"$tmp/bad/part-000000.index") bad=
replay --shuffle --seed 1 "$tmp/d" >"$tmp/shuffled"
# units, samples, and pairs of offset and sample
for at in 8 16 24 32 40 48 $((size - 24)) $((size - 16)) $((size - 8)); do
    cp "$tmp/d/part-000000.index" "$tmp/bad/part-000000.index"
    byte=$(od -An -tu1 -j "$at" -N 1 "$tmp/bad/part-000000.index" | tr -d ' ')
    printf "\\$(printf %o $((byte ^ 1)))" | dd of="$tmp/bad/part-000000.index" bs=1 seek="$at" conv=notrunc 2>/dev/null
    run replay --shuffle --seed 1 "$tmp/bad"
    [ "$st" = 100 ] || cmp -s "$out" "$tmp/shuffled" || bad="$bad $at:$st"
done
is 'an index with a bit that is wrong gives no other samples' "$bad" ''
cp "$tmp/d/part-000000.index" "$tmp/bad/part-000000.index"
: >"$tmp/bad/part-000000.stream"
run replay "$tmp/bad"
like 'a part that was emptied is named' "$st $err" "^100 replay: '.*part-000000.stream' is empty"

# --- kills ----------------------------------------------------------------------------
rm -rf "$tmp/k"
tries=0
while [ ! -e "$tmp/k/recording.json" ] && [ $tries -lt 40 ]; do
    tries=$((tries + 1))
    (cat "$tmp/a.stream"; sleep 0.0$((tries % 10))) | record --part-size 4K "$tmp/k" 2>/dev/null &
    pid=$!
    [ $tries -gt 12 ] || { sleep 0.00$((tries % 7)); kill -9 $pid; }
    wait $pid
done 2>/dev/null
ok "after kill -9, $tries tries in all, it is whole and the same bytes" sh -c "replay $tmp/k | cmp - $tmp/a.stream"
mkfifo "$tmp/hold"
record "$tmp/l" <"$tmp/hold" 2>/dev/null &
exec 3>"$tmp/hold"
wait_until 100 test -e "$tmp/l/lock"
run record "$tmp/l" --in "$tmp/a.stream"
like 'two records into one directory: the second refuses' "$st $err" '^111 .*another process'
exec 3>&-
wait
echo '{"id": "a"}' >"$tmp/text"
run replay "$tmp/text"
is 'what is no stream is told so' "$st $err" "100 replay: '$tmp/text': byte 0: no stream begins here"
plan
