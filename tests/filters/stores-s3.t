#!/bin/sh
# tests/filters/stores-s3.t - s3:// against a server that checks every signature, and misbehaves
. "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || { skip 's3' 'python3 is missing'; plan; exit 0; }
. "$top/tests/fault/lib.sh"
cd "$tmp" || exit 1
export AWS_EC2_METADATA_DISABLED=true
unset AWS_WEB_IDENTITY_TOKEN_FILE AWS_ROLE_ARN AWS_CONTAINER_CREDENTIALS_RELATIVE_URI
unset AWS_CONTAINER_CREDENTIALS_FULL_URI AWS_CONTAINER_AUTHORIZATION_TOKEN
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_ENDPOINT_URL_S3 AWS_DEFAULT_REGION http_proxy HTTP_PROXY
export HOME="$tmp" PENSTOCK_STORE_STALL=3 PENSTOCK_STORE_PATIENCE=300 AWS_REGION=eu-north-1
server_start --page 3
export AWS_ENDPOINT_URL="http://$server/s3" AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=secret
head -c 300000 /dev/urandom >small
head -c 18000000 /dev/urandom >large
: >empty
cp small large empty root/b/
cp small 'root/b/a name+(1)&é=%.wav'
i=0; while [ $i -lt 10 ]; do echo $i >"root/b/many &$i"; i=$((i + 1)); done

same() {
    if "$tool" get "$2" >got 2>err && cmp -s got "$3"; then result 0 "$1"; else result 1 "$1"; sed 's/^/# /' err; fi
}
same 'a small object' s3://b/small small
same 'a large one, in parts' s3://b/large large
same 'an empty one' s3://b/empty empty
same 'a name of odd characters' 's3://b/a name+(1)&é=%.wav' small
run "$tool" get s3://b/nothing
is 'a missing object' "$st:$err" "100:store_test: 's3://b/nothing': no such object"
is 'a listing of several pages' "$("$tool" list 's3://b/many &' | tr '\n' ' ' | cut -c1-34)" \
    's3://b/many &0 2 s3://b/many &1 2 '
is 'all of it' "$("$tool" list s3://b/many | wc -l | tr -d ' ')" 10
for f in 503 reset cut stall; do
    fault get $f 2 large
    same "$f, then fine" s3://b/large large
done
fault get replaced 1 large; fault get cut 1 large
run "$tool" get s3://b/large
like 'an object that is replaced meanwhile' "$st:$(tail -n 1 "$tmp/err")" '^100:.*object changed'
# --- damage on the way ------------------------------------------------------------------------
fault get corrupt 1 small
same 'a damaged byte is seen by the ETag, which is an MD5, and read again' s3://b/small small
like 'and told' "$(cat err)" 'md5 is [0-9a-f]{32}, the store says [0-9a-f]{32}; trying again'
fault get odd_etag 9 small
same 'an ETag that looks like an MD5 and is none' s3://b/small small
fault_clear
"$tool" put s3://b/key.kms <small
fault get corrupt 1 key.kms
same 'of what is encrypted, by the checksum that the store keeps' s3://b/key.kms small
like 'and told' "$(cat err)" 'crc32c is [0-9a-f]{8}, the store says [0-9a-f]{8}; trying again'
AWS_RESPONSE_CHECKSUM_VALIDATION=when_required
export AWS_RESPONSE_CHECKSUM_VALIDATION
fault stat 500 1 key.kms
same 'unless it is not to be asked for' s3://b/key.kms small
fault_clear
unset AWS_RESPONSE_CHECKSUM_VALIDATION
"$tool" write s3://b/new/summed <large
fault get corrupt 1 new/summed
same 'of what was uploaded in parts, too' s3://b/new/summed large
fault get corrupt 1 new/summed
run "$tool" parts s3://b/new/summed
like 'and of what is read piece by piece' "$st:$err" '^111:.*crc32c of what was read is'

written() {
    if "$tool" write s3://b/new/object <large 2>err && cmp -s root/b/new/object large; then result 0 "$1"; return; fi
    result 1 "$1"
    sed 's/^/# /' err
}
written 'a large object is written in parts'
for f in 503 reset lost; do
    fault chunk $f 2
    written "over it, with $f"
