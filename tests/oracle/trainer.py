"""tests/oracle/trainer.py WORK WHISPER GEMMA - train-step beside transformers' own Trainer

Over epochs that no batch divides.
Random rows; batches, accumulation, schedules, decay, clipping, label smoothing; some runs are cut in the middle of
their stream and resumed.  Loss, norm and rate of every step, and what was learnt.  Prints TAP.
"""
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import warnings

import msgpack
import msgpack_numpy
import numpy as np
import torch
import transformers
from safetensors.torch import load_file
from torch.utils.data import SequentialSampler
from transformers import Gemma3ForCausalLM, Trainer, TrainingArguments, WhisperForConditionalGeneration

import stream
from tap import done, ok

warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()
torch.set_num_threads(1)
work, whisper, gemma = sys.argv[1:4]
ROWS, START, END = 13, 401, 400
path = f"{work}/trainer"
CASES = [("gemma", dict(batch=2, accumulate=2, rate=1e-3, schedule="cosine", warmup=3, decay=.1, clip=.5, smooth=0,
                        cut=False, epochs=3)),
         ("gemma", dict(batch=3, accumulate=1, rate=1e-3, schedule="linear", warmup=0, decay=.01, clip=1.0,
                        smooth=.1, cut=False, epochs=3)),
         ("whisper", dict(batch=3, accumulate=1, rate=1e-3, schedule="linear", warmup=0, decay=.01, clip=1.0,
                          smooth=.1, cut=False, epochs=2)),
         ("gemma", dict(batch=1, accumulate=4, rate=5e-4, schedule="constant_with_warmup", warmup=4, decay=0,
                        clip=1.0, smooth=0, cut=True, epochs=3)),
         ("gemma", dict(batch=4, accumulate=3, rate=5e-4, schedule="constant", warmup=0, decay=.3, clip=100.0,
                        smooth=0, cut=True, epochs=5)),
         ("gemma", dict(batch=2, accumulate=1, rate=1e-3, schedule="inverse_sqrt", warmup=.2, decay=.1, clip=1.0,
                        smooth=0, cut=True, epochs=3)),
         ("whisper", dict(batch=2, accumulate=1, rate=1e-3, schedule="cosine", warmup=5, decay=.05, clip=1.0,
                          smooth=.2, cut=True, epochs=3))]


class InOrder(Trainer):
    def _get_train_sampler(self, *_):
        return SequentialSampler(self.train_dataset)


class Rows(torch.utils.data.Dataset):
    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows[i]


def row(kind, rng):
    n = rng.randint(3, 20)
    if kind == "whisper":
        return {"input_features": rng.randn(80, 300).astype(np.float32), "labels": np.append(rng.randint(0, 400, n), END)}
    ids = np.append(2, rng.randint(3, 400, n))
    labels = np.where(rng.rand(n + 1) < .4, -100, ids)
    labels[-1] = ids[-1]
    return {"input_ids": ids, "labels": labels}


def batch_make(rows):
    """Padded as the recipes do; Whisper's decoder reads its labels one place later."""
    width = max(len(r["labels"]) for r in rows)
    pad = lambda key, value: torch.tensor(np.stack([np.pad(r[key], (0, width - len(r[key])), constant_values=value)
                                                    for r in rows]))
    labels = pad("labels", -100)
    if "input_ids" in rows[0]:
        heard = torch.tensor([[1] * len(r["labels"]) + [0] * (width - len(r["labels"])) for r in rows])
        return {"input_ids": pad("input_ids", 0), "attention_mask": heard, "labels": labels}
    read = torch.cat([torch.full((len(rows), 1), START), labels[:, :-1].masked_fill(labels[:, :-1] == -100, END)], 1)
    return {"input_features": torch.tensor(np.stack([r["input_features"] for r in rows])), "labels": labels,
            "decoder_input_ids": read}


def sample(i, r):
    s = {"id": str(i), "labels": r["labels"].astype(np.int32)}
    if "input_ids" in r:
        return {**s, "input_ids": r["input_ids"].astype(np.int32)}
    return {**s, "input_features": r["input_features"], "padding_value": 0.0,
            "input_ids": np.append(START, r["labels"][:-1]).astype(np.int32)}


