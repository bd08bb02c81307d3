"""Makes the benchmark's tables and picture from its results.

    report.py RESULTS DOCS MODE EVENTS FOLDER

Writes DOCS/benchmarks.svg, and into DOCS/benchmarks.md between its two markers
(the file is made where it is missing). Only the standard library is used.

Each figure is the median over the rounds, with the smallest and the largest.
A ratio is taken within a round, between runs that lay seconds apart, and then
the median of those ratios: what the machine does meanwhile hits both alike.
"""

import json
import os
import platform
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

BEGIN = "<!-- made by benches/run.sh from here -->"
END = "<!-- to here -->"
LIMITS = {"locked buffer", "write(2)", "mutex + write(2)", "pwrite + fdatasync", "group commit",
          "a buffer a stream", "a trail each"}
LARGE_BUFFER = 32 * 1024 * 1024
SEGMENT = 5 * 1024 * 1024


class Spread:
    """The median of some figures, with the smallest and the largest."""

    def __init__(self, figures):
        self.low, self.mid, self.high = min(figures), median(figures), max(figures)

    def show(self, how):
        return f"{how(self.mid)} ({how(self.low)} to {how(self.high)})"


class Results:
    def __init__(self, path):
        self.runs = defaultdict(dict)
        self.failed = {}
        for text in Path(path).read_text().splitlines():
            run = json.loads(text)
            key = workload(run) + (run["contender"],)
            if run["error"]:
                self.failed[key] = run["error"]
            else:
                self.runs[key][run["round"]] = run

    def figures(self, key, measure):
        return {n: measure(run) for n, run in self.runs.get(key, {}).items()}

    def spread(self, key, measure):
        figures = self.figures(key, measure)
        return Spread(list(figures.values())) if figures else None

    def ratio(self, key, other, measure):
        ours, theirs = self.figures(key, measure), self.figures(other, measure)
        ratios = [ours[n] / theirs[n] for n in ours if theirs.get(n)]
        return Spread(ratios) if ratios else None


def workload(run):
    return (run["group"], run["events"], run["threads"], run["streams"], run["batch"],
            run["segment_bytes"], run["open_files"], run["buffer_bytes"])


def key(group, contender, events="real", threads=1, streams=0, batch=1, segment=SEGMENT, files=0,
        buffer=0):
    return (group, events, threads, streams, batch, segment, files, buffer, contender)


def rate(run):
    return run["appended"] / run["seconds"]


def memory(run):
    return run["memory_kb"] / 1024


def cpu(run):
    return run["cpu_seconds"] / run["appended"] * 1e9


def count(n):
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if n >= size:
            return f"{n / size:.3g} {unit}"
    return f"{n:.3g}"


def time(ns):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.0f} ns"


def times(ratio):
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def title(work):
    group, events, threads, streams, batch, segment, files, buffer = work
    parts = [f"{threads} thread" + ("s" if threads > 1 else "")]
    parts.append("real events" if events == "real" else f"events of {size(int(events))}")
    if streams:
        parts.append(f"{streams:,} stream" + ("s" if streams > 1 else ""))
    if batch > 1:
        parts.append(f"batches of {batch}")
    if segment != SEGMENT:
        parts.append(f"segments of {size(segment)}")
    if files:
        parts.append(f"up to {files:,} open files")
    if buffer:
        parts.append(f"a buffer of {size(buffer)}")
    return f"{group}, " + ", ".join(parts)


def size(n):
    for unit, of in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if n >= of and n % of == 0:
            return f"{n // of} {unit}"
    return f"{n} B"


