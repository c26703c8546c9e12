"""What was measured, judged against the targets: a table to read and a file to compute with."""

import dataclasses
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
from dataclasses import dataclass, field


@dataclass
class Target:
    """A limit for the median of something: of "ratio" (HeliosDB's figure divided by the peer's in the same
    round), of "CPU ratio" (the same of the servers' processor time per operation), or of "value"."""

    limit: float
    of: str = "ratio"
    at_least: bool = True

    def is_met(self, value):
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self):
        return f"{self.of} {'≥' if self.at_least else '≤'} {self.limit:g}"


def at_least(limit, of="ratio"):
    return Target(limit, of)


def at_most(limit, of="ratio"):
    return Target(limit, of, at_least=False)


@dataclass
class Result:
    """One benchmark: a figure of each round, and the processor time of the servers in µs per operation."""

    benchmark: str
    unit: str
    ours: list = field(default_factory=list)
    peer: str = ""
    peers: list = field(default_factory=list)
    our_cpu: list = field(default_factory=list)
    peer_cpu: list = field(default_factory=list)
    target: Target | None = None
    error: str = ""

    def values(self, of):
        """What a target of this kind limits, round by round."""
        if of == "value":
            return self.ours
        mine, theirs = (self.our_cpu, self.peer_cpu) if of == "CPU ratio" else (self.ours, self.peers)
        return [m / t for m, t in zip(mine, theirs) if t]

    def judged(self):
        return self.values(self.target.of if self.target else "ratio")

    def verdict(self):
        if self.error:
            return "FAILED"
        if not self.target:
            return ""
        judged = self.judged()
        return "met" if judged and self.target.is_met(statistics.median(judged)) else "NOT MET"


def machine(heliosdb):
    model = "unknown processor"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    version = subprocess.run([heliosdb, "version"], capture_output=True, text=True).stdout.strip()
    now = datetime.datetime.now(datetime.timezone.utc)
    return (f"{now:%Y-%m-%d %H:%M} UTC, {os.cpu_count()} × {model}, Linux {platform.release()}, "
            f"{version} at {commit.stdout.strip() or 'no commit'} ({heliosdb})")


def number(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def spread(values, mark=""):
    """The median, with the least and the greatest when there are several."""
    if not values:
        return ""
    middle = f"{mark}{number(statistics.median(values))}{mark}"
    return middle if len(values) == 1 else f"{middle} ({number(min(values))}–{number(max(values))})"


def line(result):
    if result.error:
        cells = [result.benchmark, "FAILED", "", "", str(result.target or ""), "FAILED", "", ""]
    else:
        peers = f"{spread(result.peers)} {result.peer}" if result.peer else ""
        cells = [
            result.benchmark, f"{spread(result.ours)} {result.unit}", peers,
            spread(result.judged(), "**") if result.peer else "", str(result.target or ""), result.verdict(),
            spread(result.our_cpu), spread(result.peer_cpu),
        ]
    return "| " + " | ".join(cells) + " |"


HEAD = ["benchmark", "HeliosDB", "peer", "judged", "target", "met", "HeliosDB CPU µs/op", "peer CPU µs/op"]


def markdown(results, options, heliosdb):
    judged = [result for result in results if result.target or result.error]
    out = [
        machine(heliosdb), "",
        f"Medians (least–greatest) of {options.rounds} rounds of {options.seconds:g} s, peer and HeliosDB in turn. Ratios are "
        "HeliosDB's figure divided by the peer's in the same round. CPU: the server's user and system time.", "",
        "| " + " | ".join(HEAD) + " |", "| --- " * len(HEAD) + "|",
        *map(line, results), "",
        f"{sum(r.verdict() == 'met' for r in judged)} of {len(judged)} targets are met; "
        f"{sum(bool(r.error) for r in results)} benchmarks failed.",
    ]
    return "\n".join(out + [f"FAILED {r.benchmark}: {' '.join(r.error.split())}" for r in results if r.error])


def save(directory, text, results, heliosdb):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.md").write_text(text + "\n")
    rows = [dataclasses.asdict(r) | {"judged": r.judged(), "verdict": r.verdict()} for r in results]
    everything = {"machine": machine(heliosdb), "results": rows}
    (directory / "results.json").write_text(json.dumps(everything, indent=1) + "\n")
