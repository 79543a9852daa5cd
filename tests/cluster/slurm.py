"""A real SLURM on this machine: one node with two GPUs that are /dev/null. It proves scheduling and isolation, not CUDA."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

DAEMONS = ("munged", "slurmctld", "slurmd")
SYSTEM = Path("/etc/slurm")
"""The plugin's inner step drops SLURM_CONF, so the configuration must be found here too."""
PATIENCE_SECONDS = 60
CONFIGURATION = """
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={controller}
SlurmdPort={node}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=2
JobAcctGatherParams=OverMemoryKill
MpiDefault=none
SwitchType=switch/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/ended.log
Prolog={folder}/prolog
Epilog={folder}/epilog
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu,shard
DefMemPerCPU=500
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2,batch_sched_delay=0,sched_min_interval=100000
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=30
InactiveLimit=0
KillWait=10
MinJobAge=300
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} Gres=gpu:{gpus},shard:{shards} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=30 State=UP
"""
NOTE = '#!/bin/sh\necho "{word} $SLURM_JOB_ID $(date +%s.%N) ${{SLURM_JOB_GPUS:-none}}" >> {folder}/allocations\n'


class Allocation(NamedTuple):
    """What a job had and when: indices of GPUs, seconds of its start and end."""

    job: int
    gpus: tuple[str, ...]
    start: float
    end: float


