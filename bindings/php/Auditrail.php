<?php

declare(strict_types=1);

/**
 * Audit trails for PHP, over the C library libauditrail.
 *
 * Copy this one file; it needs the shared library and the extension FFI. PHP
 * allows FFI on the command line; for a web server set ffi.enable=1 in php.ini,
 * or preload this file (opcache.preload). The library is looked for at
 * $AUDITRAIL_LIB, then under its usual names.
 *
 *     require 'Auditrail.php';
 *     $trail = new Auditrail\Trail('audit');
 *     $id = $trail->append(['domain' => 'v2', 'category' => 'users', 'model_name' => 'ada',
 *         'operation' => 'create', 'logical_user_id' => 'admin-7',
 *         'payload' => ['after' => ['role' => 'user']]]);
 *     foreach (Auditrail\read('audit') as $event) echo $event['operation'], "\n";
 *     $trail->close();
 *
 * Events are arrays or JSON text; where JSON needs an empty object, write
 * (object) []. Many PHP processes append to one trail if all open it shared.
 */

namespace Auditrail;

use FFI;

/** What the library says when it fails. */
final class AuditrailException extends \RuntimeException
{
    /**
     * @param int $status the number of the failure; its name is $name
     * @param ?int $errno the operating system's reason
     * @param ?int $offset the byte in the JSON text or file that it is about
     */
    public function __construct(
        string $message,
        public readonly int $status,
        public readonly string $name,
        public readonly ?int $errno,
        public readonly ?int $offset,
    ) {
        parent::__construct($message, $status);
    }
}

/** For what owns memory of the library: a copy would free it again. */
trait NotCopied
{
    private function __clone()
    {
    }

    public function __serialize(): array
    {
        throw new \LogicException(self::class . ' cannot be serialized');
    }

    public function __unserialize(array $data): void
    {
        throw new \LogicException(self::class . ' cannot be unserialized');
    }
}

