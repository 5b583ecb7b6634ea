#!/bin/sh
# tests/filters/stores-s3.t - s3:// against a server that checks every signature, and misbehaves
. "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || { skip 's3' 'python3 is missing'; plan; exit 0; }
. "$top/tests/fault/lib.sh"
cd "$tmp" || exit 1
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_ENDPOINT_URL_S3 AWS_DEFAULT_REGION http_proxy HTTP_PROXY
export HOME="$tmp" PENSTOCK_STORE_STALL=3 PENSTOCK_STORE_PATIENCE=30 AWS_REGION=eu-north-1 PYTHONDONTWRITEBYTECODE=1
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
is 'a listing of several pages' "$("$tool" list 's3://b/many &' | tr '\n' ' ' | cut -c1-34)" 's3://b/many &0 2 s3://b/many &1 2 '
is 'all of it' "$("$tool" list s3://b/many | wc -l | tr -d ' ')" 10
for f in 503 reset cut stall; do
    fault get $f 2 large
    same "$f, then fine" s3://b/large large
done
fault get replaced 1 large; fault get cut 1 large
run "$tool" get s3://b/large
like 'an object that is replaced meanwhile' "$st:$(tail -n 1 "$tmp/err")" '^100:.*object changed'
written() {
    if "$tool" write s3://b/new/object <large 2>err && cmp -s root/b/new/object large; then result 0 "$1"; else result 1 "$1"; sed 's/^/# /' err; fi
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
AWS_SECRET_ACCESS_KEY=wrong run "$tool" get s3://b/small
like 'a wrong key' "$st:$err" '^100:.*signature'
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION
run "$tool" get s3://b/small
like 'no keys: what to do is said' "$st:$err" '^100:.*AWS_ACCESS_KEY_ID'
mkdir .aws
printf '[default]\naws_access_key_id = no\n[work]\naws_access_key_id = test\naws_secret_access_key = secret\naws_session_token=t\n' >.aws/credentials
printf '[profile work]\nregion = us-west-2\n' >.aws/config
AWS_PROFILE=work same 'keys and region of a profile' s3://b/small small
plan
