"""Runs the samples mnist, cifar, chargpt and tabular, small, on generated and on real-looking files.

It is tested that they learn, say which data they use, read their files' formats, give the same
weights for the same seed, and refuse bad input with a message that names it.
"""

import gzip
import json
import math
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

BIN = Path(sys.argv[1]) / "bin"
SOURCE = Path(sys.argv[2])
DIRECTORY = tempfile.TemporaryDirectory(prefix="tutti-models-")
MISSING = -1  # a file is not there: a failure, or bad input
failures = 0


def path(name):
    return Path(DIRECTORY.name) / name


def run(sample, *options):
    metrics = path("metrics.jsonl")
    metrics.unlink(missing_ok=True)
    # The others measure which kernels are faster, which takes as long as compiling those that are needed.
    profile = ["--profile", path("reproducible.json")] if sample in ("chargpt", "tabular") else []
    done = subprocess.run([BIN / sample, "--quiet", "--metrics", metrics, *profile, *map(str, options)], capture_output=True,
                          text=True, errors="replace", timeout=400)
    done.end = json.loads(metrics.read_text().splitlines()[-1]) if done.returncode == 0 else {}
    return done


def check(good, what, done):
    global failures
    if not good:
        failures += 1
        print("FAILED: %s\nexit code %s\n%s\n%s" % (what, done.returncode, done.stdout[-2000:], done.stderr[-2000:]))


def refused(text, code, sample, *options):
    done = run(sample, *options)
    codes = (1, 5) if code == MISSING else (code,)
    check(done.returncode in codes and text in done.stderr, "%s %s is refused with %r" % (sample, options, text), done)


def write_idx(name, images, zipped):
    """28x28 pictures of a bar whose column says the class."""
    pixels, labels = bytearray(), bytearray()
    for i in range(images):
        label = i % 10
        labels.append(label)
        for _ in range(28):
            pixels += bytes(255 if 2 + 2 * label <= x < 5 + 2 * label else random.randrange(40) for x in range(28))
    for kind, text in (("images-idx3-ubyte", struct.pack(">IIII", 0x803, images, 28, 28) + pixels),
                       ("labels-idx1-ubyte", struct.pack(">II", 0x801, images) + labels)):
        if zipped:
            path("mnist/%s-%s.gz" % (name, kind)).write_bytes(gzip.compress(text))
        else:
            path("mnist/%s-%s" % (name, kind)).write_bytes(text)


def write_flat_idx(name, images=20, size=28, pixel=b"\x40", label=3):
    """Pictures that are all alike; pixels of 4 bytes are floats."""
    kind = 0x803 if len(pixel) == 1 else 0xD03
    path("flat/%s-images-idx3-ubyte" % name).write_bytes(struct.pack(">IIII", kind, images, size, size) + pixel * (images * size * size))
    path("flat/%s-labels-idx1-ubyte" % name).write_bytes(struct.pack(">II", 0x801, images) + bytes([0] * (images - 1) + [label]))


def mnist_refusals():
    refused("flat: no such directory", 1, "mnist", "--data", path("flat"))
    path("flat").mkdir()
    refused("none of train-images-idx3-ubyte, train-images-idx3-ubyte.gz, train-images.idx3-ubyte and", 1, "mnist", "--data",
            path("flat"))
    write_flat_idx("train", label=23)
    write_flat_idx("t10k", label=10)
    refused("train-images-idx3-ubyte: the label of sample 19 is 23, expected 0 to 9", 5, "mnist", "--data", path("flat"))
    write_flat_idx("train")
    refused("t10k-images-idx3-ubyte: the label of sample 19 is 10, expected 0 to 9", 5, "mnist", "--data", path("flat"))
    write_flat_idx("t10k", size=32)
    refused("t10k-images-idx3-ubyte: the images are Nx32x32, expected MNIST's Nx28x28", 5, "mnist", "--data", path("flat"))
    write_flat_idx("t10k", pixel=struct.pack(">f", 64))
    refused("t10k-images-idx3-ubyte others: bytes are scaled", 5, "mnist", "--data", path("flat"))
    write_flat_idx("t10k", pixel=struct.pack(">f", 0.25))
    done = run("mnist", "--data", path("flat"), "--epochs", 0)
    check(done.returncode == 0, "mnist takes floats from 0 to 1 beside bytes", done)


