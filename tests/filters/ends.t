#!/bin/sh
# tests/filters/ends.t - filters between a pipe and a socket: the bytes of plain pipes; what cannot keep that
# is refused, with what would
. "$(dirname "$0")/lib.sh"

texts 400 >"$tmp/m.jsonl"
cp "$data/speech/cards/001.wav" "$tmp"
printf '%s\n' '{"id": "sound", "audio": "001.wav"}' '{"id": "nothing", "audio": "nothing.wav"}' >>"$tmp/m.jsonl"
gcs-fetch -q --unit 3 "$tmp/m.jsonl" >"$tmp/a.stream"
audio-decode -q <"$tmp/a.stream" >"$tmp/d.stream"
ok 'there is something to pass on' test -s "$tmp/d.stream"
mkdir -m 700 "$tmp/s"
h=ipc://$tmp/s/h t=ipc://$tmp/s/t b=ipc://$tmp/s/b
TMPDIR=$tmp; export TMPDIR

# --- a pipe is served --------------------------------------------------------------------
for n in 1 2; do
    if [ $n = 1 ]; then
        from=$tmp/a.stream bg head audio-decode --out "@$h"
    else
        from=$tmp/a.stream bg head fan -j 2 --out "@$h" audio-decode
    fi
    bg tail record --max-errors 5 --in "@$t" --head "$h" "$tmp/served$n"
    bg w1 fan -j 2 --in "$h" --out "$t" cat
    left head tail w1
    is "a filter that binds its output hands out what its pipe gives ($n)" "$left" '0 0 0 '
    ok 'in the bytes of pipes' sh -c "replay -q '$tmp/served$n' | cmp - '$tmp/d.stream'"
done

# --- a socket into a pipe -------------------------------------------------------------------
bg head gcs-fetch --unit 3 --out "@$h" "$tmp/m.jsonl"
bg tail audio-decode --in "$h"
left head tail
is 'a filter that connects its input and writes to a pipe' "$left" '0 0 '
ok 'writes the bytes of pipes' cmp "$tmp/tail.out" "$tmp/d.stream"
bg head gcs-fetch --unit 3 --out "@$h" "$tmp/m.jsonl"
bg tail fan -j 3 --in "$h" --out "$tmp/fan.out" 'audio-decode | cat'
left head tail
is 'so does fan, with its copies' "$left" '0 0 '
ok 'to a file, too' cmp "$tmp/fan.out" "$tmp/d.stream"

# --- a hub that computes ----------------------------------------------------------------------
bg head gcs-fetch --unit 3 --out "@$h" "$tmp/m.jsonl"
bg hub audio-decode --in "$h" --out "@$b"
bg w1 fan -j 1 --in "$b" --out "$t" cat
bg tail record --max-errors 5 --in "@$t" --head "$b" "$tmp/hub"
left head hub w1 tail
is 'a filter that connects its input and binds its output is a hub' "$left" '0 0 0 0 '
ok 'and the bytes are those of pipes' sh -c "replay -q '$tmp/hub' | cmp - '$tmp/d.stream'"
is 'nothing of it stays in TMPDIR' "$(ls -d "$tmp"/penstock.* 2>/dev/null)" ''

# --- what a pipe cannot do ----------------------------------------------------------------------
mkfifo "$tmp/slow"
gone_from_head() {
    perl -ne '$n = $1 - $2 if /"units": (\d+).*"window": (\d+)/; END { exit !$n }' "$tmp/head.json" 2>/dev/null
}
(head -c 4000 "$tmp/a.stream"; wait_until 200 test -e "$tmp/go"; tail -c +4001 "$tmp/a.stream") >"$tmp/slow" 2>/dev/null &
from=$tmp/slow bg head audio-decode --metrics "$tmp/head.json" --out "@$h"
bg w1 fan -j 1 --in "$h" --out "$t" cat
bg first record --max-errors 5 --in "@$t" --head "$h" "$tmp/gone"
wait_until 100 gone_from_head
stop first
rm -rf "$tmp/gone"
bg second record --max-errors 5 --in "@$t" --head "$h" "$tmp/gone"
: >"$tmp/go"
left head
like 'a consumer that lost all is not given half: the head of a pipe ends' "$left$(tail -n 1 "$tmp/head.err")" \
    '^111 .*goes on at unit 0, which a pipe cannot give again'
