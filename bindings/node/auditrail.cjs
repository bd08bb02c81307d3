'use strict';
/**
 * Audit trails for Node, over the C library libauditrail.
 *
 * Copy this one file; it needs the shared library and the package koffi
 * (npm install koffi). The library is looked for at $AUDITRAIL_LIB, then under
 * its usual names. Packages of either type load it: `require('./auditrail.cjs')`,
 * or `import * as auditrail from './auditrail.cjs'`.
 *
 *     const auditrail = require('./auditrail.cjs');
 *     const trail = auditrail.open('audit');
 *     const id = trail.append({
 *       domain: 'v2', category: 'users', model_name: 'ada', operation: 'create',
 *       logical_user_id: 'admin-7', payload: { after: { role: 'user' } },
 *     });
 *     for (const event of auditrail.read('audit')) console.log(event.event_id, event.operation);
 *     trail.close();
 *
 * Each method waits; those that end in Async do not: they work in a thread of
 * koffi's and return a promise. Any number may be under way; they begin in the
 * order of the calls, but which of those that are at work at the same time is
 * given the lower id is open. Appends that wait for the disk at the same time wait
 * together. A worker opens its own trail, shared with the others.
 */
const koffi = require('koffi');
const { fileURLToPath } = require('node:url');

const library = (() => {
  const names = process.env.AUDITRAIL_LIB
    ? [process.env.AUDITRAIL_LIB]
    : ['libauditrail.so.0', 'libauditrail.so'];
  for (const name of names) {
    try {
      return koffi.load(name);
    } catch (reason) {
      if (name === names.at(-1)) {
        throw new Error('the library auditrail was not found; set AUDITRAIL_LIB to its path', { cause: reason });
      }
    }
  }
})();

// Errors, numbers and texts go over as bytes: nothing is converted that nobody asks for.
const BYTES = 'const uint8_t *';
const OUT = '_Out_ void **';
const signatures = {
  version: ['str', []],
  status_name: ['str', ['int32_t']],
  buffer_data: ['void *', ['void *']],
  buffer_length: ['size_t', ['void *']],
  buffer_free: ['void', ['void *']],
  options_new: ['void *', []],
  options_free: ['void', ['void *']],
  options_set_any_domain: ['int32_t', ['void *', 'void *']],
  options_set_any_operation: ['int32_t', ['void *', 'void *']],
  writer_open: ['int32_t', ['str', 'void *', OUT, 'void *']],
  writer_append: ['int32_t', ['void *', BYTES, 'size_t', 'void *', 'void *']],
  writer_append_batch: ['int32_t', ['void *', BYTES, 'size_t', 'void *', 'void *', 'void *']],
  writer_append_returning: ['int32_t', ['void *', BYTES, 'size_t', OUT, 'void *']],
  writer_flush: ['int32_t', ['void *', 'void *']],
  writer_sync: ['int32_t', ['void *', 'void *']],
  writer_stats: ['int32_t', ['void *', 'void *', 'void *']],
  writer_close: ['int32_t', ['void *', 'void *']],
  filter_new: ['void *', []],
  filter_free: ['void', ['void *']],
  filter_set_event_ids: ['int32_t', ['void *', 'uint64_t', 'uint64_t', 'void *']],
  filter_set_timestamps: ['int32_t', ['void *', 'int64_t', 'int64_t', 'void *']],
  filter_set_order: ['int32_t', ['void *', 'int32_t', 'void *']],
  filter_set_limit: ['int32_t', ['void *', 'uint64_t', 'void *']],
  reader_open: ['int32_t', ['str', 'void *', OUT, 'void *']],
  reader_next: ['int32_t', ['void *', OUT, 'void *', 'void *', 'void *']],
  reader_follow: ['int32_t', ['void *', 'uint64_t', OUT, 'void *', 'void *', 'void *']],
  reader_close: ['void', ['void *']],
  history: ['int32_t', ['str', 'str', 'str', 'str', 'void *', OUT, 'void *']],
  replay: ['int32_t', ['str', 'str', 'str', 'void *', OUT, 'void *']],
  check_pruned: ['int32_t', ['str', 'uint64_t', OUT, 'void *']],
};
const numbers = {
  maxSegmentBytes: 'max_segment_bytes', maxEventBytes: 'max_event_bytes', bufferBytes: 'buffer_bytes',
  flushIntervalMs: 'flush_interval_ms', maxOpenFiles: 'max_open_files',
  lockTimeoutMs: 'lock_timeout_ms',
};
const lists = {
  domains: 'domain', categories: 'category', modelNames: 'model_name', operations: 'operation', users: 'user',
};
for (const name of Object.values(numbers)) {
  signatures[`options_set_${name}`] = ['int32_t', ['void *', 'uint64_t', 'void *']];
}
for (const name of ['durability', 'shared']) {
  signatures[`options_set_${name}`] = ['int32_t', ['void *', 'int32_t', 'void *']];
}
for (const name of ['options_add_domain', 'options_add_operation', 'filter_set_request_id',
  ...Object.values(lists).map((kind) => `filter_add_${kind}`)]) {
  signatures[name] = ['int32_t', ['void *', BYTES, 'size_t', 'void *']];
}
const C = Object.fromEntries(Object.entries(signatures).map(
  ([name, [result, parameters]]) => [name, library.func(`auditrail_${name}`, result, parameters)]));

