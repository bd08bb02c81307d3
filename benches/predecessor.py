"""How the predecessor writes events, for the side-by-side benchmark.

One lock; for each event the next id goes into index.json (a temporary file,
fsync, rename), then the stream's folder is looked through for its last segment,
which is opened, appended to and closed. The event itself is never synced.

    predecessor.py FOLDER EVENTS SECONDS

Prints events, bytes, seconds, processor seconds, and the p50, p99, p99.9 and
the longest time of one append in nanoseconds.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path

LIMIT = 5 * 1024 * 1024
KEYS = ("timestamp", "domain", "category", "model_name", "operation", "logical_user_id",
        "request_id", "payload")


class Trail:
    def __init__(self, root):
        self.root = Path(root)
        self.root.mkdir(parents=True, exist_ok=True)
        self.index = self.root / "index.json"
        self.lock = threading.Lock()

    def append(self, event):
        with self.lock:
            event_id = self.next_id()
            line = {"event_id": event_id}
            line.update((key, event[key]) for key in KEYS if event.get(key) is not None)
            text = json.dumps(line, separators=(",", ":")) + "\n"
            with open(self.segment(event["domain"], event["category"]), "a") as file:
                file.write(text)
            return len(text)

    def next_id(self):
        last = json.loads(self.index.read_text())["last_event_id"] if self.index.exists() else 0
        temporary = self.index.with_suffix(".tmp")
        with open(temporary, "w") as file:
            json.dump({"last_event_id": last + 1}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.index)
        return last + 1

    def segment(self, domain, category):
        folder = self.root / domain / category
        folder.mkdir(parents=True, exist_ok=True)
        segments = sorted(folder.glob("audit-*.jsonl"))
        if not segments:
            return folder / "audit-000001.jsonl"
        if segments[-1].stat().st_size < LIMIT:
            return segments[-1]
        return folder / f"audit-{int(segments[-1].stem[6:]) + 1:06}.jsonl"


def main(folder, events, seconds):
    with open(events) as file:
        events = [json.loads(line) for line in file]
    trail = Trail(folder)
    times = []
    count = 0
    size = 0
    start = time.perf_counter()
    cpu = time.process_time()
    while time.perf_counter() - start < seconds:
        before = time.perf_counter_ns()
        size += trail.append(events[count % len(events)])
        times.append(time.perf_counter_ns() - before)
        count += 1
    taken = time.perf_counter() - start
    cpu = time.process_time() - cpu
    times.sort()
    at = [times[min(len(times) - 1, int(len(times) * q))] for q in (0.5, 0.99, 0.999)]
    print(count, size, taken, cpu, *at, times[-1])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
