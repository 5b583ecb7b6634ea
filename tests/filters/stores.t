#!/bin/sh
# tests/filters/stores.t - gs:// and https:// against a server that misbehaves, fault by fault
. "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || { skip 'stores' 'python3 is missing'; plan; exit 0; }
. "$top/tests/fault/lib.sh"
cd "$tmp" || exit 1
unset GOOGLE_APPLICATION_CREDENTIALS GCS_OAUTH_TOKEN CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE http_proxy HTTP_PROXY
export HOME="$tmp" PENSTOCK_STORE_STALL=3 PENSTOCK_STORE_PATIENCE=300

server_start --page 3
export STORAGE_EMULATOR_HOST="$server"
head -c 300000 /dev/urandom >small
head -c 12000000 /dev/urandom >large
: >empty
cp small large empty root/b/
gzip -c small >root/b/packed.gzipped
gzip -c small >root/b/packed.transcoded
cp small root/b/file.noranges
cp small 'root/b/a name+%2F#?&é'
i=0; while [ $i -lt 10 ]; do echo $i >root/b/many-$i; i=$((i + 1)); done

same() { # NAME URL FILE
    if "$tool" get "$2" >got 2>err && cmp -s got "$3"; then result 0 "$1"; else result 1 "$1"; sed 's/^/# /' err; fi
}
same 'a small object' gs://b/small small
is 'costs one request' "$(stats)" '{"counts": {"get": 1}, "most": 1, "bytes": {}, "unfinished": 0, "sent": 300000}'
same 'a large one, in parts side by side' gs://b/large large
same 'an empty one' gs://b/empty empty
same 'a name of odd characters' 'gs://b/a name+%2F#?&é' small
same 'stored gzip is inflated' gs://b/packed.gzipped small
same 'gzip that the server inflated' gs://b/packed.transcoded small
same 'a plain server' "http://$server/plain/b/large" large
same 'a plain server that ignores ranges' "http://$server/plain/b/file.noranges" small
run "$tool" get gs://b/nothing
is 'a missing object' "$st:$err" "100:store_test: 'gs://b/nothing': no such object"
is 'a listing of several pages' "$("$tool" list gs://b/many- | wc -l | tr -d ' ')" 10
fault list empty_page 2
is 'with empty pages between' "$("$tool" list gs://b/many- | tr '\n' ' ' | cut -c1-30)" 'gs://b/many-0 2 gs://b/many-1 '

for f in 503 500 408 429 reset cut stall corrupt; do
    fault get $f 1 small
    same "$f, then fine" gs://b/small small
    like "$f is told" "$(cat err)" "'gs://b/small' byte [0-9]+: .*; trying again in"
done
for f in 503 reset cut stall; do
    fault get $f 2 large
    same "$f in the middle of a large object" gs://b/large large
    fault get $f 2 large
    same "$f at a plain server" "http://$server/plain/b/large" large
done
fault get 429 1 small
"$tool" get gs://b/small 2>err >got
like 'Retry-After is waited for' "$(cat err)" 'slow down; trying again in [1-9]'
fault get cut 1 large
"$tool" get gs://b/large 2>err >got
like 'what broke off goes on from its last byte' "$(cat err)" "byte [1-9][0-9]*:"
fault get whole 1 large
run "$tool" get gs://b/large
is 'a whole object where a part was asked for is not spliced' "$st:$(cmp "$out" large)" 0:
fault get replaced 1 large
run "$tool" get gs://b/large
like 'an object that is replaced meanwhile' "$st:$(tail -n 1 "$tmp/err")" "^100:.*object changed"
cp large root/b/large
fault get replaced 1 large
run "$tool" get "http://$server/plain/b/large"
like 'and at a plain server, by its ETag' "$st:$(tail -n 1 "$tmp/err")" "^100:.*object changed"
cp large root/b/large
fault get wrong_crc 9 small
run "$tool" get gs://b/small
like 'a checksum that never agrees' "$st:$err" "^111:.*crc32c is [0-9a-f]+, the store says"
fault_clear
fault get gzip_lie 1 small
run "$tool" get gs://b/small
like 'gzip that is none' "$st:$err" "^100:.*says it is gzip"
fault get corrupt 1 packed
same 'damaged gzip is read again' gs://b/packed.gzipped small
"$tool" parts gs://b/large | cmp -s - large; is 'reading in odd pieces' $? 0

