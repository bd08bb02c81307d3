#!/usr/bin/env python3
"""Makes the events that every language writes, and the tree that each must
give, by a model that shares nothing with the library.

    python3 make.py        rewrites events.jsonl and tree-2048.txt beside this file

What the languages' own values cannot keep apart is left out: keys stand in the
order of the alphabet, numbers are small or plain fractions.
"""

import hashlib
import json
import pathlib

HERE = pathlib.Path(__file__).parent
FIELDS = ["domain", "category", "model_name", "operation", "logical_user_id", "request_id"]
TEXTS = [
    "plain", "", "quote \" and \\ backslash", "/slash/ <tag> & 'more'", "tab\tnew\nline\r\b\f",
    "\x00\x01\x1f\x7f", "\xe9\xdf\xff", "\u20ac \u0416 \u4e2d", "\U0001f600 \U00010000 \U0010ffff",
    "\ufffd\ufeff", "a" * 100, "\u2028\u2029",
]
VALUES = [
    None, True, False, 0, 1, -1, 1.5, -0.25, 9007199254740991, -9007199254740991, [], {}, [[], {}],
    [1, "two", None, {"a": [True]}], {"": 0, "a": {"b": {"c": None}}, "z": []}, *TEXTS,
]


def event(index):
    value, other = VALUES[index % len(VALUES)], VALUES[(index * 7 + 3) % len(VALUES)]
    operation = ["create", "update", "delete"][index % 3]
    made = {
        "domain": ["legacy", "v2"][index % 2],
        "category": ["users", "image_generation", "A-1.b"][index // 2 % 3],
        "model_name": TEXTS[index % len(TEXTS)],
        "operation": operation,
        "logical_user_id": f"user-{index % 5} {TEXTS[index * 5 % len(TEXTS)]}",
        "timestamp": 1_600_000_000 + index,
    }
    if index % 4:
        made["request_id"] = f"request {index}"
    if operation == "create":
        made["payload"] = {"after": {"a": value, "b": other, "\xe9": index}}
    if operation == "delete":
        made["payload"] = {"before": {"key \"quoted\"": value}}
    if operation == "update":
        made["payload"] = {"delta": {"name": {"new": value, "old": other}}}
    if index % 10 == 7:
        made["payload"]["note"] = [value]
    if index % 11 == 5:
        del made["payload"]
    return made


def line(event_id, made):
    """The event as it must be persisted."""
    out = {"event_id": event_id, "timestamp": made["timestamp"]}
    out.update((field, made[field]) for field in FIELDS if field in made)
    if "payload" in made:
        out["payload"] = dict(made["payload"])
        for field, change in out["payload"].get("delta", {}).items():
            out["payload"]["delta"] = {field: {"old": change["old"], "new": change["new"]}}
    # json.dumps leaves U+007F as it is.
    return json.dumps(out, separators=(",", ":")).replace("\x7f", "\\u007f") + "\n"


def tree(events, limit):
    segments, newest = {}, {}
    for event_id, made in enumerate(events, 1):
        stream = f"{made['domain']}/{made['category']}"
        newest.setdefault(stream, 1)
        if len(segments.get((stream, newest[stream]), b"")) >= limit:
            newest[stream] += 1
        place = (stream, newest[stream])
        segments[place] = segments.get(place, b"") + line(event_id, made).encode("ascii")
    return "".join(
        f"{hashlib.sha256(content).hexdigest()}  {stream}/audit-{number:06}.jsonl\n"
        for (stream, number), content in sorted(segments.items()))


def main():
    events = [event(index) for index in range(100)]
    (HERE / "events.jsonl").write_text(
        "".join(json.dumps(made, ensure_ascii=False, separators=(",", ":")) + "\n"
                for made in events), encoding="utf-8")
    (HERE / "tree-2048.txt").write_text(tree(events, 2048))


main()
