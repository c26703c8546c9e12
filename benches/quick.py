"""Guards against regressions in a few minutes, on any machine: not by times but by instructions per
operation where the processor's counters can be read, else by the ratio of HeliosDB's processor time per
operation to the peer's in the same rounds. quick.json has what was measured when it was recorded."""

import json
import pathlib
import statistics

import process

RECORD = pathlib.Path(__file__).parent / "quick.json"
NAMES = (
    "pgbench-S-prepared-8", "pgbench-S-simple-8", "pgbench-N-prepared-8", "sql-index_lookup-8", "sql-range_100-8",
    "sql-upsert-8", "sql-join-8", "redis-GET", "redis-SET", "redis-GET-P16", "redis-SET-P16", "redis-LPUSH-P16",
    "mongo-find", "rest-row", "grpc-query",
)
SECONDS, ROUNDS = 1.5, 2
# More than this times the recorded figure is a regression.
MORE_INSTRUCTIONS, MORE_TIME = 1.10, 1.35


def counted(workload, server, options):
    """Instructions per operation of one more run."""
    workload.ready(server, options)
    with process.Instructions(server.pid()) as instructions:
        _, operations = workload.run(server, options)
    return instructions.count / operations


def figures(workload, result, running, options, counts):
    """What is compared with the record."""
    out = {"CPU ratio": statistics.median(result.values("CPU ratio"))}
    if counts:
        out["instructions"] = counted(workload, running.get("heliosdb"), options)
    return out


def judge(measured, failures, record):
    """Prints each figure beside the recorded one; whether all is well."""
    counts = process.Instructions.are_counted()
    print("compared by " + ("instructions per operation (perf stat -e instructions:u)" if counts else
          "ratios of processor time: perf stat cannot count instructions on this machine"))
    known = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    well = not failures
    for name, now in measured.items():
        # Counts of another machine's compiler and processor are no measure.
        kind = "instructions" if counts and "instructions" in known.get(name, {}) else "CPU ratio"
        before, limit = known.get(name, {}).get(kind), MORE_INSTRUCTIONS if kind == "instructions" else MORE_TIME
        if record or before is None:
            verdict = "recorded" if record else "NOT RECORDED: run benches/run.sh --quick --record"
            well &= record
        else:
            verdict = "well" if now[kind] <= before * limit else f"REGRESSION: more than {limit:g} times"
            well &= now[kind] <= before * limit
        was = "" if before is None else f", was {before:,.3g}"
        print(f"{name:24} {kind} {now[kind]:,.3g}{was}: {verdict}")
    for name, why in failures:
        print(f"{name:24} FAILED: {why}")
    if record and well:
        RECORD.write_text(json.dumps(known | measured, indent=1, sort_keys=True) + "\n")
    return well
