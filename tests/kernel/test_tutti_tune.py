"""tutti-tune from end to end: measures, lists, exports, forgets, imports; refuses bad input."""
import json
import os
import re
import subprocess
import sys
import tempfile

TUNE, PROBE_PROFILE = os.path.join(sys.argv[1], "bin", "tutti-tune"), "cpu.0"
failures = 0


def tune(*options, select=PROBE_PROFILE):
    return subprocess.run((TUNE, "--select", select) + options, capture_output=True, text=True, timeout=300)


def check(condition, what, done):
    global failures
    if not condition:
        failures += 1
        print("FAILED: %s\nexit code %d\n%s\n%s" % (what, done.returncode, done.stdout[-1500:], done.stderr[-1500:]))


def count(done):
    found = re.search(r": (\d+) measured", done.stdout)
    return int(found.group(1)) if found else -1


with tempfile.TemporaryDirectory() as work:
    os.environ["TUTTI_CACHE_DIR"] = os.path.join(work, "cache")
    pack = os.path.join(work, "pack.json")
    done = tune("--list")
    check(done.returncode == 0 and count(done) == 0, "nothing is known at first", done)
    done = tune("--models", "mlp", "--batch", "2")
    known = count(done)
    check(done.returncode == 0 and known > 0 and "matmul" in done.stdout, "an MLP is measured", done)
    check(re.search(r"^    \* \S+ +[0-9.]+ us", done.stdout, re.M), "the winner and its time are shown", done)
    check("\r" not in done.stderr, "no bar where there is no terminal", done)
    done = tune("--models", "mlp", "--batch", "2", "--quiet")
    check(done.returncode == 0 and done.stdout == "" and done.stderr == "", "--quiet says nothing", done)
    os.environ["TUTTI_LOG"] = "info"
    done = tune("--models", "mlp", "--batch", "2")
    check(done.returncode == 0 and "measuring" not in done.stderr, "what is known is not measured again", done)
    done = tune("--models", "mlp", "--batch", "3", "--again")
    check(done.returncode == 0 and "measuring" in done.stderr, "but is with --again", done)
    del os.environ["TUTTI_LOG"]
    check(count(done) == known, "and batches between two powers of two share it", done)
    done = tune("--export", pack)
    check(done.returncode == 0 and "%d measurements" % known in done.stdout, "a pack is written", done)
    with open(pack) as f:
        text = f.read()
    check(len(json.loads(text)["devices"][0]["records"]) == known, "the pack is JSON with all records", done)
    done = tune("--export", "-")
    check(done.stdout == text, "the pack goes to standard output", done)
    done = tune("--clear")
    check(done.returncode == 0 and count(tune("--list")) == 0, "--clear forgets", done)
    done = tune("--import", pack)
    check(done.returncode == 0 and done.stdout.startswith("%d taken" % known), "the pack is taken", done)
    done = tune("--list")
    check(done.stdout.count("to be checked") == known, "what a pack brought is not trusted yet", done)
    done = tune("--models", "mlp", "--batch", "2")
    check(done.returncode == 0 and "to be checked" not in done.stdout and count(done) == known,
          "it is checked at its first use", done)
    done = tune("--import", pack)
    check(done.stdout.startswith("0 taken") and "%d known" % known in done.stdout, "what is known here stays", done)
    done = tune("--models", "mlp", "--batch", "5", "--seconds", "0.1")
    left = re.search(r"mlp: no time left for (\d+) of (\d+) ops \(--seconds 0.1\)", done.stderr)
    check(done.returncode == 0 and left and 0 < int(left.group(1)) < int(left.group(2)), "time is short", done)
    check(left and count(done) == known + int(left.group(2)) - int(left.group(1)), "but gets on", done)
    tune("--clear")
    done = tune("--export", pack)
    check(done.returncode == 1 and "--force replaces it" in done.stderr, "a pack is not written over", done)
    done = tune("--export", pack, "--force")
    check(done.returncode == 0 and "0 measurements of 1 device\n" in done.stdout and "is empty" in done.stderr,
          "but with --force, and may be empty", done)
    done = tune("--import", pack)
    check(done.returncode == 0 and done.stdout.startswith("0 taken"), "and is taken", done)
    with open(pack, "w") as f:
        f.write(text)
    with open(pack) as f:
        done = subprocess.run((TUNE, "--select", PROBE_PROFILE, "--import", "-"), stdin=f, capture_output=True, text=True,
                              timeout=300)
    check(done.returncode == 0 and done.stdout.startswith("%d taken" % known), "a pack comes from standard input", done)
    check("0 measured, %d from a pack\n" % known in tune("--list").stdout, "what comes from a pack is no measurement", done)
    tune("--clear")
    # The names of samples prepare them.
    done = tune("--models", "digits")
    check(done.returncode == 0 and count(done) > 0, "the sample digits is measured", done)
    os.environ["TUTTI_LOG"] = "info"
    done = subprocess.run((os.path.join(sys.argv[1], "bin", "digits"), "--profile", PROBE_PROFILE, "--epochs", "0"),
                          capture_output=True, text=True, timeout=300)
    del os.environ["TUTTI_LOG"]
    check(done.returncode == 0 and "measuring" not in done.stderr, "and measures nothing itself", done)
    tune("--clear")
    profile = os.path.join(work, "profile.json")
    for message, code, more, options in [
            ("cannot be written to the cache", 1, {"cache": {"limit": 500}}, ("--import", pack)),
            ("asks for determinism \"reproducible\"", 2, {"determinism": "reproducible"}, ("--models", "mlp"))]:
        with open(profile, "w") as f:
            json.dump({"devices": [{"match": {"type": "cpu"}}], **more}, f)
        done = tune(*options, select=profile)
        check(done.returncode == code and message in done.stderr, "%s says %r" % (more, message), done)
    with open("/dev/full", "w") as full:
        done = subprocess.run((TUNE, "--select", PROBE_PROFILE, "--export", "-"), stdout=full, stderr=subprocess.PIPE,
                              text=True, timeout=300)
    done.stdout = ""
    check(done.returncode == 1 and "cannot write to standard output" in done.stderr, "a full disk is an error", done)
    other = os.path.join(work, "other.json")
    with open(other, "w") as f:
        f.write(text.replace('"winner": 0', '"winner": 1', 1))
    for message, code, options in [
            ("other.json:", 5, ("--import", other)),
            ("does not fit the contents", 5, ("--import", other)),
            ("nosuch.json", 1, ("--import", os.path.join(work, "nosuch.json"))),
            ("nosuch/pack.json", 1, ("--export", os.path.join(work, "nosuch/pack.json"))),
            ("\"foo\" is not one of digits, mnist", 2, ("--models", "mlp,foo")),
            ("--export needs a file", 2, ("--export", "")),
            ("--force without --export", 2, ("--force",)),
            ("\"\" is not one of", 2, ("--models", "")),
            ("--batch 0", 2, ("--batch", "0")),
            ("--seconds never", 2, ("--seconds", "never")),
            ("exclude each other", 2, ("--list", "--clear")),
            ("for measuring", 2, ("--list", "--batch", "3")),
            ("unknown option '--frob'", 2, ("--frob",)),
            ("unknown option '-x'", 2, ("-xh",)),
            ("'--list=3' has a value, expected none", 2, ("--list=3",)),
            ("'--help=3' has a value, expected none", 2, ("--help=3",)),
            ("needs a value", 2, ("--import",)),
            ("unexpected argument 'x'", 2, ("x",))]:
        done = tune(*options)
        check(done.returncode == code and message in done.stderr, "%s says %r" % (options, message), done)
    with open(profile, "w") as f:
        json.dump({"devices": [{"match": {"type": "cpu"}}], "cache": {"limit": 500}}, f)
    done = tune("--models", "digits", select=profile)
    check(done.returncode == 1 and "kept" in done.stderr, "where nothing can be kept, that is an error", done)
    os.environ["TUTTI_CACHE_DIR"] = "/dev/null"
    done = tune("--models", "mlp")
    check(done.returncode == 1 and "no place for measurements" in done.stderr, "no cache is an error here", done)
sys.exit(1 if failures else 0)
