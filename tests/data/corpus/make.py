#!/usr/bin/env python3
"""Makes the small corpus, and the trees that it must give, by a model of the
event line that shares nothing with the library: json.dumps and a few rules.

    python3 make.py        rewrites events.jsonl and tree-*.txt beside this file
"""

import hashlib
import json
import pathlib
import random

HERE = pathlib.Path(__file__).parent
FIELDS = ["domain", "category", "model_name", "operation", "logical_user_id", "request_id"]
TEXTS = [
    "", "plain", "with blank", "quote \" and \\ backslash", "/slash/", "tab\tnew\nline\r\b\f",
    "\x01\x1f\x7f", "\xe9\xdf\xff", "\u20ac \u0416 \u4e2d", "\U0001f600 \U00010000 \U0010ffff",
    "\ud7ff\ue000\ufffd\uffff", "a" * 300, "</script>", "\u2028\u2029",
]
NUMBERS = ["0", "-0", "1", "-1", "1.10", "1E5", "1e+05", "0.1e-7", "123456789012345678901234567890",
           "9007199254740993", "-1.5e300"]


class Number:
    """A number whose text must stay as it is."""

    def __init__(self, text):
        self.text = text


def dump(value, separators, ascii_only):
    """The JSON text of a value; object members in their order."""
    if isinstance(value, Number):
        return value.text
    item, key = separators
    if isinstance(value, dict):
        inner = item.join(
            json.dumps(k, ensure_ascii=ascii_only) + key + dump(v, separators, ascii_only)
            for k, v in value.items())
        return "{" + inner + "}"
    if isinstance(value, list):
        return "[" + item.join(dump(v, separators, ascii_only) for v in value) + "]"
    return json.dumps(value, ensure_ascii=ascii_only)


def any_value(random, depth=0):
    pick = random.randrange(8 if depth < 3 else 5)
    if pick == 0:
        return random.choice([None, True, False])
    if pick in (1, 2):
        return Number(random.choice(NUMBERS))
    if pick in (3, 4):
        return random.choice(TEXTS)
    if pick == 5:
        return [any_value(random, depth + 1) for _ in range(random.randrange(4))]
    return record(random, depth + 1)


def record(random, depth=0):
    keys = random.sample(["name", "type", "size", "", "\u00e9", "k\"", "old", "new", "after"], random.randrange(5))
    return {key: any_value(random, depth) for key in keys}


def event(random, index):
    operation = random.choice(["create", "update", "delete"])
    made = {
        "domain": random.choice(["legacy", "v2"]),
        "category": random.choice(["db", "image_generation", "A-1.b"]),
        "model_name": random.choice(TEXTS) + str(random.randrange(20)),
        "operation": operation,
        "logical_user_id": random.choice(TEXTS),
        "timestamp": 1_600_000_000 + index,
    }
    if random.randrange(3):
        made["request_id"] = random.choice(TEXTS + [None])
    payload = {}
    if operation == "create":
        payload["after"] = record(random)
    if operation == "delete":
        payload["before"] = record(random)
    if operation == "update":
        payload["delta"] = {
            field: {"old": any_value(random), "new": any_value(random)}
            for field in random.sample(["name", "size", "\u00fc", "x y"], random.randrange(1, 4))}
    if not random.randrange(4):
        payload["note"] = any_value(random)
    if not random.randrange(5):
        payload["before"] = None
    made["payload"] = random.choice([payload, payload, payload, payload, {}, None])
    return made


def line(event_id, made):
    """The event as it must be persisted."""
    out = {"event_id": event_id, "timestamp": made["timestamp"]}
    for field in FIELDS:
        if made.get(field) is not None:
            out[field] = made[field]
    payload = made["payload"]
    if payload is not None:
        known = {k: payload[k] for k in ("before", "after", "delta") if payload.get(k) is not None}
        other = {k: v for k, v in payload.items() if k not in ("before", "after", "delta")}
        out["payload"] = known | other
    # json.dumps leaves U+007F as it is.
    return dump(out, (",", ":"), True).replace("\x7f", "\\u007f") + "\n"


def as_given(random, made):
    """The event as a caller might write it: any order, blanks, escapes or not."""
    members = list(made.items())
    random.shuffle(members)
    given = dict(members)
    if given["payload"] and random.randrange(2):
        inner = list(given["payload"].items())
        known = [m for m in inner if m[0] in ("before", "after", "delta")]
        random.shuffle(known)
        other = [m for m in inner if m not in known]
        given["payload"] = dict(random.choice([known + other, other + known]))
    separators = random.choice([(",", ":"), (", ", ": "), (" ,\t", " : ")])
    return dump(given, separators, random.randrange(2) == 0)


def tree(lines, limit):
    segments = {}
    newest = {}
    for event_id, (stream, text) in enumerate(lines, 1):
        number = newest.setdefault(stream, 1)
        path = f"{stream}/audit-{number:06}.jsonl"
        if len(segments.get(path, (b"",))[0]) >= limit:
            newest[stream] = number = number + 1
            path = f"{stream}/audit-{number:06}.jsonl"
        content, first, _ = segments.get(path, (b"", event_id, event_id))
        segments[path] = (content + text.encode("ascii"), first, event_id)
    return "".join(
        f"{path} {len(content)} {hashlib.sha256(content).hexdigest()} {first} {last}\n"
        for path, (content, first, last) in sorted(segments.items()))


def main():
    source = random.Random(20261124)
    events = [event(source, index) for index in range(400)]
    given = "".join(as_given(source, made) + "\n" for made in events)
    (HERE / "events.jsonl").write_text(given, encoding="utf-8")
    lines = [(f"{made['domain']}/{made['category']}", line(index, made))
             for index, made in enumerate(events, 1)]
    for limit in (4096, 5242880):
        (HERE / f"tree-{limit}.txt").write_text(tree(lines, limit))


main()
