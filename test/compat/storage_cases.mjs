// Cases about ctx.storage: every rule of the key-value API, the synchronous one, SQL and transactions that can be seen
// from inside an object. In the form of cases.mjs, which takes them in.

// A value as JSON that tells apart what JSON alone would not.
export function show(value, depth = 0) {
  if (depth > 8) return '...';
  const inner = (v) => show(v, depth + 1);
  switch (typeof value) {
    case 'undefined':
      return '<undefined>';
    case 'number':
      return Object.is(value, -0) ? '<-0>' : Number.isFinite(value) ? value : `<${value}>`;
    case 'bigint':
      return `<${value}n>`;
    case 'function':
      return '<function>';
    case 'symbol':
      return '<symbol>';
    case 'string':
      return value.length > 200 ? `<${value.length} chars, ${value.slice(0, 5)}…>` : value;
    case 'object':
      break;
    default:
      return value;
  }
  if (value === null) return null;
  const tag = Object.prototype.toString.call(value).slice(8, -1);
  if (Array.isArray(value)) return value.length > 50 ? `<array of ${value.length}>` : Array.from(value, (v, i) => (i in value ? inner(v) : '<hole>'));
  if (value instanceof Map) return { map: [...value].map(inner) };
  if (value instanceof Set) return { set: [...value].map(inner) };
  if (value instanceof Date) return { date: String(value.getTime()) };
  if (value instanceof RegExp) return { regexp: String(value) };
  if (value instanceof Error) return { error: value.name, message: value.message, ...('cause' in value ? { cause: inner(value.cause) } : {}), keys: Object.keys(value) };
  if (value instanceof ArrayBuffer) return { buffer: value.byteLength > 64 ? value.byteLength : [...new Uint8Array(value)].join() };
  if (ArrayBuffer.isView(value)) return { view: tag, offset: value.byteOffset, bytes: value.byteLength, of: value.buffer.byteLength };
  if (value instanceof Number || value instanceof String || value instanceof Boolean || tag === 'BigInt') return { boxed: tag, value: inner(value.valueOf()) };
  const out = {};
  for (const key of Object.keys(value)) out[key] = inner(value[key]);
  if (Object.getPrototypeOf(value) !== Object.prototype) out['<prototype>'] = Object.getPrototypeOf(value) === null ? null : tag;
  return out;
}

export function told(error) {
  return error instanceof Error ? `!${error.name}: ${error.message}` : `!! ${String(error)}`;
}

// What each function returned or threw.
async function answers(functions) {
  const out = [];
  for (const f of functions) {
    try {
      out.push(show(await f()));
    } catch (error) {
      out.push(told(error));
    }
  }
  return out;
}

// Each text's rows, or what it threw.
function texts(sql, list) {
  return list.map((text) => {
    try {
      return show(Array.isArray(text) ? sql.exec(...text).raw().toArray() : sql.exec(text).raw().toArray());
    } catch (error) {
      return told(error);
    }
  });
}

const definitions = {};
// A case that runs inside one object.
function inside(name, body) {
  definitions[name] = { main: ({ stub }) => stub.tryRun(name, 'inside'), inside: body };
}
// One whose parts run as events of their own, in one object.
function inTurns(name, main, parts) {
  definitions[name] = { main: (given) => main({ ...given, run: (part, ...args) => given.stub.tryRun(name, part, ...args) }), ...parts };
}
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// ------------------------------------------------------------------ asynchronous key-value

