"""Train on two hosts, cut the cable between them in the middle of the run, join it again, and see how the run ends.

    python -m tests.faults.two_hosts [N]

The hosts are two network namespaces of this machine that share a disk, as machines of a cluster do, and are joined by a
pair of virtual network cards; so it needs root on Linux. Each types the two-node command of `course finetune`. While the
cable is cut, both give up their connections within seconds, as they would after minutes with the settings of the system.
Of N jobs each must end with the model that two hosts reach which are left alone, after a repetition of at most the steps
since the last checkpoint. A host whose command has ended types it again with `--resume`. It ends with 1 if that is not so.
"""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from course_utils.files import verify_manifest
from tests.tiny_finetune import make_checkpoint, make_table

ROOT = Path(__file__).parents[2]
ADDRESSES = ("10.77.0.1", "10.77.0.2")
SAVE_STEPS = 5
FINETUNE = ["-m", "course_utils", "finetune", "films.csv", "--text-column", "text", "--label-column", "kind", "--out", "m",
            "--checkpoint", "tiny", "--epochs", "60", "--max-length", "6", "--save-steps", str(SAVE_STEPS)]  # fmt: skip


def ip(*arguments: str) -> None:
    """Run `ip` with these arguments.

    Raises:
        PermissionError: it is not here, or this user may not do that.
    """
    try:
        subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        why = getattr(error, "stderr", None) or error
        raise PermissionError(f"two hosts on one machine need ip(8) and root, on Linux: {why}") from error


class Hosts:
    """Two network namespaces and the cable between them."""

    def __init__(self) -> None:
        self.names = [f"course-{os.getpid()}-{side}" for side in "ab"]
        self.cards = [f"c{os.getpid() % 10**8}{side}" for side in "ab"]

    def __enter__(self) -> Hosts:
        with ExitStack() as undo:
            undo.push(self.__exit__)
            self._make()
            undo.pop_all()
        return self

    def _make(self) -> None:
        for name in self.names:
            ip("netns", "add", name)
        ip("link", "add", self.cards[0], "type", "veth", "peer", "name", self.cards[1])
        for name, card, address in zip(self.names, self.cards, ADDRESSES, strict=True):
            ip("link", "set", card, "netns", name)
            ip("-n", name, "addr", "add", f"{address}/24", "dev", card)
            for each in ("lo", card):
                ip("-n", name, "link", "set", each, "up")
            patience = "echo 3 > /proc/sys/net/ipv4/tcp_retries2"  # seconds, not a quarter hour, until a connection fails
            ip("netns", "exec", name, "sh", "-c", patience)

    def __exit__(self, *error: object) -> None:
        for name in self.names:
            with suppress(PermissionError):
                ip("netns", "del", name)

    def cable(self, state: str) -> None:
        """Cut the cable ("down") or join it ("up")."""
        ip("-n", self.names[1], "link", "set", self.cards[1], state)

    def start(self, side: int, folder: Path, *, resume: bool) -> subprocess.Popen[str]:
        """Type the command on one host, in a folder that both see."""
        meet = ["--rdzv-backend=c10d", f"--rdzv-endpoint={ADDRESSES[0]}:29500", "--rdzv-id=films"]
        meet += [f"--local-addr={ADDRESSES[side]}", f"--rdzv-conf=is_host={int(side == 0)}"]  # a host's name would say it
        torchrun = ["-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--max-restarts=3", *meet]
        alone = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1", "PYTHONPATH": str(ROOT),
                 "GLOO_SOCKET_IFNAME": self.cards[side]}  # fmt: skip
        command = ["ip", "netns", "exec", self.names[side], sys.executable, *torchrun, *FINETUNE, *["--resume"] * resume]
        with (folder / f"host-{side}.txt").open("a") as said:
            return subprocess.Popen(command, cwd=folder, env=os.environ | alone, stdout=said, stderr=said, text=True)


