#!/usr/bin/env python3
"""tinygrad on the networks of `tutti-bench train`, on the first OpenCL device.

    bench_tinygrad.py mlp|lenet|resnet20|gpt [--rounds N]

A step is one TinyJit, as tinygrad's own examples train. Variables of tinygrad's, such as BEAM=2, are passed through.
Needs `pip install tinygrad`, or `pip install --target DIR tinygrad` and PYTHONPATH=DIR. By itself it prints the median
of N rounds; without --rounds it speaks the protocol of tools/bench/peer.h.
"""
import argparse
import json
import os
import resource
import statistics
import sys
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("net", choices=("mlp", "lenet", "resnet20", "gpt"))
parser.add_argument("--rounds", type=int, default=0)
options = parser.parse_args()
os.environ.setdefault("DEV", "CL")
os.environ.setdefault("POCL_AFFINITY", "1")


def problem(text):
    print("problem: " + text.replace("\n", " "), flush=True)
    sys.exit(1)


try:
    from tinygrad import Tensor, TinyJit, nn
    from tinygrad.helpers import Context
except ImportError as error:
    problem(f"tinygrad is not installed ({error})")

ROUND_S = 0.3


class MLP:
    def __init__(self):
        self.layers = [nn.Linear(784, 512), nn.Linear(512, 512), nn.Linear(512, 10)]

    def __call__(self, x):
        return self.layers[2](self.layers[1](self.layers[0](x).relu()).relu())


class LeNet:
    def __init__(self):
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
        self.fc1, self.fc2 = nn.Linear(9216, 128), nn.Linear(128, 10)

    def __call__(self, x):
        x = self.conv2(self.conv1(x).relu()).relu().max_pool2d(2).flatten(1)
        return self.fc2(self.fc1(x).relu())


class Residual:
    def __init__(self, before, channels, stride):
        self.conv1 = nn.Conv2d(before, channels, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm(channels), nn.BatchNorm(channels)
        self.side = []
        if before != channels:
            self.side = [nn.Conv2d(before, channels, 1, stride, bias=False), nn.BatchNorm(channels)]

    def __call__(self, x):
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (y + x.sequential(self.side)).relu()


class ResNet20:
    def __init__(self):
        self.conv, self.bn, self.blocks, before = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm(16), [], 16
        for channels in (16, 32, 64):
            for _ in range(3):
                self.blocks.append(Residual(before, channels, 1 if before == channels else 2))
                before = channels
        self.fc = nn.Linear(64, 10)

    def __call__(self, x):
        return self.fc(self.bn(self.conv(x)).relu().sequential(self.blocks).mean((2, 3)))


class Block:
    def __init__(self, width, heads):
        self.heads = heads
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def __call__(self, x):
        n, t, c = x.shape
        q, k, v = self.qkv(self.ln1(x)).reshape(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).chunk(3)
        y = q[0].scaled_dot_product_attention(k[0], v[0], is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(n, t, c))
        return x + self.down(self.up(self.ln2(x)).gelu())


class GPT:
    def __init__(self, vocabulary=65, width=128, heads=4, layers=4, context=128):
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = [Block(width, heads) for _ in range(layers)]
        self.ln, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

    def __call__(self, x):
        x = (self.tokens(x) + self.places(Tensor.arange(x.shape[1]).reshape(1, -1))).sequential(self.blocks)
        return self.head(self.ln(x)).flatten(0, 1)


def data():
    if options.net == "gpt":
        return Tensor.randint(16, 128, high=65), Tensor.randint(16 * 128, high=65)
    shapes = {"mlp": (128, 784), "lenet": (128, 1, 28, 28), "resnet20": (64, 3, 32, 32)}
    shape = shapes[options.net]
    return Tensor.randn(*shape), Tensor.randint(shape[0], high=10)


class Training:
    def __init__(self):
        net = {"mlp": MLP, "lenet": LeNet, "resnet20": ResNet20, "gpt": GPT}[options.net]()
        parameters = nn.state.get_parameters(net)
        if options.net == "resnet20":
            optimizer = nn.optim.SGD(parameters, 0.1, momentum=0.9, weight_decay=1e-4)
        else:
            optimizer = nn.optim.Adam(parameters, 1e-3)
        self.x, self.y = (t.contiguous().realize() for t in data())

        @TinyJit
        def step(x, y):
            optimizer.zero_grad()
            loss = net(x).sparse_categorical_crossentropy(y).backward()
            optimizer.step()
            return loss.realize()

        self.jit = step
        for _ in range(4):  # runs, is captured, is replayed
            self.step()
        begin = time.perf_counter()
        self.step()
        self.steps = max(2, int(ROUND_S / (time.perf_counter() - begin)))

    def step(self):
        return self.jit(self.x, self.y).item()

    def round(self):
        begin = time.perf_counter()
        for _ in range(self.steps):
            self.step()
        return (time.perf_counter() - begin) / self.steps


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main():
    training = Training()
    if options.rounds > 0:
        times = [training.round() for _ in range(options.rounds)]
        median = statistics.median(times)
        print(f"{options.net:9} median {median * 1e3:8.2f} ms/step, best {min(times) * 1e3:8.2f}, "
              f"{training.x.shape[0] / median:8.0f} samples/s, peak {peak_mib():.0f} MiB")
        return
    name = "BEAM=" + os.environ["BEAM"] if os.environ.get("BEAM", "0") != "0" else "TinyJit"
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "round":
            print(json.dumps([{"variant": name, "s_per_step": training.round(), "peak_mib": peak_mib()}]), flush=True)


if __name__ == "__main__":
    try:
        with Context(TRAINING=1):
            main()
    except Exception as error:  # whatever keeps it from running is said in a line of the table
        problem(f"{type(error).__name__}: {error}")
