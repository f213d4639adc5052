// One worker isolate under plain Node: the runtime's bundle with a small, honest stand-in for the C++ side. A thread of its
// own, because the bundle replaces the global object. Talks to harness.mjs.
import { AsyncLocalStorage } from 'node:async_hooks';
import { createRequire } from 'node:module';
import { DatabaseSync } from 'node:sqlite';
import { deserialize, serialize, setFlagsFromString } from 'node:v8';
import { types } from 'node:util';
import { runInNewContext } from 'node:vm';
import { createHmac, createHash, randomBytes } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';

// Collects garbage on demand: some of what is tested is noticed by a FinalizationRegistry only.
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');

const { bundle, main, config, shardOfScript, seconds } = workerData;
const post = parentPort.postMessage.bind(parentPort);
const later = setImmediate;
const NativePromise = Promise;
const realRequire = createRequire(import.meta.url);

// Tests may make the runtime's own seconds pass faster.
const timers = realRequire('node:timers');
const fastTimers = { ...timers, setTimeout: (run, ms) => timers.setTimeout(run, ms * seconds) };
const nodeRequire = (id) => (id === 'node:timers' ? fastTimers : realRequire(id));

let runtime;

// --- databases: real SQLite, so that transactions are what they are
const stores = new Map(); // object -> { db, next }
const open = new Map(); // handle -> Database
let nextHandle = 1;
let nextCursor = 1;
const cursors = new Map();
let failCommits = false;
let held = false;
let waiting = []; // [handle, commit]

class Database {
  constructor(key, handle) {
    this.handle = handle;
    let sqlite = stores.get(key);
    if (sqlite === undefined) {
      sqlite = new DatabaseSync(':memory:');
      sqlite.exec('CREATE TABLE _cf_KV (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID');
      sqlite.exec('CREATE TABLE _cf_METADATA (key INTEGER PRIMARY KEY, value)');
      stores.set(key, sqlite);
    }
    this.sqlite = sqlite;
    this.commits = 0;
    this.dirty = false;
    this.syncs = 0;
    this.transactions = 0;
    this.broken = undefined;
  }
  check() {
    if (this.broken !== undefined) throw new Error(this.broken);
  }
  write() {
    this.check();
    if (!this.dirty) this.sqlite.exec('BEGIN');
    this.dirty = true;
    return this.commits + 1;
  }
  commit() {
    if (!this.dirty || this.transactions > 0) return;
    if (failCommits) {
      this.sqlite.exec('ROLLBACK');
      this.dirty = false;
      this.broken = 'the disk is on fire';
      throw new Error(this.broken);
    }
    this.sqlite.exec('COMMIT');
    this.dirty = false;
    this.committed();
  }
  committed() {
    this.commits++;
    waiting.push([this.handle, this.commits]);
    if (!held) later(release);
  }
  close() {
    if (this.dirty) this.sqlite.exec('ROLLBACK');
    this.dirty = false;
  }
}

function release() {
  if (waiting.length === 0) return;
  const pairs = waiting.flat();
  waiting = [];
  runtime.durable(pairs);
  pump();
}

const database = (handle) => {
  const found = open.get(handle);
  if (found === undefined) throw new Error('Durable Object storage is no longer accessible.');
  return found;
};
const bytesOf = (value) => {
  const bytes = serialize(value);
  return bytes;
};
const upper = (text) => {
  const end = Buffer.from(text);
  for (let i = end.length - 1; i >= 0; i--) if (end[i] < 255) { end[i]++; return end.subarray(0, i + 1).toString('latin1'); }
  return undefined;
};

// --- structured clone for calls
class CloneError extends DOMException {
  constructor(message) {
    super(message, 'DataCloneError');
  }
}
function checkCloneable(value, seen = new Set()) {
  // As in C++: nothing runs user code, and errors are left to who asks.
  if (types.isProxy(value) || Error.isError(value)) throw new CloneError('needs a walk');
  if (typeof value === 'function') throw new CloneError(`${String(value)} could not be cloned.`);
  if (typeof value === 'symbol') throw new CloneError(`${String(value)} could not be cloned.`);
  if (typeof value !== 'object' || value === null || seen.has(value)) return;
  seen.add(value);
  if (Array.isArray(value)) return value.forEach((item) => checkCloneable(item, seen));
  if (value instanceof Map) return value.forEach((item, key) => (checkCloneable(key, seen), checkCloneable(item, seen)));
  if (value instanceof Set) return value.forEach((item) => checkCloneable(item, seen));
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer || value instanceof Date || value instanceof RegExp || value instanceof Error) return;
  if (Object.getPrototypeOf(value) !== Object.prototype) {
    throw new CloneError(`Could not serialize object of type "${value.constructor?.name ?? 'Object'}". This type does not support serialization.`);
  }
  for (const key of Object.keys(value)) {
    if (!('value' in Object.getOwnPropertyDescriptor(value, key))) throw new CloneError('needs a walk');
    checkCloneable(value[key], seen);
  }
}
const copy = structuredClone;

