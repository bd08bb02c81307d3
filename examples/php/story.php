<?php

declare(strict_types=1);

// Who gave whom which role: a small program over Auditrail.php.
//
//     php -d ffi.enable=1 examples/php/story.php audit

require __DIR__ . '/../../bindings/php/Auditrail.php';

$create = fn (string $who) => [
    'domain' => 'v2', 'category' => 'users', 'model_name' => $who, 'operation' => 'create',
    'logical_user_id' => 'admin-7', 'payload' => ['after' => ['role' => 'user']],
];

$root = $argv[1] ?? 'audit';
$trail = new Auditrail\Trail($root);

// A user is created: append gives the event's id.
echo "event {$trail->append($create('ada'))}: create ada\n";

// She becomes an owner. Who did that, in this request?
$trail->append([
    'domain' => 'v2', 'category' => 'users', 'model_name' => 'ada', 'operation' => 'update',
    'logical_user_id' => 'admin-7', 'request_id' => 'req-1',
    'payload' => ['delta' => ['role' => ['old' => 'user', 'new' => 'owner']]],
]);
foreach (Auditrail\read($root, ['request_id' => 'req-1']) as $id => $event) {
    echo "event $id: {$event['operation']} {$event['model_name']} by {$event['logical_user_id']}\n";
}

// Two more in one batch: all of it, or nothing.
[$first, $count] = $trail->appendBatch([$create('bob'), $create('cyd')]);
printf("events %d to %d in one batch\n", $first, $first + $count - 1);

// An event that breaks a rule is refused; the error says why, and where.
try {
    $trail->append('{"domain":"v2","category":"../etc","model_name":"x","operation":"create","logical_user_id":"u"}');
} catch (Auditrail\AuditrailException $e) {
    echo "refused: $e->name at byte $e->offset: {$e->getMessage()}\n";
}

// All that is in the trail, the newest first.
foreach (Auditrail\read($root, ['categories' => ['users'], 'order' => 'newest_first']) as $id => $event) {
    echo "$id {$event['operation']} {$event['model_name']}\n";
}

// What the events make of each record.
$users = Auditrail\replay($root, 'v2', 'users')['state'];
echo "ada is {$users['ada']['role']}\n";
$trail->close();
