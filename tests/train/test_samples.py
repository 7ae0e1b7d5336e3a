"""The samples from end to end: options, errors, files they write, what they print."""
import json
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml

build, source = sys.argv[1], sys.argv[2]
DIGITS, BINARY = (os.path.join(build, "bin", name) for name in ("digits", "binary"))
with open(os.path.join(build, "CMakeCache.txt")) as cache:
    SANITIZED = re.search(r"^TUTTI_SANITIZE:STRING=.", cache.read(), re.M) is not None
work = tempfile.TemporaryDirectory()
failures = 0


def path(name, text=None):
    full = os.path.join(work.name, name)
    if text is not None:
        with open(full, "w") as f:
            f.write(text)
    return full


def run(*command, **environment):
    return subprocess.run(command, capture_output=True, text=True, timeout=120,
                          env={**os.environ, **environment})


def check(condition, what, result=None):
    global failures
    if not condition:
        failures += 1
        print("FAILED: " + what)
        if result is not None:
            print("  exit code %d\n  stdout: %s\n  stderr: %s" % (result.returncode, result.stdout, result.stderr))


def refused(code, message, *command):
    result = run(*command)
    what = " ".join(command)
    check(result.returncode == code, "%s: exit code %d" % (what, code), result)
    check(message in result.stderr, "%s: says \"%s\"" % (what, message), result)
    check(result.stderr.count("\n") == 1, "%s: one line on stderr" % what, result)


def end_of(metrics):
    with open(metrics) as f:
        lines = [json.loads(line) for line in f]
    return lines[-1], lines


def usage():
    for program in (DIGITS, BINARY):
        result = run(program, "--help")
        check(result.returncode == 0 and result.stderr == "", "--help", result)
        for option in ("--profile", "--data", "--epochs", "--batch", "--lr", "--seed", "--load", "--save",
                       "--metrics", "--plot", "--precision", "--matmul-precision", "--explain", "--quiet", "--help", "--version"):
            check(option in result.stdout, "--help names " + option, result)
        result = run(program, "--version")
        check(result.returncode == 0 and re.search(r"\d+\.\d+\.\d+\n$", result.stdout), "--version", result)
    refused(2, "unknown option '--frobnicate'", DIGITS, "--frobnicate")
    refused(2, "\"ten\" is not a whole number", DIGITS, "--epochs", "ten")
    refused(2, "option '--lr'", BINARY, "--lr", "-1")
    refused(2, "needs a value", BINARY, "--target")
    refused(2, "unexpected argument", BINARY, "data.csv")


def bad_input():
    refused(5, "bad.csv:3: column \"size\": \"tall\" is not a number", BINARY, "--data",
            path("bad.csv", "age,size,ill\n1,2,0\n3,tall,1\n"))
    refused(5, "range.csv:2: column \"ill\": \"2\" is out of range", BINARY, "--data",
            path("range.csv", "age,ill\n1,2\n"))
    refused(5, "no column is named \"well\"", BINARY, "--data", path("range.csv"), "--target", "well")
    refused(5, "half.csv:3: column \"ill\": \"0.5\" is no whole number", BINARY, "--data",
            path("half.csv", "age,ill\n1,1\n1,0.5\n"))
    refused(5, "leaves one part empty", BINARY, "--data", path("small.csv", "age,ill\n1,0\n"))
    refused(2, "there is no header", BINARY, "--data", path("small.csv"), "--no-header", "--target", "ill")
    refused(5, "the file is empty", BINARY, "--data", path("empty.csv", ""))
    refused(1, "missing.csv: No such file", BINARY, "--data", path("missing.csv"))
    refused(1, "digits-images.idx3-ubyte.gz: cannot open: No such file", DIGITS, "--data", path("nowhere"))
    refused(1, "No such file", DIGITS, "--metrics", path("no/where.jsonl"))
    refused(1, "No such file", DIGITS, "--plot", path("no/where.svg"))
    for name in ("same", "./same"):
        refused(1, "metrics and plot cannot be written to the same file", DIGITS, "--metrics", path("same"), "--plot",
                path(name))
    os.mkdir(path("damaged"))
    for name in os.listdir(os.path.join(source, "samples", "data")):
        if name.endswith(".gz"):
            data = open(os.path.join(source, "samples", "data", name), "rb").read()
            open(os.path.join(path("damaged"), name), "wb").write(data[:-9])
    refused(5, "truncated", DIGITS, "--data", path("damaged"))
    refused(5, "profile.json:1:", DIGITS, "--profile", path("profile.json", "{"))
    refused(3, "", DIGITS, "--profile", "nosuchvendor:*", "--quiet")


