'use strict';
// auditrail.cjs against the built library: node test.js CORPUS SCRATCH
const assert = require('node:assert/strict');
const { execFileSync, spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const v8 = require('node:v8');
const vm = require('node:vm');
const { Worker, isMainThread, workerData } = require('node:worker_threads');
const auditrail = require('../../../bindings/node/auditrail.cjs');

v8.setFlagsFromString('--expose-gc');
const collect = vm.runInNewContext('gc');
const binding = require.resolve('../../../bindings/node/auditrail.cjs');

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
  for (const bad of [{ maxSegmentBytes: '7' }, { maxOpenFiles: true }, { bufferBytes: [7] }, { shared: 'false' },
    { shared: 1 }, { domains: 7 }, { domains: [7] }, 'shared', null, new Map([['shared', true]])]) {
    assert.throws(() => auditrail.open(root, bad), TypeError, String(bad));
  }
  for (const bad of [{ maxSegmentBytes: Infinity }, { maxOpenFiles: NaN }, { flushIntervalMs: 1.5 },
    { maxEventBytes: 2 ** 64 }, { domains: [] }, { operations: [] }, { durability: 1 }]) {
    assert.throws(() => auditrail.open(root, bad), RangeError);
  }
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
    lockTimeoutMs: 7,
  });
  assert.throws(() => trail.append(event), { code: 'AUDITRAIL_ERR_INVALID_EVENT' });
  trail.append({ ...event, domain: 'b', operation: 'rename' });
  assert.equal(trail.stats().writtenId, 0);
  trail.close();
  assert.equal([...auditrail.readLines(root)].length, 1);
  const one = auditrail.open(`${root}-one`, { domains: 'a', operations: 'rename', shared: undefined, bufferBytes: null });
  one.append({ ...event, domain: 'a', operation: 'rename' });
  assert.throws(() => one.append(event), { code: 'AUDITRAIL_ERR_INVALID_EVENT' });
  one.close();
}

async function async(root) {
  const trail = auditrail.open(root, { durability: 'synced' });
  const ids = await Promise.all(Array.from({ length: 50 }, () => trail.appendAsync(event)));
  assert.deepEqual(ids.sort((a, b) => a - b), Array.from({ length: 50 }, (_, index) => index + 1));
  await assert.rejects(trail.appendAsync('{'), { code: 'AUDITRAIL_ERR_INVALID_EVENT' });
  const last = trail.appendAsync(event);
  assert.throws(() => trail.close(), /closeAsync/);
  await trail.closeAsync();
  assert.equal(await last, 51);
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
  filters(root, ids);
  for (const line of auditrail.readLines(root)) {
    assert.ok(line.startsWith('{"event_id":2,'));
    break; // which lets the reader go
  }
  const replayed = auditrail.replay(root, 'v2', 'image', { maxEventId: 7 });
  assert.deepEqual([replayed.state.m1, replayed.last_event_id, replayed.applied_events], [{ n: 7 }, 7, 4]);
  assert.deepEqual(auditrail.history(root, 'v2', 'image', 'm1')[0].changes, { n: { new: 1 } });
  assert.equal(auditrail.check(root).events, 10);
  assert.deepEqual([auditrail.check(root, 9).ok, auditrail.check(root, 9n).pruned_events], [true, 0]);
  assert.throws(() => auditrail.check(root, -1), RangeError);
  const seen = [];
  for await (const one of auditrail.follow(root, { minEventId: 10 }, 1000)) {
    seen.push(one.event_id);
    if (seen.length === 1) setTimeout(() => { const t = auditrail.open(root); t.append(event); t.close(); }, 100);
  }
  assert.deepEqual(seen, [10, 11]);
}

