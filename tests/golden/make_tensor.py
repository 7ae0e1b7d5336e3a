"""Goldens of the tensor ops (see make_goldens.py)."""
import math

import torch

from make_goldens import BATCH, case, labels, uniform

SEED = 20240611


def elementwise():
    positive = dict(lo=0.3, hi=3.0)
    case("reciprocal", torch.reciprocal, uniform(BATCH, 7, **positive))
    case("abs", torch.abs, uniform(BATCH, 7))
    case("sign", torch.sign, uniform(BATCH, 7).round(), grad=False)
    case("floor", torch.floor, uniform(BATCH, 7, lo=-9, hi=9), grad=False)
    case("round", torch.round, (uniform(BATCH, 40, lo=-9, hi=9) * 4).round() / 4, grad=False)
    case("sin", torch.sin, uniform(BATCH, 7, lo=-9, hi=9))
    case("cos", torch.cos, uniform(BATCH, 7, lo=-9, hi=9))
    # Exact in binary, so that some elements lie on the bounds.
    steps = (uniform(BATCH, 40) * 8).round() / 8
    case("clamp", lambda x: torch.clamp(x, -0.5, 0.75), steps)
    case("clamp_low", lambda x: torch.clamp(x, min=-0.5), steps)
    case("clamp_high", lambda x: torch.clamp(x, max=0.75), steps)
    a, b = uniform(BATCH, 3, 7).round(), uniform(BATCH, 3, 7).round()
    for name, fn in (("maximum", torch.maximum), ("minimum", torch.minimum)):
        case(name, fn, uniform(BATCH, 7), uniform(BATCH, 7))
        case(f"{name}_ties", fn, a, b)
        case(f"{name}_row", fn, uniform(BATCH, 3, 7), uniform(7))
    for name, fn in (("equal", torch.eq), ("not_equal", torch.ne), ("less", torch.lt), ("less_equal", torch.le),
                     ("greater", torch.gt), ("greater_equal", torch.ge)):
        case(name, lambda x, y: fn(x, y).double(), a, b, grad=False)
    case("where", lambda m, x, y: torch.where(m != 0, x, y), labels((BATCH, 7), 2), uniform(BATCH, 7), uniform(BATCH, 7))
    case("where_mask", lambda m, x, y: torch.where(m != 0, x, y), labels((3, 4), 2), uniform(BATCH, 3, 4), uniform(4))
    case("where_compared", lambda x, y: torch.where(x < y, x * y, x.exp()), uniform(BATCH, 7), uniform(BATCH, 7))
    case("cast", lambda t: t.double() * 0.5, labels((BATCH, 7), 1000), grad=False)
    case("cast_both", lambda x: x.int().double(), uniform(BATCH, 7, lo=-99, hi=99), grad=False)
    case("expand", lambda x: x.expand(2, 3, 4), uniform(3, 1))
    case("expand_batch", lambda x, y: x.expand(BATCH, 3, 4) * y, uniform(3, 1), uniform(BATCH, 3, 4))
    case("detach", lambda x: x * x.detach(), uniform(BATCH, 7))


def reductions():
    case("min_last", lambda x: torch.amin(x, dim=[2]), uniform(BATCH, 3, 7))
    case("min_ties", lambda x: torch.amin(x, dim=[1, 2]), uniform(BATCH, 3, 7).round())
    for name, unbiased in (("variance", False), ("variance_unbiased", True)):
        far = dict(lo=4, hi=6)
        case(f"{name}_last", lambda x: torch.var(x, [2], unbiased=unbiased), uniform(BATCH, 3, 7))
        case(f"{name}_far", lambda x: torch.var(x, [2], unbiased=unbiased, keepdim=True), uniform(BATCH, 3, 7, **far))
        case(f"{name}_batch", lambda x: torch.var(x, [0], unbiased=unbiased), uniform(BATCH, 3, 7))
        case(f"{name}_channels", lambda x: torch.var(x, [0, 2], unbiased=unbiased, keepdim=True), uniform(BATCH, 3, 7))
        case(f"{name}_all", lambda x: torch.var(x, unbiased=unbiased), uniform(BATCH, 3, 7))
    for name, p in (("1", 1), ("2", 2), ("3", 3), ("real", 1.5), ("max", math.inf)):
        case(f"norm_{name}", lambda x: torch.linalg.vector_norm(x, p, dim=[1]), uniform(BATCH, 7))
        if p != math.inf:
            case(f"norm_{name}_all", lambda x: torch.linalg.vector_norm(x, p), uniform(BATCH, 3, 4))
    zeros = uniform(BATCH, 7) * torch.tensor([0.0, 1, 1, 0, 1, 1]).reshape(BATCH, 1)
    for name, p in (("2", 2), ("real", 1.5), ("max", math.inf)):
        case(f"norm_{name}_zero", lambda x: torch.linalg.vector_norm(x, p, dim=[1], keepdim=True), zeros)
    case("cumsum", lambda x: torch.cumsum(x, 1), uniform(BATCH, 9))
    case("cumsum_long", lambda x: torch.cumsum(x, 1), uniform(BATCH, 200))
    case("cumsum_middle", lambda x: torch.cumsum(x, 1), uniform(BATCH, 5, 18))


