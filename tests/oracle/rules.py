"""Makes tests/golden/gemma3-micro/rules.json: answers of transformers where settings look at what came before.

Usage: rules.py GOLDEN >rules.json   (transformers 5.23, torch 2.13, CPU, float32)

A case: config (as in generation_config.json), prompt, num_beams, length_penalty, max_new_tokens, tokens (with the
end, if there is one).  Random settings of which each changes the answer; several ends, so that there are some.
"""
import json
import random
import sys

import torch
import transformers
from transformers import Gemma3ForCausalLM, GenerationConfig

transformers.logging.set_verbosity_error()
torch.set_num_threads(1)
CASES, VOCAB = 5, 400         # of each setting at least
model = Gemma3ForCausalLM.from_pretrained(f"{sys.argv[1]}/model", dtype=torch.float32, attn_implementation="eager").eval()
draw = random.Random(1)


choice = {"no_repeat_ngram_size": lambda: draw.choice([1, 2, 3]), "min_length": lambda: draw.choice([8, 16, 24]),
          "min_new_tokens": lambda: draw.choice([3, 6, 12]), "early_stopping": lambda: draw.choice([True, "never"]),
          "bad_words_ids": lambda: [[draw.randrange(3, VOCAB) for _ in range(draw.choice([1, 1, 2, 3]))] for _ in range(30)]}


def settings():
    return {k: choice[k]() for k in draw.sample(sorted(choice), draw.choice([1, 1, 2, 3]))}


def answer(prompt, config, **words):
    model.generation_config = GenerationConfig(**config)
    out = model.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                         do_sample=False, **words)
    return out[0][len(prompt):].tolist()


rows, used = [], dict.fromkeys(choice, 0)
while min(used.values()) < CASES:
    words = {"num_beams": draw.choice([1, 1, 2, 4]), "length_penalty": draw.choice([1.0, 0.0, 2.0]),
             "max_new_tokens": draw.choice([12, 24])}
    prompt, more = [2] + [draw.randrange(3, VOCAB) for _ in range(draw.choice([1, 5, 12]))], settings()
    config = {"eos_token_id": [VOCAB - 1], "pad_token_id": 0}
    likely = sorted(set(answer(prompt, config, **words)))
    config["eos_token_id"] = draw.sample(likely, min(3, len(likely))) + [1]
    tokens = answer(prompt, config | more, **words)
    less = lambda key: config | {k: v for k, v in more.items() if k != key}
    if all(used[k] >= CASES for k in more) or any(answer(prompt, less(key), **words) == tokens for key in more):
        continue
    for key in more:
        used[key] += 1
    rows.append({"config": config | more, "prompt": prompt, **words, "tokens": tokens})
print("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]")
