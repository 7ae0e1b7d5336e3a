"""Goldens of the first ops, the optimizers and a small network (see make_goldens.py)."""
import numpy as np
import torch
import torch.nn.functional as F

from make_goldens import BATCH, case, labels, put, rng, uniform

SEED = 20240607


def ops():
    """Batches have BATCH samples in every case, so that one step on a device can hold all cases."""
    positive = dict(lo=0.3, hi=3.0)
    for name, fn in (("add", torch.add), ("sub", torch.sub), ("mul", torch.mul), ("div", torch.div)):
        case(name, fn, uniform(BATCH, 7), uniform(BATCH, 7, **positive))
        case(f"{name}_row", fn, uniform(BATCH, 7), uniform(7, **positive))
        case(f"{name}_column", fn, uniform(BATCH, 1), uniform(BATCH, 7, **positive))
        case(f"{name}_both", fn, uniform(4, 1, 3), uniform(2, 1, 5, 1, **positive))
    case("add_scalar", lambda x: x + 0.75, uniform(BATCH, 7))
    case("scale", lambda x: x * -1.25, uniform(BATCH, 7))
    case("pow_square", lambda x: x**2, uniform(BATCH, 7))
    case("pow_cube", lambda x: x**3, uniform(BATCH, 7))
    case("pow_inverse", lambda x: x**-1, uniform(BATCH, 7, **positive))
    case("pow_real", lambda x: x**1.75, uniform(BATCH, 7, **positive))
    case("neg", torch.neg, uniform(BATCH, 7))
    case("exp", torch.exp, uniform(BATCH, 7, lo=-20, hi=10))
    case("log", torch.log, uniform(BATCH, 7, lo=0.01, hi=50))
    case("sqrt", torch.sqrt, uniform(BATCH, 7, lo=0.01, hi=50))
    activations = (("relu", torch.relu), ("sigmoid", torch.sigmoid), ("tanh", torch.tanh),
                   ("gelu_tanh", lambda x: F.gelu(x, approximate="tanh")))
    for name, fn in activations:
        case(name, fn, uniform(BATCH, 40, lo=-6, hi=6))
        far = torch.tensor([-100.0, -50, -20, -1, 1, 20, 50, 100], dtype=torch.float64)
        case(f"{name}_far", fn, far.repeat(BATCH, 1))
    for name, fn in (("sum", torch.sum), ("mean", torch.mean), ("max", torch.amax)):
        case(f"{name}_last", lambda x: fn(x, dim=[2]), uniform(BATCH, 3, 7))
        case(f"{name}_middle", lambda x: fn(x, dim=[1], keepdim=True), uniform(BATCH, 3, 7))
    for name, fn in (("sum", torch.sum), ("mean", torch.mean)):
        case(f"{name}_batch", lambda x: fn(x, dim=[0]), uniform(BATCH, 3, 7))
        case(f"{name}_all", fn, uniform(BATCH, 3, 7))
    ties = uniform(BATCH, 3, 7).round()
    case("max_ties", lambda x: torch.amax(x, dim=[1, 2]), ties)
    case("reshape", lambda x: torch.softmax(x.reshape(2 * BATCH, 6), -1).reshape(BATCH, 2, 6), uniform(BATCH, 12))
    case("permute", lambda x: x.permute(0, 2, 1, 3), uniform(BATCH, 3, 4, 2))
    case("broadcast_like", lambda x, y: x.expand(BATCH, 3, 4) * y, uniform(3, 1), uniform(BATCH, 3, 4))
    for ta in (0, 1):
        for tb in (0, 1):
            a, b = uniform(*((9, 7) if ta else (7, 9))), uniform(*((5, 9) if tb else (9, 5)))
            case(f"matmul_{'nt'[ta]}{'nt'[tb]}",
                 lambda x, y: (x.T if ta else x) @ (y.T if tb else y), a, b)
    case("matmul_batch", torch.matmul, uniform(BATCH, 9), uniform(9, 5))
    case("matmul_over_batch", lambda x, y: x.T @ y, uniform(BATCH, 9), uniform(BATCH, 5))
    case("softmax", lambda x: torch.softmax(x, -1), uniform(BATCH, 11, lo=-8, hi=8))
    case("softmax_far", lambda x: torch.softmax(x, -1), uniform(BATCH, 11, lo=-100, hi=100))
    case("softmax_cross_entropy", F.cross_entropy, uniform(BATCH, 10, lo=-5, hi=5), labels(BATCH, 10))
    case("softmax_cross_entropy_far", F.cross_entropy, uniform(BATCH, 10, lo=-100, hi=100), labels(BATCH, 10))
    targets = torch.tensor(rng.integers(0, 2, (BATCH, 3)), dtype=torch.float64)
    bce = F.binary_cross_entropy_with_logits
    case("bce_with_logits", bce, uniform(BATCH, 3, lo=-5, hi=5), targets)
    case("bce_with_logits_far", bce, uniform(BATCH, 3, lo=-100, hi=100), targets)
    case("bce_with_logits_soft", bce, uniform(BATCH, 3), uniform(BATCH, 3, lo=0, hi=1))
    case("mse", F.mse_loss, uniform(BATCH, 3), uniform(BATCH, 3))
    logits = uniform(BATCH, 4)
    case("accuracy", lambda x, t: (x.argmax(1) == t).double().mean(), logits, labels(BATCH, 4), grad=False)
    case("binary_accuracy", lambda x, t: ((x > 0) == (t > 0.5)).double().mean(), uniform(BATCH, 1),
         torch.tensor(rng.integers(0, 2, (BATCH, 1)), dtype=torch.float64), grad=False)