@contextmanager
def started(hosts: Hosts, folder: Path, *, resume: bool = False) -> Iterator[list[subprocess.Popen[str]]]:
    """Yield the commands of both hosts, and end what is left of them."""
    commands = [hosts.start(side, folder, resume=resume) for side in (0, 1)]
    try:
        yield commands
    finally:
        for command in commands:
            command.terminate()  # as Ctrl+C: torchrun ends its workers, which a kill would leave
        for command in commands:
            command.wait(120)


def steps_saved(folder: Path) -> int:
    """Return the number of the last step that is in a checkpoint of the run in a folder; 0 if there is none."""
    return max((int(path.name[5:13]) for path in folder.glob("m.unfinished/checkpoints/step-*")), default=0)


def wait(commands: list[subprocess.Popen[str]], folder: Path, *, patience: float = 120, step: float = math.inf) -> list:
    """Return the statuses of both commands when both have ended, one failed, `step` is saved, or nothing is for a while."""
    last, since = 0, time.monotonic()
    while (saved := steps_saved(folder)) < step and time.monotonic() < since + patience:
        if saved > last:
            last, since = saved, time.monotonic()
        statuses = [command.poll() for command in commands]
        if None not in statuses or any(statuses):
            break
        time.sleep(0.1)
    return [command.poll() for command in commands]


def trial(hosts: Hosts, folder: Path, *, at_step: int, seconds: float) -> str:
    """Cut the cable for some seconds once a step is saved, and return what is wrong about the end, or an empty string."""
    with started(hosts, folder) as commands:
        if wait(commands, folder, patience=600, step=at_step) != [None, None]:
            return f"it ended before the cut: {(folder / 'host-0.txt').read_text()[-600:]}"
        hosts.cable("down")
        time.sleep(seconds)
        hosts.cable("up")
        statuses = wait(commands, folder)
    for _ in range(3):
        if statuses == [0, 0]:
            break
        with started(hosts, folder, resume=(folder / "m.unfinished").exists()) as commands:
            statuses = wait(commands, folder, patience=600)
    return f"it did not go on: {statuses} {(folder / 'host-0.txt').read_text()[-600:]}" * (statuses != [0, 0])


def ending(folder: Path) -> tuple[str, dict]:
    """Return the digest of the model that a job has ended with, and what its report says of its test part."""
    report = json.loads((folder / "m" / "report.json").read_text())
    return verify_manifest(folder / "m")["model.safetensors"], report["scores"]["accuracy"]


def main(count: int, *, seed: int = 0) -> int:
    """Run the jobs, print what became of each, and return how many did not end as they should."""
    draw, wrong = random.Random(seed), 0
    with tempfile.TemporaryDirectory() as place, Hosts() as hosts:
        folders = [Path(place, str(number)) for number in range(count + 1)]
        for folder in folders:
            folder.mkdir()
            make_table(folder)
            make_checkpoint(folder / "tiny")
        with started(hosts, folders[0]) as commands:
            if wait(commands, folders[0], patience=600) != [0, 0]:
                print("left alone, it failed:", (folders[0] / "host-0.txt").read_text()[-1500:])
                return count
        for number, folder in enumerate(folders[1:], 1):
            at_step, seconds = draw.randint(5, 60), draw.uniform(1, 20)
            fault = trial(hosts, folder, at_step=at_step, seconds=seconds)
            fault = fault or "another model than that of the hosts left alone" * (ending(folder) != ending(folders[0]))
            typed = (folder / "host-0.txt").read_text().count("untrained accuracy")
            print(f"job {number}: cable cut for {seconds:.0f} s once step {at_step} was saved: ", end="")
            print(fault or f"resumed, in {typed} attempts, and ended bit by bit as the one left alone", flush=True)
            wrong += bool(fault)
    print(f"{count - wrong} of {count} jobs went on and ended as if the cable had never been cut")
    return wrong


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10) > 0)
