"""Bundle -> champion, through the gate; and the way back."""

from typing import Any

from lucency.bundle.artifact import Artifact
from lucency.config.promote import PromoteConfig
from lucency.store import gate
from lucency.store.store import Store


def promote(config: PromoteConfig) -> dict[str, Any]:
    """
    Judge a bundle and make it the champion, or roll back.

    Raises:
        GateRefused: the bundle does not meet the rule; the store is as it was.
    """
    store = Store(config.store)
    if config.rollback:
        version = store.rollback(config.reason or "rollback asked for")
        return {"champion": version, "aliases": store.aliases()}
    assert config.bundle is not None
    bundle = Artifact.load(config.bundle)
    reasons = gate.check(bundle, config.rule, config.most_drop)
    version = store.promote(bundle, config.reason or "; ".join(reasons))
    return {"champion": version, "aliases": store.aliases(), "reasons": list(reasons)}
