'use strict';
/**
 * Audit trails for Node, over the C library libauditrail.
 *
 * Copy this one file; it needs the shared library and the package koffi
 * (npm install koffi). The library is looked for at $AUDITRAIL_LIB, then under
 * its usual names.
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
 * koffi's and return a promise. Appends that wait for the disk at the same time
 * wait together. A worker opens its own trail, shared with the others.
 */
const { fileURLToPath } = require('node:url');
const koffi = require('koffi');

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
  check: ['int32_t', ['str', OUT, 'void *']],
};
const numbers = {
  maxSegmentBytes: 'max_segment_bytes', maxEventBytes: 'max_event_bytes', bufferBytes: 'buffer_bytes',
  flushIntervalMs: 'flush_interval_ms', maxOpenFiles: 'max_open_files',
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

// koffi rejects more than some 256 calls at a time; what is beyond waits here, in order.
const MOST_CALLS = 128;
const waiting = [];
let underWay = 0;

function ended() {
  underWay--;
  waiting.shift()?.();
}

/** The same in another thread. */
function callAsync(name, ...parameters) {
  const error = Buffer.alloc(512);
  return new Promise((resolve, reject) => {
    const start = () => {
      underWay++;
      try {
        C[name].async(...parameters, error, (failure, status) => {
          ended();
          if (failure) reject(failure);
          else if (status < 0) reject(new AuditrailError(error));
          else resolve(status);
        });
      } catch (reason) {
        ended();
        reject(reason);
      }
    };
    if (underWay < MOST_CALLS) start();
    else waiting.push(start);
  });
}

// Writers and readers that are dropped without being closed give back their files.
const droppedWriters = new FinalizationRegistry((writer) => C.writer_close(writer, null));
const droppedReaders = new FinalizationRegistry((reader) => C.reader_close(reader));

/** A reader of the library, until it is closed or nobody holds it. */
class Handle {
  constructor(root, filters) {
    const out = [null];
    withFilter(filters, (filter) => call('reader_open', path(root), filter, out));
    [this.reader] = out;
    droppedReaders.register(this, this.reader, this);
  }

  close() {
    droppedReaders.unregister(this);
    C.reader_close(this.reader);
  }
}

function bytesOf(text) {
  // Buffer.from would put another character for half a surrogate pair.
  if (!text.isWellFormed()) throw new TypeError('the text has half a surrogate pair');
  return Buffer.from(text);
}

/** The JSON text of an event, as bytes. */
function encode(event) {
  const text = typeof event === 'string' ? event : JSON.stringify(event);
  if (typeof text !== 'string') throw new TypeError(`a ${typeof event} has no form in JSON`);
  return bytesOf(text);
}

function path(text) {
  if (text instanceof URL) text = fileURLToPath(text);
  if (typeof text !== 'string') throw new TypeError(`a path or name must be a string, not ${text === null ? 'null' : typeof text}`);
  if (text.includes('\0')) throw new TypeError('a path cannot hold a NUL');
  return text;
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

function natural(name, number) {
  if (!Number.isSafeInteger(number) || number < 0) throw new RangeError(`${name} must be a whole number from 0`);
  return number;
}

/** A whole number of 64 bits, a number or a bigint, as a bigint; `otherwise` where none is given. */
function whole(name, number, lowest, highest, otherwise) {
  if (number === undefined || number === null) return otherwise;
  if (typeof number !== 'bigint' && !Number.isSafeInteger(number)) {
    throw new RangeError(`${name} must be a whole number, exact as it is`);
  }
  const exact = BigInt(number);
  if (exact < lowest || exact > highest) throw new RangeError(`${name} must be from ${lowest} to ${highest}`);
  return exact;
}

/** One text, or some. */
function texts(name, value) {
  const some = typeof value === 'string' ? [value] : value;
  if (typeof some?.[Symbol.iterator] !== 'function') throw new TypeError(`${name} must be a string or an array of them`);
  return [...some].map((one) => {
    if (typeof one !== 'string') throw new TypeError(`${name} must hold only strings`);
    return one;
  });
}

const durabilities = { buffered: 0, written: 1, synced: 2 };
const orders = { stream: 0, oldestFirst: 1, newestFirst: 2 };
const stats = ['events', 'bytes', 'batches', 'rotations', 'syncs', 'lastId', 'writtenId', 'syncedId',
  'tornTails', 'tornBytes', 'missingIds', 'waiting', 'streams', 'openFiles', 'flushFailures'];

function choose(kind, from, name) {
  if (!Object.hasOwn(from, name)) throw new RangeError(`${kind} must be one of ${Object.keys(from).join(', ')}`);
  return from[name];
}

/** A trail, open for writing. */
class Trail {
  #handle;
  #underWay = new Set();

  /**
   * Opens the trail in a folder, which is made where it is missing. Options:
   * durability ('buffered', 'written', 'synced'), shared, domains and operations
   * (arrays, or '*'), maxSegmentBytes, maxEventBytes, bufferBytes,
   * flushIntervalMs, maxOpenFiles.
   */
  constructor(root, { durability = 'written', shared = false, domains, operations, ...rest } = {}) {
    const options = C.options_new();
    try {
      call('options_set_durability', options, choose('durability', durabilities, durability));
      call('options_set_shared', options, shared ? 1 : 0);
      for (const [kind, names] of [['domain', domains], ['operation', operations]]) {
        if (names === undefined || names === null) continue;
        if (names === '*') {
          call(`options_set_any_${kind}`, options);
          continue;
        }
        const allowed = texts(`${kind}s`, names);
        if (allowed.length === 0) throw new RangeError(`${kind}s: an empty list would allow no event`);
        for (const name of allowed) call(`options_add_${kind}`, options, ...sized(name));
      }
      for (const [name, number] of Object.entries(rest)) {
        if (!Object.hasOwn(numbers, name)) throw new TypeError(`a trail has no option ${name}`);
        call(`options_set_${numbers[name]}`, options, natural(name, number));
      }
      const out = [null];
      call('writer_open', path(root), options, out);
      this.#handle = out[0];
      droppedWriters.register(this, this.#handle, this);
    } finally {
      C.options_free(options);
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
    const lines = Array.from(events, (event) => (typeof event === 'string' ? event : JSON.stringify(event)));
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
    if (this.#underWay.size > 0) throw new Error('calls are under way; closeAsync waits for them');
    if (this.#handle === null) return;
    call('writer_close', this.#take());
  }

  /** The same in another thread, after the calls that are under way. */
  async closeAsync() {
    if (this.#handle === null) return;
    const handle = this.#take();
    await Promise.allSettled(this.#underWay);
    await callAsync('writer_close', handle);
  }

  #take() {
    const handle = this.#handle;
    this.#handle = null;
    droppedWriters.unregister(this);
    return handle;
  }

  get closed() { return this.#handle === null; }

  #open() {
    if (this.#handle === null) throw new Error('the trail is closed');
    return this.#handle;
  }

  async #async(name, ...parameters) {
    const working = callAsync(name, this.#open(), ...parameters);
    this.#underWay.add(working);
    try {
      return await working;
    } finally {
      this.#underWay.delete(working);
    }
  }
}
if (Symbol.dispose) Trail.prototype[Symbol.dispose] = Trail.prototype.close;

function sized(name) {
  const bytes = bytesOf(String(name));
  return [bytes, bytes.length];
}

function withFilter(filters, work) {
  const filter = C.filter_new();
  try {
    const { requestId, minEventId, maxEventId, minTimestamp, maxTimestamp, order = 'stream', limit, ...rest } = filters;
    const [lastId, firstTime, lastTime] = [2n ** 64n - 1n, -(2n ** 63n), 2n ** 63n - 1n];
    let ids = [whole('minEventId', minEventId, 0n, lastId, 0n), whole('maxEventId', maxEventId, 0n, lastId, lastId)];
    for (const [name, value] of Object.entries(rest)) {
      if (!Object.hasOwn(lists, name)) throw new TypeError(`no such filter: ${name}`);
      if (value === undefined || value === null) continue;
      const names = texts(name, value);
      for (const one of names) call(`filter_add_${lists[name]}`, filter, ...sized(one));
      if (names.length === 0) ids = [0n, 0n]; // ids begin at 1: nothing passes
    }
    if (limit === 0) ids = [0n, 0n];
    if (requestId !== undefined) call('filter_set_request_id', filter, ...sized(requestId));
    call('filter_set_event_ids', filter, ...ids);
    call('filter_set_timestamps', filter, whole('minTimestamp', minTimestamp, firstTime, lastTime, firstTime),
      whole('maxTimestamp', maxTimestamp, firstTime, lastTime, lastTime));
    call('filter_set_order', filter, choose('order', orders, order));
    if (limit !== undefined) call('filter_set_limit', filter, natural('limit', limit));
    return work(filter);
  } finally {
    C.filter_free(filter);
  }
}

/**
 * The lines of a trail's events, as JSON text. Filters: domains, categories,
 * modelNames, operations, users (a string or an array; an empty array lets
 * nothing through), requestId, minEventId, maxEventId, minTimestamp,
 * maxTimestamp (numbers or bigints), order ('stream', 'oldestFirst',
 * 'newestFirst'), limit.
 */
function* readLines(root, filters = {}) {
  const handle = new Handle(root, filters);
  const out = [null];
  const length = Buffer.alloc(8);
  try {
    while (call('reader_next', handle.reader, out, length, null) === 0) {
      yield text(out[0], Number(length.readBigUInt64LE()));
    }
  } finally {
    handle.close();
  }
}

/** The same events as objects. */
function* read(root, filters) {
  for (const line of readLines(root, filters)) yield JSON.parse(line);
}

/**
 * The events as they come, for `for await`: those that are there, then those that
 * are written, until none has come for timeoutMs (default: for ever).
 */
async function* follow(root, filters = {}, timeoutMs = Infinity) {
  const handle = new Handle(root, filters);
  const out = [null];
  const length = Buffer.alloc(8);
  try {
    for (let waited = 0; ;) {
      // In short turns, so that a loop that is left is not waited for.
      const turn = Math.min(timeoutMs - waited, 100);
      if (await callAsync('reader_follow', handle.reader, turn, out, length, null) === 0) {
        waited = 0;
        yield JSON.parse(text(out[0], Number(length.readBigUInt64LE())));
      } else if ((waited += turn) >= timeoutMs) {
        return;
      }
    }
  } finally {
    handle.close();
  }
}

/** What happened to one record, event by event. */
function history(root, domain, category, modelName, filters = {}) {
  const out = [null];
  withFilter(filters, (filter) => call(
    'history', path(root), path(domain), path(category), path(modelName), filter, out));
  return JSON.parse(take(out[0]));
}

/** The records of a domain and category as their events leave them: state, last_event_id, applied_events. */
function replay(root, domain, category, filters = {}) {
  const out = [null];
  withFilter(filters, (filter) => call('replay', path(root), path(domain), path(category), filter, out));
  return JSON.parse(take(out[0]));
}

/** Goes through a trail without changing it, and reports what it found. */
function check(root) {
  const out = [null];
  call('check', path(root), out);
  return JSON.parse(take(out[0]));
}

/** The same as new Trail. */
function open(root, options) {
  return new Trail(root, options);
}

const version = C.version();

// Bare names only, which `import { open }` finds.
module.exports = { open, Trail, AuditrailError, read, readLines, follow, replay, history, check, version };