PENSTOCK_STORE_PATIENCE=1
fault get 503 20 many-0
run "$tool" get gs://b/many-0
like 'patience ends' "$st:$(tail -n 1 "$tmp/err")" "^111:.*given up after"
PENSTOCK_STORE_PATIENCE=300
STORAGE_EMULATOR_HOST=127.0.0.1:1 PENSTOCK_STORE_PATIENCE=1 run "$tool" get gs://b/small
like 'nobody there' "$st:$(tail -n 1 "$tmp/err")" '^111:.*(connect|refused)'

# --- writing ---------------------------------------------------------------------------------
written() { # NAME
    if "$tool" write gs://b/new/object <large 2>err && cmp -s root/b/new/object large; then result 0 "$1"; return; fi
    result 1 "$1"
    sed 's/^/# /' err
}
written 'a large object is written'
for f in 503 429 reset short_persist forget forget_410 lost; do
    fault chunk $f 2 new/object
    written "over it, with $f"
done
head -c 8388608 large >even
"$tool" write gs://b/even <even; cmp -s even root/b/even; is 'an object of whole chunks' $? 0
"$tool" write gs://b/none <empty; cmp -s empty root/b/none; is 'an empty object is written' $? 0
for f in 503 429 lost; do
    fault put $f 1
    "$tool" put gs://b/one <small 2>err; is "one request, $f" "$?:$(cmp small root/b/one)" 0:
done
fault put wrong_crc 1
run sh -c "'$tool' put gs://b/one <small"
like 'the store kept something else' "$st:$err" '^111:.*the store kept'
"$tool" write gs://b/none <small; fault start 412
is 'what is deleted is gone' "$("$tool" delete gs://b/one; "$tool" stat gs://b/one; "$tool" delete gs://b/one; echo $?)" \
    'not there
0'

# --- an upload that is killed ----------------------------------------------------------------
head -c 40000000 /dev/urandom >huge
received() { stats | perl -ne 'print /"bytes":.*"chunk": (\d+)/'; }
chunks() { stats | perl -ne 'print /"chunk": (\d+).*"most"/ ? $1 : 0'; }
chunks_are() { [ "$(chunks)" -ge "$1" ]; }
mkfifo slow
killed() { # NAME: sends 30 MB of huge to gs://b/NAME, is killed when three chunks have come
    enough=$(($(chunks) + 3))
    { head -c 30000000 huge; exec sleep 1000; } >slow &
    feeder=$!
    "$tool" write "gs://b/$1" 2>err <slow &
    pid=$!
    wait_until 300 chunks_are "$enough"
    kill -KILL $pid $feeder; wait $pid $feeder 2>/dev/null
}
same_as() { # NAME OBJECT FILE WORD: FILE is written there, and WORD is told
    if "$tool" write "gs://b/$2" <"$3" 2>err && cmp "root/b/$2" "$3" >>err 2>&1 &&
        { [ -z "$4" ] || grep -q "$4" err; }; then
        result 0 "$1"
    else
        result 1 "$1"
        sed 's/^/# /' err
    fi
}
before=$(received)
killed kept
is 'what is kept of an upload only its owner may read' \
    "$(ls -l .cache/penstock/uploads/* | cut -c1-10):$(ls -ld .cache/penstock/uploads | cut -c1-10)" '-rw-------:drwx------'
