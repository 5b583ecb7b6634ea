"""Makes tests/golden/tokenizer-added: two small tokenizers with added tokens of all kinds, and ids of random texts.

Usage: added.py DIR   (tokenizers 0.23)

Tokens that take the white space around them, that want whole words, that are looked for in the normalised text.
byte-level.json, byte-fallback.json: tokenizer.json as Whisper's and Gemma's are made; NAME.jsonl: text, ids.
"""
import json
import os
import random
import sys

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

draw = random.Random(5)
PIECES = ["a", "b", " ", "  ", "▁", "<", ">", "é", "\n", "\t", "\u00a0", "the ", "_", "9", "e\u0301", "<b>"]
TOKENS = [("<l>", dict(lstrip=True)), ("<r>", dict(rstrip=True, special=True)),
          ("<lr>", dict(lstrip=True, rstrip=True)), ("the", dict(single_word=True)),
          ("the b", dict(normalized=True)), ("a<", dict(normalized=True, lstrip=True)),
          ("<b", dict(normalized=True)), ("<b>é", dict(special=True)), ("\n\n", dict(rstrip=True)),
          ("b>", dict(normalized=True, single_word=True, rstrip=True)), ("9 ", dict(normalized=True))]


def byte_level():
    vocab = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("Ã", "©"), ("<", "b")]
    for a, b in merges:
        vocab[a + b] = len(vocab)
    t = Tokenizer(models.BPE(vocab, merges))
    t.pre_tokenizer, t.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return t


def byte_fallback():
    vocab = {n: i for i, n in enumerate(["<unk>"] + [f"<0x{b:02X}>" for b in range(256)] + list("▁abthe<>9_\n"))}
    merges = [("t", "h"), ("th", "e"), ("▁", "the"), ("▁", "▁"), ("<", "b")]
    for a, b in merges:
        vocab[a + b] = len(vocab)
    t = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer, t.pre_tokenizer = normalizers.Replace(" ", "▁"), pre_tokenizers.Split(" ", "merged_with_previous")
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return t


os.makedirs(sys.argv[1], exist_ok=True)
for name, t in ("byte-level", byte_level()), ("byte-fallback", byte_fallback()):
    for text, flags in TOKENS:
        (t.add_special_tokens if flags.get("special")
         else t.add_tokens)([AddedToken(text, **{"normalized": False, **flags})])
    with open(f"{sys.argv[1]}/{name}.json", "w") as f:
        json.dump(json.loads(t.to_str()), f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")
    rows = []
    while len(rows) < 150:
        text = "".join(draw.choice(PIECES + [n for n, _ in TOKENS]) for _ in range(draw.choice([1, 3, 6, 12])))
        try:
            rows.append({"text": text, "ids": t.encode(text, add_special_tokens=False).ids})
        except BaseException:           # the library gives up where two tokens take the same white space
            pass
    with open(f"{sys.argv[1]}/{name}.jsonl", "w") as f:
        f.writelines(json.dumps(r) + "\n" for r in rows)
