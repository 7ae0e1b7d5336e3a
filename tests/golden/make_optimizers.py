"""Goldens of RMSprop, Adagrad and LAMB, of parameter groups, accumulated gradients and averages of weights (see
make_goldens.py).

NAME/start_a, NAME/start_b: two parameters; NAME/grads_a, NAME/grads_b: their gradients, a row per step; NAME/a,
NAME/b: the parameters after each step; NAME/average_a, NAME/average_b, where there are: their averages. The learning
rate is 0.05, from the third step on 0.02.
"""
import torch
from torch.optim.swa_utils import AveragedModel

from make_goldens import put, uniform

SEED = 20240621
LR = 0.05


class Lamb(torch.optim.Optimizer):
    """You et al. 2020, algorithm 2, with Adam's bias correction; PyTorch has none."""

    def __init__(self, params, lr, weight_decay, betas=(0.9, 0.999), eps=1e-6):
        super().__init__(params, dict(lr=lr, weight_decay=weight_decay, betas=betas, eps=eps))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                s = self.state[p]
                s["t"] = s.get("t", 0) + 1
                s["m"] = beta1 * s.get("m", 0) + (1 - beta1) * p.grad
                s["v"] = beta2 * s.get("v", 0) + (1 - beta2) * p.grad**2
                mean, variance = s["m"] / (1 - beta1 ** s["t"]), s["v"] / (1 - beta2 ** s["t"])
                direction = mean / (variance.sqrt() + group["eps"]) + group["weight_decay"] * p
                trust = p.norm() / direction.norm() if p.norm() > 0 and direction.norm() > 0 else 1.0
                p -= group["lr"] * trust * direction


class Pair(torch.nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.a, self.b = torch.nn.Parameter(a), torch.nn.Parameter(b)


def train(name, make, steps=5, every=1, clip=None, decay=None, zero=False):
    model = Pair(torch.zeros(3, 5, dtype=torch.float64) if zero else uniform(3, 5), uniform(4))
    params = {"a": model.a, "b": model.b}
    grads = {k: uniform(steps, *p.shape, lo=-1, hi=1) for k, p in params.items()}
    for k, p in params.items():
        put(f"{name}/start_{k}", p)
        put(f"{name}/grads_{k}", grads[k].reshape(steps, -1))
    optimizer = make(params)
    factors = [group["lr"] / LR for group in optimizer.param_groups]
    average = AveragedModel(model, avg_fn=lambda old, new, n: decay * old + (1 - decay) * new)
    after = {k: [] for k in ("a", "b", "average_a", "average_b")}
    for step in range(steps):
        for group, factor in zip(optimizer.param_groups, factors):
            group["lr"] = factor * (LR if step < 2 else 0.02)
        for k, p in params.items():
            part = grads[k][step] / every
            p.grad = part.clone() if step % every == 0 else p.grad + part
        if (step + 1) % every == 0:
            if clip:
                torch.nn.utils.clip_grad_norm_(list(params.values()), clip)
            optimizer.step()
            if decay is not None:
                average.update_parameters(model)
        for k, p in params.items():
            after[k].append(p.detach().clone().reshape(-1))
            after[f"average_{k}"].append(getattr(average.module, k).detach().clone().reshape(-1))
    for k, rows in after.items():
        if decay is not None or not k.startswith("average"):
            put(f"{name}/{k}", torch.stack(rows))


def make():
    optim = torch.optim
    every = lambda cls, **options: lambda params: cls(list(params.values()), LR, **options)
    train("rmsprop", every(optim.RMSprop))
    train("rmsprop_momentum", every(optim.RMSprop, momentum=0.9, weight_decay=0.1, alpha=0.9))
    train("rmsprop_centered", every(optim.RMSprop, centered=True, eps=1e-4))
    train("rmsprop_all", every(optim.RMSprop, centered=True, momentum=0.5, alpha=0.8, weight_decay=0.01))
    train("adagrad", every(optim.Adagrad))
    train("adagrad_decay", every(optim.Adagrad, weight_decay=0.1, eps=1e-3))
    train("lamb", every(Lamb, weight_decay=0.01))
    train("lamb_plain", every(Lamb, weight_decay=0, betas=(0.8, 0.95), eps=1e-3), zero=True)

    group = lambda p, **options: dict(params=[p], **options)
    train("flat_adamw", lambda params: optim.AdamW([group(params["a"]), group(params["b"], weight_decay=0)], LR,
                                                   weight_decay=0.1))
    train("groups_sgd", lambda params: optim.SGD([group(params["a"], lr=0.25 * LR), group(params["b"], weight_decay=0)],
                                                 LR, momentum=0.9, weight_decay=0.1))
    train("groups_adam_clip", lambda params: optim.Adam([group(params["a"], weight_decay=0.2),
                                                         group(params["b"], lr=2 * LR)], LR, weight_decay=0.1), clip=1.5)
    train("groups_lamb", lambda params: Lamb([group(params["a"], lr=0.5 * LR), group(params["b"], weight_decay=0)], LR,
                                             weight_decay=0.1))
    train("accumulate_sgd", every(optim.SGD, momentum=0.9), steps=8, every=3)
    train("accumulate_adam", every(optim.Adam, weight_decay=0.1), steps=8, every=4, clip=0.5)
    train("average_sgd", every(optim.SGD), decay=0.75)
    train("average_adamw", every(optim.AdamW, weight_decay=0.1), steps=9, every=2, decay=0.9)
