// Promises and properties of RPC: what can be asked of a result that is not there yet, and in what order things happen.
import { brief, briefs, look, outcome, sleep } from './show.mjs';

// `depth` names below what the property `root` gives.
const path = (root, depth) => {
  for (let i = 0; i < depth; i++) root = root.next;
  return root;
};

export const rpcPipelineCases = {
  'rpc pipeline: a method of a result that is not there yet': {
    main: async ({ object }) => {
      using counter = object.counter(1);
      return [await counter.increment(), await counter.increment(2), await counter.value];
    },
  },
  'rpc pipeline: through several results': {
    main: async ({ object }) => briefs(() => object.counter(1).self().self().increment(), () => object.counter(1).another(7).increment(), () => object.nested(3).counter.increment(), () => object.nested(3).f(4), () => object.nested(3).plain.list),
  },
  'rpc pipeline: one message after the other, without waiting': {
    main: async ({ object }) => {
      using counter = object.counter(0);
      const calls = [counter.increment(), counter.increment(10), counter.value, counter.increment(100), counter.value];
      return await Promise.all(calls);
    },
  },
  'rpc pipeline: on a slow result': {
    main: async ({ call, object }) => {
      using slow = call('slow');
      const results = await Promise.all([slow.f(1), slow.f(2), object.add(1, 1), slow.value]);
      return [results, await object.noted()];
    },
    async slow() {
      await sleep(20);
      return { f: (x) => this.trace.push(x), value: 'value' };
    },
  },
  'rpc pipeline: on values': {
    main: ({ object }) =>
      briefs(
        () => object.echo(5).toFixed(1),
        () => object.echo('text').length,
        () => object.echo('text').toUpperCase(),
        () => object.echo(null).x,
        () => object.echo(undefined).x(),
        () => object.echo(true).x.y,
        () => object.echo([1, 2]).length,
        () => object.echo([1, 2])[1],
        () => object.echo([{ a: 1 }])[0].a,
        () => object.echo({ a: { b: 2 } }).a.b,
        () => object.echo({ a: 1 }).a.b,
        () => object.echo({ a: 1 }).b,
        () => object.echo({ a: 1 }).b.c,
        () => object.echo({ a: 1 }).a(),
        () => object.echo(new Map([['k', 1]])).size,
        () => object.echo(new Map([['k', 1]])).get('k'),
        () => object.echo(new Date(5)).getTime(),
        () => object.echo(new Uint8Array(3)).length,
        () => object.echo(new Error('e')).message,
        () => object.echo(1n).toString(),
      ),
  },
  'rpc pipeline: on a call that fails': {
    main: async ({ object }) => {
      const failing = object.fail('RangeError', 'the first call');
      return [await outcome(() => failing.anything()), await outcome(() => failing.property), await outcome(() => failing.a.b.c()), await outcome(() => failing)];
    },
  },
  'rpc pipeline: on a method that is missing': {
    main: ({ object }) => briefs(() => object.missing().further(), () => object.missing.further(), () => object.missing.further.still, () => object.counter(1).missing().more()),
  },
  'rpc pipeline: depth of paths': {
    main: async ({ call }) => {
      const out = [];
      for (const depth of [1, 2, 31, 62, 63, 64, 65, 66, 100]) out.push([depth, await brief(() => path(call('deep'), depth).depth)]);
      return out;
    },
    deep() {
      const root = { depth: 0 };
      for (let i = 1, at = root; i < 200; i++) at = at.next = { depth: i };
      return root;
    },
  },
  'rpc pipeline: depth of paths from a stub': {
    main: async ({ call }) => {
      using made = await call('deep');
      const out = [];
      for (const depth of [1, 62, 63, 64, 65, 70]) out.push([depth, await brief(() => path(made.stub, depth).depth), await brief(() => path(made.stub, depth).f())]);
      return out;
    },
    deep() {
      const root = { depth: 0, f: () => 0 };
      for (let i = 1, at = root; i < 200; i++) at = at.next = { depth: i, f: () => i };
      return { stub: new this.lib.RpcStub(root) };
    },
  },
  'rpc pipeline: into functions and their properties': {
    main: ({ call }) => briefs(() => call('make')(1), () => call('make').extra, () => call('make').inner(2), () => call('maker')(3)(4), () => call('maker')(3).none),
    make: () => Object.assign((x) => ['called', x], { extra: 'extra', inner: (x) => ['inner', x] }),
    maker: () => (x) => (y) => [x, y],
  },
  'rpc pipeline: a property that is a promise': {
    main: ({ call }) => briefs(() => call('make').stub.later, () => call('make').stub.later.deep, () => call('make').stub.fails, () => call('make').stub.f().x),
    make() {
      return { stub: new this.lib.RpcStub({ get later() { return Promise.resolve({ deep: 1 }); }, get fails() { return Promise.reject(new RangeError('no')); }, f: async () => ({ x: 'x' }) }) };
    },
  },
  'rpc pipeline: promises as arguments': {
    main: ({ object }) => briefs(() => object.echo(object.add(1, 2)), () => object.echo([object.add(1, 2)]), () => object.echo(object.noted), () => object.echo({ p: object.counter(1) }), () => object.echo(Promise.resolve(5)), () => object.callBack((x) => x, object.add(3, 4))),
  },
  'rpc pipeline: a promise as a result': {
    main: ({ call }) => briefs(() => call('direct'), () => call('inside'), () => call('property'), () => call('propertyInside')),
    direct() {
      return new this.lib.RpcStub({ f: () => 'by a stub' }).f();
    },
    inside() {
      return { p: new this.lib.RpcStub({ f: () => 'by a stub' }).f() };
    },
    property() {
      return new this.lib.RpcStub({ value: 'a value' }).value;
    },
    propertyInside() {
      return { p: new this.lib.RpcStub({ value: 'a value' }).value };
    },
  },
  'rpc pipeline: the result of another object is passed on': {
    main: async ({ env, name }) => {
      const [a, b] = ['a', 'b'].map((which) => env.RPC.getByName(`${name} ${which}`));
      return briefs(() => a.run(name, 'from', b), () => a.run(name, 'value', b), () => a.run(name, 'awaited', b).increment(), () => a.run(name, 'from', b).increment(5));
    },
    from: (other) => other.counter(3),
    value: (other) => other.add(3, 4),
    awaited: async (other) => await other.counter(3),
  },
  'rpc promise: then, catch and finally': {
    main: async ({ object }) => {
      const heard = [];
      const out = [
        await object.add(1, 2).then((x) => x + 1),
        await object.fail('RangeError', 'caught').catch((error) => error.message),
        await object.add(1, 2).finally(() => heard.push('finally')),
        await object.fail('TypeError', 'then').then(
          () => 'no',
          (error) => error.name,
        ),
        await brief(() => object.fail('TypeError', 'finally').finally(() => heard.push('finally of an error'))),
      ];
      const then = object.add(1, 2).then((x) => x);
      return [out, heard, then instanceof Promise, then.constructor.name, await then];
    },
  },
  'rpc promise: awaited twice': {
    main: async ({ object }) => {
      const promise = object.note('once');
      return [await promise, await promise, await object.noted()];
    },
  },
  'rpc promise: awaited twice, an object': {
    main: async ({ object }) => {
      const promise = object.echo({ list: [1] });
      const [a, b] = [await promise, await promise];
      return [a === b, look(a), look(b)];
    },
  },
  'rpc promise: a stub, awaited twice': {
    main: async ({ object }) => {
      const promise = object.counter(1);
      const [a, b] = [await promise, await promise];
      return [a === b, ...(await briefs(() => a.increment(), () => b.increment(), () => promise.increment()))];
    },
  },
  'rpc promise: in Promise.all, race and any': {
    main: async ({ object }) => [await Promise.all([object.add(1, 1), object.add(2, 2), 3]), await Promise.race([object.add(4, 4)]), await Promise.any([object.fail('Error', 'x'), object.add(5, 5)]), look(await Promise.allSettled([object.add(1, 1), object.fail('RangeError', 'settled')]))],
  },
  'rpc promise: never awaited, but sent': {
    main: async ({ object }) => {
      object.note('not awaited');
      return object.noted(1);
    },
  },
  'rpc promise: a rejection that nobody hears': {
    main: async ({ object }) => {
      object.fail('Error', 'nobody hears').catch(() => {});
      object.fail('Error', 'really nobody');
      await sleep(10);
      return object.add(1, 1);
    },
  },
  'rpc property: is asked again each time': {
    main: async ({ call }) => {
      using made = await call('make');
      const property = made.stub.count;
      return [await property, await property, await made.stub.count, await property.then((x) => -x)];
    },
    make() {
      let n = 0;
      return { stub: new this.lib.RpcStub({ get count() { return ++n; } }) };
    },
  },
  'rpc property: not sent before it is awaited': {
    main: async ({ call }) => {
      using made = await call('make');
      void made.stub.count;
      void made.stub.count.deeper;
      return made.stub.asked();
    },
    make() {
      let n = 0;
      return { stub: new this.lib.RpcStub({ get count() { return { n: ++n }; }, asked: () => n }) };
    },
  },
  'rpc property: catch and finally': {
    main: async ({ object }) => [await object.missing.catch((error) => error.message), await brief(() => object.missing.finally(() => 5)), typeof object.missing.then, typeof object.missing.catch, typeof object.missing.finally],
  },
  'rpc property: equality': {
    main: ({ object }) => [object.x === object.x, object.x.y === object.x.y, typeof object.x[Symbol.dispose], typeof object.x.dup, 'anything' in object.x],
  },
  'rpc order: calls, properties and pipelined calls of one stub': {
    main: async ({ object }) => {
      const counter = await object.counter(0);
      const all = [counter.increment(), counter.value, counter.self().increment(), counter.increment(), counter.value];
      const result = await Promise.all(all);
      counter[Symbol.dispose]();
      return result;
    },
  },
  'rpc order: large and small arguments': {
    main: async ({ object }) => {
      await Promise.all([object.note('x'.repeat(1_000_000)), object.note('small'), object.note(new Uint8Array(500_000)), object.note('last')]);
      return (await object.noted()).map((x) => x.length);
    },
  },
  'rpc order: results come as they are ready': {
    main: async ({ call }) => {
      const order = [];
      await Promise.all([call('wait', 40).then(() => order.push('slow')), call('wait', 10).then(() => order.push('fast')), call('wait', 0).then(() => order.push('at once'))]);
      return order;
    },
    wait: (ms) => (ms === 0 ? 0 : sleep(ms)),
  },
  'rpc order: a call before the constructor is done': {
    main: async ({ env, name }) => {
      const stub = env.RPC.getByName(`${name} fresh`);
      return Promise.all([stub.note(1), stub.note(2), stub.note(3), stub.noted()]);
    },
  },
  'rpc session: an instance for each call to an entrypoint': {
    main: async ({ env }) => [await env.CALLS.next(), await env.CALLS.next(), await Promise.all([env.CALLS.next(), env.CALLS.next()])],
  },
  'rpc session: what a call gave stays in its instance': {
    main: async ({ env, name }) => {
      using made = await env.CALLS.run(name, 'make');
      return [await made.next(), await made.next(), await env.CALLS.next()];
    },
    make() {
      return { next: () => this.next() };
    },
  },
  'rpc session: the instance stays while a stub is held': {
    main: async ({ env, name }) => {
      using later = await env.CALLS.run(name, 'make');
      await sleep(30);
      return later.timer();
    },
    make: () => ({ timer: () => new Promise((resolve) => setTimeout(resolve, 10, 'fired')) }),
  },
  'rpc session: self calls of an object': {
    main: ({ env, call, name }) => call('self', name),
    async self(name) {
      const self = this.env.RPC.get(this.ctx.id);
      using counter = await self.counter(1);
      return [await self.add(1, 2), await counter.increment(), await self.callBack((x) => x, 'back')];
    },
  },
};
