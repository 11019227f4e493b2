"""Each template has tests: a file of tests says in its first words which templates it is about."""

import pathlib

import chart


def test_each_template_has_tests():
    about = " ".join(
        path.read_text().split('"""')[1] for path in pathlib.Path(__file__).parent.glob("test_*.py")
    )
    templates = chart.CHART / "templates"
    for path in sorted(templates.rglob("*")):
        # Those that begin with an underscore are parts of the others.
        if path.is_file() and not path.name.startswith("_"):
            assert str(path.relative_to(templates)) in about, path.name
