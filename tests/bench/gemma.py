"""The rival of gemma.sh: PyTorch + Transformers on the same weights and rows, padded to the longest of a step.

Usage: gemma.py MODEL ROWS.jsonl STEPS NAME BF16(0|1) STARTED(seconds since 1970)
"""
import json, resource, sys, time
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, get_linear_schedule_with_warmup

path, steps, size, bf16 = sys.argv[1], int(sys.argv[3]), sys.argv[4], sys.argv[5] == "1"
rows = [json.loads(l) for l in open(sys.argv[2])]
started = float(sys.argv[6])
tok = AutoTokenizer.from_pretrained(path)
model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
model.train()
names = [(n, p) for n, p in model.named_parameters()]
opt = torch.optim.AdamW([{"params": [p for n, p in names if "norm" not in n], "weight_decay": 0.01},
                         {"params": [p for n, p in names if "norm" in n], "weight_decay": 0.0}], lr=1e-5, fused=True)
sched = get_linear_schedule_with_warmup(opt, 0, steps)
took, losses = [], []
for s in range(steps):
    ids, labels = [], []
    for r in rows[4 * (s % 28):4 * (s % 28) + 4]:
        ask = f"<bos><start_of_turn>user\n{r['prompt']}<end_of_turn>\n<start_of_turn>model\n"
        a = tok(ask, add_special_tokens=False).input_ids
        b = tok(ask + r["response"] + "<end_of_turn>\n", add_special_tokens=False).input_ids
        ids.append(b)
        labels.append([-100] * len(a) + b[len(a):])
    n = max(map(len, ids))
    mask = torch.tensor([[1] * len(x) + [0] * (n - len(x)) for x in ids])
    x = torch.tensor([i + [0] * (n - len(i)) for i in ids])
    y = torch.tensor([i + [-100] * (n - len(i)) for i in labels])
    start = time.time()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        loss = model(input_ids=x, attention_mask=mask, labels=y, use_cache=False).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
    sched.step()
    opt.zero_grad()
    took.append(time.time() - start)
    if s == 0:
        print(f"Gemma 3 {size}, PyTorch: the first step ends {time.time() - started:.2f} s after the start, "
              f"of which the step {took[0]:.2f} s")
    losses.append(loss.item())
if steps > 1:
    took = took[1:]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"Gemma 3 {size}, PyTorch: {sum(took) / len(took):.2f} s a step, peak memory {memory:.2f} GB; "
          f"losses {' '.join('%.4f' % l for l in losses[1:])}")
