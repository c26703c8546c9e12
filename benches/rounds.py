"""A benchmark that runs the same load against a peer and HeliosDB, A B A B."""

import subprocess
import sys

from report import Result


class Failed(Exception):
    """The load generator did not do what it was told."""


def tool(command, seconds, **how):
    """Runs a program, which has ten times the intended time; what it printed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60 + 10 * seconds, **how)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(str(error)) from error
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command))}: {(done.stderr or done.stdout).strip()[-400:]}")
    return done.stdout


class Paired:
    """`prepare` is done once for each server, `ready` before each run; `run` returns a figure and
    the number of operations that it took."""

    unit = "op/s"
    target = None

    def prepare(self, server, options):
        pass

    def ready(self, server, options):
        pass

    def measure(self, name, running, options):
        """The peer is another server, or HeliosDB itself under another load."""
        result = Result(name, self.unit, peer=self.peer, target=self.target)
        pair = ((running.get(self.peer), result.peers, result.peer_cpu),
                (running.get("heliosdb"), result.ours, result.our_cpu))
        for server, _, _ in pair:
            self.prepare(server, options)
        for number in range(1, options.rounds + 1):
            for server, figures, cpu in pair:
                self.ready(server, options)
                before = server.cpu_seconds()
                figure, operations = self.run(server, options)
                used = (server.cpu_seconds() - before) * 1e6 / operations
                figures.append(figure)
                cpu.append(used)
                print(f"  {name} round {number} {server.name}: {figure:,.0f} {self.unit}, "
                      f"{used:.2f} µs CPU/op", file=sys.stderr)
        return [result]
