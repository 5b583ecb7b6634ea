"""tests/oracle/steps.py WORK GOLDEN SPEECH [SEED] - train-step beside PyTorch and PEFT, in cases drawn from SEED

Whispers of random shapes and weights, noise for sound, random labels of which some are -100; batches,
accumulation, schedules with warm-up, weight decay, clipping, label smoothing, frozen patterns, adapters.
Losses, norms and rates of every step, and what was trained after the last.  Prints TAP.
"""
import json
import os
import random
import re
import shutil
import subprocess
import sys

import numpy as np
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import WhisperConfig, WhisperForConditionalGeneration, get_scheduler

import stream
from tap import done, ok

transformers.logging.set_verbosity_error()
torch.set_num_threads(1)
work, golden = sys.argv[1:3]
seed = int(sys.argv[4]) if len(sys.argv) > 4 else 1
CASES, START, END = 12, 401, 400


def model_make(path, draw):
    with open(f"{golden}/model/config.json") as f:
        c = json.load(f)
    heads = draw.choice([1, 2, 4])
    c.update(d_model=heads * draw.choice([8, 16, 24]), encoder_attention_heads=heads,
             decoder_attention_heads=draw.choice([heads, 1]), encoder_ffn_dim=draw.choice([40, 64, 128]),
             decoder_ffn_dim=draw.choice([32, 72, 128]), encoder_layers=draw.choice([1, 2, 3]),
             decoder_layers=draw.choice([1, 2, 3]), max_source_positions=draw.choice([50, 75]),
             max_target_positions=draw.choice([24, 48]), num_mel_bins=draw.choice([80, 128]),
             scale_embedding=draw.random() < .2, init_std=draw.choice([.02, .1, .2]),
             vocab_size=draw.choice([563, 600]))
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(f"{golden}/model", path)
    WhisperForConditionalGeneration(WhisperConfig(**c)).save_pretrained(path)
    return c


def rows_make(path, n, c):
    frames, out, samples = 2 * c["max_source_positions"], [], []
    for i in range(n):
        heard, pad = int(np.random.choice([frames, frames // 2, 1])), float(np.float32(-np.random.rand()))
        sound = np.random.randn(c["num_mel_bins"], heard).astype(np.float32)
        ids = np.random.randint(0, 563, np.random.randint(3, 20)).astype(np.int32)
        ids[0] = START
        labels = np.where(np.random.rand(len(ids) - 1) < .25, -100, ids[1:]).astype(np.int32)
        labels[-1] = END
        samples.append([{"id": str(i), "input_features": sound, "padding_value": pad, "input_ids": ids[:-1].copy(),
                         "labels": labels}])
        out.append((np.pad(sound, ((0, 0), (0, frames - heard)), constant_values=pad), ids[:-1].astype(np.int64),
                    labels.astype(np.int64)))
    stream.put(path, b"sixteen letters.", samples, stages=[])
    return out


def train(path, to, option):
    if os.path.exists(f"{to}.m"):
        os.remove(f"{to}.m")
    shutil.rmtree(to, ignore_errors=True)
    command = " ".join(f"'{o}'" for o in ("train-step", "-q", "--model", path, "--in", f"{path}.in",
                                          "--metrics", f"{to}.m", "--logging-steps", 1,
                                          "--save-steps", 0, *option))
    told = subprocess.run(f"{command} | ckpt-write -q '{to}'", shell=True, capture_output=True, text=True).stderr
    with open(f"{to}.m") as f:
        return told, [json.loads(line) for line in f]


def freeze(model, pattern):
    plain = re.fullmatch(r"[\w,]+", pattern)
    for name, p in model.named_parameters():
        if set(name.split(".")) & set(pattern.split(",")) if plain else re.search(pattern, name):
            p.requires_grad_(False)


def rival(model, rows, o, steps):
    decay, rest = [], []
    for name, p in model.named_parameters():
        if p.requires_grad:
            (rest if name.endswith("bias") or "layer_norm" in name else decay).append(p)
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": o["decay"]},
                                   {"params": rest, "weight_decay": 0.0}], lr=o["rate"])
    schedule = get_scheduler(o["schedule"], optimizer, o["warmup"], steps)
    taken = o["batch"] * o["accumulate"]
    for s in range(steps):
        mine = rows[s * taken:(s + 1) * taken]
        tokens, loss = sum(int((r[2] != -100).sum()) for r in mine), 0
        for b in range(0, taken, o["batch"]):
            part = mine[b:b + o["batch"]]
            width = max(len(r[1]) for r in part)
            ids = torch.tensor(np.stack([np.pad(r[1], (0, width - len(r[1])), constant_values=END) for r in part]))
            labels = torch.tensor(np.stack([np.pad(r[2], (0, width - len(r[2])), constant_values=-100) for r in part]))
            logits = model(input_features=torch.tensor(np.stack([r[0] for r in part])), decoder_input_ids=ids).logits
            l = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100,
                                                  label_smoothing=o["smooth"],
                                                  reduction="sum") / tokens
            l.backward()
            loss += l.item()
        norm = torch.nn.utils.clip_grad_norm_(decay + rest, o["clip"] or 1e30).item()
        rate = optimizer.param_groups[0]["lr"]
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        yield loss, norm, rate


