"""Clients of one connection that ask for one row by its key, or change it, and do nothing else: the
requests are made by hand, so that the load generator costs little beside the server."""

import socket
import struct


class Lost(Exception):
    """The server closed the connection or answered something else."""


class Connection:
    def __init__(self, port):
        self.stream = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def receive(self):
        part = self.stream.recv(65536)
        if not part:
            raise Lost("connection closed")
        return part

    def exactly(self, received, length):
        while len(received) < length:
            received += self.receive()
        return received


class Sql(Connection):
    """PostgreSQL's extended protocol: one prepared statement with one number as its parameter."""

    def __init__(self, port, statement, user="helios", database="heliosdb"):
        super().__init__(port)
        body = b"\0\x03\0\0" + f"user\0{user}\0database\0{database}\0\0".encode()
        self.ask(struct.pack("!i", len(body) + 4) + body)
        self.ask(self.message(b"P", b"s\0" + statement.encode() + b"\0\0\0") + self.message(b"S", b""))

    @staticmethod
    def message(kind, body):
        return kind + struct.pack("!i", len(body) + 4) + body

    def ask(self, request):
        self.stream.sendall(request)
        answer = b""
        while not answer.endswith(b"Z\0\0\0\x05I"):
            answer += self.receive()
            if answer.startswith(b"E"):
                raise Lost(answer)
        return answer

    def one(self, number):
        text = str(number).encode()
        bind = b"\0s\0\0\0" + struct.pack("!hi", 1, len(text)) + text + b"\0\0"
        answer = self.ask(self.message(b"B", bind) + self.message(b"E", b"\0\0\0\0\0") + self.message(b"S", b""))
        # Bound, and a row or a tag that says that there was one.
        if not answer.startswith(b"2") or b" 1\0" not in answer:
            raise Lost(answer)


def bson(document):
    out = b""
    for name, value in document.items():
        key = name.encode() + b"\0"
        match value:
            case bool():
                out += b"\x08" + key + bytes([value])
            case int():
                out += b"\x10" + key + struct.pack("<i", value)
            case str():
                out += b"\x02" + key + struct.pack("<i", len(value.encode()) + 1) + value.encode() + b"\0"
            case list():
                out += b"\x04" + key + bson({str(n): v for n, v in enumerate(value)})
            case _:
                out += b"\x03" + key + bson(value)
    return struct.pack("<i", len(out) + 5) + out + b"\0"


class Mongo(Connection):
    """MongoDB's messages; `command` makes one of a number."""

    def __init__(self, port, command, expected):
        super().__init__(port)
        self.command, self.expected = command, expected

    def one(self, number):
        body = b"\0\0\0\0\0" + bson(self.command(number) | {"$db": "bench"})
        self.stream.sendall(struct.pack("<iiii", len(body) + 16, 1, 0, 2013) + body)
        answer = self.exactly(b"", 4)
        answer = self.exactly(answer, struct.unpack_from("<i", answer)[0])
        if self.expected not in answer or b"\x01ok\0" + struct.pack("<d", 1) not in answer:
            raise Lost(answer)


class Http(Connection):
    """HTTP/1.1 on one connection; `request` makes method, path and body of a number."""

    def __init__(self, port, request):
        super().__init__(port)
        self.request = request

    def one(self, number):
        method, path, body = self.request(number)
        kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        self.stream.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{kind}\r\n{body}".encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self.receive()
        head, _, rest = answer.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        rest = self.exactly(rest, length)
        if b" 200 " not in head.split(b"\r\n")[0] or b"payload" not in rest:
            raise Lost(head + rest)


class Grpc(Connection):
    """ExecuteQuery over HTTP/2, one stream after the other."""

    DATA, HEADERS, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 4, 6, 7, 8
    END_STREAM, END_HEADERS, ACK = 1, 4, 1

    def __init__(self, port, sql):
        super().__init__(port)
        self.sql = sql.encode()
        fields = {
            ":method": "POST", ":scheme": "http", ":path": "/heliosdb.v1.HeliosDB/ExecuteQuery", ":authority": "localhost",
            "content-type": "application/grpc", "te": "trailers",
        }
        literal = lambda text: bytes([len(text)]) + text.encode()
        self.head = b"".join(b"\0" + literal(name) + literal(value) for name, value in fields.items())
        self.stream_number, self.received = 1, b""
        window = self.frame(self.WINDOW_UPDATE, 0, 0, struct.pack("!I", (1 << 31) - 65536))
        self.stream.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + self.frame(self.SETTINGS, 0, 0, b"") + window)

    @staticmethod
    def frame(kind, flags, stream, body):
        return struct.pack("!I", len(body))[1:] + struct.pack("!BBI", kind, flags, stream) + body

    def next_frame(self):
        self.received = self.exactly(self.received, 9)
        length = int.from_bytes(self.received[:3], "big")
        self.received = self.exactly(self.received, 9 + length)
        kind, flags = self.received[3], self.received[4]
        body, self.received = self.received[9 : 9 + length], self.received[9 + length :]
        return kind, flags, body

    def one(self, number):
        value = number
        varint = b""
        while value >= 0x80:
            varint, value = varint + bytes([value & 0x7F | 0x80]), value >> 7
        parameter = b"\x18" + varint + bytes([value])
        query = b"\x0a" + bytes([len(self.sql)]) + self.sql + b"\x12" + bytes([len(parameter)]) + parameter
        message = b"\0" + struct.pack("!I", len(query)) + query
        self.stream.sendall(self.frame(self.HEADERS, self.END_HEADERS, self.stream_number, self.head)
                            + self.frame(self.DATA, self.END_STREAM, self.stream_number, message))
        self.stream_number += 2
        data = b""
        while True:
            kind, flags, body = self.next_frame()
            if kind == self.DATA:
                data += body
            elif kind == self.SETTINGS and not flags & self.ACK:
                self.stream.sendall(self.frame(self.SETTINGS, self.ACK, 0, b""))
            elif kind == self.PING and not flags & self.ACK:
                self.stream.sendall(self.frame(self.PING, self.ACK, 0, body))
            elif kind == self.GOAWAY:
                raise Lost(body)
            if kind in (self.DATA, self.HEADERS) and flags & self.END_STREAM:
                break
        if b"payload" not in data:
            raise Lost(data or body)


class Redis(Connection):
    """Commands as lists of bytes; replies are not looked into beyond errors."""

    def __init__(self, port):
        super().__init__(port)
        self.replies = self.stream.makefile("rb")

    @staticmethod
    def encode(words):
        return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)

    def reply(self):
        line = self.replies.readline()
        if not line or line.startswith(b"-"):
            raise Lost(line)
        if line.startswith(b"$") and line != b"$-1\r\n":
            return self.replies.read(int(line[1:]) + 2)
        return line

    def ask(self, *words):
        self.stream.sendall(self.encode(words))
        return self.reply()

    def pipeline(self, commands):
        self.stream.sendall(b"".join(map(self.encode, commands)))
        for _ in commands:
            self.reply()
