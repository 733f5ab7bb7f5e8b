"""What is read from a package, what is passed over, and in which order."""

from __future__ import annotations

from pathlib import Path

from core.data.harvest import read_files, read_text
from core.data.sources import PACKAGES, Source, embedded_sources, source_files

PROSE = "The value of this is the one that you gave to it."
OTHER = "A list of all the names that are known to the reader."


def tree(root: Path, files: dict[str, str]) -> Source:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Source(name="fake", version="1", root=root)


def test_docstrings_are_headed_by_their_public_names() -> None:
    text = f'class Reader:\n    """{PROSE}"""\n\n    def _hidden(self):\n        """{OTHER}"""\n'
    blocks = read_text(text, label="fake.py")
    assert [(block.heading, block.paragraphs) for block in blocks] == [
        ("Reader", (PROSE,)),
        (None, (OTHER,)),
    ]


def test_long_comments_are_read_in_line_order() -> None:
    lines = ["# The value of this is the one", "# that you gave", "# to it."]
    text = "\n".join(lines) + f'\n\n\ndef names():\n    """{OTHER}"""\n'
    assert [block.paragraphs for block in read_text(text, label="a.py")] == [(PROSE,), (OTHER,)]
    assert read_text("\n".join(lines[:2]), label="a.py") == []


def test_texts_that_are_attached_by_calls_are_read() -> None:
    text = f'add_docstr(torch.total, r"""\ntotal(input) -> Tensor\n\n{PROSE}\n""".format(**x))\n'
    (block,) = read_text(text, label="_docs.py")
    assert (block.heading, block.paragraphs) == ("torch.total", (PROSE,))


def test_readme_text_starts_below_the_package_metadata() -> None:
    text = f"Name: fake\nSummary: {OTHER}\n\n{PROSE}\n"
    (block,) = read_text(text, label="METADATA")
    assert block.paragraphs == (PROSE,)


def test_broken_source_files_are_passed_over(tmp_path: Path) -> None:
    source = tree(tmp_path, {"bad.py": "def (", "good.py": f'"""{PROSE}"""'})
    (tmp_path / "latin.py").write_bytes(b'"""\xff\xfe"""')
    (tmp_path / "null.py").write_bytes(b"\x00")
    assert [file.label for file in read_files(tuple(source_files(source)))] == ["good.py"]


def test_tests_caches_and_licences_are_not_listed(tmp_path: Path) -> None:
    names = ["b.py", "a/c.py", "a/tests/d.py", "test_e.py", "LICENSE.txt", "f.rst", "g.c"]
    source = tree(tmp_path, dict.fromkeys(names, PROSE))
    assert [file.label for file in source_files(source)] == ["a/c.py", "b.py", "f.rst"]


def test_sources_are_the_fixed_list_and_nothing_else_installed() -> None:
    names = [source.name for source in embedded_sources()]
    assert names[0] == "python"
    assert set(names[1:]) <= set(PACKAGES)
    assert "pytest" not in names
