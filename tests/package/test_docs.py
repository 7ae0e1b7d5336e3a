#!/usr/bin/env python3
"""The documents name what there is: functions, constants, files, headings; docs/training.md leaves no layer, optimizer,
initialiser or schedule out."""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[2])
documents = [root / "README.md", root / "CONTRIBUTING.md", *sorted((root / "docs").rglob("*.md"))]
folders = ("include", "runtime", "cl", "cmake", "samples", "tests", "tools", "CMakeLists.txt")


def words():
    text = []
    for folder in folders:
        for path in [root / folder] if (root / folder).is_file() else (root / folder).rglob("*"):
            if path.suffix in {".c", ".h", ".cl", ".def", ".sh", ".py", ".txt", ".cmake", ".in"}:
                text.append(path.read_text(errors="replace"))
    return set(re.findall(r"\w+", "\n".join(text)))


def anchors(path):
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            for heading in re.findall(r"^#+ (.*)", path.read_text(), re.M)}


def check(path, known):
    text = path.read_text()
    for name in sorted(set(re.findall(r"\b(?:tutti|TUTTI)_\w+", text)) - known):
        if not (name.endswith("_") and any(word.startswith(name) for word in known)):  # `tutti_<noun>`
            yield f"{name} is nowhere in the sources"
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        target, _, anchor = link.partition("#")
        if "://" in link:
            continue
        file = path.parent / target if target else path
        if not file.exists():
            yield f"no file {target}"
        elif anchor and anchor not in anchors(file):
            yield f"no heading #{anchor} in {file.name}"
    for file in re.findall(r"`((?:docs|samples|tests|tools|runtime|include|cl)/[\w./-]+)`", text):
        if not (root / file).exists():
            yield f"no file {file}"


def kinds():
    """What docs/training.md has to name."""
    nn, graph, train = ((root / "include/tutti" / name).read_text() for name in ("nn.h", "graph.h", "train.h"))
    yield from re.findall(r"tutti_tensor\s+(tutti_nn_\w+)\(", nn)
    for header, enum in ((graph, "tutti_init_kind"), (graph, "tutti_optimizer_kind"), (train, "tutti_lr_kind")):
        body = re.search(rf"typedef enum {enum} {{(.*?)}} {enum};", header, re.S).group(1)
        yield from re.findall(r"TUTTI_\w+", body)


known = words()
problems = [f"{path.relative_to(root)}: {problem}" for path in documents for problem in check(path, known)]
training = (root / "docs/training.md").read_text()
problems += [f"docs/training.md: no word of {name}" for name in kinds() if not re.search(rf"\b{name}\b", training)]
print("\n".join(problems) or f"{len(documents)} documents, {len(list(kinds()))} kinds: good")
sys.exit(1 if problems or len(list(kinds())) < 30 else 0)
