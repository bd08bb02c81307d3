'use strict';
// Who gave whom which role: a small program over auditrail.cjs,
// with koffi in build/node (npm install --prefix build/node koffi@2).
//
//     NODE_PATH=build/node/node_modules node examples/node/story.js audit
const auditrail = require('../../bindings/node/auditrail.cjs');

const create = (who) => ({
  domain: 'v2', category: 'users', model_name: who, operation: 'create',
  logical_user_id: 'admin-7', payload: { after: { role: 'user' } },
});

async function main(root = 'audit') {
  const trail = auditrail.open(root);

  // A user is created: append gives the event's id.
  console.log(`event ${await trail.appendAsync(create('ada'))}: create ada`);

  // She becomes an owner. Who did that, in this request?
  await trail.appendAsync({
    domain: 'v2', category: 'users', model_name: 'ada', operation: 'update', logical_user_id: 'admin-7',
    request_id: 'req-1', payload: { delta: { role: { old: 'user', new: 'owner' } } },
  });
  for (const event of auditrail.read(root, { requestId: 'req-1' })) {
    console.log(`event ${event.event_id}: ${event.operation} ${event.model_name} by ${event.logical_user_id}`);
  }

  // Two more in one batch: all of it, or nothing.
  const ids = trail.appendBatch([create('bob'), create('cyd')]);
  console.log(`events ${ids.at(0)} to ${ids.at(-1)} in one batch`);

  // An event that breaks a rule is refused; the error says why, and where.
  try {
    trail.append('{"domain":"v2","category":"../etc","model_name":"x","operation":"create","logical_user_id":"u"}');
  } catch (error) {
    console.log(`refused: ${error.code} at byte ${error.offset}: ${error.message}`);
  }

  // All that is in the trail, the newest first.
  for (const event of auditrail.read(root, { categories: ['users'], order: 'newestFirst' })) {
    console.log(event.event_id, event.operation, event.model_name);
  }

  // What the events make of each record.
  const { state: users } = auditrail.replay(root, 'v2', 'users');
  console.log(`ada is ${users.ada.role}`);
  await trail.closeAsync();
}

main(process.argv[2]);
