// What of an object, an entrypoint, a target, a plain object or a function a caller can reach, and what it is told otherwise.
import { brief, briefs, look } from './show.mjs';

// The three class-like receivers with the same members.
const receivers = {
  object: ({ env, name }) => env.SHAPED.getByName(name),
  entrypoint: ({ env }) => env.SHAPES,
  target: ({ object }) => object.run(kTarget, 'make'),
};
const kTarget = 'rpc receiver: a target in an answer';

const definitions = {
  [kTarget]: {
    main: async ({ object }) => {
      using target = await object.run(kTarget, 'make');
      return [look(target), await target.method(1)];
    },
    make() {
      return new this.lib.ShapesTarget();
    },
  },
};

// One case for each kind of receiver.
function forEach(what, main) {
  for (const [kind, get] of Object.entries(receivers)) {
    definitions[`rpc receiver: ${what} (${kind})`] = { main: async (given) => main({ ...given, receiver: await get(given) }) };
  }
}

forEach('methods, this and arguments', async ({ receiver }) => [
  await receiver.method(),
  await receiver.method(1, undefined, null, { a: [1] }),
  await receiver.whoAmI(),
  look(await receiver.method(undefined, undefined)),
]);
forEach('getters', async ({ receiver }) =>
  briefs(
    () => receiver.getter,
    () => receiver.asyncGetter,
    () => receiver.throwingGetter,
    () => receiver.rejectingGetter,
    () => receiver.onlySetter,
    async () => (await receiver.functionGetter)('x'),
    () => receiver.functionGetter('y'),
    () => receiver.getter(),
    () => receiver.asyncGetter(),
  ),
);
forEach('a getter runs at each look', async ({ receiver }) => {
  const property = receiver.getter;
  return [await property, await property, await receiver.getter];
});
forEach('paths into what a getter gives', async ({ receiver }) =>
  briefs(
    () => receiver.objectGetter.deep.er,
    () => receiver.objectGetter.deep.f(1),
    () => receiver.objectGetter.list,
    () => receiver.objectGetter.list[1],
    () => receiver.objectGetter.list.length,
    () => receiver.objectGetter.none,
    () => receiver.objectGetter.none.further,
    () => receiver.objectGetter.toString(),
    () => receiver.objectGetter.deep.er.toFixed(),
    () => receiver.getter.length,
  ),
);
forEach('own properties', async ({ receiver }) =>
  briefs(
    () => receiver.own,
    () => receiver.own(),
    () => receiver.arrow,
    () => receiver.arrow(),
    () => receiver.ownObject.method(),
    () => receiver.ctx,
    () => receiver.env,
  ),
);
forEach('statics, private and symbols', async ({ receiver }) =>
  briefs(
    () => receiver.onTheClass(),
    () => receiver['#secret'],
    () => receiver['#private'](),
    () => receiver.secret,
    () => typeof receiver[Symbol.iterator],
    () => typeof receiver[Symbol.toPrimitive],
    () => typeof receiver[Symbol.asyncIterator],
  ),
);
forEach('members of Object.prototype', async ({ receiver }) =>
  briefs(
    () => receiver.hasOwnProperty('own'),
    () => receiver.valueOf(),
    () => receiver.toLocaleString(),
    () => receiver.isPrototypeOf({}),
    () => receiver.propertyIsEnumerable('own'),
    () => receiver.__defineGetter__('x', () => 1),
    () => receiver.__lookupGetter__('x'),
    () => receiver.toString(),
  ),
);
forEach('reserved names', async ({ receiver }) =>
  briefs(
    () => receiver.constructor,
    () => receiver.constructor(),
    () => receiver.alarm(),
    () => receiver.webSocketMessage(),
    () => receiver.webSocketClose(),
    () => receiver.webSocketError(),
    () => receiver.trace(),
    () => receiver.scheduled(),
    () => receiver.queue(),
    () => receiver.tail(),
    () => receiver.email(),
    () => receiver.test(),
    () => receiver.tailStream(),
  ),
);
forEach('ordinary names', async ({ receiver }) =>
  briefs(
    () => receiver._underscore(),
    () => receiver.$dollar(),
    () => receiver['with blanks and é'](),
    () => receiver[0](),
    () => receiver.get(),
    () => receiver.put(1, 2),
    () => receiver.delete(),
  ),
);
forEach('names that are not there', async ({ receiver }) =>
  briefs(
    () => receiver.missing,
    () => receiver.missing(),
    () => receiver.missing.deeper,
    () => receiver.missing.deeper(),
    () => receiver[''],
    () => receiver[''](),
    () => receiver.prototype,
    () => receiver.__proto__ === Object.getPrototypeOf(receiver),
    () => receiver.method.call,
    () => receiver.method.name,
  ),
);
forEach('results that are no values', async ({ receiver }) => briefs(() => receiver.generator(), () => receiver.asyncGenerator()));

