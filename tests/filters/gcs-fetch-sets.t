#!/bin/sh
# tests/filters/gcs-fetch-sets.t - WebDataset shards, Kaldi directories, NeMo manifests
. "$(dirname "$0")/lib.sh"
cd "$tmp" || exit 1
cards=$data/speech/cards
size() { wc -c <"$1" | tr -d ' '; }
show() { gcs-fetch -q "$@" 2>&1 | stream-show -q; }

# --- WebDataset --------------------------------------------------------------------------------
mkdir w && cd w || exit 1
for n in 1 2 3; do
    cp "$cards/00$n.wav" "clip-$n.wav"
    echo "card $n" >"clip-$n.txt"
done
echo '{"text": "from json", "speaker": "s", "n": 4}' >clip-4.json
cp "$cards/004.wav" clip-4.wav
mkdir sub && cp "$cards/005.wav" sub/clip-5.seg.wav
long=sub/$(printf '%0115d' 0 | tr 0 x)
cp "$cards/005.wav" "$long.wav"
tar cf ../shard-0000.tar clip-1.txt clip-1.wav clip-2.txt clip-2.wav
tar cf ../shard-0001.tar clip-1.wav clip-4.json clip-4.wav ./sub/clip-5.seg.wav "$long.wav"
cd .. || exit 1
gzip -c shard-0000.tar >shard.tar.gz
run gcs-fetch shard.tar.gz
is 'a shard that is compressed is refused' "$st $err" \
    "100 gcs-fetch: 'shard.tar.gz' is a tar archive: shards are uncompressed, and called something.tar"
show 'shard-{0000..0001}.tar' >got
is 'members of one name are one sample, with text' "$(sed -n 1p got)" \
    "{\"id\": \"shard-0000/clip-1\", \"audio\": {\"bytes\": $(size w/clip-1.wav)}, \"text\": \"card 1\"}"
is 'names begin anew in each shard' "$(sed -n 3p got)" \
    "{\"id\": \"shard-0001/clip-1\", \"audio\": {\"bytes\": $(size w/clip-1.wav)}}"
is 'JSON members are columns' "$(sed -n 4p got)" \
    "{\"id\": \"shard-0001/clip-4\", \"audio\": {\"bytes\": $(size w/clip-4.wav)}, \
\"text\": \"from json\", \"row\": {\"speaker\": \"s\", \"n\": 4}}"
like 'directories and dots are part of names' "$(sed -n 5p got)" '"id": "shard-0001/./sub/clip-5"'
like 'long names' "$(sed -n 6p got)" '"id": "shard-0001/sub/xxx.*x{60}"'
is 'that is all' "$(wc -l <got | tr -d ' ')" 6
heard() { audio-decode -q | stream-show --values 0 | sed 's/.*"pcm": \(.*\), "rate.*/\1/' | head -n 2 | cksum; }
is 'the bytes are those of the members' \
    "$(gcs-fetch -q shard-0000.tar | heard)" "$(printf 'audio\nw/clip-1.wav\nw/clip-2.wav\n' | gcs-fetch -q - | heard)"
is 'shards fan out, too' "$(gcs-fetch --plan-only 'shard-{0000,0001}.tar' | gcs-fetch --fetch | stream-show | cksum)" \
    "$(cksum <got)"
is 'shuffled over shards' "$(gcs-fetch -q --shuffle --seed 3 'shard-{0000,0001}.tar' | stream-show | sort | cksum)" \
    "$(sort got | cksum)"
size0=$(size shard-0000.tar)
head -c $((size0 / 2)) shard-0000.tar >cut.tar
show cut.tar >got
like 'a shard that is cut: what is whole, and a record that says so' "$(cat got)" \
    '"id": "cut/[0-9]+", "error": .*truncated at byte'
printf 'hello' | dd of=shard-0001.tar bs=1 seek=600 conv=notrunc 2>/dev/null
head -c 2000 /dev/urandom >junk.tar
printf '\377' >bad.txt; echo '{' >ill.json; cp w/clip-1.wav bad.wav; cp w/clip-1.wav ill.wav
tar cf ill.tar bad.txt bad.wav ill.json ill.wav
show ill.tar >got
like 'a text that is none is not lost behind the sound' "$(sed -n 1p got)" '"ill/bad", "error": .*"its text is not UTF-8"'
like 'nor is JSON' "$(sed -n 2p got)" '"ill/ill", "error": .*"its JSON member is none"'
like 'what is no tar' "$(show junk.tar)" '"error": .*no tar header'
run gcs-fetch 'shard-{0000..0007}.tar'
like 'a shard that is missing' "$st:$err" '^100:.*shard-0002.tar'

# --- Kaldi ---------------------------------------------------------------------------------------
mkdir k
printf 'a %s\nb %s\nc sox in.wav -t wav - |\n' "$cards/001.wav" "$cards/002.wav" >k/wav.scp
printf 'a four queens\nc not here\n' >k/text
printf 'a en\n' >k/utt2lang
show k >got
is 'Kaldi: wav.scp, text, language' "$(sed -n 1p got)" \
    "{\"id\": \"a\", \"audio\": {\"bytes\": $(size "$cards/001.wav")}, \"text\": \"four queens\", \"language\": \"en\"}"