// A filter lets nothing through that was not asked for.
function filters(root, ids) {
  assert.deepEqual(ids({ domains: null, users: undefined, limit: null, maxEventId: undefined, order: null }), ids());
  for (const [name, one, found] of [['domains', 'v2', 5], ['categories', 'image', 10], ['modelNames', 'm0', 3],
    ['operations', 'create', 10], ['users', 'u', 10]]) {
    assert.equal(ids({ [name]: one }).length, found, name);
    assert.deepEqual(ids({ [name]: one }), ids({ [name]: new Set([one]) }), name);
    for (const empty of [[], new Set(), '']) {
      if (empty === '' && (name === 'domains' || name === 'categories')) continue; // no name, and refused as one
      assert.deepEqual(ids({ [name]: empty }), [], name);
    }
    for (const bad of [5, [5], [null], [[one]], true, {}, new Map([[one, one]])]) {
      assert.throws(() => ids({ [name]: bad }), TypeError, name);
    }
  }
  assert.deepEqual(ids({ limit: 0 }), []);
  for (const name of ['minEventId', 'maxEventId', 'limit', 'minTimestamp', 'maxTimestamp']) {
    for (const bad of [Infinity, -Infinity, NaN, 1.5, 2 ** 53, 2 ** 70, 2n ** 64n, -(2n ** 63n) - 1n]) {
      assert.throws(() => ids({ [name]: bad }), RangeError, `${name} ${bad}`);
    }
    for (const bad of ['1', true, [1], {}]) {
      assert.throws(() => ids({ [name]: bad }), TypeError, `${name} ${bad}`);
    }
  }
  for (const name of ['minEventId', 'maxEventId', 'limit']) assert.throws(() => ids({ [name]: -1 }), RangeError);
  assert.equal(ids({ minTimestamp: -1 }).length, 10);
  assert.deepEqual(ids({ minEventId: 9n, limit: 7n, maxEventId: 2n ** 64n - 1n, minTimestamp: -(2n ** 63n) }), [10, 9]);
  assert.deepEqual(ids({ limit: 0n }), []);
  for (const bad of [{ colours: [] }, { domain: 'v2' }, ['v2'], 'v2', 7, null, { requestId: 7 },
    new Map([['domains', ['legacy']]]), Object.create({ domains: ['legacy'] })]) {
    assert.throws(() => auditrail.read(root, bad), TypeError, JSON.stringify(bad)); // at once
  }
  assert.equal(ids({ __proto__: null, domains: 'v2' }).length, 5);
  for (const order of ['random', 1, 'toString']) assert.throws(() => ids({ order }), RangeError);
  assert.throws(() => ids({ minEventId: 3, maxEventId: 2 }), { code: 'AUDITRAIL_ERR_INVALID_ARGUMENT' });
  assert.throws(() => auditrail.read(`${root}-not`, { users: [] }), { code: 'AUDITRAIL_ERR_NOT_FOUND' });
  assert.deepEqual(auditrail.replay(root, 'v2', 'image', { users: [] }),
    { state: {}, last_event_id: null, applied_events: 0 });
  assert.deepEqual(auditrail.history(root, 'v2', 'image', 'm1', { limit: 0 }), []);
  assert.throws(() => auditrail.replay(root, 'v2', 'image', { domains: ['legacy'] }), TypeError);
  assert.throws(() => auditrail.history(root, 'v2', 'image', 'm1', { modelNames: ['m2'] }), TypeError);
  for (const bad of ['image\0', undefined, 7, '\ud800']) {
    assert.throws(() => auditrail.replay(root, 'v2', bad), TypeError);
    assert.throws(() => auditrail.history(root, 'v2', 'image', bad), TypeError);
  }
  for (const bad of [-1, NaN, '1', null]) assert.throws(() => auditrail.follow(root, {}, bad), RangeError);
}

function paths(root) {
  const here = process.cwd();
  fs.mkdirSync(root);
  process.chdir(root);
  try {
    for (const bad of [undefined, null, 7, {}, Buffer.from('x'), new URL('https://example.com/audit'), 'a\0b', '\ud800']) {
      assert.throws(() => auditrail.open(bad), TypeError);
      assert.throws(() => auditrail.read(bad), TypeError);
      assert.throws(() => auditrail.check(bad), TypeError);
    }
    assert.throws(() => auditrail.open(''), { code: 'AUDITRAIL_ERR_INVALID_ARGUMENT' });
    assert.deepEqual(fs.readdirSync('.'), []);
    const url = pathToFileURL(path.join(root, 'with blank'));
    auditrail.open(url).close();
    assert.equal(auditrail.check(url).events, 0);
    assert.deepEqual(fs.readdirSync('.'), ['with blank']);
  } finally {
    process.chdir(here);
  }
}

