#!/bin/sh
# tests/bench/gemma.sh - Gemma 3 of true size, random weights, trained on 111 short talks: seconds a step, memory, losses
#
#   tests/bench/gemma.sh [270m|1b [STEPS [OPTION...]]]
# 270m takes 5 GB of memory, 1b 18 GB; options are train-step's (--dtype bfloat16, --lora-r 16 ...).
# PyTorch with transformers takes the same steps from the same weights on the same rows, if
# $PENSTOCK_PYTHON, tests/.venv-bench or python3 has them (PENSTOCK_PYTHON=none: not), all of the model
# and in float32 or, with --dtype bfloat16, under autocast.  Not a test: prints, never fails.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
size=${1:-270m} steps=${2:-6}
[ $# -lt 2 ] || shift
[ $# -lt 1 ] || shift
python=${PENSTOCK_PYTHON:-$top/tests/.venv-bench/bin/python}
[ "$python" = none ] || [ -x "$python" ] || python=python3
PATH=${BIN:-$top/bin}:$PATH
tmp=$(mktemp -d "${TMPDIR:-/var/tmp}/penstock.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

case $size in
270m) shape='"hidden_size": 640, "num_hidden_layers": 18, "intermediate_size": 2048' ;;
1b) shape='"hidden_size": 1152, "num_hidden_layers": 26, "intermediate_size": 6912' ;;
*) echo "gemma.sh: 270m or 1b, not '$size'" >&2; exit 100 ;;
esac
cat >"$tmp/config.json" <<END
{"architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "vocab_size": 262144, $shape,
 "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256, "query_pre_attn_scalar": 256, "sliding_window": 512,
 "max_position_embeddings": 32768, "bos_token_id": 2, "eos_token_id": [1, 106], "pad_token_id": 0}
END
mkdir "$tmp/tokenizer"
for f in tokenizer tokenizer_config; do xz -dc "$top/tests/golden/tokenizer-gemma3/$f.json.xz" >"$tmp/tokenizer/$f.json"; done

# 111 questions and answers of some 100 tokens, words drawn by a fixed rule
awk 'BEGIN {
    n = split("the river turns under a grey bridge where boats wait for morning light and nobody counts the hours of slow water moving past old stones toward salt wind gulls rope tar lamp tide sand", w, " ")
    x = 7
    for (r = 1; r <= 111; r++) {
        for (side = 0; side < 2; side++) {
            text[side] = ""; len = side ? 45 + r % 40 : 8 + r % 9
            for (i = 0; i < len; i++) { x = (x * 1103 + 12345) % 65536; text[side] = text[side] (i ? " " : "") w[x % n + 1] }
        }
        printf "{\"id\": \"r%d\", \"prompt\": \"%s?\", \"response\": \"%s.\"}\n", r, text[0], text[1]
    }
}' >"$tmp/rows.jsonl"

model-init -q --tokenizer "$tmp/tokenizer" "$tmp/config.json" "$tmp/m"
gcs-fetch -q --num-train-epochs 4 "$tmp/rows.jsonl" | tokenize -q --model "$tmp/m" >"$tmp/rows"
train-step --model "$tmp/m" --in "$tmp/rows" --batch-size 4 --max-steps "$steps" --learning-rate 1e-5 --weight-decay 0.01 \
    --logging-steps 1 --save-steps 0 --metrics "$tmp/metrics" --out /dev/null "$@" 2>"$tmp/told" || { cat "$tmp/told"; exit 0; }
grep memory "$tmp/told" | sed "s/^train-step:/Gemma 3 $size, plan:/"
perl -MJSON::PP -e '
    my @m = map { decode_json($_) } <STDIN>; shift @m if @m > 1;       # the first step touches its memory
    my ($s, $t) = (0, 0); $s += $_->{step_seconds} for @m;
    printf "Gemma 3 %s, ours: %.2f s a step of 4 rows (an epoch of 111: %.0f s), peak memory %.2f GB; losses %s\n", shift, $s / @m,
        111 / 4 * $s / @m, $m[-1]{peak_memory} / 1e9, join " ", map { sprintf "%.4f", $_->{loss} } @m' "$size" <"$tmp/metrics"
[ "$python" != none ] || exit 0
bf16=0; for o; do [ "$o" != bfloat16 ] || bf16=1; done
"$python" - "$tmp/m" "$tmp/rows.jsonl" "$steps" "$size" "$bf16" 2>"$tmp/err" <<'X' || { tail -1 "$tmp/err"; echo "Gemma 3 $size, PyTorch: not measured, transformers is not in $python"; }
import json, resource, sys, time
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, get_linear_schedule_with_warmup

path, rows, steps, size, bf16 = sys.argv[1], [json.loads(l) for l in open(sys.argv[2])], int(sys.argv[3]), sys.argv[4], sys.argv[5] == "1"
tok = AutoTokenizer.from_pretrained(path)
model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
model.train()
names = [(n, p) for n, p in model.named_parameters()]
opt = torch.optim.AdamW([{"params": [p for n, p in names if "norm" not in n], "weight_decay": 0.01},
                         {"params": [p for n, p in names if "norm" in n], "weight_decay": 0.0}], lr=1e-5)
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
    losses.append(loss.item())
took = took[1:] or took
print(f"Gemma 3 {size}, PyTorch: {sum(took) / len(took):.2f} s a step, peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB; "
      f"losses {' '.join('%.4f' % l for l in losses[1:] or losses)}")
X
