"""Audit trails for Python, over the C library ``libauditrail``.

Copy this one file into your project; it needs the shared library and nothing
else. The library is looked for at ``$AUDITRAIL_LIB``, then under its usual
names, where the system's loader finds them.

A trail is a folder. Open it, append, close::

    from auditrail import Trail

    with Trail("audit") as trail:
        trail.append(
            domain="v2",
            category="image_generation",
            model_name="some model",
            operation="create",
            logical_user_id="user-1",
            payload={"after": {"nsfw": False}},
        )
        for event in trail.read(model_names=["some model"]):
            print(event.event_id, event.operation, event.payload)

``AuditTrailWriter``, ``AuditTrailReader`` and ``AuditReplayer`` take the calls
of the Python audit trail that came before this library: a service changes its
import, and nothing else.

Threads may share a :class:`Trail`; the interpreter's lock is released while
the library works, so that threads that wait for the disk wait together. A
process that was forked opens its own.
"""

from __future__ import annotations

import copy
import ctypes
import dataclasses
import decimal
import enum
import functools
import json
import logging
import math
import operator
import os
import re
import sys
import threading
import time
import warnings
from json.encoder import encode_basestring_ascii as _quoted
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    NoReturn,
    Optional,
    Set,
    Tuple,
    Type,
    TypeVar,
    Union,
)

__all__ = [
    "AuditDomain",
    "AuditEvent",
    "AuditFieldChange",
    "AuditOperation",
    "AuditPayload",
    "AuditReplayer",
    "AuditTrailReader",
    "AuditTrailWriter",
    "BufferFullError",
    "BusyError",
    "CorruptError",
    "Damage",
    "Durability",
    "Error",
    "FailedError",
    "ForkedError",
    "InvalidArgumentError",
    "InvalidEventError",
    "NotFoundError",
    "Order",
    "Reader",
    "ReplayResult",
    "Stats",
    "StorageError",
    "TamperedError",
    "TooLargeError",
    "Trail",
    "check",
    "history",
    "library_version",
    "replay",
]

Text = Union[str, enum.Enum]
"""A plain string, or a member of an enum whose value is one."""

PathLike = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]

_log = logging.getLogger("auditrail")
_log.addHandler(logging.NullHandler())


# -- Errors --------------------------------------------------------------------


class Error(Exception):
    """What the library says when it fails.

    ``status`` is its number and ``name`` the number's name; ``os_errno`` is the
    operating system's reason, or None; ``offset`` is the byte in the JSON text
    or the file that the error is about, or None; ``message`` is for people.
    """

    def __init__(self, message: str, status: int, os_errno: Optional[int] = None,
                 offset: Optional[int] = None) -> None:
        super().__init__(message, status, os_errno, offset)
        self.message = message
        self.status = status
        self.os_errno = os_errno
        self.offset = offset

    @property
    def name(self) -> str:
        """The status in words, such as ``AUDITRAIL_ERR_BUSY``."""
        name: bytes = _library().status_name(self.status)
        return name.decode()

    def __str__(self) -> str:
        return self.message


class InvalidArgumentError(Error, ValueError):
    """An argument is out of range, or makes no sense with another."""


class InvalidEventError(Error, ValueError):
    """The event breaks a rule; nothing of it was written."""


class TooLargeError(Error, ValueError):
    """The event or the batch passes a limit; nothing of it was written."""


class StorageError(Error):
    """The operating system refused a file operation; ``os_errno`` says why."""


class BusyError(Error):
    """Another writer has the trail; the message names its process."""


class FailedError(Error):
    """The writer has failed for good. Open the trail again to learn what is in it."""


class BufferFullError(Error):
    """The buffer is full and cannot be flushed. The event was not accepted."""


class NotFoundError(Error):
    """There is no trail at the path."""


class CorruptError(Error):
    """What is on disk is not what a trail may hold."""


class TamperedError(CorruptError):
    """What is on disk is not what was signed."""


class ForkedError(Error):
    """The trail was opened before a fork; the child opens its own."""


_OK, _END = 0, 1
_ERRORS: Dict[int, Type[Error]] = {
    -10: InvalidArgumentError,
    -11: InvalidEventError,
    -12: TooLargeError,
    -13: InvalidArgumentError,
    -20: StorageError,
    -21: StorageError,
    -22: BusyError,
    -23: FailedError,
    -24: BufferFullError,
    -25: NotFoundError,
    -30: CorruptError,
    -31: TamperedError,
    -40: ForkedError,
}


# -- The library ---------------------------------------------------------------


class _CError(ctypes.Structure):
    _fields_ = [
        ("status", ctypes.c_int32),
        ("os_errno", ctypes.c_int32),
        ("offset", ctypes.c_int64),
        ("message", ctypes.c_char * 496),
    ]

    def raised(self) -> NoReturn:
        raise _ERRORS.get(self.status, Error)(
            self.message.decode("utf-8", "replace"),
            self.status,
            self.os_errno or None,
            None if self.offset < 0 else self.offset,
        )


class _CStats(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t)] + [
        (name, ctypes.c_uint64)
        for name in (
            "events", "bytes", "batches", "rotations", "syncs", "last_id", "written_id",
            "synced_id", "torn_tails", "torn_bytes", "missing_ids", "waiting", "streams",
            "open_files", "flush_failures",
        )
    ]


_Warned = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int32, ctypes.c_char_p)


def _signatures() -> Dict[str, Tuple[Any, List[Any]]]:
    """Result and arguments of each function, by its name without the prefix."""
    handle, text, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
    u64, i64, i32 = ctypes.c_uint64, ctypes.c_int64, ctypes.c_int32
    out, error = ctypes.c_void_p, ctypes.c_void_p  # by address: the cheapest to pass
    table: Dict[str, Tuple[Any, List[Any]]] = {
        "version": (text, []),
        "status_name": (text, [i32]),
        "buffer_data": (handle, [handle]),
        "buffer_length": (size, [handle]),
        "buffer_free": (None, [handle]),
        "options_new": (handle, []),
        "options_free": (None, [handle]),
        "options_set_any_domain": (i32, [handle, error]),
        "options_set_any_operation": (i32, [handle, error]),
        "options_set_warning_callback": (i32, [handle, _Warned, handle, error]),
        "writer_open": (i32, [text, handle, out, error]),
        "writer_append": (i32, [handle, text, size, out, error]),
        "writer_append_batch": (i32, [handle, text, size, out, out, error]),
        "writer_append_returning": (i32, [handle, text, size, out, error]),
        "writer_flush": (i32, [handle, error]),
        "writer_sync": (i32, [handle, error]),
        "writer_stats": (i32, [handle, out, error]),
        "writer_close": (i32, [handle, error]),
        "filter_new": (handle, []),
        "filter_free": (None, [handle]),
        "filter_set_event_ids": (i32, [handle, u64, u64, error]),
        "filter_set_timestamps": (i32, [handle, i64, i64, error]),
        "filter_set_limit": (i32, [handle, u64, error]),
        "filter_set_order": (i32, [handle, i32, error]),
        "reader_open": (i32, [text, handle, out, error]),
        "reader_next": (i32, [handle, out, out, out, error]),
        "reader_follow": (i32, [handle, u64, out, out, out, error]),
        "reader_path": (text, [handle]),
        "reader_offset": (u64, [handle]),
        "reader_damage_count": (u64, [handle]),
        "reader_damage": (i32, [handle, size, out, out, out, error]),
        "reader_close": (None, [handle]),
        "replay": (i32, [text, text, text, handle, out, error]),
        "history": (i32, [text, text, text, text, handle, out, error]),
        "check_pruned": (i32, [text, u64, out, error]),
    }
    for name in ("max_segment_bytes", "max_event_bytes", "buffer_bytes", "flush_interval_ms",
                 "max_open_files", "lock_timeout_ms"):
        table[f"options_set_{name}"] = (i32, [handle, u64, error])
    for name in ("durability", "shared"):
        table[f"options_set_{name}"] = (i32, [handle, i32, error])
    for name in ("options_add_domain", "options_add_operation", "filter_add_domain",
                 "filter_add_category", "filter_add_model_name", "filter_add_operation",
                 "filter_add_user", "filter_set_request_id"):
        table[name] = (i32, [handle, text, size, error])
    return table


