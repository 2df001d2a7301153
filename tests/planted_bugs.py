"""Plant ten bugs, one at a time, in a copy of the checkout: the tests named beside each must fail there and pass here.

.venv/bin/python tests/planted_bugs.py            all, a line each
.venv/bin/python tests/planted_bugs.py wrong-ref  some
"""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from workflow_tools import clone, environment


@dataclass(frozen=True)
class Bug:
    """An edit of one place that somebody could make, and the tests of the suite that are there for it."""

    file: str
    right: str
    wrong: str
    tests: tuple[str, ...]


LIBRARY = "workflow_scripts/regdna"
BUGS = {
    "off-by-one-window": Bug(
        f"{LIBRARY}/windows.py",
        "self._shift = (int(widths[0]) - self.length) // 2",
        "self._shift = (int(widths[0]) - self.length) // 2 + 1",
        ("tests/unit/test_windows.py",),
    ),
    "swapped-channels": Bug(
        f"{LIBRARY}/models/cnn.py", "for letter in self.order]", 'for letter in "ACGT"]', ("tests/unit/test_cnns.py",)
    ),
    "leaked-split": Bug(
        f"{LIBRARY}/splits.py", 'out[mine[reach + gap > start[mine]]] = "gap"', "out[mine[reach > start[mine]]] = \"gap\"",
        ("tests/unit/test_splits.py",),
    ),
    "wrong-strand": Bug(
        f"{LIBRARY}/alphabet.py", "_COMPLEMENT[codes[..., ::-1]]", "_COMPLEMENT[codes]", ("tests/unit/test_alphabet.py",)
    ),
    "shuffled-rows": Bug(
        f"{LIBRARY}/predict.py", "out[part] = both.mean(0)", "out[part] = both.mean(0)[::-1]", ("tests/unit/test_predict.py",)
    ),
    "unseeded-run": Bug(
        f"{LIBRARY}/train/team.py",
        "np.random.SeedSequence((*key, self.rank))",
        "np.random.SeedSequence()",
        ("tests/unit/test_train.py", "tests/unit/test_training_state.py"),
    ),
    "stale-cache": Bug(
        f"{LIBRARY}/provenance.py",
        "waiting += _imports(path)",
        "waiting += []",
        ("tests/unit/test_provenance.py",),
    ),
    "wrong-ref": Bug(
        f"{LIBRARY}/sources/alleles.py",
        "same = same and held[at[row] + column] == codes[bounds[row] + column]",
        "same = same and held[at[row] + column] < 5",
        ("tests/unit/test_alleles.py",),
    ),
    "tie-handling": Bug(
        f"{LIBRARY}/metrics.py", "return np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], np.ones(min(len(ranked), 1), bool)]) + 1",
        "return np.arange(len(ranked)) + 1", ("tests/unit/test_metrics.py",),
    ),
    "lost-seed": Bug(
        "workflow_scripts/evaluate.py", "for path in files]", "for path in files[:1] * len(files)]", ("tests/steps/test_steps.py",)
    ),
}  # fmt: skip


def passes(folder: Path, tests: tuple[str, ...]) -> bool:
    """Whether tests pass in a checkout; the first failure ends them."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True).returncode == 0


def main(names: list[str]) -> int:
    """Plant the bugs of these names, or all; gives how many no test saw."""
    if unknown := set(names) - set(BUGS):
        sys.exit(f"{', '.join(sorted(unknown))}: no such bug; there are {', '.join(BUGS)}")
    missed = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = clone(Path(scratch) / "regdna")
        for name in names or BUGS:
            bug = BUGS[name]
            path = folder / bug.file
            right = path.read_text()
            path.write_text(right.replace(bug.right, bug.wrong))
            seen = not passes(folder, bug.tests)
            path.write_text(right)
            good = passes(folder, bug.tests)
            missed += not (seen and good)
            said = "seen" if seen and good else "NOT SEEN" if good else "its tests fail without it too"
            print(f"{name:18} {bug.file:42} {said}", flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
