"""What each path needs: the one table of roles."""

import re
from typing import Literal

from starlette.types import Scope

from lucency.config.serve import Role

Need = Role | Literal["nobody"]
# What a path needs, the first that fits; a path that is not here needs any known caller.
ROLES: tuple[tuple[str, Need], ...] = (
    (r"/healthz|/readyz|/v2/health/(?:live|ready)", "nobody"),
    (r"/v1/(?:predict|explain|predict:batch)", "predict"),
    (r"/v2/models/[^/]+(?:/versions/[^/]+)?/infer", "predict"),
    (r"/v1/labels(?:/.*)?", "label"),
    (r"/metrics|/v1/(?:rollout|admin)(?:/.*)?", "operate"),
)
# `\n?`: the router's own patterns end in `$`, which lets a line feed follow.
_ROLES = tuple((re.compile(rf"(?:{pattern})\n?", re.DOTALL), need) for pattern, need in ROLES)


def need_of(path: str) -> Need | None:
    """What a path needs: a role, "nobody" for an open one, None for any caller who is known."""
    return next((need for pattern, need in _ROLES if pattern.fullmatch(path)), None)


def path_of(scope: Scope) -> str:
    """The path as the router sees it: without the prefix of the application."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    # As the router does it: a mere beginning, /v1 of /v1x, is no prefix.
    return path[len(root) :] if root and path.startswith(f"{root}/") else path