def stream_put(rows, epochs):
    pack = lambda o: msgpack.packb(o, default=msgpack_numpy.encode, use_bin_type=True)
    data = pack({"penstock": 1, "run": b"sixteen letters.", "samples": len(rows), "epochs": epochs, "stages": []})
    n = epochs * len(rows)
    for q in range(n):
        body = pack({"samples": [sample(q % len(rows), rows[q % len(rows)])]})
        data += pack({"t": "DATA", "q": q, "e": q // len(rows), "k": 1, "n": len(body), "c": stream.crc32c(body)}) + body
    with open(f"{path}/in", "wb") as f:
        f.write(data + pack({"t": "END", "units": n, "samples": n, "errors": 0, "c": stream.crc32c(data)}))
    return len(data)


def theirs(model, rows, o):
    words = TrainingArguments(output_dir=f"{path}/hf", num_train_epochs=o["epochs"], report_to=[], logging_steps=1,
                              save_strategy="no", use_cpu=True,
                              remove_unused_columns=False, disable_tqdm=True, per_device_train_batch_size=o["batch"],
                              gradient_accumulation_steps=o["accumulate"], learning_rate=o["rate"],
                              lr_scheduler_type=o["schedule"], warmup_steps=o["warmup"], weight_decay=o["decay"],
                              max_grad_norm=o["clip"], label_smoothing_factor=o["smooth"],
                              optim="adamw_torch")
    trainer = InOrder(model=model, args=words, train_dataset=Rows(rows), data_collator=batch_make)
    with contextlib.redirect_stdout(io.StringIO()):
        trainer.train()
    return {line["step"]: line for line in trainer.state.log_history if "loss" in line}


def ours(source, size, o):
    words = {"batch-size": o["batch"], "gradient-accumulation-steps": o["accumulate"], "learning-rate": o["rate"],
             "lr-scheduler-type": o["schedule"],
             "warmup-ratio" if 0 < o["warmup"] < 1 else "warmup-steps": o["warmup"],
             "weight-decay": o["decay"], "max-grad-norm": o["clip"], "label-smoothing-factor": o["smooth"],
             "logging-steps": 1, "save-steps": 2, "metrics": f"{path}/m", "resume": f"{path}/out"}
    step = f"train-step -q --model {source} " + " ".join(f"--{k} {v}" for k, v in words.items())
    if o["cut"]:
        subprocess.run(f"head -c {size // 2} {path}/in | {step} | ckpt-write -q {path}/out", shell=True, capture_output=True)
    told = subprocess.run(f"{step} <{path}/in | ckpt-write -q {path}/out", shell=True, capture_output=True, text=True).stderr
    with open(f"{path}/m") as f:
        return told, {line["step"]: line for line in map(json.loads, f)}


for case, (kind, o) in enumerate(CASES):
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    rng, source = np.random.RandomState(case), f"{whisper if kind == 'whisper' else gemma}/model"
    rows = [row(kind, rng) for _ in range(ROWS)]
    model = (WhisperForConditionalGeneration if kind == "whisper"
             else Gemma3ForCausalLM).from_pretrained(source, attn_implementation="eager")
    if kind == "whisper":
        model.model.encoder.embed_positions.weight.requires_grad_(False)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    told, got = ours(source, stream_put(rows, o["epochs"]), o)
    want = theirs(model, rows, o)
    name = f"{kind}: {o}"
    if told or set(got) != set(want):
        ok(False, name, told)
        continue
    loss = max(abs(got[s]["loss"] - want[s]["loss"]) for s in want)
    norm = max(abs(got[s]["grad_norm"] / want[s]["grad_norm"] - 1) for s in want)
    rate = max(abs(got[s]["learning_rate"] - want[s]["learning_rate"]) for s in want)
    ok(loss <= 2e-5 and norm <= 2e-5 and rate <= 1e-12, name, f"losses {loss:.1e}, norms {norm:.1e}")
    after, kept = model.state_dict(), load_file(f"{path}/out/latest/model.safetensors")
    rms = lambda x: x.square().mean().sqrt().item()
    far = max(rms(kept[k] - after[k]) / rms(after[k] - before[k]) for k in kept if not torch.equal(after[k], before[k]))
    ok(far <= 1e-2, "and what it has learnt", f"{far:.1e} of the way")
done()