def choosing():
    case("slice", lambda x: x[:, 2:5], uniform(BATCH, 7, 3))
    case("slice_step", lambda x: x[:, :, 1:-1:3], uniform(BATCH, 2, 12))
    case("slice_end", lambda x: x[:, -3:], uniform(BATCH, 7))
    case("concat", lambda x, y, z: torch.cat([x, y, z], 1), uniform(BATCH, 2, 5), uniform(BATCH, 1, 5), uniform(BATCH, 4, 5))
    case("concat_last", lambda x, y: torch.cat([x, y, x], -1), uniform(BATCH, 3), uniform(BATCH, 4))
    case("split", lambda x: torch.cat([part * (i + 1) for i, part in enumerate(torch.split(x, [1, 4, 2], 1))], 1),
         uniform(BATCH, 7, 2))
    case("split_equal", lambda x: torch.cat([part * (i + 1) for i, part in enumerate(torch.chunk(x, 3, -1))], -1),
         uniform(BATCH, 6))
    case("gather", lambda x, t: torch.gather(x, 1, t), uniform(BATCH, 4, 3), labels((BATCH, 6, 3), 4))
    case("gather_last", lambda x, t: torch.gather(x, -1, t), uniform(BATCH, 9), labels((BATCH, 2), 9))
    case("gather_table", lambda x, t: x[t.reshape(-1)], uniform(5, 4), labels((BATCH, 1), 5))
    case("gather_columns", lambda x, t: x[:, t.reshape(-1)], uniform(BATCH, 5, 3), labels((1, 8, 1), 5))
    case("scatter_add", lambda x, t, s: torch.scatter_add(x, 1, t, s), uniform(BATCH, 4, 3), labels((BATCH, 6, 3), 4),
         uniform(BATCH, 6, 3))
    case("scatter_add_table", lambda x, t, s: torch.index_add(x, 0, t.reshape(-1), s), uniform(4, 3),
         labels((BATCH, 1), 4), uniform(BATCH, 3))
    case("one_hot", lambda t: torch.nn.functional.one_hot(t, 5).double(), labels((BATCH, 3), 5), grad=False)
    case("argmax", lambda x: x.argmax(1).double(), uniform(BATCH, 12), grad=False)
    case("argmax_long", lambda x: x.argmax(1).double(), uniform(BATCH, 100), grad=False)
    case("argmax_channels", lambda x: x.argmax(1).double(), uniform(BATCH, 5, 4), grad=False)
    case("top_k", lambda x: torch.topk(x, 3).values, uniform(BATCH, 12))
    case("top_k_long", lambda x: torch.topk(x, 5).values, uniform(BATCH, 300))
    case("top_k_index", lambda x: torch.topk(x, 4).indices.double(), uniform(BATCH, 12), grad=False)


def products():
    for ta in (0, 1):
        for tb in (0, 1):
            a, b = uniform(BATCH, *((9, 7) if ta else (7, 9))), uniform(BATCH, *((5, 9) if tb else (9, 5)))
            case(f"matmul_samples_{'nt'[ta]}{'nt'[tb]}",
                 lambda x, y: (x.mT if ta else x) @ (y.mT if tb else y), a, b)
    case("matmul_heads", lambda q, k: q @ k.mT, uniform(BATCH, 2, 5, 4), uniform(BATCH, 2, 5, 4))
    case("matmul_rows", torch.matmul, uniform(BATCH, 3, 5), uniform(5, 4))
    case("matmul_matrix", lambda x, y: x.mT @ y, uniform(BATCH, 5, 3), uniform(5, 4))
    case("matmul_left", torch.matmul, uniform(4, 5), uniform(BATCH, 5, 3))
    case("matmul_same", torch.matmul, uniform(BATCH, 2, 3, 5), uniform(2, 5, 4))
    case("matmul_row_of_samples", torch.matmul, uniform(1, 3, 5), uniform(BATCH, 5, 4))
    case("matmul_crosswise", torch.matmul, uniform(3, 1, 2, 4, 3), uniform(2, 1, 4, 1, 3, 5))


def make():
    elementwise()
    reductions()
    choosing()
    products()
