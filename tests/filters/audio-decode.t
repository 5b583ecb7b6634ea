#!/bin/sh
# tests/filters/audio-decode.t - audio-decode as a user meets it
. "$(dirname "$0")/lib.sh"
tool=${BUILD:-$top/build/obj}/unit/front_end_test
mel=$golden/mel
list() { "$tool" list "$1" 2>&1; }
make() { "$tool" make "$tmp/in" "$@"; }

make "audio=@$data/speech/jfk.flac,text=so" text=alone "audio=@$mel/jfk.wav+$mel/sine.wav"
run audio-decode -i "$tmp/in" -o "$tmp/pcm"
is 'sound files become samples' "$st" 0
is 'pcm at 16 kHz, rate and duration; audio is gone' "$(list "$tmp/pcm" | head -1)" \
    'id=r0 text=so pcm=<f4[176000] duration=11 rate=16000'
is 'a row without sound passes untouched' "$(list "$tmp/pcm" | sed -n 2p)" 'id=r1 text=alone'
is 'several sounds make lists in their order' "$(list "$tmp/pcm" | sed -n 3p)" \
    'id=r2 pcm={<f4[176000];<f4[16000]} duration={11;1} rate=16000'

run sh -c 'audio-decode <"$1" | cmp - "$2"' - "$tmp/in" "$tmp/pcm"
is 'pipes carry the same bytes as files, twice' "$st" 0
run sh -c 'audio-decode --threads 3 <"$1" | cmp - "$2"' - "$tmp/in" "$tmp/pcm"
is 'and so with any number of threads' "$st" 0

run audio-decode --keep -i "$tmp/in" -o "$tmp/pcm"
like '--keep leaves the file' "$(list "$tmp/pcm" | head -1)" 'audio=[0-9]+ bytes'
run audio-decode --sampling-rate 8000 -i "$tmp/in" -o "$tmp/pcm"
like 'another rate' "$(list "$tmp/pcm" | head -1)" 'pcm=<f4\[88000\] duration=11 rate=8000'

make "audio=@$mel/jfk.wav,offset=2.5,duration=1.5" "audio=@$mel/jfk.wav,row={offset:10},duration=1" \
    "audio=@$mel/jfk.wav,duration=5" "audio=@$mel/jfk.wav,offset=12" "audio=@$mel/jfk.wav,offset=soon" \
    "audio=@$mel/jfk.wav+$mel/jfk.wav,offset=1"
run audio-decode -i "$tmp/in" -o "$tmp/pcm"
is 'bad windows are error records, not the end' "$st" 0
like 'offset and duration are a window' "$(list "$tmp/pcm" | sed -n 1p)" 'pcm=<f4\[24000\]'
like 'also from a column of the manifest' "$(list "$tmp/pcm" | sed -n 2p)" 'pcm=<f4\[16000\]'
like 'a duration alone is no window' "$(list "$tmp/pcm" | sed -n 3p)" 'duration=11 pcm=<f4\[176000\]'
like 'an offset beyond the end is refused' "$(list "$tmp/pcm" | sed -n 4p)" 'offset 12 s is beyond its end \(11.000 s\)'
like 'an offset that is no number' "$(list "$tmp/pcm" | sed -n 5p)" "'offset' is not a number of seconds"
like 'an offset of several sounds' "$(list "$tmp/pcm" | sed -n 6p)" "several sounds cannot have an 'offset'"

echo 'not a sound' >"$tmp/text.wav"
: >"$tmp/empty.wav"
head -c 100000 "$mel/jfk.wav" >"$tmp/cut.wav"
head -c 30 "$mel/jfk.wav" >"$tmp/head.wav"
make "audio=@$tmp/text.wav" "audio=@$tmp/empty.wav" "audio=@$tmp/cut.wav" "audio=@$tmp/head.wav" audio=here \
    "audio=@$mel/jfk.wav+$tmp/text.wav" "audio=@$mel/sine.wav"
run audio-decode -i "$tmp/in" -o "$tmp/pcm"
is 'bad files are error records, not the end' "$st" 0
like 'each is named on stderr' "$err" "^audio-decode: sample 'r0': audio: not a sound file"
like 'and counted' "$err" '^audio-decode: 6 samples failed here'
like 'a text file named .wav' "$(list "$tmp/pcm" | sed -n 1p)" 'stage:audio-decode;message:audio: not a sound file'
like 'an empty file' "$(list "$tmp/pcm" | sed -n 2p)" 'empty file'
like 'a WAV that was cut' "$(list "$tmp/pcm" | sed -n 3p)" 'promises 352000 bytes of sound, 99956 are there'
like 'a WAV cut in its header' "$(list "$tmp/pcm" | sed -n 4p)" 'error=.*not a sound file'
like 'text in place of bytes' "$(list "$tmp/pcm" | sed -n 5p)" "'audio' is neither bytes"
like 'the bad one of two' "$(list "$tmp/pcm" | sed -n 6p)" 'item 2 of 2: audio: not a sound file'
like 'the next good one is decoded' "$(list "$tmp/pcm" | sed -n 7p)" 'pcm=<f4\[16000\]'
run audio-decode --max-duration 5 -i "$tmp/in" -o "$tmp/pcm"
run sh -c '"$1" make "$2" "audio=@$3" && audio-decode --max-duration 5 <"$2"' - "$tool" "$tmp/in" "$mel/jfk.wav"
like '--max-duration' "$err" '11.0 s long by its header, over the limit of 5 s'

head -c 200 "$tmp/pcm" >"$tmp/cut"
run audio-decode -i "$tmp/cut"
is 'a cut stream ends in 100' "$st" 100
run audio-decode --sampling-rat 8000
is 'an unknown option names the nearest' "$err" \
    "audio-decode: unknown option '--sampling-rat'; the nearest is '--sampling-rate'"
is 'and is 100' "$st" 100
run audio-decode --sampling-rate 5
is 'a rate of 5 Hz is 100' "$st" 100
plan