done
fault chunk none 2; fault chunk late_error 1
run sh -c "'$tool' write s3://b/new/object <large"
like 'an upload that fails at its end, with status 200' "$st:$err" '^111:.*in the end it failed'
"$tool" write s3://b/one <small; cmp -s small root/b/one; is 'a small object is one request' $? 0
fault put 503 1
"$tool" put s3://b/one <empty 2>err; cmp -s empty root/b/one; is 'it is replaced' $? 0
is 'what is deleted is gone' "$("$tool" delete s3://b/one; "$tool" stat s3://b/one; "$tool" stat s3://b/small)" 'not there
there'
# --- an upload that is killed ------------------------------------------------------------------
head -c 70000000 /dev/urandom >huge
received() { stats | perl -ne 'print /"bytes":.*"chunk": (\d+)/'; }
parts() { stats | perl -ne 'print /"chunk": (\d+).*"most"/ ? $1 : 0'; }
parts_are() { [ "$(parts)" -ge "$1" ]; }
mkfifo slow
killed() { # NAME BYTES: sends BYTES of huge to s3://b/NAME, is killed when three parts have come
    enough=$(($(parts) + 3))
    { head -c "$2" huge; exec sleep 1000; } >slow &
    feeder=$!
    "$tool" write "s3://b/$1" 2>err <slow &
    pid=$!
    wait_until 300 parts_are "$enough"
    kill -KILL $pid $feeder; wait $pid $feeder 2>/dev/null
}
before=$(received)
killed kept 60000000
"$tool" write s3://b/kept <huge 2>err
cmp -s huge root/b/kept
is 'an upload that was killed is gone on with' "$?:$(grep -c 'going on with an upload that has 3 parts' err)" 0:1
sent=$(($(received) - before))
ok "of 70 MB, sent were $sent bytes" [ "$sent" -lt 80000000 ]
killed changed 60000000
perl -pe 's/^/x/ if $. == 1' huge >other
"$tool" write s3://b/changed <other 2>err
cmp -s other root/b/changed; is 'with other bytes than before: what differs is sent again' $? 0
killed shorter 60000000
"$tool" write s3://b/shorter <large 2>err; cmp -s large root/b/shorter; is 'with fewer' $? 0
killed gone 60000000
fault chunk forget 1 gone
run sh -c "'$tool' write s3://b/gone <huge"
like 'an upload that is forgotten meanwhile' "$st:$(tail -n 1 "$tmp/err")" '^111:.*forgot the upload'
"$tool" write s3://b/gone <huge 2>err; cmp -s huge root/b/gone; is 'and then begun anew' $? 0
killed stale 60000000
"$tool" drop s3://b/
"$tool" write s3://b/stale <huge 2>err; is 'or given up' "$(cat err)" ''
AWS_REQUEST_CHECKSUM_CALCULATION=when_required
export AWS_REQUEST_CHECKSUM_CALCULATION
killed plain 60000000
"$tool" write s3://b/plain <huge 2>err
cmp -s huge root/b/plain; is 'at a store that knows no checksums, its ETags serve' "$?:$(grep -c 'going on' err)" 0:1
unset AWS_REQUEST_CHECKSUM_CALCULATION

AWS_SECRET_ACCESS_KEY=wrong run "$tool" get s3://b/small
like 'a wrong key' "$st:$err" '^100:.*signature'
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION
run "$tool" get s3://b/small
like 'no keys: what to do is said' "$st:$err" '^100:.*AWS_ACCESS_KEY_ID'

# --- keys of a role --------------------------------------------------------------------------------
export AWS_REGION=eu-north-1 AWS_ENDPOINT_URL_STS="http://$server/sts-aws"
echo 'identity+token/=' >identity
AWS_WEB_IDENTITY_TOKEN_FILE=identity AWS_ROLE_ARN=arn:aws:iam::1:role/r same 'a web identity' s3://b/small small
echo other >identity2
AWS_WEB_IDENTITY_TOKEN_FILE=identity2 AWS_ROLE_ARN=arn:aws:iam::1:role/r run "$tool" get s3://b/small
like 'one that is not trusted' "$st:$err" '^100:.*Not authorized to perform sts'
AWS_WEB_IDENTITY_TOKEN_FILE=identity run "$tool" get s3://b/small
like 'one without a role' "$st:$err" '^100:.*AWS_ROLE_ARN is not'
fault token 503 1
AWS_WEB_IDENTITY_TOKEN_FILE=identity AWS_ROLE_ARN=arn:aws:iam::1:role/r \
    same 'a token service that is busy' s3://b/small small
fault token ended 1
had=$(stats | perl -ne 'print /"token": (\d+)/')
AWS_WEB_IDENTITY_TOKEN_FILE=identity AWS_ROLE_ARN=arn:aws:iam::1:role/r same 'keys that have ended' s3://b/small small
is 'are renewed' $(($(stats | perl -ne 'print /"token": (\d+)/') - had)) 2
AWS_WEB_IDENTITY_TOKEN_FILE=identity AWS_ROLE_ARN=arn:aws:iam::1:role/r AWS_ENDPOINT_URL_STS=http://example.com/ \
    run "$tool" get s3://b/small
like 'an identity is not sent to just anybody' "$st:$err" '^100:.*not https'
echo container-token >authorization
AWS_CONTAINER_CREDENTIALS_FULL_URI="http://$server/container" AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=authorization \
    same 'keys of a container' s3://b/small small
AWS_CONTAINER_CREDENTIALS_FULL_URI="http://$server/container" AWS_CONTAINER_AUTHORIZATION_TOKEN=container-token \
    same 'with a token of the environment' s3://b/small small
AWS_CONTAINER_CREDENTIALS_FULL_URI="http://example.com/x" run "$tool" get s3://b/small
like 'not from just anybody' "$st:$err" '^100:.*neither https nor this machine'
AWS_EC2_METADATA_DISABLED=false AWS_EC2_METADATA_SERVICE_ENDPOINT="http://$server/" \
    same 'keys of a machine' s3://b/small small
is 'no secret is ever told' "$(cat err "$tmp/err" | grep -c -e 's/[0-9]' -e session/ -e identity+ -e container-token)" 0
unset AWS_REGION
mkdir .aws
printf '[default]\naws_access_key_id = no\n[work]\naws_access_key_id = test\naws_secret_access_key = secret\n%s\n' \
    'aws_session_token=t' >.aws/credentials
printf '[profile work]\nregion = us-west-2\n' >.aws/config
AWS_PROFILE=work same 'keys and region of a profile' s3://b/small small
plan
