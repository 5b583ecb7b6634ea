"""Writes beams.json beside this file: beam search by transformers on the whisper-micro case.

Usage: make.py [DIR of whisper-micro]     (transformers 5.23, torch 2.13, CPU, float32)

Rows: weights, clip, timestamps, beams, length_penalty, prompt (forced ids), tokens
(the answer, the end included if it came), score (sequences_scores).
"""
import json
import os
import sys

import torch
from safetensors.torch import load_file
from transformers import WhisperForConditionalGeneration

here = os.path.dirname(os.path.abspath(__file__))
case = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "..", "whisper-micro")
features = load_file(os.path.join(case, "inputs.safetensors"))["input_features"]
asked = json.load(open(os.path.join(case, "decode.json")))
torch.set_num_threads(1)
rows = []
for weights in ("model", "trained"):
    model = WhisperForConditionalGeneration.from_pretrained(os.path.join(case, weights), dtype=torch.float32, attn_implementation="eager").eval()
    for row in (r for r in asked if r["weights"] == weights):
        for beams, penalty in ((2, 1.0), (5, 1.0), (3, 0.0), (4, 2.0)):
            out = model.generate(features[row["clip"]:row["clip"] + 1], language=row["language"], task=row["task"],
                                 return_timestamps=row["timestamps"], do_sample=False, num_beams=beams, length_penalty=penalty,
                                 return_dict_in_generate=True, output_scores=True, force_unique_generate_call=True)
            seq = out.sequences[0].tolist()
            assert seq[:len(row["prompt"])] == row["prompt"]
            tokens = seq[len(row["prompt"]):]
            while len(tokens) > 1 and tokens[-1] == 400 and tokens[-2] == 400:
                tokens.pop()
            rows.append({"weights": weights, "clip": row["clip"], "timestamps": row["timestamps"], "beams": beams,
                         "length_penalty": penalty, "prompt": row["prompt"], "tokens": tokens,
                         "score": round(out.sequences_scores[0].item(), 6)})
with open(os.path.join(here, "beams.json"), "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")