inside('storage kv: arguments of get', async ({ storage }) => {
  await storage.put({ a: 1, 5: 2, null: 3, '[object Object]': 4, true: 5, '1,2': 6 });
  return answers([
    () => storage.get(),
    () => storage.get(undefined),
    () => storage.get(null),
    () => storage.get(5),
    () => storage.get(true),
    () => storage.get({}),
    () => storage.get([]),
    () => storage.get([5, null, 'a', undefined]),
    () => storage.get([[1, 2]]),
    () => storage.get(new Set(['a'])),
    () => storage.get('a', null),
    () => storage.get('a', undefined),
    () => storage.get('a', {}),
    () => storage.get('a', 5),
    () => storage.get('a', 'text'),
    () => storage.get('a', { allowConcurrency: 'yes', noCache: 1 }),
    () => storage.get('a', () => 1),
    () => storage.get(Symbol('s')),
    () => storage.get([Symbol('s')]),
    () => storage.get(5n),
    () => storage.get(new Map([['a', 1]])),
    () => storage.get(Object('a')),
    () => storage.get((function* () { yield 'a'; })()),
  ]);
});
inside('storage kv: arguments of put', async ({ storage }) => {
  const out = await answers([
    () => storage.put(),
    () => storage.put(undefined),
    () => storage.put(undefined, 1),
    () => storage.put('k'),
    () => storage.put('k', undefined),
    () => storage.put('k', undefined, {}),
    () => storage.put('k', null),
    () => storage.put('k2', 1, null),
    () => storage.put('k3', 1, 5),
    () => storage.put('k4', 1, 'x'),
    () => storage.put('k5', 1, {}, 9),
    () => storage.put(null, 1),
    () => storage.put(null),
    () => storage.put(5),
    () => storage.put({ a: 1 }, null),
    () => storage.put({ b: 1 }, undefined),
    () => storage.put({ c: 1 }, {}),
    () => storage.put({ d: 1 }, 5),
    () => storage.put({ e: 1 }, 'x'),
    () => storage.put({ f: 1 }, {}, {}),
    () => storage.put({ g: 1 }, undefined, undefined),
    () => storage.put({}),
    () => storage.put({ h: undefined }),
    () => storage.put(['x', 'y']),
    () => storage.put(new Map([['m', 1]])),
    () => storage.put(() => 1, 2),
    () => storage.put(() => 1),
    () => storage.put('text', 1),
    () => storage.put(Symbol('s'), 1),
    () => storage.put(Object.create({ inherited: 1 }, { own: { value: 2, enumerable: true }, hidden: { value: 3 } })),
    () => storage.put({ [Symbol('s')]: 1, plain: 2 }),
    () => storage.put(new Date(0), 1),
    () => storage.put(new Date(0)),
    () => storage.put(true, 1),
    () => storage.put({ o: 1 }, () => 1),
    () => storage.put({ p: 1 }, []),
  ]);
  return [out, [...(await storage.list()).keys()]];
});
inside('storage kv: arguments of delete', async ({ storage }) => {
  await storage.put({ a: 1, b: 1, c: 1, 5: 1, null: 1 });
  return answers([
    () => storage.delete(),
    () => storage.delete(undefined),
    () => storage.delete('a', null),
    () => storage.delete('a', 5),
    () => storage.delete(5),
    () => storage.delete(null),
    () => storage.delete([]),
    () => storage.delete(['b', 'b', 'c', 'zz']),
    () => storage.delete({}),
    () => storage.delete(Symbol('s')),
    async () => [...(await storage.list()).keys()],
  ]);
});
inside('storage kv: arguments of list', async ({ storage }) => {
  await storage.put({ a: 1, b: 2, c: 3, 5: 4, null: 5, undefined: 6 });
  const keys = (...args) => async () => [...(await storage.list(...args)).keys()];
  return answers([
    keys(),
    keys(undefined),
    keys(null),
    keys({}),
    keys(5),
    keys('text'),
    keys(true),
    keys([]),
    keys(() => 1),
    keys({ start: null }),
    keys({ start: undefined }),
    keys({ start: 5 }),
    keys({ end: null }),
    keys({ prefix: null }),
    keys({ prefix: 5 }),
    keys({ startAfter: null }),
    keys({ start: null, startAfter: 'b' }),
    keys({ start: 'a', startAfter: null }),
    keys({ start: 'a', startAfter: undefined }),
    keys({ reverse: 'yes' }),
    keys({ reverse: '' }),
    keys({ reverse: null }),
    keys({ limit: null }),
    keys({ limit: undefined }),
    keys({ limit: '2' }),
    keys({ limit: 1.9 }),
    keys({ limit: 0.5 }),
    keys({ limit: NaN }),
    keys({ limit: Infinity }),
    keys({ limit: -Infinity }),
    keys({ limit: 2 ** 31 }),
    keys({ limit: 2 ** 32 + 1 }),
    keys({ limit: 2 ** 53 }),
    keys({ limit: -(2 ** 31) }),
    keys({ limit: 'x' }),
    keys({ limit: {} }),
    keys({ limit: true }),
    keys({ limit: 5n }),
    keys({ start: 'b', end: 'b' }),
    keys({ start: 'b', end: 'a' }),
    keys({ startAfter: 'b', end: 'b' }),
    keys({ end: '' }),
    keys({ start: '' }),
    keys({ startAfter: '' }),
    keys({ limit: 2, reverse: true, startAfter: 'a' }),
    keys({ limit: 2, reverse: true, end: 'c' }),
    keys({ limit: 0, start: 'a', startAfter: 'b' }),
    keys({ start: Symbol('s') }),
    keys({ allowConcurrency: true, noCache: true }),
  ]);
});
inside('storage kv: keys of every kind', async ({ storage }) => {
  const keys = ['', '\0', 'a\0', 'a\0b', 'a', 'a\u007f', 'a\u0080', 'é', '\ud800', '\udc00x', '\ud83d', '\ufffd', '\uffff', '\u{10000}', '\u{10ffff}', '\u{10ffff}z', ' ', 'x'.repeat(3000)];
  for (const key of keys) await storage.put(key, key.length);
  const list = async (options) => [...(await storage.list(options))].map(([key, value]) => [show(key), value]);
  return [
    await list(),
    await list({ prefix: 'a\0' }),
    await list({ startAfter: 'a' }),
    await list({ startAfter: 'a\0' }),
    await list({ prefix: '\u{10ffff}' }),
    await list({ prefix: 'a\u007f' }),
    await list({ prefix: '\ud800' }),
    await list({ prefix: '\0' }),
    await list({ start: '', end: 'a' }),
    await list({ start: '\uffff', reverse: true }),
    [await storage.get('\ud800'), await storage.get('\ufffd'), await storage.get(''), await storage.delete('\udc00x'), await storage.delete('')],
    show(await storage.get(['é', 'a', '\u{10000}', 'a\0', '\uffff', 'a'])),
  ];
});
inside('storage kv: list options together', async ({ storage }) => {
  const entries = {};
  for (const a of ['', 'a', 'b', 'ab']) for (const b of ['', 'a', 'b', 'c']) entries[`p${a}${b}`] = 1;
  await storage.put(entries);
  const out = [];
  for (const prefix of [undefined, '', 'p', 'pa', 'pab', 'q'])
    for (const start of [undefined, 'p', 'pab', 'pb'])
      for (const end of [undefined, 'pa', 'pb', 'pbb'])
        for (const reverse of [false, true])
          for (const limit of [undefined, 1, 3]) out.push([...(await storage.list({ prefix, start, end, reverse, limit })).keys()].join());
  for (const prefix of [undefined, 'pa', 'pb'])
    for (const startAfter of ['', 'p', 'pa', 'pab', 'pz'])
      for (const reverse of [false, true]) out.push([...(await storage.list({ prefix, startAfter, reverse, limit: 4 })).keys()].join());
  return out;
});
inside('storage kv: values come back as they were', async ({ storage }) => {
  const cyclic = { name: 'c', list: [] };
  cyclic.list.push(cyclic);
  const shared = { s: 1 };
  const bytes = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]);
  class Point {
    x = 1;
    #hidden = 2;
    get y() {
      return 3;
    }
  }
  const withExtras = Object.assign([1, 2], { extra: true });
  const sparse = [];
  sparse[5] = 'five';
  const values = [
    null, true, false, 0, -0, 1, -1, 2 ** 30, -(2 ** 30), 2 ** 31 - 1, 2 ** 31, -(2 ** 31), -(2 ** 31) - 1, 2 ** 32, 2 ** 53, 1.5, NaN, Infinity, -Infinity, Number.MIN_VALUE,
    '', 'a', 'é', 'ÿ', '\u0100', '💥', '\ud800', 'a\0b', 'x'.repeat(1024), 'x'.repeat(1025), 'é'.repeat(5000), '💥'.repeat(5000),
    0n, -1n, 123456789012345678901234567890n,
    [], [1, , 3], sparse, withExtras, [undefined, null], { a: undefined, b: { c: [{}] } }, { '': 1, 2: 3, __proto__: null }, Object.create(null),
    new Date(0), new Date(NaN), /a+b/gi, new Map([[{ k: 1 }, new Set([1, 'x'])]]), new Set(),
    Object(1), Object('s'), Object(true), Object(5n),
    new ArrayBuffer(3), bytes, bytes.subarray(2, 5), new DataView(bytes.buffer, 1, 2), new Float64Array([0.5]), new BigInt64Array([-1n]), new Uint8ClampedArray(2), new Uint16Array(bytes.buffer, 2, 2),
    new Error('e'), new TypeError('t', { cause: 'because' }), Object.assign(new RangeError('r'), { code: 5 }), new (class Own extends Error { name = 'Own'; })('o'), new AggregateError([1], 'many'),
    new Point(), { shared1: shared, shared2: shared },
    JSON.parse('{"__proto__": {"x": 1}, "constructor": 2}'),
    { get computed() { return 'read'; } },
    Object.defineProperty({ seen: 1 }, 'hidden', { value: 2, enumerable: false }),
    { [Symbol('s')]: 1, kept: 2 },
    new (class extends Array {})(3), new (class extends Map {})([[1, 2]]), (function () { return arguments; })(1, 2),
  ];
  const out = [];
  for (const value of values) {
    try {
      await storage.put('v', value);
      out.push(show(await storage.get('v')));
    } catch (error) {
      out.push(told(error));
    }
  }
  await storage.put('c', cyclic);
  const back = await storage.get('c');
  await storage.put('s', { a: shared, b: shared });
  const twice = await storage.get('s');
  return [out, back.list[0] === back, twice.a === twice.b, (await storage.get('s')).a !== twice.a];
});
inside('storage kv: values that cannot be stored', async ({ storage }) => {
  const values = [
    () => 1, function named() {}, class Cls {}, async () => {}, Symbol('s'), { f() {} }, [Symbol('in')], new WeakMap(), new WeakSet(), new WeakRef({}), Promise.resolve(1), new Proxy({}, {}), new Proxy(() => {}, {}),
    globalThis, Math, JSON, { deep: { er: [() => 1] } }, new Map([['f', () => 1]]), new Set([Symbol('x')]), (function* () {})(), { get bad() { throw new RangeError('getter'); } },
    new Headers({ a: 'b' }), new URL('http://x/'), new URLSearchParams('a=b'), new Response('x'), new Request('http://x/'), new ReadableStream(), new AbortController().signal, new Blob(['x']), new TextEncoder(), new Event('e'), new FormData(), new DOMException('m', 'AbortError'), storage, storage.sql, storage.kv,
    new SharedArrayBuffer(4), Intl, new Intl.NumberFormat(), Reflect, [].values(), new Map().entries(), { toJSON() { return 1; } },
  ];
  const out = [];
  for (const value of values) {
    const row = [];
    for (const put of [() => storage.put('v', value), () => storage.put({ first: 1, v: value }), () => storage.kv.put('v', value)]) {
      try {
        await put();
        row.push('stored');
      } catch (error) {
        row.push(told(error));
      }
    }
    out.push(row[0] === row[1] && row[1] === row[2] ? row[0] : row);
  }
  return [out, [...(await storage.list()).keys()]];
});
inside('storage kv: references cannot be stored', async function (ctx) {
  const { storage } = ctx;
  const { RpcTarget } = await import('cloudflare:workers');
  class Target extends RpcTarget {}
  const stub = this.env.SUBJECT.getByName('another');
  const values = [new RpcTarget(), new Target(), { deep: new Target() }, [stub], stub, this.env.SUBJECT, this.env.SELF, this.env, ctx, ctx.id, this, ctx.exports, stub.echo, new WebSocketPair(), new Map([['id', ctx.id]])];
  const out = [];
  for (const value of values) {
    try {
      await storage.put('v', value);
      out.push('stored');
    } catch (error) {
      out.push(`!${error.name}`);
    }
  }
  return out;
});
inside('storage.sql cursor: outlives storage.sql', async ({ storage }) => {
  storage.sql.exec('CREATE TABLE t(x); INSERT INTO t VALUES (1), (2), (3)');
  const cursor = storage.sql.exec('SELECT x FROM t');
  const { exec } = storage.sql;
  const sql = storage.sql;
  storage.sql = null;
  const first = cursor.next();
  let garbage = [];
  for (let i = 0; i < 100; i++) garbage = Array.from({ length: 10_000 }, () => ({ garbage }.x));
  await pause(2);
  return [storage.sql, first, cursor.toArray(), exec.call(sql, 'SELECT 5 AS x').one(), Object.keys(storage).includes('sql')];
});
inside('storage kv: a value that writes while it is read', async ({ storage }) => {
  await storage.put('outer', {
    get a() {
      storage.put('inner', 'written by a getter');
      return 1;
    },
    get b() {
      return storage.kv.get('inner');
    },
  });
  return [await storage.get('outer'), await storage.get('inner')];
});
inside('storage kv: puts of several keys are one', async ({ storage }) => {
  await storage.put({ a: 0 });
  const out = await answers([
    () => storage.put({ a: 1, b: () => 1, c: 1 }),
    () => storage.put({ d: 1, get e() { throw new Error('getter'); } }),
    () => storage.put({ get f() { return undefined; }, g: 1 }),
  ]);
  return [out, show(await storage.list())];
});
inside('storage kv: what the promises are', async ({ storage }) => {
  const promises = [storage.put('a', 1), storage.get('a'), storage.get(['a']), storage.list(), storage.delete('a'), storage.delete(['a']), storage.getAlarm(), storage.sync(), storage.deleteAll()];
  const out = [];
  for (const promise of promises) out.push([promise instanceof Promise, show(await promise)]);
  const rejected = storage.put('k');
  out.push(rejected instanceof Promise, await rejected.catch((error) => error.message));
  return out;
});
inside('storage kv: order of settling', async ({ storage }) => {
  const log = [];
  const note = (text) => () => log.push(text);
  storage.put('a', 1).then(note('put'));
  storage.get('a').then(note('get'));
  Promise.resolve().then(note('microtask'));
  storage.list().then(note('list'));
  storage.delete('a').then(note('delete'));
  const all = storage.sync().then(note('sync'));
  await all;
  await pause(1);
  return log;
});
inside('storage kv: large values', async ({ storage }) => {
  const size = 2 * 1024 * 1024 - 100;
  await storage.put('text', 'x'.repeat(size));
  await storage.put('bytes', new Uint8Array(size));
  await storage.put('wide', '\u0100'.repeat(size / 2 - 50));
  const listed = await storage.list({ prefix: 't' });
  return [(await storage.get('text')).length, (await storage.get('bytes')).length, (await storage.get('wide')).length, [...listed.values()].map((v) => v.length), await storage.delete(['text', 'bytes', 'wide'])];
});
inside('storage kv: a value beyond 2 MiB', async ({ storage }) => {
  const big = new Uint8Array(2 * 1024 * 1024);
  return [await answers([() => storage.put('big', big), () => storage.put({ small: 1, big }), () => storage.kv.put('big', big), () => storage.put('k'.repeat(2 * 1024 * 1024), 1)]), [...(await storage.list()).keys()].map((key) => show(key))];
});
inside('storage kv: a value beyond 4 MiB', async ({ storage }) => {
  const big = new Uint8Array(4 * 1024 * 1024);
  return [await answers([() => storage.put('big', big), () => storage.put({ small: 1, big }), () => storage.kv.put('big', big)]), [...(await storage.list()).keys()]];
});
inside('storage kv: 129 keys in a call', async ({ storage }) => {
  const keys = Array.from({ length: 129 }, (_, i) => `k${i}`);
  const many = Object.fromEntries(keys.map((key) => [key, 1]));
  return answers([() => storage.put(many), async () => (await storage.list()).size, async () => (await storage.get(keys)).size, () => storage.delete(keys)]);
});
inside('storage kv: 128 keys in a call', async ({ storage }) => {
  const keys = Array.from({ length: 128 }, (_, i) => `k${i}`);
  const many = { ...Object.fromEntries(keys.map((key) => [key, 1])), skipped: undefined };
  return answers([() => storage.put(many), async () => (await storage.get(keys)).size, () => storage.delete(keys)]);
});
inside('storage: names and shapes', ({ storage }) => {
  const proto = Object.getPrototypeOf(storage);
  const of = (object) => Object.getOwnPropertyNames(object).sort();
  return [
    Object.prototype.toString.call(storage), proto.constructor.name, Object.keys(storage), of(proto),
    Object.prototype.toString.call(storage.sql), of(Object.getPrototypeOf(storage.sql)), Object.keys(storage.sql),
    Object.prototype.toString.call(storage.kv), of(Object.getPrototypeOf(storage.kv)), Object.keys(storage),
    storage.sql === storage.sql, storage.kv === storage.kv,
  ];
});
inside('storage: wrong receivers', ({ storage }) =>
  answers([
    () => storage.get.call({}, 'a'),
    () => storage.sql.exec.call({}, 'SELECT 1'),
    () => storage.kv.get.call({}, 'a'),
    () => storage.sql.exec('SELECT 1').next.call({}),
    () => new storage.constructor(),
    () => new storage.sql.constructor(),
    () => new storage.kv.constructor(),
    () => new storage.sql.Cursor(),
    () => new storage.sql.Statement(),
    () => typeof storage.sql.Cursor,
    () => storage.sql.exec('SELECT 1') instanceof storage.sql.Cursor,
    () => Object.getPrototypeOf(storage.sql).databaseSize,
  ]));

// ------------------------------------------------------------------ deleteAll

