"""The Python module against the built library: what a service does with it."""

import copy
import dataclasses
import enum
import fcntl
import gc
import importlib.util
import json
import logging
import os
import pathlib
import pickle
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import typing
import unittest
import warnings

HERE = pathlib.Path(__file__).resolve().parent
MODULE = HERE.parents[2] / "bindings" / "python" / "auditrail.py"
sys.path.insert(0, str(MODULE.parent))

import auditrail  # noqa: E402
from auditrail import (  # noqa: E402
    AuditEvent, AuditFieldChange, AuditOperation, AuditPayload, AuditReplayer, AuditTrailReader,
    AuditTrailWriter, Durability, Order, Reader, Trail,
)

EVENT = {"domain": "v2", "category": "image", "model_name": "m", "operation": "create",
         "logical_user_id": "u-1", "timestamp": 1700000000}


def text(**changes):
    return json.dumps({**EVENT, **changes})


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="auditrail-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.root = self.folder / "audit"

    def lines(self, stream="v2/image"):
        return [line for path in sorted((self.root / stream).glob("*.jsonl"))
                for line in path.read_bytes().splitlines(keepends=True)]


class Writing(Case):
    def test_an_event_by_its_fields_and_as_text_is_the_same_line(self):
        with Trail(self.root) as trail:
            self.assertEqual(trail.append(**EVENT, payload={"after": {"é": None}}), 1)
            self.assertEqual(trail.append_json(text(payload={"after": {"é": None}})), 2)
            self.assertEqual(
                trail.append_batch([{**EVENT, "payload": {"after": {"é": None}}}, text()]), range(3, 5))
        one, two, three, _ = self.lines()
        self.assertEqual(one.replace(b":1,", b":2,", 1), two)
        self.assertEqual(one.replace(b":1,", b":3,", 1), three)

    def test_the_returned_event_is_the_persisted_one(self):
        before = int(time.time())
        with Trail(self.root) as trail:
            event = trail.append_event(**{**EVENT, "timestamp": None}, request_id="r",
                                       payload={"note": 1, "after": {"a": [1.5]}, "before": None})
        self.assertEqual(event.event_id, 1)
        self.assertTrue(before <= event.timestamp <= time.time())
        self.assertEqual(event.line, self.lines()[0])
        self.assertEqual(event.payload, AuditPayload(after={"a": [1.5]}, extra={"note": 1}))
        self.assertEqual(event, AuditEvent.from_line(event.line))
        self.assertEqual(event, AuditEvent(**event.model_dump()))
        self.assertEqual(event, pickle.loads(pickle.dumps(event)))
        self.assertEqual(len({event, AuditEvent.from_line(event.line)}), 1)
        with self.assertRaises(AttributeError):
            event.domain = "v1"
        with self.assertRaises(AttributeError):
            event.nothing

    def test_an_error_tells_status_key_and_byte(self):
        with Trail(self.root) as trail:
            with self.assertRaises(auditrail.InvalidEventError) as caught:
                trail.append_json(text(category="../x"))
            self.assertEqual(trail.stats().events, 0)
        error = caught.exception
        self.assertIsInstance(error, ValueError)
        self.assertEqual((error.status, error.name), (-11, "AUDITRAIL_ERR_INVALID_EVENT"))
        self.assertIn("category", str(error))
        self.assertEqual(text(category="../x")[error.offset:][:5], '"../x')
        self.assertIsNone(error.os_errno)
        self.assertEqual(pickle.loads(pickle.dumps(error)).offset, error.offset)

    def test_what_json_does_not_have_is_refused(self):
        with Trail(self.root) as trail:
            for bad in (float("nan"), float("inf"), "\ud800", {1: 1, "1": 2}):
                with self.assertRaises(auditrail.InvalidEventError, msg=repr(bad)):
                    trail.append(**EVENT, payload={"after": {"x": bad}})
            for bad in (object(), b"bytes", 1j):
                with self.assertRaises(TypeError, msg=repr(bad)):
                    trail.append(**EVENT, payload={"after": {"x": bad}})
            for name in ("domain", "category", "model_name", "operation", "logical_user_id"):
                with self.assertRaises(TypeError, msg=name):
                    trail.append(**{**EVENT, name: 7})
            for bad in (1.5, True, "5", 0.0):
                with self.assertRaises(TypeError, msg=repr(bad)):
                    trail.append(**{**EVENT, "timestamp": bad})
            for bad in (1 << 63, 10 ** 5000):
                with self.assertRaises(ValueError):
                    trail.append(**{**EVENT, "timestamp": bad})
            with self.assertRaises(TypeError):
                trail.append_batch(EVENT)
            with self.assertRaises(ValueError):
                trail.append_batch([text() + "\n" + text()])
            self.assertEqual(trail.append_batch([]), range(0))
            self.assertEqual(trail.append_batch("\n \n"), range(0))
            self.assertEqual(trail.stats().last_id, 0)

    def test_a_batch_is_all_or_nothing(self):
        with Trail(self.root) as trail:
            with self.assertRaises(auditrail.InvalidEventError):
                trail.append_batch([text(), text(domain="v3"), text()])
            self.assertEqual(trail.append(**EVENT), 1)

    def test_texts_hold_anything(self):
        odd = "a\0b\"\\\n\x7f\u2028\U0001f600"
        with Trail(self.root) as trail:
            event = trail.append_event(**{**EVENT, "model_name": odd})
        self.assertEqual(event.model_name, odd)
        self.assertTrue(self.lines()[0].isascii())

    def test_options(self):
        options = dict(max_segment_bytes=300, durability=Durability.SYNCED, domains=["a", "b"],
                       operations="*", max_event_bytes=256, max_open_files=1)
        with Trail(self.root, **options) as trail:
            for _ in range(4):
                trail.append(**{**EVENT, "domain": "a", "operation": "rename"})
            with self.assertRaises(auditrail.TooLargeError):
                trail.append(**{**EVENT, "domain": "b", "model_name": "x" * 256})
            self.assertEqual(trail.stats().synced_id, 4)
            self.assertGreater(trail.stats().rotations, 0)
        for bad in (dict(max_segment_bytes=0), dict(max_segment_bytes=-1), dict(durability=7),
                    dict(domains=["../x"]), dict(shared=True, durability=Durability.BUFFERED)):
            with self.assertRaises(ValueError, msg=repr(bad)):
                Trail(self.root, **bad)
        for bad in (dict(max_segment_bytes=1 << 64), dict(max_open_files=1 << 70), dict(flush_interval=-1), dict(lock_timeout=0), dict(lock_timeout=-1),
                    dict(flush_interval=float("nan")), dict(flush_interval=float("inf")), dict(buffer_bytes=-1),
                    dict(domains=[]), dict(operations=()), dict(durability=-1)):
            with self.assertRaises(ValueError, msg=repr(bad)):
                Trail(self.root, **bad)
        for bad in (dict(max_segment_bytes=1.5), dict(max_segment_bytes=True), dict(max_open_files="7"),
                    dict(durability=1.0), dict(durability=True), dict(durability="synced"), dict(shared="no"),
                    dict(shared=2), dict(domains=7), dict(domains=[7]), dict(flush_interval="1"), dict(on_warning=None),
                    dict(colour="blue")):
            with self.assertRaises(TypeError, msg=repr(bad)):
                Trail(self.root, **bad)
        with Trail(self.folder / "one", domains="a", operations="rename") as trail:
            self.assertEqual(trail.append(**{**EVENT, "domain": "a", "operation": "rename"}), 1)
            with self.assertRaises(auditrail.InvalidEventError):
                trail.append(**EVENT)
        with self.assertRaises(ValueError):
            Trail("a\0b")

    def test_buffered_events_are_there_after_flush_and_close(self):
        with Trail(self.root, durability=Durability.BUFFERED, flush_interval=0) as trail:
            trail.append(**EVENT)
            self.assertEqual(trail.stats().written_id, 0)
            trail.flush()
            self.assertEqual(len(self.lines()), 1)
            trail.append(**EVENT)
        self.assertEqual(len(self.lines()), 2)

    def test_a_second_writer_is_told_who_has_the_trail(self):
        with Trail(self.root):
            with self.assertRaisesRegex(auditrail.BusyError, str(os.getpid())):
                Trail(self.root)
        with Trail(self.root):
            pass

    def test_mapped_outlives_the_process(self):
        code = ("import auditrail, os, signal, sys\n"
                "trail = auditrail.Trail(sys.argv[1], durability=auditrail.Durability.MAPPED, flush_interval=0)\n"
                f"trail.append(**{EVENT})\n"
                "os.kill(os.getpid(), signal.SIGKILL)")
        killed = subprocess.run([sys.executable, "-c", code, str(self.root)], check=False,
                                env={**os.environ, "PYTHONPATH": str(MODULE.parent)})
        self.assertEqual(killed.returncode, -signal.SIGKILL)
        with Trail(self.root, on_warning=lambda *_: None) as trail:
            self.assertEqual(trail.append(**EVENT), 2)

    def test_a_wait_for_a_lock_has_an_end(self):
        with Trail(self.root, shared=True, lock_timeout=0.02) as trail:
            with open(os.path.join(self.root, ".auditrail", "commit-lock")) as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                with self.assertRaisesRegex(auditrail.BusyError, str(os.getpid())):
                    trail.append(**EVENT)
            self.assertEqual(trail.append(**EVENT), 1)

    def test_a_closed_trail_says_so(self):
        trail = Trail(self.root)
        trail.append(**EVENT)
        trail.close()
        trail.close()
        self.assertTrue(trail.closed)
        for call in (lambda: trail.append(**EVENT), trail.flush, trail.sync, trail.stats,
                     lambda: trail.append_event(**EVENT), lambda: trail.append_batch([EVENT])):
            with self.assertRaises(ValueError):
                call()

    def test_a_trail_that_is_forgotten_is_closed_with_a_warning(self):
        trail = Trail(self.root)
        trail.append(**EVENT)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del trail
            gc.collect()
        self.assertEqual([one.category for one in caught], [ResourceWarning])
        Trail(self.root).close()

    def test_an_exception_in_the_midst_of_an_append_leaves_a_trail_that_closes(self):
        class Hit(Exception):
            pass

        def hit(*_):
            raise Hit

        before = signal.signal(signal.SIGALRM, hit)
        self.addCleanup(signal.signal, signal.SIGALRM, before)
        for step in range(200):
            trail = Trail(self.root, durability=Durability.BUFFERED)
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0005 + step * 1e-6)
                while True:
                    trail.append(**EVENT)
            except Hit:
                pass
            trail.close()

    def test_trails_and_readers_are_not_copied(self):
        with Trail(self.root) as trail, trail.read() as reader:
            for one in (trail, reader):
                for copying in (copy.copy, copy.deepcopy, pickle.dumps):
                    with self.assertRaises(TypeError):
                        copying(one)
            self.assertEqual(trail.append(**EVENT), 1)

    def test_a_warning_handler_that_fails_or_closes_does_no_harm(self):
        """In the thread that flushes: the file may not grow, so that it warns."""
        code = textwrap.dedent(f"""
            import auditrail, resource, signal, sys, time
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            told = []
            def warned(kind, message):
                told.append(kind)
                if len(told) == 1:
                    try:
                        trail.close()
                    except RuntimeError as error:
                        told.append(str(error))
                raise KeyError("of the handler")
            sys.unraisablehook = lambda raised: told.append(raised.exc_type.__name__)
            trail = auditrail.Trail(sys.argv[1], durability=0, flush_interval=0.05, on_warning=warned)
            trail.append(**{EVENT})
            trail.flush()
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
            for _ in range(10):
                trail.append(**{EVENT})
            until = time.monotonic() + 20
            while len(told) < 3 and time.monotonic() < until:
                time.sleep(0.01)
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            trail.close()
            print(told[0], "|", told[1], "|", told[2])
            """)
        result = subprocess.run([sys.executable, "-c", code, str(self.root)], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, timeout=60,
                                env={**os.environ, "PYTHONPATH": str(MODULE.parent)})
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertRegex(result.stdout, "flush failed.*warning handler.*KeyError")
        self.assertEqual(len(self.lines()), 11)

    def test_what_recovery_finds_is_told(self):
        with Trail(self.root) as trail:
            trail.append(**EVENT)
        with open(self.root / "v2/image/audit-000001.jsonl", "ab") as file:
            file.write(b'{"event_id":2,"torn')
        told = []
        with Trail(self.root, on_warning=lambda *what: told.append(what)) as trail:
            self.assertEqual(trail.append(**EVENT), 2)
            self.assertEqual(trail.stats().torn_tails, 1)
        self.assertEqual([kind for kind, _ in told], ["torn tail"])
        with open(self.root / "v2/image/audit-000001.jsonl", "ab") as file:
            file.write(b'{"event_id":3,"torn')
        with self.assertLogs("auditrail", logging.WARNING), Trail(self.root) as trail:
            self.assertEqual(trail.append(**EVENT), 3)