class _Library:
    """The shared library; a function is looked up when it is first used."""

    def __init__(self) -> None:
        named = os.environ.get("AUDITRAIL_LIB")
        if named:
            names = [named]
        elif sys.platform == "darwin":
            names = ["libauditrail.0.dylib", "libauditrail.dylib"]
        elif sys.platform == "win32":
            names = ["auditrail.dll"]
        else:
            names = ["libauditrail.so.0", "libauditrail.so"]
        for name in names:
            try:
                self._library = ctypes.CDLL(name)  # lets other threads run in each call
                break
            except OSError as error:
                reason = error
        else:
            raise ImportError(
                f"the library auditrail was not found ({reason}); install it, or set "
                "AUDITRAIL_LIB to its path"
            )
        self._signatures = _signatures()

    def __getattr__(self, name: str) -> Any:
        result, arguments = self._signatures[name]
        function = getattr(self._library, f"auditrail_{name}")
        function.restype, function.argtypes = result, arguments
        setattr(self, name, function)
        return function


@functools.lru_cache(maxsize=None)
def _library() -> _Library:
    return _Library()


def library_version() -> str:
    """The version of the shared library."""
    version: bytes = _library().version()
    return version.decode()


class _Call:
    """What one call into the library needs for its results. Costly to make, so
    that each is used again and again; never by two calls at once."""

    __slots__ = ("error", "number", "count", "pointer", "at_error", "at_number", "at_count",
                 "at_pointer", "busy", "thread")

    def __init__(self) -> None:
        self.error = _CError()
        self.number = ctypes.c_uint64()
        self.count = ctypes.c_size_t()
        self.pointer = ctypes.c_void_p()
        self.at_error = ctypes.addressof(self.error)
        self.at_number = ctypes.addressof(self.number)
        self.at_count = ctypes.addressof(self.count)
        self.at_pointer = ctypes.addressof(self.pointer)
        self.busy = False  # whether it may be using the trail's handle
        self.thread = 0


def _path(root: PathLike) -> bytes:
    path = os.fsencode(root)
    if b"\0" in path:
        raise ValueError("a path cannot hold a NUL")
    return path


def _name(value: Text, name: str) -> bytes:
    text = _plain_text(value, name).encode()
    if b"\0" in text:
        raise ValueError(f"{name} cannot hold a NUL")
    return text


def _buffer(pointer: ctypes.c_void_p) -> bytes:
    """The bytes of a buffer of the library, which is then freed."""
    library = _library()
    try:
        return ctypes.string_at(
            library.buffer_data(pointer), library.buffer_length(pointer)
        )
    finally:
        library.buffer_free(pointer)


_MAX_ID, _MIN_TIME, _MAX_TIME = (1 << 64) - 1, -(1 << 63), (1 << 63) - 1


def _whole(name: str, number: Any, lowest: int = 0, highest: int = _MAX_ID) -> int:
    """The number, if it is a whole one in range. ctypes would hand over any
    other as something else: 2**64 as 0, -1 as the highest, 1.5 not at all."""
    if isinstance(number, bool) or not hasattr(type(number), "__index__"):
        raise TypeError(f"{name} must be a whole number, not {type(number).__name__}")
    index = operator.index(number)
    if not lowest <= index <= highest:
        raise ValueError(f"{name} must be from {lowest} to {highest}")
    return index


def _milliseconds(name: str, seconds: Any) -> int:
    """Rounded, but never to 0, which would mean something else."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {type(seconds).__name__}")
    if not 0 <= seconds < 1e15:
        raise ValueError(f"{name} must be a number of seconds from 0 up")
    return max(round(seconds * 1000), 1 if seconds else 0)


def _texts(some: "Names") -> "List[Text]":
    """The texts of a list; a text alone is a list of one."""
    return [some] if isinstance(some, (str, enum.Enum)) else list(some)


class _NotCopied:
    """What owns memory of the library: a copy would free it again."""

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be copied or pickled")


class _Builder:
    """Options or a filter of the library, while they are filled in."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.error = _CError()
        self.handle = getattr(_library(), f"{kind}_new")()

    def __enter__(self) -> "_Builder":
        return self

    def __exit__(self, *_: object) -> None:
        getattr(_library(), f"{self.kind}_free")(self.handle)

    def set(self, name: str, *values: Any) -> None:
        function = getattr(_library(), f"{self.kind}_{name}")
        if function(self.handle, *values, ctypes.addressof(self.error)):
            self.error.raised()

    def set_text(self, name: str, value: Text) -> None:
        text = _plain_text(value, name).encode("utf-8", "surrogatepass")
        self.set(name, text, len(text))


# -- JSON ----------------------------------------------------------------------


def _plain_text(value: Text, name: str) -> str:
    if isinstance(value, enum.Enum):
        value = value.value
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string or a string enum, not {type(value).__name__}")
    return str.__str__(value)