inside('storage deleteAll: everything goes', async ({ storage }) => {
  const { sql } = storage;
  await storage.put({ a: 1 });
  sql.exec('CREATE TABLE t(x); INSERT INTO t VALUES (1)');
  const size = sql.databaseSize > 0;
  const again = () => sql.exec('SELECT x FROM t').toArray();
  again();
  await storage.deleteAll();
  const out = await answers([again, () => sql.databaseSize, async () => [...(await storage.list())], () => storage.get('a')]);
  sql.exec('CREATE TABLE t(x, y); INSERT INTO t VALUES (3, 4)');
  await storage.put('b', 2);
  return [size, out, again(), show(await storage.list()), await storage.deleteAll(), await storage.deleteAll(), sql.databaseSize];
});
inside('storage deleteAll: open cursors', async ({ storage }) => {
  const { sql } = storage;
  sql.exec('CREATE TABLE t(x); INSERT INTO t VALUES (1), (2), (3)');
  const fresh = sql.exec('SELECT x FROM t');
  const begun = sql.exec('SELECT x AS y FROM t');
  begun.next();
  const raw = sql.exec('SELECT x AS z FROM t').raw();
  const last = sql.exec('SELECT x AS w FROM t LIMIT 1');
  const ended = sql.exec('SELECT x AS v FROM t');
  ended.toArray();
  const iterator = storage.kv.list();
  await storage.deleteAll();
  return answers([() => fresh.toArray(), () => fresh.next(), () => begun.next(), () => begun.next(), () => begun.columnNames, () => begun.rowsRead, () => raw.next(), () => raw.next(), () => last.toArray(), () => ended.toArray(), () => ended.columnNames, () => iterator.next()]);
});
inside('storage deleteAll: list iterators', async ({ storage }) => {
  storage.kv.put('a', 1);
  storage.kv.put('b', 1);
  const iterator = storage.kv.list();
  const first = iterator.next();
  await storage.deleteAll();
  return [first, ...(await answers([() => iterator.next(), () => iterator.next(), () => [...storage.kv.list()]]))];
});
inside('storage deleteAll: in a transaction', async ({ storage }) => {
  await storage.put('a', 1);
  return answers([
    () => storage.transaction((txn) => txn.deleteAll()),
    () => storage.transaction(() => storage.deleteAll()),
    () => storage.transactionSync(() => storage.deleteAll()),
    () => storage.transactionSync(() => { storage.deleteAll().catch(() => {}); return storage.kv.get('a'); }),
    () => storage.get('a'),
    () => storage.deleteAll(null),
    () => storage.deleteAll(5),
    () => storage.deleteAll({ allowUnconfirmed: true }),
  ]);
});
inside('storage deleteAll: after writes of the same turn', async ({ storage }) => {
  storage.put('a', 1);
  storage.sql.exec('CREATE TABLE t(x)');
  storage.deleteAll();
  storage.put('b', 2);
  const before = show(await storage.list());
  await storage.sync();
  return [before, show(await storage.list()), texts(storage.sql, ['SELECT * FROM t', "SELECT count(*) FROM sqlite_master WHERE name NOT GLOB '_cf_*'"])];
});
inTurns('storage deleteAll: is there after a restart', async ({ run, env, name }) => {
  const out = [await run('write'), await run('wipe'), await run('end')];
  const again = env.SUBJECT.getByName(name);
  return [...out, await again.tryRun(name, 'read')];
}, {
  write: ({ storage }) => storage.put({ a: 1, b: 2 }),
  wipe: async ({ storage }) => {
    await storage.deleteAll();
    await storage.put('c', 3);
    storage.sql.exec('CREATE TABLE fresh(x)');
  },
  end: (ctx) => ctx.abort('done'),
  read: async ({ storage }) => [show(await storage.list()), texts(storage.sql, ['SELECT * FROM fresh'])],
});

// ------------------------------------------------------------------ synchronous key-value

inside('storage.kv: arguments', ({ storage: { kv } }) =>
  answers([
    () => kv.get(),
    () => kv.get(undefined),
    () => kv.get(null),
    () => kv.get(5),
    () => kv.get({}),
    () => kv.get(['a']),
    () => kv.put(),
    () => kv.put('a'),
    () => kv.put('a', undefined),
    () => kv.put('u', null),
    () => kv.get('u'),
    () => kv.put(undefined, 1),
    () => kv.put({ a: 1 }),
    () => kv.put({ a: 1 }, 2),
    () => kv.get('[object Object]'),
    () => kv.put(5, 'five'),
    () => kv.get('5'),
    () => kv.put('a', 1, { allowUnconfirmed: true }),
    () => kv.delete(),
    () => kv.delete(undefined),
    () => kv.delete(['a']),
    () => kv.delete('a', {}),
    () => kv.delete('none'),
    () => kv.put(Symbol('s'), 1),
    () => kv.list(5),
    () => kv.list('x'),
    () => kv.list(null),
    () => [...kv.list(null)].length,
    () => kv.list({ limit: 0 }),
    () => kv.list({ start: 'a', startAfter: 'b' }),
    () => [...kv.list({ limit: 1.5 })].length,
    () => kv.put('f', () => 1),
    () => kv.put('big', new Uint8Array(4 * 1024 * 1024)),
  ]));
inside('storage.kv: the list iterator', ({ storage: { kv } }) => {
  for (const key of ['a', 'b', 'c', 'd']) kv.put(key, { key });
  const list = kv.list();
  const names = (object) => Object.getOwnPropertyNames(object).sort();
  return answers([
    () => Object.prototype.toString.call(list),
    () => names(Object.getPrototypeOf(list)),
    () => list[Symbol.iterator]() === list,
    () => list.next(),
    () => [...list],
    () => list.next(),
    () => 'value' in list.next(),
    () => kv.list().map(([key]) => key).toArray(),
    () => kv.list({ reverse: true }).take(2).toArray(),
    () => { for (const [key] of kv.list()) return key; },
    () => kv.list({ prefix: 'c' }).next(),
    () => Array.from(kv.list({ start: 'b', end: 'd' })),
    () => new Map(kv.list()).size,
    () => kv.list({ prefix: 'z' }).next(),
  ]);
});
inside('storage.kv: a second list ends the first', ({ storage: { kv } }) => {
  for (const key of ['a', 'b', 'c']) kv.put(key, key);
  const first = kv.list();
  const untouched = kv.list();
  const out = [];
  const step = (f) => {
    try {
      out.push(show(f()));
    } catch (error) {
      out.push(told(error));
    }
  };
  step(() => first.next());
  step(() => untouched.next());
  const second = kv.list();
  step(() => untouched.next());
  step(() => second.next());
  step(() => untouched.next());
  step(() => [...second]);
  step(() => second.next());
  const done = kv.list({ prefix: 'zz' });
  step(() => done.next());
  kv.list();
  step(() => done.next());
  step(() => second.next());
  return out;
});
inside('storage.kv: writes while a list is read', ({ storage: { kv } }) => {
  for (const key of ['a', 'c', 'e', 'g']) kv.put(key, 1);
  const seen = [];
  for (const [key, value] of kv.list()) {
    seen.push(key + value);
    if (key === 'a') {
      kv.put('b', 2);
      kv.delete('c');
      kv.put('e', 2);
    }
    if (key === 'e') {
      kv.put('z', 3);
      kv.put('d', 3);
    }
  }
  const backward = [];
  for (const [key] of kv.list({ reverse: true })) {
    backward.push(key);
    kv.delete(key);
  }
  return [seen, backward, [...kv.list()].length];
});
inside('storage.kv: gets and async calls do not end a list', async ({ storage }) => {
  const { kv } = storage;
  for (const key of ['a', 'b', 'c']) kv.put(key, 1);
  const list = kv.list();
  const out = [list.next().value[0]];
  await storage.list();
  out.push(list.next().value[0]);
  kv.get('a');
  await pause(2);
  out.push(list.next().value[0], list.next().done);
  return out;
});
inTurns('storage.kv: a list in a later event', async ({ run }) => [await run('start'), await run('next'), await run('next'), await run('next')], {
  start(ctx) {
    for (const key of ['a', 'b']) ctx.storage.kv.put(key, 1);
    this.kept = ctx.storage.kv.list();
    return this.kept.next();
  },
  next() {
    return show(this.kept.next());
  },
});

// ------------------------------------------------------------------ SQL: texts

inside('storage.sql: texts with blanks and comments', ({ storage: { sql } }) =>
  texts(sql, [
    '', ' ', ';', ';;', ' ; ', '-- only', '/* only */', '/* not closed', 'SELECT 1', 'SELECT 1;', 'SELECT 1 ; ', 'SELECT 1;\t\n\r\v\f ', 'SELECT 1;;', 'SELECT 1; ;', 'SELECT 1; -- after', 'SELECT 1 -- after', 'SELECT 1 /* after */', 'SELECT 1; /* after */', 'SELECT 1 /* not closed',
    '-- before\nSELECT 1', '/* a */ SELECT /* b */ 1', 'SELECT 1; -- between\n SELECT 2', 'SELECT 1; /* x */ SELECT 2;', ';SELECT 1', '; ; SELECT 1', 'SELECT 1;\u00a0', 'SELECT\u00a01', '\u00a0SELECT 1', '\ufeffSELECT 1', 'SELECT 1;\u2028', 'SELECT 1;\b', 'SELECT 1\0', 'SELECT 1\0; SELECT 2', 'SELECT 1;\0', '\0', 'SELECT 1; SELECT 2\0garbage',
    "SELECT 'a;b'", 'SELECT "a;b"', "SELECT 1; SELECT 'x;'", "SELECT 'open", 'SELECT "open', 'SELECT [a', 'SELECT `a', 'SELECT 1 SELECT 2', 'SELECT 1; bunk', 'bunk; SELECT 1', 'SELECT', 'SELECT 1,', '(SELECT 1)', 'SELECT (1', 'VALUES (1), (2)', 'values(1);values(2)', 'EXPLAIN SELECT 1;;',
  ]));
inside('storage.sql: what is not a text', ({ storage: { sql } }) =>
  answers([() => sql.exec(), () => sql.exec(undefined), () => sql.exec(null), () => sql.exec(5), () => sql.exec({}), () => sql.exec({ toString: () => 'SELECT 7 AS n' }).one(), () => sql.exec(['SELECT 8 AS n']).one(), () => sql.exec(Symbol('s')), () => sql.exec`SELECT ${1} AS n`.one(), () => sql.exec(new String('SELECT 9 AS n')).one(), () => sql.exec("SELECT '\ud800' AS n").one().n.charCodeAt(0)]));
