"""tests/oracle/adapters.py WORK GOLDEN GEMMA [SEED] - adapters of peft, merged by lora-merge and by peft

Cases are drawn from SEED: ranks and alphas by pattern, chosen layers, excluded modules, biases, modules
saved whole; on Whisper and Gemma 3.
Then what is not supported must be refused, not merged otherwise.  Prints TAP.

adapters.py --golden MODEL DIR makes tests/golden/whisper-micro/lora-patterns.
"""
import random
import shutil
import subprocess
import sys
import warnings

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, WhisperForConditionalGeneration

from tap import done, ok

warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()
torch.set_num_threads(1)
CASES = 16
GOLDEN = dict(r=4, lora_alpha=8, target_modules=["q_proj", "fc1"],
              rank_pattern={"fc1": 2, r"decoder\.layers\.1\.self_attn\.q_proj": 6},
              alpha_pattern={"encoder.layers.1.fc1": 3}, use_rslora=True, exclude_modules=["encoder_attn.q_proj"],
              layers_to_transform=[1],
              bias="lora_only", modules_to_save=["final_layer_norm"])


def base(path):
    return (WhisperForConditionalGeneration if "whisper" in path
            else AutoModelForCausalLM).from_pretrained(path, dtype=torch.float32)


def make(path, to, seed, words):
    """An adapter with noise in all that it trains; then the weights of the merged model."""
    torch.manual_seed(seed)
    model = get_peft_model(base(path), LoraConfig(**words))
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(torch.randn_like(p) * 0.05)
    model.save_pretrained(to)
    return {k: v.contiguous() for k, v in PeftModel.from_pretrained(base(path), to).merge_and_unload().state_dict().items()}


def draw(rng, whisper):
    linear = ["q_proj", "k_proj", "v_proj"]
    linear += ["out_proj", "fc1", "fc2"] if whisper else ["o_proj", "gate_proj", "down_proj"]
    some = lambda things: rng.sample(things, rng.randint(1, 2))
    words = dict(r=rng.choice([1, 4, 7]), lora_alpha=rng.choice([4, 8, 16]), use_rslora=rng.random() < .3,
                 target_modules=some(linear))
    if rng.random() < .2:
        words["target_modules"] = "all-linear" if rng.random() < .5 else r".*layers\.[01]\..*" + words["target_modules"][0]
    pattern = lambda: rng.choice(linear + [r"layers\.1\..*", "self_attn." + linear[0], r".*\.0\.self_attn.*", "^model"])
    if rng.random() < .5:
        words["rank_pattern"] = {pattern(): rng.choice([2, 3, 9]) for _ in range(2)}
    if rng.random() < .5:
        words["alpha_pattern"] = {pattern(): rng.choice([1, 5, 32]) for _ in range(2)}
    if rng.random() < .3 and not isinstance(words["target_modules"], str):
        words["layers_to_transform"] = rng.choice([[1], 0, [0, 1]])
        if rng.random() < .5:
            words["layers_pattern"] = "layers"
    if rng.random() < .3:
        words["exclude_modules"] = rng.choice([r".*layers\.0.*", ["layers.1.self_attn." + linear[1]]])
    if rng.random() < .4 and whisper:
        words["bias"] = rng.choice(["all", "lora_only"])
    if rng.random() < .4:
        words["modules_to_save"] = some(["final_layer_norm", "conv1", "embed_positions"] if whisper
                                        else ["norm", "input_layernorm", "q_norm"])
    return words


def merge(path, adapter, to):
    shutil.rmtree(to, ignore_errors=True)
    return subprocess.run(["lora-merge", "-q", "--model", path, adapter, to], capture_output=True, text=True)


def compare(name, path, adapter, want):
    run = merge(path, adapter, adapter + ".merged")
    if run.returncode:
        return ok(False, name, why=run.stderr)
    got = load_file(f"{adapter}.merged/model.safetensors")
    worst = max(((got[k] - want[k]).abs().max() / want[k].abs().max()).item() for k in got)
    ok(worst <= 1e-6 and all(k in got or k in ("proj_out.weight", "lm_head.weight") for k in want), name, f"{worst:.1e}")


if sys.argv[1] == "--golden":
    merged, before = make(sys.argv[2], sys.argv[3], 1, GOLDEN), base(sys.argv[2]).state_dict()
    save_file({k: v for k, v in merged.items() if not torch.equal(v, before[k])}, f"{sys.argv[3]}/merged.safetensors")
    sys.exit()
work, golden, gemma = sys.argv[1:4]
rng = random.Random(int(sys.argv[4]) if len(sys.argv) > 4 else 1)
for case in range(CASES):
    path = f"{golden}/model" if case % 2 else f"{gemma}/model"
    words, to = draw(rng, case % 2), f"{work}/adapter-{case}"
    try:
        want = make(path, to, case, words)
    except ValueError as e:                     # a choice that matches nothing
        print(f"# {words}: {str(e)[:100]}")
        continue
    compare(f"merged as peft merges: {words}", path, to, want)
for path, words in ((golden, dict(target_modules=["q_proj"], use_dora=True)),
                    (golden, dict(target_modules=["q_proj"], lora_bias=True)),
                    (golden, dict(target_modules=["conv2"])), (gemma, dict(target_modules=["embed_tokens", "q_proj"])),
                    (gemma, dict(target_modules=["q_proj"], modules_to_save=["lm_head"])),
                    (gemma, dict(target_modules=["q_proj"], modules_to_save=["embed_tokens"])),
                    (gemma, dict(target_modules=["q_proj"], trainable_token_indices=[1, 2])),
                    (golden, dict(target_modules=["q_proj"], init_lora_weights="olora"))):
    shutil.rmtree(f"{work}/refused", ignore_errors=True)
    make(f"{path}/model", f"{work}/refused", 1, words)
    run = merge(f"{path}/model", f"{work}/refused", f"{work}/refused.merged")
    ok(run.returncode == 100 and run.stderr.count("\n") == 1, f"refused: {words}", why=run.stderr)
done()
