"""Where a film comes from, as its request says: what drift is told apart by."""

import re
from dataclasses import dataclass

from starlette.types import Scope

from lucency.config.serve import SITE, VIEW

from .problems import BadRequest

SITE_HEADER = "Lucency-Site"
VIEW_HEADER = "Lucency-View"
_SITE = re.compile(SITE)
_VIEW = re.compile(VIEW)


@dataclass(frozen=True)
class Origin:
    """
    The site that a film was taken at, and its view; empty where nobody says.

    Headers, not fields of a form or the address: they go with a raw film, a form and a tensor
    alike, are read before the body, and stand in no proxy's log.
    """

    site: str = ""
    view: str = ""

    @classmethod
    def of(cls, scope: Scope) -> "Origin":
        """
        As the request's headers say.

        Raises:
            BadRequest: one of them is no name. An unknown name is a name.
        """
        site = view = b""
        for name, value in scope["headers"]:
            if name == b"lucency-site":
                site = value
            elif name == b"lucency-view":
                view = value
        if not (site or view):
            return NOWHERE
        # In DICOM's words, whose letters are capitals.
        return cls(_checked(SITE_HEADER, site, _SITE), _checked(VIEW_HEADER, view.upper(), _VIEW))


NOWHERE = Origin()


def _checked(header: str, value: bytes, expected: re.Pattern[str]) -> str:
    text = value.decode("latin-1")
    # What it holds is not repeated: it may be the name of a patient in the wrong place.
    if text and not expected.fullmatch(text):
        raise BadRequest(
            f"{header} has {len(text)} characters that make no name; expected one that matches "
            f"{expected.pattern}, such as one of the service's list"
        )
    return text