// --- pipes within the isolate; a client's side is `client`
const pipes = new Map();
let nextEnd = 1;
function arrive(end, ...event) {
  const side = pipes.get(end);
  if (side.dead) return false;
  if (side.auto !== undefined && event[0] === 'text' && event[1] === side.auto.request) {
    side.autoAt = Date.now();
    arrive(side.peer, 'text', side.auto.response, 0, '');
    return true;
  }
  if (side.client) post({ kind: 'socket', end, event });
  else if (side.attached) {
    later(() => {
      runtime.socketEvent(end, ...event);
      pump();
    });
  } else side.waiting.push(event);
  return true;
}
function attach(end, client) {
  const side = pipes.get(end);
  side.attached = true;
  side.client = client;
  for (const event of side.waiting.splice(0)) arrive(end, ...event);
}

const factories = new Map();
function idBase(ns, base) {
  const key = factories.get(ns) ?? createHash('sha256').update(ns).digest();
  factories.set(ns, key);
  return Buffer.concat([base, createHmac('sha256', key).update(base).digest().subarray(0, 16)]).toString('hex');
}
const shardOf = (id) => Buffer.from(id, 'hex').readUInt32LE(0) % config.shardCount;
const owned = new Set();

const jurisdictions = ['', 'eu', 'us', 'fedramp', 'fedramp-high'];
const idKey = (ns, jurisdiction) => (jurisdiction === 0 ? ns : `${ns}/${jurisdictions[jurisdiction]}`);

