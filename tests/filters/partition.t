#!/bin/sh
# tests/filters/partition.t - a network that drops packets without a word (half-open connections), for longer
# than a lease: the same weights
#
# Heads, trainers and far workers in network namespaces of their own, a router between them, all of
# it inside namespaces that go away with this test; the router swallows what it is told to.
. "$(dirname "$0")/lib.sh"
if [ "${1:-}" != inside ]; then
    if ! command -v ip >/dev/null || ! unshare -Urmnpf true 2>/dev/null ||
        ! unshare -Urmnpf sh -c 'mount -t tmpfs none /run && ip netns add x &&
                                 ip link add name va type veth peer name vb' 2>/dev/null; then
        skip 'a network that drops packets' 'network namespaces cannot be made here (ip, unshare)'
        plan
        exit 0
    fi
    rm -rf "$tmp"
    exec unshare -Urmnpf sh "$0" inside
fi
model=$golden/whisper-micro/model
mount -t tmpfs none /run
ip netns add R
at() { ip netns exec "$@"; }
host() { # host NAME NUMBER: a namespace with a link to the router
    ip netns add "$1"
    ip link add "v$1" netns R type veth peer name eth0 netns "$1"
    ip -n R addr add "10.77.$2.1/24" dev "v$1"
    ip -n R link set "v$1" up
    ip -n "$1" addr add "10.77.$2.2/24" dev eth0
    ip -n "$1" link set eth0 up
    ip -n "$1" link set lo up
    ip -n "$1" route add default via "10.77.$2.1"
}
host T 2
for n in 3 4 5; do host H$n 1$n; host W$n 2$n; done
at R sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
drop() { ip -n R route add blackhole "10.77.$1.2/32"; }
pass() { ip -n R route del blackhole "10.77.$1.2/32"; }

cards >"$tmp/train.jsonl"
source="--num-train-epochs 75 --shuffle --seed 5"
front="audio-decode -q | mel-features -q --model $model --over-long cut | tokenize -q --model $model --language en"
options="-q --model $model --batch-size 2 --learning-rate 1e-3 --save-steps 10 --threads 1"
gcs-fetch -q $source "$tmp/train.jsonl" | sh -c "$front" | train-step $options | ckpt-write -q "$tmp/want"
want=$tmp/want/latest/model.safetensors
ok 'a plain pipe trains' test -s "$want"
for r in head tail worker; do keygen --role $r "$tmp/$r.key" >>"$tmp/peers"; done
keys() { echo "--curve-key $tmp/$1.key --curve-peers $tmp/peers"; }

# Each case has a host for its head and one for a far worker; another worker is beside the trainer.
start() { # start CASE NUMBER
    local head="tcp://10.77.1$2.2:7001" tail="tcp://10.77.2.2:700$2" d="$tmp/$1"
    mkdir "$d"
    mkfifo "$d/checkpoints"
    (at H$2 timeout 800 gcs-fetch -q $source $(keys head) --out "@$head" "$tmp/train.jsonl" 2>"$d/head.err"
     echo $? >"$d/head.st") &
    for w in T W$2; do
        (at $w timeout 800 fan -q --cpus none -j 1 $(keys worker) --in "$head" --out "$tail" "$front" 2>"$d/$w.err"
         echo $? >"$d/$w.st") &
    done
    (at T timeout 800 train-step $options $(keys tail) --in "@$tail" --head "$head" --resume "$d/out" \
         --out "$d/checkpoints" 2>"$d/trainer.err"
     echo $? >"$d/trainer.st") &
    ckpt-write -q "$d/out" <"$d/checkpoints" 2>"$d/writer.err" &
}
begun() {
    wait_until 600 test -e "$tmp/$1/out/latest"
    [ ! -e "$tmp/$1/trainer.st" ] && echo yes >"$tmp/$1/befell"
}
finished() { # finished CASE WHAT
    wait_until 800 test -e "$tmp/$1/trainer.st"
    ok "$2: it befell while it trained" test -s "$tmp/$1/befell"
    is "$2: the trainer ends well" "$(cat "$tmp/$1/trainer.st" "$tmp/$1/trainer.err")" 0
    ok "$2: the weights are those of the pipe" cmp "$want" "$tmp/$1/out/latest/model.safetensors"
}
start worker 3
start gone 4
start head 5
begun worker
drop 23
begun gone
drop 24
begun head
drop 15
sleep 7.5
pass 23
pass 15
finished worker 'a worker whose packets vanish and come back'
finished gone 'a worker whose packets vanish for ever'
finished head 'a head whose packets vanish and come back'
wait_until 300 test -s "$tmp/head/head.st"
# A worker that could not hear the farewell looks for its head for ten minutes: that is no error.
is 'and those who can be reached leave in the end' \
    "$(cat "$tmp/head/head.st")$(cat "$tmp/head/T.st" 2>/dev/null || echo 0)" 00
rm -rf "$tmp"
plan
