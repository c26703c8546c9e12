"""Load from several processes, each with one connection, until a time is over."""

import multiprocessing
import time

from rounds import Failed


def work(connect, number, count, end, pipe):
    """Does one operation after the other; sends how many, or what went wrong."""
    try:
        client, done = connect(), 0
        while time.monotonic() < end:
            client.one(number + done * count)
            done += 1
        pipe.send(done)
    except Exception as error:  # Whatever it is, it is the benchmark's failure and not the process'.
        pipe.send(f"{type(error).__name__}: {error}"[:400])


def together(connect, count, seconds):
    """Operations of `count` workers in about so many seconds. Each counts up in numbers of its own."""
    end = time.monotonic() + seconds
    started = []
    for number in range(count):
        here, there = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.Process(target=work, args=(connect, number, count, end, there), daemon=True)
        process.start()
        started.append((process, here))
    done = []
    for process, pipe in started:
        if not pipe.poll(seconds + 60):
            raise Failed("a client hangs")
        done.append(pipe.recv())
        process.join()
    wrong = [d for d in done if isinstance(d, str)]
    if wrong:
        raise Failed(wrong[0])
    return sum(done)
