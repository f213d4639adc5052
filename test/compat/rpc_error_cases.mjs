// Errors: what a caller sees of what a callee threw, with and without enhanced serialisation.
import { brief, look, lookAtError, outcome } from './show.mjs';

// What is thrown, by name.
const throwers = {
  'each built-in class': () => [Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError].map((Kind) => () => {
    throw new Kind(`a ${Kind.name}`);
  }),
  'own classes': () => {
    class OwnError extends Error {
      name = 'OwnError';
      extra = 1;
    }
    class Derived extends RangeError {}
    class Deep extends Derived {
      get name() {
        return 'DeepName';
      }
    }
    return [OwnError, Derived, Deep].map((Kind) => () => {
      throw new Kind(`of class ${Kind.name}`);
    });
  },
  'what is no error': () => ['text', '', 5, -0, 10n, true, null, undefined, { an: 'object' }, { message: 'with a message' }, [1, 2], Symbol('s'), () => 1, new Map(), new Date(0)].map((thrown) => () => {
    throw thrown;
  }),
  'DOM exceptions': () => [new DOMException('text', 'AbortError'), new DOMException('text', 'DataCloneError'), new DOMException('own', 'OwnName'), new DOMException('')].map((thrown) => () => {
    throw thrown;
  }),
  'properties': () => [
    () => {
      throw Object.assign(new TypeError('with properties'), { code: 'E', status: 404, list: [1, { a: new Date(1) }], map: new Map([[1, 2]]), undef: undefined, no: null });
    },
    () => {
      throw Object.assign(new Error('with what cannot be cloned'), { f: () => 1, symbol: Symbol('s'), weak: new WeakMap(), kept: 1 });
    },
    () => {
      throw Object.defineProperty(new Error('hidden'), 'hidden', { value: 1, enumerable: false });
    },
    () => {
      throw Object.assign(new Error('symbol key'), { [Symbol('k')]: 1 });
    },
    () => {
      const error = new Error('cycle');
      error.self = error;
      throw error;
    },
  ],
  'properties that the runtime sets': () => [
    () => {
      throw Object.assign(new Error('set by code'), { remote: false, retryable: true, overloaded: true, durableObjectReset: true, durableObjectId: 'mine' });
    },
    () => {
      throw Object.assign(new Error('odd values'), { remote: 'text', retryable: 0, overloaded: null });
    },
  ],
  'causes': () => [
    () => {
      throw new Error('outer', { cause: new RangeError('inner') });
    },
    () => {
      throw new Error('outer', { cause: 'text' });
    },
    () => {
      throw new Error('outer', { cause: undefined });
    },
    () => {
      throw new Error('outer', { cause: new Error('middle', { cause: Object.assign(new TypeError('deep'), { code: 1 }) }) });
    },
    () => {
      throw new Error('outer', { cause: () => 1 });
    },
    () => {
      throw new AggregateError([new TypeError('one'), 'two'], 'several');
    },
  ],
  'odd messages and names': () => [
    () => {
      throw new Error();
    },
    () => {
      throw new Error('');
    },
    () => {
      throw new Error('two\nlines');
    },
    () => {
      throw new Error('x'.repeat(100_000));
    },
    () => {
      throw new Error('é💥\ud800');
    },
    () => {
      throw Object.assign(new Error('renamed'), { name: 'TypeError' });
    },
    () => {
      throw Object.assign(new Error('renamed'), { name: '' });
    },
    () => {
      throw Object.assign(new Error('message replaced'), { message: 5 });
    },
    () => {
      throw new Error('TypeError: looks like another');
    },
    () => {
      throw new Error('jsg.TypeError: looks like the inside');
    },
    () => {
      throw new Error('remote.jsg.Error: looks like the inside');
    },
    () => {
      throw new Error('broken.outputGateBroken; jsg.Error: looks like the inside');
    },
  ],
  'values that only look like errors': () => [
    () => {
      throw Object.create(Error.prototype);
    },
    () => {
      throw Object.create(new Error('prototype'));
    },
    () => {
      throw new Proxy(new Error('behind a proxy'), {});
    },
    () => {
      throw { name: 'TypeError', message: 'a plain object', stack: 'stack' };
    },
  ],
};

const definitions = {};

// By a method, on its way through a stub; both forms of serialisation.
for (const [what, make] of Object.entries(throwers)) {
  const name = `rpc error: ${what}`;
  const parts = {
    fail(i) {
      make()[i]();
    },
    async later(i) {
      await null;
      make()[i]();
    },
  };
  const main = (partOf) => async ({ object, env }) => {
    const out = [];
    for (let i = 0; i < make().length; i++) out.push(await outcome(() => object.run(partOf, 'fail', i)));
    out.push(await outcome(() => object.run(partOf, 'later', 0)), await outcome(() => env.CALLS.run(partOf, 'fail', 0)));
    return out;
  };
  definitions[name] = { ...parts, main: main(name) };
  definitions[`${name} (before 2026-04-21)`] = { ...parts, main: main(`${name} (before 2026-04-21)`), date: '2026-04-20' };
}

