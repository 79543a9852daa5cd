"""A real SLURM on this machine: one node with two GPUs that are /dev/null. It tests scheduling and isolation, not CUDA."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

DAEMONS = ("munged", "slurmctld", "slurmd")
SYSTEM_FOLDER = Path("/etc/slurm")
"""The inner step of Snakemake's plugin drops SLURM_CONF, so the configuration must be found here too."""
TIMEOUT_SECONDS = 60
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
# Prolog and epilog write down each allocation.
NOTE_SCRIPT = """#!/bin/sh
echo "{event} $SLURM_JOB_ID $(date +%s.%N) ${{SLURM_JOB_GPUS:-none}}" >> {folder}/allocations
"""
MUNGE_FILES = {
    "key-file": "munge.key",
    "socket": "munge.socket",
    "pid-file": "munged.pid",
    "log-file": "munged.log",
    "seed-file": "munge.seed",
}


class Allocation(NamedTuple):
    """The GPUs of a job by index, and its start and end in seconds."""

    job: int
    gpus: tuple[str, ...]
    start: float
    end: float


@dataclass(frozen=True)
class Slurm:
    """A cluster whose files are in `folder`."""

    folder: Path
    cpus: int = 4
    gpus: int = 2
    shards: int = 4
    memory_mb: int = 32_000  # may be requested; SLURM is configured not to check that it exists

    @property
    def environment(self) -> dict[str, str]:
        """The environment of SLURM's commands. Without sacct, which needs a database to remember jobs."""
        path = f"{self.folder}/bin"
        return {**os.environ, "SLURM_CONF": f"{self.folder}/slurm.conf", "PATH": path}

    def start(self) -> None:
        """Start the daemons, and wait until the node is idle and jobs get GPUs by number."""
        self.folder.chmod(0o755)  # as munge requires
        for name in ("state", "spool", "dev", "bin"):
            (self.folder / name).mkdir(parents=True)
        self._write_configuration()
        self._link_programs()
        munge = [f"--{option}={self.folder}/{name}" for option, name in MUNGE_FILES.items()]
        subprocess.run(["munged", *munge, "--num-threads=2"], check=True)
        for daemon in (["slurmctld"], ["slurmd", "-N", "n1"]):
            subprocess.run(daemon, env=self.environment, check=True)
        self.wait_for(lambda: self.node_state() == "idle")
        visible = self.call(
            "srun", "--gpus=1", "sh", "-c", "echo $CUDA_VISIBLE_DEVICES"
        ).strip()
        assert visible in map(str, range(self.gpus)), f"a job sees GPU {visible!r}"

    def _link_programs(self) -> None:
        for folder in map(Path, ("/usr/sbin", "/usr/bin")):
            for program in folder.iterdir():
                link = self.folder / "bin" / program.name
                if program.name != "sacct" and not link.is_symlink():
                    link.symlink_to(program)

    def _write_configuration(self) -> None:
        for number in range(self.gpus):
            # SLURM needs a device whose last digit is the index of the GPU.
            (self.folder / f"dev/fakegpu{number}").symlink_to("/dev/null")
        (self.folder / "munge.key").write_bytes(os.urandom(1024))
        (self.folder / "munge.key").chmod(0o400)
        controller, node = free_ports(2)
        configuration = CONFIGURATION.format(
            host=socket.gethostname().split(".")[0],
            controller=controller,
            node=node,
            **vars(self),
        )
        (self.folder / "slurm.conf").write_text(configuration)
        devices = f"NodeName=n1 Name=gpu File={self.folder}/dev/fakegpu[0-{self.gpus - 1}]"
        shards = f"NodeName=n1 Name=shard Count={self.shards}"
        (self.folder / "gres.conf").write_text(f"{devices}\n{shards}\n")
        for name, event in (("prolog", "start"), ("epilog", "end")):
            script = self.folder / name
            script.write_text(NOTE_SCRIPT.format(event=event, folder=self.folder))
            script.chmod(0o755)
        for name in ("slurm.conf", "gres.conf"):
            (SYSTEM_FOLDER / name).unlink(missing_ok=True)
            (SYSTEM_FOLDER / name).symlink_to(self.folder / name)

    def stop(self) -> None:
        """End every job and every daemon."""
        self.call("scancel", "--user=root", strict=False)
        self.wait_for(lambda: not self.call("squeue", "-h", strict=False))
        for daemon in reversed(DAEMONS):
            self.stop_daemon(daemon)
        for name in ("slurm.conf", "gres.conf"):
            (SYSTEM_FOLDER / name).unlink(missing_ok=True)

    def stop_daemon(self, daemon: str) -> None:
        """End one daemon, if it started, and wait for its end."""
        if not (self.folder / f"{daemon}.pid").exists():
            return
        pid = int((self.folder / f"{daemon}.pid").read_text())
        os.kill(pid, signal.SIGTERM)
        self.wait_for(lambda: not is_alive(pid))

    def restart_controller(self, away_seconds: float) -> None:
        """Stop slurmctld for a while; jobs continue meanwhile."""
        self.stop_daemon("slurmctld")
        time.sleep(away_seconds)
        subprocess.run(["slurmctld"], env=self.environment, check=True)
        self.wait_for(lambda: self.node_state() != "")

    def call(self, *command: str, strict: bool = True) -> str:
        """Return the output of a SLURM command, which must succeed if `strict`."""
        done = subprocess.run(
            command,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        assert done.returncode == 0 or not strict, f"{' '.join(command)}: {done.stderr}"
        return done.stdout

    def node_state(self) -> str:
        """Return idle, mixed, allocated, drained ...; blank where the controller does not answer."""
        return self.call("sinfo", "-h", "-n", "n1", "-o", "%T", strict=False).strip()

    def jobs(self, rule: str = "", *options: str) -> list[str]:
        """Return the numbers of a rule's jobs that wait or run."""
        lines = self.call("squeue", "-h", *options, "-o", "%i %k").splitlines()
        return [line.split()[0] for line in lines if rule in line]

    def running(self, rule: str = "") -> list[str]:
        """Return the numbers of a rule's jobs that run."""
        return self.jobs(rule, "-t", "running")

    def ended(self) -> dict[str, dict[str, str]]:
        """Return SLURM's record of each job that ended, by number: JobState, TimeLimit, Tres ..."""
        records = {}
        for line in (self.folder / "ended.log").read_text().splitlines():
            record = dict(word.split("=", 1) for word in line.split() if "=" in word)
            records[record["JobId"]] = record
        return records

    def allocations(self) -> list[Allocation]:
        """Return the allocations that have ended, from the notes of the node's prolog and epilog."""
        notes: dict[str, dict[str, tuple[float, str]]] = {}
        for line in (self.folder / "allocations").read_text().splitlines():
            event, job, seconds, gpus = line.split()
            notes.setdefault(job, {})[event] = (float(seconds), gpus)
        allocations = []
        for job, events in notes.items():
            if len(events) == 2:
                (start, names), (end, _) = events["start"], events["end"]
                gpus = tuple(name for name in names.split(",") if name != "none")
                allocations.append(Allocation(int(job), gpus, start, end))
        return allocations

    def wait_for(
        self, condition: Callable[[], object], seconds: float = TIMEOUT_SECONDS
    ) -> None:
        """Wait until the condition holds; an error after `seconds`."""
        deadline = time.monotonic() + seconds
        while not condition():
            jobs = self.call("squeue", strict=False)
            assert time.monotonic() < deadline, f"waited {seconds} s; jobs: {jobs}"
            time.sleep(0.2)


def free_ports(count: int) -> list[int]:
    """Return different free ports of the loopback interface."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def is_alive(pid: int) -> bool:
    """Return whether the process runs; a zombie does not."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def missing_requirement() -> str | None:
    """Return why a cluster cannot be started on this machine; None where it can."""
    programs = (*DAEMONS, "sbatch", "srun", "squeue")
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        return f"needs SLURM and munge: {', '.join(missing)} not found"
    if os.geteuid() != 0:
        return "needs root: the daemons of SLURM start jobs as other users"
    if (SYSTEM_FOLDER / "slurm.conf").exists():
        return f"{SYSTEM_FOLDER}/slurm.conf exists: this machine belongs to a cluster"
    return None
