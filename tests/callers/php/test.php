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
fails(AuditrailException::class, fn () => iterator_to_array(Auditrail\read("$scratch/nothing")), 'NOT_FOUND');
fails(AuditrailException::class, fn () => new Trail("$scratch/errors", ['max_segment_bytes' => 0]), 'INVALID_ARGUMENT');
fails(ValueError::class, fn () => new Trail("$scratch/errors", ['max_segment_bytes' => -1]));
fails(ValueError::class, fn () => new Trail("$scratch/errors", ['durability' => 'eternal']));
fails(ValueError::class, fn () => new Trail("$scratch/errors", ['colour' => 'blue']));
fails(ValueError::class, fn () => new Trail("a\0b"));
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
// A filter never lets more through than was asked for.
same($ids(['domains' => 'legacy']), [2, 4, 6, 8, 10]);
same($ids(['domains' => []]), []);
same($ids(['domains' => ['v2'], 'users' => [], 'min_event_id' => 2]), []);
same($ids(['max_event_id' => null, 'max_timestamp' => 1001]), [1]);
foreach ([['colours' => []], ['domain' => 'v2'], ['min_event_id' => -1], ['max_event_id' => -1], ['limit' => -1],
    ['order' => 'none']] as $wrong) {
    fails(ValueError::class, fn () => $ids($wrong));
}
foreach ([['domains' => 7], ['domains' => [7]], ['max_event_id' => INF], ['max_timestamp' => 2.0 ** 63],
    ['limit' => 'all']] as $wrong) {
    fails(TypeError::class, fn () => $ids($wrong));
}
fails(Error::class, fn () => clone $trail); // two of one writer would close it twice
foreach (Auditrail\read($root) as $id => $one) {
    same([$one['event_id'], $one['payload']['after']['n']], [$id, $id]);
}
$replayed = Auditrail\replay($root, 'v2', 'image', ['max_event_id' => 7]);
same([$replayed['state']['m1']['n'], $replayed['last_event_id'], $replayed['applied_events']], [7, 7, 4]);
same(Auditrail\history($root, 'v2', 'image', 'm1')[0]['changes'], ['n' => ['new' => 1]]);
same(Auditrail\check($root)['events'], 10);
$seen = [];
foreach (Auditrail\read($root, ['min_event_id' => 10, 'follow' => 0.1]) as $id => $one) {
    $seen[] = $id;
    if ($id === 10) {
        $trail->append($event); // comes while we follow
    }
}
same($seen, [10, 11]);
$trail->close();

// No call takes memory that PHP never gives back.
$trail = new Trail("$scratch/memory");
$calls = [
    fn () => $trail->appendReturning($event),
    fn () => iterator_count(Auditrail\read_lines("$scratch/memory", ['limit' => 1])),
    fn () => Auditrail\replay("$scratch/memory", 'v2', 'image', ['limit' => 1]),
    function () use ($trail) {
        fails(AuditrailException::class, fn () => $trail->append('{'), 'INVALID_EVENT');
    },
];
foreach ($calls as $call) {
    $call();
    $before = memory_get_usage();
    for ($n = 0; $n < 200; $n++) {
        $call();
    }
    $grown = memory_get_usage() - $before;
    same($grown < 4000 ? null : "$grown bytes in 200 calls", null);
}
$trail->close();

// Where FFI is not enabled, as it is not behind a web server, that is what is said.
$program = 'require $argv[1]; try { Auditrail\version(); } catch (RuntimeException $e) { echo $e->getMessage(); }';
$said = shell_exec(implode(' ', array_map(escapeshellarg(...),
    [PHP_BINARY, '-d', 'ffi.enable=0', '-r', $program, '--', __DIR__ . '/../../../bindings/php/Auditrail.php'])));
same([str_contains($said, 'restricted by'), str_contains($said, 'ffi.enable=1 in php.ini')], [true, true]);

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
