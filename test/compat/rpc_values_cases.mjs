// Values over RPC: what arrives as an argument, what comes back as a result, what is refused.
import { brief, briefs, look, outcome } from './show.mjs';

const definitions = {};

// Each value travels as an argument (what the callee sees, what comes back from it) and as the result of a call, to an
// object and to an entrypoint.
function value(what, make) {
  const name = `rpc value: ${what}`;
  definitions[name] = {
    main: async ({ object, env, lib }) => {
      const here = () => make.call({ lib });
      return [
        await outcome(() => object.run(name, 'see', here())),
        await outcome(() => object.echo(here())),
        await outcome(() => object.run(name, 'make')),
        await outcome(() => env.CALLS.run(name, 'see', here())),
        await outcome(() => env.CALLS.run(name, 'make')),
      ];
    },
    see: (given) => look(given),
    make,
  };
}

value('numbers', () => [0, -0, NaN, Infinity, -Infinity, 2 ** 31, -(2 ** 31), 2 ** 53 - 1, 1e308, 5e-324, 1.1]);
value('minus zero alone', () => -0);
value('undefined, null and booleans', () => [undefined, null, true, false, { u: undefined }]);
value('nothing but undefined', () => undefined);
value('strings', () => ['', 'ascii', 'é', '💥', '\ud800', '\udc00x', '\0', 'a\0b', '\u2028', 'x'.repeat(70_000)]);
value('big integers', () => [0n, -0n, 1n, -1n, 2n ** 63n, -(2n ** 64n), 10n ** 40n, Object(7n)]);
value('boxed primitives', () => [new Number(-0), new String('boxed'), new Boolean(false), Object(5n)]);
value('dates', () => [new Date(0), new Date(-1), new Date(8.64e15), new Date(NaN)]);
value('regular expressions', () => {
  const sticky = /a(?<n>b)\/[/]/giuy;
  sticky.lastIndex = 5;
  return [sticky, /(?:)/, /\n/s, /[\p{L}--[a-z]]/v, /x/d];
});
value('maps and sets', () => new Map([[1, new Set(['a', new Map()])], [{ k: 1 }, null], [NaN, -0], ['', undefined], [new Set(), new Set([new Set()])]]));
value('sparse arrays', () => [1, , 3, , ,]);
value('long sparse arrays', () => Object.assign(new Array(1000), { 999: 'end' }));
value('arrays with more properties', () => Object.assign([1, 2], { extra: 'x', '-1': 'y', 1.5: 'z' }));
value('objects with odd keys', () => ({ '': 1, '0': 2, '-1': 3, ['__proto__']: 'own', 'a b': 4, é: 5, then: 6, toString: 7, constructor: 8 }));
value('order of keys', () => ({ b: 1, a: 2, 10: 3, 9: 4, c: { z: 1, y: 2 } }));
value('symbol keys and hidden properties', () => Object.defineProperty({ [Symbol('s')]: 1, shown: 1 }, 'hidden', { value: 2, enumerable: false }));
value('accessors', () => ({
  get computed() {
    return 'by a getter';
  },
  set written(v) {},
}));
value('an accessor that throws', () => ({
  get broken() {
    throw new RangeError('getter of a value');
  },
}));
value('frozen objects', () => Object.freeze({ a: Object.freeze([1]) }));
value('objects without a prototype', () => Object.assign(Object.create(null), { a: 1 }));
value('an object inside, without a prototype', () => ({ inner: Object.assign(Object.create(null), { a: 1 }) }));
value('an object that inherits from an object', () => Object.create({ inherited: 1 }, { own: { value: 2, enumerable: true } }));
value('cycles', () => {
  const a = { name: 'a', list: [] };
  a.self = a;
  a.list.push(a, a.list);
  a.map = new Map([[a, a]]);
  a.set = new Set([a.map]);
  return a;
});
value('the same thing twice', () => {
  const shared = { x: 1 };
  const date = new Date(5);
  return [shared, { shared }, date, date, [shared]];
});
value('deep nesting', () => {
  let deep = 'end';
  for (let i = 0; i < 60; i++) deep = i % 2 === 0 ? [deep] : { deep };
  return deep;
});
value('array buffers', () => [new Uint8Array([1, 2, 3]).buffer, new ArrayBuffer(0), new ArrayBuffer(100_000)]);
value('a resizable array buffer', () => {
  const buffer = new ArrayBuffer(4, { maxByteLength: 16 });
  new Uint8Array(buffer).set([1, 2, 3, 4]);
  return [buffer, new Uint8Array(buffer), new Uint8Array(buffer, 1, 2)];
});
value('typed arrays of every kind', () => [
  new Int8Array([-1]), new Uint8Array([1]), new Uint8ClampedArray([300]), new Int16Array([-2]), new Uint16Array([500]), new Int32Array([-3]), new Uint32Array([3]),
  new Float32Array([1.5]), new Float64Array([2.5]), new BigInt64Array([-4n]), new BigUint64Array([4n]), new DataView(new Uint8Array([5, 6]).buffer),
]);
value('typed arrays with an offset', () => {
  const { buffer } = new Uint8Array([0, 1, 2, 3, 4, 5, 6, 7]);
  return [new Uint8Array(buffer, 2, 3), new Uint16Array(buffer, 2, 2), new DataView(buffer, 4, 2), buffer];
});
value('a small view of a large buffer', () => new Uint8Array(new ArrayBuffer(10_000), 5_000, 2));
value('typed arrays with more properties', () => Object.assign(new Uint8Array([1]), { extra: 1 }));
value('a shared array buffer', () => new SharedArrayBuffer(4));
value('a detached array buffer', () => {
  const buffer = new ArrayBuffer(8);
  buffer.transfer();
  return buffer;
});
value('a view of a detached array buffer', () => {
  const view = new Uint8Array(8);
  view.buffer.transfer();
  return view;
});
value('errors', () => [new Error('e'), new TypeError('t'), new RangeError('r'), new SyntaxError('s'), new ReferenceError('f'), new EvalError('v'), new URIError('u'), new Error('')]);
value('an error with a cause and properties', () => Object.assign(new Error('outer', { cause: new TypeError('inner', { cause: 'text' }) }), { code: 'E_CODE', detail: { list: [1, new Date(1)] } }));
value('an error with an odd name', () => Object.assign(new Error('named'), { name: 'OddError' }));
value('an error of an own class', () => new (class OwnError extends RangeError {
  name = 'OwnError';
  extra = 1;
})('own'));
value('an aggregate error', () => new AggregateError([new Error('first'), 'second'], 'several'));
value('an error without a message', () => {
  const error = new TypeError();
  delete error.message;
  return error;
});
value('an error whose message is no text', () => Object.assign(new Error('m'), { message: { not: 'text' } }));
value('an error with what cannot be cloned', () => Object.assign(new Error('bad property'), { symbol: Symbol('s'), weak: new WeakMap(), good: 1 }));
value('a DOMException', () => [new DOMException('text', 'AbortError'), new DOMException('own name', 'OwnName'), new DOMException()]);
value('symbols', () => Symbol('s'));
value('a symbol inside', () => ({ in: [Symbol.iterator] }));
value('weak collections', () => ({ map: new WeakMap() }));
value('a weak set', () => new WeakSet());
value('a weak reference', () => new WeakRef({}));
value('a promise inside', () => ({ later: Promise.resolve(1) }));
value('a rejected promise as the value', () => Promise.reject(new TypeError('rejected')));
value('a generator', () => (function* () {})());
value('iterators', () => [[].values()]);
value('instances of a class', () => new (class Point {
  x = 1;
})());
value('an instance of a class inside', () => ({ list: [new (class Point {})()] }));
value('an instance of an anonymous class', () => new (class {})());
value('an instance of a subclass of Map', () => new (class Registry extends Map {})([['k', 1]]));
value('an instance of a subclass of Array', () => (class List extends Array {}).of(1, 2));
value('an instance of a subclass of Date', () => new (class Day extends Date {})(5));
value('an instance of a subclass of Uint8Array', () => (class Bytes extends Uint8Array {}).of(1, 2));
value('the global object', () => globalThis);
value('Intl and Temporal objects', () => new Intl.NumberFormat('en'));
value('Math itself', () => Math);
value('arguments objects', function () {
  return (function () {
    return arguments;
  })(1, 2);
});
value('a URL', () => new URL('http://x/'));
value('URLSearchParams', () => new URLSearchParams('a=1'));
value('a FormData', () => new FormData());
value('a TextEncoder', () => new TextEncoder());
value('an Event', () => new Event('e'));
value('an AbortController', () => new AbortController());
value('a WebSocket', () => new WebSocketPair()[0]);

