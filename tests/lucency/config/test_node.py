"""A wrong configuration is refused before anything starts, in words a person can act on."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError

from lucency.config.node import Node
from lucency.errors import ConfigError
from lucency.registry import Family, Options

shapes: Family[float] = Family("shape", __name__)


@shapes.register("circle")
def circle(*, radius: Annotated[float, Field(gt=0)] = 1.0) -> float:
    """A member whose options all have defaults."""
    return radius


@shapes.register("square")
def square(*, side: float, corners: Literal["sharp", "round"] = "sharp") -> float:
    """A member that must be told something."""
    return side


class Step(Node):
    """A part that stands in a list."""

    length: Annotated[int, Field(ge=1)]
    note: str = ""


class Drawing(Node):
    """A configuration of every kind of part."""

    title: str = "untitled"
    shape: Annotated[Options, shapes.field()] = shapes.options("circle")(name="circle")
    steps: tuple[Step, ...] = ()
    frame: Step | None = None
    scale: float = 1
    stamp: Annotated[Options, shapes.field()] | None = None
    marks: dict[str, Step] = Field(default_factory=dict)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A good configuration on disk."""
    path = tmp_path / "drawing.yaml"
    path.write_text("title: house\nshape: circle\nsteps: [{length: 1}, {length: 2}]\n")
    return path


def complaint(path: Path, *overrides: str) -> str:
    """What a person is told, without the name of the file."""
    with pytest.raises(ConfigError) as caught:
        Drawing.from_file(path, overrides)
    return str(caught.value).replace(f"{path}: ", "")


def test_file_becomes_values(file: Path) -> None:
    """A good file is read as it stands."""
    drawing = Drawing.from_file(file)

    assert drawing.title == "house"
    assert drawing.shape.keywords() == {"radius": 1.0}
    assert [step.length for step in drawing.steps] == [1, 2]


def test_values_are_frozen(file: Path) -> None:
    """A configuration can't change after it was checked."""
    drawing = Drawing.from_file(file)

    with pytest.raises(ValidationError, match="frozen"):
        drawing.title = "tree"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (
            "titel=tree",
            "titel: unknown key, expected one of ['title', 'shape', 'steps', 'frame', 'scale', "
            "'stamp', 'marks']; did you mean 'title'?",
        ),
        (
            "shape.raduis=2",
            "shape.raduis: unknown key, expected one of ['name', 'radius']; did you mean 'radius'?",
        ),
        (
            "steps.1.lenght=2",
            "steps.1.lenght: unknown key, expected one of ['length', 'note']; "
            "did you mean 'length'?",
        ),
        (
            "frame={length: 1, notes: x}",
            "frame.notes: unknown key, expected one of ['length', 'note']; did you mean 'note'?",
        ),
        (
            "zzz=1",
            "zzz: unknown key, expected one of ['title', 'shape', 'steps', 'frame', 'scale', "
            "'stamp', 'marks']",
        ),
        (
            "shape=circel",
            "shape.name: found 'circel', expected one of ['circle', 'square']; "
            "did you mean 'circle'?",
        ),
        (
            "stamp={name: circle, raduis: 2}",
            "stamp.raduis: unknown key, expected one of ['name', 'radius']; did you mean 'radius'?",
        ),
        (
            "marks={door: {lenght: 2, length: 1}}",
            "marks.door.lenght: unknown key, expected one of ['length', 'note']; "
            "did you mean 'length'?",
        ),
        ("shape={radius: 1}", "shape: found {'radius': 1}, expected a 'name' among its keys"),
        ("shape=square", "shape.side: missing, a value is required"),
        (
            "shape={name: square, side: 1, corners: ruond}",
            "shape.corners: found 'ruond', expected 'sharp' or 'round'; did you mean 'round'?",
        ),
        ("shape.radius=0", "shape.radius: found 0, expected: input should be greater than 0"),
        (
            "steps.0.length=0",
            "steps.0.length: found 0, expected: input should be greater than or equal to 1",
        ),
        ("steps=[{}]", "steps.0.length: missing, a value is required"),
        ("title=[1]", "title: found [1], expected: input should be a valid string"),
    ],
)
def test_mistake_is_named_with_its_path(file: Path, override: str, expected: str) -> None:
    """One line says the path as it was written, what was found and what was expected."""
    assert complaint(file, override) == expected


def test_every_mistake_is_said_at_once(file: Path) -> None:
    """Two mistakes give two lines, each with the file's name."""
    with pytest.raises(ConfigError) as caught:
        Drawing.from_file(file, ["titel=x", "scale=big"])

    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"{file}: ") for line in lines)


