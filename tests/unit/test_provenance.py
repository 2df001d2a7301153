import os
import random
import re
from pathlib import Path

import pytest

from regdna.models import ARCHITECTURES, modules
from regdna.provenance import assumptions, closure, code_digest, fingerprint

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"
TREE = {
    "a_step.py": '"""Step."""\nfrom regdna.one import f\nfrom regdna import four\n\ndef main():\n    return f()\n',
    "regdna/__init__.py": "",
    "regdna/one.py": '"""One."""\nimport regdna.deep.two\n\ndef f():\n    """Add."""\n    return regdna.deep.two.g() + 1  # why\n',
    "regdna/deep/__init__.py": "STATE = 1\n",
    "regdna/deep/two.py": "import regdna.deep.three\n\ndef g():\n    return 2\n",
    "regdna/deep/three.py": "THREE = 3\n",
    "regdna/four.py": "FOUR = 4\n",
    "regdna/unrelated.py": "FIVE = 5\n",
    "regdna/chosen.py": "from regdna.below import SEVEN\n",
    "regdna/below.py": "SEVEN = 7\n",
}


@pytest.fixture
def tree(tmp_path):
    for name, text in TREE.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def digest(tree, *extra):
    return code_digest(tree / "a_step.py", extra)


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    # an edit of the same length within one tick of the file system's clock is told apart by this
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 10_000_000))


def test_the_closure_follows_every_import_and_the_packages_on_the_way(tree):
    found = closure(tree / "a_step.py")
    assert set(found) == {"regdna", "regdna.one", "regdna.deep", "regdna.deep.two", "regdna.deep.three", "regdna.four"}
    assert found["regdna.deep"] == tree / "regdna/deep/__init__.py"


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("a_step.py", '"""Step."""', '"""Another."""\n\n# comment'),
        ("regdna/one.py", "  # why", "  # ASSUME: because"),
        ("regdna/one.py", '    """Add."""\n', ""),
        ("regdna/one.py", "regdna.deep.two.g() + 1", "(regdna.deep.two.g()\n            + 1)"),
        ("regdna/deep/three.py", "THREE = 3", "\n\nTHREE   =   3\n"),
        ("regdna/unrelated.py", "FIVE = 5", "FIVE = 6"),
        ("regdna/chosen.py", "from", "import regdna.four\nfrom"),
    ],
)
def test_what_changes_nothing_keeps_the_digest(tree, file, old, new):
    before = digest(tree)
    edit(tree / file, old, new)
    assert digest(tree) == before


def test_touch_and_checkout_keep_the_digest(tree, tmp_path_factory):
    before = digest(tree)
    for path in tree.rglob("*.py"):
        os.utime(path, (1, 1))
    assert digest(tree) == before
    other = tmp_path_factory.mktemp("checkout")
    for name in TREE:
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        (other / name).write_text((tree / name).read_text())
    assert digest(other) == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("a_step.py", "return f()", "return -f()"),
        ("regdna/one.py", "+ 1", "+ 2"),
        ("regdna/__init__.py", "", "X = 1\n"),
        ("regdna/deep/__init__.py", "STATE = 1", "STATE = 2"),
        ("regdna/deep/two.py", "return 2", "return 3"),
        ("regdna/deep/three.py", "THREE = 3", "THREE = 4"),
        ("regdna/four.py", "FOUR = 4", "FOUR = '4'"),
        ("regdna/one.py", "def f():", "def f(x=0):"),
    ],
)
def test_a_changed_statement_anywhere_in_the_closure_changes_the_digest(tree, file, old, new):
    before = digest(tree)
    edit(tree / file, old, new)
    assert digest(tree) != before


def test_an_import_inside_a_function_counts(tree):
    edit(tree / "regdna/four.py", "FOUR = 4", "def h():\n    from regdna.unrelated import FIVE\n    return FIVE\n")
    before = digest(tree)
    edit(tree / "regdna/unrelated.py", "FIVE = 5", "FIVE = 6")
    assert digest(tree) != before