/** What the library says when it fails. */
class AuditrailError extends Error {
  constructor(bytes) {
    super(bytes.toString('utf8', 16, bytes.indexOf(0, 16)));
    /** The number of the failure, and its name, such as AUDITRAIL_ERR_BUSY. */
    this.status = bytes.readInt32LE(0);
    this.code = C.status_name(this.status);
    /** The operating system's reason, or null. */
    this.errno = bytes.readInt32LE(4) || null;
    /** The byte in the JSON text or file that it is about, or null. */
    const offset = Number(bytes.readBigInt64LE(8));
    this.offset = offset < 0 ? null : offset;
  }
}
AuditrailError.prototype.name = 'AuditrailError';

/** Calls a function with room for an error behind its arguments. */
function call(name, ...parameters) {
  const error = Buffer.alloc(512);
  const status = C[name](...parameters, error);
  if (status < 0) throw new AuditrailError(error);
  return status;
}

const MAX_ID = 2n ** 64n - 1n;
const MIN_TIME = -(2n ** 63n);
const MAX_TIME = 2n ** 63n - 1n;

/** How many calls are handed to koffi at most, which refuses more than 256. */
const MOST_AT_WORK = 64;
let atWork = 0;
let first = null; // the calls that wait for their turn, each with the next one
let last = null;

/** The same in another thread. */
function callAsync(name, ...parameters) {
  return new Promise((resolve, reject) => {
    const waiting = { name, parameters, resolve, reject, next: null };
    if (first === null) first = waiting;
    else last.next = waiting;
    last = waiting;
    begin();
  });
}

function begin() {
  while (first !== null && atWork < MOST_AT_WORK) {
    const { name, parameters, resolve, reject } = first;
    const error = Buffer.alloc(512);
    try {
      C[name].async(...parameters, error, (failure, status) => {
        atWork -= 1;
        begin();
        if (failure) reject(failure);
        else if (status < 0) reject(new AuditrailError(error));
        // With the parameters: koffi does not keep the buffers that the call works on.
        else resolve([status, parameters]);
      });
    } catch (failure) {
      if (/too many/i.test(failure.message)) { // others use koffi too
        if (atWork === 0) setTimeout(begin, 1);
        return;
      }
      reject(failure);
      atWork -= 1;
    }
    atWork += 1;
    first = first.next;
  }
}

/** What the library has open, to be closed when whoever had it has dropped it. */
const opened = new Set();
const dropped = new FinalizationRegistry((held) => closeHeld(held));

function hold(owner, handle, close) {
  const held = { handle, close, underWay: new Set() };
  opened.add(held);
  dropped.register(owner, held, held);
  return held;
}

