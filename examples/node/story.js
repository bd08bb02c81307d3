'use strict';
// Who gave whom which role: a small program over auditrail.js.
//
//     npm install koffi && node story.js audit
const auditrail = require('./auditrail.js');

const create = (who) => ({
  domain: 'v2', category: 'users', model_name: who, operation: 'create',
  logical_user_id: 'admin-7', payload: { after: { role: 'user' } },
});

async function main(root = 'audit') {
  const trail = auditrail.open(root);
  console.log(`event ${await trail.appendAsync(create('ada'))}: create ada`);

  const event = trail.appendReturning({
    domain: 'v2', category: 'users', model_name: 'ada', operation: 'update', logical_user_id: 'admin-7',
    request_id: 'req-1', payload: { delta: { role: { old: 'user', new: 'owner' } } },
  });
  console.log(`event ${event.event_id}: ${event.operation} ${event.model_name} by ${event.logical_user_id}`);

  const ids = trail.appendBatch([create('bob'), create('cyd')]);
  console.log(`events ${ids.at(0)} to ${ids.at(-1)} in one batch`);

  try {
    trail.append('{"domain":"v2","category":"../etc","model_name":"x","operation":"create","logical_user_id":"u"}');
  } catch (error) {
    console.log(`refused: ${error.code} at byte ${error.offset}: ${error.message}`);
  }

  for (const one of auditrail.read(root, { categories: ['users'], order: 'newestFirst' })) {
    console.log(one.event_id, one.operation, one.model_name);
  }
  const { state } = auditrail.replay(root, 'v2', 'users');
  console.log(`ada is ${state.ada.role}`);
  await trail.closeAsync();
}

main(process.argv[2]);
