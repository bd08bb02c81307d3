<?php

declare(strict_types=1);

// Auditrail.php against the built library: php test.php CORPUS SCRATCH

require __DIR__ . '/../../../bindings/php/Auditrail.php';

use Auditrail\AuditrailException;
use Auditrail\Trail;

set_error_handler(fn ($level, $message, $file, $line) => throw new ErrorException($message, 0, $level, $file, $line));

[, $corpus, $scratch] = $argv;
$checks = 0;

function same(mixed $found, mixed $expected): void
{
    global $checks;
    $checks++;
    if ($found !== $expected) {
        throw new Exception(var_export($found, true) . ' is not ' . var_export($expected, true));
    }
}

function fails(string $class, callable $work, ?string $name = null): Throwable
{
    try {
        $work();
    } catch (Throwable $e) {
        same(get_class($e), $class);
        same($name === null ? null : $e->name, $name === null ? null : "AUDITRAIL_ERR_$name");
        return $e;
    }
    throw new Exception("$class was not thrown");
}

$event = ['domain' => 'v2', 'category' => 'image', 'model_name' => 'm', 'operation' => 'create',
    'logical_user_id' => 'u', 'timestamp' => 5];

// What every language writes, for the trees to be compared.
$lines = explode("\n", rtrim(file_get_contents($corpus), "\n"));
$trail = new Trail("$scratch/same", ['max_segment_bytes' => 2048]);
for ($at = 0; $at < count($lines); $at += 5) {
    same($trail->append(json_decode($lines[$at])), $at + 1);
    same($trail->append($lines[$at + 1]), $at + 2);
    $given = json_decode($lines[$at + 2], true);
    $back = $trail->appendReturning(json_decode($lines[$at + 2]));
    same([$back['event_id'], $back['model_name']], [$at + 3, $given['model_name']]);
    same($trail->appendBatch([json_decode($lines[$at + 3]), $lines[$at + 4]]), [$at + 4, 2]);
}
same($trail->stats()['last_id'], count($lines));
$trail->close();

// Errors.
$trail = new Trail("$scratch/errors");
$e = fails(AuditrailException::class, fn () => $trail->append(
    '{"domain":"v9","category":"image","model_name":"m","operation":"create","logical_user_id":"u"}'
), 'INVALID_EVENT');
same([$e->status, $e->getCode(), $e->offset, $e->errno], [-11, -11, 10, null]);
same(str_contains($e->getMessage(), 'domain'), true);
$e = fails(AuditrailException::class, fn () => new Trail("$scratch/errors"), 'BUSY');
same(str_contains($e->getMessage(), (string) getmypid()), true);
same(fails(AuditrailException::class, fn () => new Trail('/proc/nothing/here'), 'IO')->errno > 0, true);
$shared = new Trail("$scratch/lock", ['shared' => true, 'lock_timeout_ms' => 20]);
$lock = fopen("$scratch/lock/.auditrail/commit-lock", 'r');
same(flock($lock, LOCK_EX), true);
$e = fails(AuditrailException::class, fn () => $shared->append($event), 'BUSY');
same(str_contains($e->getMessage(), (string) getmypid()), true);
fclose($lock);
same($shared->append($event), 1);
$shared->close();
fails(AuditrailException::class, fn () => iterator_to_array(Auditrail\read("$scratch/nothing")), 'NOT_FOUND');
fails(AuditrailException::class, fn () => new Trail("$scratch/errors", ['max_segment_bytes' => 0]), 'INVALID_ARGUMENT');
fails(ValueError::class, fn () => new Trail("$scratch/errors", ['max_segment_bytes' => -1]));
fails(ValueError::class, fn () => new Trail("$scratch/errors", ['durability' => 'eternal']));
fails(ValueError::class, fn () => new Trail("$scratch/errors", ['colour' => 'blue']));
fails(ValueError::class, fn () => new Trail("a\0b"));
foreach ([['max_segment_bytes' => 1.5], ['max_open_files' => '7'], ['buffer_bytes' => true], ['shared' => 'yes'],
    ['shared' => 1], ['domains' => 7], ['domains' => [7]], ['max_event_bytes' => 2.0 ** 70]] as $bad) {
    fails(TypeError::class, fn () => new Trail("$scratch/errors", $bad));
}
foreach ([['durability' => 1], ['flush_interval_ms' => -1], ['domains' => []], ['operations' => []], ['shared']] as $bad) {
    fails(ValueError::class, fn () => new Trail("$scratch/errors", $bad));
}
$one = new Trail("$scratch/one", ['domains' => 'a', 'operations' => 'rename', 'shared' => null, 'buffer_bytes' => null]);
same($one->append(['domain' => 'a', 'operation' => 'rename'] + $event), 1);
fails(AuditrailException::class, fn () => $one->append($event), 'INVALID_EVENT');
$one->append(['domain' => 'a', 'operation' => 'rename', 'payload' => ['after' => ['x' => 1.0, 'y' => -0.0]]] + $event);
same(str_contains(iterator_to_array(Auditrail\read_lines("$scratch/one"))[2], '{"x":1.0,"y":-0.0}'), true);
$one->close();
fails(JsonException::class, fn () => $trail->append(['model_name' => "\xff"] + $event));
fails(JsonException::class, fn () => $trail->append($event + ['payload' => ['after' => ['x' => NAN]]]));
fails(AuditrailException::class, fn () => $trail->append(''), 'INVALID_EVENT');
fails(AuditrailException::class, fn () => $trail->appendBatch([$event, '{}', $event]), 'INVALID_EVENT');
fails(ValueError::class, fn () => $trail->appendBatch(["{}\n{}"]));
same($trail->appendBatch([]), [0, 0]);
same($trail->append($event + ['request_id' => null]), 1);
$trail->flush();
$trail->sync();
same($trail->stats()['synced_id'], 1);
$trail->close();
$trail->close();
fails(LogicException::class, fn () => $trail->append($event));