/** The handle, which is the caller's to close now. */
function letGo(held) {
  const { handle } = held;
  held.handle = null;
  opened.delete(held);
  dropped.unregister(held);
  return handle;
}

function closeHeld(held) {
  if (held.handle !== null) C[held.close](letGo(held), ...(held.close === 'writer_close' ? [null] : []));
}

// A trail that is open at the end is closed, so that what is buffered is not lost.
process.on('exit', () => {
  for (const held of opened) {
    if (held.underWay.size === 0) closeHeld(held);
    else C.writer_flush(held.handle, null);
  }
});

function bytesOf(text) {
  // Buffer.from would put another character for half a surrogate pair.
  if (!text.isWellFormed()) throw new TypeError('the text has half a surrogate pair');
  return Buffer.from(text);
}

/** Throws for what JSON.stringify would write as null. */
function refuseLost(key, value) {
  const lost = (typeof value === 'number' || value instanceof Number) && !Number.isFinite(Number(value))
    || value === null && this[key] instanceof Date
    || Array.isArray(this) && ['undefined', 'function', 'symbol'].includes(typeof value);
  if (lost) throw new TypeError(`${key}: ${String(this[key])} has no form in JSON`);
  return value;
}

/** The JSON text of an event. */
function stringify(event) {
  if (typeof event === 'string') return event;
  const text = JSON.stringify(event);
  if (typeof text !== 'string') throw new TypeError(`a ${typeof event} has no form in JSON`);
  if (text.includes('null')) JSON.stringify(event, refuseLost);
  return text;
}

/** The same, as bytes. */
function encode(event) {
  return bytesOf(stringify(event));
}

function name(text, what) {
  if (typeof text !== 'string') throw new TypeError(`${what} must be a string, not ${kindOf(text)}`);
  if (text.includes('\0')) throw new TypeError(`${what} cannot hold a NUL`);
  if (!text.isWellFormed()) throw new TypeError(`${what} has half a surrogate pair`);
  return text;
}

/** A path: a string, or a URL with the scheme file. */
function path(root) {
  return name(root instanceof URL ? fileURLToPath(root) : root, 'a path');
}

function kindOf(value) {
  return value === null ? 'null' : Array.isArray(value) ? 'an array' : `a ${typeof value}`;
}

function text(pointer, length) {
  return length === 0 ? '' : Buffer.from(koffi.view(pointer, length)).toString();
}

function take(buffer) {
  try {
    return text(C.buffer_data(buffer), Number(C.buffer_length(buffer)));
  } finally {
    C.buffer_free(buffer);
  }
}

/** The number, if it is a whole one in range: one that is exact, or a bigint. */
function whole(name, number, lowest = 0n, highest = MAX_ID) {
  if (typeof number !== 'number' && typeof number !== 'bigint') {
    throw new TypeError(`${name} must be a number, not ${kindOf(number)}`);
  }
  if (typeof number === 'number' && !Number.isSafeInteger(number) || number < lowest || number > highest) {
    throw new RangeError(`${name} must be a whole number from ${lowest} to ${highest}, and exact`);
  }
  return BigInt(number);
}

/** The texts of a list; a text alone is a list of one. */
function texts(name, some) {
  if (typeof some === 'string') return [some];
  if (typeof some?.[Symbol.iterator] !== 'function') {
    throw new TypeError(`${name} must be a string or strings, not ${kindOf(some)}`);
  }
  const list = Array.from(some);
  for (const one of list) {
    if (typeof one !== 'string') throw new TypeError(`${name} must hold strings, not ${kindOf(one)}`);
  }
  return list;
}

/** What is given in an object: its own names, without what is undefined or null. */
function given(kind, object = {}) {
  // Of a Map, or an object that inherits, no name would be seen: all would be let through.
  const parent = typeof object === 'object' && object !== null ? Object.getPrototypeOf(object) : undefined;
  if (parent === undefined || (parent !== null && Object.getPrototypeOf(parent) !== null)) {
    throw new TypeError(`${kind} must be a plain object`);
  }
  return Object.entries(object).filter(([, value]) => value !== undefined && value !== null);
}