inside('storage.sql: several statements', ({ storage: { sql } }) => {
  sql.exec('CREATE TABLE t(x)');
  const out = texts(sql, [
    'INSERT INTO t VALUES (1); INSERT INTO t VALUES (2); SELECT x FROM t',
    ['INSERT INTO t VALUES (3); SELECT ? + ?', 1, 2],
    ['INSERT INTO t VALUES (?); SELECT 1', 4],
    ['INSERT INTO t VALUES (5); SELECT ?'],
    ['INSERT INTO t VALUES (6); SELECT 1', 9],
    'INSERT INTO t VALUES (7); SELECT * FROM nowhere',
    'INSERT INTO t VALUES (8); -- nothing',
    'SELECT x FROM t; INSERT INTO t VALUES (9); SELECT 1',
    'CREATE TABLE u(y); INSERT INTO u VALUES (1); SELECT y FROM u; DROP TABLE u; SELECT 3',
    'SELECT x FROM t ORDER BY x',
  ]);
  return out;
});
inside('storage.sql: RETURNING before the last statement', ({ storage: { sql } }) => {
  sql.exec('CREATE TABLE t(x)');
  return texts(sql, ['INSERT INTO t VALUES (10), (11) RETURNING x; SELECT 2', 'SELECT x FROM t']);
});
inside('storage.sql: bindings', ({ storage: { sql } }) =>
  texts(sql, [
    ['SELECT ?', null], ['SELECT ?', undefined], ['SELECT ?'], ['SELECT 1', 1], ['SELECT ?, ?', 1], ['SELECT ?1, ?1, ?3', 1, 2, 3], ['SELECT ?3', 1, 2, 3], ['SELECT ?1, ?1', 1, 2],
    ['SELECT :a, $b, @c, :a', 1, 2, 3], ['SELECT :a, :a', 1, 2], ['SELECT ?100', ...Array(100).fill(7)], ['SELECT ?101', ...Array(101).fill(7)], [`SELECT ${Array(100).fill('?').join('+')}`, ...Array(100).fill(1)], [`SELECT ${Array(101).fill('?').join('+')}`, ...Array(101).fill(1)],
    ['SELECT typeof(?1), ?1', true], ['SELECT typeof(?1), ?1', false], ['SELECT typeof(?1), ?1', 5], ['SELECT typeof(?1), ?1', -0], ['SELECT typeof(?1), ?1', NaN], ['SELECT typeof(?1), ?1', Infinity], ['SELECT typeof(?1), ?1', -Infinity], ['SELECT typeof(?1), ?1', 2 ** 53], ['SELECT typeof(?1), ?1', 1e300],
    ['SELECT typeof(?1), ?1', 'text'], ['SELECT typeof(?1), ?1', ''], ['SELECT typeof(?1), length(?1), ?1', 'a\0b'], ['SELECT typeof(?1), length(?1), hex(?1)', '\ud800'], ['SELECT hex(?)', '💥é'],
    ['SELECT typeof(?1), ?1', new ArrayBuffer(0)], ['SELECT typeof(?1), ?1', new Uint8Array([1, 2, 3])], ['SELECT typeof(?1), hex(?1)', new Uint8Array([1, 2, 3, 4]).subarray(1, 3)], ['SELECT typeof(?1), hex(?1)', new Uint16Array([1, 2])], ['SELECT typeof(?1), hex(?1)', new DataView(new ArrayBuffer(2))], ['SELECT typeof(?1), hex(?1)', new Float32Array([1])],
    ['SELECT typeof(?1), ?1', {}], ['SELECT typeof(?1), ?1', [1, 2]], ['SELECT typeof(?1), ?1', []], ['SELECT typeof(?1), ?1', { toString: () => 'own' }], ['SELECT typeof(?1), ?1', () => 1], ['SELECT typeof(?1), ?1', Object('boxed')], ['SELECT typeof(?1), ?1', Object(5)], ['SELECT typeof(?1), length(?1)', new Date(0)], ['SELECT ?', 1n], ['SELECT ?', Symbol('s')], ['SELECT ?', Object.create(null)], ['SELECT ?', { toString() { throw new RangeError('no text'); } }],
    ['SELECT 1 WHERE 1 = ?', 1], ["SELECT 1 WHERE '1' = ?", 1], ['SELECT 10 LIMIT ?', 1], ['SELECT 10 LIMIT ?', '1'], ['SELECT 10 LIMIT ?', 1.5], ['SELECT 10 LIMIT ?', null], ['SELECT ?1 || ?2', 1, 2], ['SELECT ?1 || ?2', 'a', 1.5], ['SELECT 7 / ?', 2], ['SELECT cast(? AS INTEGER)', 7],
    ['SELECT ?', 'x', 'y'], ['', 1], [';', 1],
  ]));
inside('storage.sql: affinity of bound numbers', ({ storage: { sql } }) => {
  sql.exec('CREATE TABLE t(i INTEGER, r REAL, x TEXT, b BLOB, n NUMERIC, any)');
  sql.exec('INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)', 1, 1, 1, 1, 1, 1);
  sql.exec('INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)', '2', '2', '2', '2', '2', '2');
  sql.exec('INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)', 2.5, 2.5, 2.5, 2.5, 2.5, 2.5);
  sql.exec('CREATE TABLE k(id INTEGER PRIMARY KEY, s TEXT) STRICT');
  return [
    texts(sql, ['SELECT i, r, x, b, n, any FROM t', 'SELECT typeof(i), typeof(r), typeof(x), typeof(b), typeof(n), typeof(any) FROM t']),
    texts(sql, [['INSERT INTO k VALUES (?, ?) RETURNING *', 1, 'a'], ['INSERT INTO k VALUES (?, ?) RETURNING *', 2.5, 'a'], ['INSERT INTO k VALUES (?, ?) RETURNING *', 3, 5], ['INSERT INTO k VALUES (?, ?) RETURNING *', 'x', 'a'], ['SELECT * FROM k WHERE id = ?', 1], ['SELECT * FROM k WHERE id = ?', '1']]),
  ];
});
inside('storage.sql: values that come out', ({ storage: { sql } }) =>
  texts(sql, ['SELECT 9223372036854775807, -9223372036854775808, 9007199254740993, 1e400, -1e400, 0.1, -0.0, 1.0', "SELECT '', 'é💥', char(0), x'', x'00ff', zeroblob(3), NULL", "SELECT cast(x'ff41' AS TEXT), cast(x'eda080' AS TEXT), cast(x'410042' AS TEXT)", 'SELECT true, false, 1 = 1, 1 > 2', 'SELECT 1e308 * 10, 9e999 - 9e999, 5 / 0, 5 % 0, 7 / 2']));

// ------------------------------------------------------------------ SQL: cursors