class Same(Case):
    @unittest.skipUnless("AUDITRAIL_CORPUS" in os.environ, "AUDITRAIL_CORPUS is not set")
    def test_what_every_language_writes(self):
        """For the trees to be compared by the caller."""
        lines = pathlib.Path(os.environ["AUDITRAIL_CORPUS"]).read_bytes().splitlines()
        with Trail(os.environ["AUDITRAIL_SAME"], max_segment_bytes=2048) as trail:
            for at in range(0, len(lines), 5):
                first, second, third, fourth, fifth = map(json.loads, lines[at:at + 5])
                self.assertEqual(trail.append(**first), at + 1)
                self.assertEqual(trail.append_json(lines[at + 1]), at + 2)
                self.assertEqual(trail.append_event(**third).model_dump(exclude_none=True), {"event_id": at + 3, **third})
                self.assertEqual(trail.append_batch([fourth, lines[at + 4]]), range(at + 4, at + 6))


class Threads(Case):
    def test_threads_share_a_trail(self):
        ids = []
        with Trail(self.root, durability=Durability.SYNCED) as trail:
            threads = [threading.Thread(target=lambda: ids.extend(
                trail.append(**EVENT) for _ in range(20))) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.assertEqual(sorted(ids), list(range(1, 161)))

    def test_other_threads_run_while_an_append_waits(self):
        # A shared trail waits for its lock: hold it, append in a thread, and go on.
        with Trail(self.root, shared=True) as trail:
            trail.append(**EVENT)
            with open(self.root / ".auditrail/commit-lock") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                done = []
                thread = threading.Thread(target=lambda: done.append(trail.append(**EVENT)))
                thread.start()
                time.sleep(0.2)  # we would hang here, were the interpreter held
                self.assertEqual(done, [])
                fcntl.flock(lock, fcntl.LOCK_UN)
            thread.join()
            self.assertEqual(done, [2])

    def test_close_waits_for_appends_that_are_under_way(self):
        trail = Trail(self.root, shared=True)
        trail.append(**EVENT)
        lock = open(self.root / ".auditrail/commit-lock")
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = []
        appender = threading.Thread(target=lambda: done.append(trail.append(**EVENT)))
        closer = threading.Thread(target=lambda: (trail.close(), done.append("closed")))
        appender.start()
        while len(trail._free) == len(trail._calls):  # until it is under way
            time.sleep(0.01)
        closer.start()
        while not trail.closed:
            time.sleep(0.01)
        with self.assertRaises(ValueError):
            trail.append(**EVENT)
        self.assertEqual(done, [])
        lock.close()
        appender.join()
        closer.join()
        self.assertEqual(done, [2, "closed"])

    def test_closing_under_fire_harms_nobody(self):
        for _ in range(20):
            trail = Trail(self.root)

            def fire():
                try:
                    while True:
                        trail.append(**EVENT)
                except ValueError:
                    pass

            threads = [threading.Thread(target=fire) for _ in range(4)]
            for thread in threads:
                thread.start()
            trail.close()
            for thread in threads:
                thread.join()
        with Trail(self.root) as trail:
            self.assertEqual(trail.append(**EVENT), len(self.lines()))


class Forks(Case):
    def child(self, work):
        """Runs work in a forked child; what it returns must be true."""
        process = os.fork()
        if process == 0:
            code = 1
            try:
                code = 0 if work() else 2
            finally:
                os._exit(code)
        self.assertEqual(os.waitpid(process, 0)[1], 0)

    def test_a_child_must_open_its_own(self):
        with Trail(self.root, shared=True) as trail:
            trail.append(**EVENT)

            def child():
                try:
                    trail.append(**EVENT)
                except auditrail.ForkedError:
                    trail.close()
                    with Trail(self.root, shared=True) as own:
                        return own.append(**EVENT) == 2

            self.child(child)
            self.assertEqual(trail.append(**EVENT), 3)

    def test_a_fork_in_the_midst_of_other_threads_appends(self):
        with Trail(self.root) as trail:
            stop = threading.Event()

            def fire():
                while not stop.is_set():
                    trail.append(**EVENT)

            threads = [threading.Thread(target=fire) for _ in range(3)]
            for thread in threads:
                thread.start()
            for _ in range(10):
                self.child(lambda: trail.close() is None and trail.closed)
            stop.set()
            for thread in threads:
                thread.join()

    def test_writers_of_the_old_kind_go_on_in_children(self):
        writer = AuditTrailWriter(self.root)
        writer.append_event(**EVENT)
        for expected in (2, 3):
            self.child(lambda: writer.append_event(**EVENT).event_id == expected)
        self.assertEqual(writer.append_event(**EVENT).event_id, 4)
        writer.close()


class Guest(Case):
    def run_python(self, code, **environment):
        result = subprocess.run(
            [sys.executable, "-W", "error", "-c", code, str(self.root)], text=True, timeout=120,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(MODULE.parent), **environment})
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout

    def test_without_the_library_the_import_says_what_to_do(self):
        said = self.run_python(
            "import auditrail\ntry: auditrail.Trail('x')\nexcept ImportError as e: print(e)",
            AUDITRAIL_LIB="/nowhere/libauditrail.so")
        self.assertIn("AUDITRAIL_LIB", said)

    def test_no_thread_unless_events_are_buffered(self):
        code = ("import auditrail, os, sys\n"
                "count = lambda: len(os.listdir('/proc/self/task'))\n"
                "for d in reversed(auditrail.Durability):\n"
                "    with auditrail.Trail(sys.argv[1], durability=d) as t:\n"
                f"        t.append(**{EVENT}); print(d.name, count())\n")
        self.assertEqual(self.run_python(code).split(),
                         ["MAPPED", "2", "SYNCED", "1", "WRITTEN", "1", "BUFFERED", "2"])

    def test_nothing_is_lost_at_exit_without_close(self):
        self.run_python(
            "import auditrail, sys, warnings\nwarnings.simplefilter('ignore')\n"
            "t = auditrail.Trail(sys.argv[1], durability=auditrail.Durability.BUFFERED)\n"
            f"for _ in range(10): t.append(**{EVENT})")
        self.assertEqual(len(self.lines()), 10)

    def test_two_copies_of_the_library_in_one_process(self):
        copy = self.folder / "libcopy.so"
        shutil.copy(os.environ["AUDITRAIL_LIB"], copy)
        spec = importlib.util.spec_from_file_location("other", MODULE)
        other = importlib.util.module_from_spec(spec)
        sys.modules["other"] = other
        spec.loader.exec_module(other)
        named = os.environ["AUDITRAIL_LIB"]
        os.environ["AUDITRAIL_LIB"] = str(copy)
        try:
            other.library_version()
        finally:
            os.environ["AUDITRAIL_LIB"] = named
        with open("/proc/self/maps") as maps:
            self.assertIn(str(copy), maps.read())
        with Trail(self.root) as trail, other.Trail(self.folder / "other") as second:
            self.assertEqual(trail.append(**EVENT), 1)
            self.assertEqual(second.append(**EVENT), 1)
            with self.assertRaises(other.BusyError):
                other.Trail(self.root)
        with Trail(self.folder / "other", shared=True) as trail:
            with other.Trail(self.folder / "other", shared=True) as second:
                self.assertEqual(trail.append(**EVENT), 2)
                self.assertEqual(second.append(**EVENT), 3)
                self.assertEqual(trail.append(**EVENT), 4)