// ------------------------------------------------------------------------------------------------ Native
const native = {
  wake: () => pump(),
  cutTurn: () => false, // JavaScript cannot cut itself: abort() throws here
  log: (level, text, where) => post({ kind: 'log', level, text, where }),
  logException: (event, name, message, stack, where) => post({ kind: 'exception', event, name, message, stack, where }),
  serialize: (value, mode) => {
    if (mode === 1) checkCloneable(value);
    const bytes = bytesOf(value);
    return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  },
  deserialize: (bytes) => deserialize(new Uint8Array(bytes)),
  clone: (value, mode, hidden, key) => {
    if (mode === 0) return copy(value);
    try {
      checkCloneable(value);
    } catch (error) {
      if (mode === 2) return undefined;
      throw error;
    }
    const made = copy(value);
    return hidden === undefined || typeof made !== 'object' || made === null ? made : Object.defineProperty(made, key, { value: hidden, writable: true, configurable: true });
  },
  moduleValue: (part) => part,

  idFromName: (ns, name, jurisdiction) => {
    const key = idKey(ns, jurisdiction);
    return idBase(key, createHmac('sha256', createHash('sha256').update(key).digest()).update(name).digest().subarray(0, 16));
  },
  idRandom: (ns, jurisdiction) => idBase(idKey(ns, jurisdiction), randomBytes(16)),
  idJurisdiction: (ns, hex) => {
    if (!/^[0-9a-f]{64}$/i.test(hex)) throw new TypeError('Invalid Durable Object ID: must be 64 hex digits');
    const base = Buffer.from(hex, 'hex').subarray(0, 16);
    const found = jurisdictions.findIndex((_, i) => idBase(idKey(ns, i), base) === hex.toLowerCase());
    if (found < 0) throw new TypeError('Durable Object ID is not valid for this namespace.');
    return found;
  },

  send: (address, message) => {
    checkCloneable(message);
    post({ kind: 'send', to: address, from: config.address, message: serialize(message) });
  },
  sendToActor: (ns, id, name, message) => {
    checkCloneable(message);
    post({ kind: 'sendToActor', shard: shardOf(id), from: config.address, ns, id, name, message: serialize(message) });
  },
  scriptAddress: (script) => shardOfScript[script] ?? 0,
  claimActor: (ns, id) => {
    if (shardOf(id) !== config.shard) return false;
    owned.add(ns + id);
    return true;
  },
  releaseActor: (ns, id) => {
    owned.delete(ns + id);
    post({ kind: 'released', id });
  },

  handOver: (ns, id, name, ends, state) => {
    owned.delete(ns + id);
    post({ kind: 'handedOver', id, ends, state });
  },

  // As a node without history; point-in-time recovery is tested with the real server (bookmarks.test.mjs).
  restorePending: () => false,
  bookmark() {
    throw new Error("This Durable Object's storage back-end does not implement point-in-time recovery.");
  },
  databaseOpen: (ns, id) => {
    if (!owned.has(ns + id)) throw new Error('opened without a claim');
    const handle = nextHandle++;
    open.set(handle, new Database(ns + id, handle));
    return handle;
  },
  databaseClose: (db) => {
    open.get(db)?.close();
    open.delete(db);
  },
  databaseBroken: (db) => (database(db).broken === undefined ? undefined : 'infrastructure'),
  databaseAbort: (db, message) => {
    database(db).close();
    database(db).broken = message;
  },
  kvGet: (db, key) => {
    const d = database(db);
    d.check();
    const row = d.sqlite.prepare('SELECT value FROM _cf_KV WHERE key = ?').get(key);
    return row === undefined ? undefined : deserialize(row.value);
  },
  kvGetMany: (db, keys) => {
    const out = [];
    for (const key of [...new Set(keys)].sort()) {
      const value = native.kvGet(db, key);
      if (value !== undefined) out.push(key, value);
    }
    return out;
  },
  kvPut: (db, key, value) => {
    if (typeof value === 'function') throw new CloneError(`${String(value)} could not be cloned.`);
    const bytes = serialize(value);
    const d = database(db);
    const commit = d.write();
    d.sqlite.prepare('INSERT INTO _cf_KV VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value').run(key, bytes);
    return commit;
  },
  kvPutMany: (db, flat) => {
    let commit = 0;
    for (let i = 0; i < flat.length; i += 2) commit = native.kvPut(db, flat[i], flat[i + 1]);
    return commit;
  },
  kvDelete: (db, key) => {
    const d = database(db);
    d.write();
    return d.sqlite.prepare('DELETE FROM _cf_KV WHERE key = ?').run(key).changes > 0;
  },
  kvDeleteMany: (db, keys) => keys.filter((key) => native.kvDelete(db, key)).length,
  kvList: (db, { start, startAfter, end, prefix, reverse, limit, bytesMax }) => {
    const rows = database(db).sqlite.prepare('SELECT key, value FROM _cf_KV ORDER BY key').all();
    let kept = rows.filter(({ key }) => (start === undefined || key >= start) && (startAfter === undefined || key > startAfter) &&
      (end === undefined || key < end) && (prefix === undefined || key.startsWith(prefix)));
    if (reverse) kept.reverse();
    if (limit !== undefined) kept = kept.slice(0, limit);
    if (bytesMax !== undefined) kept = kept.slice(0, 3);
    return kept.flatMap(({ key, value }) => [key, deserialize(value)]);
  },
  kvDeleteAll: (db, withAlarm) => {
    const d = database(db);
    const commit = d.write();
    d.sqlite.exec('DELETE FROM _cf_KV');
    if (withAlarm) d.sqlite.exec('DELETE FROM _cf_METADATA');
    return commit;
  },
  // Facets are tested with the real server (facets.test.mjs).
  facetErase: () => 0,
  pendingCommit: (db) => (database(db).dirty ? database(db).commits + 1 : 0),
  lastCommit: (db) => database(db).commits,
  commitNow: (db) => {
    database(db).commit();
    return database(db).commits;
  },
  alarmGet: (db) => database(db).sqlite.prepare('SELECT value FROM _cf_METADATA WHERE key = 1').get()?.value ?? null,
  alarmSet: (db, at) => {
    const d = database(db);
    const commit = d.write();
    if (at === null) d.sqlite.exec('DELETE FROM _cf_METADATA WHERE key = 1');
    else d.sqlite.prepare('INSERT OR REPLACE INTO _cf_METADATA VALUES (1, ?)').run(at);
    return commit;
  },

  sqlExec: (db, text, bindings) => {
    const d = database(db);
    d.check();
    const reads = /^\s*(select|with|pragma)/i.test(text);
    const commit = reads ? native.pendingCommit(db) : d.write();
    let statement;
    try {
      statement = d.sqlite.prepare(text);
      statement.setReturnArrays(true);
    } catch (error) {
      throw new Error(`${error.message}: SQLITE_ERROR`);
    }
    const columns = statement.columns().map(({ name }) => name);
    const rows = statement.all(...bindings).map((row) => Object.values(row));
    const id = rows.length > 0 ? nextCursor++ : 0;
    if (id !== 0) cursors.set(id, { rows: rows.slice(1), read: 1 });
    return { cursor: id, columns, row: rows[0], rowsRead: rows.length > 0 ? 1 : 0, rowsWritten: reads ? 0 : 1, commit };
  },
  cursorNext: (cursor) => {
    const c = cursors.get(cursor);
    const row = c.rows.shift();
    if (row !== undefined) c.read++;
    return row;
  },
  cursorAll: (cursor) => {
    const c = cursors.get(cursor);
    c.read += c.rows.length;
    return c.rows.splice(0);
  },
  cursorCounters: (cursor) => [cursors.get(cursor).read, 0],
  cursorClose: (cursor) => cursors.delete(cursor),
  databaseSize: () => 4096,
  syncBegin: (db) => {
    const d = database(db);
    d.write();
    d.sqlite.exec(`SAVEPOINT s${d.syncs++}`);
  },
  syncCommit: (db) => {
    const d = database(db);
    d.sqlite.exec(`RELEASE s${--d.syncs}`);
  },
  syncRollback: (db) => {
    const d = database(db);
    const name = `s${--d.syncs}`;
    d.sqlite.exec(`ROLLBACK TO ${name}`);
    d.sqlite.exec(`RELEASE ${name}`);
  },
  transactionBegin: (db) => {
    const d = database(db);
    if (d.transactions === 0) d.commit();
    d.write();
    d.sqlite.exec(`SAVEPOINT t${d.transactions++}`);
  },
  transactionCommit: (db) => {
    const d = database(db);
    d.sqlite.exec(`RELEASE t${--d.transactions}`);
    if (d.transactions > 0) return 0;
    d.commit();
    return d.commits;
  },
  transactionRollback: (db) => {
    const d = database(db);
    const name = `t${--d.transactions}`;
    d.sqlite.exec(`ROLLBACK TO ${name}`);
    d.sqlite.exec(`RELEASE ${name}`);
    if (d.transactions === 0) {
      d.sqlite.exec('ROLLBACK');
      d.dirty = false;
    }
  },
  alarmDone: (ns, id, outcome) => post({ kind: 'alarmDone', id, outcome }),

  pipeCreate: () => {
    const ends = [nextEnd++, nextEnd++];
    pipes.set(ends[0], { peer: ends[1], waiting: [] });
    pipes.set(ends[1], { peer: ends[0], waiting: [] });
    return ends;
  },
  pipeAttach: (end) => attach(end, false),
  pipeSend: (end, data) => arrive(pipes.get(end).peer, typeof data === 'string' ? 'text' : 'binary', typeof data === 'string' ? data : new Uint8Array(data).slice().buffer, 0, ''),
  pipeClose: (end, code, reason) => {
    pipes.get(end).closed = true;
    arrive(pipes.get(end).peer, 'close', undefined, code, reason);
  },
  pipeAbort: (end) => {
    const side = pipes.get(end);
    if (side.dead) return;
    side.dead = true;
    // Both sides have closed: the pipe is only forgotten.
    if (side.closed && pipes.get(side.peer).closed) return;
    arrive(side.peer, 'gone', undefined, 0, '');
  },
  pipeAck: (end) => post({ kind: 'ack', end: pipes.get(end).peer }),
  pipeAutoResponse: (end, request, response) => {
    pipes.get(end).auto = request === undefined ? undefined : { request, response };
  },
  pipeAutoResponseTime: (end) => pipes.get(end).autoAt ?? 0,

  respond: (exchange, status, statusText, headers, body) => post({ kind: 'respond', exchange, status, headers, body: typeof body === 'string' ? body : body === undefined ? '' : Buffer.from(body).toString() }),
  respondStart: (exchange, status, statusText, headers) => post({ kind: 'start', exchange, status, headers }),
  respondWrite: (exchange, chunk) => {
    post({ kind: 'write', exchange, body: Buffer.from(chunk).toString() });
    return true;
  },
  respondEnd: (exchange) => post({ kind: 'end', exchange }),
  respondAbort: (exchange) => post({ kind: 'aborted', exchange }),
  respondUpgrade: (exchange, headers, end) => {
    attach(end, true);
    post({ kind: 'upgrade', exchange, end });
  },
  respondError: (exchange, overloaded) => post({ kind: 'error', exchange, overloaded }),
  requestRead: (exchange) => {
    const chunk = bodies.get(exchange)?.shift() ?? null;
    later(() => {
      runtime.requestChunk(exchange, chunk === null ? null : new TextEncoder().encode(chunk).buffer);
      pump();
    });
  },
  requestCancel: () => {},
};
const bodies = new Map();

