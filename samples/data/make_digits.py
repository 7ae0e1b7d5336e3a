#!/usr/bin/python3
"""Writes the UCI handwritten digits as gzip'd IDX files, and their digests.

    make_digits.py [DIRECTORY]        default: the directory of this script

Needs scikit-learn (Debian: python3-sklearn), whose load_digits ships the data. Pixels are kept as
they are, 0 to 16: readers scale them. The same data give the same files, byte for byte.
"""
import hashlib
import os
import struct
import sys
import zlib

IMAGES = "digits-images.idx3-ubyte.gz"
LABELS = "digits-labels.idx1-ubyte.gz"


def idx(array):
    """IDX: two zero bytes, the element type (8: unsigned byte), the rank, big-endian extents, data."""
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim)
    return header + struct.pack(">%dI" % array.ndim, *array.shape) + array.tobytes()


def write(directory, name, payload):
    # The header (RFC 1952) is fixed here, with time 0, no name and system 255: Python's own differs
    # between versions. The digest of the payload holds whatever the compressor does.
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = deflate.compress(payload) + deflate.flush()
    trailer = struct.pack("<II", zlib.crc32(payload), len(payload))
    data = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff" + body + trailer
    with open(os.path.join(directory, name), "wb") as f:
        f.write(data)
    lines = []
    for label, content in ((name, data), (name[:-3], payload)):
        lines.append("BLAKE2b-256 %s %s\n" % (hashlib.blake2b(content, digest_size=32).hexdigest(), label))
        lines.append("SHA-256 %s %s\n" % (hashlib.sha256(content).hexdigest(), label))
    return lines


def main():
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        sys.exit("make_digits.py: scikit-learn is missing: apt-get install python3-sklearn")
    directory = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    digits = load_digits()
    images = digits.images.round().astype("uint8")
    labels = digits.target.astype("uint8")
    if images.shape != (1797, 8, 8) or labels.shape != (1797,) or images.max() != 16 or labels.max() != 9:
        sys.exit("make_digits.py: load_digits returned other data than expected")
    if (images != digits.images).any():
        sys.exit("make_digits.py: pixels are not whole numbers")
    lines = write(directory, IMAGES, idx(images)) + write(directory, LABELS, idx(labels))
    with open(os.path.join(directory, "DIGESTS"), "w") as f:
        f.writelines(lines)


if __name__ == "__main__":
    main()
