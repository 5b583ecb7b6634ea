#!/bin/sh
# tests/filters/gcs-fetch.t - manifests and media of this machine become samples, whatever is wrong with them
. "$(dirname "$0")/lib.sh"
cd "$tmp" || exit 1
mkdir media
cp "$data/speech/cards/001.wav" media/a.wav
cp "$data/speech/jfk.flac" media/b.flac
size_a=$(wc -c <media/a.wav | tr -d ' ') size_b=$(wc -c <media/b.flac | tr -d ' ')

show() { gcs-fetch -q "$@" 2>&1 | stream-show -q; }
ids() { show "$@" | sed 's/^{"id": "\([^"]*\)".*/\1/' | tr '\n' ' '; }

# --- what is sound -------------------------------------------------------------------------
cat >m.jsonl <<'END'
{"id": "a", "audio": "media/a.wav", "text": "one", "language": "en", "duration": 1.5, "speaker": "s1", "n": 3, "x": {"y": [1, 2.5, null, true]}}
{"id": 7, "audio_filepath": "media/b.flac", "sentence": "two"}
{"text": "only text"}
{"prompt": "hi", "response": "ho"}
{"messages": [{"role": "user", "content": "q"}]}
{"image_path": ["media/a.wav", "media/b.flac"], "caption": "two pictures"}
END
is 'a row is id, bytes, text, language, duration; its other columns keep their types' "$(show m.jsonl | sed -n 1p)" \
    "{\"id\": \"a\", \"audio\": {\"bytes\": $size_a}, \"text\": \"one\", \"language\": \"en\", \"duration\": 1.5, \"row\": {\"speaker\": \"s1\", \"n\": 3, \"x\": {\"y\": [1, 2.5, null, true]}}}"
is 'columns are guessed by their names, a number is an id' "$(show m.jsonl | sed -n 2p)" \
    "{\"id\": \"7\", \"audio\": {\"bytes\": $size_b}, \"text\": \"two\"}"
is 'a row without media passes, named by its line' "$(show m.jsonl | sed -n 3p)" '{"id": "m.jsonl:3", "text": "only text"}'
is 'prompt and response are two turns' "$(show m.jsonl | sed -n 4p)" \
    '{"id": "m.jsonl:4", "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}'
is 'chats pass' "$(show m.jsonl | sed -n 5p)" '{"id": "m.jsonl:5", "messages": [{"role": "user", "content": "q"}]}'
is 'a list of pictures is a list' "$(show m.jsonl | sed -n 6p)" \
    "{\"id\": \"m.jsonl:6\", \"image\": [{\"bytes\": $size_a}, {\"bytes\": $size_b}], \"text\": \"two pictures\"}"
printf '{"id": 18446744073709551615, "text": "x", "n": 9223372036854775807, "m": [-9223372036854775809, "a 99999999999999999999", -2.5e3]}\n' >long.jsonl
is 'no whole number loses digits' "$(show long.jsonl)" \
    '{"id": "18446744073709551615", "text": "x", "row": {"n": 9223372036854775807, "m": ["-9223372036854775809", "a 99999999999999999999", -2500]}}'
like 'the header counts the samples of an epoch, and epochs' \
    "$(gcs-fetch --num-train-epochs 3 m.jsonl | stream-show --header)" '"samples": 6, "epochs": 3'

printf '\357\273\277id,path,sentence,who\r\nu1,media/a.wav,"Hello, ""you""\nthere",x\r\n\r\nu2,,plain,\r\n' >m.csv
is 'CSV: byte order mark, CRLF, quotes, newlines in fields' "$(show m.csv | sed -n 1p)" \
    "{\"id\": \"u1\", \"audio\": {\"bytes\": $size_a}, \"text\": \"Hello, \\\"you\\\"\\nthere\", \"row\": {\"who\": \"x\"}}"
is 'CSV: an empty path is a row without media' "$(show m.csv | sed -n 2p)" \
    '{"id": "u2", "text": "plain", "row": {"who": ""}}'
printf 'client\tpath\tsentence\tduration\n1\tmedia/a.wav\ta, b\t2.5\n' >m.tsv
is 'TSV, as Common Voice has it' "$(show m.tsv)" \
    "{\"id\": \"m.tsv:2\", \"audio\": {\"bytes\": $size_a}, \"text\": \"a, b\", \"duration\": 2.5, \"row\": {\"client\": \"1\"}}"