def _plain(value: Any) -> Any:
    """What JSON has for an object that is none of JSON's own types."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, _Model):
        return value.model_dump(exclude_none=True)
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        try:
            return dump(mode="json")
        except TypeError:
            return dump()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if _is_long(value):
        raise ValueError("for _encode_slowly")
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _record(value: Any) -> Dict[str, Any]:
    """A mapping or a model object as a dict of its own."""
    if not isinstance(value, Mapping):
        value = _plain(value)
    if not isinstance(value, Mapping):
        raise TypeError(f"a record must be a mapping or a model, not {type(value).__name__}")
    return dict(value)


_encoder = json.JSONEncoder(separators=(",", ":"), default=_plain)
_encode_fast: Callable[[Any], str] = _encoder.encode

# The standard library makes a new encoder for each call to encode(); the one
# that it makes can be kept, where it is there. This halves the time.
_make = getattr(json.encoder, "c_make_encoder", None)
if _make is not None:
    try:
        _chunks = _make(None, _plain, _quoted, None, ":", ",", False, False, True)
        if "".join(_chunks({"a": [1, None, "\u00e9"]}, 0)) == '{"a":[1,null,"\\u00e9"]}':

            def _encode_fast(value: Any) -> str:  # noqa: F811
                return "".join(_chunks(value, 0))

    except TypeError:  # another version's arguments
        pass


def _encode(value: Any) -> str:
    """A value as JSON text."""
    try:
        return _encode_fast(value)
    except ValueError:  # an integer of more digits than int gives as text (4,300)
        return _encode_slowly(value)


def _encode_slowly(value: Any) -> str:
    """As the standard library does, but for integers of any length."""
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return _digits(value)
    if value is None or isinstance(value, (bool, float)):
        return _encode_fast(value)
    if isinstance(value, dict):
        return "{" + ",".join(
            f"{_quoted(_key(key))}:{_encode_slowly(item)}" for key, item in value.items()
        ) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_encode_slowly, value)) + "]"
    if _is_long(value):
        return format(value, "f")
    return _encode_slowly(_plain(value))


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, (int, float)):
        return _encode_slowly(key)
    raise TypeError(f"a key must be a string, not {type(key).__name__}")


def _digits(number: int) -> str:
    try:
        return int.__repr__(number)
    except ValueError:
        return format(decimal.Decimal(int(number)), "f")


def _is_long(value: Any) -> bool:
    """Whether it is an integer as :func:`_decode` gives those that are long."""
    return isinstance(value, decimal.Decimal) and value.same_quantum(decimal.Decimal(1))


def _integer(text: str) -> Union[int, decimal.Decimal]:
    try:
        return int(text)
    except ValueError:
        # Making an int of it takes quadratic time, for which reason Python does
        # not do so unasked: a megabyte of digits would hold a reader for seconds.
        return decimal.Decimal(text)


def _decode(text: Union[str, bytes]) -> Any:
    """The value of a JSON text that the library has checked. An integer of more
    digits than int takes from text (4,300) becomes a :class:`decimal.Decimal`."""
    try:
        return json.loads(text)
    except ValueError:
        return json.loads(text, parse_int=_integer)


def _event(domain: Text, category: Text, model_name: Text, operation: Text,
           logical_user_id: Text, payload: Any, request_id: Optional[Text],
           timestamp: Optional[int]) -> bytes:
    """The JSON text of an event, as the library takes it."""
    if type(domain) is not str:
        domain = _plain_text(domain, "domain")
    if type(category) is not str:
        category = _plain_text(category, "category")
    if type(model_name) is not str:
        model_name = _plain_text(model_name, "model_name")
    if type(operation) is not str:
        operation = _plain_text(operation, "operation")
    if type(logical_user_id) is not str:
        logical_user_id = _plain_text(logical_user_id, "logical_user_id")
    text = (
        f'{{"domain":{_quoted(domain)},"category":{_quoted(category)},'
        f'"model_name":{_quoted(model_name)},"operation":{_quoted(operation)},'
        f'"logical_user_id":{_quoted(logical_user_id)}'
    )
    if timestamp is not None:
        timestamp = _whole("timestamp", timestamp, _MIN_TIME, _MAX_TIME)
        if timestamp:
            text += f',"timestamp":{timestamp}'
    if request_id is not None:
        text += f',"request_id":{_quoted(_plain_text(request_id, "request_id"))}'
    if payload is not None:
        text += f',"payload":{_encode(payload)}'
    return (text + "}").encode()


# -- Events --------------------------------------------------------------------


class AuditOperation(str, enum.Enum):
    """What was done to a record."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"

    def __str__(self) -> str:
        return self.value


class AuditDomain(str, enum.Enum):
    """The domains of the audit trail that came before."""

    LEGACY = "legacy"
    V2 = "v2"

    def __str__(self) -> str:
        return self.value


_M = TypeVar("_M", bound="_Model")


class _Model:
    """What the models of the audit trail that came before had, for their users:
    the calls and rules of pydantic's models, without pydantic."""

    def _values(self) -> Dict[str, Any]:
        """The fields by name, in the order of the line."""
        raise NotImplementedError

    @classmethod
    def _made(cls: Type[_M], values: Mapping[str, Any]) -> _M:
        """The model with these fields, which are checked; others are passed over."""
        raise NotImplementedError

    _always: Tuple[str, ...] = ()
    """The fields that stand in a line though they are None."""

    def model_dump(self, *, mode: str = "python", include: Any = None, exclude: Any = None,
                   exclude_unset: bool = False, exclude_defaults: bool = False,
                   exclude_none: bool = False, **_: Any) -> Dict[str, Any]:
        """As a dict, in the order of the event line; with ``exclude_none``, without
        the fields that are None. With ``mode="json"``, of what JSON has only."""
        dumped: Dict[str, Any] = {}
        unwanted = exclude_none or exclude_unset or exclude_defaults
        for name, value in self._values().items():
            inner_include, inner_exclude = _inner(include, name), _inner(exclude, name)
            if include is not None and inner_include is None or inner_exclude is True:
                continue
            if value is None and unwanted and name not in self._always:
                continue
            dumped[name] = _dumped(
                value, mode, include=None if inner_include is True else inner_include,
                exclude=inner_exclude, exclude_none=exclude_none, exclude_unset=exclude_unset,
                exclude_defaults=exclude_defaults)
        return dumped

    def model_dump_json(self, *, indent: Optional[int] = None, **options: Any) -> str:
        """As JSON text, with the options of :meth:`model_dump`."""
        options["mode"] = "json"
        return json.dumps(
            self.model_dump(**options), ensure_ascii=False, allow_nan=False, indent=indent,
            separators=(",", ":") if indent is None else (",", ": "),
        )

    def model_copy(self: _M, *, update: Optional[Mapping[str, Any]] = None,
                   deep: bool = False) -> _M:
        """Another one, with the fields in ``update`` changed; these are checked."""
        values = self._values()
        if deep:
            values = copy.deepcopy(values)
        return self._made({**values, **(update or {})})

    @classmethod
    def model_validate(cls: Type[_M], obj: Any, **options: Any) -> _M:
        """From a mapping, or from an object with these attributes where
        ``from_attributes`` is true. What cannot be one is a ValueError."""
        if isinstance(obj, cls):
            return obj
        if options.get("from_attributes") and not isinstance(obj, Mapping):
            obj = {name: getattr(obj, name) for name in cls._names() if hasattr(obj, name)}
        if not isinstance(obj, Mapping):
            raise ValueError(f"{cls.__name__} cannot be made of a {type(obj).__name__}")
        try:
            return cls._made(obj)
        except TypeError as error:
            raise ValueError(f"{cls.__name__}: {error}") from error

    @classmethod
    def model_validate_json(cls: Type[_M], json_data: Union[str, bytes], **_: Any) -> _M:
        """From JSON text. What cannot be one is a ValueError."""
        return cls.model_validate(_decode(json_data))

    @classmethod
    def model_validate_strings(cls: Type[_M], obj: Any, **_: Any) -> _M:
        """From a mapping in which numbers may be texts."""
        return cls.model_validate(obj)

    @classmethod
    def _names(cls) -> Tuple[str, ...]:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Tuple[str, Any]]:
        return iter(self._values().items())

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: Any) -> Any:
        """So that a service's own pydantic models may hold one."""
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            cls.model_validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda model, info: model.model_dump(
                    mode=info.mode, exclude_none=info.exclude_none, exclude_unset=info.exclude_unset,
                    exclude_defaults=info.exclude_defaults),
                info_arg=True),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, *_: Any) -> Dict[str, Any]:
        return {"title": cls.__name__, "type": "object"}