// Options; a trail that is forgotten is let go.
$options = ['durability' => 'buffered', 'flush_interval_ms' => 0, 'domains' => ['a', 'b'], 'operations' => '*'];
$trail = new Trail("$scratch/options", $options);
fails(AuditrailException::class, fn () => $trail->append($event), 'INVALID_EVENT');
same($trail->append(['domain' => 'b', 'operation' => 'rename'] + $event), 1);
same($trail->stats()['written_id'], 0);
unset($trail);
$trail = new Trail("$scratch/options", $options);
same($trail->stats()['last_id'], 1);
$trail->close();

// Reading.
$root = "$scratch/reading";
$trail = new Trail($root);
for ($n = 1; $n <= 10; $n++) {
    $trail->append(['domain' => $n % 2 ? 'v2' : 'legacy', 'model_name' => 'm' . $n % 3, 'timestamp' => 1000 + $n,
        'payload' => ['after' => ['n' => $n]]] + $event);
}
$ids = fn (array $filters = []) => array_keys(iterator_to_array(Auditrail\read($root, $filters)));
same($ids(), [2, 4, 6, 8, 10, 1, 3, 5, 7, 9]);
same($ids(['order' => 'newest_first', 'limit' => 3]), [10, 9, 8]);
same($ids(['domains' => ['v2'], 'min_event_id' => 3, 'max_event_id' => 7]), [3, 5, 7]);
same($ids(['model_names' => ['m0', 'm2'], 'min_timestamp' => 1008, 'order' => 'oldest_first']), [8, 9]);
same($ids(['users' => ['nobody']]), []);
// A filter lets nothing through that was not asked for.
same($ids(array_fill_keys(['domains', 'users', 'request_id', 'order', 'limit', 'max_event_id'], null)), $ids());
foreach (['domains' => ['v2', 5], 'categories' => ['image', 10], 'model_names' => ['m0', 3],
    'operations' => ['create', 10], 'users' => ['u', 10]] as $name => [$one, $found]) {
    same(count($ids([$name => $one])), $found);
    same($ids([$name => $one]), $ids([$name => [$one]]));
    same($ids([$name => new ArrayIterator([$one])]), $ids([$name => [$one]]));
    same($ids([$name => []]), []);
    foreach ([5, [5], [null], [[$one]], true] as $bad) {
        fails(TypeError::class, fn () => $ids([$name => $bad]));
    }
}
same($ids(['limit' => 0]), []);
foreach (['min_event_id', 'max_event_id', 'limit'] as $name) {
    fails(ValueError::class, fn () => $ids([$name => -1]));
}
foreach (['min_event_id', 'max_event_id', 'min_timestamp', 'max_timestamp', 'limit', 'follow'] as $name) {
    foreach (['1', true, [1]] as $bad) {
        fails(TypeError::class, fn () => $ids([$name => $bad]));
    }
}
foreach (['min_event_id', 'max_event_id', 'min_timestamp', 'max_timestamp', 'limit'] as $name) {
    foreach ([1.0, NAN, INF, 2.0 ** 70] as $bad) {
        fails(TypeError::class, fn () => $ids([$name => $bad]));
    }
}
foreach ([['colours' => []], ['domain' => 'v2'], ['v2'], ['order' => 'random'], ['order' => 1],
    ['follow' => -1], ['follow' => NAN]] as $bad) {
    fails(ValueError::class, fn () => Auditrail\read($root, $bad)); // at once, not when it is first read
}
fails(TypeError::class, fn () => $ids(['request_id' => 7]));
fails(AuditrailException::class, fn () => $ids(['min_event_id' => 3, 'max_event_id' => 2]), 'INVALID_ARGUMENT');
fails(AuditrailException::class, fn () => Auditrail\read("$scratch/nothing", ['users' => []]), 'NOT_FOUND');
same(Auditrail\replay($root, 'v2', 'image', ['users' => []]),
    ['state' => [], 'last_event_id' => null, 'applied_events' => 0]);
