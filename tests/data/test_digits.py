"""The shipped digits: digests, content, and the same bytes from the script when scikit-learn is here."""
import gzip
import hashlib
import os
import struct
import subprocess
import sys
import tempfile

source = sys.argv[2]
directory = os.path.join(source, "samples", "data")
NAMES = ["digits-images.idx3-ubyte", "digits-labels.idx1-ubyte"]


def digest(algorithm, data):
    if algorithm == "SHA-256":
        return hashlib.sha256(data).hexdigest()
    assert algorithm == "BLAKE2b-256", algorithm
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def content(name):
    if name.endswith(".gz"):
        return open(os.path.join(directory, name), "rb").read()
    return gzip.open(os.path.join(directory, name + ".gz"), "rb").read()


lines = open(os.path.join(directory, "DIGESTS")).read().splitlines()
assert len(lines) == 8, lines
readme = open(os.path.join(directory, "README.md")).read()
for line in lines:
    algorithm, hexadecimal, name = line.split()
    assert digest(algorithm, content(name)) == hexadecimal, name
    assert line in readme, "README.md lacks: " + line
assert "CC BY 4.0" in readme

images, labels = content(NAMES[0]), content(NAMES[1])
assert struct.unpack(">IIII", images[:16]) == (0x803, 1797, 8, 8)
assert struct.unpack(">II", labels[:8]) == (0x801, 1797)
assert len(images) == 16 + 1797 * 64 and max(images[16:]) == 16
counts = [labels[8:].count(c) for c in range(10)]
# Class counts of the data set's description at UCI (test part).
assert counts == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180], counts
print("digests and content are right")

try:
    import sklearn  # noqa: F401
except ImportError:
    print("scikit-learn is missing: the script was not run again")
    sys.exit(0)
with tempfile.TemporaryDirectory() as again:
    subprocess.run([sys.executable, os.path.join(directory, "make_digits.py"), again], check=True)
    for name in ["DIGESTS"] + [n + ".gz" for n in NAMES]:
        made = open(os.path.join(again, name), "rb").read()
        kept = open(os.path.join(directory, name), "rb").read()
        assert made == kept, "make_digits.py makes another " + name
print("make_digits.py gives the same bytes")
