#!/usr/bin/env python3
"""Trains the GPT of `chargpt` in PyTorch and compares validation losses.

    tools/compare_chargpt.py [--program build/bin/chargpt] [--tolerance 0.02] [OPTION OF chargpt ...]

Both start from the same weights (chargpt --epochs 0 --save), see the same windows of the same text in
the same order (Tutti's random numbers are computed here once more) and make the same steps. Prints
the losses after each epoch side by side; exit code 1 when Tutti's last one is more than the tolerance
above PyTorch's. Needs PyTorch (Debian: python3-torch). What the sample decides by itself is in SETTINGS.
"""
import argparse
import json
import math
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy as np
import torch
import torch.nn.functional as F

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "samples/models"))
from nets import GPT  # noqa: E402

# As in samples/chargpt.c.
SETTINGS = argparse.Namespace(texts=["/usr/share/common-licenses", ROOT / "LICENSE"], validation=0.1,
                              betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1, clip=1.0, warmup=50, final=0.1)


def philox(seed, stream, n):
    """n 32-bit numbers of tutti_rng (Philox4x32-10, Salmon et al. 2011)."""
    mask = np.uint64(0xFFFFFFFF)
    blocks = np.arange((n + 3) // 4, dtype=np.uint64)
    c = [blocks & mask, blocks >> np.uint64(32), np.full_like(blocks, stream & 0xFFFFFFFF),
         np.full_like(blocks, stream >> 32)]
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p0, p1 = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(p1 >> np.uint64(32)) ^ c[1] ^ np.uint64(k0), p1 & mask,
             (p0 >> np.uint64(32)) ^ c[3] ^ np.uint64(k1), p0 & mask]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c, axis=1).reshape(-1)[:n]


def stream_of(name):
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def order_of(n, seed, epoch):
    """The trainer's shuffle of n samples: Fisher-Yates, from the end."""
    draws = philox(seed, (stream_of("batches") + epoch) % 2**64, 2 * (n - 1))
    values = draws[0::2] << np.uint64(32) | draws[1::2]
    bounds = np.arange(n, 1, -1, dtype=np.uint64)
    assert (values >= (np.uint64(0) - bounds) % bounds).all()  # else Tutti draws again
    order = list(range(n))
    for i, j in zip(range(n - 1, 0, -1), (values % bounds).tolist()):
        order[i], order[j] = order[j], order[i]
    return order


def read_text(path):
    path = pathlib.Path(path)
    files = sorted(path.iterdir(), key=lambda p: p.name.encode()) if path.is_dir() else [path]
    data = b"".join(p.read_bytes() for p in files if not path.is_dir() or (p.is_file() and not p.is_symlink()))
    ids = np.zeros(256, dtype=np.int64)
    vocabulary = sorted(set(data))
    ids[vocabulary] = np.arange(len(vocabulary))
    return torch.from_numpy(ids[np.frombuffer(data, dtype=np.uint8)]), len(vocabulary)


def windows(ids, length, stride):
    return ids.unfold(0, length + 1, stride)


def load(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    header.pop("__metadata__", None)
    return {name: torch.from_numpy(np.frombuffer(data[slice(*t["data_offsets"])], dtype="<f4").reshape(t["shape"]).copy())
            for name, t in header.items()}


def factor(step, steps):
    """tutti_lr_factor of the cosine."""
    warmup = min(SETTINGS.warmup, steps)
    if step < warmup:
        return (step + 1) / warmup
    part = (step - warmup) / max(steps - 1 - warmup, 1)
    return SETTINGS.final + (1 - SETTINGS.final) * 0.5 * (1 + math.cos(math.pi * min(part, 1)))


def evaluate(model, data, batch):
    with torch.no_grad():
        total = sum(F.cross_entropy(model(rows[:, :-1]), rows[:, 1:].flatten(), reduction="sum").item()
                    for rows in data.split(batch))
    return total / (len(data) * (data.shape[1] - 1))


def train(options, weights):
    """Losses of training and validation for each epoch."""
    ids, vocabulary = read_text(options.data)
    border = len(ids) - math.floor(SETTINGS.validation * len(ids) + 0.5)
    data = windows(ids[:border], options.context, 1)
    held = windows(ids[border:], options.context, options.context)
    model = GPT(vocabulary, options.context, options.layers, options.width, options.heads)
    model.load_state_dict(weights)
    decayed = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": SETTINGS.weight_decay},
                                   {"params": plain, "weight_decay": 0.0}],
                                  options.lr, betas=SETTINGS.betas, eps=SETTINGS.eps)
    per_epoch = min(options.windows, len(data))
    steps = options.epochs * math.ceil(per_epoch / options.batch)
    step = 0
    for epoch in range(options.epochs):
        order, total = order_of(len(data), options.seed, epoch)[:per_epoch], 0.0
        for begin in range(0, per_epoch, options.batch):
            rows = data[order[begin:begin + options.batch]]
            for group in optimizer.param_groups:
                group["lr"] = options.lr * factor(step, steps)
            loss = F.cross_entropy(model(rows[:, :-1]), rows[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), SETTINGS.clip)
            optimizer.step()
            total += loss.item() * len(rows)
            step += 1
        yield total / per_epoch, evaluate(model, held, options.batch)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default=str(ROOT / "build/bin/chargpt"))
    parser.add_argument("--tolerance", type=float, default=0.02)
    parser.add_argument("--data", default=next(t for t in SETTINGS.texts if pathlib.Path(t).exists()))
    for name, default in (("layers", 4), ("width", 128), ("heads", 4), ("context", 128), ("windows", 1600),
                          ("epochs", 5), ("batch", 16), ("seed", 1)):
        parser.add_argument("--" + name, type=int, default=default)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--profile")
    options = parser.parse_args()
    command = [options.program, "--quiet", "--length", "0"]
    for name in ("data", "layers", "width", "heads", "context", "windows", "batch", "seed", "lr", "profile"):
        if getattr(options, name) is not None:
            command += [f"--{name}", str(getattr(options, name))]
    with tempfile.TemporaryDirectory() as folder:
        start, metrics = f"{folder}/start.safetensors", f"{folder}/metrics.jsonl"
        subprocess.run(command + ["--epochs", "0", "--save", start], check=True, stdout=subprocess.DEVNULL)
        weights = load(start)
        subprocess.run(command + ["--epochs", str(options.epochs), "--load", start, "--metrics", metrics], check=True,
                       stdout=subprocess.DEVNULL)
        with open(metrics) as file:
            epochs = [line for line in map(json.loads, file) if line["event"] == "epoch"]
    print("epoch   training: Tutti, PyTorch   validation: Tutti, PyTorch")
    for tutti, (loss, held) in zip(epochs, train(options, weights)):
        print(f"{tutti['epoch']:5d}   {tutti['loss']:15.4f} {loss:8.4f}   {tutti['val_loss']:17.4f} {held:8.4f}", flush=True)
    ratio = epochs[-1]["val_loss"] / held - 1
    print(f"validation loss {epochs[-1]['val_loss']:.4f}, PyTorch {held:.4f}: {100 * ratio:+.2f} %")
    return 0 if ratio <= options.tolerance else 1


if __name__ == "__main__":
    sys.exit(main())
