"""Runs the benchmarks against HeliosDB and its peers in turn and prints what was measured beside the targets.

    benches/run.sh                          everything (about two hours)
    benches/run.sh 'pgbench-S-*' 'redis-*'  some, by name or pattern
    benches/run.sh --quick                  a guard against regressions, under five minutes
    HELIOSDB=path benches/run.sh            another binary than target/debug/heliosdb

Peer and HeliosDB run one after the other within each round (A B A B …), on the same machine, with
the same load generator and arguments. The peers have the durability that they are installed with
(PostgreSQL: fsync and synchronous_commit on; Redis: append-only file, fsync every second), which is
HeliosDB's default on the same ports.
"""

import argparse
import fnmatch
import os
import pathlib
import resource
import shutil
import sys
import tempfile

import bulk
import curves
import latency
import memory
import pgbench
import points
import process
import quick
import redis_benchmark
import report
import rounds
import servers
import startup
import wire

ALL = {
    name: benchmark
    for module in (pgbench, bulk, redis_benchmark, points, latency, memory, startup, curves)
    for name, benchmark in module.ALL.items()
}
FAILURES = (servers.Failed, rounds.Failed, wire.Lost, OSError)


def arguments():
    parser = argparse.ArgumentParser(
        prog="benches/run.sh",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("names", nargs="*", help="benchmarks; all when none is given")
    add("--list", action="store_true", help="print the names of the benchmarks")
    add("--quick", action="store_true", help="compare a few with what was recorded in quick.json")
    add("--record", action="store_true", help="with --quick: record instead")
    add("--seconds", type=float, default=5, help="length of one run [5]")
    add("--rounds", type=int, default=3, help="runs of each server [3]")
    add("--scale", type=int, default=10, help="pgbench's scale factor [10]")
    add("--rows", type=int, default=1_000_000, help="rows of COPY and CREATE INDEX [1000000]")
    add("--rows-max", type=int, default=1_000_000, help="where the curve over rows ends [1000000; in full 10000000]")
    add("--operations", type=int, default=1_000_000, help="of each flat-latency run [1000000; in full 10000000]")
    add("--start-bytes", type=int, default=1_000_000_000, help="where the curve of start-up times ends [1000000000]")
    add("--keys", type=int, default=100_000, help="keys that redis-benchmark spreads over; 0: one [100000]")
    add("--out", type=pathlib.Path, default=pathlib.Path("target/bench"))
    add("--work", default="/var/tmp", help="where the servers keep their data for the time [/var/tmp]")
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.rounds, options.scale = quick.SECONDS, quick.ROUNDS, 2
        options.names = options.names or list(quick.NAMES)
    return options


def chosen(patterns):
    unknown = [p for p in patterns if not fnmatch.filter(ALL, p)]
    if unknown:
        sys.exit(f"no such benchmark: {', '.join(unknown)}; known: {' '.join(ALL)}")
    return [n for n in ALL if not patterns or any(fnmatch.fnmatch(n, p) for p in patterns)]


def binary():
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    path = pathlib.Path(os.environ.get("HELIOSDB") or f"{target}/debug/heliosdb").absolute()
    if not os.access(path, os.X_OK):
        sys.exit(f"{path} is missing: run make bench, or set HELIOSDB")
    return path


def measure(name, running, options):
    """The results of one benchmark; one that fails is shown as such and does not hide the others."""
    benchmark = ALL[name]
    print(f"{name}", file=sys.stderr)
    try:
        if isinstance(benchmark, rounds.Paired | latency.Flat):
            return benchmark.measure(name, running, options)
        return benchmark(name, running, options)
    except FAILURES as failure:
        print(f"  {name} FAILED: {failure}", file=sys.stderr)
        running.stop()
        return [report.Result(name, "", target=getattr(benchmark, "target", None), error=str(failure) or type(failure).__name__)]


def run_all(names, running, options, heliosdb):
    results = []
    for name in names:
        results += measure(name, running, options)
        # What was measured is there when a later one is interrupted.
        text = report.markdown(results, options, heliosdb)
        report.save(options.out, text, results, heliosdb)
    print(text)
    return not any(result.error for result in results)


def run_quick(names, running, options):
    measured, failures = {}, []
    counts = process.Instructions.are_counted()
    for name in names:
        [result] = measure(name, running, options)
        if result.error:
            failures.append((name, result.error))
        else:
            measured[name] = quick.figures(ALL[name], result, running, options, counts)
    return quick.judge(measured, failures, options.record)


def main():
    options = arguments()
    if options.list:
        print("\n".join(ALL))
        return 0
    names = chosen(options.names)
    heliosdb = binary()
    # For thousands of connections, of the servers too.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    options.directory = pathlib.Path(tempfile.mkdtemp(prefix="heliosdb-bench-", dir=options.work))
    options.directory.chmod(0o755)
    running = servers.Servers(heliosdb, options.directory)
    try:
        if options.quick:
            well = run_quick(names, running, options)
        else:
            well = run_all(names, running, options, heliosdb)
    finally:
        running.stop()
        shutil.rmtree(options.directory, ignore_errors=True)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
