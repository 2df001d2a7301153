import io
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params, ResourceList, Wildcards

from regdna import step
from regdna.step import InputError, bind, progress

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"


def named(kind, values):
    """A list of Snakemake's as a job carries it: flat, with names that point into it."""
    out = kind()
    for name, value in values.items():
        at = len(out)
        if isinstance(value, list):
            out.extend(value)
            out._set_name(name, at, end=len(out))
        else:
            out.append(value)
            out._add_name(name)
    return out


def job(inputs=None, outputs=None, params=None, wildcards=None, threads=1, log=(), resources=None, config=None):
    return SimpleNamespace(
        rule="a_rule",
        input=named(InputFiles, inputs or {}),
        output=named(OutputFiles, outputs or {}),
        params=named(Params, params or {}),
        wildcards=named(Wildcards, wildcards or {}),
        threads=threads,
        log=Log(log),
        resources=named(ResourceList, resources or {}),
        config=config or {},
    )


def bound(main, **parts):
    return bind(main, job(**parts))


class TestBind:
    def test_names_of_every_part_become_arguments_of_their_type(self):
        def main(windows: Path, many: list[Path], out: Path, seed: int, rate: float, entry: dict, threads: int, name: str = "x"): ...

        found = bound(
            main,
            inputs={"windows": "a/w.parquet", "many": ["1", "2"]},
            outputs={"out": "b"},
            params={"rate": 0.5, "entry": {"k": 1}, "code": "abc"},
            wildcards={"seed": "7", "study": "not asked for"},
            threads=3,
        )
        assert found == {
            "windows": Path("a/w.parquet"),
            "many": [Path("1"), Path("2")],
            "out": Path("b"),
            "seed": 7,
            "rate": 0.5,
            "entry": {"k": 1},
            "threads": 3,
        }

    def test_a_list_of_paths_stays_a_list_with_one_file_or_none(self):
        def main(one: list[Path], single: list[Path], none: list[Path] | None = None): ...

        found = bound(main, inputs={"one": ["a"], "single": "b", "none": []})
        assert found == {"one": [Path("a")], "single": [Path("b")], "none": []}

    def test_an_optional_path_takes_a_path_or_none(self):
        def main(tss: Path | None = None, genome: list[Path] | None = None, other: Path | None = None): ...

        assert bound(main, inputs={"tss": "t.bed", "genome": ["g.npy", "g.tsv"]}) == {
            "tss": Path("t.bed"),
            "genome": [Path("g.npy"), Path("g.tsv")],
        }
        assert bound(main, params={"other": None}) == {"other": None}

    @pytest.mark.parametrize(
        ("parts", "message"),
        [
            ({"inputs": {"a": "x", "windws": "y"}}, "a_rule gives windws"),
            ({"inputs": {"a": "x"}, "params": {"extra": 1}}, "a_rule gives extra"),
            ({"inputs": {"a": "x"}, "outputs": {"out": 1}}, "a_rule gives out"),
            ({}, "a_rule does not give a"),
            ({"params": {"b": 1}}, "a_rule does not give a"),
        ],
    )
    def test_unknown_and_missing_names_are_refused(self, parts, message):
        def main(a: Path, b: int = 1): ...

        with pytest.raises(TypeError, match=message):
            bound(main, **parts)

    def test_code_is_passed_only_to_a_main_that_asks(self):
        def asks(code: str): ...

        def asks_not(): ...

        assert bound(asks, params={"code": "abc"}) == {"code": "abc"}
        assert bound(asks_not, params={"code": "abc"}) == {}

    def test_a_parameter_goes_before_a_wildcard_of_the_same_name(self):
        def main(model: str): ...

        assert bound(main, params={"model": "from params"}, wildcards={"model": "from path"}) == {"model": "from params"}

    def test_processes_come_from_the_resources_and_settings_from_the_config_where_a_main_asks(self):
        def main(threads: int = 1, processes: int = 1, save_minutes: float = 10.0): ...

        def asks_for_neither(threads: int = 1): ...

        parts = {
            "resources": {"mem_mb": 16000, "gpu": 1, "processes": 2, "_cores": 4},
            "config": {"save_minutes": 0.5, "study": "tiny"},
            "threads": 3,
        }
        assert bound(main, **parts) == {"threads": 3, "processes": 2, "save_minutes": 0.5}
        assert bound(asks_for_neither, **parts) == {"threads": 3}
        assert bound(main, resources={"mem_mb": 100}) == {"threads": 1}

    def test_nothing_else_of_the_resources_is_an_argument(self):
        def main(mem_mb: int = 0, runtime: int = 0): ...

        assert bound(main, resources={"mem_mb": 100, "runtime": 5}) == {}

    def test_what_the_rule_gives_goes_before_the_resources_and_the_config(self):
        def main(processes: int = 1, save_minutes: float = 10.0): ...

        given = {"params": {"processes": 0, "save_minutes": 1.0}, "resources": {"processes": 4}, "config": {"save_minutes": 2.0}}
        assert bound(main, **given) == {"processes": 0, "save_minutes": 1.0}


