// What is compared. `main` runs in the stateless handler; other functions run inside an object of class Subject, through
// `inside(part, ...args)`. Nothing here may depend on which runtime it is.
import { alarmCases } from './alarm_cases.mjs';
import { gateCases } from './gate_cases.mjs';
import { lifeCases } from './life_cases.mjs';
import { networkCases } from './network_cases.mjs';
import { rpcCases } from './rpc_cases.mjs';
import { storageCases } from './storage_cases.mjs';
import { webSocketCases } from './websocket_cases.mjs';

const both = (name, parts) => ({
  ...parts,
  main:
    parts.main ??
    (async ({ stub }) => {
      return await stub.tryRun(name, 'inside');
    }),
});

const definitions = {
  // ---------------------------------------------------------------- ids
  'id: from a name is stable and has 64 hex digits': {
    main: ({ env }) => [env.SUBJECT.idFromName('a').toString(), env.SUBJECT.idFromName('a').equals(env.SUBJECT.idFromName('a'))],
  },
  'id: names differ by case, blanks, and unicode': {
    main: ({ env }) => ['', ' ', 'A', 'é', 'e\u0301', '💥', 'x'.repeat(3000)].map((n) => env.SUBJECT.idFromName(n).toString()),
  },
  'id: fromString keeps the digits and loses the name': {
    main: ({ env }) => {
      const id = env.SUBJECT.idFromName('n');
      const again = env.SUBJECT.idFromString(id.toString().toUpperCase());
      return [again.toString() === id.toString(), again.equals(id), id.name, again.name, again.equals(env.SUBJECT.idFromName('m'))];
    },
  },
  'id: fromString refuses 63, 65 and bad digits': {
    main: async ({ env, attempt }) => {
      const out = [];
      for (const bad of ['a'.repeat(63), 'a'.repeat(65), 'g'.repeat(64), '']) out.push(await attempt(() => env.SUBJECT.idFromString(bad).toString()));
      return out;
    },
  },
  'id: of another namespace is refused': {
    main: ({ env, attempt }) => attempt(() => env.SUBJECT.idFromString(env.OTHER.idFromName('x').toString()).toString()),
  },
  'id: unique ids differ': {
    main: ({ env }) => {
      const a = env.SUBJECT.newUniqueId();
      const b = env.SUBJECT.newUniqueId();
      return [a.equals(b), a.toString().length, a.name, env.SUBJECT.idFromString(a.toString()).equals(a)];
    },
  },
  'id: get refuses an id of another namespace': {
    main: ({ env, attempt }) => attempt(() => env.SUBJECT.get(env.OTHER.idFromName('x')).id.toString().length),
  },
  'id: name inside the object': both('id: name inside the object', {
    main: async ({ env, stub }) => {
      const byName = await (await stub.fetch('http://x/name')).json();
      const byId = await (await env.SUBJECT.get(env.SUBJECT.newUniqueId()).fetch('http://x/name')).json();
      const long = await (await env.SUBJECT.getByName('y'.repeat(1025)).fetch('http://x/name')).json();
      const fits = await (await env.SUBJECT.getByName('z'.repeat(1024)).fetch('http://x/name')).json();
      return [byName, byId, long, fits.name?.length];
    },
  }),

  // ---------------------------------------------------------------- namespaces and stubs
  'stub: own keys are id and name': {
    main: ({ stub }) => [Object.keys(stub).sort(), typeof stub.id.toString(), stub.name],
  },
  'stub: a unique id has no name': {
    main: ({ env }) => {
      const stub = env.SUBJECT.get(env.SUBJECT.newUniqueId());
      return [Object.keys(stub).sort(), stub.name];
    },
  },
  'stub: is not a thenable': { main: async ({ stub }) => [stub.then, (await stub) === stub] },
  'stub: any name is in it, none is its own': {
    main: ({ stub }) => ['anything' in stub, Object.hasOwn(stub, 'anything'), typeof stub.anything, typeof stub.fetch],
  },
  'namespace: methods are on the prototype': {
    main: ({ env }) => ['idFromName' in env.SUBJECT, typeof env.SUBJECT.get, Object.keys(env.SUBJECT), Object.keys(env).includes('SUBJECT')],
  },
  'stub: unknown routing mode is refused': {
    main: ({ env, attempt }) => attempt(() => env.SUBJECT.get(env.SUBJECT.idFromName('a'), { routingMode: 'x' }).id.toString().length),
  },
  'stub: location hints are accepted': {
    main: async ({ env }) => (await env.SUBJECT.get(env.SUBJECT.idFromName('hinted'), { locationHint: 'weur' }).add(1, 2)),
  },
  'fetch: method, url and headers arrive': {
    main: async ({ stub }) => (await stub.fetch('https://some.host/path?q=1', { method: 'PUT', headers: { 'x-test': 'v' } })).json(),
  },
  'fetch: a body is echoed': {
    main: async ({ stub }) => {
      const response = await stub.fetch('http://x/echo', { method: 'POST', body: 'a body' });
      return [response.status, response.headers.get('x-method'), await response.text()];
    },
  },
  'fetch: a streamed body is echoed': {
    main: async ({ stub }) => {
      const { readable, writable } = new TransformStream();
      const writer = writable.getWriter();
      const bytes = (text) => new TextEncoder().encode(text);
      const written = (async () => {
        for (const part of ['one ', 'two ', 'three']) await writer.write(bytes(part));
        await writer.close();
      })();
      const response = await stub.fetch('http://x/echo', { method: 'POST', body: readable });
      const text = await response.text();
      await written;
      return text;
    },
  },
  'fetch: a thrown error reaches the caller': { main: ({ stub, attempt }) => attempt(() => stub.fetch('http://x/throw')) },
  'fetch: redirects are followed to the object': { main: async ({ stub }) => (await (await stub.fetch('http://x/redirect')).json()).url },
  'fetch: manual redirects are not followed': {
    main: async ({ stub }) => {
      const response = await stub.fetch('http://x/redirect', { redirect: 'manual' });
      return [response.status, response.headers.get('location')];
    },
  },
  'fetch: a relative url is refused': { main: async ({ stub, attempt }) => (await attempt(() => stub.fetch('/relative'))).error.name },
  'legacy class: fetch works, RPC does not': {
    main: async ({ env, attempt }) => {
      const stub = env.PLAIN.getByName('p');
      return [await (await stub.fetch('http://x/')).text(), await attempt(() => stub.anything())];
    },
  },

  // ---------------------------------------------------------------- RPC
  'rpc: arguments and results': { main: async ({ stub }) => [await stub.add(1, 2), await stub.add('a', 'b')] },
  'rpc: structured clone': {
    main: async ({ stub }) => {
      const value = { list: [1, , 3], nested: { date: new Date(5), big: 10n ** 20n, u: undefined }, map: new Map([[1, new Set(['x'])]]), re: /a/gi };
      value.self = value;
      const back = await stub.echo(value);
      return [back !== value, back.self === back, 1 in back.list, back.nested.date.getTime(), String(back.nested.big), 'u' in back.nested, [...back.map.get(1)], String(back.re)];
    },
  },
  'rpc: bytes': {
    main: async ({ stub }) => {
      const back = await stub.echo([new Uint8Array([1, 2, 3]), new Uint16Array([500]).buffer, new DataView(new ArrayBuffer(2))]);
      return [back[0].constructor.name, [...back[0]], back[1].byteLength, back[2].constructor.name];
    },
  },
  'rpc: error objects as values': {
    main: async ({ stub }) => {
      const back = await stub.echo(new RangeError('as value'));
      return [back instanceof RangeError, back.message];
    },
  },
  'rpc: built-in errors keep their class': {
    main: async ({ stub, attempt }) => {
      const out = [];
      for (const kind of ['Error', 'TypeError', 'RangeError', 'SyntaxError', 'ReferenceError', 'string']) out.push(await attempt(() => stub.fail(kind)));
      return out;
    },
  },
  'rpc: own properties of errors cross': {
    main: async ({ stub }) => {
      try {
        await stub.fail('TypeError');
      } catch (error) {
        return [error instanceof TypeError, error.extra, typeof error.stack];
      }
    },
  },
  'rpc: missing method': { main: ({ stub, attempt }) => attempt(() => stub.missing()) },
  'rpc: own properties are not reachable': {
    main: async ({ stub, attempt }) => [await attempt(() => stub.arrow()), await attempt(() => stub.own)],
  },
  'rpc: Object.prototype is not reachable': {
    main: async ({ stub, attempt }) => [await attempt(() => stub.hasOwnProperty('x')), await attempt(() => stub.toLocaleString())],
  },
  'rpc: reserved names': { main: async ({ stub, attempt }) => [await attempt(() => stub.alarm()), await attempt(() => stub.constructor())] },
  'rpc: a getter is awaited': { main: async ({ stub }) => [await stub.property, await stub.property] },
  'rpc: class instances cannot be cloned': {
    main: async ({ stub, attempt }) => {
      class Custom {
        x = 1;
      }
      return attempt(() => stub.echo(new Custom()));
    },
  },
  'rpc: symbols cannot be cloned': { main: async ({ stub, attempt }) => (await attempt(() => stub.echo(Symbol('s')))).error.name },
  'rpc: calls through one stub arrive in order': {
    main: async ({ stub, name }) => {
      const calls = [];
      for (let i = 0; i < 20; i++) calls.push(stub.run(name, 'note', i));
      await Promise.all(calls);
      return stub.run(name, 'noted');
    },
    note(ctx, i) {
      this.log.push(i);
    },
    noted() {
      return this.log;
    },
  },
  'rpc: named entrypoints over a service binding': { main: ({ env }) => env.NAMED.greet('you') },
  'rpc: the binding to oneself fetches': {
    main: async ({ env }) => (await env.SELF.fetch('http://x/rpc%3A%20named%20entrypoints%20over%20a%20service%20binding')).json(),
  },

  // ---------------------------------------------------------------- life
  'life: an error does not undo writes': {
    main: async ({ env, attempt }) => {
      const stub = env.FRAGILE.getByName('throws');
      return [await attempt(() => stub.putThenThrow()), await stub.read('kept')];
    },
  },
  'life: abort fails the call and drops its writes': {
    main: async ({ env, attempt }) => {
      const stub = env.FRAGILE.getByName('aborts');
      const first = await attempt(() => stub.abortAfterPut());
      return [first, await attempt(() => env.FRAGILE.getByName('aborts').read('lost'))];
    },
  },
  'life: a broken stub stays broken, a new one works': {
    main: async ({ env, attempt }) => {
      const stub = env.FRAGILE.getByName('breaks');
      await stub.isReady();
      const first = await attempt(() => stub.abortNow());
      const second = await attempt(() => stub.isReady());
      return [first, second, await env.FRAGILE.getByName('breaks').isReady()];
    },
  },
  'life: a throwing critical section resets the object': {
    main: async ({ env, attempt }) => {
      const stub = env.FRAGILE.getByName('section');
      return [await attempt(() => stub.blockAndThrow()), await attempt(() => stub.isReady()), await env.FRAGILE.getByName('section').isReady()];
    },
  },
  'life: a constructor that fails fails its callers': {
    main: async ({ env, attempt }) => {
      const stub = env.FRAGILE.getByName('constructor');
      await stub.poison();
      await attempt(() => stub.abortNow());
      return attempt(() => env.FRAGILE.getByName('constructor').isReady());
    },
  },

  // ---------------------------------------------------------------- key-value
  'kv: put, get, delete': both('kv: put, get, delete', {
    async inside({ storage }) {
      await storage.put('k', { a: 1 });
      return [await storage.get('k'), await storage.get('none'), await storage.delete('k'), await storage.delete('k'), await storage.get('k')];
    },
  }),
  'kv: several keys': both('kv: several keys', {
    async inside({ storage }) {
      await storage.put({ b: 2, a: 1, c: undefined });
      const map = await storage.get(['b', 'a', 'zz', 'a']);
      return [map instanceof Map, [...map], await storage.delete(['a', 'zz', 'b']), [...(await storage.list())]];
    },
  }),
  'kv: list options': both('kv: list options', {
    async inside({ storage }) {
      await storage.put({ a: 1, ab: 2, abc: 3, b: 4, c: 5, 'd\uffff': 6 });
      const keys = async (options) => [...(await storage.list(options)).keys()];
      return [
        await keys(),
        await keys({ prefix: 'ab' }),
        await keys({ start: 'ab', end: 'c' }),
        await keys({ startAfter: 'ab' }),
        await keys({ reverse: true, limit: 2 }),
        await keys({ start: 'x', end: 'a' }),
        await keys({ prefix: 'a', start: 'ab', limit: 1 }),
        await keys({ prefix: 'a', reverse: true, end: 'abc' }),
        await keys({ prefix: '' }),
        await keys({ prefix: 'd\uffff' }),
      ];
    },
  }),
  'kv: keys are ordered by UTF-8': both('kv: keys are ordered by UTF-8', {
    async inside({ storage }) {
      await storage.put({ '\u{1F4A5}': 1, '\uff5e': 2, z: 3, é: 4 });
      return [...(await storage.list()).keys()];
    },
  }),
  'kv: list refuses bad options': both('kv: list refuses bad options', {
    async inside({ storage }) {
      const out = [];
      for (const bad of [{ start: 'a', startAfter: 'b' }, { limit: 0 }, { limit: -1 }]) {
        try {
          out.push([...(await storage.list(bad))]);
        } catch (error) {
          out.push([error.name, error.message]);
        }
      }
      return out;
    },
  }),
  'kv: put of undefined': both('kv: put of undefined', { inside: ({ storage }) => storage.put('k', undefined) }),
  'kv: put without a value': both('kv: put without a value', { inside: ({ storage }) => storage.put('k') }),
  'kv: functions cannot be stored': both('kv: functions cannot be stored', { inside: ({ storage }) => storage.put('k', () => 1) }),
  'kv: class instances become plain objects': both('kv: class instances become plain objects', {
    async inside({ storage }) {
      class Point {
        x = 1;
        get y() {
          return 2;
        }
      }
      await storage.put('p', new Point());
      const back = await storage.get('p');
      return [back, Object.getPrototypeOf(back) === Object.prototype];
    },
  }),
  'kv: values are copies': both('kv: values are copies', {
    async inside({ storage }) {
      const value = { list: [1] };
      storage.put('v', value);
      value.list.push(2);
      const first = await storage.get('v');
      first.list.push(3);
      return [first, await storage.get('v')];
    },
  }),
  'kv: many types round trip': both('kv: many types round trip', {
    async inside({ storage }) {
      const values = [null, true, -0, NaN, 'text é 💥', 12345678901234567890n, new Date(7), new Map([['a', new Set([1])]]), new Uint8Array([9]), [1, , 2], new Error('e'), Object(1)];
      const out = [];
      for (const value of values) {
        await storage.put('t', value);
        const back = await storage.get('t');
        out.push([Object.prototype.toString.call(back), typeof back === 'bigint' ? String(back) : back instanceof Map ? [...back] : back instanceof Error ? back.message : Object.is(back, -0) ? 'minus zero' : back]);
      }
      return out;
    },
  }),
  'kv: keys become strings': both('kv: keys become strings', {
    async inside({ storage }) {
      await storage.put(5, 'five');
      return [await storage.get('5'), await storage.get(5)];
    },
  }),
  'kv: deleteAll': both('kv: deleteAll', {
    async inside({ storage }) {
      await storage.put({ a: 1, b: 2 });
      storage.sql.exec('CREATE TABLE t(x); INSERT INTO t VALUES (1)');
      await storage.deleteAll();
      const tables = storage.sql.exec("SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_cf\\_%' ESCAPE '\\'").toArray();
      return [[...(await storage.list())], tables, await storage.get('a')];
    },
  }),
  'kv: writes are seen at once without await': both('kv: writes are seen at once without await', {
    async inside({ storage }) {
      storage.put('n', 1);
      storage.put('n', 2);
      const seen = storage.get('n');
      storage.delete('n');
      return [await seen, await storage.get('n')];
    },
  }),
  'kv sync: the same table': both('kv sync: the same table', {
    async inside({ storage }) {
      storage.kv.put('s', [1]);
      await storage.put('t', 2);
      return [await storage.get('s'), storage.kv.get('t'), storage.kv.get('none'), [...storage.kv.list()], storage.kv.delete('s'), storage.kv.delete('s'), [...storage.kv.list({ reverse: true, limit: 1 })]];
    },
  }),

  // ---------------------------------------------------------------- SQL
  'sql: create, insert, select': both('sql: create, insert, select', {
    inside({ storage: { sql } }) {
      sql.exec('CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, score REAL)');
      sql.exec('INSERT INTO t(name, score) VALUES (?, ?), (?, ?)', 'a', 1.5, 'b', 2);
      const cursor = sql.exec('SELECT * FROM t ORDER BY id');
      return [cursor.columnNames, cursor.toArray(), cursor.columnNames];
    },
  }),
  'sql: cursor protocol': both('sql: cursor protocol', {
    inside({ storage: { sql } }) {
      const cursor = sql.exec('SELECT 1 AS a UNION ALL SELECT 2');
      const first = cursor.next();
      const rest = [...cursor];
      return [first, rest, cursor.next(), 'value' in cursor.next()];
    },
  }),
  'sql: one': both('sql: one', {
    inside({ storage: { sql } }) {
      const out = [sql.exec('SELECT 7 AS x').one()];
      for (const query of ['SELECT 1 WHERE 0', 'SELECT 1 UNION ALL SELECT 2']) {
        try {
          out.push(sql.exec(query).one());
        } catch (error) {
          out.push([error.name, error.message]);
        }
      }
      return out;
    },
  }),
  'sql: raw': both('sql: raw', {
    inside({ storage: { sql } }) {
      const cursor = sql.exec('SELECT 1 AS a, 2 AS a, 3 AS b');
      return [cursor.columnNames, cursor.raw().toArray(), sql.exec('SELECT 1 AS a, 2 AS a').toArray(), [...sql.exec('SELECT 1 UNION SELECT 2').raw()].map((r) => r[0])];
    },
  }),
  'sql: types in and out': both('sql: types in and out', {
    inside({ storage: { sql } }) {
      const row = sql.exec('SELECT ? AS a, ? AS b, ? AS c, ? AS d, ? AS e, typeof(?) AS f, ? AS g', null, 1, 1.5, 'x', new Uint8Array([1, 2]), 3, undefined).one();
      return [row.a, row.b, row.c, row.d, row.e instanceof ArrayBuffer, [...new Uint8Array(row.e)], row.f, row.g];
    },
  }),
  'sql: booleans and big integers': both('sql: booleans and big integers', {
    inside({ storage: { sql } }) {
      const out = [sql.exec('SELECT ? AS a', true).one().a];
      try {
        sql.exec('SELECT ?', 1n);
      } catch (error) {
        out.push([error.name, error.message]);
      }
      return [out, sql.exec('SELECT 9007199254740993 AS big').one().big];
    },
  }),
  'sql: wrong number of bindings': both('sql: wrong number of bindings', { inside: ({ storage }) => storage.sql.exec('SELECT ?, ?', 1).toArray() }),
  'sql: bindings only for the last statement': both('sql: bindings only for the last statement', {
    inside: ({ storage }) => storage.sql.exec('SELECT ?; SELECT 1', 1).toArray(),
  }),
  'sql: several statements': both('sql: several statements', {
    inside({ storage: { sql } }) {
      return sql.exec('CREATE TABLE m(x); INSERT INTO m VALUES (1); INSERT INTO m VALUES (2); SELECT sum(x) AS s FROM m').one();
    },
  }),
  'sql: no statement': both('sql: no statement', {
    inside({ storage: { sql } }) {
      return ['', ';', '-- only a comment', 'SELECT 1; -- tail', 'SELECT 1 ; \n\t ', '/* c */ SELECT 3'].map((text) => {
        try {
          return sql.exec(text).toArray();
        } catch (error) {
          return error.message;
        }
      });
    },
  }),
  'sql: errors have SQLite text and code': both('sql: errors have SQLite text and code', {
    inside({ storage: { sql } }) {
      sql.exec('CREATE TABLE u(id INTEGER PRIMARY KEY, n TEXT UNIQUE NOT NULL CHECK (length(n) > 1))');
      sql.exec("INSERT INTO u VALUES (1, 'aa')");
      return ['SELEC 1', 'SELECT * FROM nowhere', "INSERT INTO u VALUES (1, 'bb')", "INSERT INTO u VALUES (2, 'aa')", 'INSERT INTO u VALUES (3, NULL)', "INSERT INTO u VALUES (4, 'x')", "INSERT INTO u VALUES ('text', 'cc')"].map((text) => {
        try {
          return sql.exec(text).toArray();
        } catch (error) {
          return [error.name, error.message];
        }
      });
    },
  }),
  'sql: what is not allowed': both('sql: what is not allowed', {
    inside({ storage: { sql } }) {
      sql.exec('CREATE TABLE ok(x)');
      return ['BEGIN', 'COMMIT', 'SAVEPOINT s', "ATTACH 'x' AS y", 'PRAGMA journal_mode', 'PRAGMA user_version', 'SELECT * FROM _cf_KV', 'CREATE TABLE _cf_x(a)', 'CREATE TABLE _CF_x(a)', 'ALTER TABLE ok RENAME TO _cf_ok', 'CREATE TEMP TABLE t(a)', 'SELECT sqlite_version()', 'VACUUM', 'SELECT load_extension(1)'].map((text) => {
        try {
          return sql.exec(text).toArray();
        } catch (error) {
          return error.message;
        }
      });
    },
  }),
  'sql: what is allowed': both('sql: what is allowed', {
    inside({ storage: { sql } }) {
      sql.exec('CREATE TABLE a(x INTEGER PRIMARY KEY, y TEXT); CREATE INDEX i ON a(y); CREATE VIEW v AS SELECT x FROM a');
      return [
        sql.exec("INSERT INTO a(y) VALUES ('p') RETURNING x, y").toArray(),
        sql.exec("INSERT INTO a VALUES (1, 'q') ON CONFLICT(x) DO UPDATE SET y = excluded.y RETURNING y").toArray(),
        sql.exec('WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 4) SELECT sum(n) AS s FROM c').one(),
        sql.exec("SELECT json_extract('{\"a\":[1,2]}', '$.a[1]') AS j, upper('x') AS u, sqrt(4) AS q").one(),
        sql.exec('SELECT x, row_number() OVER (ORDER BY x) AS r FROM a').toArray(),
        sql.exec('PRAGMA table_info(a)').toArray().map((r) => r.name),
        sql.exec('PRAGMA foreign_keys').toArray(),
        sql.exec("SELECT name FROM pragma_table_info('a')").toArray(),
      ];
    },
  }),
  'sql: ALTER TABLE': both('sql: ALTER TABLE', {
    inside({ storage: { sql } }) {
      sql.exec('CREATE TABLE a(x INTEGER PRIMARY KEY, y TEXT)');
      sql.exec('ALTER TABLE a ADD COLUMN z TEXT');
      sql.exec('ALTER TABLE a RENAME COLUMN z TO w');
      sql.exec('ALTER TABLE a DROP COLUMN w');
      sql.exec('ALTER TABLE a RENAME TO b');
      return sql.exec("SELECT sql FROM sqlite_master WHERE name = 'b'").toArray();
    },
  }),
  'sql: FTS5': both('sql: FTS5', {
    inside({ storage: { sql } }) {
      sql.exec("CREATE VIRTUAL TABLE f USING fts5(body, tokenize='porter unicode61'); INSERT INTO f VALUES ('running dogs'), ('a cat')");
      return sql.exec("SELECT body FROM f WHERE f MATCH 'run'").toArray();
    },
  }),
  'sql: row counters': both('sql: row counters', {
    inside({ storage: { sql } }) {
      sql.exec('CREATE TABLE c(x)');
      const insert = sql.exec('INSERT INTO c VALUES (1), (2), (3)');
      const select = sql.exec('SELECT * FROM c');
      select.toArray();
      return [insert.rowsWritten, select.rowsRead, select.rowsWritten];
    },
  }),
  'sql: a cursor survives other statements': both('sql: a cursor survives other statements', {
    inside({ storage: { sql } }) {
      sql.exec('CREATE TABLE w(x); INSERT INTO w VALUES (1), (2), (3)');
      const cursor = sql.exec('SELECT x FROM w ORDER BY x');
      const first = cursor.next().value.x;
      const same = sql.exec('SELECT x FROM w ORDER BY x').toArray().length;
      return [first, same, cursor.next().value.x, [...cursor].map((r) => r.x)];
    },
  }),
  'sql: foreign keys are on': both('sql: foreign keys are on', {
    inside({ storage: { sql } }) {
      sql.exec('CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE k(p REFERENCES p(id))');
      sql.exec('INSERT INTO k VALUES (9)');
    },
  }),
  'sql: databaseSize grows': both('sql: databaseSize grows', {
    inside({ storage: { sql } }) {
      sql.exec('CREATE TABLE s1(x)');
      const before = sql.databaseSize;
      sql.exec('CREATE TABLE s2(x)');
      return [sql.databaseSize - before, before % 4096];
    },
  }),

  // ---------------------------------------------------------------- transactions
  'txn: transactionSync commits and returns': both('txn: transactionSync commits and returns', {
    inside({ storage }) {
      storage.sql.exec('CREATE TABLE ts(x)');
      const value = storage.transactionSync(() => {
        storage.sql.exec('INSERT INTO ts VALUES (1)');
        return 'done';
      });
      return [value, storage.sql.exec('SELECT * FROM ts').toArray()];
    },
  }),
  'txn: transactionSync rolls back when it throws': both('txn: transactionSync rolls back when it throws', {
    async inside({ storage }) {
      storage.sql.exec('CREATE TABLE tr(x)');
      storage.sql.exec('INSERT INTO tr VALUES (0)');
      let message;
      try {
        storage.transactionSync(() => {
          storage.sql.exec('INSERT INTO tr VALUES (1)');
          storage.kv.put('k', 1);
          storage.transactionSync(() => storage.sql.exec('INSERT INTO tr VALUES (2)'));
          throw new Error('no');
        });
      } catch (error) {
        message = error.message;
      }
      return [message, storage.sql.exec('SELECT x FROM tr').toArray(), await storage.get('k')];
    },
  }),
  'txn: transaction commits': both('txn: transaction commits', {
    async inside({ storage }) {
      const value = await storage.transaction(async (txn) => {
        await txn.put('a', 1);
        await storage.put('b', 2);
        return [...(await txn.list())];
      });
      return [value, [...(await storage.list())]];
    },
  }),
  'txn: transaction rolls back when it throws': both('txn: transaction rolls back when it throws', {
    async inside({ storage }) {
      await storage.put('a', 0);
      let message;
      try {
        await storage.transaction(async (txn) => {
          await txn.put('a', 1);
          await storage.put('b', 2);
          throw new TypeError('no');
        });
      } catch (error) {
        message = [error.name, error.message];
      }
      return [message, [...(await storage.list())]];
    },
  }),
  'txn: rollback()': both('txn: rollback()', {
    async inside({ storage }) {
      let after;
      const result = await storage.transaction(async (txn) => {
        await txn.put('a', 1);
        txn.rollback();
        try {
          await txn.get('a');
        } catch (error) {
          after = error.message;
        }
        return 'returned';
      });
      return [result, after, [...(await storage.list())]];
    },
  }),
  'txn: used after its end': both('txn: used after its end', {
    async inside({ storage }) {
      let kept;
      await storage.transaction(async (txn) => {
        kept = txn;
      });
      try {
        await kept.get('a');
      } catch (error) {
        return error.message;
      }
    },
  }),
  'txn: deleteAll is refused': both('txn: deleteAll is refused', { inside: ({ storage }) => storage.transaction((txn) => txn.deleteAll()) }),
  'txn: nested': both('txn: nested', {
    async inside({ storage }) {
      await storage.transaction(async (outer) => {
        await outer.put('o', 1);
        try {
          await storage.transaction(async (inner) => {
            await inner.put('i', 2);
            throw new Error('inner');
          });
        } catch {
          await outer.put('c', 3);
        }
      });
      return [...(await storage.list())];
    },
  }),

  // ---------------------------------------------------------------- gates
  'gate: concurrent increments lose nothing': {
    main: async ({ stub, name }) => {
      await Promise.all(Array.from({ length: 25 }, () => stub.run(name, 'increment')));
      return stub.run(name, 'value');
    },
    async increment({ storage }) {
      const n = (await storage.get('n')) ?? 0;
      await storage.put('n', n + 1);
    },
    value: ({ storage }) => storage.get('n'),
  },
  'gate: a timer lets other events in': {
    main: async ({ stub, name }) => {
      await Promise.all([stub.run(name, 'slow', 'a'), stub.run(name, 'fast', 'b')]);
      return stub.run(name, 'log');
    },
    async slow(ctx, tag) {
      this.log.push(tag + 1);
      await new Promise((resolve) => setTimeout(resolve, 30));
      this.log.push(tag + 2);
    },
    fast(ctx, tag) {
      this.log.push(tag);
    },
    log() {
      return this.log;
    },
  },
  'gate: blockConcurrencyWhile keeps events out': {
    main: async ({ stub, name }) => {
      await Promise.all([stub.run(name, 'slow', 'a'), stub.run(name, 'fast', 'b')]);
      return stub.run(name, 'log');
    },
    async slow(ctx, tag) {
      const value = await ctx.blockConcurrencyWhile(async () => {
        this.log.push(tag + 1);
        await new Promise((resolve) => setTimeout(resolve, 30));
        this.log.push(tag + 2);
        return tag + 3;
      });
      this.log.push(value);
    },
    fast(ctx, tag) {
      this.log.push(tag);
    },
    log() {
      return this.log;
    },
  },
  'gate: a transaction keeps events out': {
    main: async ({ stub, name }) => {
      await Promise.all([stub.run(name, 'slow'), stub.run(name, 'fast')]);
      return stub.run(name, 'log');
    },
    async slow({ storage }) {
      await storage.transaction(async (txn) => {
        this.log.push('t1');
        await new Promise((resolve) => setTimeout(resolve, 20));
        this.log.push('t2');
      });
      this.log.push('t3');
    },
    fast() {
      this.log.push('f');
    },
    log() {
      return this.log;
    },
  },
  'gate: sync resolves': both('gate: sync resolves', {
    async inside({ storage }) {
      storage.put('x', 1, { allowUnconfirmed: true });
      return [await storage.sync(), await storage.get('x')];
    },
  }),
  'gate: waitUntil goes on after the response': {
    main: async ({ stub, name }) => {
      await stub.run(name, 'start');
      await new Promise((resolve) => setTimeout(resolve, 60));
      return stub.run(name, 'read');
    },
    start(ctx) {
      ctx.waitUntil(
        (async () => {
          await new Promise((resolve) => setTimeout(resolve, 20));
          await ctx.storage.put('later', true);
        })(),
      );
    },
    read: ({ storage }) => storage.get('later'),
  },

  // ---------------------------------------------------------------- alarms
  'alarm: set, get, delete': both('alarm: set, get, delete', {
    async inside({ storage }) {
      const at = Date.now() + 3600_000;
      const before = await storage.getAlarm();
      await storage.setAlarm(at);
      const set = (await storage.getAlarm()) === at;
      await storage.setAlarm(new Date(at + 1));
      const moved = (await storage.getAlarm()) === at + 1;
      await storage.deleteAlarm();
      return [before, set, moved, await storage.getAlarm()];
    },
  }),
  'alarm: bad times': both('alarm: bad times', {
    async inside({ storage }) {
      const out = [];
      for (const bad of [0, -1, NaN, new Date('x')]) {
        try {
          await storage.setAlarm(bad);
          out.push('accepted');
        } catch (error) {
          out.push([error.name, error.message]);
        }
      }
      return out;
    },
  }),
  'alarm: fires once, sees no alarm, can set another': {
    main: async ({ stub, name }) => {
      await stub.run(name, 'arm');
      for (let i = 0; i < 100; i++) {
        const fired = await stub.run(name, 'fired');
        if (fired.length >= 2) return fired;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return 'did not fire twice';
    },
    async arm({ storage }) {
      await storage.put('again', true);
      await storage.setAlarm(Date.now() + 20);
    },
    fired: async ({ storage }) => (await storage.get('fired')) ?? [],
  },
  'alarm: needs a handler': {
    main: async ({ env, attempt }) => attempt(() => env.OTHER.getByName('no-alarm').hello()),
  },
  'alarm: is rolled back with its transaction': both('alarm: is rolled back with its transaction', {
    async inside({ storage }) {
      const at = Date.now() + 3600_000;
      await storage.setAlarm(at);
      await storage.transaction(async (txn) => {
        await txn.setAlarm(at + 5);
        txn.rollback();
      });
      return (await storage.getAlarm()) === at;
    },
  }),
};

export const cases = {
  ...definitions,
  ...rpcCases,
  ...storageCases,
  ...gateCases,
  ...lifeCases,
  ...webSocketCases,
  ...networkCases,
  ...alarmCases,
};
