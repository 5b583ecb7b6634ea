#!/bin/sh
# tests/filters/ckpt-stores.t - checkpoints in a bucket: whole or not there, whatever fails or is killed
. "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || { skip 'checkpoints in stores' 'python3 is missing'; plan; exit 0; }
. "$top/tests/fault/lib.sh"
unset GOOGLE_APPLICATION_CREDENTIALS GCS_OAUTH_TOKEN CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE http_proxy HTTP_PROXY
stream() { perl "$here/ckpt-stream.pl" "$@"; }
export HOME="$tmp" PENSTOCK_CACHE="$tmp/cache" PENSTOCK_STORE_STALL=5
cd "$tmp" || exit 1
server_start
export STORAGE_EMULATOR_HOST="$server"

# Is root/b/RUN/latest a checkpoint that can be loaded?  Prints its step, or what is wrong.
cat >sound.py <<'END'
import hashlib, json, os, sys
run = sys.argv[1]
try:
    step = open(run + "/latest").read().strip()
except FileNotFoundError:
    print("none"); sys.exit()
files = json.load(open("%s/%s/complete.json" % (run, step)))["files"]
for name, f in files.items():
    data = open("%s/%s/%s" % (run, step, name), "rb").read()
    if len(data) != f["size"] or hashlib.sha256(data).hexdigest() != f["sha256"]:
        sys.exit("%s/%s is not what its marker says" % (step, name))
print(step)
END
sound() { python3 sound.py "root/b/$1" 2>&1; }

stream 500 config.json='{}' model.safetensors=weights >one
run ckpt-write --in one gs://b/run
is 'a checkpoint is written' "$st:$(sound run)" 0:step-000500
is 'its objects' "$(cd root/b/run && find . -type f | sort | tr '\n' ' ')" \
    './latest ./step-000500/complete.json ./step-000500/config.json ./step-000500/model.safetensors '
stream 1 f=1 -- 2 f=2 -- 3:2 f=3 -- 4:2 f=4 -- 5:2 f=5 >five
run ckpt-write -q --save-total-limit 2 --in five gs://b/limit/
is 'a limit keeps the newest and the best' "$st:$(ls root/b/limit | tr '\n' ' ')" '0:latest step-000002 step-000005 '
stream 600 f=x | head -c 150 >cut
run ckpt-write -q --in cut gs://b/run
is 'what is cut short leaves the checkpoint before' "$st:$(sound run)" 111:step-000500
mkdir -p root/b/run/step-000700 && echo half >root/b/run/step-000700/f
run ckpt-write -q --in one gs://b/run
is 'leftovers of a kill go; a step is written anew' "$st:$(sound run):$(ls root/b/run | tr '\n' ' ')" \
    '0:step-000500:latest step-000500 '
server_stop

server_start --rate 0.1 --seed 3
export STORAGE_EMULATOR_HOST="$server"
stream 1 f=@9000000 g=1 -- 2 f=2 g=2 >big
run ckpt-write --in big gs://b/faults
is 'with 10 % of requests failing' "$st:$(sound faults)" 0:step-000002
ok 'and they did fail' grep -q 'trying again' "$tmp/err"
server_stop

server_start
export STORAGE_EMULATOR_HOST="$server"
stream 1 a=@100000 b=x -- 2 a=@100000 b=y -- 3 a=@100000 b=z -- 4 a=@100000 b=w >four
bad='' seen=''
i=0
kills=50
[ -z "$sanitized" ] || kills=10
while [ $i -lt "${KILLS:-$kills}" ]; do
    ckpt-write -q --save-total-limit 2 --in four gs://b/killed 2>/dev/null &
    pid=$!
    sleep "$(awk -v i=$i 'BEGIN { srand(i); printf "%.3f", 0.005 + 0.3 * rand() }')"
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null
    now=$(sound killed)
    case $now in none | step-00000[1-4]) ;; *) bad="$bad; $now" ;; esac
    case $seen in *$now*) ;; *) seen="$seen $now" ;; esac
    i=$((i + 1))
done
is 'killed at any moment, latest can always be loaded' "$bad" ''
echo "# seen:$seen"
run ckpt-write -q --in four gs://b/killed
is 'and the next one writes all' "$st:$(sound killed)" 0:step-000004

# --- killed in the middle of an upload, and started again ----------------------------------------
received() { stats | perl -ne 'print /"bytes":.*"chunk": (\d+)/ ? $1 : 0'; }
have_come() { [ "$(received)" -ge "$1" ]; }
stream 900 a.bin=@9000000 b.bin=@20000000 c=c >long
long=$(wc -c <long | tr -d ' ')
mkfifo slow
# killed_in BYTES MORE CMD...: CMD gets BYTES of long and no end; it is killed when MORE bytes have come to the server
killed_in() {
    local some="$1" enough="$(($(received) + $2))"
    shift 2
    { head -c "$some" long; exec sleep 1000; } >slow &
    feeder=$!
    "$@" <slow 2>/dev/null &
    pid=$!
    wait_until 300 have_come "$enough"
    kill -KILL $pid $feeder; wait $pid $feeder 2>/dev/null
}
broken_off="$((long - 3000000)) 24000000"        # a.bin is there and some of b.bin
before=$(received)
killed_in $broken_off ckpt-write -q gs://b/again
is 'a checkpoint that broke off is none' "$(sound again)" none
run ckpt-write --in long gs://b/again
is 'started again, it is written' "$st:$(sound again)" 0:step-000900
like 'a file that is there already is not sent' "$err" "'gs://b/again/step-000900/a.bin' is there already"
like 'one that broke off is gone on with' "$err" \
    "'gs://b/again/step-000900/b.bin': going on with an upload that has 1[0-9]* bytes"
