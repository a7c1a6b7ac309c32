"""Bundle -> champion or challenger, through the gate; and the ways back."""

from pathlib import Path
from typing import Any

from lucency import progress
from lucency.bundle.artifact import Artifact
from lucency.config.promote import PromoteConfig
from lucency.store import gate
from lucency.store.store import CHALLENGER, CHAMPION, Store


def promote(config: PromoteConfig) -> dict[str, Any]:
    """
    Judge a bundle and give it an alias, roll back, or take a challenger away.

    Raises:
        GateRefused: the bundle does not meet the rule; the store is as it was.
        StoreError: someone else moved an alias while the bundle was being judged.
    """
    store = Store(config.store)
    reasons: list[str] = []
    if config.rollback:
        store.rollback(config.reason or "rollback asked for")
    elif config.withdraw:
        store.withdraw(config.reason or "withdrawal asked for")
    else:
        reasons = _judged(config, store)
    aliases = store.aliases()
    for line in [*reasons, *(f"{alias}: {version}" for alias, version in aliases.items())]:
        progress.say(f"    {line}")
    return {"champion": aliases.get(CHAMPION), "aliases": aliases, "reasons": reasons}


def _judged(config: PromoteConfig, store: Store) -> list[str]:
    # Seen before it is judged: who looked at one champion must not replace another.
    seen = store.state()
    bundle = Artifact.load(_bundle(config, store))
    reasons = gate.check(bundle, config.rule, config.most_drop)
    store.promote(
        bundle,
        config.reason or "; ".join(reasons),
        challenger=config.as_challenger,
        expected=seen,
    )
    return list(reasons)


def _bundle(config: PromoteConfig, store: Store) -> Path:
    return config.bundle if config.bundle is not None else store.path(CHALLENGER)
