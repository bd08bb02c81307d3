<?php

declare(strict_types=1);

// Who gave whom which role: a small program over Auditrail.php.
//
//     php story.php audit

require __DIR__ . '/Auditrail.php';

$create = fn (string $who) => [
    'domain' => 'v2', 'category' => 'users', 'model_name' => $who, 'operation' => 'create',
    'logical_user_id' => 'admin-7', 'payload' => ['after' => ['role' => 'user']],
];

$root = $argv[1] ?? 'audit';
$trail = new Auditrail\Trail($root);
echo "event {$trail->append($create('ada'))}: create ada\n";

$event = $trail->appendReturning([
    'domain' => 'v2', 'category' => 'users', 'model_name' => 'ada', 'operation' => 'update',
    'logical_user_id' => 'admin-7', 'request_id' => 'req-1',
    'payload' => ['delta' => ['role' => ['old' => 'user', 'new' => 'owner']]],
]);
echo "event {$event['event_id']}: {$event['operation']} {$event['model_name']} by {$event['logical_user_id']}\n";

[$first, $count] = $trail->appendBatch([$create('bob'), $create('cyd')]);
printf("events %d to %d in one batch\n", $first, $first + $count - 1);

try {
    $trail->append('{"domain":"v2","category":"../etc","model_name":"x","operation":"create","logical_user_id":"u"}');
} catch (Auditrail\AuditrailException $e) {
    echo "refused: $e->name at byte $e->offset: {$e->getMessage()}\n";
}

foreach (Auditrail\read($root, ['categories' => ['users'], 'order' => 'newest_first']) as $id => $one) {
    echo "$id {$one['operation']} {$one['model_name']}\n";
}
echo 'ada is ', Auditrail\replay($root, 'v2', 'users')['state']['ada']['role'], "\n";
$trail->close();
