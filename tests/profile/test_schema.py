"""The published schema and the parser accept and refuse the same profiles.

Usage: test_schema.py BUILD_DIR SOURCE_DIR"""
import copy
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import time

try:
    import jsonschema
except ImportError:
    sys.exit("python3-jsonschema is missing: apt-get install python3-jsonschema")

# What a schema cannot state (docs/profile.md, "What the schema cannot say").
ONLY_PARSER = {
    "share-sum.json",
    "share-sum-partition.json",
    "share-sum-equal-parts.json",
    "share-all-zero.json",
    "long-number.json",
}


def load(data):
    """JSON as RFC 8259 has it; Python's own parser takes more."""

    def pairs(items):
        if len({key for key, _ in items}) != len(items):
            raise ValueError("duplicate key")
        return dict(items)

    def refuse(word):
        raise ValueError(word)

    def number(text):
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(text)
        return value

    value = json.loads(
        data.decode("utf-8"), object_pairs_hook=pairs, parse_constant=refuse, parse_float=number
    )
    json.dumps(value, ensure_ascii=False).encode("utf-8")  # lone surrogates
    return value


def schema_accepts(validator, data):
    try:
        value = load(data)
    except (ValueError, RecursionError):
        return False
    return validator.is_valid(value)


def parser_verdicts(program, paths):
    verdicts = {}
    for start in range(0, len(paths), 500):
        out = subprocess.run(
            [program, "--check", *paths[start : start + 500]],
            stdout=subprocess.PIPE,
            check=True,
            encoding="utf-8",
            errors="replace",
        ).stdout
        for line in out.splitlines():
            path, verdict = line.split(" ", 1)
            verdicts[path] = verdict
    assert len(verdicts) == len(paths)
    return verdicts


def shares_fit(value):
    """The rule of the sum, for profiles that the schema accepts."""
    if "devices" not in value:
        return True
    total, some_auto = 0, False
    for entry in value["devices"]:
        share = entry.get("share", "auto")
        parts = entry.get("partition", 1)
        parts = len(parts) if isinstance(parts, list) else parts
        if share == "auto":
            some_auto = True
        else:
            total += share * parts
    return total <= 1 + 1e-9 and (some_auto or total > 0)


def mutate(rng, value, atoms):
    """One change somewhere in a JSON value: a leaf, a key or an item replaced, added or removed."""
    value = copy.deepcopy(value)
    places = []

    def walk(node):
        if isinstance(node, dict):
            places.extend((node, key) for key in node)
            places.append((node, None))
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            places.extend((node, i) for i in range(len(node)))
            places.append((node, None))
            for child in node:
                walk(child)

    walk(value)
    if not places:
        return copy.deepcopy(rng.choice(atoms))
    node, at = rng.choice(places)
    atom = copy.deepcopy(rng.choice(atoms))
    if at is None and isinstance(node, dict):
        node[rng.choice(KEYS)] = atom
    elif at is None:
        node.append(atom)
    elif rng.random() < 0.25:
        del node[at]
    elif isinstance(node, dict) and rng.random() < 0.2:
        node[rng.choice(KEYS)] = node.pop(at)
    else:
        node[at] = atom
    return value


KEYS = (
    "$schema version name description devices schedule precision matmul_precision determinism on_missing on_failure "
    "kernel_path cache match exclude share memory_limit partition compute_units build_options queue "
    "optional type vendor platform uuid pci min_memory extensions index profiling mode dir limit Name"
).split()


def collect_atoms(values):
    atoms = [None, True, False, 0, 1, -1, 2, 0.5, 1.5, 64, 65, 256, 2.0, 1e300, 2**53, 2**53 - 1, "",
             "auto", "x", "a\n", "2GiB", "0GB", [], {}, [1], [[]], ["x"], [{}], "cpu", "error",
             "continue", "off", "01:00.0", "cl_x", "-w", ["-w"], "\u00e9" * 256, "\u00e9" * 257]

    def walk(node):
        atoms.append(node)
        for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            walk(child)

    for value in values:
        walk(value)
    return atoms