inside('storage.sql cursor: shape', ({ storage: { sql } }) => {
  const cursor = sql.exec('SELECT 1 AS a');
  const proto = Object.getPrototypeOf(cursor);
  const raw = cursor.raw();
  const rows = cursor[Symbol.iterator]();
  return answers([
    () => Object.prototype.toString.call(cursor), () => Object.keys(cursor), () => Object.getOwnPropertyNames(proto).sort(), () => proto.constructor.name,
    () => Object.prototype.toString.call(raw), () => Object.getOwnPropertyNames(Object.getPrototypeOf(raw)).sort(), () => raw[Symbol.iterator]() === raw, () => raw instanceof Iterator,
    () => Object.prototype.toString.call(rows), () => rows === cursor, () => rows instanceof Iterator, () => cursor instanceof Iterator, () => typeof cursor.map, () => typeof cursor.return,
    () => cursor.columnNames === cursor.columnNames, () => Object.isFrozen(cursor.columnNames), () => cursor.columnNames.push('x'), () => cursor.columnNames,
  ]);
});
inside('storage.sql cursor: positions are shared', ({ storage: { sql } }) => {
  const query = 'SELECT 1 AS n UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4';
  const cursor = sql.exec(query);
  const raw = cursor.raw();
  const rows = cursor[Symbol.iterator]();
  const out = [cursor.next(), raw.next(), rows.next(), cursor.raw().next(), raw.next(), cursor.next(), rows.next(), cursor.toArray(), 'value' in cursor.next(), 'value' in raw.next(), cursor.columnNames, cursor.raw().toArray()];
  const part = sql.exec(query);
  part.next();
  out.push(part.toArray(), part.toArray());
  for (const row of sql.exec(query)) if (row.n === 2) break;
  const again = sql.exec(query);
  for (const row of again) if (row.n === 2) break;
  out.push(again.toArray());
  out.push([...sql.exec(query).raw().map(([n]) => n * 2)], sql.exec(query)[Symbol.iterator]().drop(3).toArray());
  return out.map((value) => show(value));
});
inside('storage.sql cursor: one', ({ storage: { sql } }) => {
  const two = 'SELECT 1 AS n UNION ALL SELECT 2';
  const kept = sql.exec(two);
  kept.next();
  const none = sql.exec('SELECT 1 AS n WHERE 0');
  const many = sql.exec(two);
  return answers([() => kept.one(), () => kept.one(), () => none.one(), () => none.columnNames, () => many.one(), () => many.next(), () => many.next(), () => sql.exec('CREATE TABLE t(x)').one(), () => sql.exec('INSERT INTO t VALUES (1) RETURNING x').one(), () => sql.exec('INSERT INTO t VALUES (1), (2) RETURNING x').one(), () => sql.exec('SELECT count(*) AS c FROM t').one(), () => sql.exec("SELECT 1 AS a UNION ALL SELECT json('bad')").one()]);
});
inside('storage.sql cursor: names of columns', ({ storage: { sql } }) => {
  sql.exec('CREATE TABLE t(a, "b c", A2); INSERT INTO t VALUES (1, 2, 3)');
  const of = (text) => {
    const cursor = sql.exec(text);
    const before = cursor.columnNames;
    const rows = cursor.toArray();
    return [before, rows.map((row) => Object.entries(row)), cursor.columnNames];
  };
  return answers([
    () => of('SELECT a, a, "b c", A2 FROM t'), () => of('SELECT *, a + 1, count(*) FROM t'), () => of('SELECT 1 AS "", 2 AS "", 3'), () => of("SELECT 1 AS '2', 2 AS '1', 3 AS x"), () => of('SELECT 1 AS __proto__, 2 AS constructor, 3 AS toString'), () => of('SELECT t.a, t.A FROM t'), () => of('SELECT x.*, y.* FROM t x, t y'), () => of('SELECT (SELECT 1), 1+1 , "a"'),
    () => of('INSERT INTO t VALUES (4, 5, 6)'), () => of('CREATE TABLE u(x)'), () => of('UPDATE t SET a = 9 RETURNING a, "b c" AS q'), () => of('SELECT a FROM t WHERE 0'), () => of('PRAGMA table_info(t)'), () => of('DROP TABLE u'), () => Object.getPrototypeOf(sql.exec('SELECT 1').one()) === Object.prototype, () => of('SELECT 1 AS "é💥", 2 AS "a\tb"'),
  ]);
});
inside('storage.sql cursor: counters', ({ storage: { sql } }) => {
  sql.exec('CREATE TABLE t(id INTEGER PRIMARY KEY, x, y); CREATE INDEX ix ON t(x)');
  const of = (...args) => {
    const cursor = sql.exec(...args);
    const first = [cursor.rowsRead, cursor.rowsWritten];
    cursor.toArray();
    return [...first, cursor.rowsRead, cursor.rowsWritten];
  };
  const out = [
    of('INSERT INTO t VALUES (1, 1, 1)'), of('INSERT INTO t VALUES (2, 1, 1), (3, 2, 2)'), of('INSERT INTO t(x, y) SELECT x, y FROM t'), of('SELECT * FROM t'), of('SELECT count(*) FROM t'), of('SELECT * FROM t WHERE id = 2'), of('SELECT * FROM t LIMIT 2'),
    of('UPDATE t SET y = 5'), of('UPDATE t SET y = 6 WHERE id = 1'), of('DELETE FROM t WHERE id = 1'), of('SELECT 1'), of('INSERT INTO t VALUES (9, 9, 9) RETURNING id'), of('CREATE TABLE u(a)'), of('INSERT INTO u VALUES (1)'), of('INSERT INTO u VALUES (1), (2), (3)'),
  ];
  const cursor = sql.exec('SELECT a FROM u');
  const live = [[cursor.rowsRead, cursor.rowsWritten]];
  for (const row of cursor) live.push(cursor.rowsRead);
  live.push(cursor.rowsRead);
  return [out, live];
});
inside('storage.sql cursor: an error ahead', ({ storage: { sql } }) => {
  sql.exec('CREATE TABLE t(j); INSERT INTO t VALUES (\'{"a":1}\'), (\'{"a":2}\'), (\'bad\'), (\'{"a":4}\')');
  const query = "SELECT json_extract(j, '$.a') AS a FROM t";
  const cursor = sql.exec(query);
  const out = [];
  for (let i = 0; i < 5; i++) {
    try {
      out.push(show(cursor.next()));
    } catch (error) {
      out.push(told(error));
    }
  }
  const rest = (f) => {
    try {
      return show(f());
    } catch (error) {
      return told(error);
    }
  };
  const raw = sql.exec(query).raw();
  return [out, rest(() => sql.exec(query).toArray()), rest(() => raw.next()), rest(() => raw.next()), rest(() => raw.next()), rest(() => sql.exec("SELECT json_extract('bad', '$')")), cursor.rowsRead > 0, cursor.columnNames];
});
inside('storage.sql cursor: several at once', ({ storage: { sql } }) => {
  sql.exec('CREATE TABLE t(x); INSERT INTO t VALUES (1), (2), (3)');
  const query = 'SELECT x FROM t ORDER BY x';
  const cursors = [sql.exec(query), sql.exec(query), sql.exec(query)];
  const out = [];
  for (let i = 0; i < 3; i++) for (const cursor of cursors) out.push(cursor.next().value.x);
  const bound = [sql.exec('SELECT x FROM t WHERE x > ?', 1), sql.exec('SELECT x FROM t WHERE x > ?', 2)];
  const pairs = [];
  for (const a of sql.exec(query)) for (const b of sql.exec(query)) pairs.push(`${a.x}${b.x}`);
  return [out, bound.map((cursor) => cursor.toArray()), pairs.join(), cursors.map((cursor) => cursor.next().done)];
});
inside('storage.sql cursor: writes while it is read', ({ storage: { sql } }) => {
  sql.exec('CREATE TABLE t(id INTEGER PRIMARY KEY, x); INSERT INTO t(x) VALUES (1), (2), (3)');
  const seen = [];
  for (const { id, x } of sql.exec('SELECT id, x FROM t ORDER BY id')) {
    seen.push(`${id}:${x}`);
    if (id < 6) sql.exec('INSERT INTO t(x) VALUES (?)', x * 10);
    if (id === 1) sql.exec('UPDATE t SET x = 33 WHERE id = 3');
    if (id === 4) sql.exec('DELETE FROM t WHERE id = 6');
  }
  const removing = [];
  for (const { id } of sql.exec('SELECT id FROM t')) {
    removing.push(id);
    sql.exec('DELETE FROM t WHERE id = ?', id);
  }
  return [seen, removing, sql.exec('SELECT count(*) AS c FROM t').one().c];
});
inside('storage.sql cursor: schema changes under it', ({ storage: { sql } }) => {
  sql.exec('CREATE TABLE t(x); INSERT INTO t VALUES (1), (2), (3); CREATE TABLE other(y)');
  const open = sql.exec('SELECT * FROM t');
  open.next();
  const out = texts(sql, ['DROP TABLE t', 'ALTER TABLE t ADD COLUMN z', 'CREATE INDEX i ON t(x)', 'ALTER TABLE other RENAME TO renamed', 'DROP TABLE renamed', 'CREATE TABLE fresh(a)']);
  let rest;
  try {
    rest = open.toArray();
  } catch (error) {
    rest = told(error);
  }
  return [out, rest, texts(sql, ['SELECT * FROM t', 'DROP TABLE t', 'SELECT * FROM t'])];
});
inside('storage.sql cursor: a cached SELECT * sees new columns', ({ storage: { sql } }) => {
  sql.exec('CREATE TABLE t(x); INSERT INTO t VALUES (1)');
  const out = [];
  for (const change of ['SELECT 1', 'ALTER TABLE t ADD COLUMN y DEFAULT 5', 'ALTER TABLE t RENAME COLUMN y TO z', 'ALTER TABLE t DROP COLUMN z', 'DROP TABLE t; CREATE TABLE t(p, q); INSERT INTO t VALUES (7, 8)']) {
    sql.exec(change);
    const cursor = sql.exec('SELECT * FROM t');
    out.push([cursor.columnNames, cursor.toArray()]);
  }
  return out;
});
inside('storage.sql cursor: across transactions', async ({ storage }) => {
  const { sql } = storage;
  sql.exec('CREATE TABLE t(x); INSERT INTO t VALUES (1), (2), (3), (4), (5), (6)');
  const cursor = sql.exec('SELECT x FROM t ORDER BY x');
  const step = () => {
    try {
      return show(cursor.next().value?.x);
    } catch (error) {
      return told(error);
    }
  };
  const out = [step()];
  storage.transactionSync(() => {
    sql.exec('INSERT INTO t VALUES (7)');
    out.push(step());
  });
  try {
    storage.transactionSync(() => {
      sql.exec('INSERT INTO t VALUES (8)');
      throw new Error('x');
    });
  } catch {}
  out.push(step());
  await storage.transaction(async () => sql.exec('INSERT INTO t VALUES (9)'));
  out.push(step());
  await storage.transaction(async (txn) => {
    sql.exec('INSERT INTO t VALUES (10)');
    txn.rollback();
  });
  out.push(step());
  await pause(2);
  out.push(step(), step(), step(), step());
  return [out, sql.exec('SELECT group_concat(x) AS g FROM t').one().g];
});
inside('storage.sql cursor: made in a transaction that is rolled back', ({ storage }) => {
  const { sql } = storage;
  sql.exec('CREATE TABLE t(x); INSERT INTO t VALUES (1), (2), (3)');
  let cursor;
  let writing;
  try {
    storage.transactionSync(() => {
      sql.exec('INSERT INTO t VALUES (4)');
      cursor = sql.exec('SELECT x FROM t');
      writing = sql.exec('INSERT INTO t VALUES (5), (6) RETURNING x');
      throw new Error('x');
    });
  } catch {}
  return answers([() => cursor.toArray(), () => writing.toArray(), () => sql.exec('SELECT count(*) AS c FROM t').one()]);
});
inTurns('storage.sql cursor: in later events', async ({ run }) => [await run('start'), await run('next'), await run('write'), await run('next'), await run('rest')], {
  start(ctx) {
    ctx.storage.sql.exec('CREATE TABLE t(x); INSERT INTO t VALUES (1), (2), (3), (4)');
    this.kept = ctx.storage.sql.exec('SELECT x FROM t');
    return this.kept.next();
  },
  next() {
    return this.kept.next();
  },
  write(ctx) {
    ctx.storage.sql.exec('INSERT INTO t VALUES (5)');
  },
  rest() {
    return this.kept.raw().toArray();
  },
});
inside('storage.sql cursor: RETURNING', ({ storage: { sql } }) => {
  sql.exec('CREATE TABLE t(id INTEGER PRIMARY KEY, x)');
  const insert = sql.exec('INSERT INTO t(x) VALUES (1), (2), (3) RETURNING id, x');
  const stored = sql.exec('SELECT count(*) AS c FROM t').one().c;
  const first = insert.next();
  const remove = sql.exec('DELETE FROM t RETURNING id');
  return [stored, first, insert.toArray(), sql.exec('SELECT count(*) AS c FROM t').one().c, remove.raw().toArray(), insert.rowsWritten, remove.rowsWritten, texts(sql, ['INSERT INTO t VALUES (1, 1) RETURNING x, x AS y, *', "INSERT INTO t VALUES (2, 1) RETURNING json('bad')", 'SELECT * FROM t', 'UPDATE t SET x = 2 RETURNING *'])];
});

// ------------------------------------------------------------------ SQL: errors

