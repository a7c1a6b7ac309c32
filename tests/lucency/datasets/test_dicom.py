"""DICOM films as a source: labels, what is set aside, and that nobody is named on the way."""

import io
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageDraw

from lucency import images
from lucency.config.prepare import PrepareConfig
from lucency.datasets import prepare
from lucency.datasets.base import datasets
from lucency.datasets.dicom import Dicom
from lucency.datasets.phantom import Phantom
from lucency.datasets.splits import SplitPlan
from lucency.dicom import decoder
from lucency.dicom.deidentify import residual
from lucency.dicom.salt import VARIABLE
from lucency.errors import DataError, ImageError
from tests.hostile_dicom import encode, film

CONFIG = Path(__file__).parents[3] / "configs" / "prepare" / "dicom.yaml"
SECRETS = ("Zebrano", "Quillfern", "HN4711", "Lakeside", "Hilltop", "7.7.7")


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "k" * 32)


def store(path: Path, number: int, **elements: Any) -> Path:
    """One film with a patient's name in its header and in its path."""
    stored = np.random.default_rng(number).integers(0, 4095, (24, 20)).astype(np.uint16)
    whole = {
        "PatientID": f"HN4711-{number // 2}",
        "PatientName": "Zebrano^Quillfern",
        "InstitutionName": "Lakeside Clinic",
        "SOPInstanceUID": f"7.7.7.{number}",
        **elements,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(film(stored, **whole)))
    return path


def lay_out(root: Path, count: int = 8) -> Path:
    """Two class folders, two films a patient."""
    for number in range(count):
        folder = "NORMAL" if number < count // 2 else "PNEUMONIA"
        store(root / folder / f"Zebrano_Quillfern_{number}.dcm", number)
    return root


def reason(source: Dicom) -> str:
    """Why the one film of a source is set aside; '' where it is used."""
    sample = next(iter(source))
    try:
        sample.read()
    except ImageError as refusal:
        return refusal.reason
    return ""


def one(tmp_path: Path, *, options: dict[str, Any] | None = None, **elements: Any) -> Dicom:
    """A source whose first film has the given elements."""
    store(tmp_path / "films" / "A" / "0.dcm", 0, **elements)
    store(tmp_path / "films" / "B" / "1.dcm", 1)
    return Dicom(roots=(tmp_path / "films",), **(options or {}))


def test_folders_say_the_class_and_the_header_the_patient(tmp_path: Path) -> None:
    """Labels are the folders', patients are the header's, two films of one stay together."""
    source = Dicom(roots=(lay_out(tmp_path),))

    samples = list(source)

    assert source.classes == ("NORMAL", "PNEUMONIA")
    assert len(source) == len(samples) == 8
    assert [sample.label for sample in samples] == [0] * 4 + [1] * 4
    assert sorted(Counter(sample.patient for sample in samples).values()) == [2, 2, 2, 2]


def test_sample_is_the_rendered_film(tmp_path: Path) -> None:
    """PNG of what a service renders from the same file, the same at every reading."""
    root = lay_out(tmp_path)
    sample = next(iter(Dicom(roots=(root,))))

    first, second = sample.read(), sample.read()

    rendered = decoder.render((root / "NORMAL" / "Zebrano_Quillfern_0.dcm").read_bytes())
    assert first == second
    np.testing.assert_array_equal(images.decode(first)[:, :, 0], rendered)


def test_nothing_names_anyone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Table, report, copies, their names and all output hold no name, number, place or UID."""
    root = lay_out(tmp_path / "films", 16)
    (root / "NORMAL" / "Zebrano_Quillfern_note.txt").write_text("Zebrano, Quillfern")
    store(root / "NORMAL" / "Zebrano_Quillfern_side.dcm", 90, ViewPosition="LL")
    cut = store(root / "NORMAL" / "Zebrano_Quillfern_cut.dcm", 91)
    cut.write_bytes(cut.read_bytes()[:-50])
    source = Dicom(roots=(root,), deidentified=tmp_path / "copies")

    done = prepare.prepare(
        source, SplitPlan(validation=0.25, test=0.25), tmp_path / "out", name="dicom"
    )

    written = [path for folder in ("out", "copies") for path in (tmp_path / folder).rglob("*.*")]
    out, err = capfd.readouterr()
    text = out + err + "".join(path.name for path in written)
    assert done.report["set_aside_by_reason"] == {
        "truncated": 1,
        "unsupported_type": 1,
        "wrong_view": 1,
    }
    assert len(list((tmp_path / "copies").glob("*.dcm"))) == 16
    for data in [*[path.read_bytes() for path in written], text.encode()]:
        assert residual(data, SECRETS) == []


def test_copies_are_the_films_of_the_table(tmp_path: Path) -> None:
    """A copy bears its sample's name and patient, and renders as the stored picture."""
    source = Dicom(roots=(lay_out(tmp_path / "films"),), deidentified=tmp_path / "copies")

    for sample in source:
        stored = images.decode(sample.read())[:, :, 0]
        data = (tmp_path / "copies" / f"{sample.name}.dcm").read_bytes()

        np.testing.assert_array_equal(decoder.render(data), stored)
        assert pydicom.dcmread(io.BytesIO(data)).PatientID == sample.patient


