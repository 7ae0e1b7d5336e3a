"""Goldens of normalisations and activations (see make_goldens.py)."""
import torch
import torch.nn.functional as F

from make_goldens import BATCH, case, uniform

SEED = 20240901


def batch_norm(eps):
    return lambda x, gamma, beta: F.batch_norm(x, None, None, gamma, beta, training=True, eps=eps)


def make():
    case("batch_norm_planes", batch_norm(1e-5), uniform(BATCH, 3, 4, 5), uniform(3), uniform(3))
    case("batch_norm_features", batch_norm(1e-3), uniform(BATCH, 19), uniform(19), uniform(19))
    case("batch_norm_sequence", batch_norm(0.5), uniform(BATCH, 5, 7), uniform(5), uniform(5))
    case("batch_norm_far", batch_norm(1e-5), uniform(BATCH, 3, 4, 5, lo=6, hi=10), uniform(3), uniform(3))
