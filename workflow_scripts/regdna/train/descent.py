"""Train a network by gradient descent: one loop for every architecture, full or with adapters, on one process or several."""

import logging
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from regdna import attempts, models
from regdna.models import network
from regdna.models.classifier import log_odds
from regdna.models.precision import ran_out
from regdna.step import progress
from regdna.train import state as states
from regdna.train.batches import Batch, Batches
from regdna.train.data import Data
from regdna.train.measure import chance_ap, count, forward_flops, mean_ap
from regdna.train.optimiser import optimiser as adamw
from regdna.train.optimiser import schedule as rates
from regdna.train.start import begin
from regdna.train.team import Team

log = logging.getLogger("regdna")
SAVE_SECONDS = 600.0
# ASSUME: a run has collapsed if its best validation AP is within three standard deviations of that of its scores in random order.
COLLAPSED = 3.0


def fit(
    about: dict,
    data: Data,
    folder: Path,
    settings: dict,
    state: Path,
    start: Path | None = None,
    embeddings: Path | None = None,
    save_seconds: float = SAVE_SECONDS,
    diary: Path | None = None,
) -> dict:
    """Train a network by gradient descent and save its best epoch to ``folder``.

    The whole state is saved to ``state`` after every epoch, every ``save_seconds``, and when SIGTERM, SIGINT or SIGUSR1 comes; a later
    call with the same arguments continues from there and ends with the same weights, bit for bit on a CPU with the same
    number of threads: the order of the windows, the augmentation and the dropout of an update are drawn from (seed, epoch,
    number of the update) alone.

    An update is always of ``batch_size`` windows. They go through the network at once or, where memory does not take them, in
    micro-batches whose gradients add up to the same; after running out of memory the update is done again with half as many.

    Args:
        settings: epochs, batch_size, learning_rate, weight_decay, warmup, schedule, layer_decay, clip, patience,
            reverse_complement, shift, precision, micro_batch, balance.
        state: file of the training state.
        start: folder of published weights; None begins with random ones.
        embeddings: of the frozen network, where a pooling is chosen.
        save_seconds: between two saved states.
        diary: of attempts, where to note how far this one came whenever a state is saved.

    Returns:
        What to add to the ledger.

    Raises:
        ValueError: windows that nothing can be chosen by, settings that do not fit the network.
        FloatingPointError: a loss that is not finite.
        InputError: the state could not be saved or read.
        SystemExit: a signal came; the state is saved.
    """
    team = Team(settings["precision"])
    torch.use_deterministic_algorithms(team.device.type == "cpu", warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # finds bugs, decides nothing, costs time
    torch.set_float32_matmul_precision("high")
    checks = data.rows("validation")
    truth, known = data.targets[checks], data.targets.known(checks)
    positives, all_known = truth.sum(0), len(checks) if known is None else known.sum(0)
    if not ((positives > 0) & (positives < all_known)).any():
        raise ValueError(
            "no target has both classes among the validation windows, so no epoch can be chosen; choose another validation part"
        )
    net, about = begin(about, data, start, embeddings)
    net.to(team.device)
    run = Run(net, data, settings, about["seed"], team)
    now = {"epoch": 1, "step": 0, "loss": 0.0, "best": None, "best_ap": -1.0, "best_epoch": 0, "history": [], "seconds": 0.0, "tokens": 0,
           "micro_batch": run.micro_batch, "chance": None}  # fmt: skip
    resumed = None
    if state.is_file():
        resumed = run.resume(states.load(state, team.device), now)
        log.info("resumed in epoch %d of %d after %d of %d updates", now["epoch"], settings["epochs"], now["step"], len(run.batches))
    earlier, begun = now["seconds"], time.perf_counter() - now["seconds"]
    saved_at = time.monotonic()
    rows, show = data.rows("train"), progress(settings["epochs"] * len(data.rows("train")), f"training {about['model']}")

    def save() -> None:
        nonlocal saved_at
        now["seconds"], now["micro_batch"] = time.perf_counter() - begun, run.micro_batch
        if team.first:
            states.save(state, run.state(now))
            if diary:
                attempts.note(diary, seconds=now["seconds"], epoch=now["epoch"], step=now["step"])
        saved_at = time.monotonic()

    with states.Stop() as stop:
        while now["epoch"] <= settings["epochs"] and now["epoch"] - 1 - now["best_epoch"] < settings["patience"]:
            net.train()
            for batch in run.batches.epoch(now["epoch"], now["step"]):
                loss, tokens = run.update(batch, now["epoch"])
                now["loss"], now["tokens"] = now["loss"] + loss, now["tokens"] + tokens
                now["step"] += 1
                show((now["epoch"] - 1) * len(rows) + min(now["step"] * settings["batch_size"], len(rows)))
                asked, due = team.highest(stop.signal, int(time.monotonic() - saved_at > save_seconds))
                if asked or due:
                    save()
                if asked:
                    log.info("ended by signal %d; saved after %d updates of epoch %d: run again to go on", asked, now["step"], now["epoch"])
                    raise SystemExit(128 + asked)
            loss = float(now["loss"]) / len(run.batches)
            if not math.isfinite(loss):
                raise FloatingPointError(f"the loss is {loss} in epoch {now['epoch']}; lower training.learning_rate")
            team.average_buffers(net)
            logits = team.whole(run.logits(team.share(checks)), len(checks)).astype(np.float64)
            if not np.isfinite(logits).all():
                raise FloatingPointError(f"a logit is no finite number after epoch {now['epoch']}; lower training.learning_rate")
            odds = log_odds(logits, data.exclusive)
            ap = mean_ap(truth, odds, known)
            now["history"].append({"epoch": now["epoch"], "loss": loss, "validation_ap": ap})
            log.info("epoch %d: loss %.4f, validation AP %.4f", now["epoch"], loss, ap)
            if ap > now["best_ap"]:
                now["best_ap"], now["best_epoch"], now["chance"] = ap, now["epoch"], chance_ap(truth, odds, known)
                now["best"] = {name: value.clone() for name, value in states.kept(net).items()}
            now["epoch"], now["step"], now["loss"] = now["epoch"] + 1, 0, 0.0
            save()
    epochs = now["epoch"] - 1
    states.put(net, now["best"])
    trained = count(net, trained=True)
    # Two passes back and forth over the activations, one for the gradients of the weights that have some.
    flops = (2 + trained / count(net)) * forward_flops(net, data.sequences[rows[:2]])
    chance, spread = now["chance"]
    collapsed = now["best_ap"] <= chance + COLLAPSED * spread
    if collapsed:
        log.warning("collapsed: validation AP %.4f, of its scores in random order %.4f", now["best_ap"], chance)
    if team.first:
        about = {**about, "history": now["history"], "best_epoch": now["best_epoch"], "validation_ap": now["best_ap"]}
        models.family(about["architecture"]).save(folder, about, net)
    return {
        "parameters": count(net),
        "trained_parameters": trained,
        "sequences": epochs * len(rows),
        "tokens": int(now["tokens"]) or None,
        "steps": epochs * len(run.batches),
        "epochs": epochs,
        "seconds": round(now["seconds"], 3),
        "earlier_seconds": round(earlier, 3),
        "resumed_from": resumed,
        "initial_digest": about["initial_digest"],
        "flops": flops * epochs * len(rows),
        "validation_ap": now["best_ap"],
        "collapsed": collapsed,
        "precision": team.precision,
        "processes": team.size,
        "peak_gpu_bytes": torch.cuda.max_memory_allocated() if team.device.type == "cuda" else 0,
        "micro_batch": run.micro_batch,
    }


class Run:
    """A network in training with its optimiser and its batches.

    Args:
        net: on the device of the team.
        data: the dataset.
        settings: of training.
        seed: of the run.
        team: the processes of the job.

    Attributes:
        micro_batch: windows that go through the network at once in a process.

    Raises:
        ValueError: a micro-batch, or a batch shared by several processes, that normalisation does not take.
    """

    def __init__(self, net: nn.Module, data: Data, settings: dict, seed: int, team: Team):
        self.net, self.data, self.settings, self.seed, self.team = net, data, settings, seed, team
        self.batches = Batches(data, net.encode, settings, seed, team)
        self.optimiser = adamw(net, settings)
        steps = len(self.batches) * settings["epochs"]
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, rates(settings["schedule"], settings["warmup"], steps))
        self.trained = [one for one in net.parameters() if one.requires_grad]
        # What normalisation over a batch gives depends on which windows are in it: such a network takes its batch whole.
        self.normalises = any(isinstance(one, nn.modules.batchnorm._BatchNorm) for one in net.modules())
        each = -(-settings["batch_size"] // team.size)
        self.micro_batch = min(settings["micro_batch"] or each, each)
        if self.normalises and self.micro_batch < each:
            raise ValueError(
                f"training.micro_batch {settings['micro_batch']}: it normalises over its batches, which cannot be cut; take it out"
            )
        least, needed = min(self.batches.sizes), (2 if self.normalises else 1) * team.size
        if least < needed:
            raise ValueError(
                f"an update of {least} windows ({len(self.batches.rows)} train), but it needs {needed}: "
                "raise training.batch_size, give more windows (or a larger tuning.share), or lower gpu"
            )
        if self.normalises and team.size > 1 and team.device.type == "cuda":
            self.net = nn.SyncBatchNorm.convert_sync_batchnorm(net)
        self.weight = positive_weight(data).to(team.device) if settings["balance"] and not data.exclusive else None

    def update(self, batch: Batch, epoch: int) -> torch.Tensor:
        """One update of the weights; gives loss and tokens of the batch, of all processes, float64 (2,) on the device.

        Raises:
            ValueError: memory does not take what cannot be cut further.
        """
        while True:
            self.optimiser.zero_grad(set_to_none=True)
            self.team.seed(self.seed, epoch, batch.number)
            try:
                told, short = self._accumulate(batch), False
            except RuntimeError as error:
                if not ran_out(error):
                    raise
                told, short = torch.zeros(2, device=self.team.device), True
            if not self.team.highest(int(short))[0]:
                break
            self._halve()
        self.team.sum_gradients(self.trained)
        torch.nn.utils.clip_grad_norm_(self.trained, self.settings["clip"])
        self.optimiser.step()
        self.schedule.step()
        return self.team.sum(told)

    def _accumulate(self, batch: Batch) -> torch.Tensor:
        where = self.team.device
        total = torch.zeros(2, dtype=torch.float64, device=where)
        for inputs, labels, known in batch.parts(self.micro_batch):
            tokens = inputs["attention_mask"].sum() if "attention_mask" in inputs else 0
            inputs = {name: to(value, where) for name, value in inputs.items()}
            with self.team.autocast():
                logits = self.net(**inputs).logits
            loss = loss_of(logits.float(), to(labels, where), self.data.exclusive, None if known is None else to(known, where), self.weight)
            loss = loss * batch.weight
            loss.backward()
            total[0] += loss.detach()
            total[1] += tokens
        return total

    def _halve(self) -> None:
        torch.cuda.empty_cache()
        if self.normalises or self.micro_batch == 1:
            what = "it normalises over its batch, which cannot be cut" if self.normalises else "one window does not fit"
            raise ValueError(f"out of memory: {what}; lower training.batch_size or context, or use a GPU with more memory")
        self.micro_batch = -(-self.micro_batch // 2)
        log.warning("out of memory: %d windows at a time from here on; updates stay of %d", self.micro_batch, self.settings["batch_size"])

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Logits of windows, float32 (n, T), in their order."""
        return network.run(self.net, self.data.sequences[rows], max(self.micro_batch, 64), precision=self.team.precision)

    def state(self, now: dict) -> dict:
        """Everything that training goes on from."""
        return {
            "network": states.kept(self.net),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "now": {**now, "loss": float(now["loss"]), "tokens": int(now["tokens"])},
        }

    def resume(self, saved: dict, now: dict) -> dict:
        """Put a saved state back, into ``now`` too; gives the epoch and the update where it was saved."""
        states.put(self.net, saved["network"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.schedule.load_state_dict(saved["schedule"])
        now.update(saved["now"])
        self.micro_batch = now["micro_batch"]
        return {"epoch": now["epoch"], "step": now["step"]}


def to(tensor: torch.Tensor, where: torch.device) -> torch.Tensor:
    """A tensor on the device; a GPU fetches it from pinned memory while it computes."""
    return tensor.pin_memory().to(where, non_blocking=True) if where.type == "cuda" else tensor


def loss_of(logits, labels, exclusive: bool, known=None, weight=None):
    """Sum of the cross-entropies: softmax over exclusive targets, else one sigmoid each.

    Args:
        logits: float (n, T).
        labels: bool (n, T).
        known: labels that count, bool (n, T); None for all.
        weight: of the positives of each target, float (T,); None for 1.
    """
    if exclusive:
        return functional.cross_entropy(logits, labels.int().argmax(1), reduction="sum")
    losses = functional.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), pos_weight=weight, reduction="none")
    return (losses if known is None else torch.where(known, losses, 0)).sum()


def positive_weight(data: Data) -> torch.Tensor:
    """Negatives over positives of each target among the training windows, float32 (T,); 1 where it has no positive."""
    rows = data.rows("train")
    known, positives = data.targets.known(rows), data.targets[rows].sum(0)
    negatives = (len(rows) if known is None else known.sum(0)) - positives
    return torch.from_numpy(np.where(positives > 0, negatives / np.maximum(positives, 1), 1.0).astype(np.float32))
