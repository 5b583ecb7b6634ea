"""tests/oracle/answers.py WORK GOLDEN SPEECH [SEED] - generate beside transformers' generate, in cases drawn from SEED

Weights of whisper-micro with noise, sounds of the shipped clips joined, settings in options or in
generation_config.json: beams, times, long sound with and without what was said before, thresholds,
lengths, languages, forced ids.  Ids and times must be equal.  Then long.json is made again.  Prints TAP.

A window whose last pair of times is <|0.00|> twice is left out: transformers hears it for ever.
"""
import glob
import json
import os
import random
import shutil
import signal
import subprocess
import sys

import numpy as np
import soundfile
import torch
import transformers
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

import stream
from tap import done, ok

transformers.logging.set_verbosity_error()
torch.set_num_threads(1)
work, golden, speech = sys.argv[1:4]
draw = random.Random(int(sys.argv[4]) if len(sys.argv) > 4 else 1)
CASES, CLIPS, END, TIME = 24, 2, 400, 412
clips = sorted(glob.glob(f"{speech}/cards/*.wav") + glob.glob(f"{speech}/librivox/*.wav"))


def settings():
    """What generation_config.json says, and options with transformers' words for them."""
    config, option, words = {}, [], {}
    maybe = lambda p: draw.random() < p
    if maybe(.3):
        config["max_length"] = draw.choice([10, 20, 40])
    if maybe(.25):
        config["forced_decoder_ids"] = draw.choice([[[1, None], [2, 407]], [[1, 402], [2, 407], [3, 411]],
                                                    [[1, None], [2, 406], [3, 411]]])
    for key, values, p in (("condition_on_prev_tokens", [True], .2), ("compression_ratio_threshold", [1.35], .2),
                           ("num_beams", [2, 3], .15), ("length_penalty", [.5, 2.0], .15),
                           ("language", ["de", "<|es|>", "english"], .15), ("task", ["translate"], .1),
                           ("return_timestamps", [True], .2), ("repetition_penalty", [1.3], .2),
                           ("no_repeat_ngram_size", [2, 3], .15), ("min_length", [12, 20], .1),
                           ("min_new_tokens", [4, 9], .1), ("early_stopping", [True, "never"], .2)):
        if maybe(p):
            config[key] = draw.choice(values)
    if maybe(.3):
        config["logprob_threshold"] = words["logprob_threshold"] = draw.choice([-.1, -.5, -1.0])
        words["temperature"] = 0.0
        if maybe(.5):
            config["no_speech_threshold"] = draw.choice([1e-8, 1e-6, 1e-4, .6])
    for key, values, p in (("language", ["en", "de", "es"], .5), ("task", ["transcribe", "translate"], .3),
                           ("num_beams", [1, 2, 5], .5),
                           ("length_penalty", [0.0, .7, 1.5], .2), ("max_new_tokens", [3, 8, 15], .3)):
        if maybe(p):
            words[key] = draw.choice(values)
            option += ["--" + key.replace("_", "-"), str(words[key])]
    for key in ("return_timestamps", "condition_on_prev_tokens"):
        if maybe(.35):
            words[key] = True
            option.append("--" + key.replace("_", "-"))
    return config, option, words


def checkpoint(path, config, seed):
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(f"{golden}/model", path)
    weights = draw.choice(["trained", "trained", "model"])
    shutil.copy(f"{golden}/{weights}/model.safetensors", path)
    sigma = draw.choice([0, .05, .1, .2])
    model = WhisperForConditionalGeneration.from_pretrained(path, dtype=torch.float32)
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "encoder.embed_positions" not in name:
                p.add_(torch.randn(p.shape, generator=noise) * sigma * p.std())
    model.save_pretrained(path)
    with open(f"{golden}/model/generation_config.json") as f:
        c = json.load(f)
    del c["return_timestamps"]
    with open(f"{path}/generation_config.json", "w") as f:
        json.dump({**c, **config}, f)
    return WhisperForConditionalGeneration.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()


def sound(extractor):
    k = draw.choice([1, 1, 2, 3])
    x = np.concatenate([soundfile.read(c, dtype="float32")[0] for c in draw.choices(clips, k=k)])
    x = x[:draw.choice([20000, 48000])] if k == 1 else x
    return extractor(x, sampling_rate=16000, truncation=False, return_tensors="np",
                     padding="longest" if len(x) > extractor.n_samples else "max_length").input_features[0]


def theirs(model, features, words):
    signal.alarm(30)
    out = model.generate(torch.tensor(features)[None], return_segments=True, **words)["segments"][0]
    signal.alarm(0)
    tokens = [t for s in out for t in s["tokens"].tolist()]
    while tokens and tokens[-1] == END:
        tokens.pop()
    return tokens, [(round(float(s["start"]), 2), round(float(s["end"]), 2)) for s in out]


def for_ever(*_):
    raise TimeoutError


signal.signal(signal.SIGALRM, for_ever)
path = f"{work}/case"
for case in range(CASES):
    config, option, words = settings()
    model = checkpoint(path, config, case)
    extractor = WhisperFeatureExtractor.from_pretrained(path)
    heard = [np.ascontiguousarray(sound(extractor)) for _ in range(CLIPS)]
    stream.put(f"{path}.in", b"sixteen letters.", [[{"id": str(i), "input_features": f, "padding_value": 0.0}]
                                                   for i, f in enumerate(heard)], stages=[])
    run = subprocess.run(["generate", "-q", "--model", path, "--in", f"{path}.in", *option], capture_output=True, text=True)
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    name = f"case {case}: {' '.join(option)} {json.dumps(config)}"
    if len(rows) != CLIPS:
        ok(False, name, run.stderr)
        continue
    for row, features in zip(rows, heard):
        try:
            tokens, times = theirs(model, features, words)
        except TimeoutError:
            continue
        ours = row.get("tokens", [])
        while ours and ours[-1] == END:
            ours.pop()
        if any(a == b == TIME for a, b in zip(tokens, tokens[1:])):
            continue
        ok(ours == tokens, f"{name}: ids of {features.shape[1]} frames", why=f"{ours} not {tokens}")
        if "segments" in row:
            spans = [(s["start"], s["end"]) for s in row["segments"]]
            ok(spans == times, "and times", why=f"{spans} not {times}")
maker = os.path.join(os.path.dirname(os.path.abspath(__file__)), "long.py")
made = subprocess.run([sys.executable, maker, speech], capture_output=True, text=True).stdout
with open(f"{golden}/../whisper-long/long.json") as f:
    ok(made == f.read(), "long.json is what this transformers makes")
done()