/** The library, and how to call it. */
final class Library
{
    private const DECLARATIONS = <<<'C'
        typedef struct auditrail_buffer auditrail_buffer;
        typedef struct auditrail_options auditrail_options;
        typedef struct auditrail_writer auditrail_writer;
        typedef struct auditrail_filter auditrail_filter;
        typedef struct auditrail_reader auditrail_reader;
        typedef struct auditrail_error {
            int32_t status; int32_t os_errno; int64_t offset; char message[496];
        } auditrail_error;
        typedef struct auditrail_stats {
            size_t size;
            uint64_t events, bytes, batches, rotations, syncs, last_id, written_id, synced_id,
                torn_tails, torn_bytes, missing_ids, waiting, streams, open_files, flush_failures;
        } auditrail_stats;
        const char *auditrail_version(void);
        const char *auditrail_status_name(int32_t status);
        const char *auditrail_buffer_data(const auditrail_buffer *buffer);
        size_t auditrail_buffer_length(const auditrail_buffer *buffer);
        void auditrail_buffer_free(auditrail_buffer *buffer);
        auditrail_options *auditrail_options_new(void);
        void auditrail_options_free(auditrail_options *options);
        int32_t auditrail_options_set_max_segment_bytes(auditrail_options *o, uint64_t n, auditrail_error *e);
        int32_t auditrail_options_set_max_event_bytes(auditrail_options *o, uint64_t n, auditrail_error *e);
        int32_t auditrail_options_set_buffer_bytes(auditrail_options *o, uint64_t n, auditrail_error *e);
        int32_t auditrail_options_set_flush_interval_ms(auditrail_options *o, uint64_t n, auditrail_error *e);
        int32_t auditrail_options_set_max_open_files(auditrail_options *o, uint64_t n, auditrail_error *e);
        int32_t auditrail_options_set_lock_timeout_ms(auditrail_options *o, uint64_t n, auditrail_error *e);
        int32_t auditrail_options_set_durability(auditrail_options *o, int32_t n, auditrail_error *e);
        int32_t auditrail_options_set_shared(auditrail_options *o, int32_t n, auditrail_error *e);
        int32_t auditrail_options_add_domain(auditrail_options *o, const char *t, size_t n, auditrail_error *e);
        int32_t auditrail_options_set_any_domain(auditrail_options *o, auditrail_error *e);
        int32_t auditrail_options_add_operation(auditrail_options *o, const char *t, size_t n, auditrail_error *e);
        int32_t auditrail_options_set_any_operation(auditrail_options *o, auditrail_error *e);
        int32_t auditrail_writer_open(const char *root, const auditrail_options *o, auditrail_writer **w, auditrail_error *e);
        int32_t auditrail_writer_append(auditrail_writer *w, const char *t, size_t n, uint64_t *id, auditrail_error *e);
        int32_t auditrail_writer_append_batch(auditrail_writer *w, const char *t, size_t n, uint64_t *id, size_t *count, auditrail_error *e);
        int32_t auditrail_writer_append_returning(auditrail_writer *w, const char *t, size_t n, auditrail_buffer **b, auditrail_error *e);
        int32_t auditrail_writer_flush(auditrail_writer *w, auditrail_error *e);
        int32_t auditrail_writer_sync(auditrail_writer *w, auditrail_error *e);
        int32_t auditrail_writer_stats(auditrail_writer *w, auditrail_stats *s, auditrail_error *e);
        int32_t auditrail_writer_close(auditrail_writer *w, auditrail_error *e);
        auditrail_filter *auditrail_filter_new(void);
        void auditrail_filter_free(auditrail_filter *f);
        int32_t auditrail_filter_add_domain(auditrail_filter *f, const char *t, size_t n, auditrail_error *e);
        int32_t auditrail_filter_add_category(auditrail_filter *f, const char *t, size_t n, auditrail_error *e);
        int32_t auditrail_filter_add_model_name(auditrail_filter *f, const char *t, size_t n, auditrail_error *e);
        int32_t auditrail_filter_add_operation(auditrail_filter *f, const char *t, size_t n, auditrail_error *e);
        int32_t auditrail_filter_add_user(auditrail_filter *f, const char *t, size_t n, auditrail_error *e);
        int32_t auditrail_filter_set_request_id(auditrail_filter *f, const char *t, size_t n, auditrail_error *e);
        int32_t auditrail_filter_set_event_ids(auditrail_filter *f, uint64_t min, uint64_t max, auditrail_error *e);
        int32_t auditrail_filter_set_timestamps(auditrail_filter *f, int64_t min, int64_t max, auditrail_error *e);
        int32_t auditrail_filter_set_order(auditrail_filter *f, int32_t order, auditrail_error *e);
        int32_t auditrail_filter_set_limit(auditrail_filter *f, uint64_t n, auditrail_error *e);
        int32_t auditrail_reader_open(const char *root, const auditrail_filter *f, auditrail_reader **r, auditrail_error *e);
        int32_t auditrail_reader_next(auditrail_reader *r, const char **t, size_t *n, uint64_t *id, auditrail_error *e);
        int32_t auditrail_reader_follow(auditrail_reader *r, uint64_t ms, const char **t, size_t *n, uint64_t *id, auditrail_error *e);
        void auditrail_reader_close(auditrail_reader *r);
        int32_t auditrail_history(const char *root, const char *domain, const char *category, const char *name, const auditrail_filter *f, auditrail_buffer **b, auditrail_error *e);
        int32_t auditrail_replay(const char *root, const char *domain, const char *category, const auditrail_filter *f, auditrail_buffer **b, auditrail_error *e);
        int32_t auditrail_check_pruned(const char *root, uint64_t first, auditrail_buffer **b, auditrail_error *e);
        C;

    private const LISTS = ['domains' => 'domain', 'categories' => 'category', 'model_names' => 'model_name',
        'operations' => 'operation', 'users' => 'user'];
    private const ORDERS = ['stream' => 0, 'oldest_first' => 1, 'newest_first' => 2];

