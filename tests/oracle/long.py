"""Makes tests/golden/whisper-long/long.json: transformers' long-form decoding of joined clips.

Usage: long.py DIR-OF-SPEECH [DIR-OF-GOLDEN] >long.json   (transformers 5.23, torch 2.13, CPU, float32)

The sounds are librivox and card clips of DIR-OF-SPEECH, one after another; the model is
whisper-micro, trained, which hears 3 s.  The test joins the same clips and asks generate.
A case: clips, weights, language, max_new_tokens (of a window; or null), no_speech_threshold
and logprob_threshold (or null), num_beams, condition_on_prev_tokens, samples, frames, tokens (without
the end), segments of start, end (s) and tokens.  The little model says little: max_new_tokens leaves segments open, so that
windows begin at the last pair of times.  A threshold no window of which is both low and heard
as speech draws nothing anew, so all is greedy.
"""
import json
import os
import sys

import numpy as np
import soundfile
import torch
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

speech = sys.argv[1]
golden = sys.argv[2] if len(sys.argv) > 2 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden")
micro = os.path.join(golden, "whisper-micro")
BOOK, TWO, FOUR = "librivox/sense_and_sensibility_01_austen_64kb-0880.wav", "cards/002.wav", "cards/004.wav"
# weights, language, clips, max_new_tokens, no_speech_threshold, logprob_threshold, num_beams, condition_on_prev_tokens
CASES = [("trained", "de", [FOUR, BOOK, FOUR, TWO], None, None, None, 1, False),
         ("trained", "de", [FOUR, FOUR, FOUR, FOUR], 8, None, None, 1, False),
         ("trained", "en", [BOOK, TWO, BOOK], 7, None, None, 1, False),
         ("trained", "de", [FOUR], None, None, None, 1, False),
         ("trained", "de", [FOUR], 7, None, None, 1, False),
         ("model", "en", [TWO, FOUR, TWO, BOOK], None, None, None, 1, False),
         ("trained", "de", [FOUR, BOOK, FOUR, TWO], None, 6e-8, -0.05, 1, False),
         ("trained", "de", [FOUR, TWO, FOUR, BOOK, FOUR, FOUR], None, None, None, 1, True),
         ("trained", "en", [BOOK, TWO, BOOK, FOUR], 7, None, None, 1, True),
         ("model", "en", [TWO, FOUR, TWO, BOOK], 12, None, None, 1, True),
         ("trained", "de", [FOUR, BOOK, FOUR, TWO], None, 6e-8, -0.05, 1, True),
         ("trained", "de", [FOUR, BOOK, FOUR, TWO], None, None, None, 3, False),
         ("model", "es", [TWO, FOUR, TWO, BOOK], None, None, None, 2, False),
         ("trained", "en", [BOOK, TWO, BOOK, FOUR], 9, None, None, 5, True)]
torch.set_num_threads(1)
extractor = WhisperFeatureExtractor.from_pretrained(os.path.join(micro, "model"))
rows = []
for weights, language, clips, most, no_speech, logprob, beams, condition in CASES:
    model = WhisperForConditionalGeneration.from_pretrained(os.path.join(micro, weights), dtype=torch.float32,
                                                            attn_implementation="eager").eval()
    sound = []
    for clip in clips:
        pcm, rate = soundfile.read(os.path.join(speech, clip), dtype="float32")
        assert rate == 16000 and pcm.ndim == 1, (clip, rate)
        sound.append(pcm)
    sound = np.concatenate(sound)
    features = extractor(sound, sampling_rate=16000, truncation=False, return_tensors="pt",
                         padding="longest" if len(sound) > extractor.n_samples else "max_length").input_features
    out = model.generate(features, language=language, task="transcribe", return_timestamps=True, return_segments=True,
                         do_sample=False, num_beams=beams, temperature=0.0, max_new_tokens=most,
                         condition_on_prev_tokens=condition,
                         no_speech_threshold=no_speech, logprob_threshold=logprob)
    segments = [{"start": round(float(s["start"]), 2), "end": round(float(s["end"]), 2), "tokens": s["tokens"].tolist()}
                for s in out["segments"][0]]
    rows.append({"weights": weights, "language": language, "clips": clips, "max_new_tokens": most,
                 "no_speech_threshold": no_speech, "logprob_threshold": logprob, "num_beams": beams,
                 "condition_on_prev_tokens": condition, "samples": len(sound), "frames": features.shape[-1],
                 "tokens": [t for s in segments for t in s["tokens"]], "segments": segments})
    print(weights, clips, len(segments), file=sys.stderr)
print("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]")