inside('storage.sql: errors have texts, codes and offsets', ({ storage: { sql } }) => {
  sql.exec(`
    CREATE TABLE p(id INTEGER PRIMARY KEY);
    CREATE TABLE t(id INTEGER PRIMARY KEY, u UNIQUE, n NOT NULL DEFAULT 1, c CHECK (c > 0), f REFERENCES p(id), CONSTRAINT named CHECK (n < 100));
    CREATE TABLE s(i INTEGER, t TEXT) STRICT; CREATE TABLE w(a PRIMARY KEY, b) WITHOUT ROWID; CREATE UNIQUE INDEX e ON w(b + 1);
    CREATE TRIGGER stop BEFORE DELETE ON t BEGIN SELECT raise(ABORT, 'not this one'); END;
    CREATE VIEW v AS SELECT id FROM t;
    INSERT INTO p VALUES (1); INSERT INTO t(id, u, c, f) VALUES (1, 'a', 1, 1); INSERT INTO w VALUES (1, 1)`);
  return texts(sql, [
    'bunk', 'SELECT bunk', 'SELECT * FROM bunk', 'SELECT bunk()', 'SELECT abs()', 'SELECT abs(1, 2)', 'SELECT 1 FROM', 'SELECT * FROM t WHERE', 'SELECT id, FROM t', 'SELECT t.bunk FROM t', 'SELECT * FROM t AS a, t AS b WHERE id = 1', 'INSERT INTO bunk VALUES (1)', 'INSERT INTO t(bunk) VALUES (1)', 'INSERT INTO t VALUES (1)', 'UPDATE t SET bunk = 1', 'DELETE FROM bunk', 'DROP TABLE bunk', 'DROP VIEW t', 'DROP TABLE v', 'CREATE TABLE t(x)', 'CREATE INDEX i ON bunk(x)', 'CREATE INDEX i ON t(bunk)', 'CREATE TABLE x()', 'CREATE TABLE x(a, a)', 'INSERT INTO v VALUES (1)', 'SELECT * FROM t ORDER BY 99', 'SELECT sum(sum(id)) FROM t', 'SELECT * FROM t GROUP BY sum(id)', 'SELECT 1 UNION SELECT 1, 2', 'SELECT row_number() FROM t', "SELECT 'x' LIKE 'y' ESCAPE 'zz'", "SELECT unicode", 'SELECT 1 WHERE (1, 2) = 1', 'SELECT ?0', "SELECT raise(ABORT, 'x')", 'SELECT abs(-9223372036854775808)', "SELECT json('{')", "SELECT json_extract('{}', 'bad')", "SELECT date('now', 'bad')", 'SELECT zeroblob(99999999)', 'SELECT 0x1ffffffffffffffff', 'SELECT "bunk" FROM t', "SELECT x'abc'", 'SELECT $', 'SELECT #', 'SELECT 1..2', 'SELECT 1a',
    'INSERT INTO t(id, c) VALUES (1, 1)', "INSERT INTO t(u, c) VALUES ('a', 1)", 'INSERT INTO t(n, c) VALUES (NULL, 1)', 'INSERT INTO t(c) VALUES (0)', 'INSERT INTO t(n, c) VALUES (200, 1)', 'INSERT INTO t(c, f) VALUES (1, 9)', 'INSERT INTO t(id) VALUES (\'text\')', "INSERT INTO s VALUES ('x', 'y')", 'INSERT INTO s VALUES (1, x\'00\')', 'INSERT INTO w VALUES (1, 5)', 'INSERT INTO w VALUES (2, 1)', 'INSERT INTO w VALUES (NULL, 3)', 'DELETE FROM t', 'DELETE FROM p', 'UPDATE t SET rowid = NULL',
    'INSERT OR IGNORE INTO t(id, c) VALUES (1, 1)', 'INSERT OR FAIL INTO t(id, c) VALUES (2, 1), (1, 1)', 'INSERT OR REPLACE INTO t(id, c) VALUES (2, 5)', 'SELECT id, c FROM t',
    "SELECT printf('%d', 1, 2), format('%s')", "SELECT CAST('x' AS bunk)", 'SELECT * FROM json_each()', "SELECT * FROM json_each('bad')", 'SELECT * FROM bunk()', "SELECT 'a' COLLATE bunk", 'CREATE TABLE y(a COLLATE bunk)', 'WITH a AS (SELECT 1) SELECT * FROM b', 'WITH a(x) AS (SELECT 1, 2) SELECT * FROM a', 'WITH RECURSIVE a AS (SELECT * FROM a) SELECT * FROM a', 'CREATE TRIGGER g AFTER INSERT ON bunk BEGIN SELECT 1; END', 'CREATE VIEW vv AS SELECT ?', 'CREATE TABLE z AS SELECT ?', 'ALTER TABLE bunk ADD COLUMN x', 'ALTER TABLE t ADD COLUMN n', 'ALTER TABLE t ADD COLUMN q NOT NULL', 'ALTER TABLE t DROP COLUMN u', 'ALTER TABLE t RENAME COLUMN bunk TO x', 'ALTER TABLE t RENAME TO p', 'REINDEX bunk', 'SELECT likelihood(1, 2)', "SELECT * FROM t WHERE t MATCH 'x'", 'SELECT id FROM t INDEXED BY bunk', 'EXPLAIN bunk', 'SELECT group_concat(DISTINCT id, 2) FROM t', 'SELECT count(*) FILTER (WHERE 1) OVER (ORDER BY bunk) FROM t', 'SELECT 1 LIMIT bunk', "SELECT 1 LIMIT 'x'", 'UPDATE t SET id = 1, id = 2, u = 3 WHERE id = 2', 'UPDATE t SET (id, u) = (1)',
  ]);
});
inside('storage.sql: ON CONFLICT ROLLBACK', async ({ storage }) => {
  const { sql } = storage;
  sql.exec('CREATE TABLE t(id INTEGER PRIMARY KEY)');
  await storage.sync();
  sql.exec('INSERT INTO t VALUES (1)');
  return texts(sql, ['INSERT OR ROLLBACK INTO t VALUES (2), (1)', 'SELECT id FROM t', 'INSERT INTO t VALUES (3)', 'SELECT id FROM t']);
});
inside('storage.sql: limits', ({ storage: { sql } }) => {
  sql.exec('CREATE TABLE t(x)');
  const columns = (n) => Array.from({ length: n }, (_, i) => `c${i}`).join();
  const nested = (n) => '('.repeat(n) + '1' + ')'.repeat(n);
  const deep = (n) => Array(n).fill('1').join('+');
  const fill = (n, head = 'SELECT 1 --') => head + 'x'.repeat(n - head.length);
  return texts(sql, [
    `CREATE TABLE wide(${columns(100)})`, `CREATE TABLE wider(${columns(101)})`, `SELECT ${Array(100).fill(1).join()} FROM t`, `SELECT ${Array(101).fill(1).join()}`, `SELECT x FROM t ORDER BY ${Array(101).fill('x').join()}`, `INSERT INTO wide VALUES (${Array(100).fill(1).join()})`,
    `SELECT ${nested(40)}`, `SELECT ${nested(200)}`, `SELECT ${deep(99)}`, `SELECT ${deep(100)}`, `SELECT ${deep(101)}`, `SELECT ${deep(102)}`, `SELECT ${'NOT '.repeat(200)} 1`, `SELECT ${'-'.repeat(1)}1${'-1'.repeat(98)}`,
    Array(5).fill('SELECT 1').join(' UNION ALL '), Array(6).fill('SELECT 1').join(' UNION ALL '), Array(6).fill('SELECT 1').join(' INTERSECT '), `VALUES ${Array(500).fill('(1)').join()}`, `INSERT INTO t VALUES ${Array(600).fill('(1)').join()}`,
    `SELECT max(${Array(100).fill(1).join()})`, `SELECT max(${Array(127).fill(1).join()})`, `SELECT max(${Array(128).fill(1).join()})`, `SELECT char(${Array(130).fill(65).join()})`,
    fill(99_999), fill(100_000), fill(100_001), fill(200_000), fill(100_001, 'SELECT 1; SELECT 2 --'),
    `SELECT 'a' LIKE '${'a'.repeat(50)}'`, `SELECT 'a' LIKE '${'a'.repeat(51)}'`, `SELECT 'a' GLOB '${'a'.repeat(51)}'`, [`SELECT 'a' LIKE ?`, '%'.repeat(51)], "SELECT 'abc' LIKE '%b%'",
    'SELECT length(zeroblob(4194304))', 'SELECT length(zeroblob(4194305))', 'SELECT length(randomblob(4194305))', ['SELECT length(?)', 'x'.repeat(4_194_304)], ['SELECT length(?)', 'x'.repeat(4_194_305)], ['SELECT length(?)', new Uint8Array(4_194_305)], ["SELECT length(? || ?)", 'x'.repeat(3_000_000), 'x'.repeat(3_000_000)], ['INSERT INTO t VALUES (?)', 'x'.repeat(4_194_304)], ['INSERT INTO t VALUES (?)', 'x'.repeat(4_194_000)], ["SELECT length(replace(?, 'x', 'yyyy'))", 'x'.repeat(2_000_000)], ['SELECT length(group_concat(?1)) FROM (VALUES (1), (2), (3), (4), (5))', 'x'.repeat(1_000_000)], ["SELECT length(printf('%.*c', 5000000, 'x'))"], ["SELECT length(printf('%5000000d', 1))"], ["SELECT length(hex(zeroblob(3000000)))"], ["SELECT length(quote(zeroblob(3000000)))"],
    `SELECT 1 FROM ${Array(64).fill('t').map((t, i) => `${t} AS t${i}`).join()} LIMIT 1`, `SELECT 1 FROM ${Array(65).fill('t').map((t, i) => `${t} AS t${i}`).join()} LIMIT 1`,
    'CREATE TABLE small(x)', 'INSERT INTO small VALUES (1)', `SELECT ${Array(60).fill("'aaaa'||'bbbb'||x").join()} FROM small`, `SELECT x IN (${Array(5000).fill(1).join()}) FROM t LIMIT 1`, `SELECT CASE x ${Array.from({ length: 3000 }, (_, i) => `WHEN ${i} THEN ${i}`).join(' ')} END FROM t LIMIT 1`, `SELECT CASE x ${Array.from({ length: 5000 }, (_, i) => `WHEN ${i} THEN 1`).join(' ')} END FROM t LIMIT 1`,
  ]);
});
inside('storage.sql: depth of triggers', ({ storage: { sql } }) => {
  sql.exec('CREATE TABLE t(n); CREATE TRIGGER r AFTER INSERT ON t WHEN new.n < 30 BEGIN INSERT INTO t VALUES (new.n + 1); END');
  const out = texts(sql, ['INSERT INTO t VALUES (0)', 'SELECT count(*) FROM t', 'PRAGMA recursive_triggers', 'PRAGMA recursive_triggers = 1', 'INSERT INTO t VALUES (0)', 'SELECT count(*) FROM t', 'INSERT INTO t VALUES (25)', 'SELECT count(*) FROM t']);
  return out;
});
inside('storage.sql: databaseSize', async ({ storage }) => {
  const { sql } = storage;
  const out = [sql.databaseSize];
  const grow = (f) => {
    const before = sql.databaseSize;
    f();
    out.push(sql.databaseSize - before);
  };
  sql.exec('CREATE TABLE a(x)');
  out.push(sql.databaseSize);
  grow(() => sql.exec('CREATE TABLE b(x)'));
  grow(() => sql.exec('CREATE INDEX i ON b(x)'));
  grow(() => sql.exec('INSERT INTO b VALUES (zeroblob(20000))'));
  grow(() => sql.exec('DELETE FROM b'));
  grow(() => sql.exec('DROP TABLE b'));
  grow(() => storage.kv.put('k', 1));
  grow(() => storage.kv.put('k2', new Uint8Array(30_000)));
  await storage.sync();
  grow(() => storage.kv.delete('k2'));
  return out;
});
inside('storage.sql: quoted texts and identifiers', ({ storage: { sql } }) => {
  sql.exec('CREATE TABLE "odd name"("select" TEXT DEFAULT "dflt", [b] , `c`)');
  return texts(sql, ['INSERT INTO "odd name"(b) VALUES (1) RETURNING *', 'SELECT "nothing here"', 'SELECT "select" FROM "odd name"', 'SELECT * FROM [odd name] WHERE "select" = "dflt"', "SELECT 'it''s', \"say \"\"x\"\"\"", "SELECT \"a\" || 'b'", 'SELECT `x`', 'SELECT [x]', 'INSERT INTO "odd name"(c) VALUES ("text") RETURNING c', 'CREATE TABLE d(x CHECK (x <> "no"))', "INSERT INTO d VALUES ('no')", 'CREATE INDEX di ON d("x")', 'CREATE INDEX dj ON d("missing")', "SELECT 1 AS 'q'", 'SELECT * FROM d WHERE "x" = "y"']);
});
inside('storage.sql: what is built in', ({ storage: { sql } }) => {
  const out = texts(sql, [
    "CREATE VIRTUAL TABLE f USING fts5(a, b, tokenize = 'trigram')", "INSERT INTO f VALUES ('hello world', 'x'), ('other', 'yellow')", "SELECT a, highlight(f, 0, '<', '>') FROM f WHERE f MATCH 'ell' ORDER BY bm25(f)", "SELECT snippet(f, 1, '[', ']', '…', 5) FROM f('ello')", 'SELECT rowid, rank FROM f WHERE f MATCH \'"oth"\' ORDER BY rank LIMIT 1', "CREATE VIRTUAL TABLE fv USING fts5vocab('f', 'row')", 'SELECT count(*) > 0 FROM fv', "INSERT INTO f(f) VALUES ('optimize')", "INSERT INTO f(f) VALUES ('integrity-check')", "INSERT INTO f(f) VALUES ('rebuild')", 'SELECT name FROM sqlite_master ORDER BY name', 'DROP TABLE f',
    "CREATE VIRTUAL TABLE g USING fts5(body, content='')", "INSERT INTO g(rowid, body) VALUES (1, 'abc def')", "SELECT rowid FROM g WHERE g MATCH 'def'", "CREATE VIRTUAL TABLE h USING FTS5(x, prefix='2 3', detail=none, columnsize=0)",
    'CREATE VIRTUAL TABLE r USING rtree(id, x0, x1, y0, y1)', 'INSERT INTO r VALUES (1, 0, 1, 0, 1), (2, 5, 6, 5, 6)', 'SELECT id FROM r WHERE x0 > 4', "SELECT rtreecheck('r')", 'CREATE VIRTUAL TABLE ri USING rtree_i32(id, a, b)', 'INSERT INTO ri VALUES (1, 2, 3)', 'SELECT * FROM ri', 'INSERT INTO r VALUES (3, 9, 1, 0, 0)', 'CREATE VIRTUAL TABLE RR USING RTREE(id, a, b, +extra TEXT)', "INSERT INTO RR VALUES (1, 1, 2, 'more')", 'SELECT * FROM RR',
    "SELECT json_object('a', 1, 'b', json('[1,2]')), json_array(1, 'x', NULL), '{\"a\":{\"b\":7}}' -> 'a' ->> 'b'", "SELECT key, value, type FROM json_each('{\"a\":1,\"b\":[2]}')", "SELECT fullkey FROM json_tree('{\"a\":[1,{\"b\":2}]}')", "SELECT json_set('{}', '$.a', 1), json_insert('[1]', '$[#]', 2), json_remove('{\"a\":1}', '$.a'), json_patch('{\"a\":1}', '{\"b\":2}')", "SELECT json(jsonb('{\"a\":1}')), typeof(jsonb('[]')), json_valid('{'), json_type('[1]'), json_quote('x')", 'SELECT json_group_array(x), json_group_object(x, y) FROM (SELECT 1 AS x, 2 AS y UNION SELECT 3, 4)', "SELECT json('{a:1,}')",
    'SELECT round(sin(1), 6), round(ln(10), 6), round(log(100), 6), round(log2(8), 6), pow(2, 10), mod(7, 3), round(pi(), 6), ceil(1.2), floor(-1.2), trunc(1.9), round(exp(1), 6), sqrt(16), degrees(pi()), round(radians(180), 6), sign(-3), round(atan2(1, 1), 6)',
    "SELECT date(0, 'unixepoch'), time(3661, 'unixepoch'), datetime('2024-01-31', '+1 month'), julianday('2000-01-01'), unixepoch('2000-01-01'), strftime('%Y|%j|%W', '2024-03-01'), timediff('2024-03-01', '2024-02-01')", "SELECT typeof(current_timestamp), length(current_date), length(current_time)", "SELECT length(random()) > 0, length(randomblob(4)), hex(x'ab'), unhex('ab'), quote('a''b'), soundex('Robert'), instr('abc', 'c'), substr('hello', 2, 3), substring('hello', -3), trim('  x '), replace('aXa', 'X', 'b'), upper('é'), unicode('é'), char(233), printf('%05.1f|%s', 3.14159, 'x'), format('%q', 'it''s'), octet_length('é'), concat('a', NULL, 1), concat_ws('-', 'a', NULL, 'b'), string_agg(1, ','), iif(1, 2, 3), glob('a*', 'abc'), likely(1), typeof(1.0), nullif(1, 1), coalesce(NULL, 2), ifnull(NULL, 3)",
    'SELECT x, row_number() OVER w, rank() OVER w, dense_rank() OVER w, percent_rank() OVER w, cume_dist() OVER w, ntile(2) OVER w, lag(x) OVER w, lead(x, 1, 0) OVER w, first_value(x) OVER w, last_value(x) OVER w, nth_value(x, 2) OVER w, sum(x) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES) FROM (VALUES (3), (1), (1), (2)) AS v(x) WINDOW w AS (ORDER BY x)'.replace('AS v(x)', '').replaceAll('(x', '(column1').replaceAll(' x', ' column1'),
    'CREATE TABLE gen(a, b GENERATED ALWAYS AS (a * 2) STORED, c AS (a + 1))', 'INSERT INTO gen VALUES (3) RETURNING *', 'CREATE INDEX part ON gen(a) WHERE a > 1', 'CREATE INDEX ex ON gen(a + b)', 'UPDATE gen SET a = 4 WHERE a = 3 ORDER BY a LIMIT 1', 'DELETE FROM gen ORDER BY a LIMIT 1', 'INSERT INTO gen(a) VALUES (1), (2) ON CONFLICT DO NOTHING', 'UPDATE gen SET a = s.z FROM (SELECT 9 AS z) AS s WHERE a = 1 RETURNING a', 'WITH RECURSIVE c(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM c LIMIT 5) SELECT group_concat(n) FROM c', 'SELECT a FROM gen EXCEPT SELECT 2', 'SELECT * FROM gen NATURAL JOIN gen', 'SELECT 1 FROM gen RIGHT JOIN gen g2 USING (a) FULL OUTER JOIN gen g3 USING (a) LIMIT 1', 'SELECT 1 IS DISTINCT FROM 2, 1_000', 'SELECT a FROM gen WHERE (a, b) IN (VALUES (2, 4))', 'SELECT sum(DISTINCT a) FILTER (WHERE a > 1), count(), total(a), avg(a), min(a), max(a) FROM gen', 'CREATE TABLE auto(id INTEGER PRIMARY KEY AUTOINCREMENT, x)', 'INSERT INTO auto(x) VALUES (1), (2)', 'SELECT last_insert_rowid(), changes()', 'SELECT * FROM sqlite_sequence', 'ANALYZE', 'SELECT count(*) FROM sqlite_stat1', 'REINDEX', 'EXPLAIN QUERY PLAN SELECT * FROM auto WHERE id = 1',
  ]);
  return out;
});