def test_names_depend_on_the_key_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same names in every run of a key; none in common under another."""
    root = lay_out(tmp_path)
    first = {word for s in Dicom(roots=(root,)) for word in (s.name, s.patient, s.site)}
    again = {word for s in Dicom(roots=(root,)) for word in (s.name, s.patient, s.site)}

    monkeypatch.setenv(VARIABLE, "j" * 32)
    other = {word for s in Dicom(roots=(root,)) for word in (s.name, s.patient, s.site)}

    assert first == again
    assert not first & other


@pytest.mark.parametrize(
    ("position", "options", "expected"),
    [
        ("PA", {}, ""),
        ("AP", {}, ""),
        ("AP", {"views": ("PA",)}, "wrong_view"),
        ("LL", {}, "wrong_view"),
        ("LATERAL", {}, "wrong_view"),
        ("RL", {"views": ("LL",)}, ""),
        ("", {}, "unknown_view"),
        ("", {"view_missing": "keep"}, ""),
    ],
)
def test_views(position: str, options: dict[str, Any], expected: str, tmp_path: Path) -> None:
    """Frontal films are used, lateral ones set aside, and silence is an option."""
    assert reason(one(tmp_path, options=options, ViewPosition=position)) == expected


@pytest.mark.parametrize(
    ("modality", "options", "expected"),
    [
        ("DX", {}, ""),
        ("CT", {}, "wrong_modality"),
        ("", {}, "wrong_modality"),
        ("CR", {"modalities": ("DX",)}, "wrong_modality"),
    ],
)
def test_modalities(modality: str, options: dict[str, Any], expected: str, tmp_path: Path) -> None:
    """Projection radiographs are used, whatever else lies about is set aside."""
    assert reason(one(tmp_path, options=options, Modality=modality)) == expected


def test_site_is_given_or_the_institution(tmp_path: Path) -> None:
    """A fixed name is taken as it is; an institution is salted, and told from another."""
    source = one(tmp_path, InstitutionName="Hilltop")
    fixed = Dicom(roots=(tmp_path / "films",), site="north")

    sites = [sample.site for sample in source]

    assert len(set(sites)) == 2
    assert all(site.startswith("institution-") for site in sites)
    assert {sample.site for sample in fixed} == {"north"}


def test_film_without_patient_is_a_patient_of_its_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two such films are two patients, and their number is said."""
    for number in range(2):
        store(tmp_path / "A" / f"{number}.dcm", number, PatientID="")
    store(tmp_path / "B" / "2.dcm", 2)

    patients = {sample.patient for sample in Dicom(roots=(tmp_path,))}

    assert len(patients) == 3
    assert "2 films name no patient" in capfd.readouterr().err


def test_strata_are_told_without_names(tmp_path: Path) -> None:
    """View and age in words, the scanner salted: its text is free, and may hold a place."""
    source = one(tmp_path, PatientAge="044Y", Manufacturer="Agfa", ManufacturerModelName="Hilltop")

    sample = next(iter(source))

    assert (sample.view, sample.age_band) == ("PA", "40-64")
    assert sample.scanner.startswith("scanner-")


def test_burned_in_text_is_flagged_and_kept(tmp_path: Path) -> None:
    """A name in the pixels is for a person to look at; the film stays."""
    picture = Image.new("L", (300, 200), 0)
    sample = next(iter(one(tmp_path)))
    assert sample.flags is not None

    plain = sample.flags(np.asarray(picture)[:, :, None])
    ImageDraw.Draw(picture).text((5, 5), "ROE^MARY 01.02.1950", font_size=20, fill=255)
    written = sample.flags(np.asarray(picture)[:, :, None])

    assert plain == ()
    assert written == ("burned_in_text",)