def test_own_rule_is_said_in_its_own_words() -> None:
    """A check that spans several values is quoted without pydantic's prefix."""

    class Half(Node):
        share: float

        def model_post_init(self, context: Any) -> None:
            if self.share > 0.5:
                raise ValueError(f"share {self.share} is more than half")

    with pytest.raises(ConfigError) as caught:
        Half.from_mapping({"share": 0.7}, "here")

    assert str(caught.value) == "here: share 0.7 is more than half"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("title: a\ntitle: b\n", "key 'title' stands twice, line 1"),
        ("frame:\n  length: 1\n  length: 2\n", "key 'length' stands twice, line 2"),
        ("steps: [1\n", "not valid YAML: while parsing a flow sequence"),
        ("title: !!python/object:os.system x\n", "not valid YAML: could not determine"),
        ("- title\n", "found a list, expected keys and values"),
        ("house\n", "found a str, expected keys and values"),
    ],
)
def test_file_that_is_no_configuration_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    """A key given twice, broken YAML, code and bare values each get one line."""
    path = tmp_path / "drawing.yaml"
    path.write_text(text)

    said = complaint(path)

    assert said.startswith(expected)
    assert "\n" not in said


def test_file_of_another_encoding_is_refused(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are a mistake of the file and not a crash."""
    path = tmp_path / "drawing.yaml"
    path.write_bytes("title: café\n".encode("latin-1"))

    assert complaint(path).startswith("not valid YAML: 'utf-8' codec can't decode")


def test_empty_file_means_defaults(tmp_path: Path) -> None:
    """A file of comments alone changes nothing."""
    path = tmp_path / "drawing.yaml"
    path.write_text("# nothing yet\n")

    assert Drawing.from_file(path) == Drawing()


def test_missing_file_names_its_nearest_neighbour(file: Path) -> None:
    """A misspelt file name is answered with the one that is meant."""
    said = complaint(file.with_name("drawings.yaml"))

    assert said.endswith("drawings.yaml' does not exist; did you mean 'drawing.yaml'?")


def test_missing_file_without_neighbour_lists_the_folder(file: Path) -> None:
    """Where no name is near, the folder's configurations are listed."""
    said = complaint(file.with_name("z.yaml"))

    assert said.endswith("holds ['drawing.yaml']")


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("title='3'", "title", "3"),
        ("title=a=b", "title", "a=b"),
        ("scale=1e-3", "scale", 0.001),
        ("shape.radius=3", "shape", {"name": "circle", "radius": 3.0}),
        ("shape.name=circle", "shape", {"name": "circle", "radius": 1.0}),
        ("steps.1.length=7", "steps", [{"length": 1, "note": ""}, {"length": 7, "note": ""}]),
        ("steps.0={length: 9}", "steps", [{"length": 9, "note": ""}, {"length": 2, "note": ""}]),
        ("steps=[]", "steps", []),
        ("frame.length=4", "frame", {"length": 4, "note": ""}),
    ],
)
def test_override_reaches_its_place(file: Path, override: str, key: str, value: Any) -> None:
    """A path leads into lists, into parts not yet given and behind bare component names."""
    assert Drawing.from_file(file, [override]).plain()[key] == value


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("title", "override 'title': expected the form key.subkey=value"),
        ("=3", "override '=3': expected the form key.subkey=value"),
        ("steps=[1", "override 'steps=[1': '[1' is not valid YAML"),
        ("steps.2.length=1", "override 'steps.2.length=1': '2' is not a position in a list of 2"),
        ("steps.-1.length=1", "override 'steps.-1.length=1': '-1' is not a position"),
        ("steps.².length=1", "override 'steps.².length=1': '²' is not a position"),
        ("steps.first=1", "override 'steps.first=1': 'first' is not a position"),
        ("steps.0.length.x=1", "override 'steps.0.length.x=1': 'length' is 1, it has no keys"),
    ],
)
def test_bad_override_is_quoted(file: Path, override: str, expected: str) -> None:
    """An override that leads nowhere is quoted with the part that is wrong."""
    assert complaint(file, override).startswith(expected)


def test_resolved_values_read_back(file: Path, tmp_path: Path) -> None:
    """What ``to_yaml`` writes is the same configuration, defaults included, with its digest."""
    drawing = Drawing.from_file(file)
    copy = tmp_path / "copy.yaml"
    copy.write_text(drawing.to_yaml())

    again = Drawing.from_file(copy)

    assert again == drawing
    assert again.digest == drawing.digest


def test_digest_is_of_values_not_of_spelling() -> None:
    """Order, bare names and written defaults don't change a digest; a value does."""
    one = Drawing.from_mapping({"title": "a", "shape": "circle", "scale": 1}, "one")
    other = Drawing.from_mapping({"shape": {"name": "circle", "radius": 1}, "title": "a"}, "other")

    assert one.digest == other.digest
    assert one.digest != Drawing.from_mapping({"title": "b"}, "third").digest
