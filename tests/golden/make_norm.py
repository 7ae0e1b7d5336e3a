"""Goldens of normalisations and activations (see make_goldens.py)."""
import torch
import torch.nn.functional as F

from make_goldens import BATCH, case, uniform

SEED = 20240901


def batch_norm(eps):
    return lambda x, gamma, beta: F.batch_norm(x, None, None, gamma, beta, training=True, eps=eps)


def rms(x, axes, eps):
    """Newer versions of PyTorch have F.rms_norm."""
    return x / torch.sqrt((x * x).mean(axes, keepdim=True) + eps)


def make():
    case("batch_norm_planes", batch_norm(1e-5), uniform(BATCH, 3, 4, 5), uniform(3), uniform(3))
    case("batch_norm_features", batch_norm(1e-3), uniform(BATCH, 19), uniform(19), uniform(19))
    case("batch_norm_sequence", batch_norm(0.5), uniform(BATCH, 5, 7), uniform(5), uniform(5))
    case("batch_norm_far", batch_norm(1e-5), uniform(BATCH, 3, 4, 5, lo=6, hi=10), uniform(3), uniform(3))
    affine = lambda *shape: (uniform(BATCH, *shape), uniform(*shape[-1:]), uniform(*shape[-1:]))
    case("layer_norm", lambda x, a, b: F.layer_norm(x, a.shape, a, b, 1e-5), *affine(37))
    case("layer_norm_plain", lambda x: F.layer_norm(x, (12,), eps=0.1), uniform(BATCH, 3, 12))
    case("layer_norm_two_axes", lambda x, a, b: F.layer_norm(x, a.shape, a, b, 1e-3),
         uniform(BATCH, 2, 3, 7), uniform(3, 7), uniform(3, 7))
    case("layer_norm_tokens", lambda x, a, b: F.layer_norm(x, a.shape, a, b, 1e-5), *affine(5, 16))
    case("rms_norm", lambda x, a: rms(x, -1, 1e-5) * a, *affine(19)[:2])
    case("rms_norm_plain", lambda x: rms(x, (-2, -1), 0.5), uniform(BATCH, 3, 5))
    planes = lambda c, *rest: (uniform(BATCH, c, *rest), uniform(c), uniform(c))
    case("group_norm", lambda x, a, b: F.group_norm(x, 3, a, b, 1e-5), *planes(6, 4, 3))
    case("group_norm_features", lambda x, a, b: F.group_norm(x, 2, a, b, 1e-5), *planes(14))
    case("group_norm_single", lambda x, a, b: F.group_norm(x, 1, a, b, 1e-3), *planes(3, 5))
    case("instance_norm", lambda x: F.instance_norm(x, eps=1e-5), uniform(BATCH, 4, 3, 5))
    far = torch.tensor([-100.0, -50, -20, -4, -1, 1, 4, 20, 50, 100], dtype=torch.float64).repeat(BATCH, 1)
    activations = {
        "leaky_relu": lambda x: F.leaky_relu(x, 0.01), "elu": F.elu, "elu_alpha": lambda x: F.elu(x, 1.75),
        "silu": F.silu, "erf": torch.erf, "gelu": F.gelu, "softplus": F.softplus,
        "softplus_steep": lambda x: F.softplus(x, 4.5, 60), "hard_sigmoid": F.hardsigmoid, "hard_swish": F.hardswish,
        "log_softmax": lambda x: F.log_softmax(x, -1),
    }
    for name, fn in activations.items():
        case(name, fn, uniform(BATCH, 21, lo=-5, hi=5))
        case(f"{name}_far", fn, far)
