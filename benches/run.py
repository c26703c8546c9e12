"""Runs the benchmarks against HeliosDB and its peers in turn and prints a table of ratios.

    benches/run.sh                          everything
    benches/run.sh pgbench-S 'redis-*'      some, by name or pattern
    HELIOSDB=path benches/run.sh            another binary than target/release/heliosdb

Peer and HeliosDB run one after the other within each round (A B A B …), on the same machine, with
the same load generator and arguments. The peers have the durability that they are installed with
(PostgreSQL: fsync and synchronous_commit on; Redis: append-only file, fsync every second), which is
HeliosDB's default on the same ports.
"""

import argparse
import fnmatch
import os
import pathlib
import shutil
import sys
import tempfile

import report
import servers
import startup
import workloads


def arguments():
    parser = argparse.ArgumentParser(
        prog="benches/run.sh",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", help="benchmarks; all when none is given")
    parser.add_argument("--list", action="store_true", help="print the names of the benchmarks")
    parser.add_argument("--seconds", type=float, default=5, help="length of one run [5]")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each server [3]")
    parser.add_argument("--scale", type=int, default=10, help="pgbench's scale factor [10]")
    parser.add_argument(
        "--keys", type=int, default=100_000, help="keys that redis-benchmark spreads over; 0: one [100000]"
    )
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("target/bench"))
    parser.add_argument(
        "--work", default="/var/tmp", help="where the servers keep their data for the time [/var/tmp]"
    )
    return parser.parse_args()


def chosen(patterns):
    known = list(workloads.ALL) + list(startup.ALL)
    unknown = [p for p in patterns if not fnmatch.filter(known, p)]
    if unknown:
        sys.exit(f"no such benchmark: {', '.join(unknown)}; known: {' '.join(known)}")
    return [n for n in known if not patterns or any(fnmatch.fnmatch(n, p) for p in patterns)]


def binary():
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    path = pathlib.Path(os.environ.get("HELIOSDB") or f"{target}/release/heliosdb").absolute()
    if not os.access(path, os.X_OK):
        sys.exit(f"{path} is missing: build it with cargo build --release -p heliosdb, or set HELIOSDB")
    return path


def measure(name, options, running, rows):
    """All rounds of one benchmark."""
    work = workloads.ALL[name]
    pair = {"heliosdb": running.get("heliosdb"), "peer": running.get(work.peer)}
    for who, server in pair.items():
        work.prepare(server, options)
    for number in range(1, options.rounds + 1):
        for who in ("peer", "heliosdb"):
            server = pair[who]
            cpu = server.cpu_seconds()
            result = work.run(server, options)
            used = server.cpu_seconds() - cpu
            row = report.Row(name, work.peer, number, who, result.rate, used * 1e6 / result.operations)
            rows.append(row)
            print(f"  {name} round {number} {server.name}: {row.rate:,.0f}/s, "
                  f"{row.cpu_us:.2f} µs CPU/op", file=sys.stderr)


def main():
    options = arguments()
    if options.list:
        print("\n".join(list(workloads.ALL) + list(startup.ALL)))
        return 0
    names = chosen(options.names)
    heliosdb = binary()
    work = pathlib.Path(tempfile.mkdtemp(prefix="heliosdb-bench-", dir=options.work))
    work.chmod(0o755)
    rows, figures, failures = [], [], []
    running = servers.Servers(heliosdb, work)
    try:
        for name in names:
            try:
                if name in workloads.ALL:
                    measure(name, options, running, rows)
                else:
                    running.stop()
                    figures += startup.ALL[name](running)
            except (servers.Failed, workloads.Failed) as failure:
                # One that fails is shown as such and does not hide the others.
                failures.append((name, str(failure)))
                print(f"  {name} FAILED: {failure}", file=sys.stderr)
                running.stop()
    finally:
        running.stop()
        shutil.rmtree(work, ignore_errors=True)
    text = report.markdown(rows, figures, failures, options, heliosdb)
    report.save(options.out, text, rows, figures, failures)
    print(text)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