SCRIPT = '''
"""What the step is for."""
from pathlib import Path
from regdna.step import InputError, run
{extra}
def main(source: Path, size: int, many: list[Path] | None = None, numbers: list[int] | None = None, deep: bool = False,
         entry: dict | None = None, rate: float = 0.5, note: str = "none") -> None:
    """Say what came."""
    {body}
if __name__ == "__main__":
    run(main)
'''
SHOW = "print(repr([source, size, many, numbers, deep, entry, rate, note]))"


def shell(tmp_path, *arguments, body=SHOW, extra=""):
    path = tmp_path / "a_step.py"
    path.write_text(SCRIPT.format(body=body, extra=extra))
    return subprocess.run(
        [sys.executable, path, *arguments], env={"PYTHONPATH": str(SCRIPTS)}, capture_output=True, text=True, cwd=tmp_path
    )


class TestCommandLine:
    def test_only_what_is_required(self, tmp_path):
        done = shell(tmp_path, "--source", "s", "--size", "3")
        assert done.stdout == "[PosixPath('s'), 3, None, None, False, None, 0.5, 'none']\n", done.stderr

    def test_lists_booleans_dictionaries_and_numbers(self, tmp_path):
        done = shell(
            tmp_path, "--source", "s", "--size", "3", "--many", "a", "b", "--numbers", "1", "2", "--deep", "true",
            "--entry", "{k: 5, names: [a]}", "--rate", "2", "--note", "n",
        )  # fmt: skip
        assert done.stdout == "[PosixPath('s'), 3, [PosixPath('a'), PosixPath('b')], [1, 2], True, {'k': 5, 'names': ['a']}, 2.0, 'n']\n", (
            done.stderr
        )

    def test_a_dictionary_from_a_file(self, tmp_path):
        (tmp_path / "entry.yaml").write_text("k: 1\n")
        done = shell(tmp_path, "--source", "s", "--size", "3", "--entry", "@entry.yaml", "--deep", "False")
        assert "{'k': 1}" in done.stdout and "False" in done.stdout

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--source", "s"], "--size"),
            (["--source", "s", "--size", "three"], "invalid int value"),
            (["--source", "s", "--size", "3", "--deep", "yes"], "true or false"),
            (["--source", "s", "--size", "3", "--other", "1"], "--other"),
        ],
    )
    def test_what_is_wrong_is_refused_with_the_option(self, tmp_path, arguments, message):
        done = shell(tmp_path, *arguments)
        assert done.returncode == 2 and message in done.stderr

    def test_help_says_what_the_step_is_for(self, tmp_path):
        done = shell(tmp_path, "--help")
        assert done.returncode == 0
        assert "What the step is for." in done.stdout and "default: 0.5" in done.stdout


def test_an_input_error_is_one_line_and_exit_code_one(tmp_path):
    done = shell(tmp_path, "--source", "s", "--size", "3", body='raise InputError("a.bed: line 3 is bad; mend it")')
    assert done.returncode == 1
    assert done.stderr == "regdna: a.bed: line 3 is bad; mend it\n" and done.stdout == ""