    private static ?FFI $library = null;

    /** @var array<string, FFI\CType> PHP leaks some of a type that is named anew in each call. */
    private static array $types = [];

    public static function get(): FFI
    {
        if (self::$library === null) {
            if (!extension_loaded('FFI')) {
                throw new \RuntimeException('auditrail needs the PHP extension FFI, which is not loaded');
            }
            $named = getenv('AUDITRAIL_LIB');
            $names = $named !== false && $named !== '' ? [$named] : ['libauditrail.so.0', 'libauditrail.so'];
            foreach ($names as $name) {
                try {
                    return self::$library = FFI::cdef(self::DECLARATIONS, $name);
                } catch (FFI\Exception $reason) {
                    if (str_contains($reason->getMessage(), 'ffi.enable')) {
                        throw new \RuntimeException(
                            'PHP does not allow FFI here (' . PHP_SAPI . ', ffi.enable=' . ini_get('ffi.enable')
                            . '): set ffi.enable=1 in php.ini, or preload ' . basename(__FILE__) . ' (opcache.preload)',
                            0, $reason
                        );
                    }
                }
            }
            throw new \RuntimeException(
                'the library auditrail was not found; set AUDITRAIL_LIB to its path', 0, $reason
            );
        }
        return self::$library;
    }

    /** Room for a value of a type. */
    public static function new(string $type): FFI\CData
    {
        return self::get()->new(self::$types[$type] ??= self::get()->type($type));
    }

    /** Calls a function with room for an error behind its arguments, and throws what it says. */
    public static function call(string $name, mixed ...$arguments): int
    {
        $library = self::get();
        $error = self::new('auditrail_error');
        $status = $library->{"auditrail_$name"}(...$arguments, ...[FFI::addr($error)]);
        if ($status < 0) {
            throw new AuditrailException(
                FFI::string(FFI::addr($error->message[0])),
                $error->status,
                $library->auditrail_status_name($error->status),
                $error->os_errno ?: null,
                $error->offset < 0 ? null : $error->offset,
            );
        }
        return $status;
    }

    /** Calls a function that gives a pointer in its last argument but one. */
    public static function make(string $type, string $name, mixed ...$arguments): FFI\CData
    {
        $out = self::new("$type *[1]");
        self::call($name, ...$arguments, ...[$out]);
        return $out[0];
    }

    /** The bytes of a buffer of the library, which is then freed. */
    public static function take(FFI\CData $buffer): string
    {
        $library = self::get();
        $length = $library->auditrail_buffer_length($buffer);
        // A buffer's text ends with a NUL, and holds none.
        $text = $length === 0 ? '' : $library->auditrail_buffer_data($buffer);
        $library->auditrail_buffer_free($buffer);
        return $text;
    }

    /** An event's JSON text. What is JSON text already stays as it is. */
    public static function json(array|object|string $event): string
    {
        return is_string($event) ? $event : json_encode($event, JSON_THROW_ON_ERROR | JSON_PRESERVE_ZERO_FRACTION);
    }

    public static function decode(string $json): array
    {
        return json_decode($json, true, 512, JSON_THROW_ON_ERROR);
    }

    public static function path(string $path): string
    {
        if (str_contains($path, "\0")) {
            throw new \ValueError('a path or name cannot hold a NUL');
        }
        return $path;
    }

    /** The number, if it is a whole one in range. FFI would make another of any other. */
    public static function whole(string $name, mixed $number, int $lowest = 0): int
    {
        if (!is_int($number)) {
            throw new \TypeError("$name must be an int, not " . get_debug_type($number));
        }
        if ($number < $lowest) {
            throw new \ValueError("$name must be $lowest or more");
        }
        return $number;
    }

