"""What the kernel knows of a server's processes."""

import os
import pathlib
import signal
import subprocess

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def stat(pid):
    """The fields of /proc/PID/stat behind the name; None when the process is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None


def tree(pid):
    """A process and its descendants, by number, with their fields."""
    known = {int(p): stat(p) for p in os.listdir("/proc") if p.isdigit()}
    found, new = {}, [pid]
    while new:
        found |= {p: known[p] for p in new if known.get(p)}
        new = [p for p, fields in known.items() if fields and p not in found and int(fields[1]) in new]
    return found


def main_pid(pid):
    """The server behind runuser, which waits for it."""
    while pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "runuser":
        children = [p for p, fields in tree(pid).items() if int(fields[1]) == pid]
        if not children:
            break
        pid = children[0]
    return pid


def cpu_seconds(pid):
    """Processor time of a process, its descendants, and those of them that have ended: user and
    system time of each, and what its ended children had used (a PostgreSQL session is a process)."""
    return sum(sum(int(f) for f in fields[11:15]) for fields in tree(pid).values()) / TICKS


def resident_bytes(pid):
    """Memory in use. Pages that several processes share are counted once, in parts."""
    total = 0
    for process in tree(pid):
        try:
            text = pathlib.Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))
    return total


def disk_bytes(directory):
    """What the files below a directory take, in blocks."""
    return sum(file.stat().st_blocks * 512 for file in pathlib.Path(directory).rglob("*") if file.is_file())


class Instructions:
    """Counts the instructions that a process executes in user mode, with perf stat."""

    def __init__(self, pid):
        self.pid = pid

    @staticmethod
    def are_counted():
        try:
            done = subprocess.run(["perf", "stat", "-x,", "-e", "instructions:u", "true"], capture_output=True, text=True)
        except OSError:
            return False
        return done.returncode == 0 and "<not" not in done.stderr

    def __enter__(self):
        command = ["perf", "stat", "-x,", "-e", "instructions:u", "-p", str(self.pid)]
        self.perf = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_):
        self.perf.send_signal(signal.SIGINT)
        _, text = self.perf.communicate(timeout=10)
        self.count = int(text.strip().splitlines()[-1].split(",")[0])