// ------------------------------------------------------------------ SQL: pragmas and constraints

inside('storage.sql: foreign keys within a turn', async ({ storage }) => {
  const { sql } = storage;
  sql.exec('CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE k(p REFERENCES p(id))');
  const out = texts(sql, ['PRAGMA foreign_keys', 'PRAGMA foreign_keys = OFF', 'PRAGMA foreign_keys', 'INSERT INTO k VALUES (1)']);
  await pause(2);
  out.push(texts(sql, ['PRAGMA foreign_keys = OFF', 'PRAGMA foreign_keys', 'INSERT INTO k VALUES (1)', 'PRAGMA foreign_key_check', 'PRAGMA foreign_key_list(k)']));
  await pause(2);
  out.push(texts(sql, ['PRAGMA foreign_keys', 'PRAGMA foreign_keys = ON', 'PRAGMA foreign_keys', 'INSERT INTO k VALUES (2)', 'DELETE FROM k']));
  return out;
});
inTurns('storage.sql: deferred constraints that hold', async ({ run }) => [await run('write'), await run('read')], {
  write({ storage: { sql } }) {
    sql.exec('PRAGMA defer_foreign_keys = ON; CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE k(p REFERENCES p(id)); INSERT INTO k VALUES (1)');
    return texts(sql, ['PRAGMA defer_foreign_keys', 'INSERT INTO p VALUES (1)']);
  },
  read: ({ storage: { sql } }) => texts(sql, ['PRAGMA defer_foreign_keys', 'SELECT * FROM k', 'INSERT INTO k VALUES (2)']),
});
inTurns('storage.sql: deferred constraints that do not hold reset the object', async ({ env, name, attempt }) => {
  const stub = env.SUBJECT.getByName(name);
  const out = [await attempt(() => stub.run(name, 'make')), await attempt(() => stub.run(name, 'violate')), await attempt(() => env.SUBJECT.getByName(name).run(name, 'read'))];
  return out;
}, {
  make({ storage: { sql } }) {
    sql.exec('CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE k(p REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED)');
    this.mark = 1;
  },
  violate({ storage }) {
    storage.put('with', 'it');
    storage.sql.exec('INSERT INTO k VALUES (1)');
    return 'never seen';
  },
  async read({ storage }) {
    return [this.mark === undefined, texts(storage.sql, ['SELECT * FROM k']), show(await storage.get('with'))];
  },
});
inTurns('storage.sql: deferred constraints in transaction()', async ({ env, name, attempt }) => {
  const stub = env.SUBJECT.getByName(name);
  return [await attempt(() => stub.run(name, 'violate')), await attempt(() => env.SUBJECT.getByName(name).run(name, 'read'))];
}, {
  async violate({ storage }) {
    storage.sql.exec('CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE k(p REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED)');
    try {
      await storage.transaction(async () => storage.sql.exec('INSERT INTO k VALUES (1)'));
      return 'committed';
    } catch (error) {
      return told(error);
    }
  },
  read: ({ storage }) => texts(storage.sql, ['SELECT * FROM k']),
});
inside('storage.sql: other settings', ({ storage: { sql } }) => {
  sql.exec('CREATE TABLE t(x CHECK (x > 0)); CREATE INDEX i ON t(x)');
  return texts(sql, [
    "SELECT 'a' LIKE 'A'", 'PRAGMA case_sensitive_like = ON', "SELECT 'a' LIKE 'A'", 'PRAGMA case_sensitive_like', 'PRAGMA case_sensitive_like = 0', "SELECT 'a' LIKE 'A'", 'INSERT INTO t VALUES (-1)', 'PRAGMA ignore_check_constraints', 'PRAGMA ignore_check_constraints = yes', 'INSERT INTO t VALUES (-1)', "PRAGMA ignore_check_constraints = 'off'", 'INSERT INTO t VALUES (-1)', 'PRAGMA recursive_triggers', 'PRAGMA reverse_unordered_selects', 'INSERT INTO t VALUES (5)', 'PRAGMA reverse_unordered_selects = true', 'SELECT x FROM t NOT INDEXED', 'PRAGMA reverse_unordered_selects = false', 'PRAGMA legacy_alter_table', 'PRAGMA page_size', 'PRAGMA quick_check', 'PRAGMA index_list(t)', 'PRAGMA index_info(i)', 'PRAGMA index_xinfo(i)', 'PRAGMA table_xinfo(t)', 'PRAGMA foreign_key_check', 'PRAGMA optimize',
  ]);
});

// ------------------------------------------------------------------ transactions

inside('storage.transaction: what it returns and refuses', async ({ storage }) =>
  answers([
    () => storage.transaction(),
    () => storage.transaction(5),
    () => storage.transaction({}),
    () => storage.transaction(() => {}),
    () => storage.transaction(() => 5),
    () => storage.transaction(async () => ({ a: 1 })),
    () => storage.transaction(() => { throw new TypeError('thrown at once'); }),
    () => storage.transaction(async () => { throw new RangeError('rejected'); }),
    () => storage.transaction(() => Promise.reject('not an error')),
    () => storage.transaction((txn) => Object.prototype.toString.call(txn)),
    () => storage.transaction((txn) => Object.getOwnPropertyNames(Object.getPrototypeOf(txn)).sort()),
    () => storage.transaction((txn) => txn.constructor.name),
    () => storage.transaction((txn) => new txn.constructor()),
    () => storage.transaction(() => ({ then: (resolve) => resolve('thenable') })),
    () => storage.transaction(() => {}) instanceof Promise,
  ]));