class Payloads(unittest.TestCase):
    def test_from_create_update_delete(self):
        @dataclasses.dataclass
        class Record:
            name: str
            tags: list

        class Model:
            def model_dump(self, mode="python"):
                return {"name": "m", "mode": mode}

        class OldModel:
            def model_dump(self):
                return {"name": "m"}

        self.assertEqual(AuditPayload.from_create({"a": 1}).model_dump(exclude_none=True), {"after": {"a": 1}})
        self.assertEqual(AuditPayload.from_create(Record("m", [])).after, {"name": "m", "tags": []})
        self.assertEqual(AuditPayload.from_delete(Model()).before, {"name": "m", "mode": "json"})
        self.assertEqual(AuditPayload.from_delete(OldModel()).before, {"name": "m"})
        with self.assertRaises(TypeError):
            AuditPayload.from_create([1])
        change = AuditPayload.from_update({"a": 1, "b": True, "c": {"x": 1, "y": 2}, "d": 0, "e": None},
                                          {"a": 2, "b": 1, "c": {"y": 2, "x": 1}, "e": None, "f": None})
        self.assertEqual(change.delta, {
            "a": AuditFieldChange(1, 2), "b": AuditFieldChange(True, 1),
            "d": AuditFieldChange(0, None), "f": AuditFieldChange(None, None)})
        self.assertEqual(change.model_dump()["delta"]["d"], {"old": 0, "new": None})
        self.assertEqual(AuditPayload(delta={"a": {"old": 1, "new": 2}}).delta,
                         {"a": AuditFieldChange(1, 2)})