    /**
     * The texts of a list; a text alone is a list of one.
     *
     * @return list<string>
     */
    public static function texts(string $name, mixed $some): array
    {
        if (is_string($some)) {
            return [$some];
        }
        if (!is_iterable($some)) {
            throw new \TypeError("$name must be a string or a list of strings, not " . get_debug_type($some));
        }
        $texts = [];
        foreach ($some as $text) {
            if (!is_string($text)) {
                throw new \TypeError("$name must hold strings, not " . get_debug_type($text));
            }
            $texts[] = $text;
        }
        return $texts;
    }

    /**
     * Calls $work with a filter of the library, which lets nothing through that
     * was not asked for. What has no meaning for $work is not known.
     */
    public static function withFilter(array $filters, callable $work, array $unknown = []): mixed
    {
        $library = self::get();
        $filter = $library->auditrail_filter_new();
        try {
            $ids = [0, -1];
            $times = [PHP_INT_MIN, PHP_INT_MAX];
            $none = false;
            foreach ($filters as $name => $value) {
                if (in_array($name, $unknown, true)) {
                    throw new \ValueError("no such filter here: $name");
                } elseif (isset(self::LISTS[$name])) {
                    $texts = $value === null ? null : self::texts($name, $value);
                    $none = $none || $texts === [];
                    foreach ($texts ?? [] as $text) {
                        self::call('filter_add_' . self::LISTS[$name], $filter, $text, strlen($text));
                    }
                } elseif ($name === 'request_id') {
                    if ($value !== null && !is_string($value)) {
                        throw new \TypeError("$name must be a string, not " . get_debug_type($value));
                    } elseif ($value !== null) {
                        self::call('filter_set_request_id', $filter, $value, strlen($value));
                    }
                } elseif ($name === 'order') {
                    self::call('filter_set_order', $filter, self::choose('order', self::ORDERS, $value ?? 'stream'));
                } elseif ($name === 'limit') {
                    $limit = $value === null ? null : self::whole($name, $value);
                    $none = $none || $limit === 0;
                    self::call('filter_set_limit', $filter, $limit ?? 0);
                } elseif (preg_match('/^(min|max)_(event_id|timestamp)$/', (string) $name, $part)) {
                    $side = $part[1] === 'min' ? 0 : 1;
                    if ($value !== null && $part[2] === 'event_id') {
                        $ids[$side] = self::whole($name, $value);
                    } elseif ($value !== null) {
                        $times[$side] = self::whole($name, $value, PHP_INT_MIN);
                    }
                } else {
                    throw new \ValueError("no such filter: $name");
                }
            }
            // To the library an empty list is no list, and a limit of 0 no limit; ids begin at 1.
            self::call('filter_set_event_ids', $filter, ...($none ? [0, 0] : $ids));
            self::call('filter_set_timestamps', $filter, ...$times);
            return $work($filter);
        } finally {
            $library->auditrail_filter_free($filter);
        }
    }

    /** The number that stands for a name. */
    public static function choose(string $kind, array $from, mixed $name): int
    {
        return is_string($name) && isset($from[$name])
            ? $from[$name]
            : throw new \ValueError("$kind must be one of " . implode(', ', array_keys($from)));
    }
}

/** A trail, open for writing. */
final class Trail
{
    use NotCopied;

    private const DURABILITIES = ['buffered' => 0, 'written' => 1, 'synced' => 2, 'mapped' => 3];
    private const NUMBERS = ['max_segment_bytes', 'max_event_bytes', 'buffer_bytes', 'flush_interval_ms', 'max_open_files',
        'lock_timeout_ms'];
    private const STATS = ['events', 'bytes', 'batches', 'rotations', 'syncs', 'last_id', 'written_id', 'synced_id',
        'torn_tails', 'torn_bytes', 'missing_ids', 'waiting', 'streams', 'open_files', 'flush_failures'];

    private ?FFI\CData $handle = null;

