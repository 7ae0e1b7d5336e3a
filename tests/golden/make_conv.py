"""Goldens of the convolution family (see make_goldens.py)."""
import torch.nn.functional as F

from make_goldens import BATCH, case, uniform

SEED = 20240811


def convolutions():
    def conv(name, x, w, bias=False, **options):
        inputs = [uniform(*x), uniform(*w)] + ([uniform(w[0])] if bias else [])
        case(name, lambda *i: F.conv2d(*i, **options), *inputs)

    conv("conv2d", (BATCH, 3, 8, 7), (4, 3, 3, 3), bias=True, padding=1)
    conv("conv2d_1x1", (BATCH, 5, 4, 5), (3, 5, 1, 1))
    conv("conv2d_5x5", (BATCH, 2, 7, 9), (3, 2, 5, 5), bias=True, padding=2)
    conv("conv2d_stride", (BATCH, 3, 8, 8), (4, 3, 3, 3), stride=2, padding=1)
    conv("conv2d_mixed", (BATCH, 2, 9, 11), (3, 2, 3, 2), stride=(2, 3), padding=(3, 1), dilation=(2, 1))
    conv("conv2d_groups", (BATCH, 4, 5, 6), (6, 2, 2, 3), bias=True, stride=(1, 2), padding=(1, 0), groups=2)
    conv("conv2d_depthwise", (BATCH, 3, 6, 6), (6, 1, 3, 3), padding=1, groups=3)
    conv("conv2d_row", (BATCH, 1, 3, 40), (2, 1, 1, 7), padding=(0, 3))

    def transposed(name, x, w, bias=False, groups=1, **options):
        inputs = [uniform(*x), uniform(*w)] + ([uniform(w[1] * groups)] if bias else [])
        case(name, lambda *i: F.conv_transpose2d(*i, groups=groups, **options), *inputs)

    transposed("conv_transpose2d", (BATCH, 3, 5, 4), (3, 4, 3, 3), bias=True)
    transposed("conv_transpose2d_stride", (BATCH, 3, 4, 5), (3, 2, 3, 3), stride=2, padding=1, output_padding=1)
    transposed("conv_transpose2d_mixed", (BATCH, 2, 3, 4), (2, 3, 3, 4), stride=(3, 2), padding=(1, 3), dilation=(1, 2),
               output_padding=(2, 0))
    transposed("conv_transpose2d_groups", (BATCH, 4, 4, 3), (4, 3, 2, 3), bias=True, groups=2, stride=(1, 2),
               padding=(1, 0))
    transposed("conv_transpose2d_sparse", (BATCH, 2, 3, 3), (2, 2, 1, 2), stride=3, output_padding=(0, 2))

    case("conv1d", F.conv1d, uniform(BATCH, 3, 17), uniform(4, 3, 5), uniform(4))
    case("conv1d_mixed", lambda x, w: F.conv1d(x, w, stride=2, padding=3, dilation=2, groups=2),
         uniform(BATCH, 4, 19), uniform(6, 2, 3))


def pooling():
    x = (BATCH, 2, 7, 6)
    case("max_pool2d", lambda x: F.max_pool2d(x, 2), uniform(*x))
    case("max_pool2d_padded", lambda x: F.max_pool2d(x, 3, 2, 1), uniform(*x))
    case("max_pool2d_dilated", lambda x: F.max_pool2d(x, (3, 2), (1, 3), (1, 0), (2, 1)), uniform(*x))
    case("max_pool2d_ties", lambda x: F.max_pool2d(x, 3, 2, 1), uniform(*x).round())
    case("global_max_pool2d", lambda x: F.adaptive_max_pool2d(x, 1), uniform(*x))
    case("avg_pool2d", lambda x: F.avg_pool2d(x, 2), uniform(*x))
    case("avg_pool2d_padded", lambda x: F.avg_pool2d(x, (3, 4), (1, 3), (1, 2)), uniform(*x))
    case("avg_pool2d_excluding", lambda x: F.avg_pool2d(x, (3, 4), (1, 3), (1, 2), count_include_pad=False), uniform(*x))
    case("adaptive_avg_pool2d", lambda x: F.adaptive_avg_pool2d(x, (3, 8)), uniform(*x))
    case("global_avg_pool2d", lambda x: F.adaptive_avg_pool2d(x, 1), uniform(*x))


def upsampling():
    x = (BATCH, 2, 3, 5)
    case("upsample_nearest", lambda x: F.interpolate(x, scale_factor=2), uniform(*x))
    case("upsample_nearest_size", lambda x: F.interpolate(x, size=(7, 4)), uniform(*x))
    case("upsample_bilinear", lambda x: F.interpolate(x, scale_factor=(3, 2), mode="bilinear"), uniform(*x))
    case("upsample_bilinear_size", lambda x: F.interpolate(x, size=(7, 3), mode="bilinear"), uniform(*x))


def padding():
    x = (BATCH, 2, 4, 3)
    case("pad2d", lambda x: F.pad(x, (1, 2, 0, 3)), uniform(*x))
    case("pad2d_cut", lambda x: F.pad(x, (-1, 1, 2, -3)), uniform(*x))
    case("pad2d_reflect", lambda x: F.pad(x, (2, 1, 0, 3), mode="reflect"), uniform(*x))


def make():
    convolutions()
    pooling()
    upsampling()
    padding()
