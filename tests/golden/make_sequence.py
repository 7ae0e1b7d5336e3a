"""Goldens of the ops over sequences (see make_goldens.py)."""
import math

import torch
import torch.nn.functional as F

from make_goldens import BATCH, case, labels, uniform

SEED = 20240909


def embedding():
    case("embedding", lambda w, i: F.embedding(i.long(), w), uniform(7, 5), labels((BATCH, 4), 7))
    case("embedding_wide", lambda w, i: F.embedding(i.long(), w), uniform(3, 70), labels((BATCH,), 3))
    case("embedding_positions", lambda w, i: F.embedding(i.long(), w), uniform(9, 6), torch.arange(9))


def attend(q, k, v, mask=None, causal=False, scale=None):
    """By the definition, heads in the last axis but one. Queries that see nothing give 0."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    scores = q @ k.transpose(-1, -2) * (scale or 1 / math.sqrt(q.shape[-1]))
    if mask is not None:
        scores = scores + mask
    if causal:
        scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -math.inf)
    blind = torch.isneginf(scores).all(-1, keepdim=True)
    p = torch.softmax(scores.masked_fill(blind, 0), -1).masked_fill(blind, 0)
    return (p @ v).transpose(1, 2)


def attention():
    def make(name, tq, tk, heads, width, mask=None, **options):
        q, k = uniform(BATCH, tq, heads, width), uniform(BATCH, tk, heads, width)
        v = uniform(BATCH, tk, heads, width)
        inputs = [q, k, v] + ([] if mask is None else [mask])
        case(name, lambda *x: attend(*x, **options), *inputs, grad_of=(0, 1, 2))

    make("attention", 7, 7, 2, 8)
    make("attention_causal", 9, 9, 2, 5, causal=True)
    make("attention_across", 3, 11, 1, 16, scale=0.3)
    make("attention_long", 70, 70, 1, 4, causal=True)
    make("attention_bias", 6, 6, 2, 4, mask=uniform(2, 6, 6), causal=True)
    hidden = uniform(BATCH, 1, 1, 7).sign().clamp(min=0)
    hidden[0] = 0
    hidden[1] = 1
    make("attention_padding", 5, 7, 2, 4, mask=hidden.log())


def rotate(x, base=10000.0):
    half = x.shape[-1] // 2
    angle = torch.outer(torch.arange(x.shape[1], dtype=x.dtype), base ** (-torch.arange(half, dtype=x.dtype) / half))
    c, s = (torch.cat([f(angle)] * 2, -1)[None, :, None] for f in (torch.cos, torch.sin))
    turned = torch.cat([-x[..., half:], x[..., :half]], -1)
    return x * c + turned * s


def rotary():
    case("rotary", rotate, uniform(BATCH, 7, 2, 6))
    case("rotary_far", lambda x: rotate(x, 500000.0), uniform(BATCH, 120, 1, 4))


def recurrent():
    """PyTorch's own layers: x, weight_ih, weight_hh, bias_ih, bias_hh, and h0, c0."""
    def run(kind, x, *rest):
        weights, state = list(rest[:4]), [h[None] for h in rest[4:]] or [x.new_zeros(1, len(x), rest[1].shape[1])] * 2
        options = [True, 1, 0.0, True, False, True]
        if kind == "lstm":
            y, h, c = torch._VF.lstm(x, state, weights, *options)
            return y, torch.cat([h[0], c[0]], 1)
        y, h = torch._VF.gru(x, state[0], weights, *options)
        return y, h[0]

    def layer(name, kind, steps, features, hidden, output=0, state=False):
        parts = 4 if kind == "lstm" else 3
        shapes = [(parts * hidden, features), (parts * hidden, hidden), (parts * hidden,), (parts * hidden,)]
        inputs = [uniform(BATCH, steps, features)] + [uniform(*s, lo=-0.5, hi=0.5) for s in shapes]
        if state:
            inputs += [uniform(BATCH, hidden, lo=-1, hi=1) for _ in range(2 if kind == "lstm" else 1)]
        case(name, lambda *x: run(kind, *x)[output], *inputs)

    for kind in ("lstm", "gru"):
        layer(kind, kind, 5, 3, 4)
        layer(f"{kind}_state", kind, 7, 5, 18, state=True)
        layer(f"{kind}_last", kind, 4, 2, 6, output=1, state=True)
        layer(f"{kind}_one_step", kind, 1, 3, 5)


def make():
    embedding()
    attention()
    rotary()
    recurrent()