def _inner(names: Any, name: str) -> Any:
    """What an ``include`` or ``exclude`` says of a field: None where it is not
    named, True where all of it is meant, or what is meant inside it."""
    if names is None or name not in names:
        return None
    inner = names[name] if isinstance(names, Mapping) else True
    return True if inner is ... else inner or None


def _dumped(value: Any, mode: str, **options: Any) -> Any:
    if isinstance(value, _Model):
        return value.model_dump(mode=mode, **options)
    if isinstance(value, _Delta):
        return {field: change.model_dump(mode=mode) for field, change in value.items()}
    if mode == "json" and type(value) not in (str, int, type(None)):
        return _decode(_encode(value))
    return copy.deepcopy(value) if isinstance(value, (dict, list)) else value


class _Delta(dict):
    """From names of fields to their :class:`AuditFieldChange`."""


@dataclasses.dataclass(frozen=True)
class AuditFieldChange(_Model):
    """The value of one field before and after; None where there was none."""

    old: Any = None
    new: Any = None

    _always = ("old", "new")

    __iter__ = _Model.__iter__

    def _values(self) -> Dict[str, Any]:
        return {"old": self.old, "new": self.new}

    @classmethod
    def _made(cls, values: Mapping[str, Any]) -> "AuditFieldChange":
        return cls(values.get("old"), values.get("new"))

    @classmethod
    def _names(cls) -> Tuple[str, ...]:
        return ("old", "new")


@dataclasses.dataclass(frozen=True)
class AuditPayload(_Model):
    """What changed: the record before, after, or field by field.

    ``extra`` holds what a payload has beyond these.
    """

    before: Optional[Dict[str, Any]] = None
    after: Optional[Dict[str, Any]] = None
    delta: Optional[Dict[str, AuditFieldChange]] = None
    extra: Dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("before", "after"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _record(value))
        if self.delta is not None:
            if not isinstance(self.delta, Mapping):
                raise TypeError(f"a delta must be a mapping, not {type(self.delta).__name__}")
            object.__setattr__(self, "delta", _Delta(
                (field, change if isinstance(change, AuditFieldChange)
                 else AuditFieldChange._made(_record(change)))
                for field, change in self.delta.items()
            ))

    @classmethod
    def from_create(cls, after: Any) -> "AuditPayload":
        """For a new record: a mapping, or a model object."""
        return cls(after=_record(after))

    @classmethod
    def from_update(cls, before: Any, after: Any) -> "AuditPayload":
        """For a changed record: the fields that differ, each with both values."""
        old, new = _record(before), _record(after)
        return cls(delta={
            field: AuditFieldChange(old.get(field), new.get(field))
            for field in [*old, *(field for field in new if field not in old)]
            if (field in old) != (field in new) or not _same(old[field], new[field])
        })

    @classmethod
    def from_delete(cls, before: Any) -> "AuditPayload":
        """For a record that is gone: a mapping, or a model object."""
        return cls(before=_record(before))

    def _values(self) -> Dict[str, Any]:
        return {"before": self.before, "after": self.after, "delta": self.delta, **self.extra}

    @classmethod
    def _made(cls, values: Mapping[str, Any]) -> "AuditPayload":
        rest = dict(values)
        return cls(rest.pop("before", None), rest.pop("after", None), rest.pop("delta", None), rest)

    @classmethod
    def _names(cls) -> Tuple[str, ...]:
        return ("before", "after", "delta")


def _same(a: Any, b: Any) -> bool:
    """Whether two values are the same in JSON, where True is not 1."""
    if a is b:
        return True
    return bool(a == b) and (
        json.dumps(a, sort_keys=True, default=_plain) == json.dumps(b, sort_keys=True, default=_plain)
    )


class AuditEvent(_Model):
    """An event of a trail. Its fields are those of its line; a field that the
    line leaves out is None. ``domain`` and ``operation`` are strings; where they
    are among :class:`AuditDomain` and :class:`AuditOperation`, they are members
    of these, which are strings too.

    An event that came from a trail keeps its line, and takes it apart when a
    field is first asked for.
    """

    event_id: int
    timestamp: int
    domain: str
    category: str
    model_name: str
    operation: str
    logical_user_id: str
    request_id: Optional[str]
    payload: Optional[AuditPayload]

    FIELDS = ("event_id", "timestamp", "domain", "category", "model_name", "operation",
              "logical_user_id", "request_id", "payload")

    def __init__(self, *, event_id: int, timestamp: int, domain: Text, category: Text,
                 model_name: Text, operation: Text, logical_user_id: Text,
                 request_id: Optional[Text] = None, payload: Any = None) -> None:
        self._set({
            "event_id": _lax_whole("event_id", event_id),
            "timestamp": _lax_whole("timestamp", timestamp),
            "domain": _plain_text(domain, "domain"),
            "category": _plain_text(category, "category"),
            "model_name": _plain_text(model_name, "model_name"),
            "operation": _plain_text(operation, "operation"),
            "logical_user_id": _plain_text(logical_user_id, "logical_user_id"),
            "request_id": None if request_id is None else _plain_text(request_id, "request_id"),
            "payload": payload,
        })

    @classmethod
    def new(cls, *, event_id: int, domain: Text, category: Text, model_name: Text,
            operation: Text, logical_user_id: Text, timestamp: Optional[int] = None,
            request_id: Optional[Text] = None, payload: Any = None) -> "AuditEvent":
        """An event that is in no trail; without a timestamp it is now."""
        return cls(
            event_id=event_id, timestamp=timestamp or int(time.time()), domain=domain,
            category=category, model_name=model_name, operation=operation,
            logical_user_id=logical_user_id, request_id=request_id, payload=payload,
        )

    @classmethod
    def from_line(cls, line: bytes) -> "AuditEvent":
        """The event of a line, as it is on disk."""
        event = cls.__new__(cls)
        event.__dict__["line"] = line
        return event

    def _set(self, fields: Mapping[str, Any]) -> None:
        values = {name: fields.get(name) for name in self.FIELDS}
        values["domain"] = _DOMAINS.get(values["domain"], values["domain"])
        values["operation"] = _OPERATIONS.get(values["operation"], values["operation"])
        payload = values["payload"]
        if payload is not None and not isinstance(payload, AuditPayload):
            values["payload"] = AuditPayload._made(_record(payload))
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> Any:
        if name in self.FIELDS and "line" in self.__dict__:
            self._set(_decode(self.__dict__["line"]))
            return self.__dict__[name]
        raise AttributeError(f"AuditEvent has no {name}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("an event cannot be changed")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AuditEvent):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.FIELDS)

    def __hash__(self) -> int:
        return hash((self.event_id, self.domain, self.category, self.timestamp))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in
                           self.model_dump(exclude_none=True).items())
        return f"AuditEvent({fields})"

    def __reduce__(self) -> Any:
        return (_event_from_dict, (self.model_dump(exclude_none=True),))

    def _values(self) -> Dict[str, Any]:
        return {name: getattr(self, name) for name in self.FIELDS}

    @classmethod
    def _made(cls, values: Mapping[str, Any]) -> "AuditEvent":
        return cls(**{name: values[name] for name in cls.FIELDS if name in values})

    @classmethod
    def _names(cls) -> Tuple[str, ...]:
        return cls.FIELDS