class StringEnum(str, enum.Enum):
    V2 = "v2"
    IMAGE = "image_generation"


class PlainEnum(enum.Enum):
    V2 = "v2"
    IMAGE = "image_generation"


class Predecessor(Case):
    """The calls of the trail that came before, and its own kind of use."""

    def test_enums_of_any_make_and_plain_strings(self):
        writer = AuditTrailWriter(root_path=str(self.root), max_file_size_bytes=1 << 20)
        for kind in (StringEnum, PlainEnum):
            event = writer.append_event(
                domain=kind.V2, category=kind.IMAGE, model_name="m", operation=AuditOperation.CREATE,
                logical_user_id="u", payload=AuditPayload.from_create({"kind": kind.IMAGE}),
                request_id="r", timestamp=5)
            self.assertEqual((event.domain, event.category, event.operation, event.timestamp),
                             ("v2", "image_generation", "create", 5))
            self.assertEqual(event.payload.after, {"kind": "image_generation"})
        reader = AuditTrailReader(self.root)
        self.assertEqual(
            [event.event_id for event in reader.iter_events(domains={PlainEnum.V2},
                                                            categories=[StringEnum.IMAGE])], [1, 2])
        writer.close()

    def test_a_service_that_starts_anew(self):
        reader = AuditTrailReader(self.root / "deep" / "er")
        self.assertEqual(list(reader.iter_events()), [])
        state = AuditReplayer(reader=reader).reconstruct_state(domain="v2", category="image")
        self.assertEqual((state.state, state.last_event_id, state.applied_events), ({}, None, 0))

    def test_filters_are_inclusive(self):
        with AuditTrailWriter(self.root, 200) as writer:
            for index in range(1, 41):
                writer.append_event(**{
                    **EVENT, "domain": ["legacy", "v2"][index % 2], "category": f"c{index % 3}",
                    "model_name": f"m{index % 5}", "timestamp": 1000 + index})
        reader = AuditTrailReader(self.root)

        def ids(**filters):
            return sorted(event.event_id for event in reader.iter_events(**filters))

        every = range(1, 41)
        self.assertEqual(ids(), list(every))
        self.assertEqual(ids(domains={"v2"}), [i for i in every if i % 2])
        self.assertEqual(ids(categories=["c0", "c2"]), [i for i in every if i % 3 != 1])
        self.assertEqual(ids(model_names=("m4",), domains=None), [i for i in every if i % 5 == 4])
        self.assertEqual(ids(min_event_id=3, max_event_id=9), list(range(3, 10)))
        self.assertEqual(ids(min_timestamp=1003, max_timestamp=1009), list(range(3, 10)))
        self.assertEqual(ids(min_event_id=9, max_event_id=3), [])
        self.assertEqual(ids(model_names={"none"}), [])
        self.assertEqual(ids(categories={"no folder", "c0"}), [i for i in every if i % 3 == 0])
        self.assertEqual(ids(categories={"../x"}), [])
        # Of these classes alone: an empty collection means everything.
        for empty in (set(), [], (), {}, ""):
            self.assertEqual(ids(domains=empty, categories=empty, model_names=empty), list(every))
        # And a limit is any number, with which ids and times are compared.
        self.assertEqual(ids(min_event_id=-5, max_event_id=1 << 70), list(every))
        self.assertEqual(ids(max_event_id=-1), [])
        self.assertEqual(ids(min_event_id=1 << 70), [])
        self.assertEqual(ids(min_timestamp=1002.5, max_timestamp=1009.5), list(range(3, 10)))
        self.assertEqual(ids(max_timestamp=float("inf")), list(every))
        with self.assertRaises(ValueError):
            ids(max_timestamp=float("nan"))
        # Stream after stream, as before.
        streams = [(event.domain, event.category) for event in reader.iter_events()]
        self.assertEqual(streams, sorted(streams))

    def test_250_mixed_operations_over_26_records_replay_exactly(self):
        dice = random.Random(250)
        names = [chr(ord("a") + index) * 3 for index in range(26)]
        expected, applied, last = {}, 0, None
        history = {}
        writer = AuditTrailWriter(self.root, max_file_size_bytes=512)
        for index in range(250):
            name = dice.choice(names)
            fields = dict(domain="v2", category="image_generation", model_name=name,
                          logical_user_id=f"user-{dice.randrange(4)}", request_id=f"r-{index}")
            old = expected.get(name)
            if old is None:
                new = {"name": name, "nsfw": dice.random() < 0.5, "size": dice.randrange(1 << 40),
                       "tags": dice.sample(["é", "\U0001f600", "x", ""], 2), "config": {"a": None}}
                fields.update(operation=AuditOperation.CREATE, payload=AuditPayload.from_create(new))
                expected[name] = new
            elif dice.random() < 0.25:
                fields.update(operation="delete", payload=AuditPayload.from_delete(old))
                del expected[name]
            else:
                new = {**old, "nsfw": not old["nsfw"], "size": old["size"] + dice.randrange(2),
                       "version": dice.choice([None, "1.10", {"major": 1}])}
                if dice.random() < 0.3:
                    fields.update(operation="update", payload={"after": new})
                else:
                    fields.update(operation="update", payload=AuditPayload.from_update(old, new))
                expected[name] = new
            event = writer.append_event(**fields)
            self.assertEqual(event.event_id, index + 1)
            applied, last = applied + 1, event.event_id
            history[last] = json.loads(json.dumps(expected))
            if index == 100:  # a restart in the middle
                writer.close()
                writer = AuditTrailWriter(self.root, max_file_size_bytes=512)
        segments = list((self.root / "v2/image_generation").glob("audit-*.jsonl"))
        self.assertGreater(len(segments), 50)
        replayer = AuditReplayer(reader=AuditTrailReader(self.root))
        where = dict(domain="v2", category="image_generation")
        result = replayer.reconstruct_state(**where)
        self.assertEqual(result.state, expected)
        self.assertEqual((result.last_event_id, result.applied_events), (last, applied))
        for point in (1, 99, 101, 249):
            self.assertEqual(replayer.reconstruct_state(**where, max_event_id=point).state,
                             history[point], msg=point)
        self.assertEqual(replayer.reconstruct_state(**where, model_names=[]).state, expected)
        self.assertEqual(replayer.reconstruct_state(domain="v2", category="no folder").state, {})
        some = names[:3]
        self.assertEqual(replayer.reconstruct_state(**where, model_names=some).state,
                         {name: record for name, record in expected.items() if name in some})
        self.assertEqual(len(list(AuditTrailReader(self.root).iter_events())), 250)
        writer.close()


