#!/bin/sh
# tests/filters/lp1.t - streams over ZeroMQ: the bytes of a pipe, whoever computes, with keys, and through kills
. "$(dirname "$0")/lib.sh"

texts 500 >"$tmp/m.jsonl"
gcs-fetch --unit 3 "$tmp/m.jsonl" >"$tmp/a.stream"
ok 'there is something to pass on' test -s "$tmp/a.stream"
mkdir -m 700 "$tmp/s"
h=ipc://$tmp/s/h t=ipc://$tmp/s/t

for n in 1 3; do
    bg head gcs-fetch --unit 3 --out "@$h" "$tmp/m.jsonl"
    bg tail record --in "@$t" --head "$h" "$tmp/d$n"
    for w in $(seq $n); do bg w$w fan -j 2 --metrics "$tmp/w$w.json" --in "$h" --out "$t" 'cat | cat'; done
    left head tail
    for w in $(seq $n); do  # one that came a second after the end would look for its head for minutes
        wait_until 30 test -s "$tmp/w$w.st" || grep -q '"units": [1-9]' "$tmp/w$w.json" ||
            { stop w$w; echo 0 >"$tmp/w$w.st"; }
        left="$left$(cat "$tmp/w$w.st") "
    done
    is "$n workers: all leave well" "$left" "0 0 $(seq $n | sed 's/.*/0/' | tr '\n' ' ')"
    ok 'and the bytes are those of a pipe' sh -c "replay '$tmp/d$n' | cmp - '$tmp/a.stream'"
done
bg head replay --shuffle --seed 3 --out "@$h" "$tmp/d1"
bg tail record --in "@$t" --head "$h" "$tmp/shuffled"
bg w1 fan -j 1 --in "$h" --out "$t" "cat"
left head tail w1
is 'a recording is served like a source' "$left" '0 0 0 '
ok 'in the order of a pipe' sh -c "replay --shuffle --seed 3 '$tmp/d1' >'$tmp/x' && replay '$tmp/shuffled' | cmp - '$tmp/x'"

# --- a filter by itself, and a hub between two pools ------------------------------------
cp "$data/speech/cards/001.wav" "$data/speech/cards/002.wav" "$tmp"
printf '%s\n' '{"id": "a", "audio": "001.wav"}' '{"id": "b", "audio": "nothing.wav"}' '{"id": "c", "audio": "002.wav"}' \
    >"$tmp/sound.jsonl"
gcs-fetch "$tmp/sound.jsonl" 2>/dev/null | audio-decode 2>/dev/null | mel-features 2>/dev/null >"$tmp/mel.stream"
a=ipc://$tmp/s/a b=ipc://$tmp/s/b
bg head gcs-fetch --out "@$h" "$tmp/sound.jsonl"
bg w1 audio-decode --in "$h" --out "$a"
bg hub hub --head "$h" --in "@$a" --out "@$b"
bg w2 mel-features --in "$b" --out "$t"
bg tail record --max-errors 5 --in "@$t" --head "$b" "$tmp/mel"
left head w1 hub w2 tail
is 'filters with endpoints, a pool each, and a hub between' "$left" '0 0 0 0 0 '
ok 'make what they make in a pipe' sh -c "test -s '$tmp/mel.stream' && replay '$tmp/mel' | cmp - '$tmp/mel.stream'"

# --- resume -------------------------------------------------------------------------------
head -c 6000 "$tmp/a.stream" | record "$tmp/half" 2>/dev/null
had=$(record --next "$tmp/half")
bg head gcs-fetch --unit 3 --metrics "$tmp/head.json" --out "@$h" "$tmp/m.jsonl"
bg tail record --in "@$t" --head "$h" "$tmp/half"
bg w1 fan -j 1 --in "$h" --out "$t" cat
left head tail w1
is 'a consumer that goes on' "$left" '0 0 0 '
ok 'ends with the same bytes' sh -c "replay '$tmp/half' | cmp - '$tmp/a.stream'"
like "and $had units were not made again" "$(tail -n 1 "$tmp/head.json")" "\"units\": $((167 - had)),"
bg first record --in "@ipc://$tmp/s/x" --head "$h" "$tmp/two"
wait_until 100 test -s "$tmp/two/consumer.count"
run record --in "@$t" --head "$h" "$tmp/two"
like 'a second consumer of the same directory refuses' "$st $err" '^111 .*another'
stop first

# --- another plan, other settings ------------------------------------------------------------
sed 's/row 50"/hang"/' "$tmp/m.jsonl" >"$tmp/still.jsonl"
bg head gcs-fetch --unit 4 --out "@$h" "$tmp/still.jsonl"
head -c 6000 "$tmp/a.stream" | record "$tmp/other" 2>/dev/null
run record --in "@$t" --head "$h" "$tmp/other"
like 'a consumer of another plan ends with a reason' "$st $(echo "$err" | tail -n 1)" '^100 .*plan'
bg tail record --metrics "$tmp/tail.json" --in "@$t" --head "$h" "$tmp/cfg"
bg w1 fan -j 1 --in "$h" --out "$t" "perl $here/misbehave.pl"
wait_until 100 grep -qs '"units": [1-9]' "$tmp/tail.json"
run mel-features --feature-size 80 --in "$h" --out "$t"
like 'a worker with other settings is told so' "$st $(echo "$err" | tail -n 1)" '^100 .*header differs'
stop w1 tail head