const text = (blob) => blob.text();
Object.assign(definitions, {
  'rpc value: headers': {
    main: async ({ object, call }) => [[...(await object.echo(new Headers({ b: '1', A: '2' })))], await call('see', new Headers([['x', '1'], ['x', '2'], ['set-cookie', 'a'], ['set-cookie', 'b']]))],
    see: (headers) => [headers instanceof Headers, [...headers], headers.getSetCookie()],
  },
  'rpc value: a blob': {
    main: async ({ object, call }) => {
      const blob = await object.echo(new Blob(['some ', 'text'], { type: 'text/x' }));
      return [blob.constructor.name, blob.size, blob.type, await text(blob), await call('see', new Blob([]))];
    },
    see: async (blob) => [blob instanceof Blob, blob.size, blob.type, await blob.text()],
  },
  'rpc value: a file': {
    main: ({ object }) =>
      outcome(async () => {
        const file = await object.echo(new File(['bytes'], 'name.txt', { type: 'text/plain', lastModified: 5 }));
        return [file instanceof File, file instanceof Blob, file.name, file.lastModified, file.size, await text(file)];
      }),
  },
  'rpc value: a slice of a blob': {
    main: async ({ object }) => text(await object.echo(new Blob(['0123456789']).slice(2, 5))),
  },
  'rpc value: ids, namespaces and storage': {
    main: async ({ object, env, call }) =>
      [...(await briefs(() => object.echo(env.RPC.idFromName('x')), () => object.echo(env.RPC))), ...(await briefs(() => call('id'), () => call('storage'), () => call('ctx'), () => call('env')))],
    id() {
      return this.ctx.id;
    },
    storage() {
      return this.ctx.storage;
    },
    ctx() {
      return this.ctx;
    },
    env() {
      return Object.keys(this.env).length;
    },
  },
  'rpc value: many arguments': {
    main: async ({ object }) => {
      const many = await object.echoAll(...Array.from({ length: 1000 }, (_, i) => i));
      return [many.length, many[999], await object.echoAll(), look(await object.echoAll(undefined)), look(await object.echoAll(1, undefined))];
    },
  },
  'rpc value: arguments are taken at the call': {
    main: async ({ object }) => {
      const given = { list: [1] };
      const back = object.echo(given);
      given.list.push(2);
      return back;
    },
  },
  'rpc value: results are taken at the end of the method': {
    main: async ({ call }) => [await call('change'), await call('seen')],
    change() {
      this.given = { list: [1] };
      queueMicrotask(() => this.given.list.push('microtask'));
      setTimeout(() => this.given.list.push('timer'));
      return this.given;
    },
    seen() {
      return this.given.list.slice(0, 2);
    },
  },
  'rpc value: a result is a copy': {
    main: async ({ call }) => {
      const first = await call('state');
      first.list.push('mine');
      return [first, await call('state')];
    },
    state() {
      this.shared ??= { list: [1] };
      return this.shared;
    },
  },
  'rpc value: identity in one message': {
    main: async ({ object }) => {
      const shared = {};
      const [a, b, { c }] = await object.echoAll(shared, shared, { c: shared });
      return [a === b, b === c];
    },
  },
  'rpc value: bytes are not taken from the sender': {
    main: async ({ object }) => {
      const bytes = new Uint8Array([1, 2, 3]);
      const back = await object.echo(bytes);
      back[0] = 9;
      return [bytes.length, bytes[0], bytes.buffer.detached];
    },
  },
  'rpc value: prototypes of what arrives': {
    main: async ({ object }) => {
      const [o, a, d, m, e, u] = await object.echo([{}, [], new Date(1), new Map(), new TypeError('t'), new Uint8Array(1)]);
      return [o instanceof Object, Object.getPrototypeOf(o) === Object.prototype, Array.isArray(a), d instanceof Date, m instanceof Map, e instanceof TypeError, u instanceof Uint8Array];
    },
  },
  'rpc value: own dispose of a result': {
    main: async ({ object }) => {
      const results = await Promise.all([object.echo({}), object.echo([]), object.echo(1), object.echo('s'), object.echo(new Date(1)), object.echo(new Map()), object.echo(null), object.echo(undefined), object.echo({ inner: {} })]);
      return results.map((result) => {
        const descriptor = result === null || result === undefined ? undefined : Object.getOwnPropertyDescriptor(result, Symbol.dispose);
        return descriptor === undefined ? (result?.[Symbol.dispose] === undefined ? 'none' : 'inherited') : [typeof descriptor.value, descriptor.enumerable, descriptor.writable, descriptor.configurable, Object.getOwnPropertySymbols(result).length];
      });
    },
  },
  'rpc value: no dispose inside of a result or on an argument': {
    main: async ({ object, call }) => {
      const result = await object.echo({ inner: { deep: [] } });
      return [typeof result[Symbol.dispose], typeof result.inner[Symbol.dispose], typeof result.inner.deep[Symbol.dispose], await call('see', {}, [])];
    },
    see: (a, b) => [typeof a[Symbol.dispose], typeof b[Symbol.dispose]],
  },
  'rpc value: a result that has its own dispose': {
    main: async ({ call }) => outcome(() => call('make')),
    make: () => ({ a: 1, [Symbol.dispose]() {} }),
  },
  'rpc value: 32 MiB in arguments': {
    main: async ({ object, call }) => [await call('size', new Uint8Array(32 * 1024 * 1024 - 100)), await brief(() => object.echo(new Uint8Array(32 * 1024 * 1024))), await brief(() => call('size', 'x'.repeat(32 * 1024 * 1024))), await object.add(1, 1)],
    size: (bytes) => bytes.length,
  },
  'rpc value: 32 MiB in results': {
    main: async ({ call, object }) => [(await call('make', 32 * 1024 * 1024 - 100)).length, await brief(() => call('make', 32 * 1024 * 1024)), await brief(() => call('twoByte')), await object.add(1, 1)],
    make: (size) => new Uint8Array(size),
    twoByte: () => '💥'.repeat(8 * 1024 * 1024),
  },
  'rpc value: 32 MiB of many parts': {
    main: ({ object }) => briefs(() => object.echoAll(...Array.from({ length: 33 }, () => new Uint8Array(1024 * 1024))).then((list) => list.length)),
  },
  'rpc value: thenables': {
    main: async ({ object, call }) =>
      briefs(
        () => object.echo({ then: 5 }),
        () => object.echo({ then: (resolve) => resolve('resolved by a callback') }),
        () => call('thenable'),
        () => call('failing'),
        () => call('late'),
        () => call('inside').then(look),
      ),
    thenable: () => ({ then: (resolve) => resolve({ resolved: 'by a thenable' }) }),
    failing: () => ({ then: (resolve, reject) => reject(new RangeError('rejected by a thenable')) }),
    late: () => new Promise((resolve) => setTimeout(resolve, 5, 'late')),
    inside: () => ({ list: [{ then: 1 }] }),
  },
  'rpc value: proxies of plain kinds': {
    main: async ({ object, call }) =>
      briefs(
        () => object.echo(new Proxy({ a: 1 }, {})),
        () => object.echo(new Proxy([1], {})),
        () => object.echo(new Proxy(new Map(), {})),
        () => object.echo(new Proxy(new Date(1), {})),
        () => object.echo(new Proxy(() => 5, {}))
          .then((f) => f()),
        () => object.echo({ inner: new Proxy({ a: 1 }, {}) }),
        () => object.echo(new Proxy({}, { getPrototypeOf: () => null })),
        () => object.echo(new Proxy({}, { getPrototypeOf: () => Map.prototype })),
        () => object.echo(Proxy.revocable({}, {}).proxy),
        () => call('revoked'),
      ),
    revoked() {
      const { proxy, revoke } = Proxy.revocable({}, {});
      revoke();
      return { proxy };
    },
  },
  'rpc value: a proxy of a plain object is a stub': {
    main: async ({ call }) => {
      using plain = await call('make');
      return await briefs(() => plain.proxy.a, () => plain.proxy.f(1), () => plain.proxy.virtual, () => plain.proxy.missing, () => plain.proxy.run(3), () => look(plain.proxy));
    },
    make: () => ({ proxy: new Proxy({ a: 1, f: (x) => ['f', x] }, { get: (target, key) => (key in target ? target[key] : `made up: ${String(key)}`), has: () => true }) }),
  },
  'rpc value: a proxy of a target': {
    main: async ({ call }) => {
      using plain = await call('make');
      return await briefs(() => plain.proxy.increment(), () => plain.proxy.virtual, () => plain.proxy.virtual(), () => plain.proxy.value, () => plain.proxy.constructor('x'));
    },
    make() {
      const target = new this.lib.Counter(5);
      return { proxy: new Proxy(target, { get: (_, key) => (key === 'virtual' ? () => 'virtual method' : typeof target[key] === 'function' ? target[key].bind(target) : target[key]) }) };
    },
  },
  'rpc value: a proxy that pretends to be a target': {
    main: async ({ call }) => {
      using plain = await call('make');
      return await briefs(() => plain.proxy.anything(1, 2), () => plain.proxy.other, () => look(plain.proxy));
    },
    make() {
      return { proxy: new Proxy({}, { getPrototypeOf: () => this.lib.RpcTarget.prototype, get: (_, key) => (...args) => [String(key), ...args] }) };
    },
  },
});

export const rpcValuesCases = definitions;