def table(results):
    """Every workload with every contender."""
    works = list(dict.fromkeys(k[:-1] for k in results.runs))
    works.sort(key=lambda w: ["BUFFERED", "MAPPED", "WRITTEN", "SYNCED"].index(w[0]))
    lines = ["| workload | who | events/s | ours / theirs | p50 | p99 | p99.9 | CPU/event | memory |",
             "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for work in works:
        who = [k for k in results.runs if k[:-1] == work]
        who.sort(key=lambda k: (not k[-1].startswith("auditrail"), k[-1] not in LIMITS, k[-1]))
        named = title(work)
        for k in who:
            ratio = results.ratio(who[0], k, rate) if k != who[0] else None
            outside = k[-1].startswith("predecessor")
            cells = [named, f"**{k[-1]}**" if k == who[0] else k[-1],
                     results.spread(k, rate).show(count),
                     ratio.show(times) if ratio else ""]
            cells += [time(results.spread(k, lambda run, q=q: run[q]).mid)
                      for q in ("p50", "p99", "p999")]
            cells.append(time(results.spread(k, cpu).mid))
            cells.append("" if outside else f"{results.spread(k, memory).high:.1f} MB")
            lines.append("| " + " | ".join(cells) + " |")
            named = ""
    return lines


class Goals:
    def __init__(self, results):
        self.results = results
        self.rows = ["| work | goal | measured | |", "| --- | --- | --- | --- |"]
        self.missed = 0

    def row(self, work, goal, spread, reached, how=times):
        if spread is None:
            self.rows.append(f"| {work} | {goal} | not measured | |")
            return
        good = reached(spread.mid)
        self.missed += not good
        verdict = "reached" if good else "**not reached**"
        self.rows.append(f"| {work} | {goal} | {spread.show(how)} | {verdict} |")

    def at_least(self, work, goal, ours, theirs, least):
        self.row(work, goal, self.results.ratio(ours, theirs, rate), lambda r: r >= least)

    def limit(self, work, what, found, base):
        """What the machine gives, beside a goal that it bounds."""
        spread = self.results.ratio(found, base, rate)
        if spread:
            self.rows.append(f"| {work} | ({what}) | {spread.show(times)} | |")

    def lower_tail(self, threads):
        def p999(run):
            return run["p999"]
        ours = self.results.spread(key("BUFFERED", "auditrail BUFFERED", threads=threads), p999)
        peers = {}
        for k in self.results.runs:
            lossless = k[0] == "WRITTEN" or k[-1] == "tracing-appender"
            if (k[:-1] == key(k[0], "", threads=threads)[:-1] and lossless and k[-1] not in LIMITS
                    and not k[-1].startswith("auditrail")):
                peers[k[-1]] = self.results.spread(k, p999).mid
        if ours and peers:
            best = min(peers, key=peers.get)
            self.row(f"BUFFERED, {threads} threads, p99.9",
                     f"below every lossless peer's (best: {best}, {time(peers[best])})",
                     ours, lambda ns: ns < peers[best], time)


def goals(results):
    g = Goals(results)
    buffered, written, synced = (f"auditrail {d}" for d in ("BUFFERED", "WRITTEN", "SYNCED"))
    ours = key("BUFFERED", buffered)
    g.at_least("BUFFERED, 1 thread", "> spdlog, which formats and checks nothing", ours,
               key("BUFFERED", "spdlog"), 1)
    g.at_least("BUFFERED, 1 thread", "≥ 0.35 of the bare locked buffer", ours,
               key("BUFFERED", "locked buffer"), 0.35)
    g.at_least("BUFFERED, 2 threads", "≥ 1.6 of our own 1 thread",
               key("BUFFERED", buffered, threads=2), ours, 1.6)
    g.limit("BUFFERED, 2 threads", "what they reach with a trail each, sharing nothing",
            key("BUFFERED", "a trail each", threads=2), ours)
    g.at_least("BUFFERED, 8 threads", "no fall from 2 threads",
               key("BUFFERED", buffered, threads=8), key("BUFFERED", buffered, threads=2), 0.97)
    for threads in (2, 8):
        g.lower_tail(threads)
    for threads in (1, 8):
        named = f"MAPPED, {threads} thread{'s' * (threads > 1)}"
        mapped, beside, sure = (key("MAPPED", f"auditrail {d}", threads=threads)
                                for d in ("MAPPED", "BUFFERED", "WRITTEN"))
        g.at_least(named, "≥ 0.85 of our own BUFFERED", mapped, beside, 0.85)
        g.at_least(named, "≥ 2.5 of our own WRITTEN", mapped, sure, 2.5)
        g.row(f"{named}, p99.9", "≤ 2 of our own BUFFERED's",
              results.ratio(mapped, beside, lambda run: run["p999"]), lambda r: r <= 2)
    g.at_least("WRITTEN, 1 thread", "≥ 0.75 of one bare write(2) a line",
               key("WRITTEN", written), key("WRITTEN", "write(2)"), 0.75)
    g.at_least("WRITTEN, 8 threads", "> bare mutex + write(2)",
               key("WRITTEN", written, threads=8), key("WRITTEN", "mutex + write(2)", threads=8), 1)
    g.at_least("SYNCED, 1 thread", "≥ 0.9 of bare pwrite + fdatasync",
               key("SYNCED", synced), key("SYNCED", "pwrite + fdatasync"), 0.9)
    g.at_least("SYNCED, 1 thread", "> SQLite, WAL, FULL", key("SYNCED", synced),
               key("SYNCED", "SQLite WAL FULL"), 1)
    for threads in (8, 64):
        g.at_least(f"SYNCED, {threads} threads", "≥ 0.7 of a bare group commit",
                   key("SYNCED", synced, threads=threads),
                   key("SYNCED", "group commit", threads=threads), 0.7)
    for threads in (8, 64):
        g.at_least(f"SYNCED, 16 streams, {threads} threads", "≥ 0.7 of one stream",
                   key("SYNCED", synced, threads=threads, streams=16),
                   key("SYNCED", synced, threads=threads, streams=1), 0.7)
    g.at_least("append_batch of 64, WRITTEN", "≥ 0.5 of the bare 64 KiB buffer",
               key("WRITTEN", written, batch=64), key("WRITTEN", "locked buffer", batch=64), 0.5)
    one = key("BUFFERED", buffered, streams=1)
    g.at_least("BUFFERED, 1,000 streams, 128 open files (default)", "≥ 0.7 of one stream",
               key("BUFFERED", buffered, streams=1000), one, 0.7)
    g.at_least("BUFFERED, 1,000 streams, 1,024 open files", "≥ 0.7 of one stream",
               key("BUFFERED", buffered, streams=1000, files=1024), one, 0.7)
    g.limit("BUFFERED, 1,000 streams", "what bare buffers reach, one a stream, with the same memory",
            key("BUFFERED", "a buffer a stream", streams=1000, files=1024), one)
    g.at_least("BUFFERED, 1,000 streams, 1,024 open files, a buffer of 32 MiB", "≥ 0.7 of one stream",
               key("BUFFERED", buffered, streams=1000, files=1024, buffer=LARGE_BUFFER), one, 0.7)
    most = [results.spread(k, memory).high for k in results.runs
            if k[-1].startswith("auditrail") and k[-2] == 0]
    if most:
        g.row("memory, the worst of all runs with the default buffer", "< 8 MB above the host's", Spread([max(most)]),
              lambda m: m < 8, lambda m: f"{m:.1f} MB")
    return g


def growth(results):
    """Our own rates over threads, streams and segment sizes."""
    lines = []
    for name, position in (("threads", 2), ("streams", 3), ("segment bytes", 5)):
        for group in ("BUFFERED", "MAPPED", "WRITTEN", "SYNCED"):
            base = list(key(group, f"auditrail {group}"))
            found = {}
            for k in results.runs:
                same = list(k)
                same[position] = base[position]
                if same == base and (position != 3 or k[3] != 0):
                    found[k[position]] = results.spread(k, rate).mid
            if len(found) > 2:
                columns = sorted(found)
                lines += ["", f"{group}, events/s by {name}:", "",
                          "| " + " | ".join(f"{c:,}" for c in columns) + " |",
                          "|" + " --- |" * len(columns),
                          "| " + " | ".join(count(found[c]) for c in columns) + " |"]
    return lines


# The picture.

PANELS = [("BUFFERED", 1), ("BUFFERED", 8), ("WRITTEN", 1), ("WRITTEN", 8), ("SYNCED", 1),
          ("SYNCED", 8), ("SYNCED", 64)]
WIDTH, NAME, BAR, ROW = 860, 170, 430, 22


def svg(results):
    out, y = [], 34
    for group, threads in PANELS:
        at = key(group, "", threads=threads)[:-1]
        who = [k for k in results.runs if k[:-1] == at]
        if not who:
            continue
        rates = {k: results.spread(k, rate) for k in who}
        who.sort(key=lambda k: -rates[k].mid)
        us = next((k for k in who if k[-1].startswith("auditrail")), None)
        scale = BAR / max(s.high for s in rates.values())
        out.append(f'<text class="head" x="12" y="{y + 14}">{title(at)}</text>')
        y += 24
        for k in who:
            s = rates[k]
            kind = "us" if k == us else "limit" if k[-1] in LIMITS else "peer"
            middle = y + ROW / 2
            note = count(s.mid) + "/s"
            ratio = results.ratio(us, k, rate) if us and k != us else None
            if ratio:
                note += f" · ours is {ratio.show(times)} of it"
            out.append(f'<text class="name" x="{NAME - 8}" y="{middle + 4}">{k[-1]}</text>')
            out.append(f'<rect class="{kind}" x="{NAME}" y="{y + 3}" width="{max(1, s.mid * scale):.1f}"'
                       f' height="{ROW - 6}" rx="2"/>')
            out.append(f'<path class="spread" d="M{NAME + s.low * scale:.1f} {middle}H{NAME + s.high * scale:.1f}"/>')
            out.append(f'<text class="note" x="{NAME + s.high * scale + 8:.1f}" y="{middle + 4}">{note}</text>')
            y += ROW
        y += 14
    style = ("svg{background:#fff}text{font:12px system-ui,sans-serif;fill:#1f2430}"
             ".head{font-weight:600;font-size:13px}.name{text-anchor:end}.note{fill:#555c6b}"
             ".us{fill:#2563eb}.limit{fill:#c3c9d4}.peer{fill:#e0a458}"
             ".spread{stroke:#1f2430;stroke-width:1.2}"
             ".key{fill:#555c6b}")
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img">'
            f"<title>auditrail beside the bare limits and other projects</title><style>{style}</style>"
            '<text class="key" x="12" y="20">Events a second: the median round, and a line from the slowest '
            "to the fastest. Blue: auditrail; grey: the bare limit; orange: others.</text>")
    return head + "\n" + "\n".join(out) + "\n</svg>\n"