@pytest.mark.parametrize("by", ["path", "uid"])
def test_manifest_says_the_label(by: str, tmp_path: Path) -> None:
    """Rows name a film by its path or by its SOP instance UID; split and label are theirs."""
    for number in range(4):
        store(tmp_path / "films" / f"deep/{number}.dcm", number)
    films = [f"deep/{n}.dcm" if by == "path" else f"7.7.7.{n}" for n in range(4)]
    lines = [f"{name},{'sick' if n % 2 else 'well'},test" for n, name in enumerate(films)]
    manifest = tmp_path / "labels.csv"
    manifest.write_text("\n".join(["film,label,part", *lines]))

    source = Dicom(
        roots=(tmp_path / "films",), labels=manifest, split_column="part", classes=("well", "sick")
    )

    samples = list(source)
    assert [sample.label for sample in samples] == [0, 1, 0, 1]
    assert {sample.split for sample in samples} == {"test"}
    assert all(images.decode(sample.read()).shape == (24, 20, 1) for sample in samples)


def test_film_of_the_manifest_that_is_not_there_is_set_aside(tmp_path: Path) -> None:
    """The report counts it; its name may be a patient's, and is not told."""
    store(tmp_path / "films" / "0.dcm", 0)
    (tmp_path / "labels.csv").write_text("film,label\nZebrano_Quillfern.dcm,A\n0.dcm,B\n")
    source = Dicom(roots=(tmp_path / "films",), labels=tmp_path / "labels.csv")
    sample = next(iter(source))

    with pytest.raises(ImageError) as caught:
        sample.read()

    assert caught.value.reason == "unreadable"
    assert residual(f"{sample} {caught.value}".encode(), ["Zebrano_Quillfern"]) == []


def test_several_roots_are_one_source(tmp_path: Path) -> None:
    """Two hospitals' folders together; films of the same path stay two films."""
    for number, root in enumerate(("one", "two")):
        store(tmp_path / root / "A" / "x.dcm", 2 * number)
        store(tmp_path / root / "B" / "y.dcm", 2 * number + 1)

    samples = list(Dicom(roots=(tmp_path / "one", tmp_path / "two")))

    assert [sample.label for sample in samples] == [0, 1, 0, 1]
    assert len({sample.name for sample in samples}) == 4


def test_roots_of_other_classes_are_an_error(tmp_path: Path) -> None:
    """A class that one hospital lacks would be learnt as that hospital."""
    for folder in ("one/A", "one/B", "two/A", "two/C"):
        store(tmp_path / folder / "x.dcm", len(folder))

    with pytest.raises(DataError, match="no folder"):
        Dicom(roots=(tmp_path / "one", tmp_path / "two"))


@pytest.mark.parametrize("roots", [(), (Path("nowhere"),)])
def test_missing_root_is_an_error(roots: tuple[Path, ...]) -> None:
    """The message says what to give."""
    with pytest.raises(DataError, match="give"):
        Dicom(roots=roots)


def test_no_key_no_films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a secret there is no source: plain hashes of patient numbers can be undone."""
    monkeypatch.delenv(VARIABLE)

    with pytest.raises(DataError, match=VARIABLE):
        Dicom(roots=(lay_out(tmp_path),))


def test_huge_file_is_not_read(tmp_path: Path) -> None:
    """A file over the limit is set aside by its size on the disk."""
    root = lay_out(tmp_path)
    with (root / "NORMAL" / "0.dcm").open("wb") as stream:
        stream.truncate(2**33)

    assert reason(Dicom(roots=(root,))) == "too_large"


def test_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    """A data set can't reach the rest of the disk."""
    outside = store(tmp_path / "outside.dcm", 50)
    root = lay_out(tmp_path / "films")
    (root / "NORMAL" / "0.dcm").symlink_to(outside)

    assert reason(Dicom(roots=(root,))) == "unreadable"


def test_configuration_builds_the_source(tmp_path: Path) -> None:
    """The file in configs/ is one runnable thing, its root given on the command line."""
    root = lay_out(tmp_path)
    config = PrepareConfig.from_file(CONFIG, [f"dataset.roots=[{root}]"])

    assert len(datasets.build(config.dataset)) == 8


@pytest.mark.slow
def test_drawn_films_survive_the_way_through_dicom(tmp_path: Path) -> None:
    """Phantom films stored as DICOM come out of preparation pixel for pixel."""
    drawn = {}
    for number, sample in enumerate(Phantom(patients=6, size=64, max_films=1)):
        pixels = images.decode(sample.read())[:, :, 0]
        data = encode(film(pixels.copy(), PatientID=f"{number}", SOPInstanceUID=f"1.{number}"))
        path = tmp_path / "films" / "AB"[number % 2] / f"{number}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        drawn[pixels.tobytes()] = number

    source = Dicom(roots=(tmp_path / "films",))
    done = prepare.prepare(source, SplitPlan(validation=0.2, test=0.2), tmp_path / "out", name="d")

    stored = done.table.images(range(len(drawn)))
    assert {images.decode(data)[:, :, 0].tobytes() for data in stored} == set(drawn)
    assert os.listdir(tmp_path / "out")