same_as 'an upload that was killed is gone on with' kept huge 'going on with an upload that has 2[0-9]* bytes'
sent=$(($(received) - before))
ok "of 40 MB, sent were $sent bytes" [ "$sent" -lt 49000000 ]
is 'and nothing is kept any longer' "$(ls .cache/penstock/uploads)" ''
killed changed
perl -pe 's/^/x/ if $. == 1' huge >other
same_as 'other bytes than before: all is sent anew' changed other 'sent other bytes; from the begin'
killed mixed
head -n 2 .cache/penstock/uploads/* >note && cat note >"$(echo .cache/penstock/uploads/*)"
same_as 'also if only the checksum of the whole can tell' mixed other 'sent other bytes; from the begin'
killed shorter
same_as 'fewer bytes than before' shorter small 'sent other bytes; from the begin'
killed gone
fault chunk forget 1 gone
same_as 'an upload that the store has forgotten' gone huge ''
killed replaced
cp small root/b/replaced
same_as 'an object that was replaced since then' replaced huge 'was replaced since the upload began'
killed busy
{ head -c 30000000 huge; exec sleep 1000; } >slow &
feeder=$!
"$tool" write gs://b/busy <slow 2>err2 &
pid=$!
wait_until 300 grep -q going err2
same_as 'two at once: one of them begins anew' busy other ''
kill -KILL $pid $feeder; wait $pid $feeder 2>/dev/null
PENSTOCK_CACHE=/dev/null/none same_as 'no place to keep anything' nowhere huge ''
server_stop

# --- credentials -----------------------------------------------------------------------------
server_start --token secret-
unset STORAGE_EMULATOR_HOST
export CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE="http://$server"
python3 - "$server" <<'END'
import json, subprocess, sys
key = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
                     capture_output=True, text=True).stdout
at = "http://" + sys.argv[1]
def put(name, **c): json.dump(c, open(name, "w"))
sa = dict(type="service_account", client_email="a@b", private_key=key, private_key_id="k", token_uri=at + "/token")
user = dict(type="authorized_user", client_id="i", client_secret="s", refresh_token="r", token_uri=at + "/token")
put("sa.json", **sa)
put("user.json", **user)
put("far.json", **dict(sa, token_uri="http://example.com/token"))
put("nokey.json", **dict(sa, private_key="-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
put("strange.json", type="strange")
open("subject", "w").write("subject-token\n")
other = dict(service_account_impersonation_url=at + "/impersonate")
ext = dict(other, type="external_account", audience="a", subject_token_type="t", token_url=at + "/sts")
put("ext.json", **ext, credential_source={"file": "subject"})
put("ext-url.json", **ext, credential_source={"url": at + "/subject", "headers": {"X-Who": "test"},
                                              "format": {"type": "json", "subject_token_field_name": "subject"}})
put("imp.json", **other, type="impersonated_service_account", source_credentials=user)
END
run "$tool" get gs://b/small
like 'no credentials at all: what to do is said' "$st:$(tail -n 1 "$tmp/err")" '^100:.*gcloud auth application-default login'
for f in sa user ext ext-url imp; do
    GOOGLE_APPLICATION_CREDENTIALS=$f.json same "credentials of $f.json" gs://b/small small
done
mkdir -p .config/gcloud && cp user.json .config/gcloud/application_default_credentials.json
same "gcloud's own file" gs://b/small small
rm -r .config
GCE_METADATA_HOST="$server" same 'the metadata server' gs://b/small small
GCS_OAUTH_TOKEN=secret- same 'a token of the environment' gs://b/small small
fault get 401 1 small
GOOGLE_APPLICATION_CREDENTIALS=sa.json same 'a token that expired is renewed' gs://b/small small
fault get 401 2 small
GOOGLE_APPLICATION_CREDENTIALS=sa.json run "$tool" get gs://b/small
like 'but only once' "$st:$err" '^100:.*401'
fault token short 9
had=$(stats | perl -ne 'print /"token": (\d+)/')
GOOGLE_APPLICATION_CREDENTIALS=sa.json "$tool" parts gs://b/large 2>err | cmp - large
ok 'a token that soon expires is renewed before it does' [ "$(stats | perl -ne 'print /"token": (\d+)/')" -ge $((had + 2)) ]
fault_clear
fault token 503 1
GOOGLE_APPLICATION_CREDENTIALS=sa.json same 'a token server that is busy' gs://b/small small
wrong() { # NAME FILE PATTERN
    GOOGLE_APPLICATION_CREDENTIALS=$2 run "$tool" get gs://b/small
    like "$1" "$st:$err" "$3"
}
wrong 'a credentials file that is missing is not passed over' nowhere.json '^100:.*nowhere.json'
wrong 'credentials are not sent to just anybody' far.json '^100:.*not https'
wrong 'a broken key' nokey.json '^100:.*private_key cannot sign'
wrong 'a type that is not supported' strange.json "^100:.*'strange'"
GCS_OAUTH_TOKEN=wrong run "$tool" get gs://b/small
like 'a wrong token' "$st:$err" '^100:.*401'
is 'no secret is ever told' "$(cat err got 2>/dev/null | grep -c 'secret-')" 0
server_stop
server_start --payer me
unset CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE
export STORAGE_EMULATOR_HOST="$server"
GCS_REQUESTER_PAYS_PROJECT=me same 'who pays is named when reading' gs://b/small small
ok 'and when listing and writing' env GCS_REQUESTER_PAYS_PROJECT=me sh -c \
    "'$tool' list gs://b/many- | grep -q many-9 && '$tool' write gs://b/paid <small &&
     '$tool' put gs://b/paid <small && '$tool' delete gs://b/paid"
run "$tool" get gs://b/small
like 'else the store says so' "$st:$err" '^100:.*requester pays'
plan
