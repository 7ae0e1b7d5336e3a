"""Goldens of whole networks in training (see make_goldens.py).

nets/NET/sizes: what the test builds it from; nets/NET/lr; nets/NET/tolerance: of each loss, and of
weights as a part of the largest in the tensor; nets/NET/x and y: a batch per row, used in
turn; nets/NET/start/PARAM, step1, step10, step50: parameters and running statistics before and after
so many steps; nets/NET/losses: of 50 steps.

Everything is computed in double precision. Training amplifies rounding errors, and where a ReLU
changes sides because of one, losses jump, at any learning rate. So networks and data are drawn until
no ReLU comes near 0 in any step, and 50 steps in single precision, and from weights that differ in the
seventh digit, end within a tenth of what the tests allow. At full size a ResNet has millions of ReLUs,
some of which change sides in every step: it is comparable only at a low learning rate, and not where
weights have hardly moved from 0.
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
LOSSES, WEIGHTS = 1e-4, 1e-3  # tolerances
MARGIN = 1e-5


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


def differs(a, b):
    return ((a - b).abs().max() / max(a.abs().max().item(), 1e-6)).item()


class Near(Exception):
    """A ReLU came near 0."""


def watched_relu(x):
    if x.detach().abs().min() < MARGIN:
        raise Near
    return x.clamp(min=0)


def instability(module, make_optimizer, x, y, losses, after, weights, trials):
    """The worst change of losses and weights by rounding errors, in parts of the tolerances."""
    worst = 0.0
    for trial in range(trials):
        other = copy.deepcopy(module)
        if trial == 0:
            other.float()
        else:
            with torch.no_grad():
                for p in other.parameters():
                    p.mul_(1 + 3e-7 * torch.randn_like(p))
        other_losses, other_after = train(other, make_optimizer(other.parameters()), x, y)
        worst = max([worst] + [differs(losses[i:i + 1], other_losses[i:i + 1]) / LOSSES for i in range(STEPS)] +
                    [differs(after[s][k], other_after[s][k]) / weights for s in after for k in after[s]])
    return worst


def net(name, draw, sizes, make_optimizer, lr, weights=WEIGHTS, room=0.1, margin=True):
    """draw() gives a network and its data. Without margin ReLUs may come near 0."""
    relu, tries = F.relu, 0
    while True:
        start, x, y = draw()
        start.float().double()  # exact in single precision
        module = copy.deepcopy(start)
        tries += 1
        try:
            F.relu = watched_relu if margin else relu
            losses, after = train(module, make_optimizer(module.parameters()), x, y)
        except Near:
            continue
        finally:
            F.relu = relu
        worst = instability(start, make_optimizer, x, y, losses, after, weights, 5 if margin else 2)
        if worst <= room:
            break
        if not margin and tries == 3:
            raise SystemExit(f"nets/{name}: rounding makes {worst:.2g} of the tolerance, expected at most {room}")
    put(f"nets/{name}/sizes", np.array(sizes))
    put(f"nets/{name}/lr", np.array([lr]))
    put(f"nets/{name}/tolerance", np.array([LOSSES, weights]))
    put(f"nets/{name}/x", x)
    put(f"nets/{name}/y", y)
    for k, v in state(start).items():
        put(f"nets/{name}/start/{k}", v)
    put(f"nets/{name}/losses", losses)
    for step, values in after.items():
        for k, v in values.items():
            put(f"nets/{name}/{step}/{k}", v)
    print(f"nets/{name}: loss {losses[0]:.3f} to {losses[-1]:.3f}, rounding {worst:.3f} of the tolerance, "
          f"draw {tries}", flush=True)


def adam(lr, eps=1e-8):
    """Where gradients are nothing but rounding errors (the keys' bias of attention), Adam makes steps of
    them, unless eps is far above."""
    return lambda params: torch.optim.Adam(params, lr, eps=eps)


def sgd(lr):
    return lambda params: torch.optim.SGD(params, lr, momentum=0.9, weight_decay=1e-4)


def mlp(features, hidden, width, classes, rows, batch, lr, **bounds):
    def draw():
        return MLP(features, hidden, width, classes), uniform(rows, batch, features), labels((rows, batch), classes)

    net("mlp", draw, [features, hidden, width, classes], adam(lr), lr, **bounds)


def lenet(maps1, maps2, units1, units2, classes, rows, batch, lr):
    """Images of 4x4 blocks: pooling would leave nothing of finer noise to learn from."""
    sizes = [maps1, maps2, units1, units2, classes]

    def draw():
        x = uniform(rows, batch, 1, 4, 4, lo=-1, hi=1).repeat_interleave(7, 3).repeat_interleave(7, 4)
        return LeNet(*sizes), x, labels((rows, batch), classes)

    net("lenet", draw, sizes, adam(lr, 1e-4), lr)


def resnet(channels, extent, depth, width, classes, rows, batch, lr, **bounds):
    def draw():
        return (ResNet(channels, depth, width, classes), uniform(rows, batch, channels, extent, extent),
                labels((rows, batch), classes))

    net("resnet", draw, [channels, extent, depth, width, classes], sgd(lr), lr, **bounds)


def gpt(vocabulary, context, layers, width, heads, rows, batch, lr, **bounds):
    sizes = [vocabulary, context, layers, width, heads]

    def draw():
        text = labels((rows, batch, context + 1), vocabulary)
        return GPT(*sizes), text[..., :-1], text[..., 1:]

    net("gpt", draw, sizes, adam(lr, 1e-4), lr, **bounds)


def make():
    torch.manual_seed(SEED)
    mlp(16, 2, 16, 4, rows=4, batch=12, lr=1e-2)
    lenet(2, 3, 12, 10, 4, rows=2, batch=4, lr=5e-3)
    resnet(3, 8, 20, 3, 4, rows=2, batch=4, lr=5e-3)
    gpt(17, 12, 2, 16, 2, rows=3, batch=4, lr=3e-3)


def make_full():
    """The sizes that people train; a file of some 20 MB, in some minutes."""
    torch.manual_seed(SEED)
    mlp(64, 2, 256, 10, rows=8, batch=32, lr=1e-3, margin=False)
    lenet(6, 16, 120, 84, 10, rows=8, batch=32, lr=1e-3)
    resnet(3, 32, 20, 16, 10, rows=4, batch=8, lr=3e-5, weights=0.1, room=0.6, margin=False)
    gpt(65, 64, 4, 128, 4, rows=8, batch=8, lr=1e-3, margin=False)