def test_another_error_shows_where_it_came_from(tmp_path):
    done = shell(tmp_path, "--source", "s", "--size", "3", body='raise KeyError("inside")')
    assert done.returncode == 1
    assert "KeyError: 'inside'" in done.stderr and "a_step.py" in done.stderr


JOB = """
from types import SimpleNamespace
from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params, ResourceList, Wildcards
inputs = InputFiles(["s"]); inputs._add_name("source")
params = Params([3]); params._add_name("size")
rest = dict(output=OutputFiles(), wildcards=Wildcards(), threads=1, log=Log(["logs/a.log"]), resources=ResourceList())
snakemake = SimpleNamespace(rule="r", input=inputs, params=params, **rest)
"""


def test_under_snakemake_all_that_is_said_goes_to_the_rules_log(tmp_path):
    done = shell(tmp_path, body="import logging; print('printed'); logging.getLogger('regdna').info('logged')", extra=JOB)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "logs/a.log").read_text().split("\n")[:2] == ["printed", "logged"]
    assert done.stderr == "logged\n" and done.stdout == ""
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["a.log"]


def test_under_snakemake_an_input_error_is_in_the_log_and_on_the_terminal(tmp_path):
    done = shell(tmp_path, body='raise InputError("mend it")', extra=JOB)
    assert done.returncode == 1
    assert done.stderr == (tmp_path / "logs/a.log").read_text() == "regdna: mend it\n"
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["a.log"]


def test_an_input_error_is_an_exception_of_its_own():
    assert not issubclass(InputError, ValueError)


class TestProgress:
    @pytest.fixture
    def clock(self, monkeypatch):
        clock = SimpleNamespace(now=100.0)
        monkeypatch.setattr(step.time, "monotonic", lambda: clock.now)
        monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: False, write=lambda text: None, flush=lambda: None))
        return clock

    def test_a_line_at_most_every_thirty_seconds_and_one_at_the_end(self, clock, caplog):
        caplog.set_level(logging.INFO, "regdna")
        show = progress(1000, "counting")
        for done in range(1, 1001):
            clock.now += 0.1
            show(done)
        lines = [record.getMessage() for record in caplog.records]
        assert len(lines) == 4  # after 30, 60 and 90 s, and at the end
        assert lines[-1].startswith("counting: 1000 of 1000 sequences, 10/s, 0 s left")

    def test_rate_and_time_left(self, clock, caplog):
        caplog.set_level(logging.INFO, "regdna")
        show = progress(100, "training", "steps")
        clock.now += 40
        show(20)
        assert [record.getMessage() for record in caplog.records] == ["training: 20 of 100 steps, 0.5/s, 160 s left"]

    def test_nothing_done_yet_does_not_divide_by_zero(self, clock, caplog):
        caplog.set_level(logging.INFO, "regdna")
        show = progress(100, "training")
        clock.now += 31
        show(0)
        assert "0 of 100" in caplog.text

    def test_a_bar_on_a_terminal(self, monkeypatch):
        terminal = io.StringIO()
        terminal.isatty = lambda: True
        monkeypatch.setattr(sys, "stderr", terminal)
        show = progress(10, "counting", "rows")
        show(4)
        show(10)
        assert "counting" in terminal.getvalue() and "10/10" in terminal.getvalue()


def test_a_signal_ends_a_step_though_a_thread_of_a_library_goes_on(tmp_path):
    script = tmp_path / "step.py"
    script.write_text(
        "import os, signal, threading, time\nfrom pathlib import Path\nfrom regdna.step import run\nfrom regdna.store import atomic\n"
        "def main(out: Path) -> None:\n    '''Wait.'''\n    threading.Thread(target=time.sleep, args=(300,)).start()\n"
        "    with atomic(out) as temporary:\n        temporary.write_text('half')\n        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        time.sleep(300)\nrun(main)\n"
    )
    library = str(Path(step.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, script, "--out", tmp_path / "out"], env={**os.environ, "PYTHONPATH": library}, timeout=120, check=False
    )
    assert done.returncode == 143 and list(tmp_path.iterdir()) == [script]
