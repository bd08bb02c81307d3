#!/usr/bin/env python3
"""How fast Python appends, beside the writer that came before this library.

    AUDITRAIL_LIB=target/release/libauditrail.so benches/python.py [FOLDER]

The trails are made in FOLDER (default: here), which should be on the disk that
you care about, and are removed. All rows of a run append the same events; the
best of three is shown. The writer of before is rebuilt, in predecessor.py, from
how it writes. (It also validated each event; that cost is left out.)
"""

import pathlib
import shutil
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bindings" / "python"))
from auditrail import AuditTrailWriter, Durability, Trail, library_version  # noqa: E402
from predecessor import Trail as Before  # noqa: E402

SECONDS = 1.0


EVENTS = [
    {
        "domain": ("legacy", "v2")[index % 2],
        "category": ("image_generation", "text_generation", "clip")[index % 3],
        "model_name": f"model-{index % 26}",
        "operation": "update",
        "logical_user_id": f"user-{index % 7}",
        "request_id": f"{index * 2654435761 % 2**48:012x}",
        "payload": {"delta": {"nsfw": {"old": False, "new": True},
                              "version": {"old": "1.0", "new": "1.1"},
                              "description": {"old": None, "new": "A model for pictures, im\u00fcr so."}}},
    }
    for index in range(1000)
]


def rate(folder, make, append, threads=1):
    """Appends a second: the best of three runs, over `SECONDS` each."""
    best = 0.0
    for _ in range(3):
        root = tempfile.mkdtemp(prefix="bench-", dir=folder)
        trail = make(root)
        counts = [0] * threads
        begin = time.perf_counter()
        end = begin + SECONDS

        def work(mine):
            done = 0
            while time.perf_counter() < end:
                done += append(trail)
            counts[mine] = done

        workers = [threading.Thread(target=work, args=(index,)) for index in range(1, threads)]
        for worker in workers:
            worker.start()
        work(0)
        for worker in workers:
            worker.join()
        if hasattr(trail, "close"):
            trail.close()
        best = max(best, sum(counts) / (time.perf_counter() - begin))
        shutil.rmtree(root)
    return best


def some(append, count):
    """Appends `count` events, one by one."""
    turn = iter(range(0, 10**12, count))

    def go(trail):
        start = next(turn) % 1000
        for event in EVENTS[start:start + count]:
            append(trail, event)
        return count

    return go


def each(trail, event):
    trail.append(**event)


def before(trail, event):
    trail.append(event)


def each_event(writer, event):
    writer.append_event(**event)


def batch(trail):
    trail.append_batch(EVENTS[:500])
    return 500


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else "."
    rows = [("the writer of before", rate(folder, Before, some(before, 1)))]
    print(f"auditrail {library_version()}, Python {sys.version.split()[0]}, events a second:\n")

    def row(name, *what, **options):
        rows.append((name, rate(folder, *what, **options)))

    row("AuditTrailWriter.append_event (shared, WRITTEN)", AuditTrailWriter, some(each_event, 100))
    row("Trail.append, WRITTEN", Trail, some(each, 100))
    row("Trail.append, BUFFERED", lambda root: Trail(root, durability=Durability.BUFFERED),
        some(each, 100))
    row("Trail.append_batch of 500, WRITTEN", Trail, batch)
    for threads in (1, 4, 16, 64):
        row(f"Trail.append, SYNCED, {threads} thread{'s' * (threads > 1)}",
            lambda root: Trail(root, durability=Durability.SYNCED), some(each, 1), threads=threads)
    base = rows[0][1]
    for name, value in rows:
        print(f"  {name:<50} {value:>10,.0f} {value / base:>9.1f} x")


if __name__ == "__main__":
    main()
