// The classes and entrypoints that the RPC cases call. What a case needs beyond them is a part of the case itself, which
// run() runs in the object or in the entrypoint.
import * as workers from 'cloudflare:workers';
import { DurableObject, RpcTarget, WorkerEntrypoint } from 'cloudflare:workers';
import { cases } from './cases.mjs';
import { until } from './show.mjs';

const hidden = Symbol('hidden');

// What a target, an object and an entrypoint have in common to be found, or not to be found, by a caller.
const withShapes = (Base) =>
  class extends Base {
    static onTheClass() {
      return 'static';
    }
    own = 5;
    arrow = () => 'arrow';
    ownObject = { method: () => 1 };
    #secret = 'secret';

    method(...args) {
      return ['method', ...args];
    }
    whoAmI() {
      return [this.constructor.name, this.own, this.#secret];
    }
    get getter() {
      return `got by ${this.own}`;
    }
    get asyncGetter() {
      return Promise.resolve('later');
    }
    get throwingGetter() {
      throw new RangeError('thrown by a getter');
    }
    get rejectingGetter() {
      return Promise.reject(new RangeError('rejected by a getter'));
    }
    get functionGetter() {
      return (x) => `called with ${x}`;
    }
    get objectGetter() {
      return { deep: { er: 7, f: (x) => x + 1 }, list: [1, [2, 3]] };
    }
    set onlySetter(value) {
      this.own = value;
    }
    #private() {
      return this.#secret;
    }
    [hidden]() {
      return 'by a symbol';
    }
    _underscore() {
      return '_';
    }
    $dollar() {
      return '$';
    }
    'with blanks and é'() {
      return 'odd name';
    }
    0() {
      return 'zero';
    }
    get() {
      return 'get';
    }
    put(...args) {
      return ['put', ...args];
    }
    delete() {
      return 'delete';
    }
    dup() {
      return 'dup';
    }
    toString() {
      return 'own toString';
    }
    *generator() {
      yield 1;
    }
    async *asyncGenerator() {
      yield 1;
    }
  };

class ShapesBase extends withShapes(RpcTarget) {
  inherited() {
    return 'inherited';
  }
  overridden() {
    return 'base';
  }
}
export class ShapesTarget extends ShapesBase {
  overridden() {
    return `derived of ${super.overridden()}`;
  }
}

// Counts, and says when it is let go.
export class Counter extends RpcTarget {
  #value = 0;
  #note;
  constructor(value = 0, note = () => {}) {
    super();
    this.#value = value;
    this.#note = note;
  }
  increment(by = 1) {
    this.#value += by;
    return this.#value;
  }
  get value() {
    return this.#value;
  }
  self() {
    return this;
  }
  another(value) {
    return new Counter(value, this.#note);
  }
  fail(message) {
    throw new RangeError(message);
  }
  [Symbol.dispose]() {
    this.#note(`disposed at ${this.#value}`);
  }
}

// What every callee can do.
const withCalls = (Base) =>
  class extends Base {
    trace = [];
    kept = new Map();
    lib = { ...workers, ShapesTarget, Counter };

    run(name, part, ...args) {
      return cases[name][part].apply(this, args);
    }
    echo(value) {
      return value;
    }
    echoAll(...values) {
      return values;
    }
    add(a, b) {
      return a + b;
    }
    note(what) {
      this.trace.push(what);
      return this.trace.length;
    }
    async noted(count = 0) {
      await until(() => this.trace.length >= count);
      return this.trace;
    }
    counter(value) {
      return new Counter(value, (text) => this.trace.push(text));
    }
    nested(value) {
      return { counter: this.counter(value), plain: { list: [1, 2, 3] }, f: (x) => x * 2 };
    }
    callBack(f, ...args) {
      return f(...args);
    }
    fail(kind, message) {
      const Kind = globalThis[kind];
      throw new Kind(message);
    }
    // A stub that stays after the call.
    keep(key, stub) {
      this.kept.set(key, stub.dup());
    }
    async callKept(key, ...args) {
      return await this.kept.get(key)(...args);
    }
    letGo(key) {
      this.kept.get(key)[Symbol.dispose]();
      this.kept.delete(key);
    }
  };

export class RpcObject extends withCalls(DurableObject) {
  async fetch(request) {
    const url = new URL(request.url);
    const part = cases[url.searchParams.get('case')]?.[url.pathname.slice(1)];
    if (part !== undefined) return await part.call(this, request, url);
    return Response.json({ method: request.method, url: request.url, headers: [...request.headers], redirect: request.redirect, body: await request.text() });
  }
  nameInside() {
    return this.ctx.id.name ?? null;
  }
}

export class Calls extends withCalls(WorkerEntrypoint) {
  count = 0;
  fetch(request) {
    return new Response(`Calls got ${request.url}`);
  }
  next() {
    return ++this.count;
  }
  props() {
    return this.ctx.props;
  }
}

export class ShapedObject extends withShapes(DurableObject) {}
export class ShapedEntrypoint extends withShapes(WorkerEntrypoint) {}

// An entrypoint that is no class.
export const handlers = {
  async fetch(request, env, ctx) {
    return new Response(`handlers got ${request.url}, ${typeof env}, ${typeof ctx.waitUntil}`);
  },
  one: (arg, env, ctx) => [arg, typeof env.RPC, typeof ctx.waitUntil],
  two: (a, b) => [a, b],
  four: (a, b, c, d) => [a, b, c, d],
  none: () => 'none',
  rest: (...args) => args.length,
  property: 'no function',
  self(arg, env, ctx) {
    return this === handlers;
  },
};

// An export that is none of the kinds.
export function someFunction() {}
