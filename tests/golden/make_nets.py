"""Goldens of whole networks in training (see make_goldens.py).

nets/NET/sizes: what the test builds it from; nets/NET/lr; nets/NET/x and y: a batch per row, used in
turn; nets/NET/start/PARAM, step1, step10, step50: parameters and running statistics before and after
so many steps; nets/NET/losses: of 50 steps.

Everything is computed in double precision. Training amplifies rounding errors, and a ReLU that
changes sides makes them jump: sizes, learning rates and seeds are chosen so that 50 steps in single
precision, and from weights that differ in the seventh digit, end within a tenth of what the tests
allow. make() checks that.
"""
import copy
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F

from make_goldens import labels, put, uniform

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "samples/models"))
from nets import GPT, LeNet, MLP, ResNet  # noqa: E402

SEED = 20241121
STEPS, SNAPSHOTS = 50, (1, 10, 50)
TOLERANCE = {"losses": 1e-4, "step1": 1e-3, "step10": 1e-3, "step50": 1e-3}  # as in test_nets.c


def state(module):
    return {k: v.detach().double().clone() for k, v in module.state_dict().items() if v.is_floating_point()}


def train(module, optimizer, x, y):
    """Losses, and the state after the steps of SNAPSHOTS."""
    dtype = next(module.parameters()).dtype
    x = x.to(dtype) if x.is_floating_point() else x
    losses, after = [], {}
    for step in range(STEPS):
        row = step % len(x)
        loss = F.cross_entropy(module(x[row]), y[row].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step + 1 in SNAPSHOTS:
            after[f"step{step + 1}"] = state(module)
    return torch.tensor(losses, dtype=torch.float64), after


def differs(what, a, b):
    """In parts of the tolerance."""
    return ((a - b).abs().max() / max(a.abs().max().item(), 1e-6)).item() / TOLERANCE[what]


def check_stable(name, module, make_optimizer, x, y, losses, after):
    single = copy.deepcopy(module).float()
    nudged = copy.deepcopy(module)
    with torch.no_grad():
        for p in nudged.parameters():
            p.mul_(1 + 1e-7 * torch.randn_like(p))
    for other in (single, nudged):
        other_losses, other_after = train(other, make_optimizer(other.parameters()), x, y)
        worst = max([differs("losses", losses[i:i + 1], other_losses[i:i + 1]) for i in range(STEPS)] +
                    [differs(s, after[s][k], other_after[s][k]) for s in after for k in after[s]])
        if worst > 0.1:
            raise SystemExit(f"nets/{name}: training is not stable: {worst:.2g} of the tolerance")


def net(name, module, sizes, make_optimizer, lr, x, y):
    put(f"nets/{name}/sizes", np.array(sizes))
    put(f"nets/{name}/lr", np.array([lr]))
    put(f"nets/{name}/x", x)
    put(f"nets/{name}/y", y)
    module.float().double()  # exact in single precision
    for k, v in state(module).items():
        put(f"nets/{name}/start/{k}", v)
    start = copy.deepcopy(module)
    losses, after = train(module, make_optimizer(module.parameters()), x, y)
    check_stable(name, start, make_optimizer, x, y, losses, after)
    put(f"nets/{name}/losses", losses)
    for step, values in after.items():
        for k, v in values.items():
            put(f"nets/{name}/{step}/{k}", v)
    print(f"nets/{name}: loss {losses[0]:.3f} to {losses[-1]:.3f}", flush=True)


def adam(lr, eps=1e-8):
    """Where gradients are nothing but rounding errors (the keys' bias of attention), Adam makes steps of
    them, unless eps is far above."""
    return lambda params: torch.optim.Adam(params, lr, eps=eps)


def sgd(lr):
    return lambda params: torch.optim.SGD(params, lr, momentum=0.9, weight_decay=1e-4)


def mlp(features, hidden, width, classes, rows, batch, lr):
    net("mlp", MLP(features, hidden, width, classes), [features, hidden, width, classes], adam(lr), lr,
        uniform(rows, batch, features), labels((rows, batch), classes))


def lenet(maps1, maps2, units1, units2, classes, rows, batch, lr):
    sizes = [maps1, maps2, units1, units2, classes]
    net("lenet", LeNet(*sizes), sizes, adam(lr, 1e-4), lr,
        uniform(rows, batch, 1, 28, 28, lo=0, hi=1), labels((rows, batch), classes))


def resnet(channels, extent, depth, width, classes, rows, batch, lr):
    net("resnet", ResNet(channels, depth, width, classes), [channels, extent, depth, width, classes], sgd(lr),
        lr, uniform(rows, batch, channels, extent, extent), labels((rows, batch), classes))


def gpt(vocabulary, context, layers, width, heads, rows, batch, lr):
    sizes = [vocabulary, context, layers, width, heads]
    text = labels((rows, batch, context + 1), vocabulary)
    net("gpt", GPT(*sizes), sizes, adam(lr, 1e-4), lr, text[..., :-1], text[..., 1:])


def make():
    torch.manual_seed(SEED)
    mlp(16, 2, 16, 4, rows=4, batch=12, lr=1e-2)
    lenet(2, 3, 12, 10, 4, rows=2, batch=4, lr=5e-3)
    resnet(3, 12, 20, 3, 4, rows=2, batch=8, lr=5e-3)
    gpt(17, 12, 2, 16, 2, rows=3, batch=4, lr=3e-3)


def make_full():
    """The sizes that people train; files of some 30 MB."""
    torch.manual_seed(SEED)
    mlp(64, 2, 256, 10, rows=8, batch=32, lr=1e-3)
    lenet(6, 16, 120, 84, 10, rows=8, batch=32, lr=1e-3)
    resnet(3, 32, 20, 16, 10, rows=4, batch=16, lr=5e-3)
    gpt(65, 64, 4, 128, 4, rows=8, batch=8, lr=1e-3)