const alsoBefore = (what, definition) => {
  definitions[`rpc error: ${what}`] = definition(`rpc error: ${what}`);
  definitions[`rpc error: ${what} (before 2026-04-21)`] = { ...definition(`rpc error: ${what} (before 2026-04-21)`), date: '2026-04-20' };
};

alsoBefore('thrown by a callback, and back', () => ({
  main: async ({ call }) => {
    const f = () => {
      throw Object.assign(new RangeError('in the callback'), { code: 1 });
    };
    return [await outcome(() => call('pass', f)), await call('catch', f)];
  },
  pass: (f) => f(),
  catch: (f) => f().catch(lookAtError),
}));
alsoBefore('on its way through two objects', (name) => ({
  main: async ({ env }) => {
    const [a, b] = ['a', 'b'].map((which) => env.RPC.getByName(`${name} ${which}`));
    return outcome(() => a.run(name, 'pass', b));
  },
  pass: (other) => other.fail('RangeError', 'far away'),
}));
alsoBefore('as a value, with cause and properties', () => ({
  main: async ({ object, call }) => {
    const error = Object.assign(new RangeError('value', { cause: new Error('cause') }), { code: 1 });
    return [look(await object.echo(error)), await call('see', { error, list: [new TypeError('t')] })];
  },
  see: (value) => look(value),
}));
alsoBefore('by fetch', (name) => ({
  main: async ({ object }) => [await outcome(() => object.fetch(`http://x/fail?case=${encodeURIComponent(name)}`)), await outcome(() => object.fetch(`http://x/text?case=${encodeURIComponent(name)}`)), await outcome(() => object.fetch(`http://x/dom?case=${encodeURIComponent(name)}`))],
  fail() {
    throw Object.assign(new RangeError('by fetch', { cause: 'c' }), { code: 1 });
  },
  text() {
    throw 'text';
  },
  dom() {
    throw new DOMException('text', 'AbortError');
  },
}));
alsoBefore('its stack is of this side', () => ({
  main: async ({ object }) => {
    try {
      await object.fail('RangeError', 'stack');
    } catch (error) {
      return [error.stack.split('\n')[0], error.stack.includes('rpc_worker.mjs')];
    }
  },
}));

Object.assign(definitions, {
  'rpc error: a fetch handler that returns no response': {
    main: async ({ object }) => {
      const out = [];
      for (const part of ['nothing', 'text', 'plain', 'promise']) out.push(await outcome(() => object.fetch(`http://x/${part}?case=${encodeURIComponent('rpc error: a fetch handler that returns no response')}`)));
      return out;
    },
    nothing() {},
    text: () => 'text',
    plain: () => ({ status: 200 }),
    promise: async () => null,
  },
  'rpc error: is thrown anew to each caller': {
    main: async ({ call }) => {
      const caught = [];
      for (let i = 0; i < 2; i++) await call('fail').catch((error) => caught.push(error));
      return [caught[0] === caught[1], caught[0].message, caught[1].message];
    },
    fail() {
      throw (this.same ??= new Error('the same'));
    },
  },
  'rpc error: is the caller\'s own class': {
    main: async ({ object }) => {
      const error = await object.fail('RangeError', 'class').catch((e) => e);
      return [error instanceof RangeError, error.constructor === RangeError, Object.keys(error), Object.getOwnPropertyDescriptor(error, 'remote'), Object.getOwnPropertyDescriptor(error, 'message')?.enumerable];
    },
  },
  'rpc error: a promise that is rejected later': {
    main: ({ call }) => outcome(() => call('later')),
    later: () => new Promise((_, reject) => setTimeout(reject, 5, new RangeError('later'))),
  },
  'rpc error: a call without a handler of fetch': {
    main: async ({ env, name }) => [await outcome(() => env.OTHER.getByName(name).fetch('http://x/')), await outcome(() => env.NAMED.fetch('http://x/')), await outcome(() => env.SHAPES.fetch('http://x/'))],
  },
  'rpc error: a class that does not extend DurableObject': {
    main: async ({ env, name }) => [await outcome(() => env.PLAIN.getByName(name).method()), await outcome(() => env.PLAIN.getByName(name).property), await brief(async () => (await env.PLAIN.getByName(name).fetch('http://x/')).text())],
  },
  'rpc error: an abort with a reason that is no error': {
    main: async ({ env, name }) => {
      const out = [];
      for (const reason of ['text', undefined, 5]) out.push(await outcome(() => env.RPC.getByName(`${name} ${reason}`).run(name, 'end', reason)));
      return out;
    },
    end(reason) {
      this.ctx.abort(reason);
    },
  },
});

export const rpcErrorCases = definitions;
