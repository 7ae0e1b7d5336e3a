#!/usr/bin/env python3
"""Trains the GPT of `chargpt` in PyTorch and compares validation losses.

Both start from the same weights (chargpt --epochs 0 --save), see the same windows of the same text in
the same order (Tutti's random numbers are computed here once more) and make the same steps. Prints
the losses after each epoch side by side. What the sample decides by itself is in SETTINGS.
"""
import argparse
import json
import math
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "samples/models"))
try:
    import numpy as np
    import torch
    import torch.nn.functional as F
    from nets import GPT
    missing = None
except ImportError as error:  # --help works without
    missing = error

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


def arguments():
    parser = argparse.ArgumentParser(
        formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__.split("\n\nBoth")[0],
        epilog="""Needs NumPy and PyTorch (Debian: python3-torch, for /usr/bin/python3), and the samples built. With the
defaults some minutes on a processor, for chargpt and then again for PyTorch; --epochs 1 takes a fifth.

exit code: 0 chargpt's last validation loss is at most the tolerance above PyTorch's, 1 it is more,
2 the comparison could not be made""")
    add = parser.add_argument
    add("--program", metavar="FILE", default=str(ROOT / "build/bin/chargpt"), help="the sample; default: %(default)s")
    add("--tolerance", metavar="PART", type=float, default=0.02,
        help="how much of PyTorch's loss chargpt's may lie above it; default: %(default)s")
    add("--data", metavar="PATH", default=str(next(t for t in SETTINGS.texts if pathlib.Path(t).exists())),
        help="text file or directory; default: %(default)s")
    for name, default, text in (("layers", 4, "transformer blocks"), ("width", 128, "channels"),
                                ("heads", 4, "attention heads, which divide the width"),
                                ("context", 128, "characters that are looked at"),
                                ("windows", 1600, "random windows of the text in an epoch"), ("epochs", 5, "epochs"),
                                ("batch", 16, "windows in a step"), ("seed", 1, "of weights and windows")):
        add("--" + name, metavar="N", type=int, default=default, help=text + "; default: %(default)s")
    add("--lr", metavar="RATE", type=float, default=1e-3, help="highest learning rate; default: %(default)s")
    add("--profile", metavar="FILE|EXPR", help="devices of chargpt; default: all that are usable")
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("argument --epochs: expected at least 1")
    if missing is not None:
        parser.error(f"{missing}: {sys.executable} has no NumPy or no PyTorch (Debian: python3-torch, for /usr/bin/python3)")
    if not os.access(options.program, os.X_OK) or os.path.isdir(options.program):
        parser.error(f"argument --program: no program {options.program}: build the samples, or say where they are")
    return options


def chargpt(options, *more):
    """Runs it. What it says about its progress, or why it fails, goes to stderr."""
    command = [options.program, "--length", "0", *more]
    for name in ("data", "layers", "width", "heads", "context", "windows", "batch", "seed", "lr", "profile"):
        if getattr(options, name) is not None:
            command += [f"--{name}", str(getattr(options, name))]
    code = subprocess.run(command, stdout=subprocess.DEVNULL).returncode
    if code != 0:
        print(f"compare_chargpt.py: chargpt ended with {'code' if code > 0 else 'signal'} {abs(code)}", file=sys.stderr)
        sys.exit(2)


def main():
    options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        start, metrics = f"{folder}/start.safetensors", f"{folder}/metrics.jsonl"
        chargpt(options, "--quiet", "--epochs", "0", "--save", start)
        weights = load(start)
        begin = time.monotonic()
        chargpt(options, "--epochs", str(options.epochs), "--load", start, "--metrics", metrics)
        print(f"chargpt: {time.monotonic() - begin:.0f} s; now PyTorch {torch.__version__}", file=sys.stderr)
        with open(metrics) as file:
            epochs = [line for line in map(json.loads, file) if line["event"] == "epoch"]
    print("epoch   training: Tutti, PyTorch   validation: Tutti, PyTorch", flush=True)
    for tutti, (loss, held) in zip(epochs, train(options, weights)):
        print(f"{tutti['epoch']:5d}   {tutti['loss']:15.4f} {loss:8.4f}   {tutti['val_loss']:17.4f} {held:8.4f}", flush=True)
    ratio = epochs[-1]["val_loss"] / held - 1
    print(f"validation loss {epochs[-1]['val_loss']:.4f}, PyTorch {held:.4f}: {100 * ratio:+.2f} %")
    return 0 if ratio <= options.tolerance else 1


if __name__ == "__main__":
    sys.exit(main())
