"""Templates are rendered with everything escaped and nothing missing."""

import pytest
from jinja2 import UndefinedError

from lucency import pages


def test_text_is_escaped() -> None:
    """A name out of a data set can't become markup of the page."""
    template = pages.environment("lucency.evaluation").from_string("<p>{{ name }}</p>")

    assert template.render(name="<script>") == "<p>&lt;script&gt;</p>"


def test_templates_of_a_package_are_escaped_too() -> None:
    """Files that end in .j2 are, whatever jinja2 makes of that ending."""
    template = pages.environment("lucency.evaluation").get_template("comparison.html.j2")

    assert template.environment.autoescape is True


def test_missing_value_is_an_error() -> None:
    """A page with a hole in place of a figure is never written."""
    with pytest.raises(UndefinedError, match="figure"):
        pages.environment("lucency.evaluation").from_string("{{ figure }}").render()


def test_filters_are_called_by_their_names() -> None:
    """What a page adds is there for its templates alone."""
    doubled = pages.environment("lucency.evaluation", twice=lambda value: 2 * value)

    assert doubled.from_string("{{ 3 | twice }}").render() == "6"
    assert "twice" not in pages.environment("lucency.evaluation").filters