_DOMAINS: Dict[Any, AuditDomain] = {str(member.value): member for member in AuditDomain}
_OPERATIONS: Dict[Any, AuditOperation] = {str(member.value): member for member in AuditOperation}


def _event_from_dict(fields: Mapping[str, Any]) -> AuditEvent:
    return AuditEvent(**fields)


def _lax_whole(name: str, number: Any) -> int:
    """A whole number, which may be the text of one or a float without a fraction."""
    if isinstance(number, str):
        number = int(number)
    elif isinstance(number, float) and number.is_integer():
        number = int(number)
    return _whole(name, number, _MIN_TIME, _MAX_ID)


# -- Writing -------------------------------------------------------------------


class Durability(enum.IntEnum):
    """What an append waits for."""

    BUFFERED = 0
    """The event is in memory, and flushed soon: a kill loses the last ones."""
    WRITTEN = 1
    """The event is in its file: a kill loses nothing, a loss of power the last ones."""
    SYNCED = 2
    """The event is on disk: nothing loses it."""
    MAPPED = 3
    """The event is in a mapped file, and flushed soon: a kill loses nothing, a loss of
    power the last ones."""


class Stats(NamedTuple):
    """What a writer has done and where it is; see ``auditrail.h``."""

    events: int
    bytes: int
    batches: int
    rotations: int
    syncs: int
    last_id: int
    written_id: int
    synced_id: int
    torn_tails: int
    torn_bytes: int
    missing_ids: int
    waiting: int
    streams: int
    open_files: int
    flush_failures: int


_WARNINGS = {1: "torn tail", 2: "missing ids", 3: "index rebuilt", 4: "damaged line", 5: "redone",
             6: "flush failed", 7: "proof failed", 8: "segment gone", 9: "lock wait"}


def _log_warning(kind: str, message: str) -> None:
    _log.warning("%s: %s", kind, message)


