// Entrypoints, ctx.props, ctx.exports and the module cloudflare:workers (spec 2), and what compatibility flags change of RPC.
import { brief, briefs, look, outcome, sleep, until } from './show.mjs';

const shape = (value) => [typeof value, value === null || value === undefined ? String(value) : Object.prototype.toString.call(value), value?.constructor?.name ?? null];

const definitions = {
  // ---------------------------------------------------------------- entrypoints
  'entrypoint: props of a binding': { main: async ({ env }) => [await env.WITH_PROPS.props(), await env.CALLS.props(), look(await env.CALLS.props())] },
  'entrypoint: props are a copy for each call': {
    main: async ({ env, name }) => [await env.WITH_PROPS.run(name, 'change'), await env.WITH_PROPS.props()],
    change() {
      this.ctx.props.nested.list.push('changed');
      this.ctx.props.color = 'changed';
      return this.ctx.props;
    },
  },
  'entrypoint: props of the default export and of an object': {
    main: async ({ ctx, call }) => [look(ctx.props), await call('props')],
    props() {
      return look(this.ctx.props);
    },
  },
  'entrypoint: a named one over fetch': {
    main: async ({ env }) => [await (await env.CALLS.fetch('http://x/path?q')).text(), await (await env.WITH_PROPS.fetch('http://x/', { method: 'POST', body: 'b' })).text(), await (await env.HANDLERS.fetch('http://x/h')).text()],
  },
  'entrypoint: shape of a service binding': {
    main: ({ env }) => [shape(env.CALLS), Object.keys(env.CALLS), env.CALLS === env.CALLS, 'x' in env.CALLS, Object.hasOwn(env.CALLS, 'add'), look(env.CALLS.then), typeof env.CALLS.fetch, typeof env.CALLS.connect, look(env.CALLS.id), env.CALLS.add === env.CALLS.add],
  },
  'entrypoint: names of a service binding are properties': {
    main: ({ env }) => briefs(() => typeof env.CALLS.id, () => env.CALLS.id, () => env.CALLS.name, () => typeof env.CALLS.toString),
  },
  'entrypoint: methods by the binding to the default export': {
    main: ({ env }) => briefs(() => env.SELF.fetch('http://x/none').then((response) => response.status), () => env.SELF.missing(1), () => env.SELF.missing),
  },
  'entrypoint: ctx and env of an instance': {
    main: async ({ env, name, ctx }) => [await env.CALLS.run(name, 'see'), shape(ctx), Object.keys(ctx).sort()],
    see() {
      return [shape(this.ctx), Object.keys(this).sort(), Object.keys(this.env).includes('RPC'), typeof this.ctx.waitUntil, typeof this.ctx.passThroughOnException, typeof this.ctx.exports, Object.getOwnPropertyNames(Object.getPrototypeOf(this.ctx)).sort()];
    },
  },
  'entrypoint: ctx and env of an object': {
    main: ({ call }) => call('see'),
    see() {
      return [shape(this.ctx), Object.keys(this).sort(), Object.keys(this.env).includes('RPC'), typeof this.ctx.exports, look(this.ctx.props), look(this.ctx.container), typeof this.ctx.facets, this.ctx.storage === this.ctx.storage, this.ctx.id === this.ctx.id];
    },
  },
  'entrypoint: constructors want a genuine ctx': {
    main: ({ lib, env, ctx }) =>
      briefs(
        () => new lib.DurableObject(),
        () => new lib.DurableObject({}, {}),
        () => new lib.DurableObject(ctx, env),
        () => new lib.WorkerEntrypoint(),
        () => new lib.WorkerEntrypoint({}, {}),
        () => look(new lib.WorkerEntrypoint(ctx, env).ctx === ctx),
        () => look(new lib.WorkerEntrypoint(ctx).env),
        () => lib.DurableObject(ctx, env),
        () => new lib.RpcTarget(1, 2) instanceof lib.RpcTarget,
      ),
  },
  'entrypoint: an object class called directly': {
    main: ({ lib, ctx, env }) => briefs(() => new lib.RpcObject(ctx, env), () => new lib.Calls(ctx, env).add(1, 2), () => new lib.Calls(ctx, env).next()),
  },
  'entrypoint: waitUntil': {
    main: async ({ env, object, name }) => {
      await env.CALLS.run(name, 'start', object);
      return object.noted(1);
    },
    start(object) {
      const kept = this.env.RPC.getByName('entrypoint: waitUntil');
      this.ctx.waitUntil(sleep(10).then(() => kept.note('later')));
    },
  },
  'entrypoint: waitUntil with wrong arguments': {
    main: ({ ctx }) => briefs(() => ctx.waitUntil(), () => ctx.waitUntil(5), () => ctx.waitUntil({ then: (resolve) => resolve() }), () => ctx.waitUntil.call({}, Promise.resolve()), () => ctx.passThroughOnException()),
  },
  'entrypoint: an argument that is the own binding': {
    main: ({ env, name }) => env.CALLS.run(name, 'use', env.CALLS),
    use: (service) => service.add(20, 22),
  },

  // ---------------------------------------------------------------- ctx.exports
  'exports: keys': {
    main: ({ ctx }) => Object.keys(ctx.exports).sort(),
  },
  'exports: shapes': {
    main: ({ ctx, env }) => [['Calls', 'handlers', 'default', 'RpcObject', 'Plain', 'missing', 'someFunction'].map((key) => [key, key in ctx.exports, ...shape(ctx.exports[key])]), shape(ctx.exports), ctx.exports === ctx.exports, ctx.exports.Calls === ctx.exports.Calls, ctx.exports.RpcObject === env.RPC],
  },
  'exports: an entrypoint is called': {
    main: async ({ ctx }) => [await ctx.exports.Calls.add(1, 2), await ctx.exports.Calls.props(), await (await ctx.exports.Calls.fetch('http://x/e')).text(), await ctx.exports.handlers.one('h')],
  },
  'exports: an entrypoint with props': {
    main: ({ ctx, env }) =>
      briefs(
        () => ctx.exports.Calls({ props: { a: 1, when: new Date(5), map: new Map([[1, 2]]) } }).props(),
        () => ctx.exports.Calls({}).props(),
        () => ctx.exports.Calls({ props: undefined }).props(),
        () => ctx.exports.Calls().props(),
        () => ctx.exports.Calls({ props: 5 }).props(),
        () => ctx.exports.Calls({ props: { f: () => 1 } }).props(),
        () => ctx.exports.Calls({ props: [1] }).props(),
        () => ctx.exports.Calls({ props: { service: env.CALLS, object: env.RPC.getByName('in props') } }).props(),
        () => ctx.exports.Calls(null).props(),
        () => ctx.exports.Calls({ props: { p: 1 } }).add(1, 2),
        async () => (await ctx.exports.Calls({ props: { p: 1 } }).fetch('http://x/p')).text(),
        () => look(ctx.exports.Calls({ props: {} })),
        () => shape(ctx.exports.Calls({ props: {} })),
        () => ctx.exports.Calls({ props: {} })({ props: {} }),
      ),
  },
  'exports: a stub with props as an argument': {
    main: async ({ ctx, call }) => [await brief(() => call('use', ctx.exports.Calls({ props: { carried: true } }))), await brief(() => call('use', ctx.exports.Calls))],
    use: async (withProps) => [await withProps.props(), look(withProps)],
  },
  'exports: a namespace': {
    main: async ({ ctx, env, name }) => {
      const { RpcObject } = ctx.exports;
      return [await RpcObject.getByName(name).add(1, 2), RpcObject.idFromName('x').equals(env.RPC.idFromName('x')), env.RPC.get(RpcObject.idFromName('x')).name, typeof RpcObject.newUniqueId, RpcObject.idFromName('x').toString() === env.RPC.idFromName('x').toString()];
    },
  },
  'exports: inside of an object and of an entrypoint': {
    main: async ({ env, call, name }) => [await call('see'), await env.CALLS.run(name, 'see')],
    async see() {
      return [Object.keys(this.ctx.exports).length > 5, await this.ctx.exports.Calls.add(2, 3), await this.ctx.exports.RpcObject.getByName('from exports').add(4, 5)];
    },
  },
  'exports: what can be changed': {
    main: ({ ctx }) =>
      briefs(
        () => {
          ctx.exports.added = 5;
          return look(ctx.exports.added);
        },
        () => delete ctx.exports.added,
      ),
  },
  'exports: imported': {
    main: async ({ lib, ctx }) => [Object.keys(lib.exports).sort().join() === Object.keys(ctx.exports).sort().join(), await lib.exports.Calls.add(1, 2), 'Calls' in lib.exports, look(lib.exports.missing), lib.exports.Calls === ctx.exports.Calls],
  },
  'exports: before the flag': {
    date: '2025-11-16',
    main: ({ ctx, call }) => briefs(() => look(ctx.exports), () => 'exports' in ctx, () => call('see')),
    see() {
      return [look(this.ctx.exports), 'exports' in this.ctx, look(this.ctx.props)];
    },
  },

  // ---------------------------------------------------------------- cloudflare:workers
  'workers: exports of the module': {
    main: ({ lib }) => ['DurableObject', 'WorkerEntrypoint', 'WorkflowEntrypoint', 'RpcTarget', 'RpcStub', 'RpcPromise', 'RpcProperty', 'ServiceStub', 'env', 'exports', 'waitUntil', 'withEnv', 'withExports', 'withEnvAndExports', 'restore', 'cache', 'tracing', 'abortIsolate'].map((key) => [key, typeof lib[key]]),
  },
  'workers: env': {
    main: async ({ lib, env, call }) => [Object.keys(lib.env).sort().join() === Object.keys(env).sort().join(), 'RPC' in lib.env, look(lib.env.missing), await lib.env.CALLS.add(1, 2), lib.env.RPC === env.RPC, new WeakMap([[lib.env, 1]]).get(lib.env), Object.entries(lib.env).length === Object.entries(env).length, await call('see')],
    see() {
      return [Object.keys(this.lib.env).sort().join() === Object.keys(this.env).sort().join()];
    },
  },
  'workers: withEnv': {
    main: async ({ lib, env }) => {
      const inside = await lib.withEnv({ OWN: 1 }, async () => {
        const atOnce = Object.keys(lib.env);
        await sleep(1);
        return [atOnce, Object.keys(lib.env), lib.env.OWN];
      });
      return [inside, Object.keys(lib.env).length === Object.keys(env).length, await brief(() => lib.withEnv(5, () => 1)), await brief(() => lib.withEnv({}, 5)), lib.withEnv({ a: 1 }, () => lib.withEnv({ b: 2 }, () => Object.keys(lib.env)))];
    },
  },
  'workers: withExports and withEnvAndExports': {
    main: ({ lib }) => [lib.withExports({ own: 1 }, () => Object.keys(lib.exports)), lib.withEnvAndExports({ e: 1 }, { x: 1 }, () => [Object.keys(lib.env), Object.keys(lib.exports)])],
  },
  'workers: env is changed': {
    main: ({ lib }) =>
      briefs(
        () => {
          lib.env.ADDED = 1;
          return look(lib.env.ADDED);
        },
        () => delete lib.env.ADDED,
        () => {
          Object.defineProperty(lib.env, 'DEFINED', { value: 1, configurable: true });
          const seen = look(lib.env.DEFINED);
          delete lib.env.DEFINED;
          return seen;
        },
      ),
  },
  'workers: waitUntil': {
    main: async ({ lib, object, env, name }) => {
      lib.waitUntil(sleep(5).then(() => env.RPC.getByName(name).note('by the import')));
      await object.run(name, 'inside');
      return (await object.noted(2)).sort();
    },
    inside() {
      this.lib.waitUntil(sleep(5).then(() => this.trace.push('in the object')));
    },
  },
  'workers: disallow_importable_env': {
    flags: ['disallow_importable_env'],
    main: ({ lib, env }) => [Object.keys(lib.env), Object.keys(env).length > 3],
  },
  'workers: a target class': {
    main: ({ lib: { RpcTarget, Counter } }) => {
      const target = new Counter(1);
      return [target instanceof RpcTarget, Object.keys(target), Object.getOwnPropertyNames(RpcTarget.prototype), Object.prototype.toString.call(target), target.value, Object.getPrototypeOf(Counter) === RpcTarget];
    },
  },

  // ---------------------------------------------------------------- flags
  'flags: parameters are given away before 2026-01-20': {
    date: '2026-01-19',
    main: async ({ call, lib: { RpcStub, Counter } }) => {
      const heard = [];
      const stub = new RpcStub(new Counter(1, (text) => heard.push(text)));
      const result = await call('use', stub);
      return [result, await brief(() => stub.increment()), await until(() => heard.length > 0), heard];
    },
    use: (counter) => counter.increment(),
  },
  'flags: parameters are given away, unless dup() is passed': {
    date: '2026-01-19',
    main: async ({ call, lib: { RpcStub, Counter } }) => {
      const heard = [];
      const stub = new RpcStub(new Counter(1, (text) => heard.push(text)));
      const result = await call('use', stub.dup());
      const after = await brief(() => stub.increment());
      const before = [...heard];
      stub[Symbol.dispose]();
      return [result, after, before, await until(() => heard.length > 0), heard];
    },
    use: (counter) => counter.increment(),
  },
  'flags: rpc_params_transfer_stubs': {
    flags: ['rpc_params_transfer_stubs'],
    main: async ({ call, lib: { RpcStub } }) => {
      const stub = new RpcStub((x) => x + 1);
      return [await call('use', stub), await brief(() => stub(1)), await call('use', (x) => x * 2)];
    },
    use: (f) => f(20),
  },
  'flags: targets and functions are not given away': {
    date: '2026-01-19',
    main: async ({ call, lib: { Counter } }) => {
      const counter = new Counter(1);
      const f = () => 'f';
      return [await call('use', counter, f), await call('use', counter, f)];
    },
    use: async (counter, f) => [await counter.increment(), await f()],
  },
  'flags: stubs that are kept before 2026-01-20': {
    date: '2026-01-19',
    main: async ({ object }) => {
      await object.keep('f', (x) => ['kept', x]);
      return briefs(() => object.callKept('f', 1), () => object.letGo('f'), () => object.callKept('f', 2));
    },
  },
  'flags: no_rpc': {
    flags: ['no_rpc'],
    main: ({ env, name }) => briefs(() => look(env.RPC.getByName(name).add), () => env.RPC.getByName(name).add(1, 2), () => 'add' in env.CALLS, async () => (await env.CALLS.fetch('http://x/f')).text()),
  },
  'flags: fetcher_has_get_put_delete': {
    flags: ['fetcher_has_get_put_delete'],
    main: ({ env, name }) => briefs(() => typeof env.RPC.getByName(name).get, async () => JSON.parse(await env.RPC.getByName(name).get('http://x/g')).method, () => env.RPC.getByName(name).put('http://x/p', 'b'), () => env.SHAPED.getByName(name).put(1, 2), () => env.CALLS.get('http://x/t'), () => env.RPC.getByName(name).get('http://x/', 'json').then((json) => json.method), () => env.RPC.getByName(name).get('http://x/', 'nonsense'), () => env.RPC.getByName(name).add(1, 1)),
  },
  'flags: errors by legacy_error_serialization': {
    flags: ['legacy_error_serialization'],
    main: ({ call }) => outcome(() => call('fail')),
    fail() {
      throw Object.assign(new RangeError('legacy', { cause: 1 }), { code: 1 });
    },
  },
  'flags: errors by enhanced_error_serialization': {
    date: '2026-01-19',
    flags: ['enhanced_error_serialization'],
    main: ({ call }) => outcome(() => call('fail')),
    fail() {
      throw Object.assign(new RangeError('enhanced', { cause: 1 }), { code: 1 });
    },
  },
};

export const entrypointCases = definitions;