same(Auditrail\history($root, 'v2', 'image', 'm1', ['limit' => 0]), []);
fails(ValueError::class, fn () => Auditrail\replay($root, 'v2', 'image', ['domains' => ['legacy']]));
fails(ValueError::class, fn () => Auditrail\history($root, 'v2', 'image', 'm1', ['model_names' => ['m2']]));
fails(ValueError::class, fn () => Auditrail\history($root, 'v2', "image\0", 'm1'));
foreach (Auditrail\read($root) as $id => $one) {
    same([$one['event_id'], $one['payload']['after']['n']], [$id, $id]);
}
$replayed = Auditrail\replay($root, 'v2', 'image', ['max_event_id' => 7]);
same([$replayed['state']['m1']['n'], $replayed['last_event_id'], $replayed['applied_events']], [7, 7, 4]);
same(Auditrail\history($root, 'v2', 'image', 'm1')[0]['changes'], ['n' => ['new' => 1]]);
same(Auditrail\check($root)['events'], 10);
same(Auditrail\check($root, pruned_before: 9)['pruned_events'], 0);
$seen = [];
foreach (Auditrail\read($root, ['min_event_id' => 10, 'follow' => 0.1]) as $id => $one) {
    $seen[] = $id;
    if ($id === 10) {
        $trail->append($event); // comes while we follow
    }
}
same($seen, [10, 11]);
$trail->close();

// A reader that is dropped gives back its file, read or not.
$open = fn () => count(array_filter(glob('/proc/self/fd/*'), fn ($fd) => is_link($fd) && str_contains(readlink($fd), '.jsonl')));
$before = $open();
$unread = Auditrail\read($root);
$reader = Auditrail\read($root);
$reader->current();
same($open() > $before, true);
unset($reader, $unread);
same($open(), $before);

// What owns memory of the library is not copied.
$trail = new Trail("$scratch/copies");
$other = new Trail("$scratch/copies2"); // two handles do not share their place
same([$trail->append($event), $other->append($event), $trail->append($event)], [1, 1, 2]);
$other->close();
fails(Error::class, fn () => clone $trail);
fails(LogicException::class, fn () => serialize($trail));
fails(LogicException::class, fn () => unserialize('O:15:"Auditrail\Trail":0:{}'));
fails(LogicException::class, fn () => unserialize('O:15:"Auditrail\Trail":1:{s:23:"' . "\0Auditrail\Trail\0handle" . '";i:7;}'));
fails(LogicException::class, fn () => (new ReflectionClass(Trail::class))->newInstanceWithoutConstructor()->append($event));
fails(Error::class, fn () => eval('return ' . var_export($trail, true) . ';'));
fails(Error::class, fn () => clone new Auditrail\Reader($root, []));
same($trail->append($event), 3);