def mnist():
    done = run("mnist", "--epochs", 6)
    check(done.end.get("test_accuracy", 0) >= 0.85, "mnist learns the shipped digits", done)
    check("shipped" in done.stdout, "mnist says that it uses the shipped digits", done)
    path("mnist").mkdir()
    write_idx("train", 600, zipped=True)
    write_idx("t10k", 100, zipped=False)
    done = run("mnist", "--data", path("mnist"), "--epochs", 4)
    check(done.end.get("test_accuracy", 0) >= 0.9, "mnist learns from IDX files, plain and .gz", done)
    check("shipped" not in done.stdout and str(path("mnist")) in done.stdout, "mnist names its files", done)


def cifar():
    small = ("--images", 400, "--width", 4, "--epochs", 1)
    done = run("cifar", *small)
    check(done.end.get("test_loss", math.inf) < 5 and "generated" in done.stdout, "cifar runs on its generated set", done)
    again = run("cifar", *small)
    check(done.end.get("weights_blake2b") == again.end.get("weights_blake2b"), "equal seeds, equal weights", again)
    refused("none of 20|32|44|56", 2, "cifar", "--depth", 21)
    refused("option '--images' is for the data set that is used without --data", 2, "cifar", "--data", path("cifar"), "--images", 200)
    refused("cifar", MISSING, "cifar", "--data", path("cifar"))
    path("cifar").mkdir()
    for name, records in (("data_batch_1", 60), ("data_batch_2", 60), ("test_batch", 40)):
        text = bytearray()
        for i in range(records):  # the class is a colour
            text += bytes([i % 2]) + bytes([200 if i % 2 else 20] * 1024 + [100] * 2048)
        path("cifar/%s.bin" % name).write_bytes(text)
    done = run("cifar", "--data", path("cifar"), "--width", 4, "--epochs", 4, "--batch", 10, "--lr", 0.02)
    check(done.end.get("test_accuracy", 0) >= 0.9, "cifar learns from CIFAR-10's files", done)
    path("cifar/data_batch_2.bin").write_bytes(bytes(3073 + 5))
    refused("data_batch_2.bin", 5, "cifar", "--data", path("cifar"), "--width", 4)


def chargpt():
    text = "the quick brown fox jumps over the lazy dog; " * 400
    path("text.txt").write_text(text)
    options = ("--data", path("text.txt"), "--layers", 1, "--width", 32, "--heads", 2, "--context", 32, "--windows", 320,
               "--epochs", 8, "--lr", "5e-3", "--prompt", "the quick", "--length", 36, "--temperature", 0)
    done = run("chargpt", *options)
    check(done.end.get("test_loss", math.inf) < 0.2, "chargpt learns a sentence", done)
    check("the quick brown fox jumps over the lazy dog" in done.stdout, "chargpt writes it", done)
    check(re.search(r"bytes, 28 different\n(.*\n)*.* validation\nvalidation loss: .*\nvalidation accuracy: ", done.stdout) and
          "test" not in done.stdout.replace("text.txt", ""), "chargpt names the validation set", done)
    # Said before the training, which would not end.
    endless = ("--data", path("text.txt"), "--layers", 1, "--width", 8, "--heads", 1, "--context", 8, "--windows", 16,
               "--epochs", 1000000)
    refused("options '--width' 30 and '--heads' 4: the heads must divide", 2, "chargpt", *endless, "--width", 30, "--heads", 4)
    refused("a head has 300 channels, expected at most 256", 2, "chargpt", *endless, "--width", 600, "--heads", 2)
    refused("option '--prompt': character 0, '~'", 5, "chargpt", *endless, "--prompt", "~")
    refused("option '--prompt': character 1, 'Q'", 5, "chargpt", *endless, "--prompt", "tQ the quick brown fox")
    same_kernels = options[:10]
    done = run("chargpt", *same_kernels, "--windows", 16, "--epochs", 1, "--length", 5)
    check("validation loss: " in done.stdout, "chargpt needs no prompt and no new line in the text", done)
    path("short.txt").write_text("ab")
    refused("short.txt", 5, "chargpt", "--data", path("short.txt"))


