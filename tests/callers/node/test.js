'use strict';
// auditrail.cjs against the built library: node test.js CORPUS SCRATCH
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { setFlagsFromString } = require('node:v8');
const { runInNewContext } = require('node:vm');
const { Worker, isMainThread, workerData } = require('node:worker_threads');
const auditrail = require('../../../bindings/node/auditrail.cjs');

const event = {
  domain: 'v2', category: 'image', model_name: 'm', operation: 'create', logical_user_id: 'u', timestamp: 5,
};

function same(corpus, root) {
  const lines = fs.readFileSync(corpus, 'utf8').trimEnd().split('\n');
  const trail = auditrail.open(root, { maxSegmentBytes: 2048 });
  for (let at = 0; at < lines.length; at += 5) {
    assert.equal(trail.append(JSON.parse(lines[at])), at + 1);
    assert.equal(trail.append(lines[at + 1]), at + 2);
    const given = JSON.parse(lines[at + 2]);
    assert.deepEqual(trail.appendReturning(given), { event_id: at + 3, ...given });
    assert.deepEqual(trail.appendBatch([JSON.parse(lines[at + 3]), lines[at + 4]]), [at + 4, at + 5]);
  }
  assert.equal(trail.stats().lastId, lines.length);
  trail.close();
}

function errors(root) {
  const trail = auditrail.open(root);
  assert.throws(
    () => trail.append('{"domain":"v9","category":"c","model_name":"m","operation":"create","logical_user_id":"u"}'),
    (error) => error instanceof auditrail.AuditrailError && error.status === -11
      && error.code === 'AUDITRAIL_ERR_INVALID_EVENT' && error.offset === 10 && error.errno === null
      && error.message.includes('domain'));
  const code = (code) => ({ code: `AUDITRAIL_ERR_${code}` });
  assert.throws(() => auditrail.open(root), { ...code('BUSY'), message: new RegExp(process.pid) });
  assert.throws(() => auditrail.open('/proc/nothing/here'), (error) => error.errno > 0);
  assert.throws(() => [...auditrail.read(path.join(root, 'nothing'))], code('NOT_FOUND'));
  assert.throws(() => auditrail.open(root, { maxSegmentBytes: 0 }), code('INVALID_ARGUMENT'));
  assert.throws(() => auditrail.open(root, { maxSegmentBytes: -1 }), RangeError);
  assert.throws(() => auditrail.open(root, { durability: 'eternal' }), RangeError);
  assert.throws(() => auditrail.open(root, { colour: 'blue' }), TypeError);
  assert.throws(() => auditrail.open('a\0b'), TypeError);
  assert.throws(() => trail.append(undefined), TypeError);
  assert.throws(() => trail.append({ ...event, model_name: '\ud800' }), code('INVALID_EVENT'));
  assert.throws(() => trail.append(`{"model_name":"\ud800"}`), TypeError);
  assert.throws(() => trail.append(''), code('INVALID_EVENT'));
  assert.throws(() => trail.appendBatch([event, {}, event]), code('INVALID_EVENT'));
  assert.throws(() => trail.appendBatch(['{}\n{}']), TypeError);
  assert.deepEqual(trail.appendBatch([]), []);
  assert.equal(trail.append({ ...event, request_id: undefined }), 1);
  trail.flush();
  trail.sync();
  assert.equal(trail.stats().syncedId, 1);
  trail.close();
  trail.close();
  assert.ok(trail.closed);
  assert.throws(() => trail.append(event), /closed/);
}

function options(root) {
  const trail = auditrail.open(root, {
    durability: 'buffered', flushIntervalMs: 0, domains: ['a', 'b'], operations: '*', maxEventBytes: 256,
  });
  assert.throws(() => trail.append(event), { code: 'AUDITRAIL_ERR_INVALID_EVENT' });
  trail.append({ ...event, domain: 'b', operation: 'rename' });
  assert.equal(trail.stats().writtenId, 0);
  trail.close();
  assert.equal([...auditrail.readLines(root)].length, 1);
}

async function async(root) {
  const trail = auditrail.open(root, { durability: 'synced' });
  const ids = await Promise.all(Array.from({ length: 50 }, () => trail.appendAsync(event)));
  assert.deepEqual(ids.sort((a, b) => a - b), Array.from({ length: 50 }, (_, index) => index + 1));
  await assert.rejects(trail.appendAsync('{'), { code: 'AUDITRAIL_ERR_INVALID_EVENT' });
  // More at a time than koffi takes: the rest waits, in order.
  const many = await Promise.all(Array.from({ length: 1000 }, () => trail.appendAsync(event)));
  assert.equal(new Set(many).size, 1000);
  const last = trail.appendAsync(event);
  assert.throws(() => trail.close(), /closeAsync/);
  await trail.closeAsync();
  assert.equal(await last, 1051);
  await assert.rejects(trail.appendAsync(event), /closed/);
}

