#!/usr/bin/env python3
"""PyTorch on the networks of `tutti-bench train`, on the CPU with as many threads as this process may use CPUs.

    bench_torch.py mlp|lenet|resnet20|gpt [--openmp] [--rounds N]

By itself it prints medians of N rounds. Without --rounds it speaks the protocol of tools/bench/peer.h: "ready" once it is
warm, then to each line "round" a JSON array of results, one per variant. --openmp loads the OpenBLAS that uses the OpenMP
threads that PyTorch uses (Debian: libopenblas0-openmp; BENCH_OPENBLAS names another directory with its libblas.so.3): others keep a second pool of threads, and the two get in each other's way.
"""
import argparse
import glob
import json
import multiprocessing
import os
import resource
import statistics
import sys
import time


def problem(text):
    print("problem: " + text, flush=True)
    sys.exit(1)


def use_openmp_blas():
    """Starts this script again with that library in front; LD_LIBRARY_PATH is read when a process starts."""
    if os.environ.get("BENCH_BLAS") == "openmp":
        return
    chosen = os.environ.get("BENCH_OPENBLAS")
    found = glob.glob("/usr/lib*/openblas-openmp") + glob.glob("/usr/lib*/*/openblas-openmp")
    if chosen is not None:
        if not os.path.isfile(os.path.join(chosen, "libblas.so.3")):
            problem(f"no libblas.so.3 in {chosen} (BENCH_OPENBLAS)")
        found = [chosen]
    if not found:
        problem("OpenBLAS for OpenMP is not installed (libopenblas0-openmp)")
    path = os.environ.get("LD_LIBRARY_PATH")
    os.environ["LD_LIBRARY_PATH"] = found[0] + (":" + path if path else "")
    os.environ["BENCH_BLAS"] = "openmp"
    os.execv(sys.executable, [sys.executable] + sys.argv)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("net", choices=("mlp", "lenet", "resnet20", "gpt"))
parser.add_argument("--openmp", action="store_true")
parser.add_argument("--rounds", type=int, default=0)
options = parser.parse_args()
if options.openmp:
    use_openmp_blas()

try:
    import torch
    from torch import nn
    import torch.nn.functional as F
except ImportError as error:
    problem(f"PyTorch is not installed ({error})")

ROUND_S = 0.3
torch.set_num_threads(len(os.sched_getaffinity(0)))
torch.manual_seed(0)


def mlp():
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))


def lenet():
    return nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10))


class Residual(nn.Module):
    def __init__(self, before, channels, stride):
        super().__init__()
        self.main = nn.Sequential(nn.Conv2d(before, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels),
                                  nn.ReLU(), nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
                                  nn.BatchNorm2d(channels))
        self.side = nn.Identity()
        if before != channels:
            self.side = nn.Sequential(nn.Conv2d(before, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x):
        return F.relu(self.main(x) + self.side(x))


def resnet20():
    layers = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    before = 16
    for channels in (16, 32, 64):
        for _ in range(3):
            layers.append(Residual(before, channels, 1 if before == channels else 2))
            before = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


class Attention(nn.Module):
    """Written with batched products, as most small GPTs do; `library` takes PyTorch's own module."""

    def __init__(self, width, heads, library):
        super().__init__()
        self.heads, self.library = heads, library
        if library:
            self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        else:
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x, later):
        if self.library:
            return self.attn(x, x, x, attn_mask=later, need_weights=False)[0]
        n, t, c = x.shape
        q, k, v = self.qkv(x).view(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-1, -2)) * (c // self.heads) ** -0.5
        weights = weights.masked_fill(later, float("-inf")).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(n, t, c))


