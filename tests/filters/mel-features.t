#!/bin/sh
# tests/filters/mel-features.t - mel-features as a user meets it
. "$(dirname "$0")/lib.sh"
tool=${BUILD:-$top/build/obj}/unit/front_end_test
list() { "$tool" list "$1" 2>&1; }
make() { "$tool" make "$tmp/in" "$@"; }
features() { run mel-features "$@" -i "$tmp/in" -o "$tmp/mel"; }

make n=1 'pcm=#16000:0.1,rate=16000,text=so' text=alone 'pcm=#100:0,rate=16000' 'pcm=#0:0,rate=16000'
features
is 'samples become features' "$st" 0
like 'with only the frames that see sound' "$(list "$tmp/mel" | sed -n 2p)" \
    '^id=r1 text=so input_features=<f4\[80,102\] padding_value=-?[0-9.]+$'
is 'a row without sound passes untouched' "$(list "$tmp/mel" | sed -n 3p)" 'id=r2 text=alone'
is 'silence' "$(list "$tmp/mel" | sed -n 4p)" 'id=r3 input_features=<f4[80,2] padding_value=-1.5'
is 'no samples are no frames' "$(list "$tmp/mel" | sed -n 5p)" 'id=r4 input_features=<f4[80,0] padding_value=-1.5'
run sh -c 'mel-features --threads 3 <"$1" | cmp - "$2"' - "$tmp/in" "$tmp/mel"
is 'pipes carry the same bytes, with any number of threads' "$st" 0
features --feature-size 128
like '128 bands' "$(list "$tmp/mel" | sed -n 2p)" '<f4\[128,102\]'
features --keep
like '--keep leaves the samples' "$(list "$tmp/mel" | sed -n 2p)" 'pcm=<f4\[16000\] rate=16000'

mkdir "$tmp/old" "$tmp/new" "$tmp/none" "$tmp/other" "$tmp/broken"
echo '{"feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 128, "hop_length": 160, "n_fft": 400,
  "chunk_length": 2, "sampling_rate": 16000, "dither": 0.0, "padding_value": 0.0}' >"$tmp/old/preprocessor_config.json"
echo '{"feature_extractor": {"feature_size": 40, "chunk_length": 3}, "processor_class": "WhisperProcessor"}' \
    >"$tmp/new/processor_config.json"
echo '{"feature_extractor_type": "Wav2Vec2FeatureExtractor"}' >"$tmp/other/preprocessor_config.json"
echo '{"feature_size": "many"}' >"$tmp/broken/preprocessor_config.json"
features --model "$tmp/old"
like 'preprocessor_config.json is read' "$(list "$tmp/mel" | sed -n 2p)" '<f4\[128,102\]'
features --model "$tmp/new"
like 'or processor_config.json' "$(list "$tmp/mel" | sed -n 2p)" '<f4\[40,102\]'
features --model "$tmp/new" --feature-size 80
is 'a model and another number of bands is 100' "$st" 100
features --model "$tmp/none"
is 'a model without settings is 100' "$st" 100
like 'and says what it lacks' "$err" 'no preprocessor_config.json, no feature_extractor in processor_config.json'
features --model "$tmp/other"
like 'features that are not known here' "$err" "made by 'Wav2Vec2FeatureExtractor'"
features --model "$tmp/broken"
like 'a setting that is no number' "$err" "preprocessor_config.json': 'feature_size' is not a whole number"
is 'is 100' "$st" 100
echo '{"feature_size": 80, "padding_value": 0.5}' >"$tmp/broken/preprocessor_config.json"
features --model "$tmp/broken"
like 'clips are padded with silence alone' "$err" "preprocessor_config.json': 'padding_value' is a sound"

make 'pcm=#48000:0.1,rate=16000' 'pcm=#32000:0.1,rate=16000'
features --model "$tmp/old"
like 'longer sound than the model takes is an error record' "$(list "$tmp/mel" | head -1)" \
    'error=.*3.00 s of sound, but the model takes 2 '
like 'the model'"'"'s length is not too long' "$(list "$tmp/mel" | sed -n 2p)" '<f4\[128,200\]'
features --model "$tmp/old" --over-long cut
like 'or cut' "$(list "$tmp/mel" | head -1)" '<f4\[128,200\]'
like 'and counted' "$err" '1 cut, 0 dropped'
features --model "$tmp/old" --over-long drop
like 'or dropped: a record that says so' "$(list "$tmp/mel" | head -1)" 'error=.*dropped:true'
like 'and counted' "$err" '0 cut, 1 dropped'
features --model "$tmp/old" --over-long whole
like 'or whole' "$(list "$tmp/mel" | head -1)" '<f4\[128,300\]'
like 'and the next as ever' "$(list "$tmp/mel" | sed -n 2p)" '<f4\[128,200\]'
like 'and counted' "$err" '0 cut, 0 dropped, 1 whole'
features --over-long shorten
is 'another policy is 100' "$st" 100

make 'pcm=#8000:0.1,rate=8000' 'pcm=#8000:0.1' 'pcm=#800:nan,rate=16000' 'pcm=#800:1e30,rate=16000' pcm=loud,rate=16000 \
    'pcm=#800:0.1,rate=16000'
features
is 'bad samples are error records, not the end' "$st" 0
like 'another rate' "$(list "$tmp/mel" | sed -n 1p)" \
    'its rate is 8000 Hz, but the model takes 16000: audio-decode --sampling-rate 16000'
like 'no rate' "$(list "$tmp/mel" | sed -n 2p)" "'pcm' without a 'rate'"
like 'samples that are no numbers' "$(list "$tmp/mel" | sed -n 3p)" "'pcm': sample 0 is -?nan: not sound"
like 'samples beyond all sound' "$(list "$tmp/mel" | sed -n 4p)" 'sample 0 is 1e\+30: not sound'
like 'text in place of samples' "$(list "$tmp/mel" | sed -n 5p)" "'pcm' is "
like 'the next good one is taken' "$(list "$tmp/mel" | sed -n 6p)" '<f4\[80,7\]'

make "audio=@$golden/mel/sine.wav"
run sh -c 'audio-decode --sampling-rate 8000 <"$1" | mel-features' - "$tmp/in"
is 'samples decoded at another rate end the run with 100' "$st" 100
like 'before the first sample' "$err" \
    'audio-decode made samples at 8000 Hz, but the model takes 16000: give it --sampling-rate 16000'
run env PENSTOCK_KERNELS=abacus mel-features -i "$tmp/in"
is 'an unknown variant of kernels is 100' "$st" 100
run mel-features --feature-siz 80
is 'an unknown option names the nearest' "$err" \
    "mel-features: unknown option '--feature-siz'; the nearest is '--feature-size'"
plan