from=$tmp/a.stream bg head audio-decode --out "@$h"
left head w1 second
is 'and the pipeline started anew' "$left" '0 0 0 '
ok 'serves it all' sh -c "replay -q '$tmp/gone' | cmp - '$tmp/d.stream'"

head -c 9000 "$tmp/d.stream" | record -q --max-errors 5 "$tmp/half" 2>/dev/null
had=$(record --next "$tmp/half")
from=$tmp/a.stream bg head audio-decode --metrics "$tmp/head.json" --out "@$h"
bg w1 fan -j 1 --in "$h" --out "$t" cat
bg tail record --max-errors 5 --in "@$t" --head "$h" "$tmp/half"
left head w1 tail
is "what a consumer has already ($had units) is read and dropped" "$left$([ "$had" -gt 0 ] && echo some)" '0 0 0 some'
ok 'with the same bytes at the end' sh -c "replay -q '$tmp/half' | cmp - '$tmp/d.stream'"
gcs-fetch -q --unit 3 --start 9 "$tmp/m.jsonl" >"$tmp/nine.stream"
from=$tmp/nine.stream bg head audio-decode --out "@$h"
bg tail record --in "@$t" --head "$h" "$tmp/nine"
left head
stop tail
like 'a stream that begins too late is said to' "$left$(tail -n 1 "$tmp/head.err")" \
    '^100 .*goes on at unit 0, and the stream begins at unit 9: give its source --start 0'

# --- ends of a process ------------------------------------------------------------------------------
printf '%s\n' '{"id": "a", "text": "segv"}' >"$tmp/bad.jsonl"
bg head gcs-fetch --out "@$h" "$tmp/bad.jsonl"
run fan -j 1 --in "$h" 'sh -c "exit 100"'
like 'a pipeline that cannot run ends the whole' "$st $err" '^100 .*sh.* ended with status 100'
stop head
bg head gcs-fetch --unit 3 --out "@$h" "$tmp/m.jsonl"
runsh "fan -j 1 --in '$h' cat | head -c 500 >/dev/null; echo ended"
like 'a reader that leaves early ends it quietly' "$(cat "$out")$err" '^ended$'
stop head

# --- refused -----------------------------------------------------------------------------------------
run audio-decode --out "$t"
like 'a pipe cannot feed a worker' "$st $err" "^100 .*bind --out \('@ipc"
run fan --in "@$h" cat
like 'a filter does not take from workers' "$st $err" '^100 .*hub$'
run generate --model "$golden/whisper-micro/model" --in "$h"
like 'a program at the end reads a pipe' "$st $err" '^100 .*pipe or a file'
run tokenize --model "$golden/whisper-micro/model" --show --in "$h"
like 'so does one that shows' "$st $err" '^100 .*pipe or a file'

# --- keys --------------------------------------------------------------------------------------------
for r in head worker hub; do keygen --role $r "$tmp/$r.key" >>"$tmp/peers"; done
port=$(ports 1) p="--curve-peers $tmp/peers"
H=tcp://127.0.0.1:$port
bg head gcs-fetch --unit 3 $p --curve-key "$tmp/head.key" --out "@$H" "$tmp/m.jsonl"
run audio-decode $p --curve-key "$tmp/worker.key" --in "$H"
like 'one that is worker and consumer needs the key of a hub' "$st $(echo "$err" | tail -n 1)" '^100 .*role'
bg tail audio-decode $p --curve-key "$tmp/hub.key" --in "$H"
left head tail
is 'with it all is well' "$left" '0 0 '
ok 'and the bytes are those of pipes' cmp "$tmp/tail.out" "$tmp/d.stream"
plan