def machine(folder):
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    try:
        kind = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True,
                              check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        kind = "unknown"
    return (f"{os.cpu_count()} × {model}, {platform.system()} {platform.release()}, "
            f"file system {kind}, load average at the end {os.getloadavg()[0]:.1f}")


def main(path, docs, mode, events, folder):
    results = Results(path)
    rounds = 1 + max((n for runs in results.runs.values() for n in runs), default=0)
    made = goals(results)
    source = "the reference corpus" if "reference" in events else "the bundled events"
    text = [BEGIN, "",
            f"A {mode} run of {rounds} rounds on {machine(folder)}; the real events are {source}. "
            "Each figure is a median (smallest to largest) over the rounds; memory is the most that "
            "any round took above the host's.", "",
            "![The same as a picture](benchmarks.svg)", "", "### Goals", ""]
    text += made.rows
    text += ["", "### All figures", ""] + table(results)
    grown = growth(results)
    if grown:
        text += ["", "### How the cost grows"] + grown
    if results.failed:
        text += ["", "### What failed", ""]
        text += [f"- {title(k[:-1])}, {k[-1]}: {error}" for k, error in results.failed.items()]
    text += ["", END]
    page = Path(docs, "benchmarks.md")
    before, after = "# Benchmarks\n\n", "\n"
    if page.exists() and BEGIN in page.read_text():
        before, rest = page.read_text().split(BEGIN, 1)
        after = rest.split(END, 1)[1]
    page.write_text(before + "\n".join(text) + after)
    Path(docs, "benchmarks.svg").write_text(svg(results))
    print("\n".join(made.rows))
    print(f"\n{page}: {made.missed} goals not reached, {len(results.failed)} runs failed")


if __name__ == "__main__":
    main(*sys.argv[1:6])