def optimizers():
    """NAME/start_a, NAME/start_b: two parameters; NAME/grads_a, NAME/grads_b: their gradients, a row
    per step; NAME/a, NAME/b: the parameters after each step. The learning rate is 0.05, from the
    third step on 0.02."""
    steps, lr = 5, 0.05
    kinds = {
        "sgd": lambda p: torch.optim.SGD(p, lr),
        "sgd_decay": lambda p: torch.optim.SGD(p, lr, weight_decay=0.1),
        "sgd_momentum": lambda p: torch.optim.SGD(p, lr, momentum=0.9, weight_decay=0.01),
        "sgd_nesterov": lambda p: torch.optim.SGD(p, lr, momentum=0.8, nesterov=True),
        "adam": lambda p: torch.optim.Adam(p, lr),
        "adam_decay": lambda p: torch.optim.Adam(p, lr, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.1),
        "adamw": lambda p: torch.optim.AdamW(p, lr, weight_decay=0.1),
        "adam_clip": lambda p: torch.optim.Adam(p, lr),
        "sgd_clip": lambda p: torch.optim.SGD(p, lr),
    }
    for name, make in kinds.items():
        params = {"a": uniform(3, 5).requires_grad_(), "b": uniform(4).requires_grad_()}
        grads = {k: uniform(steps, *p.shape, lo=-1, hi=1) for k, p in params.items()}
        for k, p in params.items():
            put(f"{name}/start_{k}", p)
            put(f"{name}/grads_{k}", grads[k].reshape(steps, -1))
        optimizer = make(list(params.values()))
        after = {k: [] for k in params}
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = lr if step < 2 else 0.02
            for k, p in params.items():
                p.grad = grads[k][step].clone()
            if name.endswith("clip"):
                torch.nn.utils.clip_grad_norm_(list(params.values()), 1.5)
            optimizer.step()
            for k, p in params.items():
                after[k].append(p.detach().clone().reshape(-1))
        for k in params:
            put(f"{name}/{k}", torch.stack(after[k]))


def network():
    """mlp/x, mlp/labels: a batch per step; mlp/start/NAME and mlp/end/NAME: parameters before and
    after 20 steps of Adam at 0.01; mlp/losses."""
    steps, batch = 20, 12
    sizes = {"hidden": (8, 16), "head": (16, 4)}
    params = {}
    for layer, (n_in, n_out) in sizes.items():
        bound = n_in**-0.5
        params[f"{layer}.weight"] = uniform(n_out, n_in, lo=-bound, hi=bound).requires_grad_()
        params[f"{layer}.bias"] = uniform(n_out, lo=-bound, hi=bound).requires_grad_()
    for name, p in params.items():
        put(f"mlp/start/{name}", p)
    x, t = uniform(steps, batch, 8), labels((steps, batch), 4)
    put("mlp/x", x)
    put("mlp/labels", t)
    optimizer, losses = torch.optim.Adam(list(params.values()), 0.01), []
    for step in range(steps):
        hidden = torch.relu(F.linear(x[step], params["hidden.weight"], params["hidden.bias"]))
        loss = F.cross_entropy(F.linear(hidden, params["head.weight"], params["head.bias"]), t[step])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    put("mlp/losses", np.array(losses))
    for name, p in params.items():
        put(f"mlp/end/{name}", p)


def make():
    ops()
    optimizers()
    network()