is 'a recording without a text' "$(sed -n 2p got)" "{\"id\": \"b\", \"audio\": {\"bytes\": $(size "$cards/002.wav")}}"
like 'commands are not run' "$(sed -n 3p got)" '"id": "c", "error": .*commands are not run'
printf 'a-1 a 0.5 1.0\na-2 a 0.5 0.75\nd-1 d 0 1\ne-1 a 3\n' >k/segments
printf 'a-1 queens\na-2 four\n' >k/text
gcs-fetch -q k | audio-decode -q | stream-show -q >got
like 'segments cut recordings' "$(sed -n 1p got)" \
    '"id": "a-1", .*"text": "queens", "duration": 0.5,.*"shape": \[8000\]|"id": "a-1".*"shape": \[8000\].*'
like 'each of them' "$(sed -n 2p got)" '"id": "a-2".*"shape": \[4000\]'
like 'a segment of no recording' "$(sed -n 3p got)" '"id": "d-1", "error": .*not in wav.scp'
like 'a segment without an end' "$(sed -n 4p got)" '"id": "e-1", "error": .*segments is not'
rm k/segments && printf 'b x\na y\n' >k/wav.scp
run gcs-fetch k
like 'what is not sorted cannot be joined' "$st:$err" "^100:.*line 2: 'a' is not sorted"
mkdir nothing
run gcs-fetch nothing
like 'a directory that is none' "$st:$err" '^100:.*wav.scp'

# --- wherever a data set lies --------------------------------------------------------------------
hash_of() { gcs-fetch -q "$@" | stream-show --header | sed 's/.*"run": "\([^"]*\)".*/\1/'; }
mkdir -p one/set one/k two
cp shard-000?.tar one/set && cp "$cards/001.wav" one/k/a.wav
printf 'a %s/one/k/a.wav\nb one/k/a.wav\nc ../outside.wav\n' "$tmp" >one/k/wav.scp
is 'Kaldi: paths are relative to where gcs-fetch runs' "$(show one/k | grep -c "\"bytes\": $(size "$cards/001.wav")}")" 2
shards=$(hash_of 'one/set/shard-{0000..0001}.tar') kaldi=$(hash_of one/k)
mv one/set one/k two && sed -i.old 's|one/k|two/k|' two/k/wav.scp && rm two/k/wav.scp.old
is 'shards that were moved are the same run' \
    "$(hash_of 'two/set/shard-{0000..0001}.tar') $(hash_of "$tmp/two/set/shard-{0000..0001}.tar")" "$shards $shards"
is 'and so is a directory of Kaldi' "$(hash_of two/k) $(hash_of "$tmp/two/k")" "$kaldi $kaldi"
is 'and is read there' "$(cd two && gcs-fetch -q 'set/shard-{0000..0001}.tar' | stream-show -q | cksum)" \
    "$(show 'shard-{0000..0001}.tar' | cksum)"
is '--base says where shards are' "$(gcs-fetch -q --limit 1 --base "$tmp/two/set" shard-0000.tar | stream-show | cksum)" \
    "$(show --limit 1 shard-0000.tar | cksum)"

# --- NeMo ----------------------------------------------------------------------------------------
printf '{"audio_filepath": "%s", "offset": 0.25, "duration": 0.5, "text": "x"}\n' "$cards/001.wav" >nemo.jsonl
like 'NeMo: offset and duration' "$(gcs-fetch -q nemo.jsonl | audio-decode -q | stream-show)" '"shape": \[8000\]'

# --- from a bucket ----------------------------------------------------------------------------------
if command -v python3 >/dev/null; then
    . "$top/tests/fault/lib.sh"
    tar cf shard-0001.tar -C w clip-1.wav clip-4.json clip-4.wav
    show 'shard-{0000..0001}.tar' >got
    mkdir -p root/b
    cp shard-000?.tar root/b/
    server_start --rate 0.05
    export STORAGE_EMULATOR_HOST="$server"
    is 'shards in a bucket' "$(show 'gs://b/shard-{0000..0001}.tar' | cksum)" "$(cksum <got)"
    server_stop
    server_start
    export STORAGE_EMULATOR_HOST="$server"
    gets() { stats | perl -ne 'print /"get": (\d+)/'; }
    plan_of() { gcs-fetch -q --plan-only --cache kept 'gs://b/shard-{0000..0001}.tar'; }
    plan_of >planned
    before=$(gets)
    plan_of | cmp - planned
    is 'with a cache, the index of a shard is not made twice' "$?:$(gets)" "0:$before"
    for n in 1 2 3 4; do head -c 9000000 /dev/zero >large-$n.wav; done
    tar cf root/b/large.tar large-?.wav
    before=$(stats | perl -ne 'print /"sent": (\d+)/')
    is 'of large members' "$(gcs-fetch -q --plan-only gs://b/large.tar | stream-show | grep -c fetch.audio)" 4
    sent=$(($(stats | perl -ne 'print /"sent": (\d+)/') - before))
    ok "only headers are read: $sent bytes of 36 MB" [ "$sent" -lt 12000000 ]
    tar cf root/b/shard-0001.tar -C w clip-4.json clip-4.wav clip-1.wav
    gcs-fetch -q --fetch <planned 2>/dev/null | stream-show -q >got
    is 'a shard that was replaced since the plan: error records, no wrong bytes' \
        "$(grep -c '"error": .*object changed' got):$(grep -c '"bytes"' got)" 2:2
else
    skip 'shards in a bucket' 'python3 is missing'
fi
plan
