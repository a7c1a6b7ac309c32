"""
Whether the documents tell of what is there: commands, files, links, names in code.

A document that was true once is worse than none. So every command is parsed by the job's own
configuration, and every name in backticks has to stand in the source.
"""

import ast
import importlib
import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from lucency.config.node import Node
from lucency.errors import LucencyError

FOLDER = "docs"
REQUIRED = ("input-format", "normalisation", "versioning-and-rollback", "intended-use")
_SOURCES = ("platform", "serve", "jobs", "configs")
_FENCE = re.compile(r"^```.*?\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
_PATH = re.compile(r"(?:jobs|configs|docs|platform|serve|k8s|tests)/[\w./-]+")
_MODULE = re.compile(r"python -m ([\w.]+)")
_NAME = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")
_WORD = re.compile(r"\w+")


def faults(root: Path) -> list[str]:
    """What is missing or untrue in the documents of a source tree, one line each; none is good."""
    folder = root / FOLDER
    missing = [f"{FOLDER}/{name}.md" for name in REQUIRED if not (folder / f"{name}.md").is_file()]
    words = _words(root)
    return [f"{name} is missing" for name in missing] + [
        f"{FOLDER}/{path.name}: {fault}"
        for path in sorted(folder.glob("*.md"))
        for fault in _of_one(path, root, words)
    ]


def _of_one(path: Path, root: Path, words: set[str]) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    if len(text.split()) < 50:
        yield "it says next to nothing"
    for link in _LINK.findall(text):
        if not (path.parent / link).exists():
            yield f"link {link!r} leads nowhere"
    blocks = _FENCE.findall(text)
    spans = _SPAN.findall(_FENCE.sub("", text))
    for code in (*blocks, *spans):
        for named in _PATH.findall(code):
            if not (root / named.rstrip(".")).exists():
                yield f"{named!r} does not exist"
        for module in _MODULE.findall(code):
            if not _exists(module):
                yield f"module {module!r} does not exist"
    for line in "\n".join((*blocks, *spans)).replace("\\\n", " ").splitlines():
        yield from _of_command(line, root)
    for span in spans:
        if _NAME.fullmatch(span) and not set(_WORD.findall(span)) <= words:
            yield f"{span!r} stands nowhere in the source"


def _of_command(line: str, root: Path) -> Iterator[str]:
    """A job's command line has to be one that the job takes."""
    if not line.strip().startswith("python jobs/"):
        return
    try:
        parts = shlex.split(line, comments=True)
    except ValueError as cause:
        yield f"{line.strip()!r} is no command line: {cause}"
        return
    if len(parts) < 3:
        return
    job, config, *rest = parts[1:]
    overrides = [
        each.removeprefix("--") + ("" if "=" in each else "=true")
        for each in rest
        if not each.startswith("[")
    ]
    if not (root / job).is_file():
        return  # told as a path already
    try:
        configuration(root / job).from_file(root / config, overrides)
    except LucencyError as cause:
        yield f"{line.strip()!r} is refused: {cause}"


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # so is the package that it would be in
        return False


def configuration(job: Path) -> type[Node]:
    """The model of a job's configuration: what it imports from ``lucency.config``."""
    for node in ast.walk(ast.parse(job.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("lucency.config."):
            module = importlib.import_module(str(node.module))
            found: type[Node] = getattr(module, node.names[0].name)
            return found
    raise AssertionError(f"{job} takes no configuration")


def _words(root: Path) -> set[str]:
    return {
        word
        for folder in _SOURCES
        for path in (root / folder).rglob("*")
        if path.suffix in (".py", ".yaml")
        for word in _WORD.findall(path.read_text(encoding="utf-8"))
    }