// What JSON.stringify would drop without a word, or write as null.
function lost(root) {
  const trail = auditrail.open(root);
  const after = (x) => ({ ...event, payload: { after: { x } } });
  for (const bad of [NaN, Infinity, -Infinity, new Number(NaN), new Date(NaN), [undefined], [() => 1], [[NaN]], 1n]) {
    assert.throws(() => trail.append(after(bad)), TypeError);
    assert.throws(() => trail.appendBatch([event, after(bad)]), TypeError);
  }
  const good = [null, 'null', 0, [null], { undefined }];
  trail.append(after(good));
  const [read] = auditrail.read(root);
  assert.deepEqual(read.payload.after.x, [null, 'null', 0, [null], {}]);
  for (const bad of ['', '{}', {}, event, null, undefined, 7]) assert.throws(() => trail.appendBatch(bad), TypeError);
  assert.throws(() => trail.appendBatch([undefined]), TypeError);
  assert.throws(() => trail.append(`{"domain":"v2","domain":"v2"}`), { code: 'AUDITRAIL_ERR_INVALID_EVENT' });
  assert.equal(trail.stats().lastId, 1);
  trail.close();
}

/** Holds the lock by which shared writers take turns, until it is told to let go. */
async function holdLock(root) {
  const holder = spawn('flock', [path.join(root, '.auditrail/commit-lock'), 'sh', '-c', 'echo held; read end'],
    { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(holder.stdout, 'data');
  return async () => {
    holder.stdin.end();
    await once(holder, 'exit');
  };
}

async function manyAtOnce(root) {
  const trail = auditrail.open(root, { durability: 'buffered' });
  const count = 5000;
  const ids = await Promise.all(Array.from({ length: count }, () => trail.appendAsync(event)));
  assert.deepEqual(ids.sort((a, b) => a - b), Array.from({ length: count }, (_, index) => index + 1));
  // Others fill koffi's own places.
  const koffi = require('koffi');
  const usleep = koffi.load('libc.so.6').func('usleep', 'int', ['uint32_t']);
  let slept = 0;
  for (let n = 0; n < 256; n++) usleep.async(2000, () => { slept += 1; });
  const more = await Promise.all(Array.from({ length: 300 }, () => trail.appendAsync(event)));
  assert.equal(more.length, 300);
  while (slept < 256) await new Promise((resolve) => setTimeout(resolve, 10));
  // All that were begun end before the trail is closed, and whoever closes again waits too.
  const last = Array.from({ length: 500 }, () => trail.appendAsync(event));
  const closing = [trail.closeAsync(), trail.closeAsync()];
  assert.ok(trail.closed);
  await closing[1];
  auditrail.open(root).close();
  await Promise.all([...last, ...closing]);
  assert.equal(auditrail.check(root).events, count + 800);
}

// The text of an append must not be collected while the append works on it.
async function collecting(root) {
  const trail = auditrail.open(root, { shared: true });
  trail.append(event);
  const release = await holdLock(root);
  const big = (n) => ({ ...event, payload: { after: { text: String(n).repeat(300000) } } });
  const ids = Promise.all([1, 2, 3].map((n) => trail.appendAsync(big(n))));
  for (let n = 0; n < 20; n++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    collect();
    Array.from({ length: 8 }, () => Buffer.alloc(400000, 'x'));
  }
  await release();
  assert.deepEqual((await ids).sort(), [2, 3, 4]);
  await trail.closeAsync();
  const texts = Array.from(auditrail.read(root), (one) => one.payload?.after.text).slice(1);
  assert.deepEqual(texts.map((text) => text[0]).sort(), ['1', '2', '3']);
  for (const text of texts) assert.equal(text, text[0].repeat(300000));
}

async function until(condition, what) {
  for (let n = 0; n < 200; n++) {
    if (condition()) return;
    collect();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(what);
}

// What is dropped gives back its files.
async function dropping(root) {
  const open = () => fs.readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${fd}`).startsWith(root);
    } catch {
      return false; // that of the listing itself
    }
  }).length;
  (() => {
    const trail = auditrail.open(root, { durability: 'buffered', flushIntervalMs: 0 });
    trail.append(event);
    assert.ok(open() > 0);
  })();
  await until(() => open() === 0, 'a dropped trail has its files');
  assert.equal([...auditrail.read(root)].length, 1);
  (() => {
    const reader = auditrail.read(root);
    reader.next();
    auditrail.follow(root).next();
    assert.ok(open() > 0);
  })();
  await until(() => open() <= 1, 'a dropped reader has its file'); // the one that follows goes on
  for (let n = 0; n < 20; n++) auditrail.readLines(root).next();
  await until(() => open() <= 1, 'dropped readers have their files');
}

// Nothing is lost at the end of the process without close; a worker lets go of what it leaves.
async function leaving(root) {
  const code = `const t = require(process.argv[1]).open(process.argv[2], { durability: 'buffered', flushIntervalMs: 0 });
    for (let n = 0; n < 10; n++) t.append(${JSON.stringify(event)});`;
  for (const end of ['', 'process.exit(0)', 't.close()', `for (let n = 0; n < 9; n++) t.appendAsync({}).catch(() => {}); process.exit(0)`]) {
    execFileSync(process.execPath, ['-e', `${code}${end}`, binding, root], { stdio: 'inherit' });
  }
  assert.equal([...auditrail.read(root)].length, 40);
  const worker = new Worker(`const { workerData: [binding, root] } = require('node:worker_threads');
    require(binding).open(root);`, { eval: true, workerData: [binding, root] });
  await once(worker, 'exit');
  auditrail.open(root).close();
}

// Packages of both types load the one file.
function packages(folder) {
  const module = path.dirname(path.dirname(require.resolve('koffi/package.json')));
  const body = `console.log(open(process.argv[2]).append(${JSON.stringify(event)}), typeof Trail, version);`;
  const programs = {
    commonjs: { 'main.js': `const { open, Trail, version } = require('./auditrail.cjs'); ${body}`,
      'main.mjs': `import { open, Trail, version } from './auditrail.cjs'; ${body}` },
    module: { 'main.js': `import { open, Trail, version } from './auditrail.cjs'; ${body}`,
      'all.js': `import * as auditrail from './auditrail.cjs'; const { open, Trail, version } = auditrail; ${body}`,
      'default.js': `import auditrail from './auditrail.cjs'; const { open, Trail, version } = auditrail; ${body}`,
      'main.cjs': `const { open, Trail, version } = require('./auditrail.cjs'); ${body}` },
  };
  const { NODE_PATH, ...env } = process.env;
  for (const [type, files] of Object.entries(programs)) {
    const home = path.join(folder, type);
    fs.mkdirSync(home, { recursive: true });
    fs.symlinkSync(module, path.join(home, 'node_modules'));
    fs.writeFileSync(path.join(home, 'package.json'), JSON.stringify({ name: 'app', private: true, type }));
    fs.copyFileSync(binding, path.join(home, 'auditrail.cjs'));
    for (const [file, text] of Object.entries(files)) {
      fs.writeFileSync(path.join(home, file), text);
      const said = execFileSync(process.execPath, [file, `audit-${file}`], { cwd: home, env, encoding: 'utf8' });
      assert.equal(said, `1 function ${auditrail.version}\n`, `${type} ${file}`);
    }
  }
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
  paths(path.join(scratch, 'paths'));
  lost(path.join(scratch, 'lost'));
  await manyAtOnce(path.join(scratch, 'many'));
  await collecting(path.join(scratch, 'collecting'));
  await leaving(path.join(scratch, 'leaving'));
  packages(path.join(scratch, 'packages'));
  await dropping(path.join(scratch, 'dropping'));
  console.log('13 tests');
  process.exit(0); // the reader that follows for ever
}

if (isMainThread) {
  main(process.argv.slice(2));
} else {
  const trail = auditrail.open(workerData, { shared: true });
  for (let n = 0; n < 20; n++) trail.append(event);
  trail.close();
}