def schema_words(node):
    """Keys of profiles and the words allowed as values."""
    words = set()
    if isinstance(node, dict):
        words |= set(node["properties"]) if isinstance(node.get("properties"), dict) else set()
        words |= {word for word in node.get("enum", ()) if isinstance(word, str)}
        for child in node.values():
            words |= schema_words(child)
    elif isinstance(node, list):
        for child in node:
            words |= schema_words(child)
    return words


def main():
    build, source = sys.argv[1:3]
    program = os.path.join(build, "tests", "test_profile_profile")
    with open(os.path.join(source, "docs", "profile.schema.json"), encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    failures = []

    corpus = os.path.join(source, "tests", "profile", "corpus")
    wanted = {}
    for folder, verdict in (("good", True), ("bad", False)):
        names = sorted(os.listdir(os.path.join(corpus, folder)))
        assert len(names) >= 50, (folder, len(names))
        wanted.update({os.path.join(corpus, folder, name): verdict for name in names})
    samples = os.path.join(source, "samples", "profiles")
    wanted.update({os.path.join(samples, name): True for name in os.listdir(samples)})
    verdicts = parser_verdicts(program, list(wanted))
    values, unused = [], set(ONLY_PARSER)
    for path, verdict in wanted.items():
        with open(path, "rb") as file:
            data = file.read()
        if (verdicts[path] == "ok") != verdict:
            failures.append(f"{path}: the parser says {verdicts[path]}")
        name = os.path.basename(path)
        by_schema = schema_accepts(validator, data)
        if by_schema != (verdict or name in ONLY_PARSER):
            failures.append(f"{path}: the schema {'accepts' if by_schema else 'refuses'} it")
        unused.discard(name)
        if verdict:
            values.append(load(data))
    if unused:
        failures.append(f"listed but not in the corpus: {unused}")
    print(f"{len(wanted)} files")

    # The manual: its examples are good, and it names every key and every allowed word.
    with open(os.path.join(source, "docs", "profile.md"), encoding="utf-8") as file:
        manual = file.read()
    examples = re.findall(r"```json\n(.*?)```", manual, re.DOTALL)
    assert len(examples) >= 5
    with tempfile.TemporaryDirectory() as directory:
        paths = [os.path.join(directory, f"{i}.json") for i in range(len(examples))]
        for path, example in zip(paths, examples):
            with open(path, "w", encoding="utf-8") as file:
                file.write(example)
            if not schema_accepts(validator, example.encode("utf-8")):
                failures.append(f"docs/profile.md: the schema refuses {example}")
        for path, verdict in parser_verdicts(program, paths).items():
            if verdict != "ok":
                failures.append(f"docs/profile.md: {verdict}")
    for word in sorted(schema_words(schema)):
        if not re.search(r"(?<![\w-])" + re.escape(word) + r"(?![\w-])", manual):
            failures.append(f"docs/profile.md does not name {word}")

    # Values made from the good ones by a few random changes.
    seed = int(time.time())
    print(f"seed {seed}", flush=True)
    rng = random.Random(seed)
    atoms = collect_atoms(values)
    with tempfile.TemporaryDirectory() as directory:
        made = {}
        for i in range(4000):
            value = rng.choice(values)
            for _ in range(rng.randint(1, 2)):
                value = mutate(rng, value, atoms)
            path = os.path.join(directory, f"{i}.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(value, file, ensure_ascii=rng.random() < 0.5)
            made[path] = value
        verdicts = parser_verdicts(program, list(made))
        accepted = 0
        for path, value in made.items():
            by_schema = validator.is_valid(value)
            expected = by_schema and shares_fit(value)
            accepted += expected
            if (verdicts[path] == "ok") != expected:
                failures.append(
                    f"{json.dumps(value)}: schema {by_schema}, shares fit: {expected}, parser: {verdicts[path]}"
                )
        print(f"{accepted} of {len(made)} random profiles accepted")
        if not 200 < accepted < 3800:
            failures.append("the random profiles are too much alike")
    for failure in failures[:10]:
        print(failure)
    sys.exit(1 if failures else 0)


main()
