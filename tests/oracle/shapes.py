"""tests/oracle/shapes.py WORK GOLDEN [SEED] - train-step beside PyTorch and PEFT on Gemma 3, in cases drawn from SEED

Random heads, widths, windows, tied or not, biases, caps; rows of random tokens and lengths of which some are not
learnt, packed by us and one by one there; batches, accumulation, schedules, adapters.  Losses and norms of four
steps, and the adapter's tensors.  Prints TAP.
"""
import json
import os
import random
import shutil
import subprocess
import sys

import numpy as np
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, get_scheduler

import stream
from tap import done, ok

transformers.logging.set_verbosity_error()
torch.set_num_threads(1)
work, golden = sys.argv[1:3]
seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
CASES, STEPS, BOS = 16, 4, 2
path = f"{work}/gemma-shape"


def model_make(draw):
    with open(f"{golden}/model/config.json") as f:
        c = json.load(f)
    heads, layers = draw.choice([1, 2, 4]), draw.choice([1, 2, 3, 4])
    c.update(num_attention_heads=heads, num_key_value_heads=draw.choice([h for h in (1, 2, 4) if heads % h == 0]),
             num_hidden_layers=layers, head_dim=draw.choice([8, 10, 16, 32]),
             hidden_size=draw.choice([16, 24, 40, 64]), intermediate_size=draw.choice([20, 64, 100]),
             layer_types=[draw.choice(["sliding_attention", "full_attention"]) for _ in range(layers)],
             sliding_window=draw.choice([1, 3, 8, 16]), query_pre_attn_scalar=draw.choice([8, 24]),
             tie_word_embeddings=draw.random() < .6, attention_bias=draw.random() < .2,
             final_logit_softcapping=draw.choice([None, None, 5.0]), vocab_size=draw.choice([400, 333]),
             initializer_range=.2)
    model = Gemma3ForCausalLM(Gemma3TextConfig(**c))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "norm" in name or "bias" in name:
                p.normal_(0, .2)
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(f"{golden}/model", path)
    model.save_pretrained(path)
    return c["vocab_size"]


def rows_make(n, vocab, longest):
    out = []
    for _ in range(n):
        ids = np.random.randint(3, vocab, np.random.randint(3, longest)).astype(np.int32)
        ids[0] = BOS
        labels = np.where(np.random.rand(len(ids)) < .4, -100, ids).astype(np.int32)
        labels[-1] = ids[-1]
        out.append((ids, labels))
    stream.put(f"{path}.in", b"sixteen letters.", [[{"id": str(i), "input_ids": a, "labels": b}]
                                                   for i, (a, b) in enumerate(out)], stages=[])
    return [(torch.tensor(a).long(), torch.tensor(b).long()) for a, b in out]


def train(to, option):
    shutil.rmtree(to, ignore_errors=True)
    if os.path.exists(f"{to}.m"):
        os.remove(f"{to}.m")
    command = " ".join(f"'{o}'" for o in ("train-step", "-q", "--model", path, "--in", f"{path}.in",
                                          "--metrics", f"{to}.m", "--logging-steps", 1,
                                          "--save-steps", 0, *option))
    told = subprocess.run(f"{command} | ckpt-write -q '{to}'", shell=True, capture_output=True, text=True).stderr
    if not os.path.exists(f"{to}.m"):
        return told, []
    with open(f"{to}.m") as f:
        return told, [json.loads(line) for line in f]


def rival(model, rows, taken, o):
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    rest = [p for name, p in trained if name.endswith("bias") or "norm" in name]
    decay = [p for name, p in trained if not (name.endswith("bias") or "norm" in name)]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": o["decay"]},
                                   {"params": rest, "weight_decay": 0.0}], lr=1e-3)
    schedule = get_scheduler(o["schedule"], optimizer, 0, STEPS)
    for s in range(STEPS):
        mine = rows[s * taken:(s + 1) * taken]
        tokens, loss = sum(int((labels[1:] != -100).sum()) for _, labels in mine), 0
        for ids, labels in mine:
            logits = model(input_ids=ids[None]).logits[0]
            part = torch.nn.functional.cross_entropy(logits[:-1], labels[1:], ignore_index=-100, reduction="sum") / tokens
            part.backward()
            loss += part.item()
        norm = torch.nn.utils.clip_grad_norm_(decay + rest, o["clip"]).item()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        yield loss, norm


for case in range(CASES):
    draw = random.Random(1000 * seed + case)
    torch.manual_seed(1000 * seed + case)
    np.random.seed(1000 * seed + case)
    vocab = model_make(draw)
    batch, accumulate, lora = draw.choice([1, 2, 4]), draw.choice([1, 2]), case % 2 == 1
    o = {"decay": draw.choice([0, .1]), "clip": draw.choice([1.0, .3]),
         "schedule": draw.choice(["linear", "cosine", "constant"])}
    rows = rows_make(batch * accumulate * STEPS, vocab, draw.choice([6, 40, 120]))
    option = ["--batch-size", batch, "--gradient-accumulation-steps", accumulate,
              "--lr-scheduler-type", o["schedule"], "--weight-decay", o["decay"],
              "--max-grad-norm", o["clip"]] + ["--gradient-checkpointing"] * (draw.random() < .4)
    model = Gemma3ForCausalLM.from_pretrained(path, attn_implementation="eager").eval()
    if lora:
        target = draw.choice(["q_proj,v_proj", "all-linear", "down_proj,o_proj", "gate_proj,up_proj,k_proj"])
        rank = draw.choice([1, 4])
        option += ["--lora-r", rank, "--lora-alpha", 8, "--lora-target-modules", target]
        train(f"{path}.0", option + ["--learning-rate", 0, "--max-steps", 1])
        words = target if target == "all-linear" else target.split(",")
        matched = get_peft_model(Gemma3ForCausalLM.from_pretrained(path), LoraConfig(r=rank, target_modules=words))
        want = {name.replace(".default", "") for name, _ in matched.named_parameters() if "lora_" in name}
        ok(set(load_file(f"{path}.0/latest/adapter_model.safetensors")) == want,
           f"case {case}: the adapter has PEFT's tensors")
        model = PeftModel.from_pretrained(model, f"{path}.0/latest", is_trainable=True).eval()
    told, got = train(f"{path}.1", option + ["--learning-rate", 1e-3])
    want = list(rival(model, rows, batch * accumulate, o))
    name = f"case {case}: {'lora' if lora else 'full'} {' '.join(map(str, option))}"
    if told or len(got) != STEPS:
        ok(False, name, told)
        continue
    first = abs(got[0]["grad_norm"] / want[0][1] - 1)
    # AdamW divides by gradients, which may be nearly 0
    norm = max(abs(g["grad_norm"] / w[1] - 1) for g, w in zip(got, want))
    loss = max(abs(g["loss"] - w[0]) / max(1, w[0]) for g, w in zip(got, want))
    ok(loss <= 1e-5 and first <= 1e-5 and norm <= 1e-3, name, f"losses {loss:.1e}, norms {first:.1e}, later {norm:.1e}")
done()