const durabilities = { buffered: 0, written: 1, synced: 2, mapped: 3 };
const orders = { stream: 0, oldestFirst: 1, newestFirst: 2 };
const stats = ['events', 'bytes', 'batches', 'rotations', 'syncs', 'lastId', 'writtenId', 'syncedId',
  'tornTails', 'tornBytes', 'missingIds', 'waiting', 'streams', 'openFiles', 'flushFailures'];

function choose(kind, from, name) {
  if (typeof name !== 'string' || !Object.hasOwn(from, name)) {
    throw new RangeError(`${kind} must be one of ${Object.keys(from).join(', ')}`);
  }
  return from[name];
}

function setOption(options, name, value) {
  if (name === 'durability') {
    call('options_set_durability', options, choose(name, durabilities, value));
  } else if (name === 'shared') {
    if (typeof value !== 'boolean') throw new TypeError(`shared must be true or false, not ${kindOf(value)}`);
    call('options_set_shared', options, value ? 1 : 0);
  } else if (name === 'domains' || name === 'operations') {
    const kind = name.slice(0, -1);
    if (value === '*') return void call(`options_set_any_${kind}`, options);
    const list = texts(name, value);
    if (list.length === 0) throw new RangeError(`${name}: an empty list would allow no event`);
    for (const one of list) call(`options_add_${kind}`, options, ...sized(one));
  } else if (Object.hasOwn(numbers, name)) {
    call(`options_set_${numbers[name]}`, options, whole(name, value));
  } else {
    throw new TypeError(`a trail has no option ${name}`);
  }
}

/** A trail, open for writing. */
class Trail {
  #held;
  #closing = null;

  /**
   * Opens the trail in a folder (a path, or a file URL), which is made where it is
   * missing. Options: durability ('buffered', 'mapped', 'written', 'synced'), shared, domains
   * and operations (strings, or '*'), maxSegmentBytes, maxEventBytes, bufferBytes,
   * flushIntervalMs, maxOpenFiles, lockTimeoutMs (0: no limit). A trail that was
   * dropped is closed when it is collected, and at the end of the process.
   */
  constructor(root, options) {
    const set = C.options_new();
    try {
      for (const [name, value] of given('the options', options)) setOption(set, name, value);
      const out = [null];
      call('writer_open', path(root), set, out);
      this.#held = hold(this, out[0], 'writer_close');
    } finally {
      C.options_free(set);
    }
  }

