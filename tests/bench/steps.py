"""The rival of step_bench: PyTorch + Transformers + PEFT, true shapes, random weights, the same rows.

Usage: steps.py MODEL ROWS TOKENS float32|autocast|compile|padded [THREADS [STEPS [LORA_R [AGAIN]]]]
compile and padded are under autocast, too; padded: rows of text padded to 512, the way of the seed projects.
AGAIN 1: layers are computed twice (gradient_checkpointing_enable).
One JSON object: seconds of the fastest and the median step, processor time of the best, peak memory.
"""
import json
import resource
import statistics
import sys
import time


def whisper(d, layers, heads):
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    return WhisperForConditionalGeneration(WhisperConfig(
        d_model=d, encoder_layers=layers, decoder_layers=layers, encoder_attention_heads=heads,
        decoder_attention_heads=heads, encoder_ffn_dim=4 * d, decoder_ffn_dim=4 * d, num_mel_bins=80, vocab_size=51865))


def gemma(hidden, inner, layers, heads):
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    return Gemma3ForCausalLM(Gemma3TextConfig(
        hidden_size=hidden, intermediate_size=inner, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=1, head_dim=256, vocab_size=262144, query_pre_attn_scalar=256, sliding_window=512))


MODELS = {
    "whisper-tiny": lambda: whisper(384, 4, 6), "whisper-base": lambda: whisper(512, 6, 8),
    "whisper-small": lambda: whisper(768, 12, 12), "gemma-270m": lambda: gemma(640, 2048, 18, 4),
    "gemma-1b": lambda: gemma(1152, 6912, 26, 4),
}


def batch(torch, name, rows, tokens, padded):
    if name.startswith("whisper"):
        return {"input_features": torch.randn(rows, 80, 3000), "labels": torch.randint(0, 50000, (rows, tokens))}
    lengths = [tokens // 2 + (r * tokens // (rows - 1) if rows > 1 else tokens // 2) for r in range(rows)]
    longest = 512 if padded else max(lengths)   # rows are padded to it
    ids = torch.zeros(rows, longest, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for r, n in enumerate(lengths):
        ids[r, :n] = torch.randint(0, 50000, (n,))
        mask[r, :n] = 1
        labels[r, n // 3:n] = ids[r, n // 3:n]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def main():
    name, rows, tokens, mode = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    threads, steps, lora, again = (int(x) for x in (sys.argv[5:] + ["2", "4", "0", "0"][len(sys.argv) - 5:])[:4])
    start = time.perf_counter()
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    model = MODELS[name]()
    model.train()
    if hasattr(model, "config"):
        model.config._attn_implementation = "sdpa"
    if again:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if lora:
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(model, LoraConfig(r=lora, lora_alpha=16, target_modules=["q_proj", "v_proj"]))
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=True)
    data = batch(torch, name, rows, tokens, mode == "padded")
    run = torch.compile(model) if mode == "compile" else model
    seconds, busy = [], []
    setup = time.perf_counter() - start
    for _ in range(steps + 1):
        t, c = time.perf_counter(), time.process_time()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mode != "float32"):
            loss = run(**data).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - t)
        busy.append(time.process_time() - c)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1048576
    print(json.dumps({"model": name, "rows": rows, "mode": mode, "threads": threads, "best": round(min(seconds[1:]), 4),
                      "median": round(statistics.median(seconds[1:]), 4), "cpu": round(min(busy[1:]), 4),
                      "first": round(seconds[0], 2),
                      "setup": round(setup, 2), "peak_gb": round(peak, 2), "torch": torch.__version__}))


if __name__ == "__main__":
    main()