def metrics_and_plot():
    metrics, plot = path("m.jsonl"), path("p.svg")
    result = run(DIGITS, "--epochs", "2", "--metrics", metrics, "--plot", plot, "--quiet")
    check(result.returncode == 0, "digits trains", result)
    check(result.stderr == "", "--quiet prints nothing on stderr", result)
    for text in ("test accuracy: ", "samples/s", "share 100.0 %", "loss curves: " + plot, "kernels: ", "first step: "):
        check(text in result.stdout, "the summary has " + text, result)
    end, lines = end_of(metrics)
    check([line["event"] for line in lines] == ["begin", "epoch", "epoch", "end"], "events")
    check(0.8 < end["test_accuracy"] <= 1 and 0 < end["test_loss"] < 1, "test metrics: %s" % end)
    check(end["test_samples"] == 359 and end["samples_per_s"] > 0, "samples: %s" % end)
    check(re.fullmatch("[0-9a-f]{64}", end["weights_blake2b"]), "digest")
    check(abs(sum(device["share"] for device in end["devices"]) - 1) < 1e-9, "shares: %s" % end["devices"])
    for device in end["devices"]:
        check(isinstance(device["name"], str) and device["name"] and device["busy_s"] >= 0, "device: %s" % device)
    check(sum(device["samples"] for device in end["devices"]) == 2 * 6470, "samples per device")
    for line in lines[1:3]:
        for key in ("loss", "accuracy", "val_loss", "val_accuracy", "lr", "samples_per_s", "elapsed_s"):
            check(isinstance(line[key], (int, float)), "epoch line: " + key)
    texts = [e.text for e in xml.parse(plot).iter() if e.tag.endswith("text")]
    check("UCI handwritten digits" in texts, "title of the plot: %s" % texts)
    check(any(t.startswith("validation, lowest") for t in texts), "legend of the plot: %s" % texts)
    return end


def equal_runs():
    profile = path("fixed.json", json.dumps({"devices": [{"match": {"type": "cpu", "index": 0}}],
                                             "determinism": "reproducible"}))
    digests = []
    for seed in ("3", "3", "4"):
        metrics = path("digest.jsonl")
        result = run(DIGITS, "--profile", profile, "--epochs", "1", "--seed", seed, "--quiet", "--metrics", metrics)
        check(result.returncode == 0, "reproducible run", result)
        digests.append(end_of(metrics)[0]["weights_blake2b"])
    check(digests[0] == digests[1], "equal runs end in equal weights: %s" % digests)
    check(digests[0] != digests[2], "seeds matter: %s" % digests)


def weights():
    """Weights that were saved start another run; its metrics name them by their digest."""
    file, first, second = path("w.safetensors"), path("w1.jsonl"), path("w2.jsonl")
    os.mkdir(path("saved"))
    result = run(BINARY, "--epochs", "1", "--quiet", "--save", file, "--metrics", first)
    check(result.returncode == 0 and "weights: " + file in result.stdout, "--save", result)
    result = run(BINARY, "--epochs", "0", "--quiet", "--load", file, "--metrics", second)
    check(result.returncode == 0, "--load", result)
    for key in ("weights_blake2b", "test_loss"):
        check(end_of(first)[0][key] == end_of(second)[0][key], "the same " + key)
    refused(5, "w.safetensors: tensor \"hidden.weight\" is 10x8, expected 256x64", DIGITS, "--epochs", "0", "--quiet", "--load", file)
    # Said before the training, and nothing is left of the trial.
    refused(1, "/nowhere/w: No such file", BINARY, "--epochs", "1000000", "--quiet", "--save", "/nowhere/w")
    refused(1, "saved: Is a directory", BINARY, "--epochs", "1000000", "--quiet", "--save", path("saved"))
    refused(1, "/nowhere/w: No such file", BINARY, "--quiet", "--save", path("saved/w"), "--load", "/nowhere/w")
    check(os.listdir(path("saved")) == [], "no file is left: %s" % os.listdir(path("saved")))


def progress():
    result = run(BINARY, "--epochs", "3")
    check(result.returncode == 0, "binary trains", result)
    check("generated" in result.stdout, "binary says that its data are generated", result)
    # Where nothing is compiled yet, it says so first.
    lines = [line for line in result.stderr.splitlines() if not line.startswith("binary: ")]
    pattern = (r"epoch \d/3  step \d+/\d+  loss [\d.]+  accuracy [\d.]+ %  val loss [\d.]+  "
               r"val accuracy [\d.]+ %  \d+ samples/s  ETA \d:\d\d")
    check(len(lines) == 3 and all(re.fullmatch(pattern, line) for line in lines), "plain progress lines", result)
    # On a terminal one line rewrites itself.
    try:
        master, slave = pty.openpty()
    except OSError as error:  # /dev/pts is not mounted
        print("no pseudo-terminal here:", error)
        return
    process = subprocess.Popen([BINARY, "--epochs", "3"], stdout=subprocess.DEVNULL, stderr=slave,
                               env={**os.environ, "TERM": "xterm", "NO_COLOR": "1"})
    os.close(slave)
    text, deadline = b"", time.time() + 60
    while time.time() < deadline and select.select([master], [], [], 60)[0]:
        try:
            part = os.read(master, 4096)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        text += part
    process.wait(timeout=60)
    check(process.returncode == 0 and text.startswith(b"\repoch 1/3") and text.count(b"\n") == 1,
          "terminal progress: %r" % text)
    check(b"\033[0m" not in text and b"\033[K" in text, "NO_COLOR: %r" % text)


