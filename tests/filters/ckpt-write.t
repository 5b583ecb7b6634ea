#!/bin/sh
# tests/filters/ckpt-write.t - checkpoints appear whole or not at all, in order, and nothing else goes
. "$(dirname "$0")/lib.sh"
stream() { perl "$here/ckpt-stream.pl" "$@"; }
listing() { (cd "$1" && find . -mindepth 1 ! -name .lock | sort | tr '\n' ' '); }

stream 500 config.json='{}' model.safetensors=weights >"$tmp/one"
run ckpt-write --in "$tmp/one" "$tmp/a"
is 'one checkpoint is written' "$st" 0
is 'into a directory named by its step, with a marker, and latest' "$(listing "$tmp/a")" \
   './latest ./step-000500 ./step-000500/complete.json ./step-000500/config.json ./step-000500/model.safetensors '
is 'latest points to it' "$(readlink "$tmp/a/latest")" step-000500
is 'bytes are kept' "$(cat "$tmp/a/latest/model.safetensors")" weights
sum=$(printf weights | digest)
like 'the marker has size and SHA-256 of each file' "$(tr -d '\n' <"$tmp/a/latest/complete.json")" \
     "\"files\": \\{.*\"model.safetensors\": \\{\"size\": 7, \"sha256\": \"$sum\"\\}"
ok 'the marker is JSON' perl -MJSON::PP -e 'local $/; decode_json(<>)' "$tmp/a/latest/complete.json"

stream 1 f=1 -- 2 f=2 -- 3:2 f=3 -- 4:2 f=4 -- 5:2 f=5 >"$tmp/five"
run ckpt-write --save-total-limit 2 --in "$tmp/five" "$tmp/b"
is 'a limit keeps the newest and the best' "$(ls "$tmp/b" | tr '\n' ' ')" 'latest step-000002 step-000005 '
run ckpt-write --save-total-limit 3 --in "$tmp/five" "$tmp/c"
is 'then the latest before it' "$(ls "$tmp/c" | tr '\n' ' ')" 'latest step-000002 step-000004 step-000005 '
run ckpt-write --in "$tmp/five" "$tmp/d"
is 'without a limit all stay' "$(ls "$tmp/d" | tr '\n' ' ')" \
    'latest step-000001 step-000002 step-000003 step-000004 step-000005 '

# --- what is cut short ---
stream --no-end 1 f=1 >"$tmp/endless"
run ckpt-write --in "$tmp/endless" "$tmp/e"
is 'a stream without end may be tried again' "$st" 111
like 'which is said, with what is good' "$err" "truncated.*the newest complete checkpoint is .*step-000001"
is 'and its committed checkpoint is complete' "$(cat "$tmp/e/latest/f")" 1
size=$(wc -c <"$tmp/one") bad=0
for n in 0 1 50 150 200 250 $((size - 60)) $((size - 1)); do
    head -c "$n" "$tmp/one" >"$tmp/cut"
    rm -rf "$tmp/f"
    run ckpt-write -q --in "$tmp/cut" "$tmp/f"
    [ "$st" = 111 ] && [ "$(printf '%s\n' "$err" | wc -l)" = 1 ] || bad=$((bad + 1))
    [ "$n" -gt 300 ] || [ "$(listing "$tmp/f")" = '' ] || bad=$((bad + 1))
done
is 'cut anywhere: one line, 111, and no half of a checkpoint' "$bad" 0
stream 7 f=@3000000 | head -c 1500000 >"$tmp/cut"
cp -r "$tmp/a" "$tmp/g"
run ckpt-write --in "$tmp/cut" "$tmp/g"
is 'the checkpoint before it stays' "$(readlink "$tmp/g/latest") $(cat "$tmp/g/latest/model.safetensors")" \
    'step-000500 weights'
is 'nothing is left of it' "$(ls -A "$tmp/g" | tr '\n' ' ')" '.lock latest step-000500 '

# --- kills ---
mkfifo "$tmp/pipe"
perl "$here/ckpt-stream.pl" --seconds 1000 600 f=@1000000 >"$tmp/pipe" 2>/dev/null &
feeder=$!
ckpt-write --in "$tmp/pipe" "$tmp/g" 2>/dev/null &
writer=$!
ok 'parts are in a directory of their own' wait_until 100 test -s "$tmp/g/.step-000600.part/f"
kill -TERM $writer; kill -INT $writer; sleep 0.2
ok 'SIGTERM and SIGINT do not end it' kill -0 $writer
kill -KILL $writer $feeder; wait $writer $feeder 2>/dev/null
is 'SIGKILL leaves the checkpoint before' "$(readlink "$tmp/g/latest")" step-000500
stream 600 f=x >"$tmp/again"
run ckpt-write --in "$tmp/again" "$tmp/g"
is 'the next one removes what was left' "$st $(ls -A "$tmp/g" | tr '\n' ' ')" '0 .lock latest step-000500 step-000600 '

mv "$tmp/g/step-000600" "$tmp/g/.step-000600.gone"
stream --no-end >"$tmp/empty"
run ckpt-write --in "$tmp/empty" "$tmp/g"
is 'a checkpoint that was set aside when a kill came gets its name back' "$(cat "$tmp/g/step-000600/f")" x
stream 600 f=y >"$tmp/again"
run ckpt-write --in "$tmp/again" "$tmp/g"
is 'a step that is written again is replaced' "$(cat "$tmp/g/step-000600/f")" y

# --- what cannot be written ---
stream 1 ../f=x >"$tmp/evil"
run ckpt-write --in "$tmp/evil" "$tmp/h"
is 'a name that leaves the directory is refused' "$st $(ls -A "$tmp/h")" '100 .lock'
: >"$tmp/file"
run ckpt-write --in "$tmp/one" "$tmp/file"
is 'a file for a directory is refused' "$st" 100
like 'in one line that names it' "$err" "^ckpt-write: .*$tmp/file"
run ckpt-write --in "$tmp/one" /dev/null/nowhere
is 'a directory that cannot be made is refused' "$st" 100
run ckpt-write --in "$data/speech/jfk.flac" "$tmp/i"
is 'what is no checkpoint stream is refused' "$st" 100
run ckpt-write --in "$tmp/one" https://localhost/run
is 'a store that cannot be written to is refused' "$st" 100
if [ "$(id -u)" = 0 ] && mkdir -p "$tmp/small" && mount -t tmpfs -o size=256k none "$tmp/small" 2>/dev/null; then
    stream 1 f=@1000 -- 2 f=@900000 >"$tmp/large"
    run ckpt-write --in "$tmp/large" "$tmp/small"
    is 'a full disk may be tried again' "$st" 111
    like 'and is named' "$err" "^ckpt-write: .*No space left on device; the newest complete checkpoint is .*step-000001"
    is 'nothing is left of what did not fit' "$(ls -A "$tmp/small" | tr '\n' ' ')" '.lock latest step-000001 '
    umount "$tmp/small"
else
    skip 'a full disk' 'needs root, to mount a small one'
fi
plan
