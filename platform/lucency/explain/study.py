"""Films through every method and every test of it: maps, curves, and what randomising leaves."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lucency import progress, seed
from lucency.explain import curves, methods, randomise
from lucency.explain.curves import Curves
from lucency.explain.methods import Grain, Maps, Method
from lucency.explain.network import Network
from lucency.explain.targets import Mask

# Orders by chance that the methods stand beside, by what they tell apart.
CHANCE: Mapping[Grain, str] = {"patches": "chance_patches", "pixels": "chance_pixels"}
# Likeness is between -1 and 1 of whole networks: a second draw of weights halves its chance.
DRAWS = 2


@dataclass(frozen=True)
class Films:
    """
    The films of a study.

    Attributes:
        images_nchw: As the network gets them.
        labels_n: What they are recorded as.
        targets: By name, by place among the films: where a map should be hot, h x w.
    """

    images_nchw: Tensor
    labels_n: np.ndarray
    patients_n: np.ndarray
    targets: Mapping[str, Mapping[int, Mask]]

    def __len__(self) -> int:
        return len(self.labels_n)


@dataclass(frozen=True)
class Study:
    """
    What was found of each film.

    Attributes:
        classes_n: The class that is explained: the positive one of two, else the called one.
        probabilities_n: Of that class.
        maps: By method, n x h x w.
        answered: Places of the films that have curves.
        backgrounds: Mean probability of the class in what films are replaced by, by name; the
            curves have the one with the least. Empty without films that have curves.
        curves: By method and by kind of chance, of these films.
        randomised: By method, films x steps of the cascade; means over the draws.
        unrelated: By method, likeness of its maps to chance maps of its grain, one a film.
        steps: The layer that each step of the cascade reaches down to.
    """

    methods: Mapping[str, Method]
    classes_n: np.ndarray
    probabilities_n: np.ndarray
    maps: Mapping[str, Maps]
    answered: np.ndarray
    backgrounds: Mapping[str, float]
    curves: Mapping[str, Curves]
    randomised: Mapping[str, np.ndarray]
    unrelated: Mapping[str, np.ndarray]
    steps: tuple[str, ...]


def study(
    network: Network, films: Films, *, batch_size: int, randomised_films: int, seed_number: int
) -> Study:
    """
    Explain every film by every method, and test the explanations.

    Args:
        randomised_films: So many films, the first ones, go through the cascade.
    """
    classes_n, given_n = _called(network, films, batch_size)
    answered = np.flatnonzero((given_n >= 0.5) | (network.outputs > 1))
    maps = explained(network, films.images_nchw, classes_n, batch_size, label="maps")
    chance = _by_chance(network, films, seed_number)
    empty = _backgrounds(network, films, classes_n, answered, batch_size)
    measured = _curves(
        network,
        films,
        classes_n,
        answered,
        {**maps, **chance},
        min(empty, key=lambda name: empty[name], default=""),
        batch_size,
        seed_number,
    )
    some = slice(0, randomised_films)
    first = {name: each[some] for name, each in maps.items()}
    left = _randomised(
        network, films.images_nchw[some], classes_n[some], first, batch_size, seed_number
    )
    found = methods.of(network)
    unrelated = {
        name: randomise.alike(first[name], chance[CHANCE[method.grain]][some])
        for name, method in found.items()
    }
    steps = tuple(randomise.names(network.model))
    return Study(
        found,
        classes_n,
        given_n,
        maps,
        answered,
        empty,
        measured,
        left,
        unrelated,
        steps,
    )


def explained(
    network: Network, images_nchw: Tensor, classes_n: np.ndarray, batch_size: int, *, label: str
) -> dict[str, Maps]:
    """Maps n x h x w of every method that the network has."""
    found = methods.of(network)
    result = {}
    with progress.meter(label, len(found) * len(images_nchw), "maps") as bar:
        for name, method in found.items():
            parts = []
            for part in _batches(len(images_nchw), batch_size):
                classes = torch.from_numpy(classes_n[part])
                parts.append(methods.maps(network, method, images_nchw[part], classes))
                bar.update(len(classes))
            result[name] = np.concatenate(parts)
    return result


def _called(network: Network, films: Films, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """The class to explain of each film, and its probability."""
    given_nk = np.concatenate(
        [
            network.probabilities(films.images_nchw[part]).numpy()
            for part in _batches(len(films), batch_size)
        ]
    )
    classes_n = given_nk.argmax(axis=1)
    if network.outputs == 1:
        classes_n = np.ones_like(classes_n)
    return classes_n, given_nk[np.arange(len(films)), classes_n]


def _by_chance(network: Network, films: Films, seed_number: int) -> dict[str, Maps]:
    height, width = films.images_nchw.shape[2:]
    shape = len(films), height, width
    return {
        name: curves.by_chance(
            grain, shape, network.map_size, seed.generator(seed_number, "chance", grain)
        )
        for grain, name in CHANCE.items()
    }


def _backgrounds(
    network: Network, films: Films, classes_n: np.ndarray, answered: np.ndarray, batch_size: int
) -> dict[str, float]:
    given: dict[str, list[np.ndarray]] = {}
    for part in _batches(len(answered), batch_size):
        images = films.images_nchw[torch.from_numpy(answered[part])]
        answer = _answer(network, classes_n[answered[part]])
        for name, background in curves.backgrounds(images, network.black_c).items():
            given.setdefault(name, []).append(answer(background).numpy())
    return {name: float(np.concatenate(each).mean()) for name, each in given.items()}


def _curves(
    network: Network,
    films: Films,
    classes_n: np.ndarray,
    answered: np.ndarray,
    maps: Mapping[str, Maps],
    background: str,
    batch_size: int,
    seed_number: int,
) -> dict[str, Curves]:
    found = {name: [Curves.none()] for name in maps}
    with progress.meter("deletion and insertion", len(maps) * len(answered), "films") as bar:
        for part in _batches(len(answered), batch_size):
            places = answered[part]
            images = films.images_nchw[torch.from_numpy(places)]
            instead = curves.backgrounds(images, network.black_c)[background]
            answer = _answer(network, classes_n[places])
            for name, each in maps.items():
                found[name].append(
                    curves.curves(answer, images, instead, each[places], seed_number=seed_number)
                )
                bar.update(len(places))
    return {name: Curves.joined(parts) for name, parts in found.items()}


def _answer(network: Network, classes_n: np.ndarray) -> Callable[[Tensor], Tensor]:
    """Images to the probabilities of their classes."""
    chosen_n1 = torch.from_numpy(classes_n)[:, None]
    return lambda images_nchw: network.probabilities(images_nchw).gather(1, chosen_n1)[:, 0]


def _randomised(
    network: Network,
    images_nchw: Tensor,
    classes_n: np.ndarray,
    before: Mapping[str, Maps],
    batch_size: int,
    seed_number: int,
) -> dict[str, np.ndarray]:
    """Likeness to the maps before, by method, films x steps, mean over the draws."""
    found: dict[str, list[list[np.ndarray]]] = {name: [] for name in before}
    for draw in range(DRAWS):
        for each in found.values():
            each.append([])
        number = seed.derive(seed_number, "cascade", draw)
        for step, ruined in enumerate(randomise.cascade(network, seed_number=number), start=1):
            label = f"weights drawn anew, draw {draw + 1}, step {step}"
            after = explained(ruined, images_nchw, classes_n, batch_size, label=label)
            for name, maps in after.items():
                found[name][-1].append(randomise.alike(before[name], maps))
    return {name: np.array(draws).mean(axis=0).T for name, draws in found.items()}


def _batches(n: int, batch_size: int) -> Iterator[slice]:
    return (slice(start, start + batch_size) for start in range(0, n, batch_size))