def full_disk():
    for arguments in (("--help",), ("--epochs", "0", "--quiet")):
        with open("/dev/full", "w") as full:
            result = subprocess.run((BINARY,) + arguments, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
        check(result.returncode == 1, "%s: exit code %d" % (arguments, result.returncode))
        check("cannot write standard output: No space left" in result.stderr, "says so: " + result.stderr)


def explain():
    result = run(DIGITS, "--explain", "--epochs", "0", "--quiet")
    check(result.returncode == 0, "--explain", result)
    for text in ("softmax_cross_entropy", "adam", "cpu.0", "peak", "test accuracy: "):
        check(text in result.stdout, "--explain shows " + text, result)


def csv():
    rows = ["a,b,ill,c"]
    for i in range(400):  # ill when a + c > 0, features of different scales
        a, b, c = (i * 37 % 101) - 50, 1000 + i % 7, ((i * 53 % 97) - 48) * 1e-3
        rows.append("%d,%d,%d,%g" % (a, b, a + 1000 * c > 0, c))
    metrics = path("csv.jsonl")
    result = run(BINARY, "--data", path("good.csv", "\r\n".join(rows) + "\r\n"), "--target", "ill", "--quiet",
                 "--metrics", metrics)
    check(result.returncode == 0, "binary learns from CSV", result)
    check("good.csv" in result.stdout and "generated" not in result.stdout, "binary names its file", result)
    check(end_of(metrics)[0]["test_accuracy"] >= 0.9, "accuracy from CSV: %s" % end_of(metrics)[0])


def killed():
    """The metrics end with the last epoch; an old plot stays, and no empty one appears."""
    old, new, metrics = path("old.svg", "<old/>"), path("new.svg"), path("killed.jsonl")
    for plot in (old, new):
        process = subprocess.Popen([DIGITS, "--epochs", "100000", "--quiet", "--plot", plot, "--metrics", metrics])
        deadline = time.time() + 60
        while time.time() < deadline and not (os.path.exists(metrics) and '"event":"epoch"' in open(metrics).read()):
            time.sleep(0.02)
        process.kill()
        process.wait()
        check(end_of(metrics)[0]["event"] == "epoch", "the metrics of a killed run end with an epoch")
        os.remove(metrics)
    check(open(old).read() == "<old/>", "an old plot stays")
    check(not os.path.exists(new), "no empty plot is left")


def large_batch():
    result = run(BINARY, "--epochs", "1", "--batch", "100000")
    check(result.returncode == 0, "a batch larger than the training set", result)
    check("binary: the batch of 100000 is cut to the training set's 2880 samples" in result.stderr, "it is told", result)


def second_start():
    """After one start in empty caches, another compiles nothing and is soon at its first step."""
    caches = {"TUTTI_CACHE_DIR": path("tutti"), "POCL_CACHE_DIR": path("pocl")}
    os.mkdir(path("pocl"))
    starts = []
    for start in range(6):
        metrics = path("start.jsonl")
        quiet = ["--quiet"] if start > 1 else []
        result = run(DIGITS, "--profile", "cpu.0", "--epochs", "1", "--metrics", metrics, *quiet, **caches)
        check(result.returncode == 0, "start %d" % start, result)
        for text in ("digits: compiling for cpu.0", "digits: measuring"):
            check((text in result.stderr) == (start == 0), "start %d: %s" % (start, text), result)
        kernels = sum(1 for _, _, names in os.walk(path("pocl")) for name in names if name.endswith(".so"))
        starts.append((end_of(metrics)[0], kernels))
    check(starts[0][0]["kernels"]["compiled"] > 0, "the first start compiles: %s" % starts[0][0]["kernels"])
    for end, kernels in starts[1:]:
        check(end["kernels"]["compiled"] == 0 and kernels == starts[0][1], "a later start compiles: %s, PoCL keeps %d "
              "kernels and had %d" % (end["kernels"], kernels, starts[0][1]))
    seconds = sorted(end["first_step_s"] for end, _ in starts[1:])
    print("first start %.2f s, then %s s to the first step" % (starts[0][0]["first_step_s"], ["%.3f" % s for s in seconds]))
    # The least of five, and more time where more programs run than there are cores.
    limit = (2 if SANITIZED else 0.3) * max(1, os.getloadavg()[0] / os.cpu_count())
    check(seconds[0] < limit, "later starts take %s s to the first step, expected %.2f" % (seconds, limit))


for test in (usage, bad_input, metrics_and_plot, equal_runs, weights, progress, full_disk, explain, csv, killed, large_batch, second_start):
    begin = time.time()
    test()
    print("%s: %.1f s" % (test.__name__, time.time() - begin), flush=True)
sys.exit(1 if failures else 0)