    /**
     * Opens the trail in a folder, which is made where it is missing. Options:
     * durability ('buffered', 'mapped', 'written', 'synced'), shared, domains and
     * operations (lists, or '*'), max_segment_bytes, max_event_bytes,
     * buffer_bytes, flush_interval_ms, max_open_files, lock_timeout_ms (0: no limit).
     */
    public function __construct(string $root, array $options = [])
    {
        $library = Library::get();
        $set = $library->auditrail_options_new();
        try {
            foreach ($options as $name => $value) {
                if ($name === 'durability') {
                    $value = Library::choose($name, self::DURABILITIES, $value ?? 'written');
                    Library::call('options_set_durability', $set, $value);
                } elseif ($name === 'shared') {
                    if (!is_bool($value ??= false)) {
                        throw new \TypeError('shared must be true or false, not ' . get_debug_type($value));
                    }
                    Library::call('options_set_shared', $set, (int) $value);
                } elseif ($name === 'domains' || $name === 'operations') {
                    $kind = substr($name, 0, -1);
                    $names = $value === null ? null : Library::texts($name, $value);
                    if ($names === []) {
                        throw new \ValueError("$name: an empty list would allow no event");
                    } elseif ($value === '*') {
                        Library::call("options_set_any_$kind", $set);
                        continue;
                    }
                    foreach ($names ?? [] as $text) {
                        Library::call("options_add_$kind", $set, $text, strlen($text));
                    }
                } elseif (in_array($name, self::NUMBERS, true)) {
                    if ($value !== null) {
                        Library::call("options_set_$name", $set, Library::whole($name, $value));
                    }
                } else {
                    throw new \ValueError("a trail has no option $name");
                }
            }
            $this->handle = Library::make('auditrail_writer', 'writer_open', Library::path($root), $set);
        } finally {
            $library->auditrail_options_free($set);
        }
    }

    /** Appends an event, an array or JSON text, and returns its id. */
    public function append(array|object|string $event): int
    {
        $text = Library::json($event);
        $id = Library::new('uint64_t');
        Library::call('writer_append', $this->open(), $text, strlen($text), FFI::addr($id));
        return $id->cdata;
    }

    /** Appends an event and returns it as it was persisted. */
    public function appendReturning(array|object|string $event): array
    {
        $text = Library::json($event);
        return Library::decode(Library::take(Library::make(
            'auditrail_buffer', 'writer_append_returning', $this->open(), $text, strlen($text)
        )));
    }

    /**
     * Appends events, all or none; returns the first of their ids and how many
     * they are.
     *
     * @return array{int, int}
     */
    public function appendBatch(iterable $events): array
    {
        $lines = [];
        foreach ($events as $event) {
            $lines[] = $line = Library::json($event);
            if (str_contains($line, "\n")) {
                throw new \ValueError('an event of a batch must be one line');
            }
        }
        if ($lines === []) {
            return [0, 0];
        }
        $text = implode("\n", $lines);
        $id = Library::new('uint64_t');
        $count = Library::new('size_t');
        Library::call('writer_append_batch', $this->open(), $text, strlen($text), FFI::addr($id), FFI::addr($count));
        return [$id->cdata, $count->cdata];
    }

    /** Gives all events that were accepted to the operating system. */
    public function flush(): void
    {
        Library::call('writer_flush', $this->open());
    }

    /** Brings all events that were accepted to disk. */
    public function sync(): void
    {
        Library::call('writer_sync', $this->open());
    }

    /** What the writer has done and where it is. */
    public function stats(): array
    {
        $stats = Library::new('auditrail_stats');
        $stats->size = FFI::sizeof($stats);
        Library::call('writer_stats', $this->open(), FFI::addr($stats));
        return array_combine(self::STATS, array_map(fn ($name) => $stats->$name, self::STATS));
    }

    /** Flushes, syncs and lets the trail go. A second call does nothing. */
    public function close(): void
    {
        if ($this->handle !== null) {
            $handle = $this->handle;
            $this->handle = null;
            Library::call('writer_close', $handle);
        }
    }

    public function __destruct()
    {
        if ($this->handle !== null) {
            $handle = $this->handle;
            $this->handle = null;
            Library::get()->auditrail_writer_close($handle, null);
        }
    }