def test_a_string_that_is_no_docstring_counts(tree):
    edit(tree / "regdna/four.py", "FOUR = 4", "FOUR = 'text'")
    before = digest(tree)
    edit(tree / "regdna/four.py", "text", "other")
    assert digest(tree) != before


def test_extra_modules_are_followed_only_when_given(tree):
    plain, chosen = digest(tree), digest(tree, "regdna.chosen")
    assert plain != chosen
    edit(tree / "regdna/below.py", "SEVEN = 7", "SEVEN = 8")
    assert digest(tree) == plain
    assert digest(tree, "regdna.chosen") != chosen


def test_a_new_module_of_the_same_name_as_an_attribute_is_found(tree):
    edit(tree / "a_step.py", "import four", "import four, six")
    before = digest(tree)
    (tree / "regdna/six.py").write_text("SIX = 6\n")
    assert digest(tree) != before


def test_templates_belong_to_the_page_and_to_nothing_else(tree):
    folder = tree / "regdna/templates"
    folder.mkdir()
    (folder / "report.html.j2").write_text("<p>")
    (tree / "regdna/page.py").write_text("PAGE = 1\n")
    plain, page = digest(tree), digest(tree, "regdna.page")
    (folder / "report.html.j2").write_text("<b>")
    assert digest(tree) == plain and digest(tree, "regdna.page") != page


def test_assumptions_are_listed_by_file_in_order(tree):
    (tree / "regdna/four.py").write_text("A = 1  # ASSUME: first.\n# ASSUME:second.\n# assume: not this\n")
    assert assumptions(tree / "regdna") == [("four.py", "first."), ("four.py", "second.")]


def test_an_assumption_of_several_lines_is_listed_to_its_end(tree):
    (tree / "regdna/four.py").write_text(
        "if A:\n    # ASSUME: one goes\n    # on. And ends\n    # here.\n    # Not this.\n"
        "# ASSUME: two\n# ASSUME: three\nB = 1\n# Nor this.\n"
    )
    assert assumptions(tree / "regdna") == [("four.py", one) for one in ("one goes on. And ends here.", "two", "three")]


@pytest.mark.parametrize("size", [0, 100, 4096, 262_144])
def test_a_fingerprint_sees_every_byte_of_a_small_file_and_no_time(tmp_path, size):
    path, content = tmp_path / "a", bytearray(random.Random(0).randbytes(size))
    path.write_bytes(content)
    before = fingerprint(path)
    os.utime(path, (0, 0))
    assert fingerprint(path) == before and re.fullmatch("[0-9a-f]{16}", before)
    for at in {at % size for at in (0, 99, 4095, 5000, 131_071, size - 1)} if size else ():
        content[at] ^= 1
        path.write_bytes(content)
        assert fingerprint(path) != before
        content[at] ^= 1
    path.write_bytes(content + b"x")
    assert fingerprint(path) != before


def test_a_fingerprint_of_a_large_file_samples_all_of_it(tmp_path):
    path, size = tmp_path / "a", 5 << 20
    path.write_bytes(bytes(size))
    before = fingerprint(path)
    with open(path, "r+b") as handle:
        handle.seek(size * 2 // 3)
        handle.write(b"x" * (size // 60))
    assert fingerprint(path) != before


def test_a_digest_is_sixteen_hex_digits(tree):
    assert len(digest(tree)) == 16 and int(digest(tree), 16) >= 0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_training_follows_the_chosen_architecture_and_no_other(architecture):
    others = {one.module for name, one in ARCHITECTURES.items() if name != architecture}
    found = set(closure(SCRIPTS / "train.py", modules(architecture)))
    assert ARCHITECTURES[architecture].module in found
    assert not found & others
    assert {"regdna.train", "regdna.alphabet", "regdna.windows"} <= found
