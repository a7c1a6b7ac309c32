"""The preview shows training films as training would vary them."""

from lucency import images
from lucency.augment import Augmentation
from lucency.datasets.table import Table
from lucency.pipeline import preview
from lucency.preprocess import Preprocess

STILL = Augmentation(rotate_degrees=0, zoom=0, shift=0, brightness=0, contrast=0)


def test_same_seed_draws_the_same_sheet(table: Table) -> None:
    """A sheet can be made again, and another seed shows other films."""
    sheets = [preview.draw(table, Preprocess(size=32), Augmentation(), seed) for seed in (0, 0, 1)]

    assert sheets[0] == sheets[1] != sheets[2]


def test_no_variation_shows_the_film_itself(table: Table) -> None:
    """With all limits at zero every draw is the film that stands before them."""
    sheet = images.decode(preview.draw(table, Preprocess(size=32), STILL, 0))

    film = sheet[24:56, :32].astype(int)
    for column in range(1, 8):
        draw = sheet[24:56, 36 * column : 36 * column + 32]
        assert abs(film - draw).max() <= 2
