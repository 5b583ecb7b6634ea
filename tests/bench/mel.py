"""Rivals of mel_bench, on one thread: log-mel features of 30 s, the best round as times real time.

Usage: mel.py torch|librosa|transformers [BANDS]
"torch" is the way of openai-whisper: torch.stft, a product with the filters, log10.
"""
import sys
import time

import numpy as np

RATE, LENGTH = 16000, 480000


def rival(name, bands):
    from transformers import WhisperFeatureExtractor

    fe = WhisperFeatureExtractor(feature_size=bands)
    if name == "transformers":
        return lambda x: fe(x, sampling_rate=RATE, return_tensors="np")
    if name == "librosa":
        import librosa

        def features(x):
            s = librosa.feature.melspectrogram(y=x, sr=RATE, n_fft=400, hop_length=160, n_mels=bands)
            log = np.log10(np.maximum(s[:, :-1], 1e-10))
            return (np.maximum(log, log.max() - 8.0) + 4.0) / 4.0
        return features
    import torch

    window, filters = torch.hann_window(400), torch.from_numpy(fe.mel_filters.T.astype(np.float32))

    def features(x):
        power = torch.stft(torch.from_numpy(x), 400, 160, window=window, return_complex=True)[..., :-1].abs() ** 2
        log = torch.clamp(filters @ power, min=1e-10).log10()
        return (torch.maximum(log, log.max() - 8.0) + 4.0) / 4.0
    return features


def main():
    try:
        import torch

        torch.set_num_threads(1)
        features = rival(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 80)
    except ImportError as e:
        sys.exit(f"mel.py: {e}")
    rng = np.random.default_rng(1)
    x = (0.3 * np.sin(0.05 * np.arange(LENGTH)) + 0.1 * (rng.random(LENGTH) - 0.5)).astype(np.float32)
    best = 1e9
    for _ in range(40):
        t = time.perf_counter()
        features(x)
        best = min(best, time.perf_counter() - t)
    print(f"{LENGTH / RATE / best:.0f}")


if __name__ == "__main__":
    main()
