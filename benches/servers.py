"""The servers under test, each in a directory of its own, on free ports of this machine."""

import glob
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import process

START_SECONDS = 60


class Failed(Exception):
    """A server did not start or did not answer."""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """What they have in common; `command` and `answers` are each one's own."""

    def __init__(self, directory):
        self.directory = directory
        self.ports = {}
        self.process = None

    def start(self):
        self.set_up()
        log = open(self.directory / "server.log", "ab")
        self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.wait()

    def wait(self):
        """Until the server answers; polls without a pause that would blur the start-up time."""
        end = time.monotonic() + START_SECONDS
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                raise Failed(f"{self.name} does not start: {self.log_tail()}")
            time.sleep(0.001)

    def stop(self):
        if self.process and self.process.poll() is None:
            # Below runuser the server is a child; the signal is for the server itself.
            os.kill(self.pid(), signal.SIGINT if self.name == "postgresql" else signal.SIGTERM)
            self.process.wait(START_SECONDS)
        self.process = None

    def pid(self):
        return process.main_pid(self.process.pid)

    def cpu_seconds(self):
        return process.cpu_seconds(self.pid())

    def log_tail(self):
        text = (self.directory / "server.log").read_text(errors="replace")
        return " | ".join(text.strip().splitlines()[-5:])

    def asked(self, port, question, answer):
        """Whether the server on `port` gives `answer` to the bytes of `question`."""
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as stream:
                stream.sendall(question)
                received = b""
                while answer not in received:
                    part = stream.recv(65536)
                    # Closed, or an error of Redis: it is loading its data.
                    if not part or part.startswith(b"-"):
                        return False
                    received += part
                return True
        except OSError:
            return False

    def answers_sql(self, user, database):
        """SELECT 1 in PostgreSQL's simple protocol; the row that comes back is `1`."""
        body = b"\0\x03\0\0" + f"user\0{user}\0database\0{database}\0\0".encode()
        start = (len(body) + 4).to_bytes(4, "big") + body
        query = b"Q" + (13).to_bytes(4, "big") + b"SELECT 1\0"
        return self.asked(self.ports["pg"], start + query, b"D\0\0\0\x0b\0\x01\0\0\0\x011")


class HeliosDB(Server):
    name = "heliosdb"
    user, database = "helios", "heliosdb"

    def __init__(self, directory, binary):
        super().__init__(directory)
        self.binary = binary

    def set_up(self):
        self.directory.mkdir(exist_ok=True)
        self.ports = {name: free_port() for name in ("pg", "redis", "mongo", "http", "grpc")}
        (self.directory / "heliosdb.toml").write_text("[server]\nmax_connections = 10000\n")

    def command(self):
        ports = [f"--{name}-port={port}" for name, port in self.ports.items()]
        data = ["--config", str(self.directory / "heliosdb.toml"), "--data-dir", str(self.directory / "data"), "--listen", "127.0.0.1"]
        return [str(self.binary), "start", *data, *ports]

    def answers(self):
        return self.answers_sql(self.user, self.database)

    def version(self):
        return subprocess.run([self.binary, "version"], capture_output=True, text=True).stdout.strip()


class PostgreSQL(Server):
    name = "postgresql"
    user, database = "postgres", "postgres"
    settings = {"shared_buffers": "1GB", "listen_addresses": "127.0.0.1", "max_connections": "300"}

    def __init__(self, directory):
        super().__init__(directory)
        found = sorted(glob.glob("/usr/lib/postgresql/15/bin")) or sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not found:
            raise Failed("PostgreSQL is missing: run deploy/setup.sh bench")
        self.bin = pathlib.Path(found[-1])

    def as_user(self, *command):
        """PostgreSQL refuses to run as root."""
        return ["runuser", "-u", "postgres", "--", *command] if os.getuid() == 0 else list(command)

    def set_up(self):
        data = self.directory / "data"
        if not data.exists():
            self.directory.mkdir()
            if os.getuid() == 0:
                shutil.chown(self.directory, "postgres")
            init = [str(self.bin / "initdb"), "-D", str(data), "-A", "trust", "-U", self.user, "-E", "UTF8", "--locale=C.UTF-8"]
            done = subprocess.run(self.as_user(*init), capture_output=True, text=True, cwd="/")
            if done.returncode:
                raise Failed(f"initdb: {done.stderr.strip()}")
        self.ports = {"pg": free_port()}

    def command(self):
        settings = self.settings | {"port": self.ports["pg"], "unix_socket_directories": self.directory}
        flags = [flag for key, value in settings.items() for flag in ("-c", f"{key}={value}")]
        return self.as_user(str(self.bin / "postgres"), "-D", str(self.directory / "data"), *flags)

    def answers(self):
        return self.answers_sql(self.user, self.database)

    def version(self):
        done = subprocess.run([self.bin / "postgres", "--version"], capture_output=True, text=True)
        return done.stdout.strip()


class Redis(Server):
    name = "redis"

    def set_up(self):
        if not shutil.which("redis-server"):
            raise Failed("Redis is missing: run deploy/setup.sh bench")
        self.directory.mkdir(exist_ok=True)
        self.ports = {"redis": free_port()}

    def command(self):
        flags = ["--port", str(self.ports["redis"]), "--bind", "127.0.0.1", "--dir", str(self.directory)]
        return ["redis-server", *flags, "--appendonly", "yes", "--appendfsync", "everysec"]

    def answers(self):
        return self.asked(self.ports["redis"], b"PING\r\n", b"+PONG\r\n")

    def version(self):
        done = subprocess.run(["redis-server", "--version"], capture_output=True, text=True)
        return " ".join(done.stdout.split()[:3])


class Servers:
    """Starts each server when it is first asked for; one that is not needed is not there."""

    def __init__(self, binary, directory):
        self.all = {
            "heliosdb": lambda: HeliosDB(directory / "heliosdb", binary),
            "postgresql": lambda: PostgreSQL(directory / "postgresql"),
            "redis": lambda: Redis(directory / "redis"),
        }
        self.made = {}

    def make(self, name):
        if name not in self.made:
            self.made[name] = self.all[name]()
        return self.made[name]

    def get(self, name):
        server = self.make(name)
        if server.process is None:
            server.start()
        return server

    def anew(self, name):
        """This server alone, on an empty directory."""
        self.stop()
        server = self.made.pop(name, None) or self.make(name)
        shutil.rmtree(server.directory, ignore_errors=True)
        self.made.pop(name, None)
        return self.get(name)

    def stop(self):
        for server in self.made.values():
            server.stop()