# --- hosts of two kinds --------------------------------------------------------------------
used=$(PENSTOCK_KERNELS= mel-features <"$tmp/a.stream" | stream-show --header | grep -o '"kernels": "[a-z0-9]*"')
if [ "$used" = '"kernels": "ref"' ]; then
    skip 'workers of two instruction sets contribute, and that is told' 'this processor has one'
else
    both() { grep -q '"units": [1-9]' "$tmp/w1.json" && grep -q '"units": [1-9]' "$tmp/w2.json"; } 2>/dev/null
    bit=$(($(wc -c <"$tmp/a.stream") / 100))
    slowly() { # until both have done some
        k=0
        while [ $k -lt 100 ]; do
            tail -c +$((k * bit + 1)) "$tmp/a.stream" | head -c $bit
            both || sleep "$([ $k -lt 60 ] && echo 0.05 || echo 3)"
            k=$((k + 1))
        done
        tail -c +$((k * bit + 1)) "$tmp/a.stream"
    }
    mkfifo "$tmp/slow"
    slowly >"$tmp/slow" 2>/dev/null &
    from=$tmp/slow bg head fan -j 1 --out "@$h" cat
    bg tail record --in "@$t" --head "$h" "$tmp/mixed"
    bg w1 mel-features --metrics "$tmp/w1.json" --in "$h" --out "$t"
    bg w2 env PENSTOCK_KERNELS=ref mel-features --metrics "$tmp/w2.json" --in "$h" --out "$t"
    left head tail w1 w2
    like 'workers of two instruction sets contribute, and that is told' "$left$(cat "$tmp/tail.err")" \
        '^0 0 0 0 .*several instruction sets.*mel-features: [a-z0-9]* beside [a-z0-9]*\)'
fi

# --- keys ----------------------------------------------------------------------------------------
for r in head tail worker; do keygen --role $r "$tmp/$r.key" >>"$tmp/peers"; done
keygen --role worker "$tmp/stranger.key" >/dev/null
run keygen --role worker "$tmp/stranger.key"
like 'a key that is there is kept, and trying again would not help' "$st $err" \
    "^100 keygen: '.*/stranger.key' is there already, and is kept"
is 'a secret key is for its owner only' "$(mode_of "$tmp/head.key")" 600
port=$(ports 2) p="--curve-peers $tmp/peers"
H=tcp://127.0.0.1:$port T=tcp://127.0.0.1:$((port + 1))
bg head gcs-fetch --unit 3 $p --curve-key "$tmp/head.key" --out "@$H" "$tmp/m.jsonl"
bg tail record $p --curve-key "$tmp/tail.key" --in "@$T" --head "$H" "$tmp/tcp"
($within 3 fan -j 1 $p --curve-key "$tmp/stranger.key" --in "$H" --out "$T" cat 2>"$tmp/stranger.err"
 echo $? >"$tmp/stranger.st")
is 'a key that is not in the list gets nothing' "$(cat "$tmp/stranger.st") $([ -e "$tmp/tail.st" ] && echo ended)" '124 '
run fan -j 1 $p --curve-key "$tmp/tail.key" --in "$H" --out "$T" cat
like 'nor does a key with another role' "$st $(echo "$err" | tail -n 1)" '^100 .*role'
bg w1 fan -j 2 $p --curve-key "$tmp/worker.key" --in "$H" --out "$T" cat
left head tail w1
is 'with the right keys all is well' "$left" '0 0 0 '
ok 'and the bytes are those of a pipe' sh -c "replay '$tmp/tcp' | cmp - '$tmp/a.stream'"
run gcs-fetch --out "@$H" "$tmp/m.jsonl"
like 'tcp without keys is refused' "$st $err" '^100 .*--curve-key'
run gcs-fetch --insecure --out "@tcp://*:$port" "$tmp/m.jsonl"
like '--insecure is for loopback' "$st $err" '^100 .*loopback'
for bad in tcp://localhost:99999 tcp://localhost tcp://localhost: tcp://127.0.0.1:70O2; do
    run $within 20 audio-decode --insecure --in "$bad" --out "ipc://$tmp/s/x"
    like "'$bad' is not looked for in vain" "$st $err" '^100 .*: tcp://HOST:PORT is wanted'
done
chmod 644 "$tmp/head.key"
run gcs-fetch $p --curve-key "$tmp/head.key" --out "@$H" "$tmp/m.jsonl"
like 'a key that others may read is refused' "$st $err" '^100 .*chmod 600'
chmod 755 "$tmp/s"
run gcs-fetch --out "@$h" "$tmp/m.jsonl"
like 'so is a socket in an open directory' "$st $err" '^100 .*chmod 700'
run gcs-fetch --out "$h" "$tmp/m.jsonl"
like 'a source binds' "$st $err" "^100 .*'@ipc://"
run fan --in "$h" cat
like 'one end that is an endpoint is not enough' "$st $err" '^100 '

# --- kills: the whole of it is tests/fault/kill -------------------------------------------------------
ok 'head, workers, hub and consumer killed at random: the bytes of one pipe' env HUB=1 bash "$top/tests/fault/kill" 12 2 8000

mkdir -m 700 "$tmp/lone"
bg lone fan -j 1 --in "ipc://$tmp/lone/h" --out "ipc://$tmp/lone/t" cat
wait_until 60 grep -q 'no head answers' "$tmp/lone.err"
like 'a worker without a head says where it looks for one, and for how long' "$(cat "$tmp/lone.err")" \
    "^fan: no head answers at 'ipc://$tmp/lone/h': this goes on looking for one, 600 s in all, and ends with status 111 then\$"
stop lone
plan
