// How long stubs live: dup(), disposal, and what is told to whom uses one too late.
import { brief, briefs, look, lookAtError, outcome, sleep, until } from './show.mjs';

// In a case, `call(part)` runs the part inside of the object; there `this` is the object, and `this.lib` what
// cloudflare:workers exports.
export const rpcLifetimeCases = {
  // ---------------------------------------------------------------- dup and dispose
  'rpc dispose: a stub used after it': {
    main: async ({ object }) => {
      const counter = await object.counter(1);
      const f = await object.run('rpc dispose: a stub used after it', 'make');
      const property = counter.value;
      counter[Symbol.dispose]();
      f[Symbol.dispose]();
      return briefs(() => counter.increment(), () => counter.value, () => f(), () => property, () => counter[Symbol.dispose](), () => look(counter));
    },
    make: () => () => 1,
  },
  'rpc dispose: a promise used after it': {
    main: async ({ object }) => {
      const promise = object.counter(1);
      promise[Symbol.dispose]();
      return briefs(() => promise, () => promise.increment(), () => promise.value, () => promise[Symbol.dispose]());
    },
  },
  'rpc dispose: a promise of a plain value': {
    main: async ({ object }) => {
      const promise = object.add(1, 2);
      const value = await promise;
      promise[Symbol.dispose]();
      return [value, await brief(() => promise)];
    },
  },
  'rpc dispose: of a promise leaves what was awaited': {
    main: async ({ object }) => {
      const promise = object.counter(1);
      const counter = await promise;
      promise[Symbol.dispose]();
      return briefs(() => counter.increment(), () => promise.increment());
    },
  },
  'rpc dispose: the target hears of it, later': {
    main: async ({ object }) => {
      const counter = await object.counter(5);
      await counter.increment();
      const before = await object.noted();
      counter[Symbol.dispose]();
      return [before, await object.noted(1)];
    },
  },
  'rpc dispose: by using': {
    main: async ({ object }) => {
      {
        using counter = await object.counter(1);
        await counter.increment();
      }
      return object.noted(1);
    },
  },
  'rpc dispose: only the last of several handles': {
    main: async ({ object }) => {
      const first = await object.counter(1);
      const second = first.dup();
      const third = second.dup();
      first[Symbol.dispose]();
      const out = [await second.increment(), await brief(() => first.increment())];
      second[Symbol.dispose]();
      out.push(await third.increment(), await object.noted());
      third[Symbol.dispose]();
      return [...out, await object.noted(1)];
    },
  },
  'rpc dispose: a local target hears of it': {
    main: async ({ lib: { RpcStub, Counter } }) => {
      const heard = [];
      const stub = new RpcStub(new Counter(1, (text) => heard.push(text)));
      await stub.increment();
      const copy = stub.dup();
      stub[Symbol.dispose]();
      const before = [...heard];
      copy[Symbol.dispose]();
      const atOnce = [...heard];
      await until(() => heard.length > 0);
      return [before, atOnce, heard];
    },
  },
  'rpc dispose: a result lets go of all that is in it': {
    main: async ({ object }) => {
      const nested = await object.nested(7);
      nested[Symbol.dispose]();
      return [await object.noted(1), await brief(() => nested.counter.increment()), await brief(() => nested.f(1)), nested.plain.list];
    },
  },
  'rpc dispose: a result, but a dup() of its part stays': {
    main: async ({ object }) => {
      const nested = await object.nested(7);
      using counter = nested.counter.dup();
      nested[Symbol.dispose]();
      return [await counter.increment(), await object.noted()];
    },
  },
  'rpc dispose: a result twice': {
    main: async ({ object }) => {
      const nested = await object.nested(1);
      nested[Symbol.dispose]();
      nested[Symbol.dispose]();
      return object.noted(1);
    },
  },
  'rpc dispose: a part and then the result': {
    main: async ({ object }) => {
      const nested = await object.nested(1);
      nested.counter[Symbol.dispose]();
      const first = await object.noted(1);
      nested[Symbol.dispose]();
      return [first, await object.noted(1)];
    },
  },
  'rpc dispose: arguments at the end of the call': {
    main: async ({ call, lib: { Counter } }) => {
      const heard = [];
      await call('use', new Counter(1, (text) => heard.push(text)));
      await until(() => heard.length > 0);
      return heard;
    },
    use: async (counter) => {
      await counter.increment();
    },
  },
  'rpc dispose: an argument that was kept by dup()': {
    main: async ({ object, call, lib: { Counter } }) => {
      const heard = [];
      await call('keep', new Counter(1, (text) => heard.push(text)));
      await sleep(30);
      const before = [...heard];
      await call('letGo');
      await until(() => heard.length > 0);
      return [before, heard, await object.noted()];
    },
    keep(counter) {
      this.mine = counter.dup();
    },
    async letGo() {
      await this.mine.increment();
      this.mine[Symbol.dispose]();
    },
  },
  'rpc dispose: an argument by the callee itself': {
    main: async ({ call, lib: { Counter } }) => {
      const heard = [];
      const out = await call('use', new Counter(1, (text) => heard.push(text)));
      await until(() => heard.length > 0);
      return [out, heard];
    },
    use: async (counter) => {
      counter[Symbol.dispose]();
      return brief(() => counter.increment());
    },
  },
  'rpc dispose: the same target in two arguments': {
    main: async ({ call, lib: { Counter } }) => {
      const heard = [];
      const counter = new Counter(1, (text) => heard.push(text));
      const out = await call('use', counter, counter);
      await until(() => heard.length > 0);
      await sleep(20);
      return [out, heard];
    },
    use: async (a, b) => [await a.increment(), await b.increment()],
  },
  'rpc dispose: a target that is passed twice, one call after the other': {
    main: async ({ call, lib: { Counter } }) => {
      const heard = [];
      const counter = new Counter(1, (text) => heard.push(text));
      const out = [await call('use', counter), await call('use', counter)];
      await until(() => heard.length > 1);
      return [out, heard];
    },
    use: async (a) => a.increment(),
  },
  'rpc dispose: a failed call lets its arguments go': {
    main: async ({ call, object, lib: { Counter } }) => {
      const heard = [];
      const note = (text) => heard.push(text);
      const out = await briefs(() => call('fails', new Counter(1, note)), () => object.missing(new Counter(2, note)));
      await until(() => heard.length > 1);
      return [out, heard.sort()];
    },
    fails: () => {
      throw new Error('failed');
    },
  },
  'rpc dispose: a call that could not be sent': {
    main: async ({ object, lib: { Counter } }) => {
      const heard = [];
      const out = await brief(() => object.echoAll(new Counter(1, (text) => heard.push(text)), Symbol('no')));
      await sleep(30);
      return [out, heard];
    },
  },
  'rpc dispose: a stub as an argument belongs to the caller still': {
    main: async ({ object, lib: { RpcStub, Counter } }) => {
      const heard = [];
      const stub = new RpcStub(new Counter(1, (text) => heard.push(text)));
      const out = [await object.run('rpc dispose: arguments at the end of the call', 'use', stub), await brief(() => stub.increment()), [...heard]];
      stub[Symbol.dispose]();
      await until(() => heard.length > 0);
      return [out, heard];
    },
  },
  'rpc dispose: a stub that is returned belongs to the caller': {
    main: async ({ object, call }) => {
      const counter = await call('give');
      const out = [await counter.increment(), await brief(() => call('use'))];
      counter[Symbol.dispose]();
      return [out, await object.noted(1)];
    },
    give() {
      this.mine = new this.lib.RpcStub(this.counter(1));
      return this.mine;
    },
    use() {
      return this.mine.increment();
    },
  },
  'rpc dispose: a stub that is returned by dup()': {
    main: async ({ object, call }) => {
      using counter = await call('give');
      return [await counter.increment(), await brief(() => call('use')), await object.noted()];
    },
    give() {
      this.mine = new this.lib.RpcStub(this.counter(1));
      return this.mine.dup();
    },
    use() {
      return this.mine.increment();
    },
  },
  'rpc dispose: an argument that is returned': {
    main: async ({ object, lib: { Counter } }) => {
      const heard = [];
      const back = await object.echo(new Counter(1, (text) => heard.push(text)));
      const out = [await back.increment(), [...heard]];
      back[Symbol.dispose]();
      await until(() => heard.length > 0);
      return [out, heard];
    },
  },
  'rpc dispose: Symbol.dispose of a target throws': {
    main: async ({ call, object }) => {
      const target = await call('make');
      target[Symbol.dispose]();
      return [await object.noted(1), await object.add(1, 1)];
    },
    make() {
      const target = new this.lib.Counter(1, (text) => {
        this.trace.push(text);
        throw new Error('thrown by dispose');
      });
      return target;
    },
  },
  'rpc dispose: of functions and plain objects': {
    main: async ({ call, object }) => {
      const made = await call('make');
      await made.f();
      made[Symbol.dispose]();
      return object.noted(2);
    },
    make() {
      const f = Object.assign(() => 1, { [Symbol.dispose]: () => this.trace.push('function') });
      const plain = { a: 1, [Symbol.dispose]: () => this.trace.push('plain object') };
      return { f, plain: new this.lib.RpcStub(plain) };
    },
  },
  'rpc dispose: order of several': {
    main: async ({ call, object }) => {
      const made = await call('make');
      made[Symbol.dispose]();
      return (await object.noted(3)).sort();
    },
    make() {
      return [this.counter(1), this.counter(2), this.counter(3)];
    },
  },
  'rpc dispose: at the end of the request that held it': {
    main: async ({ env, object, name }) => {
      await env.CALLS.run(name, 'hold', object);
      return object.noted(1);
    },
    async hold(object) {
      const counter = await object.counter(8);
      await counter.increment();
    },
  },
  'rpc dispose: an own dup() of a target': {
    main: async ({ call }) => {
      using made = await call('make');
      return await briefs(() => made.value, () => made.dup().value, () => look(made.dup()));
    },
    make() {
      const { Counter } = this.lib;
      return new (class Own extends Counter {
        dup() {
          return new Counter(100);
        }
      })(1);
    },
  },
  'rpc dispose: an own dup() of an argument': {
    main: async ({ call, lib: { Counter } }) => {
      const made = [];
      class Own extends Counter {
        dup() {
          made.push('dup');
          return new Counter(100);
        }
      }
      class Wrong extends Counter {
        dup() {
          return 5;
        }
      }
      const f = Object.assign(() => 'f', { dup: () => () => 'dup of f' });
      return [await briefs(() => call('use', new Own(1)), () => call('use', new Wrong(1)), () => call('callIt', f), () => call('callIt', Object.assign(() => 1, { dup: () => 5 }))), made];
    },
    use: (target) => target.value,
    callIt: (f) => f(),
  },
  'rpc dispose: no dup() and no dispose on service stubs': {
    main: ({ env, object }) => [typeof env.CALLS[Symbol.dispose], typeof object[Symbol.dispose], typeof env.CALLS.dup],
  },
  'rpc dispose: a stub of a call that is under way': {
    main: async ({ call }) => {
      const stub = await call('make');
      const slow = stub.slow();
      stub[Symbol.dispose]();
      return brief(() => slow);
    },
    make() {
      return { slow: () => new Promise((resolve) => setTimeout(resolve, 20, 'ended')), [Symbol.dispose]: undefined };
    },
  },

  // ---------------------------------------------------------------- broken sides
  'rpc broken: a stub of an object that was aborted': {
    main: async ({ object, call }) => {
      const counter = await object.counter(1);
      const f = await call('make');
      await brief(() => call('end'));
      return [await outcome(() => counter.increment()), await outcome(() => f()), await outcome(() => object.add(1, 2))];
    },
    make: () => () => 1,
    end() {
      this.ctx.abort('ended by the case');
    },
  },
  'rpc broken: onRpcBroken of a stub': {
    main: async ({ object, call }) => {
      const counter = await object.counter(1);
      const heard = [];
      const kind = typeof counter.onRpcBroken;
      const out = await brief(() => counter.onRpcBroken((error) => heard.push(lookAtError(error))));
      await brief(() => call('end'));
      await until(() => heard.length > 0, 200);
      return [kind, out, heard];
    },
    end() {
      this.ctx.abort('ended by the case');
    },
  },
  'rpc broken: a callback of a request that has ended': {
    main: async ({ env, object, name }) => {
      await env.CALLS.run(name, 'leave', object);
      await sleep(20);
      return outcome(() => object.callKept('f', 1));
    },
    async leave(object) {
      await object.keep('f', (x) => ['called', x]);
    },
  },
  'rpc broken: a call under way when the object is aborted': {
    main: async ({ call }) => {
      const slow = call('slow');
      const caught = outcome(() => slow);
      await sleep(10);
      await brief(() => call('end'));
      return caught;
    },
    slow: () => new Promise(() => {}).finally(() => 0),
    end() {
      this.ctx.abort('ended while it worked');
    },
  },
  'rpc broken: the object holds stubs of an object that was aborted': {
    main: async ({ env, name }) => {
      const [a, b] = ['a', 'b'].map((which) => env.RPC.getByName(`${name} ${which}`));
      await a.run(name, 'share', b);
      const before = await brief(() => b.callKept('f', 1));
      await brief(() => a.run(name, 'end'));
      return [before, await outcome(() => b.callKept('f', 2)), await b.add(1, 2)];
    },
    async share(other) {
      await other.keep('f', (x) => ['of a', x]);
    },
    end() {
      this.ctx.abort('gone');
    },
  },
};
