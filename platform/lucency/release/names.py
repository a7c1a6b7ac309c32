"""Whether a patient's name stands in what goes out."""

import json
import re
from collections.abc import Iterable, Mapping

# An underscore parts words: a film of person12 may be called person12_bacteria_4.jpeg.
_WORD = re.compile(r"[^\W_]+")
_ALONE = r"(?<![^\W_]){}(?![^\W_])"
# A name that is a number is no digits of a longer one: neither of 0.12345 nor of 12345.6.
_NUMBER_ALONE = r"(?<![^\W_])(?<!\d\.){}(?![^\W_])(?!\.\d)"
# Shorter names of patients are also words and numbers that mean nothing.
_TELLING = 5


def telling(patients: Iterable[str]) -> set[str]:
    """The names that are long enough to be told from other words."""
    return {name for name in patients if len(name) >= _TELLING}


def holders(parts: Mapping[str, bytes], names: Iterable[str]) -> list[str]:
    """The parts that hold one of the names, as it is or as JSON escapes it."""
    forms = {form for name in names for form in (name, json.dumps(name)[1:-1])}
    words = {form: set(_WORD.findall(form)) for form in forms}
    return sorted(
        part for part, data in parts.items() if _holds(data.decode(errors="replace"), words)
    )


def _holds(text: str, words: Mapping[str, set[str]]) -> bool:
    # Few names have all of their words in a text; only those are looked for in it.
    there = set(_WORD.findall(text))
    return any(own <= there and _stands(name, text) for name, own in words.items())


def _stands(name: str, text: str) -> bool:
    pattern = _NUMBER_ALONE if name.isdecimal() else _ALONE
    return re.search(pattern.format(re.escape(name)), text) is not None
