#!/bin/sh
# tests/filters/split.t - over-long rows of timed segments become several rows: sound and labels together,
# nothing lost unsaid
. "$(dirname "$0")/lib.sh"
M=$golden/whisper-micro/model
s() { printf '{"start": %s, "end": %s, "text": "%s"}' "$1" "$2" "$3"; }
cd "$tmp" || exit 1
cat >rows.jsonl <<END
{"id": "short", "audio": "cards/004.wav", "text": "five five", "language": "en", "segments": [$(s 0 0.7 ' five'), $(s 0.8 1.5 ' five')]}
{"id": "jfk", "audio": "jfk.flac", "duration": 11, "sentence": "the whole of it", "language": "en", "by": "J. F. K.", "previous_text": "Hello.", "segments": [$(s 0.25 1.25 ' and so'), $(s 1.5 3 'my fellow'), $(s 3.0 4.0 ' a'), $(s 5 5.5 ' b'), $(s 6 11 ' long')]}
{"audio": "jfk.flac", "offset": 2, "duration": "5", "language": "en", "segments": [$(s 0 1 one), $(s 3.5 4.5 two)]}
{"id": "long", "audio": "cards/005.wav", "text": "no segments", "language": "en"}
{"id": "back", "audio": "jfk.flac", "language": "en", "segments": [$(s 4 5 one), $(s 2 3 two)]}
END
fetch() { gcs-fetch -q --base "$data/speech" "$@"; }
split() { fetch --over-long split --chunk-length 3 "$@"; }
ids() { stream-show "$@" | sed 's/^{"id": "\([^"]*\)".*/\1/' | tr '\n' ' '; }

split rows.jsonl >in
is 'a row that is longer becomes pieces, in its place' "$(ids in)" \
    'short jfk#1 jfk#2 jfk#3 rows.jsonl:3#1 rows.jsonl:3#2 long rows.jsonl:5 '
like 'the header counts them' "$(stream-show --header in)" '"samples": 8'
is 'whole rows stay as they were' "$(stream-show in | sed -n '1p;7p')" "$(fetch rows.jsonl | stream-show | sed -n '1p;4p')"
like 'a piece has its stretch, its segments from there, its text and what was said before' "$(stream-show in | sed -n 2p)" \
    '"text": " and so my fellow", "language": "en", "duration": 2.75, "row": \{.*"by": "J. F. K.", "previous_text": "Hello.", "segments": \[\{"start": 0(.0)?, "end": 1(.0)?, "text": " and so"\}, \{"start": 1.25, "end": 2.75, "text": "my fellow"\}\], "offset": 0.25\}'
like 'the next hears of the one before' "$(stream-show in | sed -n 3p)" \
    '"text": " a b".*"duration": 2.5,.*"previous_text": " and so my fellow".*"offset": 3(.0)?[,}]'
like 'the offset of a row counts' "$(stream-show in | sed -n 6p)" '"duration": 1(.0)?, .*"offset": 5.5[,}]'
like 'segments that go back are told' "$(stream-show in | sed -n 8p)" \
    'too long, and not cut: segment 2 goes from 2 to 3 s, after one that ends at 5 s'

# through the pipeline: the sound is that stretch, bit by bit, and what is still too long is told
audio-decode -q <in >pcm 2>/dev/null
fetch rows.jsonl | audio-decode -q >whole 2>/dev/null
list() { "${BUILD:-$top/build/obj}/unit/tokenize_test" list "$1"; }
is 'sounds are as long as their pieces' \
    "$(stream-show pcm | sed -n 's/^{"id": "\(jfk#.\)".*"pcm": {"shape": \[\([0-9]*\)\].*/\1 \2/p' | tr '\n' ' ')" \
    'jfk#1 44000 jfk#2 40000 jfk#3 80000 '
mel-features -q --model "$M" <pcm 2>err | tokenize -q --model "$M" --timestamps >ready 2>>err
is 'nothing is lost on the way' "$(stream-show ready | grep -c .) $(stream-show ready | grep -c '"error"')" '8 3'
is 'a segment that is longer by itself stays one, and is an error record' \
    "$(stream-show ready | sed -n 4p | grep -c 'jfk#3.*5.00 s of sound, but the model takes 3')" 1
is 'so is a row without segments' "$(stream-show ready | sed -n 7p | grep -c 'long.*s of sound, but the model takes 3')" 1
tokenize --show --model "$M" --timestamps <pcm >shown 2>/dev/null
is 'labels begin where the sound does' "$(sed -n 3p shown)" \
    'jfk#2: <|startoftranscript|>⟦<|en|><|transcribe|><|0.00|> a<|1.00|><|2.00|> b<|2.50|><|endoftext|>⟧'

# the plan: any unit, any order, any worker
split --start 3 rows.jsonl >tail
is 'any piece can be made again' "$(stream-show tail)" "$(stream-show in | sed -n '4,$p')"
split --num-train-epochs 2 --shuffle --unit 3 rows.jsonl >shuffled
is 'each epoch has every piece once' \
    "$(ids shuffled | tr ' ' '\n' | sort | uniq -c | awk '{print $1}' | sort -u | tr '\n' ' ')" '2 '
split rows.jsonl | fan -q -j 3 'audio-decode -q' >fanned 2>/dev/null
ok 'workers give the same' sh -c 'stream-show fanned >a; stream-show pcm >b; cmp a b'
is '--limit counts rows of the manifest' "$(split --limit 2 rows.jsonl | ids)" 'short jfk#1 jfk#2 jfk#3 '
run_of() { stream-show --header "$1" | sed 's/.*"run": "\([^"]*\)".*/\1/'; }
fetch rows.jsonl >whole
ok 'it is another run than that of whole rows' test "$(run_of in)" != "$(run_of whole)"
sed 's/"short"/"jfk#2"/' rows.jsonl >double.jsonl
run gcs-fetch --over-long split --chunk-length 3 --base "$data/speech" double.jsonl
like 'an id that a piece has too is found' "$st:$err" "^100:.*lines 1 and 2 have the same id 'jfk#2'"
run gcs-fetch --over-long split --base "$data/speech" rows.jsonl
is 'by default 30 s are not too long' "$(ids "$out")" 'short jfk rows.jsonl:3 long back '
for p in mel-features tokenize; do
    run $p --model "$M" --over-long split -i in
    like "$p says where rows are split" "$st:$err" '^100:.*gcs-fetch --over-long split'
done
plan