class Models(Case):
    """What a service did with the models of before."""

    FIELDS = dict(event_id=7, domain="v2", category="image", model_name="m", operation="create",
                  logical_user_id="u")

    def test_a_new_event(self):
        before = int(time.time())
        event = AuditEvent.new(**self.FIELDS, payload=AuditPayload.from_create({"a": 1}))
        self.assertTrue(before <= event.timestamp <= time.time())
        self.assertEqual(AuditEvent.new(**self.FIELDS, timestamp=5).timestamp, 5)
        self.assertEqual((event.event_id, event.request_id, event.payload.after), (7, None, {"a": 1}))
        with self.assertRaises(TypeError):
            AuditEvent.new(event_id=1)

    def test_operations_and_domains_are_members(self):
        with Trail(self.root, operations="*", domains="*") as trail:
            event = trail.append_event(**EVENT)
            other = trail.append_event(**{**EVENT, "domain": "v3", "operation": "rename"})
        self.assertIs(event.operation, AuditOperation.CREATE)
        self.assertEqual((event.operation.value, event.domain.value), ("create", "v2"))
        self.assertEqual((f"{event.operation}", json.dumps(event.operation)), ("create", '"create"'))
        self.assertEqual((other.operation, other.domain), ("rename", "v3"))

    def test_dumps(self):
        event = AuditEvent.new(**self.FIELDS, timestamp=5, payload=AuditPayload(
            before={"é": None}, delta={"a": AuditFieldChange(None, 1)}))
        full = {
            "event_id": 7, "timestamp": 5, "domain": "v2", "category": "image", "model_name": "m",
            "operation": "create", "logical_user_id": "u", "request_id": None,
            "payload": {"before": {"é": None}, "after": None, "delta": {"a": {"old": None, "new": 1}}}}
        self.assertEqual(event.model_dump(), full)
        self.assertEqual(dict(event)["payload"], event.payload)
        self.assertIs(event.model_dump()["operation"], AuditOperation.CREATE)
        self.assertIs(type(event.model_dump(mode="json")["operation"]), str)
        short = json.loads(json.dumps(full))
        del short["request_id"], short["payload"]["after"]
        self.assertEqual(event.model_dump(exclude_none=True), short)
        self.assertEqual(event.model_dump_json(), json.dumps(full, ensure_ascii=False, separators=(",", ":")))
        self.assertEqual(json.loads(event.model_dump_json(exclude_none=True, indent=2)), short)
        self.assertEqual(event.model_dump(include={"event_id"}), {"event_id": 7})
        self.assertEqual(event.model_dump(include={"payload": {"after"}}), {"payload": {"after": None}})
        self.assertEqual(list(event.model_dump(exclude={"payload": {"delta", "after"}})["payload"]), ["before"])
        event.model_dump()["payload"]["before"]["é"] = "changed"
        self.assertEqual(event.payload.before, {"é": None})

    def test_copies(self):
        event = AuditEvent.new(**self.FIELDS, payload={"after": {"a": [1]}})
        same, deep = event.model_copy(), event.model_copy(deep=True)
        self.assertEqual((event, event), (same, deep))
        self.assertIs(same.payload.after["a"], event.payload.after["a"])
        self.assertIsNot(deep.payload.after["a"], event.payload.after["a"])
        changed = event.model_copy(update={"event_id": 8, "operation": "delete"})
        self.assertEqual((changed.event_id, changed.operation.value, event.event_id), (8, "delete", 7))
        self.assertEqual(event.payload.model_copy(update={"before": {}}).before, {})

    def test_validation(self):
        event = AuditEvent.new(**self.FIELDS, payload={"delta": {"a": {"old": 1, "new": None}}, "note": 1})
        self.assertIs(AuditEvent.model_validate(event), event)
        self.assertEqual(AuditEvent.model_validate(event.model_dump()), event)
        self.assertEqual(AuditEvent.model_validate({**event.model_dump(), "unknown": 1}), event)
        self.assertEqual(AuditEvent.model_validate_json(event.model_dump_json()), event)
        self.assertEqual(AuditEvent.model_validate_json(event.model_dump_json().encode()), event)
        self.assertEqual(AuditEvent.model_validate_strings({**self.FIELDS, "event_id": "7", "timestamp": "5"}),
                         AuditEvent.new(**self.FIELDS, timestamp=5))
        self.assertEqual(AuditPayload.model_validate({"after": {"a": 1}}), AuditPayload.from_create({"a": 1}))
        self.assertEqual(AuditFieldChange.model_validate({"old": 1, "new": 2}), AuditFieldChange(1, 2))
        good = event.model_dump()
        for bad in ("[]", "no JSON", '{"event_id":1}'):
            with self.assertRaises(ValueError, msg=bad):
                AuditEvent.model_validate_json(bad)
        for bad in (7, None, {**good, "event_id": "x"}, {**good, "event_id": 1.5}, {**good, "domain": 1},
                    {**good, "event_id": True}, {**good, "payload": 1}, {**good, "payload": {"after": 1}},
                    {**good, "payload": {"delta": []}}, {**good, "timestamp": None}):
            with self.assertRaises(ValueError, msg=bad):
                AuditEvent.model_validate(bad)

    @unittest.skipUnless(importlib.util.find_spec("pydantic"), "pydantic is not here")
    def test_models_of_pydantic_may_hold_them(self):
        import pydantic

        Page = pydantic.create_model("Page", events=(typing.List[AuditEvent], ...))
        event = AuditEvent.new(**self.FIELDS, payload={"after": {"a": 1}})
        page = Page(events=[event, event.model_dump()])
        self.assertEqual(page.events, [event, event])
        self.assertEqual(Page.model_validate_json(page.model_dump_json()), page)
        self.assertNotIn("request_id", page.model_dump(exclude_none=True)["events"][0])
        self.assertIn("properties", Page.model_json_schema())
        with self.assertRaises(pydantic.ValidationError):
            Page(events=[1])