Object.assign(definitions, {
  'rpc receiver: inherited and overridden methods': {
    main: async ({ object }) => {
      using target = await object.run(kTarget, 'make');
      return await briefs(() => target.inherited(), () => target.overridden(), () => target.method('m'));
    },
  },
  'rpc receiver: a method that was taken off the stub': {
    main: async ({ object }) => {
      const { add } = object;
      const echo = object.echo;
      return await briefs(() => add(1, 2), () => echo.call(null, 'x'), () => Reflect.apply(add, undefined, [3, 4]), () => add.apply(null, [5, 6]), () => add.bind(null, 1)(2));
    },
  },
  'rpc receiver: own properties of a plain object': {
    main: async ({ call }) => {
      using plain = await call('make');
      using stub = plain.stub;
      return await briefs(
        () => stub.number,
        () => stub.f(3),
        () => stub.method(),
        () => stub.deep.er,
        () => stub.deep,
        () => stub.getter,
        () => stub.list,
        () => stub.list[0],
        () => stub.inherited,
        () => stub.toString(),
        () => stub.hasOwnProperty('f'),
        () => stub.constructor,
        () => stub.missing,
        () => stub.missing(),
        () => stub.number(),
        () => stub.fetch(1),
        () => stub.alarm(),
        () => stub(),
      );
    },
    make() {
      const target = {
        number: 1,
        f: (x) => x + 1,
        method() {
          return [this === target, this.number];
        },
        deep: { er: { est: 2 } },
        get getter() {
          return `getter ${this.number}`;
        },
        list: [1, 2],
        fetch: (x) => ['fetch', x],
        alarm: () => 'alarm',
      };
      return { stub: new this.lib.RpcStub(target) };
    },
  },
  'rpc receiver: a plain object with own dup, dispose and constructor': {
    main: async ({ call }) => {
      using plain = await call('make');
      return await briefs(() => plain.stub.constructor('c'), () => plain.stub.then, () => plain.stub.catch('x'), () => plain.stub.toString());
    },
    make() {
      return { stub: new this.lib.RpcStub({ constructor: (x) => [x], then: 5, catch: (x) => ['caught', x], toString: () => 'mine' }) };
    },
  },
  'rpc receiver: properties of a function': {
    main: async ({ call }) => {
      using f = await call('make');
      return await briefs(() => f(1), () => f.extra, () => f.inner(2), () => f.deep.er, () => f.name, () => f.length, () => f.prototype, () => f.call, () => f.apply(null, [1]), () => f.bind, () => f.toString(), () => f.missing, () => f.missing());
    },
    make: () => Object.assign(function named(x) {
      return ['called', x];
    }, { extra: 'extra', inner: (x) => ['inner', x], deep: { er: 1 } }),
  },
  'rpc receiver: this of a function is undefined': {
    main: async ({ call }) => {
      using f = await call('make');
      using own = await call('inside');
      return [await f(), await own.f()];
    },
    make: () =>
      function () {
        return String(this);
      },
    inside: () => ({
      f() {
        return String(this);
      },
    }),
  },
  'rpc receiver: functions of every kind': {
    main: async ({ call }) => {
      const out = [];
      for (const kind of ['plain', 'arrow', 'async', 'bound', 'method', 'generator', 'asyncGenerator', 'class', 'builtin', 'proxy']) out.push([kind, await brief(async () => (await call('make', kind))(3))]);
      return out;
    },
    make: (kind) =>
      ({
        plain: function (x) {
          return x + 1;
        },
        arrow: (x) => x + 1,
        async: async (x) => x + 1,
        bound: function (a, b) {
          return [this.me, a, b];
        }.bind({ me: 'me' }, 0),
        method: {
          m(x) {
            return x + 1;
          },
        }.m,
        generator: function* (x) {
          yield x;
        },
        asyncGenerator: async function* (x) {
          yield x;
        },
        class: class {
          constructor(x) {
            this.x = x;
          }
        },
        builtin: Math.sqrt,
        proxy: new Proxy((x) => x + 1, { apply: (f, self, args) => ['by the proxy', f(...args)] }),
      })[kind],
  },
  'rpc receiver: a class as a value': {
    main: async ({ call }) => {
      using stub = await call('make');
      return await briefs(() => stub(1), () => stub.make(2), () => stub.field, () => stub.prototype, () => look(stub));
    },
    make: () =>
      class Value {
        static field = 1;
        static make(x) {
          return ['made', x];
        }
      },
  },
  'rpc receiver: the wrong handler arguments': {
    main: ({ env }) =>
      briefs(
        () => env.HANDLERS.one(1),
        () => env.HANDLERS.one(),
        () => env.HANDLERS.one(1, 2),
        () => env.HANDLERS.two('a'),
        () => env.HANDLERS.two('a', 'b'),
        () => env.HANDLERS.four(1),
        () => env.HANDLERS.none(),
        () => env.HANDLERS.none(1),
        () => env.HANDLERS.rest(1),
        () => env.HANDLERS.property,
        () => env.HANDLERS.property(1),
        () => env.HANDLERS.missing(1),
        () => env.HANDLERS.self(1),
        () => env.HANDLERS.toString(1),
        () => env.HANDLERS.one,
      ),
  },
  'rpc receiver: a method that the class has got at run time': {
    main: async ({ call, object }) => [await brief(() => object.late()), await call('patch'), await brief(() => object.late()), await call('unpatch'), await brief(() => object.late())],
    patch() {
      Object.getPrototypeOf(this).late = () => 'late';
    },
    unpatch() {
      delete Object.getPrototypeOf(this).late;
    },
  },
  'rpc receiver: an own property hides a method': {
    main: async ({ call, object }) => [await object.add(1, 2), await call('hide'), await brief(() => object.add(1, 2)), await call('show'), await object.add(1, 2)],
    hide() {
      this.add = () => 'own';
    },
    show() {
      delete this.add;
    },
  },
  'rpc receiver: a target inside of a plain object': {
    main: async ({ object }) => {
      using nested = await object.nested(4);
      return [look(nested), await nested.counter.increment(), await nested.counter.value, await nested.f(4), await nested.plain.list];
    },
  },
  'rpc receiver: own members of a target in an answer': {
    main: async ({ call }) => {
      using target = await call('make');
      return await briefs(() => target.own, () => target.method(), () => target.late, () => target.nothing);
    },
    make() {
      const target = new this.lib.ShapesTarget();
      target.late = 5;
      target.method = () => 'own';
      return target;
    },
  },
});

export const rpcReceiverCases = definitions;