class Trail(_NotCopied):
    """A trail, open for writing. Many threads may use it at once.

    ``root`` is the trail's folder; it is made where it is missing. A ``shared``
    trail may be open in many processes, if all of them say so; otherwise the
    second gets :class:`BusyError`. ``domains`` and ``operations`` are the names
    that events may have: by default ``legacy`` and ``v2``, and ``create``,
    ``update`` and ``delete``; ``"*"`` allows any. ``lock_timeout`` is for how many
    seconds a call waits for a lock that another process holds, before it raises
    :class:`BusyError`; without one it waits as long as it takes. ``on_warning`` is told, in
    whatever thread it happens, what recovery found and that a flush failed: a
    kind and a message. By default they go to the logger ``auditrail``.
    """

    def __init__(
        self,
        root: PathLike,
        *,
        durability: Durability = Durability.WRITTEN,
        shared: bool = False,
        max_segment_bytes: Optional[int] = None,
        max_event_bytes: Optional[int] = None,
        domains: Union[None, str, Iterable[Text]] = None,
        operations: Union[None, str, Iterable[Text]] = None,
        buffer_bytes: Optional[int] = None,
        flush_interval: Optional[float] = None,
        max_open_files: Optional[int] = None,
        lock_timeout: Optional[float] = None,
        on_warning: Callable[[str, str], None] = _log_warning,
    ) -> None:
        self._handle: Optional[int] = None
        self.root = os.fsdecode(root)
        self._append = _library().writer_append
        self._calls: List[_Call] = []  # all that were made
        self._free: List[_Call] = []  # those that no call is using
        self._closing = threading.Lock()
        self._process = os.getpid()
        self._warn_unclosed = True

        telling: Set[int] = set()  # the threads that are in the handler

        def warned(_: Any, kind: int, message: bytes) -> None:
            thread = threading.get_ident()
            outer = thread in telling
            telling.add(thread)
            try:
                on_warning(_WARNINGS.get(kind, str(kind)), message.decode("utf-8", "replace"))
            finally:
                if not outer:
                    telling.discard(thread)

        self._telling = telling

        self._warned = _Warned(warned)  # kept as long as the library may call it
        if not callable(on_warning):
            raise TypeError(f"on_warning must be callable, not {type(on_warning).__name__}")
        if not isinstance(shared, bool):
            raise TypeError(f"shared must be True or False, not {type(shared).__name__}")
        if lock_timeout == 0:
            raise ValueError("lock_timeout must be more than 0 seconds, or None: no limit")
        numbers = {
            "max_segment_bytes": max_segment_bytes,
            "max_event_bytes": max_event_bytes,
            "buffer_bytes": buffer_bytes,
            "flush_interval_ms": None if flush_interval is None else
            _milliseconds("flush_interval", flush_interval),
            "max_open_files": max_open_files,
            "lock_timeout_ms": None if lock_timeout is None else
            _milliseconds("lock_timeout", lock_timeout),
        }
        with _Builder("options") as options:
            options.set("set_durability", _whole("durability", durability, 0, 3))
            options.set("set_shared", int(shared))
            for name, number in numbers.items():
                if number is not None:
                    options.set(f"set_{name}", _whole(name, number))
            for name, names in (("domain", domains), ("operation", operations)):
                if isinstance(names, str) and names == "*":
                    options.set(f"set_any_{name}")
                elif names is not None:
                    chosen = _texts(names)
                    if not chosen:
                        raise ValueError(f"{name}s: an empty list would allow no event")
                    for one in chosen:
                        options.set_text(f"add_{name}", one)
            options.set("set_warning_callback", self._warned, None)
            call = _Call()
            if _library().writer_open(
                _path(root), options.handle, call.at_pointer, call.at_error
            ):
                call.error.raised()
        self._handle = call.pointer.value

    def append(
        self,
        *,
        domain: Text,
        category: Text,
        model_name: Text,
        operation: Text,
        logical_user_id: Text,
        payload: Any = None,
        request_id: Optional[Text] = None,
        timestamp: Optional[int] = None,
    ) -> int:
        """Appends an event and returns its id, when it is as safe as the
        durability promises. After an error nothing of it is in the trail,
        unless the error is :class:`FailedError`.

        The payload is a mapping, an :class:`AuditPayload`, or any object with
        ``model_dump``. Without a timestamp (in Unix seconds) it is now.
        """
        return self.append_json(_event(
            domain, category, model_name, operation, logical_user_id, payload, request_id, timestamp
        ))

    def append_json(self, event: Union[str, bytes]) -> int:
        """Appends an event that is already JSON text, and returns its id."""
        text = event if type(event) is bytes else _bytes(event)
        call = self._take()
        try:
            call.busy = True
            if self._append(self._open(), text, len(text), call.at_number, call.at_error):
                call.error.raised()
            return call.number.value
        finally:
            call.busy = False
            self._free.append(call)

    def append_event(
        self,
        *,
        domain: Text,
        category: Text,
        model_name: Text,
        operation: Text,
        logical_user_id: Text,
        payload: Any = None,
        request_id: Optional[Text] = None,
        timestamp: Optional[int] = None,
    ) -> AuditEvent:
        """As :meth:`append`, but returns the event as it was persisted."""
        text = _event(
            domain, category, model_name, operation, logical_user_id, payload, request_id, timestamp
        )
        call = self._take()
        try:
            call.busy = True
            if _library().writer_append_returning(
                self._open(), text, len(text), call.at_pointer, call.at_error
            ):
                call.error.raised()
            return AuditEvent.from_line(_buffer(call.pointer))
        finally:
            call.busy = False
            self._free.append(call)

    def append_batch(self, events: Union[bytes, str, Iterable[Any]]) -> range:
        """Appends events, all or none, and returns their ids.

        The events are mappings with the fields of :meth:`append`, or JSON
        texts; or all of them one text of JSON lines. No event: no id.
        """
        if isinstance(events, (bytes, str)):
            text = _bytes(events)
        elif isinstance(events, Mapping):
            raise TypeError("a batch must be a list of events, not one event")
        else:
            lines = [_bytes(one) if isinstance(one, (bytes, str)) else
                     _encode(one if isinstance(one, dict) else _record(one)).encode()
                     for one in events]
            for line in lines:
                if b"\n" in line:
                    raise ValueError("an event of a batch must be one line")
            text = b"\n".join(lines)
        if not text or text.isspace():
            return range(0)
        call = self._take()
        try:
            call.busy = True
            if _library().writer_append_batch(
                self._open(), text, len(text), call.at_number, call.at_count, call.at_error
            ):
                call.error.raised()
            first = call.number.value
            return range(first, first + call.count.value)
        finally:
            call.busy = False
            self._free.append(call)

    def flush(self) -> None:
        """Gives all events that were accepted to the operating system."""
        self._do(_library().writer_flush)

    def sync(self) -> None:
        """Brings all events that were accepted to disk."""
        self._do(_library().writer_sync)

    def stats(self) -> Stats:
        """What this writer has done and where it is."""
        stats = _CStats(size=ctypes.sizeof(_CStats))
        self._do(_library().writer_stats, ctypes.addressof(stats))
        return Stats(*(getattr(stats, name) for name in Stats._fields))

    def read(self, **filters: Any) -> "Reader":
        """A :class:`Reader` over this trail, which sees all that was accepted."""
        self.flush()
        return Reader(self.root, **filters)

    def close(self) -> None:
        """Flushes, syncs, and lets the trail go. Calls that other threads are
        in the midst of end first; later ones raise ValueError. A second call
        does nothing."""
        if os.getpid() != self._process:
            # A forked child: the parent's threads and locks are not here, and
            # there is nothing to do but to free the memory.
            handle, self._handle = self._handle, None
            _library().writer_close(handle, None)
            return
        if threading.get_ident() in self._telling:
            # Closing waits for the thread that flushes, which may be this one.
            raise RuntimeError("a trail cannot be closed by its own warning handler")
        with self._closing:
            handle, self._handle = self._handle, None
            if handle is None:
                return
            while True:
                busy = [call for call in list(self._calls) if call.busy]
                if not busy:
                    break
                if any(call.thread == threading.get_ident() for call in busy):
                    # A signal handler that interrupted a call of its own thread.
                    self._handle = handle
                    raise RuntimeError("a trail cannot be closed in the midst of an append")
                time.sleep(0.001)
            error = _CError()
            if _library().writer_close(handle, ctypes.addressof(error)):
                error.raised()

    @property
    def closed(self) -> bool:
        """Whether the trail was closed."""
        return self._handle is None

    def __enter__(self) -> "Trail":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        if getattr(self, "_handle", None) is not None:
            try:
                if self._warn_unclosed and os.getpid() == self._process:
                    _warn(f"unclosed trail {self.root!r}", ResourceWarning, source=self)
            finally:
                self.close()

    def __repr__(self) -> str:
        return f"<{'closed ' if self.closed else ''}auditrail.Trail {self.root!r}>"

    def _take(self) -> _Call:
        """A free :class:`_Call`. It is made busy before the handle is asked for,
        and is no longer after it was used: close() waits for those that are busy,
        so that no handle is used that was freed. A signal's exception may come
        anywhere; one that is lost on the way is not busy."""
        try:
            call = self._free.pop()
        except IndexError:
            call = _Call()
            self._calls.append(call)
        call.thread = threading.get_ident()
        return call

    def _open(self) -> int:
        handle = self._handle
        if handle is None:
            raise ValueError("the trail is closed")
        return handle

    def _do(self, function: Any, *arguments: Any) -> None:
        call = self._take()
        try:
            call.busy = True
            if function(self._open(), *arguments, call.at_error):
                call.error.raised()
        finally:
            call.busy = False
            self._free.append(call)


def _bytes(text: Union[str, bytes]) -> bytes:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)


# -- Reading -------------------------------------------------------------------


class Order(enum.IntEnum):
    """In what order a reader gives events."""

    STREAM = 0
    """Domain after domain, category after category, each as it was written."""
    OLDEST_FIRST = 1
    """By rising id, over all streams."""
    NEWEST_FIRST = 2
    """By falling id, over all streams."""


_TURN = 0.2

Names = Union[None, Text, Iterable[Text]]
"""Nothing: everything. One name, or some: only these."""