async function reading(root) {
  const trail = auditrail.open(root);
  for (let n = 1; n <= 10; n++) {
    trail.append({
      ...event, domain: n % 2 ? 'v2' : 'legacy', model_name: `m${n % 3}`, timestamp: 1000 + n, payload: { after: { n } },
    });
  }
  trail.close();
  const ids = (filters) => Array.from(auditrail.read(root, filters), (one) => one.event_id);
  assert.deepEqual(ids(), [2, 4, 6, 8, 10, 1, 3, 5, 7, 9]);
  assert.deepEqual(ids({ order: 'newestFirst', limit: 3 }), [10, 9, 8]);
  assert.deepEqual(ids({ domains: ['v2'], minEventId: 3, maxEventId: 7 }), [3, 5, 7]);
  assert.deepEqual(ids({ modelNames: ['m0', 'm2'], minTimestamp: 1008, order: 'oldestFirst' }), [8, 9]);
  assert.deepEqual(ids({ users: ['nobody'] }), []);
  // A filter never lets more through than was asked for.
  assert.deepEqual(ids({ domains: 'legacy' }), [2, 4, 6, 8, 10]);
  assert.deepEqual(ids({ domains: [] }), []);
  assert.deepEqual(ids({ limit: 0 }), []);
  assert.deepEqual(ids({ domains: ['v2'], users: [], minEventId: 2 }), []);
  assert.deepEqual(ids({ minEventId: null, maxEventId: 2n ** 64n - 1n, maxTimestamp: 1001n }), [1]);
  for (const wrong of [{ colours: [] }, { domain: 'v2' }, { domains: 7 }, { domains: [7] }]) {
    assert.throws(() => ids(wrong), TypeError);
  }
  for (const wrong of [{ minEventId: -1 }, { minEventId: 1.5 }, { maxEventId: Infinity }, { maxEventId: -1n },
    { maxEventId: 2n ** 64n }, { maxTimestamp: NaN }, { maxTimestamp: 2n ** 63n }, { limit: -1 }, { order: 'none' }]) {
    assert.throws(() => ids(wrong), RangeError);
  }
  assert.deepEqual(Array.from(auditrail.readLines(pathToFileURL(root), { limit: 1 })).length, 1);
  assert.throws(() => auditrail.open(root, { domains: [] }), RangeError);
  for (const wrong of [undefined, null, 7]) {
    assert.throws(() => auditrail.open(wrong), TypeError);
    assert.throws(() => auditrail.replay(root, wrong, 'image'), TypeError);
  }
  for (const line of auditrail.readLines(root)) {
    assert.ok(line.startsWith('{"event_id":2,'));
    break; // which lets the reader go
  }
  const replayed = auditrail.replay(root, 'v2', 'image', { maxEventId: 7 });
  assert.deepEqual([replayed.state.m1, replayed.last_event_id, replayed.applied_events], [{ n: 7 }, 7, 4]);
  assert.deepEqual(auditrail.history(root, 'v2', 'image', 'm1')[0].changes, { n: { new: 1 } });
  assert.equal(auditrail.check(root).events, 10);
  const seen = [];
  for await (const one of auditrail.follow(root, { minEventId: 10 }, 1000)) {
    seen.push(one.event_id);
    if (seen.length === 1) setTimeout(() => { const t = auditrail.open(root); t.append(event); t.close(); }, 100);
  }
  assert.deepEqual(seen, [10, 11]);
}

/** What is dropped without being closed gives back its files. */
async function dropped(root) {
  const here = () => fs.readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${fd}`).startsWith(root);
    } catch {
      return false; // the folder's own
    }
  }).length;
  (() => {
    const trail = auditrail.open(root, { shared: true });
    trail.append(event);
    trail.append(event);
    for (let n = 0; n < 10; n++) auditrail.readLines(root).next();
  })();
  assert.ok(here() > 0);
  setFlagsFromString('--expose-gc');
  for (let turns = 0; here() > 0; turns++) {
    assert.ok(turns < 100, `${here()} files are still open`);
    runInNewContext('gc')();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A package of modules, whose .js files have no require. */
function modules(folder) {
  fs.mkdirSync(folder);
  fs.copyFileSync(path.join(__dirname, '../../../bindings/node/auditrail.cjs'), path.join(folder, 'auditrail.cjs'));
  fs.writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}');
  fs.writeFileSync(path.join(folder, 'main.js'),
    "import auditrail, { open } from './auditrail.cjs';\nconsole.log(auditrail.version, typeof open);\n");
  const said = execFileSync(process.execPath, [path.join(folder, 'main.js')], { encoding: 'utf8' });
  assert.equal(said, `${auditrail.version} function\n`);
}

async function workers(root) {
  const trail = auditrail.open(root, { shared: true });
  const working = [1, 2, 3].map(() => new Promise((resolve, reject) => {
    new Worker(__filename, { workerData: root }).on('error', reject).on('exit', resolve);
  }));
  for (let n = 0; n < 20; n++) await trail.appendAsync(event);
  assert.deepEqual(await Promise.all(working), [0, 0, 0]);
  await trail.closeAsync();
  const ids = Array.from(auditrail.read(root), (one) => one.event_id);
  assert.deepEqual(ids, Array.from({ length: 80 }, (_, index) => index + 1));
}

async function main([corpus, scratch]) {
  same(corpus, path.join(scratch, 'same'));
  errors(path.join(scratch, 'errors'));
  options(path.join(scratch, 'options'));
  await async(path.join(scratch, 'async'));
  await reading(path.join(scratch, 'reading'));
  await workers(path.join(scratch, 'workers'));
  await dropped(path.join(scratch, 'dropped'));
  modules(path.join(scratch, 'modules'));
  console.log('8 tests');
}

if (isMainThread) {
  main(process.argv.slice(2));
} else {
  const trail = auditrail.open(workerData, { shared: true });
  for (let n = 0; n < 20; n++) trail.append(event);
  trail.close();
}