def tabular():
    done = run("tabular", "--epochs", 30)
    check(done.end.get("test_loss", math.inf) < 0.1 and "generated" in done.stdout, "tabular learns the rent", done)
    done = run("tabular", "--epochs", 20, "--classes")
    check(done.end.get("test_accuracy", 0) >= 0.9, "tabular learns the offer", done)
    random.seed(1)
    rows = ["id,size,town,when,price"]
    for i in range(600):
        size, town = random.uniform(20, 200), random.choice(["Bonn", "Köln", "\"Essen, Ruhr\""])
        rows.append("%d,%.1f,%s,%d,%.2f" % (i, size, town, i % 4, size * (3 if "K" in town else 2)))
    path("good.csv").write_text("\n".join(rows) + "\n")
    done = run("tabular", "--data", path("good.csv"), "--ignore", "id", "--categorical", "when", "--epochs", 40)
    check(done.end.get("test_loss", math.inf) < 0.05 and "good.csv" in done.stdout, "tabular learns from a CSV file", done)
    done = run("tabular", "--data", path("good.csv"), "--target", "town", "--ignore", "id", "--epochs", 40)
    check("test_accuracy" in done.end, "a text as target makes a classification", done)
    rows[7] = "7,,Bonn,1,300"
    path("hole.csv").write_text("\n".join(rows) + "\n")
    refused("hole.csv:8", 5, "tabular", "--data", path("hole.csv"))
    done = run("tabular", "--data", path("hole.csv"), "--missing", "drop", "--epochs", 1)
    check("left out: 1 row" in done.stdout, "rows with holes are left out when asked", done)
    check(run("tabular", "--data", path("hole.csv"), "--missing", "fill", "--epochs", 1).returncode == 0,
          "holes are filled when asked", done)
    refused("none of refuse|drop|fill", 2, "tabular", "--missing", "guess")
    for option, value in (("target", "area"), ("missing", "refuse"), ("categorical", "area")):
        refused("option '--%s' is for a data set that --data names" % option, 2, "tabular", "--" + option, value)
    refused("option '--target' is for a data set that --data names", 2, "binary", "--target", "ill")
    refused("the target \"price\" is to be ignored", 2, "tabular", "--data", path("good.csv"), "--ignore", "price")
    path("numbers.csv").write_text("".join("%d;%d\n" % (i, 2 * i) for i in range(100)))
    semicolon = ("--data", path("numbers.csv"), "--separator", ";", "--epochs", 1)
    done = run("tabular", *semicolon)
    check("1: the first line holds numbers only" in done.stderr and "no-header" in done.stderr, "a warning of the header", done)
    done = run("tabular", *semicolon, "--no-header")
    check(done.returncode == 0 and done.stderr == "" and "72 training, 8 validation, 20 test" in done.stdout,
          "tabular reads CSV without a header and with semicolons", done)
    refused("separated by ',' (see separator)", 5, "tabular", "--data", path("numbers.csv"))
    refused("option '--separator': \"::\" is neither", 2, "tabular", *semicolon, "--separator", "::")
    refused("'.' cannot separate CSV cells", 2, "tabular", *semicolon, "--separator", ".")
    path("tabs.csv").write_text(path("numbers.csv").read_text().replace(";", "\t"))
    done = run("tabular", "--data", path("tabs.csv"), "--separator", "tab", "--no-header", "--epochs", 1)
    check(done.returncode == 0, "tabular reads tabs", done)


path("reproducible.json").write_text('{"determinism": "reproducible"}\n')
for test in (mnist, mnist_refusals, cifar, chargpt, tabular):
    test()
sys.exit(1 if failures else 0)