def _filter(
    domains: Names = None,
    categories: Names = None,
    model_names: Names = None,
    operations: Names = None,
    users: Names = None,
    request_id: Optional[Text] = None,
    min_event_id: Optional[int] = None,
    max_event_id: Optional[int] = None,
    min_timestamp: Optional[int] = None,
    max_timestamp: Optional[int] = None,
    order: Order = Order.STREAM,
    limit: Optional[int] = None,
) -> _Builder:
    """The filter of the library. It lets nothing through that was not asked for."""
    ids = (
        0 if min_event_id is None else _whole("min_event_id", min_event_id),
        _MAX_ID if max_event_id is None else _whole("max_event_id", max_event_id),
    )
    times = (
        _MIN_TIME if min_timestamp is None else
        _whole("min_timestamp", min_timestamp, _MIN_TIME, _MAX_TIME),
        _MAX_TIME if max_timestamp is None else
        _whole("max_timestamp", max_timestamp, _MIN_TIME, _MAX_TIME),
    )
    chosen: Dict[str, List[Text]] = {}
    for name, some in (("domain", domains), ("category", categories), ("model_name", model_names),
                       ("operation", operations), ("user", users)):
        if some is not None:
            chosen[name] = _texts(some)
    if limit is not None:
        limit = _whole("limit", limit)
    built = _Builder("filter")
    try:
        for name, texts in chosen.items():
            for text in texts:
                built.set_text(f"add_{name}", text)
        if request_id is not None:
            built.set_text("set_request_id", request_id)
        built.set("set_event_ids", *ids)
        if limit == 0 or [] in chosen.values():
            # To the library an empty list is no list, and a limit of 0 no limit.
            built.set("set_event_ids", 0, 0)  # ids begin at 1
        built.set("set_timestamps", *times)
        built.set("set_order", _whole("order", order, 0, 2))
        if limit:
            built.set("set_limit", limit)
    except BaseException:
        built.__exit__()
        raise
    return built


class Damage(NamedTuple):
    """A line that is no event of the stream in whose file it stands."""

    path: str
    offset: int
    """The byte at which the line begins."""
    reason: str


class Reader(_NotCopied):
    """The events of a trail that pass a filter, as an iterator.

    ``domains``, ``categories``, ``model_names``, ``operations`` and ``users``
    are each None (all of them), one text, or some (none of them: no event).
    Ids and timestamps are inclusive. A ``limit`` of 0 lets no event through.
    For one thread at a time.
    """

    def __init__(self, root: PathLike, **filters: Any) -> None:
        self._handle: Optional[int] = None
        self._using = threading.Lock()
        self._call = call = _Call()
        self._number, self._pointer, self._count = call.number, call.pointer, call.count
        self._next = _library().reader_next
        with _filter(**filters) as chosen:
            if _library().reader_open(
                _path(root), chosen.handle, call.at_pointer, call.at_error
            ):
                call.error.raised()
        self._handle = call.pointer.value

    def follow(self, timeout: Optional[float] = None) -> Iterator[AuditEvent]:
        """The events that are left and those that come, until none has come for
        ``timeout`` seconds; without one, for ever."""
        if timeout is not None:
            if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
                raise TypeError(f"timeout must be a number of seconds, not {type(timeout).__name__}")
            if not timeout >= 0:
                raise ValueError("timeout must be a number of seconds from 0 up")
        with self._alone():
            self._open()
        return self._follow(timeout)

    def _follow(self, timeout: Optional[float]) -> Iterator[AuditEvent]:
        while True:
            end = None if timeout is None else time.monotonic() + timeout
            while True:
                # In short turns, so that signals are handled between them.
                left = _TURN if end is None else min(end - time.monotonic(), _TURN)
                line = self._line(max(round(left * 1000), 0))
                if line is not None:
                    break
                if end is not None and time.monotonic() >= end:
                    return
            yield AuditEvent.from_line(line)

    @property
    def position(self) -> Optional[Tuple[str, int]]:
        """The file of the event that was read last, and the byte in it at which
        its line begins."""
        with self._alone():
            handle = self._open()
            path = _library().reader_path(handle)
            if path is None:
                return None
            return os.fsdecode(path), _library().reader_offset(handle)

    @property
    def damage(self) -> List[Damage]:
        """The lines met so far that are no events: the first thousand."""
        found: List[Damage] = []
        path, reason, call = ctypes.c_char_p(), ctypes.c_char_p(), _Call()
        with self._alone():
            handle = self._open()
            while not _library().reader_damage(
                handle, len(found), ctypes.addressof(path), call.at_number,
                ctypes.addressof(reason), call.at_error
            ):
                found.append(Damage(os.fsdecode(path.value or b""), call.number.value,
                                    (reason.value or b"").decode("utf-8", "replace")))
        return found

    def lines(self) -> Iterator[bytes]:
        """The same events, each as its JSON text."""
        while True:
            line = self._line()
            if line is None:
                return
            yield line

    def close(self) -> None:
        """Lets the files go; later calls raise ValueError. A second call does nothing."""
        with self._alone():
            handle, self._handle = self._handle, None
            if handle is not None:
                _library().reader_close(handle)

    def __iter__(self) -> "Reader":
        return self

    def __next__(self) -> AuditEvent:
        line = self._line()
        if line is None:
            raise StopIteration
        return AuditEvent.from_line(line)

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self.close()

    def _alone(self) -> threading.Lock:
        # The library must not see two threads in one reader.
        if self._using.locked():
            raise ValueError("the reader is in use by another thread")
        return self._using

    def _open(self) -> int:
        if self._handle is None:
            raise ValueError("the reader is closed")
        return self._handle

    def _line(self, wait_ms: Optional[int] = None) -> Optional[bytes]:
        with self._alone():
            handle = self._open()
            call = self._call
            places = call.at_pointer, call.at_count, call.at_number, call.at_error
            if wait_ms is None:
                status = self._next(handle, *places)
            else:
                status = _library().reader_follow(handle, wait_ms, *places)
            if status == _END:
                return None
            if status:
                call.error.raised()
            return ctypes.string_at(self._pointer, self._count.value)


class ReplayResult(NamedTuple):
    """What :func:`replay` gives."""

    state: Dict[str, Dict[str, Any]]
    """Record name to record."""
    last_event_id: Optional[int]
    """The id of the last event that was applied."""
    applied_events: int
    """How many were."""