  /** Appends an event, an object or JSON text, and returns its id. */
  append(event) {
    const json = encode(event);
    const id = Buffer.alloc(8);
    call('writer_append', this.#open(), json, json.length, id);
    return Number(id.readBigUInt64LE());
  }

  /** The same in another thread; a promise of the id. */
  async appendAsync(event) {
    const json = encode(event);
    const id = Buffer.alloc(8);
    await this.#async('writer_append', json, json.length, id);
    return Number(id.readBigUInt64LE());
  }

  /** Appends an event and returns it as it was persisted. */
  appendReturning(event) {
    const json = encode(event);
    const out = [null];
    call('writer_append_returning', this.#open(), json, json.length, out);
    return JSON.parse(take(out[0]));
  }

  /** Appends events, all or none; returns their ids. */
  appendBatch(events) {
    if (typeof events === 'string' || typeof events?.[Symbol.iterator] !== 'function') {
      throw new TypeError(`a batch must be an array of events, not ${kindOf(events)}`);
    }
    const lines = Array.from(events, stringify);
    if (lines.some((line) => line.includes('\n'))) throw new TypeError('an event of a batch must be one line');
    if (lines.length === 0) return [];
    const json = bytesOf(lines.join('\n'));
    const id = Buffer.alloc(8);
    const count = Buffer.alloc(8);
    call('writer_append_batch', this.#open(), json, json.length, id, count);
    const first = Number(id.readBigUInt64LE());
    return Array.from({ length: Number(count.readBigUInt64LE()) }, (_, index) => first + index);
  }

  /** Gives all events that were accepted to the operating system. */
  flush() { call('writer_flush', this.#open()); }

  /** Brings all events that were accepted to disk. */
  sync() { call('writer_sync', this.#open()); }

  /** The same in another thread. */
  async syncAsync() { await this.#async('writer_sync'); }

  /** What the writer has done and where it is. */
  stats() {
    const raw = Buffer.alloc(8 * (1 + stats.length));
    raw.writeBigUInt64LE(BigInt(raw.length));
    call('writer_stats', this.#open(), raw);
    return Object.fromEntries(stats.map((name, index) => [name, Number(raw.readBigUInt64LE(8 + 8 * index))]));
  }

  /** Flushes, syncs, and lets the trail go. A second call does nothing. */
  close() {
    if (this.#held.underWay.size > 0) throw new Error('calls are under way; closeAsync waits for them');
    if (this.#held.handle !== null) call('writer_close', letGo(this.#held));
  }

  /** The same in another thread, after the calls that are under way. */
  closeAsync() {
    if (this.#held.handle !== null) {
      const handle = letGo(this.#held);
      this.#closing = Promise.allSettled(this.#held.underWay).then(() => callAsync('writer_close', handle));
    }
    return Promise.resolve(this.#closing).then(() => {});
  }

  get closed() { return this.#held.handle === null; }

  #open() {
    if (this.#held.handle === null) throw new Error('the trail is closed');
    return this.#held.handle;
  }

  async #async(name, ...parameters) {
    const working = callAsync(name, this.#open(), ...parameters);
    this.#held.underWay.add(working);
    try {
      return await working;
    } finally {
      this.#held.underWay.delete(working);
    }
  }
}
if (Symbol.dispose) Trail.prototype[Symbol.dispose] = Trail.prototype.close;
if (Symbol.asyncDispose) Trail.prototype[Symbol.asyncDispose] = Trail.prototype.closeAsync;

function sized(text) {
  const bytes = bytesOf(text);
  return [bytes, bytes.length];
}


/**
 * Calls work with a filter of the library, which lets nothing through that was not
 * asked for. What has no meaning for the work is not known.
 */
function withFilter(filters, work, unknown = []) {
  const filter = C.filter_new();
  try {
    const ids = [0, MAX_ID];
    const times = [MIN_TIME, MAX_TIME];
    let none = false;
    for (const [name, value] of given('the filters', filters)) {
      if (unknown.includes(name)) throw new TypeError(`no such filter here: ${name}`);
      if (Object.hasOwn(lists, name)) {
        const list = texts(name, value);
        none ||= list.length === 0;
        for (const one of list) call(`filter_add_${lists[name]}`, filter, ...sized(one));
      } else if (name === 'requestId') {
        if (typeof value !== 'string') throw new TypeError(`requestId must be a string, not ${kindOf(value)}`);
        call('filter_set_request_id', filter, ...sized(value));
      } else if (name === 'order') {
        call('filter_set_order', filter, choose('order', orders, value));
      } else if (name === 'limit') {
        none ||= whole('limit', value) === 0n;
        call('filter_set_limit', filter, value);
      } else if (name === 'minEventId' || name === 'maxEventId') {
        ids[name === 'minEventId' ? 0 : 1] = whole(name, value);
      } else if (name === 'minTimestamp' || name === 'maxTimestamp') {
        times[name === 'minTimestamp' ? 0 : 1] = whole(name, value, MIN_TIME, MAX_TIME);
      } else {
        throw new TypeError(`no such filter: ${name}`);
      }
    }
    call('filter_set_event_ids', filter, ...ids);
    // To the library an empty list is no list, and a limit of 0 no limit; ids begin at 1.
    if (none) call('filter_set_event_ids', filter, 0, 0);
    call('filter_set_timestamps', filter, ...times);
    return work(filter);
  } finally {
    C.filter_free(filter);
  }
}

/** A reader of the library. Generators hold it: one that is dropped closes it. */
class Reader {
  #held;
  #out = [null];
  #length = Buffer.alloc(8);

  constructor(root, filters) {
    const out = [null];
    withFilter(filters, (filter) => call('reader_open', path(root), filter, out));
    this.#held = hold(this, out[0], 'reader_close');
  }

  /** The next line, or null. */
  next() {
    return this.#line(call('reader_next', this.#held.handle, this.#out, this.#length, null));
  }

  /** The same, of those that come within so many milliseconds. */
  async follow(ms) {
    const [status] = await callAsync('reader_follow', this.#held.handle, ms, this.#out, this.#length, null);
    return this.#line(status);
  }

  close() { closeHeld(this.#held); }

  #line(status) {
    return status === 0 ? text(this.#out[0], Number(this.#length.readBigUInt64LE())) : null;
  }
}

function* linesOf(reader) {
  try {
    for (let line; (line = reader.next()) !== null;) yield line;
  } finally {
    reader.close();
  }
}

function* eventsOf(reader) {
  for (const line of linesOf(reader)) yield JSON.parse(line);
}

/**
 * The lines of a trail's events, as JSON text. Filters: domains, categories,
 * modelNames, operations, users (strings, or one), requestId, minEventId,
 * maxEventId, minTimestamp, maxTimestamp, order ('stream', 'oldestFirst',
 * 'newestFirst'), limit. What is undefined or null is not given; an empty array and
 * a limit of 0 let nothing through.
 */
function readLines(root, filters) {
  return linesOf(new Reader(root, filters));
}

/** The same events as objects. */
function read(root, filters) {
  return eventsOf(new Reader(root, filters));
}

/**
 * The events as they come, for `for await`: those that are there, then those that
 * are written, until none has come for timeoutMs (default: for ever).
 */
function follow(root, filters, timeoutMs = Infinity) {
  if (typeof timeoutMs !== 'number' || !(timeoutMs >= 0)) {
    throw new RangeError('timeoutMs must be a number of milliseconds from 0 up');
  }
  return following(new Reader(root, filters), timeoutMs);
}

async function* following(reader, timeoutMs) {
  try {
    for (let waited = 0; ;) {
      // In short turns, so that a loop that is left is not waited for.
      const turn = Math.ceil(Math.min(timeoutMs - waited, 100));
      const line = await reader.follow(turn);
      if (line !== null) {
        waited = 0;
        yield JSON.parse(line);
      } else if ((waited += turn) >= timeoutMs) {
        return;
      }
    }
  } finally {
    reader.close();
  }
}

/** What happened to one record, event by event. */
function history(root, domain, category, modelName, filters) {
  const names = [path(root), name(domain, 'domain'), name(category, 'category'), name(modelName, 'modelName')];
  const out = [null];
  withFilter(filters, (filter) => call('history', ...names, filter, out), ['domains', 'categories', 'modelNames']);
  return JSON.parse(take(out[0]));
}

/** The records of a domain and category as their events leave them: state, last_event_id, applied_events. */
function replay(root, domain, category, filters) {
  const names = [path(root), name(domain, 'domain'), name(category, 'category')];
  const out = [null];
  withFilter(filters, (filter) => call('replay', ...names, filter, out), ['domains', 'categories', 'order']);
  return JSON.parse(take(out[0]));
}

/** Goes through a trail without changing it, and reports what it found. Events before prunedBefore may be missing. */
function check(root, prunedBefore = 0) {
  const out = [null];
  call('check_pruned', path(root), whole('prunedBefore', prunedBefore), out);
  return JSON.parse(take(out[0]));
}

/** Opens a trail: see Trail. */
function open(root, options) {
  return new Trail(root, options);
}

/** The version of the shared library. */
const version = C.version();

// Names alone, so that an import finds them.
module.exports = { open, Trail, AuditrailError, read, readLines, follow, replay, history, check, version };
