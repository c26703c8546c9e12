"""What was measured, as a table to read and as files to compute with."""

import dataclasses
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
from dataclasses import dataclass


@dataclass
class Row:
    """One run of one server."""

    benchmark: str
    peer: str
    round: int
    server: str
    rate: float
    cpu_us: float


@dataclass
class Figure:
    """Something that is not a rate."""

    name: str
    server: str
    median: float
    least: float
    most: float


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


def table(head, lines):
    out = ["| " + " | ".join(head) + " |", "| --- " + "| ---: " * (len(head) - 1) + "|"]
    return out + ["| " + " | ".join(line) + " |" for line in lines]


def compared(rows):
    """One line a benchmark: rates, the ratio of each round, processor time."""
    for name in dict.fromkeys(row.benchmark for row in rows):
        own = [row for row in rows if row.benchmark == name]
        ours = {row.round: row for row in own if row.server == "heliosdb"}
        peers = {row.round: row for row in own if row.server == "peer"}
        rounds = sorted(ours.keys() & peers.keys())
        if not rounds:
            continue
        ratios = [ours[n].rate / peers[n].rate for n in rounds]
        median = lambda of, what: statistics.median(getattr(of[n], what) for n in rounds)
        yield [
            f"{name} / {own[0].peer}",
            f"{median(ours, 'rate'):,.0f}", f"{median(peers, 'rate'):,.0f}",
            f"{min(ratios):.2f}", f"**{statistics.median(ratios):.2f}**", f"{max(ratios):.2f}",
            f"{median(ours, 'cpu_us'):.1f}", f"{median(peers, 'cpu_us'):.1f}",
        ]


def markdown(rows, figures, failures, options, heliosdb):
    out = [machine(heliosdb), "",
           f"{options.rounds} rounds of {options.seconds:g} s, peer and HeliosDB in turn. Ratio: HeliosDB's "
           "operations per second divided by the peer's in the same round. CPU: server's user and system time.", ""]
    if rows:
        head = ["benchmark / peer", "HeliosDB op/s", "peer op/s", "ratio min", "median", "max", "HeliosDB CPU µs/op", "peer CPU µs/op"]
        out += table(head, compared(rows)) + [""]
    if figures:
        lines = [[f.name, f.server, f"{f.median:,.0f}", f"{f.least:,.0f}", f"{f.most:,.0f}"] for f in figures]
        out += table(["figure", "server", "median", "min", "max"], lines) + [""]
    out += [f"FAILED {name}: {why}" for name, why in failures]
    return "\n".join(out).strip()


def save(directory, text, rows, figures, failures):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.md").write_text(text + "\n")
    names = [field.name for field in dataclasses.fields(Row)]
    lines = ["\t".join(names)] + ["\t".join(str(getattr(row, n)) for n in names) for row in rows]
    (directory / "results.tsv").write_text("\n".join(lines) + "\n")
    everything = {
        "runs": [dataclasses.asdict(row) for row in rows],
        "figures": [dataclasses.asdict(figure) for figure in figures],
        "failures": [{"benchmark": name, "error": why} for name, why in failures],
    }
    (directory / "results.json").write_text(json.dumps(everything, indent=1) + "\n")
