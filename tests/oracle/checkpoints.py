"""tests/oracle/checkpoints.py WORK GOLDEN - checkpoints of train-step under the real transformers and peft

Opens each (nothing missing, nothing unexpected), compares the loss with what train-step
measured, trains the same ten steps in PyTorch from the state before, and compares losses,
norms and weights; then the answers of generate.  Prints TAP.
"""
import json
import os
import sys
import warnings

import torch
from peft import AutoPeftModel, PeftModel
from safetensors.torch import load_file
from transformers import WhisperForConditionalGeneration, WhisperProcessor, get_linear_schedule_with_warmup

from tap import done, ok

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
work, golden = sys.argv[1:3]


def metrics(name):
    with open(f"{work}/{name}.metrics") as f:
        return [json.loads(line) for line in f]


batch = {k: v for k, v in load_file(f"{golden}/inputs.safetensors").items() if k in ("input_features", "labels")}


def base():
    m = WhisperForConditionalGeneration.from_pretrained(f"{golden}/model")
    m.model.encoder.embed_positions.weight.requires_grad_(False)
    return m


def open_model(path, name):
    m, info = WhisperForConditionalGeneration.from_pretrained(path, output_loading_info=True)
    ok(not any(info.values()), f"{name}: from_pretrained finds nothing missing, unexpected or of another shape",
       str(info) if any(info.values()) else "")
    m.model.encoder.embed_positions.weight.requires_grad_(False)
    return m


def open_adapter(path, name, trainable=False):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        m = PeftModel.from_pretrained(base(), path, is_trainable=trainable)
    told = [str(w.message) for w in told if "adapter" in str(w.message)]
    ok(not told, f"{name}: PEFT opens it", "; ".join(told))
    kept = load_file(f"{path}/adapter_model.safetensors")
    names = {k.replace(".default", "") for k, _ in m.named_parameters() if "lora_" in k}
    ok(names == set(kept), f"{name}: with exactly our tensors", f"{len(kept)} tensors, {sorted(names ^ set(kept))[:3]}")
    return m


def loss_of(m, smoothing=0.0):
    logits = m(**batch).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten(), ignore_index=-100,
                                             label_smoothing=smoothing)