sent=$(($(received) - before))
ok "of 29 MB, sent were $sent bytes" [ "$sent" -lt 33000000 ]
killed_in $broken_off ckpt-write -q gs://b/other
stream 900 a.bin=@8000000 b.bin=y d=d >differs
run ckpt-write -q --in differs gs://b/other
is 'and if other bytes come, those are written' "$st:$(sound other):$(ls root/b/other/step-000900 | tr '\n' ' ')" \
    '0:step-000900:a.bin b.bin complete.json d '
s3="env -u STORAGE_EMULATOR_HOST AWS_ENDPOINT_URL=http://$server/s3 AWS_REGION=eu-north-1"
s3="$s3 AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=secret"
killed_in $((long - 200000)) 16000000 $s3 ckpt-write -q s3://b/s3
run $s3 ckpt-write --in long s3://b/s3
is 'the same on s3://' \
    "$st:$(sound s3):$(printf '%s\n' "$err" |
        grep -c -e 'a.bin. is there already' -e 'going on with an upload that has 1 parts')" 0:step-000900:2
is 'no unfinished uploads stay' "$($s3 "$tool" drop s3://b/; stats | perl -ne 'print /"unfinished": (\d+)/')" 0

# --- the whole river, out of a bucket and into it ----------------------------------------------
mkdir -p root/b/set root/b/model
cp "$data"/speech/cards/*.wav root/b/set/
cp -r "$golden/whisper-micro/model/." root/b/model/
for n in 1 2 3 4 5; do
    echo "{\"id\": \"c$n\", \"audio\": \"00$n.wav\", \"text\": \"card $n\", \"language\": \"en\"}"
done >root/b/set/train.jsonl
train() { # MANIFEST MODEL DEST OPTIONS...
    manifest=$1 model=$2 dest=$3; shift 3
    gcs-fetch -q --num-train-epochs 4 "$manifest" | audio-decode -q | mel-features -q --model "$model" --over-long cut |
        tokenize -q --model "$model" | train-step -q --model "$model" --batch-size 5 --learning-rate 1e-3 \
            --lr-scheduler-type constant \
        --save-steps 2 "$@" | ckpt-write -q "$dest"
}
same_weights() { cmp "$1/step-000004/model.safetensors" here/step-000004/model.safetensors; }
train root/b/set/train.jsonl root/b/model here >log 2>&1
is 'a run on this machine' "$(readlink here/latest)" step-000004
server_stop
server_start --rate 0.05 --seed 5
export STORAGE_EMULATOR_HOST="$server"
train gs://b/set/train.jsonl gs://b/model gs://b/out 2>log
is 'data, model and checkpoints in a bucket, 5 % of requests failing: the same weights, bit by bit' \
    "$(same_weights root/b/out 2>&1)" ''
train gs://b/set/train.jsonl gs://b/model gs://b/again --max-steps 2 2>log
train gs://b/set/train.jsonl gs://b/model gs://b/again --resume gs://b/again 2>log2
is 'and so does a run that is resumed from the bucket' "$(same_weights root/b/again 2>&1)" ''
is 'latest names a model, too' \
    "$(gcs-fetch -q gs://b/set/train.jsonl | audio-decode -q | mel-features -q --model gs://b/out/latest --over-long cut |
    generate -q --model gs://b/out/latest | wc -l | tr -d ' ')" 5
server_stop
server_start
export STORAGE_EMULATOR_HOST="$server"
# --- copies of models are kept within a bound ------------------------------------------------------
for n in 1 2 3; do
    mkdir -p root/b/models/$n
    cp root/b/model/preprocessor_config.json root/b/models/$n/
    head -c 300000 /dev/urandom >root/b/models/$n/filler
done
export PENSTOCK_CACHE="$tmp/few" PENSTOCK_CACHE_SIZE=700K
use() { printf 'text\nx\n' | gcs-fetch -q - | mel-features --model "gs://b/models/$1" 2>>copied | cat >/dev/null; }
copies() { ls -d few/copy-* 2>/dev/null | grep -c -v lock; }
: >copied
use 1; use 2; use 1; use 3
is 'what was used longest ago goes' "$(copies):$(grep -c '^mel-features: copying' copied)" 2:3
use 1
is 'what was used since then stays' "$(grep -c copying copied)" 3
use 2
is 'and what went comes again' "$(copies):$(grep -c copying copied)" 2:4
mkfifo hold
mel-features -q --model gs://b/models/1 <hold >/dev/null 2>&1 &
holder=$!
exec 9>hold
use 3; use 2; use 3; use 2
is 'what a program uses stays, whatever comes' "$(use 1; grep -c 'copying .gs://b/models/1/' copied)" 1
exec 9>&-
wait $holder 2>/dev/null
is 'locks go with their copies' "$(ls few/*.lock | wc -l | tr -d ' ')" "$(copies)"
rm -rf few; : >copied
use 1 & a=$!
use 1 & b=$!
use 1
wait $a $b
is 'several that want one model copy it once' "$(grep -c copying copied):$(copies)" 1:1
PENSTOCK_CACHE_SIZE=lots run mel-features --model gs://b/models/2 </dev/null
like 'a size that is none' "$st:$err" "^100:.*PENSTOCK_CACHE_SIZE: 'lots'"
unset PENSTOCK_CACHE_SIZE
run mel-features --model gs://b/none
like 'a model that is not there' "$st:$err" "^100:.*'gs://b/none': no such directory"
plan
