"""tests/oracle/gemma.py WORK - checkpoints of Gemma 3 under the real transformers and peft

Of a text model and of one with a tower, trained whole and by an adapter: opens each
(nothing missing, nothing unexpected), compares the loss over the rows, tokenized and
masked by the checkpoint's own template, with eval_loss, and greedy answers with generate's.
Prints TAP.
"""
import json
import sys
import warnings

import torch
from peft import PeftModel
from transformers import AutoTokenizer, Gemma3ForCausalLM, Gemma3ForConditionalGeneration

from tap import done, ok

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
work = sys.argv[1]


def lines(path):
    with open(path) as f:
        return [json.loads(line) for line in f]


def prompts(tok, messages):
    """Each answer's prompt and the text up to its end, as ids."""
    for i, m in enumerate(messages):
        if m["role"] == "assistant":
            yield [tok.apply_chat_template(messages[:n], add_generation_prompt=n == i, tokenize=True,
                                           return_dict=True)["input_ids"]
                   for n in (i, i + 1)]


rows = lines(f"{work}/rows.jsonl")
for kind, cls in ("text", Gemma3ForCausalLM), ("tower", Gemma3ForConditionalGeneration):
    for how in "full", "lora":
        name, path = f"{kind}, {how}", f"{work}/{kind}.{how}/latest"
        model, info = cls.from_pretrained(path if how == "full" else f"{work}/{kind}", output_loading_info=True)
        ok(not any(info.values()), f"{name}: from_pretrained finds nothing missing, unexpected or of another shape",
           str(info) if any(info.values()) else "")
        if how == "lora":
            model = PeftModel.from_pretrained(model, path)
        model.eval()
        tok = AutoTokenizer.from_pretrained(path if how == "full" else f"{work}/{kind}")
        answers = {r["id"]: r["tokens"] for r in lines(f"{work}/{kind}.{how}.answers")}
        nll = tokens = 0
        for r in rows:
            for ask, whole in prompts(tok, r["messages"]):
                with torch.no_grad():
                    logp = model(input_ids=torch.tensor([whole])).logits[0].float().log_softmax(-1)
                nll -= sum(logp[i - 1, whole[i]].item() for i in range(len(ask), len(whole)))
                tokens += len(whole) - len(ask)
            out = model.generate(input_ids=torch.tensor([ask]), attention_mask=torch.ones(1, len(ask), dtype=torch.long),
                                 do_sample=False, max_new_tokens=12)[0, len(ask):].tolist()
            ok(out == answers[r["id"]], f"{name}: greedy tokens of row {r['id']}",
               "" if out == answers[r["id"]] else f"{answers[r['id']]} not {out}")
        got = [m["eval_loss"] for m in lines(f"{work}/{kind}.{how}.metrics") if "eval_loss" in m][-1]
        ok(abs(got - nll / tokens) <= 1e-5 * got, f"{name}: eval_loss",
           f"{got:.7f}, transformers {nll / tokens:.7f} over {tokens} tokens")
done()
