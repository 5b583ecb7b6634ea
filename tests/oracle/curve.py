"""tests/oracle/curve.py WORK STEPS - the rival of tests/oracle/curve: PyTorch in float32 and under bfloat16 autocast

The rows of WORK/rows in their order, the model WORK/start, AdamW with the same groups, warm-up,
linear decay and clipping; then all four curves of losses.  Prints a table and TAP.
"""
import json
import sys

import msgpack
import msgpack_numpy
import numpy as np
import torch
from transformers import WhisperForConditionalGeneration, get_linear_schedule_with_warmup

work, steps = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(1)


def samples():
    with open(f"{work}/rows", "rb") as f:
        for o in msgpack.Unpacker(f, object_hook=msgpack_numpy.decode, strict_map_key=False, max_buffer_size=1 << 30):
            if list(o) == ["samples"]:
                yield from o["samples"]


def batches():
    rows = []
    for s in samples():
        assert "error" not in s, s
        rows.append(s)
        if len(rows) == 5:
            features = np.stack([np.pad(r["input_features"], ((0, 0), (0, 300 - r["input_features"].shape[1])),
                                        constant_values=r["padding_value"]) for r in rows])
            longest = max(len(r["labels"]) for r in rows)
            labels = np.stack([np.pad(r["labels"], (0, longest - len(r["labels"])), constant_values=-100) for r in rows])
            yield torch.tensor(features), torch.tensor(labels, dtype=torch.long)
            rows = []


def curve(autocast):
    model = WhisperForConditionalGeneration.from_pretrained(f"{work}/start", dtype=torch.float32)
    model.model.encoder.embed_positions.weight.requires_grad_(False)
    decay, rest = [], []
    for name, p in model.named_parameters():
        if p.requires_grad:
            (rest if name.endswith("bias") or "layer_norm" in name else decay).append(p)
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}],
                                  lr=1e-3, eps=1e-8)
    schedule = get_linear_schedule_with_warmup(optimizer, 20, steps)
    model.eval()
    losses = []
    for features, labels in batches():
        if len(losses) == steps:
            break
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = model(input_features=features, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decay + rest, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return np.array(losses)


def ours(name):
    with open(f"{work}/{name}") as f:
        return np.array([json.loads(line)["loss"] for line in f])


curves = {"ours, float32": ours("float32"), "PyTorch, float32": curve(False), "ours, bfloat16": ours("bfloat16"),
          "PyTorch, autocast": curve(True)}
print("# step    " + "  ".join(curves))
for i in sorted({0, 9, 24, 49, 99, 149, 199, 249, 299, steps - 1}):
    if i < steps:
        print(f"# {i + 1:4d}    " + "  ".join(f"{c[i]:{len(n)}.4f}" for n, c in curves.items()))
far = {}
for name, exact in (("ours, float32", "PyTorch, float32"), ("ours, bfloat16", "ours, float32"),
                    ("PyTorch, autocast", "PyTorch, float32")):
    d = np.abs(curves[name] - curves[exact])
    far[name] = d.mean()
    parts = ", ".join(f"{a + 1} to {min(b, steps)}: {d[a:b].mean():.5f}"
                      for a, b in ((0, 100), (100, 200), (200, 300)) if a < steps)
    print(f"# {name} from {exact}: mean {d.mean():.5f}, largest {d.max():.5f} (mean of steps {parts})")
good = all(len(c) == steps and np.isfinite(c).all() for c in curves.values())
print(f"{'ok' if good else 'not ok'} 1 - four runs of {steps} steps")
near = far["ours, bfloat16"] <= 2 * far["PyTorch, autocast"] + 1e-3
print(f"{'ok' if near else 'not ok'} 2 - in bfloat16 the losses stay as near to float32's as autocast's")
learnt = curves["ours, bfloat16"][-10:].mean() < 0.2 * curves["ours, bfloat16"][0]
print(f"{'ok' if learnt else 'not ok'} 3 - and it has learnt")
print("1..3")
sys.exit(not (good and near and learnt))
