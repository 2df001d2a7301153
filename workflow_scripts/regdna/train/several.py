"""Several processes of one training job, one a GPU, started and watched over by torch's elastic launcher."""

import ctypes
import logging
import os
import signal
import sys
from pathlib import Path

import torch
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, record

from regdna.step import InputError
from regdna.train.data import Material

# The launcher ends its processes with the signal that it gets; USR1 is what schedulers send ahead of a time limit.
SIGNALS = "SIGTERM,SIGINT,SIGUSR1"
PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)
SHUTDOWN_SECONDS = 150  # to save a state in, before the processes are killed


def fit(processes: int, threads: int, about: dict, material: Material, folder: Path, settings: dict, state: Path, **more) -> dict:
    """``descent.fit`` in several processes that share every batch; gives the ledger entries of the first.

    Args:
        processes: how many.
        threads: of each on a CPU.
        material: opened by each process for itself.
        more: further arguments of ``descent.fit``.

    Raises:
        InputError: fewer GPUs than processes.
        ValueError: what a process raised, in its words.
        SystemExit: a signal came; the state is saved.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    there = torch.cuda.device_count()
    if 0 < there < processes:
        raise InputError(f"gpu: {processes} GPUs are asked for, but this job sees {there}; ask the scheduler for as many, or lower 'gpu'")
    os.environ["OMP_NUM_THREADS"] = str(threads)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=str(os.getpid()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        start_method="spawn",
        signals_to_handle=SIGNALS,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    written = getattr(sys.stdout, "name", "")  # the rule's log, where there is one
    try:
        return elastic_launch(config, work)(threads, written, about, material, folder, settings, state, more)[0]
    except SignalException as error:
        raise SystemExit(128 + int(error.sigval)) from None
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        # Of an exception the launcher keeps a record, with the trace that it has logged; of a signal a line.
        told = failure.message["message"] if isinstance(failure.message, dict) else failure.message
        raise ValueError(f"a process of {processes} failed: {told}") from error


@record
def work(threads: int, written: str, about: dict, material: Material, folder: Path, settings: dict, state: Path, more: dict) -> dict:
    """What one of the processes does."""
    from regdna.train import descent

    # Where the launcher is killed, nobody tells its processes: Linux does, and they save and end.
    ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGTERM)
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if Path(written).is_file():
        handlers.append(logging.FileHandler(written, encoding="utf-8"))
    first = os.environ["RANK"] == "0"
    logging.basicConfig(level=logging.INFO if first else logging.ERROR, format="%(message)s", handlers=handlers, force=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal; the launcher says when to end
    torch.set_num_threads(threads)
    try:
        return descent.fit(about, material.open(), folder, settings, state, **more)
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
