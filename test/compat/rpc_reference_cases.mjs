// Functions, targets and stubs that travel: callbacks, identity, and what RpcStub is.
import { brief, briefs, look, lookAtError, sleep, until } from './show.mjs';

// In a case, `call(part)` runs the part inside of the object; there `this` is the object, and `this.lib` what
// cloudflare:workers exports.
export const rpcReferenceCases = {
  // ---------------------------------------------------------------- callbacks
  'rpc callback: during the call': {
    main: ({ object }) => briefs(() => object.callBack((a, b) => a + b, 1, 2), () => object.callBack(async (x) => ({ later: x }), 'x'), () => object.callBack(() => {}), () => object.callBack(() => undefined)),
  },
  'rpc callback: several times and at once': {
    main: async ({ call }) => {
      const seen = [];
      const result = await call('use', (x) => {
        seen.push(x);
        return x * 2;
      });
      return [result, seen];
    },
    use: (f) => Promise.all([f(1), f(2), f(3), f(4)]),
  },
  'rpc callback: in every place of a value': {
    main: ({ call }) => call('use', { f: () => 'in an object', list: [() => 'in a list'] }, new Map([['k', () => 'in a map']]), new Set([() => 'in a set']), () => 'alone'),
    use: async ({ f, list }, map, set, alone) => [await f(), await list[0](), await map.get('k')(), await [...set][0](), await alone()],
  },
  'rpc callback: throws': {
    main: ({ object }) =>
      briefs(
        () =>
          object.callBack(() => {
            throw new RangeError('from a callback');
          }),
        () => object.callBack(async () => Promise.reject(new TypeError('later'))),
        () =>
          object.callBack(() => {
            throw 'text';
          }),
      ),
  },
  'rpc callback: its error is caught by the callee': {
    main: ({ call }) =>
      call('use', () => {
        throw Object.assign(new RangeError('from a callback'), { code: 7 });
      }),
    use: async (f) => {
      try {
        return await f();
      } catch (error) {
        return lookAtError(error);
      }
    },
  },
  'rpc callback: a target as an argument': {
    main: async ({ call, lib }) => {
      const counter = new lib.Counter(1);
      return [await call('use', counter), counter.value];
    },
    use: async (counter) => [await counter.increment(), await counter.increment(5), await counter.value, look(counter)],
  },
  'rpc callback: calls back into the object that waits': {
    main: async ({ object }) => object.callBack(async (n) => [await object.note(n), await object.noted()], 'from the callback'),
  },
  'rpc callback: there and back many times': {
    main: async ({ call }) => {
      const seen = [];
      const ping = (n, pong) => {
        seen.push(n);
        return n === 0 ? 'done' : pong(n - 1);
      };
      return [await call('pong', 5, ping), seen];
    },
    pong(n, ping) {
      const pong = (m) => ping(m, pong);
      return ping(n, pong);
    },
  },
  'rpc callback: gets a callback as its argument': {
    main: ({ call }) => call('use', async (inner) => `outer of ${await inner('x')}`),
    use: (f) => f((x) => `inner of ${x}`),
  },
  'rpc callback: returns a function': {
    main: async ({ call }) => call('use', (x) => (y) => x + y),
    use: async (f) => {
      using add = await f(1);
      return [await add(2), await add(3)];
    },
  },
  'rpc callback: after the call, without dup()': {
    main: async ({ call }) => {
      await call('keep', () => 'called');
      return call('later');
    },
    keep(f) {
      this.stub = f;
    },
    later() {
      return brief(() => this.stub());
    },
  },
  'rpc callback: after the call, with dup()': {
    main: async ({ object }) => {
      await object.keep('f', (x) => ['called', x]);
      const out = await briefs(() => object.callKept('f', 1), () => object.callKept('f', 2));
      await object.letGo('f');
      return out;
    },
  },
  'rpc callback: in waitUntil, without dup()': {
    main: async ({ call, object }) => {
      await call('start', () => 'called');
      return object.noted(1);
    },
    start(f) {
      this.ctx.waitUntil(sleep(20).then(async () => this.trace.push(await brief(() => f()))));
    },
  },
  'rpc callback: to a function of another object': {
    main: async ({ env, name }) => {
      const [a, b] = ['a', 'b'].map((which) => env.RPC.getByName(`${name} ${which}`));
      using f = await a.run(name, 'make', 'from a');
      return [await f(1), await b.callBack(f, 2), await b.callBack(f, 3)];
    },
    make: (text) => (x) => [text, x],
  },
  'rpc callback: stays when its caller has passed it on': {
    main: async ({ env, name }) => {
      const [a, b] = ['a', 'b'].map((which) => env.RPC.getByName(`${name} ${which}`));
      await a.run(name, 'pass', b, (x) => ['main', x]);
      return [await b.callKept('f', 1), await b.callKept('f', 2), await b.letGo('f')];
    },
    async pass(other, f) {
      await other.keep('f', f);
    },
  },
  'rpc callback: order of calls': {
    main: async ({ call }) => {
      const seen = [];
      await call('use', (x) => void seen.push(x));
      return seen;
    },
    async use(f) {
      await Promise.all(Array.from({ length: 20 }, (_, i) => f(i)));
    },
  },
  'rpc callback: is called and not awaited': {
    main: async ({ call }) => {
      const seen = [];
      const result = await call('use', (x) => void seen.push(x));
      await until(() => seen.length === 3);
      return [result, seen];
    },
    use(f) {
      f(1);
      f(2);
      f(3);
      return 'returned';
    },
  },
  'rpc callback: an entrypoint calls it': {
    main: ({ env }) => briefs(() => env.CALLS.callBack((x) => x + 1, 1), () => env.CALLS.callBack(() => env.CALLS.add(1, 2))),
  },

  // ---------------------------------------------------------------- identity
  'rpc identity: the same function twice': {
    main: async ({ call }) => {
      const f = () => 'f';
      return call('see', f, f, { f });
    },
    see: async (a, b, { f }) => [a === b, a === f, await a(), await b(), await f()],
  },
  'rpc identity: a function that comes home is a stub': {
    main: async ({ object }) => {
      const f = () => 'home';
      using back = await object.echo(f);
      return [back === f, look(back), await back()];
    },
  },
  'rpc identity: a target that comes home is a stub': {
    main: async ({ object, lib }) => {
      const counter = new lib.Counter(3);
      using back = await object.echo(counter);
      return [back === counter, look(back), await back.increment(), counter.value, back instanceof lib.RpcStub, back instanceof lib.RpcTarget, back instanceof lib.Counter];
    },
  },
  'rpc identity: a target that returns itself': {
    main: async ({ object }) => {
      using counter = await object.counter(1);
      using same = await counter.self();
      return [counter === same, await same.increment(), await counter.increment(), await counter.value];
    },
  },
  'rpc identity: cycles through stubs': {
    main: async ({ call }) => {
      using ring = await call('make');
      return [ring.self === ring, ring.list[0] === ring, await ring.f()];
    },
    make() {
      const ring = { f: () => 'f', list: [] };
      ring.self = ring;
      ring.list.push(ring);
      return ring;
    },
  },

  // ---------------------------------------------------------------- RpcStub
  'rpc stub: what can be wrapped': {
    main: ({ lib: { RpcStub, Counter }, env }) =>
      briefs(
        () => look(new RpcStub({ a: 1 })),
        () => look(new RpcStub(() => 1)),
        () => look(new RpcStub(new Counter())),
        () => new RpcStub(5),
        () => new RpcStub('text'),
        () => new RpcStub(null),
        () => new RpcStub(undefined),
        () => new RpcStub(),
        () => new RpcStub([1]),
        () => new RpcStub(new Map()),
        () => new RpcStub(new Date()),
        () => new RpcStub(new (class Own {})()),
        () => new RpcStub(Object.create(null)),
        () => new RpcStub(Promise.resolve(1)),
        () => new RpcStub(Symbol('s')),
        () => look(new RpcStub(class {})),
        () => new RpcStub(env.RPC),
        () => new RpcStub(env.CALLS),
        () => new RpcStub(new RpcStub(() => 1)),
        () => look(new RpcStub(new Proxy({}, {}))),
        () => new RpcStub(new Proxy([], {})),
        () => RpcStub({}),
      ),
  },
  'rpc stub: used where it was made': {
    main: async ({ lib: { RpcStub, Counter } }) => {
      using f = new RpcStub((x) => ['f', x]);
      using counter = new RpcStub(new Counter(1));
      using plain = new RpcStub({ n: 1, f: (x) => x + 1, deep: { er: 2 } });
      return await briefs(() => f(1), () => counter.increment(), () => counter.value, () => plain.n, () => plain.f(1), () => plain.deep.er, () => plain.missing(), () => counter.fail('failed'), () => f({ copied: [1] }));
    },
  },
  'rpc stub: values are copied even at home': {
    main: async ({ lib: { RpcStub } }) => {
      const given = { list: [1] };
      let inside;
      using f = new RpcStub((x) => (inside = x));
      const back = await f(given);
      return [inside === given, back === inside, look(back)];
    },
  },
  'rpc stub: classes and constructors': {
    main: ({ lib: { RpcStub, RpcPromise, RpcProperty, RpcTarget, ServiceStub }, env, object }) =>
      briefs(
        () => [RpcStub, RpcPromise, RpcProperty, RpcTarget, ServiceStub].map((c) => [typeof c, c.name, c.length]),
        () => new RpcPromise(),
        () => new RpcProperty(),
        () => new ServiceStub(),
        () => look(new RpcTarget()),
        () => RpcTarget(),
        () => [env.CALLS instanceof ServiceStub, object instanceof ServiceStub, object instanceof RpcStub, new RpcStub(() => 1) instanceof RpcStub, new RpcStub(() => 1) instanceof ServiceStub],
        () => [object.add instanceof RpcProperty, object.add instanceof RpcPromise, typeof object.add],
        async () => {
          const promise = object.add(1, 2);
          const kinds = [promise instanceof RpcPromise, promise instanceof RpcProperty, promise instanceof Promise, typeof promise, promise.constructor.name];
          await promise;
          return kinds;
        },
      ),
  },
  'rpc stub: string tags and names': {
    main: async ({ lib: { RpcStub }, env, object }) => {
      using stub = new RpcStub(() => 1);
      const promise = object.add(1, 2);
      const out = [stub, env.CALLS, object, object.add, promise].map((x) => [Object.prototype.toString.call(x), String(x[Symbol.toStringTag]), x.constructor.name, typeof x, Object.keys(x), Object.getPrototypeOf(x) === x.constructor.prototype]);
      await promise;
      return out;
    },
  },
  'rpc stub: names in it': {
    main: async ({ lib: { RpcStub } }) => {
      using stub = new RpcStub({ a: 1 });
      return ['a' in stub, 'b' in stub, 'then' in stub, 'dup' in stub, Symbol.dispose in stub, Symbol.iterator in stub, Object.hasOwn(stub, 'a'), Object.getOwnPropertyDescriptor(stub, 'a') === undefined, stub.then === undefined, typeof stub.b, Reflect.ownKeys(stub).length];
    },
  },
  'rpc stub: own properties hide names': {
    main: async ({ object }) => {
      using counter = await object.counter(1);
      counter.increment = () => 'own';
      const hidden = await counter.increment();
      delete counter.increment;
      return [hidden, await counter.increment(), Object.keys(Object.assign(counter, { x: 1 }))];
    },
  },
  'rpc stub: is not a thenable': {
    main: async ({ object }) => {
      using counter = await object.counter(1);
      return [(await counter) === counter, counter.then === undefined, look(await Promise.all([counter]))];
    },
  },
  'rpc stub: of a service and of an object in messages': {
    main: async ({ object, env, call }) => {
      const service = await object.echo(env.CALLS);
      const other = await object.echo(env.RPC.getByName('carried'));
      return [look(service), await service.add(1, 2), other.constructor.name, Object.keys(other), await brief(() => other.id), await other.nameInside(), await call('use', env.CALLS, env.RPC.getByName('carried too')), await (await service.fetch('http://x/y')).text()];
    },
    use: async (service, other) => [await service.add(3, 4), await other.nameInside(), look(service), look(other)],
  },
  'rpc stub: of a function made by new RpcStub in messages': {
    main: async ({ lib: { RpcStub }, call }) => {
      using f = new RpcStub((x) => x + 1);
      return [await call('use', f), await brief(() => f(5)), await call('use', f)];
    },
    use: (f) => f(1),
  },
};
