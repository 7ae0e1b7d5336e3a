"""Goldens of the losses (see make_goldens.py)."""
import torch
import torch.nn.functional as F

from make_goldens import BATCH, case, labels, rng, uniform

SEED = 20240614


def cross_entropy():
    fn = F.cross_entropy
    logits = lambda *shape: uniform(*shape, lo=-5, hi=5)
    weights = uniform(10, lo=0.25, hi=2)
    t = labels(BATCH, 10)
    t[1], t[4] = 3, 3
    case("ce_smooth", lambda x, t: fn(x, t, label_smoothing=0.1), logits(BATCH, 10), t)
    case("ce_ignore", lambda x, t: fn(x, t, ignore_index=3), logits(BATCH, 10), t)
    case("ce_weights", lambda x, t: fn(x, t, weight=weights), logits(BATCH, 10), t, grad_of=(0,), extra=(weights,))
    outside = t.clone()
    outside[2] = -100
    case("ce_all", lambda x, t: fn(x, t, weight=weights, ignore_index=-100, label_smoothing=0.2), logits(BATCH, 10),
         outside, grad_of=(0,), extra=(weights,))
    case("ce_ignore_smooth", lambda x, t: fn(x, t, ignore_index=3, label_smoothing=0.3), logits(BATCH, 10), t)
    words = labels((BATCH, 4), 9)
    words[:, 3] = 0
    case("ce_merged", lambda x, t: fn(x.reshape(-1, 9), t.reshape(-1), ignore_index=0, label_smoothing=0.1),
         logits(BATCH, 4, 9), words)
    case("ce_many", lambda x, t: fn(x, t, label_smoothing=0.1), uniform(BATCH, 301, lo=-30, hi=30), labels(BATCH, 301))


def make():
    cross_entropy()
    targets = torch.tensor(rng.integers(0, 2, (BATCH, 3)), dtype=torch.float64)
    with_logits = F.binary_cross_entropy_with_logits
    weight, pos = uniform(BATCH, 3, lo=0, hi=2), uniform(3, lo=0.2, hi=4)
    case("bce_weighted", lambda x, t, w, p: with_logits(x, t, w, pos_weight=p), uniform(BATCH, 3, lo=-5, hi=5), targets,
         weight, pos, grad_of=(0,))
    case("bce_pos_weight", lambda x, t, p: with_logits(x, t, pos_weight=p), uniform(BATCH, 3, lo=-50, hi=50), targets,
         pos, grad_of=(0,))
    case("bce", F.binary_cross_entropy, uniform(BATCH, 3, lo=0.01, hi=0.99), uniform(BATCH, 3, lo=0, hi=1))
    sure = torch.tensor([0, 1, 1e-20, 0.5], dtype=torch.float64).repeat(BATCH, 1)
    case("bce_sure", F.binary_cross_entropy, sure, torch.tensor([0, 1, 1, 0.5], dtype=torch.float64).repeat(BATCH, 1),
         grad_of=(0,))
    case("l1", F.l1_loss, uniform(BATCH, 5), uniform(BATCH, 5))
    same = uniform(BATCH, 5)
    case("l1_equal", F.l1_loss, same, torch.where(uniform(BATCH, 5) > 0, same, same + 1))
    for name, delta in (("huber", 1.0), ("huber_small", 0.25), ("huber_large", 10.0)):
        case(name, lambda x, t: F.huber_loss(x, t, delta=delta), uniform(BATCH, 7), uniform(BATCH, 7))
    case("smooth_l1", lambda x, t: F.smooth_l1_loss(x, t, beta=0.5), uniform(BATCH, 7), uniform(BATCH, 7))
    case("smooth_l1_sharp", lambda x, t: F.smooth_l1_loss(x, t, beta=0.0), uniform(BATCH, 7), uniform(BATCH, 7))
    log_q = torch.log_softmax(uniform(BATCH, 9, lo=-3, hi=3), -1).float().double()
    p = torch.softmax(uniform(BATCH, 9, lo=-3, hi=3), -1).float().double()
    kl = lambda x, t: F.kl_div(x, t, reduction="batchmean")
    case("kl_div", kl, log_q, p)
    zeros = torch.where(p > 0.05, p, torch.zeros_like(p))
    case("kl_div_zeros", kl, log_q, zeros, grad_of=(0,))
    case("kl_div_log", lambda x, t: F.kl_div(x, t, reduction="batchmean", log_target=True), log_q,
         p.log().float().double())
    case("kl_div_deep", kl, uniform(BATCH, 3, 5, lo=-4, hi=0), uniform(BATCH, 3, 5, lo=0.1, hi=1))
    case("cosine", lambda a, b: F.cosine_similarity(a, b, dim=-1), uniform(BATCH, 12), uniform(BATCH, 12))
    case("cosine_deep", lambda a, b: F.cosine_similarity(a, b, dim=-1), uniform(BATCH, 3, 5), uniform(BATCH, 3, 5))
    signs = torch.tensor([1.0, -1, 1, -1, -1, 1], dtype=torch.float64)
    case("cosine_embedding", lambda a, b, y: F.cosine_embedding_loss(a, b, y, margin=0.1), uniform(BATCH, 4),
         uniform(BATCH, 4), signs, grad_of=(0, 1))