inside('storage.transaction: what txn does', async ({ storage }) => {
  await storage.put({ a: 1, b: 2 });
  const at = Date.now() + 3_600_000;
  return answers([
    () => storage.transaction(async (txn) => [await txn.get('a'), await txn.get(['a', 'b', 'zz']), await txn.list({ reverse: true }), await txn.put('c', 3), await txn.put({ d: 4, e: 5 }), await txn.delete('a'), await txn.delete(['b', 'zz']), await txn.list()]),
    () => storage.transaction(async (txn) => [await txn.getAlarm(), await txn.setAlarm(at), (await txn.getAlarm()) === at, await txn.deleteAlarm(), await txn.getAlarm()]),
    () => storage.transaction((txn) => txn.get()),
    () => storage.transaction((txn) => txn.put('x')),
    () => storage.transaction((txn) => txn.put('x', undefined)),
    () => storage.transaction((txn) => txn.delete()),
    () => storage.transaction((txn) => txn.list({ limit: 0 })),
    () => storage.transaction((txn) => txn.list(5)),
    () => storage.transaction((txn) => txn.setAlarm(0)),
    () => storage.transaction((txn) => txn.setAlarm()),
    () => storage.transaction(async (txn) => { await txn.put('f', () => 1).catch(() => {}); await txn.put('g', 1); }),
    () => storage.list(),
  ]);
});
inside('storage.transaction: rolled back', async ({ storage }) => {
  await storage.put('a', 1);
  const at = Date.now() + 3_600_000;
  const out = await answers([
    () => storage.transaction(async (txn) => {
      await txn.put('a', 2);
      txn.rollback();
      txn.rollback();
      return answers([() => txn.get('a'), () => txn.put('a', 3), () => txn.delete('a'), () => txn.list(), () => txn.getAlarm(), () => txn.setAlarm(at), () => txn.deleteAlarm(), () => txn.deleteAll(), () => txn.rollback(), () => storage.get('a'), () => storage.put('b', 1)]);
    }),
    () => storage.list(),
    () => storage.transaction(async (txn) => { await txn.put('a', 9); txn.rollback(); throw new Error('after rollback'); }),
    () => storage.get('a'),
  ]);
  let kept;
  await storage.transaction((txn) => { kept = txn; });
  out.push(await answers([() => kept.get('a'), () => kept.put('a', 1), () => kept.delete('a'), () => kept.list(), () => kept.getAlarm(), () => kept.setAlarm(at), () => kept.deleteAlarm(), () => kept.deleteAll(), () => kept.rollback()]));
  let thrown;
  await storage.transaction((txn) => { thrown = txn; throw new Error('x'); }).catch(() => {});
  out.push(await answers([() => thrown.get('a'), () => thrown.rollback()]));
  return out;
});
inside('storage.transaction: nested', async ({ storage }) => {
  const { sql } = storage;
  sql.exec('CREATE TABLE t(x)');
  const out = [];
  await storage.transaction(async (outer) => {
    sql.exec('INSERT INTO t VALUES (1)');
    await storage.transaction(async (inner) => {
      sql.exec('INSERT INTO t VALUES (2)');
      out.push(await answers([() => outer.rollback(), () => outer.get('a'), () => inner.get('a')]));
      await storage.transaction(async () => sql.exec('INSERT INTO t VALUES (3)'));
    });
    await storage.transaction(async (inner) => {
      sql.exec('INSERT INTO t VALUES (4)');
      inner.rollback();
    });
    await storage.transaction(async () => {
      sql.exec('INSERT INTO t VALUES (5)');
      throw new Error('x');
    }).catch(() => {});
    storage.transactionSync(() => sql.exec('INSERT INTO t VALUES (6)'));
    try {
      storage.transactionSync(() => {
        sql.exec('INSERT INTO t VALUES (7)');
        throw new Error('x');
      });
    } catch {}
    out.push(sql.exec('SELECT group_concat(x) AS g FROM t').one().g);
  });
  await storage.transaction(async (outer) => {
    await storage.transaction(async () => sql.exec('INSERT INTO t VALUES (8)'));
    outer.rollback();
  });
  return [...out, sql.exec('SELECT group_concat(x) AS g FROM t').one().g];
});
inside('storage.transaction: tables made in it and rolled back', async ({ storage }) => {
  await storage.transaction(async (txn) => {
    await txn.put('a', 1);
    await txn.setAlarm(Date.now() + 3_600_000);
    storage.sql.exec('CREATE TABLE t(x)');
    txn.rollback();
  });
  const out = [show(await storage.list()), await storage.getAlarm(), texts(storage.sql, ['SELECT * FROM t'])];
  await storage.put('b', 2);
  await storage.setAlarm(Date.now() + 3_600_000);
  storage.sql.exec('CREATE TABLE t(y)');
  return [...out, show(await storage.list()), (await storage.getAlarm()) !== null, storage.sql.exec('SELECT * FROM t').columnNames];
});
inside('storage.transaction: two at once', async ({ storage }) => {
  const log = [];
  await Promise.all(
    ['a', 'b', 'c'].map((name) =>
      storage.transaction(async (txn) => {
        log.push(`${name}1`);
        const n = (await txn.get('n')) ?? 0;
        await pause(2);
        await txn.put('n', n + 1);
        log.push(`${name}2`);
      }),
    ),
  );
  return [log, await storage.get('n')];
});
inside('storage.transaction: writes beside it', async ({ storage }) => {
  storage.put('before', 1);
  const promise = storage.transaction(async (txn) => {
    await txn.put('in', 1);
    await pause(2);
    txn.rollback();
  });
  storage.put('beside', 1);
  await promise;
  storage.put('after', 1);
  return [...(await storage.list()).keys()];
});
inside('storage.transaction: when its callback runs', async (ctx) => {
  const { storage } = ctx;
  const log = [];
  const note = (text) => () => log.push(text);
  const first = storage.transaction(async () => {
    log.push('transaction');
    await null;
    log.push('transaction 2');
  });
  log.push('after transaction()');
  Promise.resolve().then(note('microtask'));
  await first;
  log.push('done');
  storage.put('a', 1);
  await storage.transaction(note('with a write before'));
  const section = ctx.blockConcurrencyWhile(async () => log.push('section'));
  log.push('after blockConcurrencyWhile()');
  await section;
  log.push('done');
  return log;
});
inside('storage.transaction: SQL and BEGIN', async ({ storage }) => {
  const { sql } = storage;
  return storage.transaction(async () => texts(sql, ['COMMIT', 'ROLLBACK', 'RELEASE _cf_savepoint_0', 'SAVEPOINT x', 'BEGIN', 'CREATE TABLE t(x)', 'INSERT OR ROLLBACK INTO t VALUES (1)']));
});
inside('storage.transactionSync: what it returns and refuses', async ({ storage }) =>
  answers([
    () => storage.transactionSync(),
    () => storage.transactionSync(5),
    () => storage.transactionSync(() => {}),
    () => storage.transactionSync(() => 5),
    () => storage.transactionSync((...args) => args.length),
    () => storage.transactionSync(async () => 'a promise'),
    () => storage.transactionSync(() => { throw new TypeError('thrown'); }),
    () => storage.transactionSync(() => { throw 'a text'; }),
    () => storage.transactionSync(() => storage.transaction(async () => 'in sync')),
    () => storage.transactionSync(() => storage.sync()),
  ]));
inside('storage.transactionSync: asynchronous code is outside', async ({ storage }) => {
  await storage.put('a', 0);
  const promise = storage.transactionSync(async () => {
    storage.kv.put('a', 1);
    await null;
    storage.kv.put('a', 2);
    throw new Error('later');
  });
  const during = storage.kv.get('a');
  const message = await promise.catch((error) => error.message);
  return [during, message, await storage.get('a')];
});
inside('storage.transactionSync: nested', ({ storage }) => {
  const { kv } = storage;
  const log = [];
  storage.transactionSync(() => {
    kv.put('a', 1);
    try {
      storage.transactionSync(() => {
        kv.put('b', 1);
        storage.transactionSync(() => kv.put('c', 1));
        throw new Error('inner');
      });
    } catch (error) {
      log.push(error.message);
    }
    storage.transactionSync(() => kv.put('d', 1));
  });
  try {
    storage.transactionSync(() => {
      storage.transactionSync(() => kv.put('e', 1));
      throw new Error('outer');
    });
  } catch (error) {
    log.push(error.message);
  }
  return [log, [...kv.list()].map(([key]) => key)];
});
inside('storage.transactionSync: alarms and new tables roll back', async ({ storage }) => {
  const at = Date.now() + 3_600_000;
  await storage.setAlarm(at);
  try {
    storage.transactionSync(() => {
      storage.setAlarm(at + 5);
      storage.sql.exec('CREATE TABLE t(x)');
      storage.kv.put('k', 1);
      throw new Error('x');
    });
  } catch {}
  return [(await storage.getAlarm()) === at, texts(storage.sql, ['SELECT * FROM t']), show(storage.kv.get('k'))];
});
inside('storage.transactionSync: ON CONFLICT ROLLBACK in it', async ({ storage }) => {
  const { sql } = storage;
  sql.exec('CREATE TABLE t(id INTEGER PRIMARY KEY)');
  await storage.sync();
  return answers([
    () => storage.transactionSync(() => { sql.exec('INSERT INTO t VALUES (1)'); try { sql.exec('INSERT OR ROLLBACK INTO t VALUES (1)'); } catch (error) { return error.message; } }),
    () => sql.exec('SELECT id FROM t').raw().toArray(),
    () => storage.transactionSync(() => { sql.exec('INSERT INTO t VALUES (2)'); return 'fine again'; }),
    () => sql.exec('SELECT id FROM t').raw().toArray(),
  ]);
});

// ------------------------------------------------------------------ what is durable, and what a failure undoes

inTurns('storage: what an exception leaves', async ({ stub, name, run }) => [await run('fail'), await run('read')], {
  async fail({ storage }) {
    storage.put('first', 1);
    await null;
    storage.sql.exec('CREATE TABLE t(x); INSERT INTO t VALUES (1)');
    throw new Error('after writing');
  },
  read: async ({ storage }) => [show(await storage.list()), texts(storage.sql, ['SELECT x FROM t'])],
});
inTurns('storage: what an abort leaves', async ({ run, env, name }) => [await run('write'), await run('fail'), await env.SUBJECT.getByName(name).tryRun(name, 'read')], {
  write: ({ storage }) => storage.put('kept', 1),
  fail(ctx) {
    ctx.storage.put('lost', 1);
    ctx.storage.sql.exec('CREATE TABLE t(x)');
    ctx.abort('now');
  },
  read: async ({ storage }) => [show(await storage.list()), texts(storage.sql, ['SELECT x FROM t'])],
});
inTurns('storage: allowUnconfirmed and allowConcurrency', async ({ run }) => [await run('write'), await run('read')], {
  write: async ({ storage }) => {
    const options = { allowUnconfirmed: true, allowConcurrency: true, noCache: true };
    return [show(await storage.put('a', 1, options)), show(await storage.put({ b: 2, c: 3 }, options)), await storage.delete('b', options), await storage.get('a', options), show(await storage.get(['a', 'c'], options)), show(await storage.list(options)), show(await storage.setAlarm(Date.now() + 3_600_000, options)), show(await storage.deleteAlarm(options)), show(await storage.sync())];
  },
  read: async ({ storage }) => [show(await storage.list()), await storage.getAlarm()],
});
// ------------------------------------------------------------------ alarms

inside('storage alarm: arguments', async ({ storage }) => {
  const later = Date.now() + 3_600_000;
  return answers([
    () => storage.setAlarm(), () => storage.setAlarm(undefined), () => storage.setAlarm(null), () => storage.setAlarm('x'), () => storage.setAlarm('5'), () => storage.setAlarm({}), () => storage.setAlarm(true), () => storage.setAlarm(0), () => storage.setAlarm(-0), () => storage.setAlarm(-1), () => storage.setAlarm(0.5), () => storage.setAlarm(NaN), () => storage.setAlarm(Infinity), () => storage.setAlarm(-Infinity), () => storage.setAlarm(new Date(NaN)), () => storage.setAlarm(new Date(0)), () => storage.setAlarm(new Date(-1)), () => storage.setAlarm(5n),
    () => storage.setAlarm(later, null), () => storage.setAlarm(later, 5), () => storage.setAlarm(later, { allowUnconfirmed: true }), async () => (await storage.getAlarm()) === later, () => storage.setAlarm(later + 0.7), async () => (await storage.getAlarm()) - later, () => storage.setAlarm(new Date(later + 9)), async () => (await storage.getAlarm()) - later, () => storage.setAlarm(8.64e15), async () => (await storage.getAlarm()) > later, () => storage.setAlarm(8.64e15 + 1), () => storage.setAlarm(1e300), () => storage.getAlarm(5), async () => typeof (await storage.getAlarm(null)), () => storage.deleteAlarm(5), () => storage.deleteAlarm(), () => storage.getAlarm(), () => storage.deleteAlarm(),
  ]);
});
inside('storage alarm: deleteAll takes it away', async ({ storage }) => {
  await storage.setAlarm(Date.now() + 3_600_000);
  await storage.deleteAll();
  const after = await storage.getAlarm();
  await storage.put('a', 1);
  await storage.setAlarm(Date.now() + 3_600_000);
  storage.deleteAll();
  return [after, await storage.getAlarm()];
});

export const storageCases = definitions;