// Memory does not grow with calls.
$trail->close();
$trail = new Trail("$scratch/memory", ['durability' => 'buffered']);
$line = json_encode($event);
$work = [
    100000 => fn () => $trail->append($line),
    20000 => fn () => $trail->appendReturning($line),
    20001 => fn () => $trail->appendBatch([$line]),
    5000 => fn () => $trail->stats(),
    5001 => function () use ($trail) {
        try {
            $trail->append('{}');
        } catch (AuditrailException) {
        }
    },
    1000 => fn () => iterator_to_array(Auditrail\read($root, ['domains' => 'v2', 'limit' => 1])),
    1001 => fn () => Auditrail\history($root, 'v2', 'image', 'm1'),
    1002 => fn () => Auditrail\replay($root, 'v2', 'image'),
];
foreach ($work as $times => $call) {
    $call();
    $before = memory_get_usage();
    for ($n = 0; $n < $times; $n++) {
        $call();
    }
    same(memory_get_usage() - $before < 2000 ? 'steady' : "$times calls", 'steady');
}
$before = 0;
foreach (Auditrail\read_lines("$scratch/memory") as $id => $one) {
    $before = $id === 10 ? memory_get_usage() : $before;
}
same(memory_get_usage() - $before < 2000, true);
$trail->close();

// Where PHP does not allow FFI, the error says what to do.
$php = fn (string ...$options) => [PHP_BINARY, '-d', 'display_errors=stderr', ...$options];
$said = shell_exec(implode(' ', array_map(escapeshellarg(...), $php('-d', 'ffi.enable=0', '-r',
    'require $argv[1]; try { Auditrail\version(); } catch (RuntimeException $e) { echo $e->getMessage(); }',
    __DIR__ . '/../../../bindings/php/Auditrail.php'))));
same(str_contains($said, 'ffi.enable=1') && str_contains($said, 'preload'), true);

// Behind a web server: refused as it is, allowed with ffi.enable=1 or when preloaded.
$binding = realpath(__DIR__ . '/../../../bindings/php/Auditrail.php');
mkdir("$scratch/web");
file_put_contents("$scratch/web/index.php", '<?php if (!class_exists("Auditrail\Library", false)) require ' .
    var_export($binding, true) . '; try { echo Auditrail\version(); } catch (RuntimeException $e) { echo $e->getMessage(); }');
$web = function (string ...$options) use ($php, $scratch): string {
    $free = stream_socket_server('tcp://127.0.0.1:0');
    $address = stream_socket_get_name($free, false);
    fclose($free);
    $server = proc_open($php(...$options, ...['-S', $address, '-t', "$scratch/web"]),
        [['file', '/dev/null', 'r'], ['file', '/dev/null', 'w'], ['file', "$scratch/web.err", 'w']], $pipes);
    try {
        $until = microtime(true) + 20;
        do {
            usleep(20000);
            try {
                return file_get_contents("http://$address/");
            } catch (ErrorException) { // not up yet
            }
        } while (microtime(true) < $until && proc_get_status($server)['running']);
        throw new Exception('no answer: ' . file_get_contents("$scratch/web.err"));
    } finally {
        proc_terminate($server);
        proc_close($server);
    }
};
same(str_contains($web('-d', 'ffi.enable=preload'), 'ffi.enable=1'), true);
same($web('-d', 'ffi.enable=1'), Auditrail\version());
if (extension_loaded('Zend OPcache')) {
    same($web('-d', 'ffi.enable=preload', '-d', 'opcache.enable=1', '-d', 'opcache.enable_cli=1',
        '-d', "opcache.preload=$binding", '-d', 'opcache.preload_user=' . posix_getpwuid(posix_geteuid())['name']),
        Auditrail\version());
}

// Fork.
if (function_exists('pcntl_fork')) {
    $trail = new Trail("$scratch/fork", ['shared' => true]);
    $trail->append($event);
    $child = pcntl_fork();
    if ($child === 0) {
        $code = 1;
        try {
            fails(AuditrailException::class, fn () => $trail->append($event), 'FORKED');
            $own = new Trail("$scratch/fork", ['shared' => true]);
            same($own->append($event), 2);
            $own->close();
            $code = 0;
        } finally {
            exit($code);
        }
    }
    pcntl_waitpid($child, $status);
    same($status, 0);
    same($trail->append($event), 3);
    $trail->close();
}

echo "$checks checks\n";
