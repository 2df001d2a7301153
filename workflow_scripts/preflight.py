"""Say what was found on every kind of machine that a study runs on."""

import json
import sys
from pathlib import Path

from regdna.step import InputError, run


def main(surveys: list[Path]) -> None:
    """Print a line a finding.

    Args:
        surveys: of each place, what was found there.

    Raises:
        InputError: a run would fail.
    """
    found = [one for path in surveys for one in json.loads(path.read_text())]
    for path in surveys:  # whatever is said of them: the next time is looked anew
        path.unlink()
    for one in found:
        print(f"{one['state']:<6}{one['place']:<7}{one['what']:<15}{one['says']}", file=sys.__stderr__)
    failed = [f"{one['place']}: {one['what']}: {one['says']}" for one in found if one["state"] == "fails"]
    if failed:
        raise InputError("preflight: " + "; ".join(failed))
    print("a run can begin", file=sys.__stderr__)


if __name__ == "__main__":
    run(main)