// --- turns
let pumping = false;
let turns = 0;
function pump() {
  if (pumping || runtime === undefined) return;
  pumping = true;
  later(step);
}
// What a turn enters does not outlive it, as under C++.
const outside = AsyncLocalStorage.snapshot();
function step() {
  const more = outside(() => runtime.runTurn());
  turns++;
  // Microtasks of this turn run before the next immediate.
  later(() => {
    for (const db of open.values()) {
      try {
        db.commit();
      } catch (error) {
        runtime.databaseFailed(db.handle, error.message);
      }
    }
    if (more || runtime.runTurn === undefined) return step();
    pumping = false;
    pump.again?.();
    if (queued()) pump();
  });
}
// A turn may have been queued by microtasks after runTurn said there were none.
let woken = false;
const queued = () => {
  const was = woken;
  woken = false;
  return was;
};
native.wake = () => {
  if (pumping) woken = true;
  else pump();
};

const create = (0, eval)(bundle);
runtime = create(native, nodeRequire, config);
const namespace = (0, eval)(`(${main})`)(runtime.builtinModule('cloudflare:workers'));
const reports = runtime.setMain(namespace);

parentPort.on('message', (command) => {
  switch (command.kind) {
    case 'fetch':
      bodies.set(command.exchange, command.chunks);
      runtime.fetch(command.exchange, command.method, command.url, command.headers, command.bodyLength, command.upgrade);
      break;
    case 'message':
      runtime.message(command.from, deserialize(command.message));
      break;
    case 'actorMessage':
      if (!native.claimActor(command.ns, command.id)) throw new Error('misrouted');
      runtime.actorMessage(command.from, command.ns, command.id, command.name, deserialize(command.message));
      break;
    case 'alarm':
      native.claimActor(command.ns, command.id);
      runtime.alarm(command.ns, command.id, command.name, command.scheduledTime, command.retryCount);
      break;
    case 'socket':
      if (command.event[0] === 'close') pipes.get(command.end).closed = true;
      arrive(pipes.get(command.end).peer, ...command.event);
      break;
    case 'cut':
      native.pipeAbort(command.end);
      break;
    case 'hold':
      held = command.on;
      if (!held) release();
      break;
    case 'failCommits':
      failCommits = command.on;
      break;
    case 'peerGone':
      runtime.peerGone(command.address, command.why ?? 'lost', config.bindings.map(({ ns }) => ns));
      break;
    case 'codeUpdated':
      runtime.codeUpdated(command.mode, command.deadline);
      break;
    case 'stored':
      post({ kind: 'answer', ask: command.ask, value: stores.get(command.ns + command.id)?.prepare('SELECT key, value FROM _cf_KV ORDER BY key').all().map(({ key, value }) => [key, deserialize(value)]) ?? [] });
      break;
    case 'turns':
      post({ kind: 'answer', ask: command.ask, value: turns });
      break;
    case 'collect':
      collect();
      break;
    case 'drain':
      runtime.drain(() => post({ kind: 'answer', ask: command.ask, value: true }));
      break;
    case 'activity':
      post({ kind: 'answer', ask: command.ask, value: runtime.activity() });
      break;
    case 'references':
      collect();
      post({ kind: 'answer', ask: command.ask, value: { ...runtime.referenceCounts(), heap: process.memoryUsage().heapUsed } });
      break;
  }
  pump();
});
post({ kind: 'ready', reports });
void NativePromise;
