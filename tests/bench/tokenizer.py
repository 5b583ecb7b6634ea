"""The rivals of tokenizer_bench: Hugging Face's tokenizers and, for Whisper's ranks, tiktoken, on one thread.

Usage: tokenizer.py whisper|gemma3 TOKENIZER.json TEXT
One line a rival: its name and a JSON object as tokenizer_bench's.
"""
import json, sys, time
from tokenizers import Tokenizer

model, path, text = sys.argv[1:]
text = open(text, encoding="utf-8", newline="").read()
pieces, at = [], 0
while at < len(text):
    end = text.find("\n", at + 4000)
    end = len(text) if end < 0 else min(end, at + 8000)
    pieces.append(text[at:end])
    at = end
size = len(text.encode())

def best(make, encode):
    took = []
    for _ in range(3):
        t = make()
        start = time.process_time()
        n = sum(len(encode(t, p)) for p in pieces)
        took.append(time.process_time() - start)
    return size / min(took) / 1e6, n

start = time.process_time()
Tokenizer.from_file(path)
load = time.process_time() - start
rate, n = best(lambda: Tokenizer.from_file(path), lambda t, p: t.encode(p, add_special_tokens=False).ids)
print(f'tokenizers {{"load_s": {load:.3f}, "encode_MB_s": {rate:.1f}, "tokens": {n}}}')
if model == "whisper":
    import tiktoken

    spec = json.load(open(path, encoding="utf-8"))
    byte, extra = {}, 256
    for b in range(256):
        if 0x20 < b < 0x7F or (b > 0xA0 and b != 0xAD):
            byte[chr(b)] = b
        else:
            byte[chr(extra)], extra = b, extra + 1
    ranks = {bytes(byte[c] for c in k): v for k, v in spec["model"]["vocab"].items() if k}
    added = {t["content"]: t["id"] for t in spec["added_tokens"]}
    ranks = {k: v for k, v in ranks.items() if v < min(added.values())}
    pattern = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
    make = lambda: tiktoken.Encoding("w", pat_str=pattern, mergeable_ranks=ranks, special_tokens=added)
    rate, n = best(make, lambda t, p: t.encode(p, allowed_special="all"))
    print(f'tiktoken {{"encode_MB_s": {rate:.1f}, "tokens": {n}}}')