def replay(
    root: PathLike,
    *,
    domain: Text,
    category: Text,
    model_names: Names = None,
    min_event_id: Optional[int] = None,
    max_event_id: Optional[int] = None,
    min_timestamp: Optional[int] = None,
    max_timestamp: Optional[int] = None,
) -> ReplayResult:
    """The records of a domain and category as its events leave them; with a
    largest id or timestamp, as they were then."""
    call = _Call()
    with _filter(
        model_names=model_names, min_event_id=min_event_id, max_event_id=max_event_id,
        min_timestamp=min_timestamp, max_timestamp=max_timestamp,
    ) as chosen:
        if _library().replay(
            _path(root), _name(domain, "domain"), _name(category, "category"), chosen.handle,
            call.at_pointer, call.at_error
        ):
            call.error.raised()
    result = _decode(_buffer(call.pointer))
    return ReplayResult(result["state"], result["last_event_id"], result["applied_events"])


def history(
    root: PathLike, *, domain: Text, category: Text, model_name: Text, **filters: Any
) -> List[Dict[str, Any]]:
    """What happened to one record: an entry for each of its events, with who,
    when, and ``changes``, field by field."""
    for name in ("domains", "categories", "model_names"):
        if name in filters:
            raise TypeError(f"the history of one record has no filter {name}")
    call = _Call()
    with _filter(**filters) as chosen:
        if _library().history(
            _path(root), _name(domain, "domain"), _name(category, "category"),
            _name(model_name, "model_name"), chosen.handle, call.at_pointer, call.at_error
        ):
            call.error.raised()
    entries: List[Dict[str, Any]] = _decode(_buffer(call.pointer))
    return entries


def check(root: PathLike, pruned_before: int = 0) -> Dict[str, Any]:
    """Goes through a trail without changing it, and reports what it found. Events
    before ``pruned_before`` may be missing."""
    call = _Call()
    first_id = _whole("pruned_before", pruned_before)
    if _library().check_pruned(_path(root), first_id, call.at_pointer, call.at_error):
        call.error.raised()
    report: Dict[str, Any] = _decode(_buffer(call.pointer))
    return report


# -- The classes of before -----------------------------------------------------


class AuditTrailWriter:
    """Appends events to the trail at ``root_path``, which is made with its
    parents.

    Many writers, in many threads and processes, may append to one trail; one
    that a fork has copied opens the trail again by itself.
    """

    def __init__(self, root_path: PathLike, max_file_size_bytes: int = 5 * 1024 * 1024, *,
                 durability: Durability = Durability.WRITTEN) -> None:
        self.root_path = os.fsdecode(root_path)
        self._options: Dict[str, Any] = dict(
            shared=True, max_segment_bytes=max_file_size_bytes, durability=durability
        )
        self._trail = self._open()

    def _open(self) -> Trail:
        trail = Trail(self.root_path, **self._options)
        trail._warn_unclosed = False  # the class of before had no close
        return trail

    def append_event(
        self,
        *,
        domain: Text,
        category: Text,
        model_name: Text,
        operation: Text,
        logical_user_id: Text,
        payload: Any = None,
        request_id: Optional[Text] = None,
        timestamp: Optional[int] = None,
    ) -> AuditEvent:
        """Appends an event, and returns it as it was persisted."""
        fields: Dict[str, Any] = dict(
            domain=domain, category=category, model_name=model_name, operation=operation,
            logical_user_id=logical_user_id, payload=payload, request_id=request_id,
            timestamp=_lax_whole("timestamp", timestamp) if timestamp else None,
        )
        try:
            return self._trail.append_event(**fields)
        except ForkedError:
            # Two threads of a new child may both come here; either trail will do.
            self._trail = self._open()
            return self._trail.append_event(**fields)

    def close(self) -> None:
        """Syncs the trail and lets it go."""
        self._trail.close()

    def __enter__(self) -> "AuditTrailWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")


def _old_filters(
    names: Mapping[str, Names], limits: Mapping[str, Optional[float]]
) -> Optional[Dict[str, Any]]:
    """The filters of the classes of before, by their own rules: an empty
    collection lets everything through, and a limit may be any number, with which
    ids and timestamps are compared. None where no event can pass."""
    filters: Dict[str, Any] = {}
    for name, some in names.items():
        texts = None if some is None or some == "" else _texts(some)
        if not texts:
            continue
        filters[name] = texts
        if name != "model_names":
            # Names that no folder can have match nothing.
            filters[name] = [one for one in filters[name] if _NAME.fullmatch(_plain_text(one, name))]
    for name, limit in limits.items():
        if limit is None:
            continue
        least = name.startswith("min_")
        if isinstance(limit, float) and math.isinf(limit):
            whole = _MAX_ID if limit > 0 else _MIN_TIME
        else:
            whole = math.ceil(limit) if least else math.floor(limit)
        lowest, highest = (0, _MAX_ID) if name.endswith("_id") else (_MIN_TIME, _MAX_TIME)
        if whole > highest if least else whole < lowest:
            return None
        filters[name] = min(max(whole, lowest), highest)
    for what in ("event_id", "timestamp"):
        least, most = filters.get(f"min_{what}"), filters.get(f"max_{what}")
        if least is not None and most is not None and least > most:
            return None
    return filters


class AuditTrailReader:
    """Reads the trail at ``root_path``, which need not be there yet."""

    def __init__(self, root_path: PathLike) -> None:
        self.root_path = os.fsdecode(root_path)

    def iter_events(
        self,
        *,
        domains: Names = None,
        categories: Names = None,
        model_names: Names = None,
        min_event_id: Optional[int] = None,
        max_event_id: Optional[int] = None,
        min_timestamp: Optional[int] = None,
        max_timestamp: Optional[int] = None,
    ) -> Iterator[AuditEvent]:
        """The events that pass, stream after stream; all limits are inclusive. An
        empty collection lets everything through, as it did before; in the rest of
        this module it lets nothing through."""
        filters = _old_filters(
            dict(domains=domains, categories=categories, model_names=model_names),
            dict(min_event_id=min_event_id, max_event_id=max_event_id,
                 min_timestamp=min_timestamp, max_timestamp=max_timestamp))
        if filters is None:
            return
        try:
            reader = Reader(self.root_path, **filters)
        except NotFoundError:
            return
        with reader:
            yield from reader
            for line in reader.damage:
                _log.warning("skipped a line of %s at byte %d: %s", *line)


class AuditReplayer:
    """Builds records from the events that ``reader`` can read."""

    def __init__(self, reader: AuditTrailReader) -> None:
        self.reader = reader

    def reconstruct_state(
        self,
        *,
        domain: Text,
        category: Text,
        model_names: Names = None,
        min_event_id: Optional[int] = None,
        max_event_id: Optional[int] = None,
    ) -> ReplayResult:
        """The records of a domain and category as its events leave them; an empty
        collection of names means all of them."""
        filters = _old_filters(
            dict(model_names=model_names),
            dict(min_event_id=min_event_id, max_event_id=max_event_id))
        where = _old_filters(dict(domains=domain, categories=category), {}) or {}
        if filters is None or [] in where.values():
            return ReplayResult({}, None, 0)
        try:
            return replay(self.reader.root_path, domain=domain, category=category, **filters)
        except NotFoundError:
            return ReplayResult({}, None, 0)