    private function open(): FFI\CData
    {
        return $this->handle ?? throw new \LogicException('the trail is closed');
    }
}

/** A reader of the library. Generators hold it: one that is dropped closes it. */
final class Reader
{
    use NotCopied;

    private ?FFI\CData $handle = null;
    private array $wait = [];

    public function __construct(string $root, array $filters)
    {
        if (isset($filters['follow'])) {
            $seconds = $filters['follow'];
            if (!is_int($seconds) && !is_float($seconds)) {
                throw new \TypeError('follow must be a number of seconds, not ' . get_debug_type($seconds));
            } elseif (!($seconds >= 0)) {
                throw new \ValueError('follow must be a number of seconds from 0 up');
            }
            $this->wait = [$seconds < 1e15 ? (int) ceil($seconds * 1000) : -1]; // -1: for ever
        }
        unset($filters['follow']);
        $this->handle = Library::withFilter($filters, fn ($filter) => Library::make(
            'auditrail_reader', 'reader_open', Library::path($root), $filter
        ));
    }

    /** @return \Generator<int, string> */
    public function lines(): \Generator
    {
        $text = Library::new('const char *[1]');
        $length = Library::new('size_t');
        $id = Library::new('uint64_t');
        $places = [...$this->wait, $text, FFI::addr($length), FFI::addr($id)];
        $next = $this->wait === [] ? 'reader_next' : 'reader_follow';
        while (Library::call($next, $this->handle, ...$places) === 0) {
            yield $id->cdata => FFI::string($text[0], $length->cdata);
        }
    }

    /** @return \Generator<int, array> */
    public function events(): \Generator
    {
        foreach ($this->lines() as $id => $line) {
            yield $id => Library::decode($line);
        }
    }

    public function __destruct()
    {
        if ($this->handle !== null) {
            $handle = $this->handle;
            $this->handle = null;
            Library::get()->auditrail_reader_close($handle);
        }
    }
}

/**
 * The lines of a trail's events, as JSON text, by event id. Filters: domains,
 * categories, model_names, operations, users (lists, or one string), request_id,
 * min_event_id, max_event_id, min_timestamp, max_timestamp, order ('stream',
 * 'oldest_first', 'newest_first'), limit; and follow: for how many seconds to wait
 * at the end for an event that comes. What is null is not given; an empty list and
 * a limit of 0 let nothing through.
 *
 * @return \Generator<int, string>
 */
function read_lines(string $root, array $filters = []): \Generator
{
    return (new Reader($root, $filters))->lines();
}

/**
 * The same events as arrays.
 *
 * @return \Generator<int, array>
 */
function read(string $root, array $filters = []): \Generator
{
    return (new Reader($root, $filters))->events();
}

/** The records of a domain and category as their events leave them: state, last_event_id, applied_events. */
function replay(string $root, string $domain, string $category, array $filters = []): array
{
    return Library::withFilter($filters, fn ($filter) => Library::decode(Library::take(Library::make(
        'auditrail_buffer', 'replay', Library::path($root), Library::path($domain), Library::path($category), $filter
    ))), ['domains', 'categories', 'order']);
}

/** What happened to one record, event by event. */
function history(string $root, string $domain, string $category, string $modelName, array $filters = []): array
{
    $names = array_map(Library::path(...), [$root, $domain, $category, $modelName]);
    return Library::withFilter($filters, fn ($filter) => Library::decode(Library::take(Library::make(
        'auditrail_buffer', 'history', ...$names, ...[$filter]
    ))), ['domains', 'categories', 'model_names']);
}

/** Goes through a trail without changing it, and reports what it found. Events before $pruned_before may be missing. */
function check(string $root, int $pruned_before = 0): array
{
    $first = Library::whole('pruned_before', $pruned_before);
    return Library::decode(Library::take(Library::make('auditrail_buffer', 'check_pruned', Library::path($root), $first)));
}

/** The version of the shared library. */
function version(): string
{
    return Library::get()->auditrail_version();
}