printf 'id\tsentence\tvotes\n1\t"Well," he said.\t2\n2\t"Ich komme\t2\n3\tgleich"\t0\n4\t"quoted ""so"""\t1\n' >quotes.tsv
is 'TSV: a quote that does not close its field is text, and takes no other rows' \
    "$(gcs-fetch quotes.tsv | stream-show | sed 's/, "row.*/}/')" \
'{"id": "1", "text": "\"Well,\" he said."}
{"id": "2", "text": "\"Ich komme"}
{"id": "3", "text": "gleich\""}
{"id": "4", "text": "quoted \"so\""}'
printf '{"file_name": "media/a.wav", "transcription": "x"}\n{"file_name": "notes.txt", "text": "y"}\n' >folder.jsonl
is 'file_name is sound where its ending says so' "$(show folder.jsonl)" \
    "{\"id\": \"folder.jsonl:1\", \"audio\": {\"bytes\": $size_a}, \"text\": \"x\"}
{\"id\": \"folder.jsonl:2\", \"text\": \"y\", \"row\": {\"file_name\": \"notes.txt\"}}"
printf '{"clip": "media/a.wav", "said": "x", "name": "n", "text": "other"}\n' >named.jsonl
is 'columns can be named' "$(show named.jsonl --audio-column clip --text-column said --id-column name)" \
    "{\"id\": \"n\", \"audio\": {\"bytes\": $size_a}, \"text\": \"x\", \"row\": {\"text\": \"other\"}}"
is 'standard input, media relative to --base' "$(printf 'path,text\na.wav,x\n' | gcs-fetch --base media - | stream-show)" \
    "{\"id\": \"stdin:2\", \"audio\": {\"bytes\": $size_a}, \"text\": \"x\"}"
mkdir elsewhere
is 'media are relative to the manifest, not to where we are' \
    "$(cd elsewhere && gcs-fetch ../m.tsv | stream-show | grep -c '"bytes"')" 1

# --- order, units, epochs ------------------------------------------------------------------
i=0; while [ $i -lt 10 ]; do echo "{\"id\":\"$i\",\"text\":\"t\"}"; i=$((i + 1)); done >ten.jsonl
is 'rows keep their order' "$(ids ten.jsonl)" '0 1 2 3 4 5 6 7 8 9 '
is 'a shuffle is the same for the same seed, and another each epoch' \
    "$(ids ten.jsonl --shuffle --seed 1 --num-train-epochs 2)" \
    '1 3 2 0 8 6 7 4 9 5 3 4 7 2 5 8 9 1 0 6 '
is '--limit takes the first rows' "$(ids ten.jsonl --limit 3 --shuffle | tr ' ' '\n' | sort -n | grep . | tr '\n' ' ')" \
    '0 1 2 '
is '--start goes on within the second epoch' "$(ids ten.jsonl --shuffle --seed 1 --num-train-epochs 2 --start 17)" '1 0 6 '
is '--start counts units' "$(ids ten.jsonl --unit 4 --num-train-epochs 2 --start 4)" '4 5 6 7 8 9 '
is '--start at the end is an empty stream' "$(ids ten.jsonl --start 10)" ''
is 'jobs do not change a byte' "$(gcs-fetch --jobs 1 --shuffle m.jsonl | cksum)" \
    "$(gcs-fetch --jobs 50 --shuffle m.jsonl | cksum)"
like 'units never straddle epochs' "$(gcs-fetch --unit 4 --num-train-epochs 3 ten.jsonl | stream-show --stats)" \
    '"units": 9, "samples": 30, "errors": 0, "epochs": 3'
hash() { gcs-fetch "$@" | stream-show --header | sed 's/.*"run": "\([^"]*\)".*/\1/'; }
is 'more epochs are the same run' "$(hash ten.jsonl)" "$(hash ten.jsonl --num-train-epochs 2)"
ok 'another seed is another run' [ "$(hash ten.jsonl --shuffle --seed 1)" != "$(hash ten.jsonl --shuffle --seed 2)" ]
ok 'other units are another run' [ "$(hash ten.jsonl)" != "$(hash ten.jsonl --unit 2)" ]
cp ten.jsonl eleven.jsonl && echo '{"id":"10","text":"t"}' >>eleven.jsonl
ok 'other rows are another run' [ "$(hash ten.jsonl)" != "$(hash eleven.jsonl)" ]
is 'but not if they are beyond the limit' "$(hash ten.jsonl --limit 10)" "$(hash eleven.jsonl --limit 10)"

# --- rows that cannot be used ----------------------------------------------------------------
mkfifo pipe
resize $((70 << 20)) big.wav
cat >bad.jsonl <<'END'
{"id": "good", "text": "x"}
{"id": "broken",
{"id": "missing", "audio": "nowhere.wav"}
{"id": "dir", "audio": "media"}
{"id": "device", "audio": "/dev/zero"}
{"id": "pipe", "audio": "pipe"}
{"id": "big", "audio": "big.wav"}
{"id": "text is a number", "text": 5}
{"id": "no file name", "audio": 5}
["a list"]
{"id": {"a": 1}, "text": "x"}
{"id": "twice", "text": "x", "text": "y"}
{"id": "deep", "a": [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}
{"id": "no store", "audio": "xyz://bucket/a.wav"}
{"id": "new\nline\u001b[31m", "audio": "nowhere.wav"}
{"id": "last", "text": "x"}
END
printf '{"id": "latin", "text": "caf\351"}\n' >>bad.jsonl
run gcs-fetch bad.jsonl
cp "$out" bad.stream
is 'bad rows do not stop the run' "$st" 0
like 'they are told, escaped' "$err" "sample 'bad.jsonl:2': not JSON"
like 'and counted' "$(stream-show -q --stats bad.stream)" '"units": 17, "samples": 17, "errors": 15'
stream-show -q bad.stream >bad.txt
line() { sed -n "$1p" bad.txt; }
is 'a sound row among them passes' "$(line 1)" '{"id": "good", "text": "x"}'
like 'a broken line is named by its place' "$(line 2)" \
    '^\{"id": "bad.jsonl:2", "error": \{"stage": "gcs-fetch", "message": "not JSON'
like 'a missing file' "$(line 3)" '"id": "missing", "error": .*nowhere.wav.*No such file'
like 'a directory' "$(line 4)" '"id": "dir", "error": .*is a directory'
like 'a device' "$(line 5)" '"id": "device", "error": .*is a device'
like 'a pipe that nobody writes to' "$(line 6)" '"id": "pipe", "error": .*is a pipe'
like 'a file larger than a unit' "$(line 7)" '"id": "big", "error": .*73400320 bytes.*64 MiB'
like 'a text that is none' "$(line 8)" "column 'text' is no text"
like 'a file name that is none' "$(line 9)" "column 'audio' holds no file name"
like 'a list for a row' "$(line 10)" '"id": "bad.jsonl:10", "error": .*no JSON object'
like 'an id that is a map' "$(line 11)" '"id": "bad.jsonl:11", "error": .*id is neither'
like 'a column twice' "$(line 12)" '"id": "bad.jsonl:12", "error": .*duplicate'
like 'a value nested too deep' "$(line 13)" '"id": "deep", "error": .*nested too deep'
like 'a store that is not known' "$(line 14)" '"id": "no store", "error": .*xyz://'
like 'an id with a newline and an escape is legal' "$(line 15)" '"id": "new\\nline\\u001b\[31m", "error"'
is 'and so goes on to the end' "$(line 16)" '{"id": "last", "text": "x"}'
like 'a text that is not UTF-8' "$(line 17)" '"id": "bad.jsonl:17", "error": .*(UTF-8|decode)'
printf 'id,text\na,x\nb\nc,"x"y\nd,caf\351\ne,"open\nf,x\n' >bad.csv
is 'CSV: too few fields, junk behind a quote, not UTF-8, an open quote' "$(ids bad.csv)" \
    'a bad.csv:3 bad.csv:4 bad.csv:5 bad.csv:6 f '
is 'a unit too large loses only the samples that do not fit' \
    "$(resize $((40 << 20)) forty.wav
       printf '{"id":"a","audio":"forty.wav"}\n{"id":"b","audio":"forty.wav"}\n{"id":"c","text":"x"}\n' >forty.jsonl
       gcs-fetch -q --unit 3 forty.jsonl | stream-show -q | cut -c1-22 | tr '\n' ';')" \
    '{"id": "a", "audio": {;{"id": "b", "error": {;{"id": "c", "text": "x;'

# --- manifests that cannot be used -------------------------------------------------------------
refused() { # NAME PATTERN ARGS...
    name=$1 pattern=$2; shift 2
    run gcs-fetch "$@"
    is "$name: status" "$st" 100
    like "$name" "$err" "$pattern"
}
printf '{"id":"x"}\n\n{"id":"y"}\n{"id":"x"}\n' >double.jsonl
refused 'an id twice, with both lines' "double.jsonl': lines 1 and 4 have the same id 'x'" double.jsonl
refused 'no manifest' "'none.jsonl': No such file" none.jsonl
refused 'a device' 'is a device' /dev/zero
: >empty.jsonl
refused 'an empty manifest' 'no rows' empty.jsonl
printf '\377\376{\000' >utf16.jsonl
refused 'UTF-16' 'iconv' utf16.jsonl
printf '[{"a":1}]' >list.json
refused 'one JSON list' 'jq' list.json
refused 'a column that is not there' "no column 'clip'; it has 'id'" --audio-column clip m.jsonl
refused 'a start behind the end' 'the run has 6 units' --start 7 m.jsonl
refused 'an unknown option, with the nearest' 'did you mean.*--shuffle|--shuffle' --shufle m.jsonl
refused 'no operand' 'MANIFEST is missing'
refused 'a unit of nothing' 'unit' --unit 0 m.jsonl
printf '{"a":"x"}\n' >unknown.jsonl
run gcs-fetch unknown.jsonl
like 'columns of which none is known are told' "$st:$err" "^0:.*'unknown.jsonl': none of its columns is known.*'a'"
full 'gcs-fetch -q m.jsonl'
is 'a reader that leaves early ends it quietly' "$(gcs-fetch --num-train-epochs 1000 m.jsonl 2>&1 >/dev/null | head -c 10)" \
    ''
st=$( { gcs-fetch --num-train-epochs 100000 m.jsonl 2>err; echo $? >status; } | head -c 100 >/dev/null; cat status)
is 'and with status 0' "$st:$(cat err)" 0:

# --- many rows ---------------------------------------------------------------------------------
awk 'BEGIN { for (i = 0; i < 1000000; i++) printf "{\"id\":\"utterance-%d\",\"text\":\"x\"}\n", i }' >million.jsonl
is 'a million rows: the last units of a shuffle, at once' \
    "$(gcs-fetch --shuffle --start 999998 million.jsonl | stream-show | wc -l | tr -d ' ')" 2
run gcs-fetch --unit 1000 --metrics metrics million.jsonl
like 'a million rows go through' "$st:$(tail -n 1 metrics)" '^0:.*"units": 1000, "samples": 1000000, "errors": 0'
echo '{"id":"utterance-12345"}' >>million.jsonl
run gcs-fetch million.jsonl
like 'and one double among them is found' "$st:$err" '^100:.*lines 12346 and 1000001'
# --- gzip ----------------------------------------------------------------------------------------
perl -e 'printf qq({"id": "z%d", "text": "row %d"}\n), $_, $_ for 1 .. 5000; print qq({"text": "no id"}\n)' >plain.jsonl
gcs-fetch -q plain.jsonl >want
gzip -c plain.jsonl >z.jsonl.gz
mkdir zipped && gzip -c plain.jsonl >zipped/plain.jsonl.gz
head -n 2000 plain.jsonl | gzip -c >zipped/two.gz && tail -n +2001 plain.jsonl | gzip -c >>zipped/two.gz
is 'a gzipped manifest is the same rows' "$(gcs-fetch -q zipped/plain.jsonl.gz | stream-show | cksum)" \
    "$(stream-show want | cksum)"
header_run() { stream-show --header "$@" | sed 's/.*"run": "\([^"]*\)".*/\1/'; }
is 'and the same run' "$(gcs-fetch -q zipped/plain.jsonl.gz | header_run)" "$(header_run want)"
is 'from standard input, in two parts' "$(gcs-fetch -q - <zipped/two.gz | stream-show | grep -c '"text"')" 5001
head -c 9000 zipped/plain.jsonl.gz >cut.jsonl.gz
run gcs-fetch cut.jsonl.gz
like 'one that is cut short' "$st:$err" "^100:.*'cut.jsonl.gz' is cut short"
{ cat zipped/plain.jsonl.gz; echo junk; } >bad.jsonl.gz
run gcs-fetch bad.jsonl.gz
like 'one that is damaged' "$st:$err" "^100:.*'bad.jsonl.gz' is damaged"
printf '\050\265\057\375xxxx' >z.jsonl.zst
run gcs-fetch z.jsonl.zst
like 'other packers are named' "$st:$err" '^100:.*compressed; use: zstd -dc'
plan
