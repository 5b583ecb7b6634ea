#!/bin/sh
# tests/filters/gcs-fetch-stores.t - training data straight from a bucket, whatever the bucket does
. "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || { skip 'gcs-fetch from stores' 'python3 is missing'; plan; exit 0; }
. "$top/tests/fault/lib.sh"
cd "$tmp" || exit 1
unset GOOGLE_APPLICATION_CREDENTIALS GCS_OAUTH_TOKEN CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE http_proxy HTTP_PROXY
export HOME="$tmp" PENSTOCK_STORE_STALL=2

mkdir -p root/b/set/media
i=0
while [ $i -lt 60 ]; do
    head -c 100000 /dev/urandom >root/b/set/media/$i.wav
    echo "{\"id\": \"c$i\", \"audio\": \"media/$i.wav\", \"text\": \"number $i\"}"
    i=$((i + 1))
done >root/b/set/m.jsonl
gcs-fetch --base root/b/set - <root/b/set/m.jsonl >local

server_start --rate 0.05 --seed 7 --page 7
export STORAGE_EMULATOR_HOST="$server"
gcs-fetch --base gs://b/set - <root/b/set/m.jsonl >remote 2>err
is 'with 5 % of requests failing, the stream is the same bytes as from disk' "$?:$(cmp local remote)" 0:
ok 'and they did fail' grep -q 'trying again' err
is 'a manifest in the bucket, media beside it' "$(gcs-fetch -q gs://b/set/m.jsonl | stream-show | cksum)" \
    "$(stream-show local | cksum)"
is 'the run is the same, wherever it lies' \
    "$(gcs-fetch -q gs://b/set/m.jsonl | stream-show --header | sed 's/.*"run": "\([^"]*\)".*/\1/')" \
    "$(gcs-fetch root/b/set/m.jsonl | stream-show --header | sed 's/.*"run": "\([^"]*\)".*/\1/')"
printf '{"audio": "%s"}\n' "http://$server/plain/b/set/media/1.wav" gs://b/set/media/2.wav gs://b/nothing.wav >mixed.jsonl
gcs-fetch -q mixed.jsonl | stream-show -q >got
is 'a local manifest names URLs of any store' "$(grep -c '"bytes": 100000' got)" 2
like 'a missing object is an error record' "$(tail -n 1 got)" '"error": .*gs://b/nothing.wav.*no such object'
server_stop

server_start --gather 20
export STORAGE_EMULATOR_HOST="$server"
PENSTOCK_STORE_STALL=300 gcs-fetch --base gs://b/set - <root/b/set/m.jsonl | cmp - local
is 'from a store that answers late: still the same bytes' $? 0
most=$(stats | sed 's/.*"most": \([0-9]*\).*/\1/')
ok "at least 20 objects are on their way at once ($most)" [ "$most" -ge 20 ]
server_stop

server_start --page 7
export STORAGE_EMULATOR_HOST="$server"
gcs-fetch --jobs 5 --base gs://b/set - <root/b/set/m.jsonl | cmp - local
is '--jobs 5' $? 0
ok 'no more at once than --jobs' [ "$(stats | sed 's/.*"most": \([0-9]*\).*/\1/')" -le 5 ]
gcs-fetch --plan-only --base gs://b/set - <root/b/set/m.jsonl | tee plan.stream | gcs-fetch --fetch | stream-show >got
is '--plan-only and --fetch are the two halves' "$(cksum <got)" "$(stream-show local | cksum)"
like 'a plan names what is to be fetched' "$(stream-show plan.stream | head -n 1)" \
    '"fetch.audio": \{"audio": "gs://b/set/media/0.wav"\}'
if command -v fan >/dev/null; then
    gcs-fetch --plan-only --base gs://b/set - <root/b/set/m.jsonl | fan -j 8 'gcs-fetch --fetch' | stream-show >got
    is 'and fan out' "$(cksum <got)" "$(stream-show local | cksum)"
    fault get stall 3 media/; fault get reset 3 media/; fault get 503 3 media/
    gcs-fetch --plan-only --base gs://b/set - <root/b/set/m.jsonl | fan -j 8 'gcs-fetch --fetch' 2>err | stream-show >got
    is 'also when objects stall and break off' "$(cksum <got)" "$(stream-show local | cksum)"
    like 'which is told' "$(cat err)" 'nothing came for 2 s; trying again'
fi
fault list empty_page 1
full 'gcs-fetch --list gs://b/set/media/'
run gcs-fetch --list gs://b/set/media/
is '--list prints every object' "$st:$(wc -l <"$out" | tr -d ' ')" 0:60
like 'name, URL, size, generation, checksum' "$(head -n 1 "$out")" \
    '^\{"id": "set/media/0.wav", "name": "set/media/0.wav", "path": "gs://b/set/media/0.wav", "size": 100000, "generation": "[0-9]+", "crc32c": "[A-Za-z0-9+/]{6}=="\}$'
cp "$out" list.jsonl
is 'pinned also in a plan' "$(gcs-fetch --limit 1 --plan-only list.jsonl | stream-show | grep -c '"generation": [0-9]')" 1
is 'which is a manifest' "$(gcs-fetch -q list.jsonl | stream-show | grep -c '"audio": {"bytes": 100000}')" 60
gcs-fetch -q --cache cache list.jsonl | stream-show >first
before=$(stats | sed 's/.*"get": \([0-9]*\).*/\1/')
gcs-fetch -q --cache cache list.jsonl | stream-show | cmp - first
is 'with a cache, a second reading is the same' $? 0
is 'and asks the store for nothing' "$(stats | sed 's/.*"get": \([0-9]*\).*/\1/')" "$before"
for f in cache/0*; do printf x | dd of="$f" bs=1 seek=1000 conv=notrunc 2>/dev/null; done
gcs-fetch --cache cache --base gs://b/set - <root/b/set/m.jsonl | cmp - local
is 'what is damaged in it is read anew, unpinned rows ask for their version' $? 0
gcs-fetch -q --cache cache --cache-size 1M list.jsonl >/dev/null
ok 'it is bounded' [ "$(du -k cache | tail -n 1 | cut -f1)" -le 1400 ]
head -c 100000 /dev/urandom >root/b/set/media/0.wav
gcs-fetch -q list.jsonl | stream-show -q >got
like 'and pins versions: an object replaced since then is an error record' "$(head -n 1 got)" \
    '"id": "set/media/0.wav", "error": .*object changed'
is 'by workers of a fan, too' \
    "$(gcs-fetch -q --plan-only list.jsonl | fan -q -j 4 'gcs-fetch -q --fetch' 2>err |
       stream-show -q | grep -c '"error": .*object changed')" 1
run gcs-fetch --list gs://b/none/
like 'nothing there' "$st:$err" '^100:.*no objects'
run gcs-fetch gs://b/nothing.jsonl
like 'a manifest that is not there' "$st:$err" "^100:.*'gs://b/nothing.jsonl': no such object"
server_stop
PENSTOCK_STORE_PATIENCE=1 run gcs-fetch list.jsonl
is 'a store that is gone is worth trying again' "$st" 111

server_start --token secret-
unset STORAGE_EMULATOR_HOST
export CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE="http://$server"
echo secret- >token
gcs-fetch --token-file token --base gs://b/set - <root/b/set/m.jsonl 2>err | stream-show --stats | head -n 1 >got
like 'a token from a file' "$(cat got)" '"samples": 60, "errors": 0'
run gcs-fetch --no-auth gs://b/set/m.jsonl
like '--no-auth sends none' "$st:$err" '^100:.*401'
plan
