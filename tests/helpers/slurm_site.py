"""A real Slurm on this machine: one node, no database; nothing but Debian's packages ``slurm-wlm`` and ``munge``."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo")

# Slurm's own pauses are for thousands of nodes: these are the shortest it takes.
CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={slurmd_port}
AuthType=auth/munge
AuthInfo=socket={home}/munge.socket
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd.pid
SlurmctldLogFile={home}/slurmctld.log
SlurmdLogFile={home}/slurmd.log
SlurmctldDebug=verbose
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MaxArraySize={max_array}
KillWait=2
MinJobAge=60
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=1000 State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """Programs that a site needs and that are not here."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return [name for name in PROGRAMS if shutil.which(name, path=path) is None]


class Site:
    """Start the daemons, wait for the node, stop them by their process ids."""

    def __init__(self, max_array: int = 1001) -> None:
        # Not pytest's folder: a Unix socket's path must stay below 108 characters.
        self.home = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.host = socket.gethostname().split(".")[0]
        self.conf = self.home / "slurm.conf"
        self._processes: list[subprocess.Popen[bytes]] = []
        for name in ("state", "spool"):
            (self.home / name).mkdir()
        ctld_port, slurmd_port = _free_ports(2)
        self.conf.write_text(
            CONFIG.format(
                host=self.host, home=self.home, user=getpass.getuser(), cpus=os.cpu_count(),
                ctld_port=ctld_port, slurmd_port=slurmd_port, max_array=max_array,
            )
        )  # fmt: skip
        self.env = {**os.environ, "SLURM_CONF": str(self.conf), "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}

    def start(self) -> None:
        key = self.home / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        names = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        options = [f"--{option}={self.home}/munge.{end}" for option, end in names.items()]
        self.home.chmod(0o755)
        self._spawn(["munged", "--foreground", "--force", "--num-threads=1", *options])
        _wait(lambda: (self.home / "munge.socket").exists(), "munged's socket")
        self._spawn(["slurmctld", "-D"])
        self._spawn(["slurmd", "-D", "-N", self.host])
        _wait(lambda: "idle" in self.run("sinfo", "-h", "-o", "%T", check=False), "an idle node")

    def run(self, *words: str, check: bool = True) -> str:
        """Output of a Slurm command."""
        done = subprocess.run(words, env=self.env, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def bring_back(self) -> None:
        """Put the node that was set down to work again, unless Slurm has done so since it registered anew."""
        self.run("scontrol", "update", f"nodename={self.host}", "state=resume", check=False)
        _wait(lambda: "down" not in self.run("sinfo", "-h", "-o", "%T"), "the node to be up")

    def drain(self, seconds: float = 60) -> None:
        """Wait until no job is left."""
        _wait(lambda: not self.run("squeue", "-h", "-r"), "an empty queue", seconds)

    def stop(self) -> None:
        self.run("scancel", "--user", getpass.getuser(), check=False)
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
        for process in reversed(self._processes):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def log(self) -> str:
        """The ends of the daemons' logs, for a test that fails."""
        return "\n".join(path.read_text()[-3000:] for path in sorted(self.home.glob("slurm*.log")))

    def _spawn(self, command: list[str]) -> None:
        out = (self.home / f"{command[0]}.out").open("wb")
        self._processes.append(subprocess.Popen(command, env=self.env, stdout=out, stderr=out))


def _free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


def _wait(ready, what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.2)