def adapter_draw(draw):
    target = draw.choice(["q_proj,v_proj", "all-linear", "fc1", r"model\.decoder\..*\.(v_proj|out_proj)",
                          "q_proj,k_proj,v_proj,out_proj,fc1,fc2"])
    where = draw.choice(["all", "encoder", "decoder"]) if re.fullmatch(r"[\w,]+", target) else "all"
    rank, alpha, rs = draw.choice([1, 4, 8]), draw.choice([4, 8, 16]), draw.random() < .4
    option = ["--lora-r", rank, "--lora-alpha", alpha, "--lora-target-modules", target, "--lora-layers", where]
    option += ["--use-rslora"] * rs
    words = target if ".*" in target or target == "all-linear" else target.split(",")
    if where != "all":
        words = rf"model\.{where}\..*\.({'|'.join(words)})"
    return option, LoraConfig(r=rank, lora_alpha=alpha, target_modules=words, use_rslora=rs)


path = f"{work}/shape"
for case in range(CASES):
    draw = random.Random(1000 * seed + case)
    torch.manual_seed(1000 * seed + case)
    np.random.seed(1000 * seed + case)
    c = model_make(path, draw)
    steps = draw.choice([4, 7])
    o = {"batch": draw.choice([1, 2, 3]), "accumulate": draw.choice([1, 1, 2]), "rate": draw.choice([1e-3, 3e-4]),
         "decay": draw.choice([0, .01, .1]),
         "schedule": draw.choice(["linear", "cosine", "constant", "constant_with_warmup"]), "warmup": draw.choice([0, 2, 3]),
         "smooth": draw.choice([0, 0, .1]), "clip": draw.choice([1.0, 0, .3])}
    if o["schedule"] == "constant":
        o["warmup"] = 0
    rows = rows_make(f"{path}.in", steps * o["batch"] * o["accumulate"], c)
    option = ["--batch-size", o["batch"], "--gradient-accumulation-steps", o["accumulate"],
              "--lr-scheduler-type", o["schedule"], "--warmup-steps", o["warmup"], "--weight-decay", o["decay"],
              "--label-smoothing-factor", o["smooth"], "--max-grad-norm", o["clip"]]
    model = WhisperForConditionalGeneration.from_pretrained(path, attn_implementation="eager").eval()
    model.model.encoder.embed_positions.weight.requires_grad_(False)
    mode = ("full", "freeze", "lora", "lora")[case % 4]
    if mode == "freeze":
        pattern = draw.choice(["encoder", r"layers\.0\.", "embed_tokens", "decoder", "fc1,fc2", "encoder_attn"])
        option += ["--freeze", pattern]
        freeze(model, pattern)
    if mode == "lora":
        more, words = adapter_draw(draw)
        option += more
        train(path, f"{path}.0", option + ["--learning-rate", 0, "--max-steps", 1])
        matched = {k for k, _ in get_peft_model(WhisperForConditionalGeneration.from_pretrained(path),
                                                words).named_parameters() if "lora_" in k}
        model = PeftModel.from_pretrained(model, f"{path}.0/latest", is_trainable=True).eval()
    told, got = train(path, f"{path}.1", option + ["--learning-rate", o["rate"]])
    name = f"case {case}: {mode} {' '.join(map(str, option))}"
    want = list(rival(model, rows, o, steps))
    if told or len(got) != steps:
        ok(False, name, told)
        continue
    loss = max(abs(g["loss"] - w[0]) / max(1, w[0]) for g, w in zip(got, want))
    norm = max(abs(g["grad_norm"] / w[1] - 1) for g, w in zip(got, want))
    rate = max(abs(g["learning_rate"] - w[2]) for g, w in zip(got, want))
    ok(loss <= 1e-5 and norm <= 2e-5 and rate <= 1e-12, name, f"losses {loss:.1e}, norms {norm:.1e}")
    kept = load_file(f"{path}.1/latest/{'adapter_' if mode == 'lora' else ''}model.safetensors")
    trained = {k.replace(".default", ""): p.detach() for k, p in model.named_parameters() if mode != "lora" or "lora_" in k}
    far = max(((kept[k] - p).square().mean().sqrt() / p.abs().max().clamp_min(1e-2)).item()
              for k, p in trained.items() if k in kept)
    same = set(kept) == set(trained) and (mode != "lora" or set(kept) == {k.replace(".default", "") for k in matched})
    # AdamW divides by gradients, which may be nearly 0
    ok(same and far <= 2e-4, "and what it has learnt", f"rms {far:.1e}")
done()
