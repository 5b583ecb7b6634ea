#!/bin/sh
# tests/filters/remote-training.t - one training, however its parts are spread and whatever befalls them: the
# weights are the bytes of a plain pipe
. "$(dirname "$0")/lib.sh"
model=$golden/whisper-micro/model
cards >"$tmp/train.jsonl"
source="--num-train-epochs 75 --shuffle --seed 5"
front="audio-decode -q | mel-features -q --model $model --over-long cut | tokenize -q --model $model --language en"
options="-q --model $model --batch-size 2 --learning-rate 1e-3 --save-steps 10 --threads 1"

gcs-fetch -q "$tmp/train.jsonl" | sh -c "$front" | record -q "$tmp/features"
gcs-fetch -q $source "$tmp/train.jsonl" | sh -c "$front" | train-step $options | ckpt-write -q "$tmp/want"
want=$tmp/want/latest/model.safetensors
ok 'a plain pipe trains' test -s "$want"
ok 'for 150 steps' test "$(readlink "$tmp/want/latest")" = step-000150

# Each case has a directory with its sockets, process ids and words; it is done when its trainer is.
part() { # part CASE NAME CMD...: in the background; its id, then its status
    local d=$tmp/$1 name=$2
    shift 2
    ($within "${LIMIT:-800}" "$@" 2>"$d/$name.err" & echo $! >"$d/$name.pid"; wait $!; echo $? >"$d/$name.st") 2>/dev/null &
}
head_of() { part "$1" head gcs-fetch -q $source --out "@ipc://$tmp/$1/h" "$tmp/train.jsonl"; }
worker_of() { part "$1" "worker$2" fan -q --cpus none -j 1 --in "ipc://$tmp/$1/h" --out "ipc://$tmp/$1/t" "$front"; }
trainer_of() {
    mkfifo "$tmp/$1/checkpoints"
    exec 7<>"$tmp/$1/checkpoints"       # held by the trainer, so that the writer ends with it, whatever befalls
    part "$1" trainer train-step $options --in "@ipc://$tmp/$1/t" --head "ipc://$tmp/$1/h" --resume "$tmp/$1/out" \
        --out "$tmp/$1/checkpoints"
    ckpt-write -q "$tmp/$1/out" <"$tmp/$1/checkpoints" 7>&- 2>"$tmp/$1/writer.err" &
    writers="$writers $!"
    exec 7>&-
}
begun() { # begun CASE: waits for its first checkpoint; false: its trainer is done already
    wait_until 600 test -e "$tmp/$1/out/latest"
    [ ! -e "$tmp/$1/trainer.st" ]
}
pids_of() { # the program under within.pl, and its children: as a machine that stops
    local p
    for p in $(pgrep -P "$(cat "$tmp/$1/$2.pid")"); do echo "$p"; pgrep -P "$p"; done
}
stopped() { # stopped CASE NAME SECONDS
    local all
    begun "$1" || return
    all=$(pids_of "$1" "$2")
    [ -n "$all" ] && kill -STOP $all 2>/dev/null && echo yes >"$tmp/$1/befell"
    sleep "$3"
    kill -CONT $all 2>/dev/null
}
pools='1 3 7'
[ -z "$sanitized" ] || pools=3
writers=
cases="$pools late replayed second stop-worker stop-head stop-trainer"
for c in $cases; do mkdir -m 700 "$tmp/$c"; done

for n in $pools; do
    head_of $n
    trainer_of $n
    for w in $(seq $n); do worker_of $n $w; done
done
part replayed head replay -q --out "@ipc://$tmp/replayed/h" --num-train-epochs 75 --shuffle --seed 5 "$tmp/features"
trainer_of replayed
part replayed worker1 fan -q -j 1 --in "ipc://$tmp/replayed/h" --out "ipc://$tmp/replayed/t" cat
worker_of late 1
trainer_of late
(sleep 0.5; head_of late; begun late && echo yes >"$tmp/late/befell"; worker_of late 2; wait) &
head_of second
trainer_of second
worker_of second 1
(begun second && echo yes >"$tmp/second/befell"
    train-step $options --in "@ipc://$tmp/second/x" --head "ipc://$tmp/second/h" --resume "$tmp/second/out" \
        2>"$tmp/second/two.err" >/dev/null
    echo $? >"$tmp/second/two.st") &
for who in worker head trainer; do
    c=stop-$who
    head_of $c
    trainer_of $c
    worker_of $c 1
    [ $who != worker ] || worker_of $c 2
    name=$who
    [ $who != worker ] || name=worker1
    stopped $c $name 7.5 &
done
for c in $cases; do wait_until 800 test -e "$tmp/$c/trainer.st"; done
wait $writers
# Who did not hear the end (asleep, or given up by a head that slept) would look for its head for ten minutes.
sleep 1
for w in "$tmp"/*/worker*.pid; do [ -e "${w%.pid}.st" ] || kill "$(cat "$w")"; done 2>/dev/null
wait

for c in $cases; do
    case $c in
    [137]) what="$c workers" ;;
    late) what='a worker that joins when training has begun' ;;
    replayed) what='features that were recorded and are replayed' ;;
    second) what='a second trainer that tried' ;;
    *) what="the ${c#stop-} stopped for longer than a lease" ;;
    esac
    is "$what: the trainer ends well" "$(cat "$tmp/$c/trainer.st")$(cat "$tmp/$c/trainer.err")" 0
    ok "$what: the weights are those of the pipe" cmp "$want" "$tmp/$c/out/latest/model.safetensors"
    case $c in late | second | stop-*) ok "$what: it befell while it trained" test -s "$tmp/$c/befell" ;; esac
done
like 'the second trainer on a run directory refuses' "$(cat "$tmp/second/two.st" "$tmp/second/two.err")" \
    "another consumer works on"
is 'with a status that says: later, perhaps' "$(cat "$tmp/second/two.st")" 111
plan