@dataclass(frozen=True)
class Slurm:
    """A cluster whose files lie in `folder`."""

    folder: Path
    cpus: int = 4
    gpus: int = 2
    shards: int = 4
    memory_mb: int = 32_000  # what may be asked for; nobody looks whether it is there

    @property
    def environment(self) -> dict[str, str]:
        """Of whoever speaks to the cluster. There is no sacct: without a database it would answer, and forget."""
        path = f"{self.folder}/bin"
        return {**os.environ, "SLURM_CONF": f"{self.folder}/slurm.conf", "PATH": path}

    def start(self) -> None:
        """Bring the daemons up, and wait until the node is idle and its jobs see GPUs by number."""
        self.folder.chmod(0o755)  # munge wants it
        for name in ("state", "spool", "dev", "bin"):
            (self.folder / name).mkdir(parents=True)
        self._configure()
        for folder in map(Path, ("/usr/sbin", "/usr/bin")):
            for program in folder.iterdir():
                if (
                    program.name != "sacct"
                    and not (self.folder / "bin" / program.name).is_symlink()
                ):
                    (self.folder / "bin" / program.name).symlink_to(program)
        munge = [
            "--key-file=munge.key",
            "--socket=munge.socket",
            "--pid-file=munged.pid",
            "--log-file=munged.log",
            "--seed-file=munge.seed",
        ]
        files = [
            f"{option}={self.folder}/{name}"
            for option, name in (word.split("=") for word in munge)
        ]
        subprocess.run(["munged", *files, "--num-threads=2"], check=True)
        for daemon in (["slurmctld"], ["slurmd", "-N", "n1"]):
            subprocess.run(daemon, env=self.environment, check=True)
        self.wait_for(lambda: self.node_state() == "idle")
        seen = self.tell("srun", "--gpus=1", "sh", "-c", "echo $CUDA_VISIBLE_DEVICES").strip()
        assert seen in map(str, range(self.gpus)), (
            f"a job with a GPU sees CUDA_VISIBLE_DEVICES={seen!r}: the fake devices are not taken"
        )

    def _configure(self) -> None:
        for number in range(self.gpus):
            (self.folder / f"dev/fakegpu{number}").symlink_to(
                "/dev/null"
            )  # must be a device; its last digit is the index
        (self.folder / "munge.key").write_bytes(os.urandom(1024))
        (self.folder / "munge.key").chmod(0o400)
        ports = dict(zip(("controller", "node"), free_ports(2), strict=True))
        values = {
            name: getattr(self, name)
            for name in ("folder", "cpus", "gpus", "shards", "memory_mb")
        } | ports
        (self.folder / "slurm.conf").write_text(
            CONFIGURATION.format(host=socket.gethostname().split(".")[0], **values)
        )
        devices = f"NodeName=n1 Name=gpu File={self.folder}/dev/fakegpu[0-{self.gpus - 1}]"
        (self.folder / "gres.conf").write_text(
            f"{devices}\nNodeName=n1 Name=shard Count={self.shards}\n"
        )
        for name, word in (("prolog", "start"), ("epilog", "end")):
            (self.folder / name).write_text(NOTE.format(word=word, folder=self.folder))
            (self.folder / name).chmod(0o755)
        for name in ("slurm.conf", "gres.conf"):
            (SYSTEM / name).unlink(missing_ok=True)
            (SYSTEM / name).symlink_to(self.folder / name)

    def stop(self) -> None:
        """End every job and every daemon."""
        self.tell("scancel", "--user=root", strict=False)
        self.wait_for(lambda: not self.tell("squeue", "-h", strict=False))
        for daemon in reversed(DAEMONS):
            self.end(daemon)
        for name in ("slurm.conf", "gres.conf"):
            (SYSTEM / name).unlink(missing_ok=True)

    def end(self, daemon: str) -> None:
        """End one daemon, if it came up, and wait until it is gone."""
        if not (self.folder / f"{daemon}.pid").exists():
            return
        pid = int((self.folder / f"{daemon}.pid").read_text())
        os.kill(pid, signal.SIGTERM)
        self.wait_for(lambda: not is_alive(pid))

    def restart_controller(self, away_seconds: float) -> None:
        """Take slurmctld away for a while; jobs go on meanwhile."""
        self.end("slurmctld")
        time.sleep(away_seconds)
        subprocess.run(["slurmctld"], env=self.environment, check=True)
        self.wait_for(lambda: self.node_state() != "")

    def tell(self, *command: str, strict: bool = True) -> str:
        """What a SLURM command prints; where it fails an error, or nothing if not `strict`."""
        done = subprocess.run(
            command,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert done.returncode == 0 or not strict, f"{' '.join(command)}: {done.stderr}"
        return done.stdout

    def node_state(self) -> str:
        """idle, mixed, allocated, drained ...; blank where nobody answers."""
        return self.tell("sinfo", "-h", "-n", "n1", "-o", "%T", strict=False).strip()

    def jobs(self, rule: str = "", *options: str) -> list[str]:
        """The jobs of a rule that wait or run."""
        lines = self.tell("squeue", "-h", *options, "-o", "%i %k").splitlines()
        return [line.split()[0] for line in lines if rule in line]

    def running(self, rule: str = "") -> list[str]:
        """The jobs of a rule that run."""
        return self.jobs(rule, "-t", "running")

    def ended(self) -> dict[str, dict[str, str]]:
        """What SLURM noted of each job that is over, by its number: JobState, TimeLimit, Tres ..."""
        log = self.folder / "ended.log"
        lines = [
            dict(word.split("=", 1) for word in line.split() if "=" in word)
            for line in log.read_text().splitlines()
        ]
        return {noted["JobId"]: noted for noted in lines}

    def allocations(self) -> list[Allocation]:
        """What jobs had, as the node's own prolog and epilog noted it."""
        found: dict[str, dict[str, tuple[float, str]]] = {}
        for line in (self.folder / "allocations").read_text().splitlines():
            word, job, moment, gpus = line.split()
            found.setdefault(job, {})[word] = (float(moment), gpus)
        whole = {job: notes for job, notes in found.items() if len(notes) == 2}
        return [
            Allocation(
                int(job),
                tuple(gpus for gpus in notes["start"][1].split(",") if gpus != "none"),
                notes["start"][0],
                notes["end"][0],
            )
            for job, notes in whole.items()
        ]

    def wait_for(self, truth, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until `truth()`; an error where it does not come."""
        until = time.monotonic() + seconds
        while not truth():
            assert time.monotonic() < until, (
                f"waited {seconds} s in vain; jobs: {self.tell('squeue', strict=False)}"
            )
            time.sleep(0.2)


def free_ports(count: int) -> Iterator[int]:
    """Ports of the loopback that nobody listens on, all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    for each in sockets:
        yield each.getsockname()[1]
    for each in sockets:
        each.close()


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that ended and was not waited for does not."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def why_not_here() -> str | None:
    """Why no cluster can be brought up on this machine; None where one can."""
    missing = [
        program
        for program in (*DAEMONS, "sbatch", "srun", "squeue")
        if shutil.which(program) is None
    ]
    if missing:
        return f"needs SLURM and munge: {', '.join(missing)} not found"
    if os.geteuid() != 0:
        return "needs root: SLURM's daemons run as another user's jobs"
    if (SYSTEM / "slurm.conf").exists():
        return f"{SYSTEM}/slurm.conf is there: this machine belongs to a cluster"
    return None