def train(m, smoothing=0.0, autocast=False):
    decay, rest = [], []
    for k, p in m.named_parameters():
        if p.requires_grad:
            (rest if k.endswith("bias") or "layer_norm" in k else decay).append(p)
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}],
                                  lr=1e-3, eps=1e-8)
    schedule = get_linear_schedule_with_warmup(optimizer, 3, 10)
    m.eval()                                # no dropout in either
    out = []
    for _ in range(10):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = loss_of(m, smoothing)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(decay + rest, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        out.append((loss.item(), norm.item()))
    return out


def same_steps(name, got, want):
    worst = max(abs(g["loss"] - w[0]) for g, w in zip(got, want))
    ok(len(got) == len(want) and worst <= 1e-5, f"{name}: the losses of ten steps", f"{worst:.1e}")
    worst = max(abs(g["grad_norm"] / w[1] - 1) for g, w in zip(got, want))
    ok(worst <= 2e-5, f"{name}: and their norms", f"{worst:.1e}")


def same_weights(name, got, want, limit=5e-6):
    worst = max(((got[k] - want[k]).square().mean().sqrt() / want[k].abs().max().clamp_min(1e-3)).item() for k in want)
    ok(set(got) == set(want) and worst <= limit, f"{name}: and the weights after them", f"rms {worst:.1e}")


def check_full(name, freeze=None, smoothing=0.0):
    start = open_model(f"{work}/{name}-0/latest", name)
    for k, p in start.named_parameters():
        if freeze and freeze(k):
            p.requires_grad_(False)
    same_steps(name, metrics(name), train(start, smoothing))
    after = open_model(f"{work}/{name}/latest", name)
    same_weights(name, dict(after.named_parameters()), dict(start.named_parameters()))
    want = loss_of(after).item()            # evaluation does not smooth
    ok(abs(want - metrics(name)[-1]["eval_loss"]) <= 1e-5, f"{name}: the loss that train-step measured", f"{want:.6f}")


def check_adapter(name):
    start = open_adapter(f"{work}/{name}-0/latest", name, trainable=True)
    same_steps(name, metrics(name), train(start))
    after = open_adapter(f"{work}/{name}/latest", name)
    ok(isinstance(AutoPeftModel.from_pretrained(f"{work}/{name}/latest").base_model.model,
                  WhisperForConditionalGeneration), f"{name}: AutoPeftModel finds its base")
    params = {k: p for k, p in start.named_parameters() if "lora_" in k}
    # B begins as 0, so A's first gradients are nearly 0, and AdamW divides by their size
    same_weights(name, {k: p for k, p in after.named_parameters() if "lora_" in k}, params, 1e-4)
    want = loss_of(after.eval()).item()
    ok(abs(want - metrics(name)[-1]["eval_loss"]) <= 1e-5, f"{name}: the loss that train-step measured", f"{want:.6f}")


def check_answers(name, path):
    m = open_model(path, f"{name} for generate").eval()
    tokenizer = WhisperProcessor.from_pretrained(path).tokenizer
    with open(f"{work}/{name}.answers") as f:
        rows = [json.loads(line) for line in f]
    prompt = torch.tensor([tokenizer.convert_tokens_to_ids(["<|startoftranscript|>", "<|en|>", "<|transcribe|>",
                                                            "<|notimestamps|>"])])
    config = json.load(open(f"{path}/generation_config.json"))
    for i, row in enumerate(rows):
        ids, out = prompt, []
        while ids.shape[1] < 64 and (not out or out[-1] != 400):
            with torch.no_grad():
                logits = m(input_features=batch["input_features"][i:i + 1], decoder_input_ids=ids).logits[0, -1]
            logits[config["suppress_tokens"]] = -torch.inf
            if not out:
                logits[config["begin_suppress_tokens"]] = -torch.inf
            out.append(logits.argmax().item())
            ids = torch.cat([ids, torch.tensor([[out[-1]]])], 1)
        ok(row["tokens"] == out, f"{name}: greedy tokens of clip {i}",
           "" if row["tokens"] == out else f"{row['tokens']} not {out}")
    ok(len(rows) == 3, f"{name}: an answer a clip")


check_full("full")
check_full("frozen", lambda k: ".encoder." in k)
check_full("pattern", lambda k: "layers.0" in k or "embed" in k)
check_full("smooth", smoothing=0.1)
for adapter in ("qv", "all", "regex", "layers"):
    check_adapter(adapter)
exact = metrics("full")
rival = train(open_model(f"{work}/bf16-0/latest", "products in bfloat16"), autocast=True)
ours = max(abs(g["loss"] - w["loss"]) for g, w in zip(metrics("bf16"), exact))
theirs = max(abs(g[0] - w["loss"]) for g, w in zip(rival, exact))
for g, r, w in zip(metrics("bf16"), rival, exact):
    print(f"#   float32 {w['loss']:.5f}   ours in bfloat16 {g['loss']:.5f}   autocast {r[0]:.5f}")
ok(ours <= 2 * theirs + 1e-3, "products in bfloat16: the losses are as near to float32's as autocast's",
   f"{ours:.1e}, autocast {theirs:.1e}")
half = open_model(f"{work}/half/latest", "bfloat16")
ok(half.dtype == torch.bfloat16, "bfloat16: is opened as such")
full = load_file(f"{work}/full/latest/model.safetensors")
ok(all(torch.equal(p.detach(), full[k].bfloat16()) for k, p in half.named_parameters()), "bfloat16: rounded to nearest")
merged = open_model(f"{work}/merged", "merged")
unmerged = PeftModel.from_pretrained(base(), f"{work}/all/latest").merge_and_unload()
worst = max(((p - q).abs().max() / q.abs().max()).item()
            for (_, p), (_, q) in zip(merged.named_parameters(), unmerged.named_parameters()))
ok(worst <= 1e-6, "merged: as PEFT merges", f"{worst:.1e}")
for name in ("full", "merged", "random"):
    path = f"{work}/{name}/latest"
    check_answers(name, path if os.path.exists(path) else f"{work}/{name}")
done()