class GPT(nn.Module):
    def __init__(self, library, gelu, vocabulary=65, width=128, heads=4, layers=4, context=128):
        super().__init__()
        self.gelu = gelu
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * layers + 1))
        self.attention = nn.ModuleList(Attention(width, heads, library) for _ in range(layers))
        self.up = nn.ModuleList(nn.Linear(width, 4 * width) for _ in range(layers))
        self.down = nn.ModuleList(nn.Linear(4 * width, width) for _ in range(layers))
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.register_buffer("later", torch.ones(context, context, dtype=torch.bool).triu(1))

    def forward(self, x):
        x = self.tokens(x) + self.places.weight
        for i, attention in enumerate(self.attention):
            x = x + attention(self.norms[2 * i](x), self.later)
            x = x + self.down[i](F.gelu(self.up[i](self.norms[2 * i + 1](x)), approximate=self.gelu))
        return self.head(self.norms[-1](x)).flatten(0, 1)


def adam(parameters, **more):
    return torch.optim.Adam(parameters, 1e-3, **more)


def sgd(parameters, **more):
    return torch.optim.SGD(parameters, 0.1, momentum=0.9, weight_decay=1e-4, **more)


class Variant:
    def __init__(self, name, net, x, y, optimizer, channels_last=False, **more):
        self.name = name
        if channels_last:
            net = net.to(memory_format=torch.channels_last)
            x = x.contiguous(memory_format=torch.channels_last)
        self.net, self.x, self.y = net, x, y
        self.optimizer = optimizer(net.parameters(), **more)
        for _ in range(3):
            self.step()
        begin = time.perf_counter()
        self.step()
        self.steps = max(2, int(ROUND_S / (time.perf_counter() - begin)))

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(self.net(self.x), self.y)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def round(self):
        begin = time.perf_counter()
        for _ in range(self.steps):
            self.step()
        return (time.perf_counter() - begin) / self.steps


def build(net, name):
    """The variant of that name, ready to train."""
    channels_last = "channels_last" in name
    foreach = "foreach" in name
    labels = torch.randint(0, 10, (128,))
    if net == "mlp":
        return Variant(name, mlp(), torch.randn(128, 784), labels, adam, foreach=foreach)
    if net == "lenet":
        return Variant(name, lenet(), torch.randn(128, 1, 28, 28), labels, adam, channels_last, foreach=foreach)
    if net == "resnet20":
        return Variant(name, resnet20(), torch.randn(64, 3, 32, 32), labels[:64], sgd, channels_last, foreach=foreach)
    model = GPT("MultiheadAttention" in name, "none" if "erf" in name else "tanh")
    return Variant(name, model, torch.randint(0, 65, (16, 128)), torch.randint(0, 65, (16 * 128,)), adam,
                   foreach=foreach)


NAMES = {
    "mlp": ("plain", "foreach"),
    "lenet": ("plain", "foreach", "channels_last foreach"),
    "resnet20": ("plain", "foreach", "channels_last foreach"),
    "gpt": ("foreach", "MultiheadAttention foreach", "foreach, GELU by erf"),
}


def work(pipe, name):
    """A process per variant, so that each has a peak of memory of its own."""
    variant = build(options.net, name)
    pipe.send(variant.x.shape[0])
    while pipe.recv():
        seconds = variant.round()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        pipe.send({"variant": name, "s_per_step": seconds, "peak_mib": peak})


class Worker:
    def __init__(self, name):
        self.name = name
        self.pipe, other = multiprocessing.Pipe()
        process = multiprocessing.Process(target=work, args=(other, name), daemon=True)
        process.start()
        other.close()
        self.batch = self.pipe.recv()

    def round(self):
        self.pipe.send(True)
        return self.pipe.recv()


def serve(workers):
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "round":
            print(json.dumps([w.round() for w in workers]), flush=True)


def report(workers):
    results = {w.name: [] for w in workers}
    for i in range(options.rounds):
        for w in workers if i % 2 == 0 else reversed(workers):
            results[w.name].append(w.round())
    for w in workers:
        times = [r["s_per_step"] for r in results[w.name]]
        median = statistics.median(times)
        print(f"{options.net:9} {w.name:28} median {median * 1e3:8.2f} ms/step, best {min(times) * 1e3:8.2f}, "
              f"{w.batch / median:8.0f} samples/s, peak {results[w.name][-1]['peak_mib']:.0f} MiB")


if __name__ == "__main__":
    made = [Worker(name) for name in NAMES[options.net]]
    if options.rounds > 0:
        report(made)
    else:
        serve(made)