class Reading(Case):
    def fill(self, count=10):
        with Trail(self.root) as trail:
            for index in range(1, count + 1):
                trail.append(**{**EVENT, "domain": ["legacy", "v2"][index % 2],
                                "logical_user_id": f"u-{index % 3}", "request_id": f"r-{index}"})

    def test_orders_and_limits(self):
        self.fill()

        def ids(**filters):
            with Reader(self.root, **filters) as reader:
                return [event.event_id for event in reader]

        self.assertEqual(ids(), [2, 4, 6, 8, 10, 1, 3, 5, 7, 9])
        self.assertEqual(ids(order=Order.OLDEST_FIRST), list(range(1, 11)))
        self.assertEqual(ids(order=Order.NEWEST_FIRST, limit=3), [10, 9, 8])
        self.assertEqual(ids(limit=0), [])
        self.assertEqual(ids(users="u-1"), [4, 10, 1, 7])
        self.assertEqual(ids(request_id="r-7"), [7])
        self.assertEqual(ids(operations=["delete"]), [])

    def test_filters_let_nothing_through_that_was_not_asked_for(self):
        self.fill()

        def ids(**filters):
            with Reader(self.root, **filters) as reader:
                return sorted(event.event_id for event in reader)

        self.assertEqual(ids(domains=None, users=None, limit=None, max_event_id=None), list(range(1, 11)))
        for name, text, found in (("domains", "v2", 5), ("categories", "image", 10), ("model_names", "m", 10),
                                  ("operations", "create", 10), ("users", "u-1", 4)):
            self.assertEqual(len(ids(**{name: text})), found)
            self.assertEqual(ids(**{name: text}), ids(**{name: [text]}))
            for empty in ([], set(), (), iter([])):
                self.assertEqual(ids(**{name: empty}), [])
            for bad in ([7], 7, [None], b"v2", {1: 1}):
                with self.assertRaises(TypeError, msg=f"{name} {bad}"):
                    ids(**{name: bad})
        for name in ("min_event_id", "max_event_id", "limit"):
            for bad in (-1, 1 << 64, 1 << 70, 10 ** 5000):
                with self.assertRaises(ValueError, msg=f"{name} {bad > 0}"):
                    ids(**{name: bad})
        for name in ("min_timestamp", "max_timestamp"):
            for bad in (1 << 63, -1 << 64, 1 << 70):
                with self.assertRaises(ValueError, msg=f"{name} {bad}"):
                    ids(**{name: bad})
        for name in ("min_event_id", "max_event_id", "limit", "min_timestamp", "max_timestamp", "order"):
            for bad in (True, False, 1.0, float("nan"), float("inf"), "1", [1]):
                with self.assertRaises(TypeError, msg=f"{name} {bad}"):
                    ids(**{name: bad})
        for bad in (dict(min_event_id=3, max_event_id=2), dict(min_timestamp=3, max_timestamp=2), dict(order=3)):
            with self.assertRaises(ValueError, msg=bad):
                ids(**bad)
        for bad in ({"colours": []}, {"domain": "v2"}):
            with self.assertRaises(TypeError, msg=bad):
                ids(**bad)
        where = dict(domain="v2", category="image")
        self.assertEqual(auditrail.replay(self.root, **where, model_names=[]), ({}, None, 0))
        self.assertEqual(auditrail.history(self.root, **where, model_name="m", users=[]), [])
        self.assertEqual(auditrail.history(self.root, **where, model_name="m", limit=0), [])
        with self.assertRaises(TypeError):  # not passed over
            auditrail.history(self.root, **where, model_name="m", domains="legacy")
        with self.assertRaises(auditrail.NotFoundError):
            Reader(self.folder / "nothing", domains=[])
        with Reader(self.root) as reader:
            for bad in (-1, float("nan")):
                with self.assertRaises(ValueError):
                    reader.follow(timeout=bad)
            for bad in (True, "1"):
                with self.assertRaises(TypeError):
                    reader.follow(timeout=bad)

    def test_integers_of_any_length(self):
        long = 10 ** 5000 + 7
        text = "1" + "0" * 4999 + "7"
        payload = {"after": {"n": [long, -long, 7, 1.5, True, None], "kind": AuditOperation.CREATE, 3: "é"}}
        with Trail(self.root) as trail:
            event = trail.append_event(**EVENT, payload=payload)
            trail.append_batch([{**EVENT, "payload": payload}])
            self.assertIn(f"[{text},-{text},7,1.5,true,null]".encode(), event.line)
            self.assertEqual([line.split(b'"payload"')[1] for line in self.lines()][0],
                             [line.split(b'"payload"')[1] for line in self.lines()][1])
            for read in trail.read():
                numbers = read.payload.after["n"]
                self.assertEqual([int(numbers[0]), int(numbers[1]), *numbers[2:]],
                                 [long, -long, 7, 1.5, True, None])
                self.assertEqual(read.payload.after["3"], "é")
            # What was read can be written again.
            trail.append(**{**EVENT, "model_name": "again"}, payload=read.payload)
        self.assertEqual(self.lines()[2].split(b'"payload"')[1], self.lines()[0].split(b'"payload"')[1])
        state = auditrail.replay(self.root, domain="v2", category="image").state
        self.assertEqual(int(state["m"]["n"][0]), long)
        [change] = auditrail.history(self.root, domain="v2", category="image", model_name="again")
        self.assertEqual(int(change["changes"]["n"]["new"][1]), -long)
        loop = []
        loop.append(loop)
        with Trail(self.root) as trail, self.assertRaises((ValueError, RecursionError)):
            trail.append(**EVENT, payload={"after": {"loop": loop}})

    def test_a_trail_reads_what_it_has_accepted(self):
        with Trail(self.root, durability=Durability.BUFFERED) as trail:
            event = trail.append_event(**EVENT)
            self.assertEqual(list(trail.read()), [event])
            self.assertEqual(list(trail.read().lines()), self.lines() and [event.line.rstrip(b"\n")])

    def test_readers_close(self):
        self.fill()
        reader = Reader(self.root)
        next(reader)
        reader.close()
        reader.close()
        for use in (lambda: next(reader), lambda: list(reader), lambda: list(reader.lines()),
                    lambda: reader.follow(timeout=0), lambda: reader.position, lambda: reader.damage):
            with self.assertRaisesRegex(ValueError, "closed"):
                use()
        with Reader(self.root) as reader:
            following = reader.follow(timeout=5)
            next(following)
        with self.assertRaisesRegex(ValueError, "closed"):
            next(following)
        trail = Trail(self.root)
        trail.close()
        with self.assertRaisesRegex(ValueError, "closed"):
            trail.read()
        with self.assertRaises(auditrail.NotFoundError):
            Reader(self.folder / "nothing")
        with self.assertRaises(auditrail.NotFoundError):
            auditrail.replay(self.folder / "nothing", domain="v2", category="image")
        with self.assertRaises(TypeError):
            Reader(self.root, colours=["blue"])

    def test_following_sees_what_comes(self):
        self.fill(2)
        with Trail(self.root) as trail, Reader(self.root, order=Order.OLDEST_FIRST) as reader:
            def later():
                time.sleep(0.3)
                trail.append(**EVENT)

            thread = threading.Thread(target=later)
            thread.start()
            events = reader.follow(timeout=30)
            self.assertEqual([next(events).event_id for _ in range(3)], [1, 2, 3])
            thread.join()
            self.assertEqual(list(reader.follow(timeout=0)), [])
            self.assertEqual(list(reader.follow(timeout=0.3)), [])

    def test_damage_and_position(self):
        self.fill(2)
        path = self.root / "v2/image/audit-000001.jsonl"
        size = path.stat().st_size
        with open(path, "ab") as file:
            file.write(b"no event\n")
        with Reader(self.root, domains="v2") as reader:
            self.assertIsNone(reader.position)
            self.assertEqual(next(reader).event_id, 1)
            self.assertEqual(reader.position, (str(path), 0))
            self.assertEqual(list(reader), [])
            [damage] = reader.damage
        self.assertEqual((damage.path, damage.offset), (str(path), size))
        with self.assertLogs("auditrail", logging.WARNING) as logs:
            self.assertEqual(len(list(AuditTrailReader(self.root).iter_events())), 2)
        self.assertIn(f"byte {size}", logs.output[0])

    def test_history(self):
        with Trail(self.root) as trail:
            trail.append(**EVENT, payload=AuditPayload.from_create({"a": 1}))
            trail.append(**{**EVENT, "operation": "update"},
                         payload=AuditPayload.from_update({"a": 1}, {"a": 2}))
        where = dict(domain="v2", category="image", model_name="m")
        first, second = auditrail.history(self.root, **where)
        self.assertEqual(first["changes"], {"a": {"new": 1}})
        self.assertEqual(second["changes"], {"a": {"old": 1, "new": 2}})
        self.assertEqual(second["logical_user_id"], "u-1")
        self.assertEqual(len(auditrail.history(self.root, **where, max_event_id=1)), 1)

    def test_check(self):
        self.fill()
        report = auditrail.check(self.root)
        self.assertEqual(report["events"], 10)
        report = auditrail.check(self.root, pruned_before=9)
        self.assertEqual((report["ok"], report["pruned_events"]), (True, 0))
        with self.assertRaises((TypeError, ValueError)):
            auditrail.check(self.root, pruned_before=-1)


if __name__ == "__main__":
    unittest.main()
