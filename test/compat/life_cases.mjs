// Cases about an object's life: its constructor, what ends it and what does not, what others are told then, `ctx`, and
// classes of every shape.
import { outcome, outcomes, pause, table, told, until } from './stage.mjs';

const { definitions, staged, alone } = table();

// What running, queued and later callers of an object are told when `part` ends it.
async function tell(object, part, ...args) {
  const stub = object();
  const running = [outcome(stub.runAsync('hang')), outcome(stub.fetch('http://x/hang'))];
  await stub.echo(1);
  const same = outcome(stub.runAsync(part, ...args));
  const queued = [outcome(stub.echo('queued')), outcome(stub.fetch('http://x/').then((r) => r.text()))];
  return {
    running: await Promise.all(running),
    same: await same,
    queued: await Promise.all(queued),
    oldStub: [await outcome(stub.echo(1)), await outcome(stub.fetch('http://x/'))],
    newStub: [await outcome(object().echo('fresh')), await outcome(object().fetch('http://x/').then((r) => r.text()))],
    notes: await object().notes(),
  };
}
const hanging = {
  hang() {
    return this.never();
  },
  fetch(ctx, request) {
    return request.url.endsWith('hang') ? this.never() : new Response('answer');
  },
};

// ---------------------------------------------------------------- abort
for (const [what, reason] of Object.entries({
  'no reason': [],
  'undefined': [undefined],
  'a text': ['a text'],
  'an empty text': [''],
  'a number': [42],
  'null': [null],
  'an object': [{ a: 1 }],
  'an Error': [new Error('an error')],
  'a TypeError': [new TypeError('a type error')],
  'a DOMException': [new DOMException('a dom exception', 'AbortError')],
  'an object with toString': [{ toString: () => 'stringified' }],
})) {
  staged(`abort: the reason is ${what}`, async ({ object }) => [await outcome(object().runAsync('end')), await outcome(object().fetch('http://x/'))], {
    end: (ctx) => ctx.abort(...reason),
    fetch: (ctx) => ctx.abort(...reason),
  });
}
staged('abort: in a handler, what everybody is told', ({ object }) => tell(object, 'end'), {
  ...hanging,
  end(ctx) {
    ctx.abort('the end');
  },
});
staged('abort: in a timer, what everybody is told', ({ object }) => tell(object, 'end'), {
  ...hanging,
  end: (ctx) => new Promise(() => setTimeout(() => ctx.abort('in a timer'), 10)),
});
staged('abort: in a microtask', ({ object }) => tell(object, 'end'), {
  ...hanging,
  end: (ctx) => Promise.resolve().then(() => ctx.abort('in a microtask')),
});
staged('abort: in a section', ({ object }) => tell(object, 'end'), {
  ...hanging,
  end: (ctx) => ctx.blockConcurrencyWhile(async () => {
    await pause(2);
    ctx.abort('in a section');
  }),
});
staged('abort: in a transaction', async ({ object }) => [await outcome(object().runAsync('end')), await object().run('read')], {
  end: (ctx) => ctx.storage.transaction(async (txn) => {
    await txn.put('a', 1);
    await pause(2);
    ctx.abort('in a transaction');
  }),
  read: async ({ storage }) => [...(await storage.list())],
});
staged('abort: in transactionSync', async ({ object }) => [await outcome(object().runAsync('end')), await object().run('read')], {
  end: (ctx) => ctx.storage.transactionSync(() => {
    ctx.storage.kv.put('a', 1);
    ctx.abort('in transactionSync');
  }),
  read: async ({ storage }) => [...(await storage.list())],
});
staged('abort: nothing runs after it', async ({ object }) => [await outcome(object().runAsync('end')), (await pause(30), await object().notes())], {
  async end(ctx) {
    setTimeout(() => this.journal.push('timer'), 5);
    Promise.resolve().then(() => this.journal.push('microtask'));
    try {
      ctx.abort('terminated');
      this.journal.push('went on');
    } catch (error) {
      this.journal.push(`caught ${told(error)}`);
    } finally {
      this.journal.push('finally');
    }
    this.journal.push('after');
  },
});
staged('abort: twice', async ({ object }) => [await outcome(object().runAsync('end')), await outcome(object().echo(1))], {
  end(ctx) {
    try {
      ctx.abort('first');
    } finally {
      ctx.abort('second');
    }
  },
});
staged('abort: writes without a pause are dropped, others stay', async ({ object }) => [await outcome(object().runAsync('end')), await object().run('read')], {
  async end(ctx) {
    await ctx.storage.put('kept', 1);
    await pause(5);
    ctx.storage.put('lost', 1);
    ctx.storage.sql.exec('CREATE TABLE lost(x)');
    ctx.storage.setAlarm(Date.now() + 1e9);
    await ctx.storage.get('lost');
    ctx.abort();
  },
  read: async ({ storage }) => [[...(await storage.list())], storage.sql.exec("SELECT name FROM sqlite_schema WHERE name = 'lost'").toArray(), await storage.getAlarm()],
});
staged('abort: in the constructor', async ({ object }) => {
  const stub = object();
  const first = await Promise.all([outcome(stub.echo(1)), outcome(stub.fetch('http://x/'))]);
  return [first, await outcome(stub.echo(3)), await outcome(object().logged())];
}, {
  construct(ctx) {
    this.journal.push('constructed');
    if (this.journal.length === 1) ctx.abort('in the constructor');
    this.log.push('alive', this.journal.length);
  },
});
staged('abort: in waitUntil', async ({ object }) => {
  const stub = object();
  const first = await outcome(stub.runAsync('end'));
  await until(() => stub.echo(1).then(() => false, () => true));
  return [first, await outcome(stub.echo(1)), await outcome(object().echo(1))];
}, {
  end(ctx) {
    ctx.waitUntil(pause(10).then(() => ctx.abort('in waitUntil')));
    return 'answered';
  },
});
staged('abort: wrong options', async ({ object }) => [await outcome(object().runAsync('end', 5)), await outcome(object().runAsync('end', 'x')), await outcome(object().runAsync('end', null)), await outcome(object().runAsync('end', {}))], {
  end: (ctx, options) => ctx.abort('reason', options),
});
staged('abort: a response body under way', async ({ object }) => {
  const stub = object();
  const response = await stub.fetch('http://x/');
  const reader = response.body.getReader();
  const first = new TextDecoder().decode((await reader.read()).value);
  const end = outcome(stub.run('end'));
  return [first, await outcome(reader.read().then(({ done }) => `done ${done}`)), await end];
}, {
  fetch() {
    return new Response(new ReadableStream({ start: (c) => c.enqueue(new TextEncoder().encode('first')) }));
  },
  end: (ctx) => ctx.abort('while it streams'),
});
staged('abort: the call that this object makes goes on elsewhere', async ({ object }) => {
  const first = await outcome(object().runAsync('end'));
  await until(async () => (await object('far').logged()).length > 0);
  return [first, await object('far').logged()];
}, {
  async end(ctx) {
    const far = this.env.STAGE.getByName(ctx.id.name.replace('#', '#far'));
    await far.push('one');
    await ctx.abort('after a call');
  },
});

// ---------------------------------------------------------------- the constructor
staged('constructor: throws at once, then works', async ({ object }) => {
  const stub = object();
  const first = await Promise.all([outcome(stub.echo(1)), outcome(stub.fetch('http://x/'))]);
  return [first, await outcome(stub.echo(3)), await outcome(object().echo(4)), await object().notes()];
}, {
  construct() {
    this.journal.push('constructed');
    if (this.journal.length === 1) throw new RangeError('the constructor throws');
  },
});
for (const [what, thrown] of Object.entries({ 'a text': () => 'text', 'null': () => null, 'undefined': () => undefined, 'a DOMException': () => new DOMException('dom', 'NotFoundError') })) {
  staged(`constructor: throws ${what}`, async ({ object }) => [await outcome(object().echo(1)), await outcome(object().fetch('http://x/'))], {
    construct() {
      throw thrown();
    },
  });
}
staged('constructor: a section in it rejects, then works', async ({ object }) => {
  const stub = object();
  const first = await Promise.all([outcome(stub.echo(1)), outcome(stub.fetch('http://x/'))]);
  return [first, await outcome(stub.echo(3)), await outcome(object().echo(4)), await object().notes()];
}, {
  construct(ctx) {
    this.journal.push('constructed');
    ctx.blockConcurrencyWhile(async () => {
      await ctx.storage.get('x');
      if (this.journal.length === 1) throw new RangeError('the section rejects');
    });
  },
});
staged('constructor: throws every time', async ({ object }) => {
  const out = [];
  for (let i = 0; i < 4; i++) out.push(await outcome(object().echo(1)));
  return [out];
}, {
  construct() {
    this.journal.push(1);
    throw new Error(`attempt ${this.journal.length}`);
  },
});
staged('constructor: writes of one that throws', async ({ object }) => [await outcome(object().echo(1)), await object().run('read')], {
  construct({ storage }) {
    this.journal.push(1);
    if (this.journal.length > 1) return;
    storage.kv.put('a', 1);
    storage.sql.exec('CREATE TABLE t(x)');
    throw new Error('after writing');
  },
  read: async ({ storage }) => [[...(await storage.list())], storage.sql.exec("SELECT name FROM sqlite_schema WHERE name = 't'").toArray()],
});
staged('constructor: runs once for many first events', async ({ object }) => {
  await Promise.all(Array.from({ length: 10 }, (_, i) => (i % 2 === 0 ? object().echo(i) : object().fetch('http://x/'))));
  return object().notes();
}, {
  construct() {
    this.journal.push('constructed');
  },
});
staged('constructor: what it knows', async ({ object }) => object().logged(), {
  construct(ctx, env) {
    this.log.push(ctx.id.name, typeof ctx.storage, this.ctx === ctx, this.env === env, 'SELF' in env, Object.keys(this).sort());
  },
});
staged('constructor: a call of another object in it', async ({ object }) => object().runAsync('read'), {
  construct(ctx, env) {
    if (!ctx.id.name.endsWith('#')) return;
    this.answer = env.STAGE.getByName(`${ctx.id.name}far`).echo('an answer');
  },
  async read() {
    return await this.answer;
  },
});
staged('constructor: a call of itself in it', async ({ object }) => {
  const first = await object().echo('first');
  await until(async () => (await object().logged()).length >= 1);
  return [first, await object().logged()];
}, {
  construct(ctx, env) {
    env.STAGE.getByName(ctx.id.name).push('from the constructor');
  },
});
staged('constructor: an alarm set in it', async ({ object }) => {
  await object().echo(1);
  return until(async () => (await object().notes()).includes('rang'));
}, {
  construct({ storage }) {
    storage.setAlarm(Date.now() + 1);
  },
  alarm() {
    this.journal.push('rang');
  },
});

// ---------------------------------------------------------------- what does not end an object
staged('life: exceptions of handlers leave it as it is', async ({ object }) => {
  const stub = object();
  await stub.push('before');
  const out = [await outcome(stub.run('fail')), await outcome(stub.runAsync('fail')), await outcome(stub.fetch('http://x/'))];
  return [out, await stub.logged()];
}, {
  fail() {
    throw new TypeError('a call fails');
  },
  fetch() {
    throw new TypeError('a fetch fails');
  },
});
staged('life: an unhandled rejection leaves it as it is', async ({ object }) => {
  const stub = object();
  await stub.push('before');
  await stub.run('reject');
  await pause(20);
  return stub.logged();
}, {
  reject() {
    Promise.reject(new Error('nobody handles this'));
    (async () => {
      await pause(5);
      throw new Error('nor this');
    })();
  },
});
staged('life: an exception in a timer leaves it as it is', async ({ object }) => {
  const stub = object();
  await stub.run('arm');
  await until(async () => (await stub.logged()).length >= 5);
  return stub.logged();
}, {
  arm() {
    setTimeout(() => {
      this.log.push('timer 1');
      throw new Error('in a timer');
    }, 2);
    setTimeout(() => this.log.push('timer 2'), 2);
    const interval = setInterval(() => {
      this.log.push('interval');
      if (this.log.length > 4) clearInterval(interval);
      throw new Error('in an interval');
    }, 2);
    queueMicrotask(() => {
      throw new Error('in a microtask');
    });
  },
});
staged('life: waitUntil that rejects leaves it as it is', async ({ object }) => {
  const stub = object();
  const first = await stub.run('wait');
  await until(async () => (await stub.logged()).length >= 1);
  return [first, await stub.logged()];
}, {
  wait(ctx) {
    ctx.waitUntil(Promise.reject(new Error('at once')));
    ctx.waitUntil(pause(5).then(() => {
      this.log.push('waited');
      throw new Error('later');
    }));
    ctx.waitUntil('no promise');
    return 'answered';
  },
});
staged('life: work goes on after the answer', async ({ object }) => {
  const stub = object();
  await stub.run('start');
  await until(async () => (await stub.logged()).length >= 3);
  return stub.logged();
}, {
  start(ctx) {
    setTimeout(() => this.log.push('timer'), 5);
    pause(10).then(() => this.env.STAGE.getByName('nobody').echo('call')).then((v) => this.log.push(v)).then(() => ctx.storage.put('k', 'put')).then(() => ctx.storage.get('k')).then((v) => this.log.push(v));
  },
});
staged('life: fields and closures stay between events', async ({ object }) => {
  const stub = object();
  await stub.push(1);
  await object().push(2);
  await object().fetch('http://x/');
  return stub.logged();
}, {
  fetch() {
    this.log.push('fetch');
    return new Response(null);
  },
});
staged('life: promises of one event settled by another', async ({ object }) => {
  const stub = object();
  const waiting = stub.runAsync('wait');
  await stub.echo(1);
  await stub.run('settle', 'a value');
  return waiting;
}, {
  wait() {
    return new Promise((resolve) => (this.settle = resolve));
  },
  settle(ctx, value) {
    this.settle(value);
  },
});
staged('life: a request and its body are used by another event', async ({ object }) => {
  const stub = object();
  const waiting = stub.fetch('http://x/', { method: 'POST', body: 'the body' }).then((r) => r.text());
  await stub.echo(1);
  await stub.runAsync('read');
  return waiting;
}, {
  fetch(ctx, request) {
    this.request = request;
    return new Promise((resolve) => (this.answer = resolve));
  },
  async read() {
    this.answer(new Response(`${this.request.method} ${await this.request.text()}`));
  },
});

// ---------------------------------------------------------------- ctx
alone('ctx: own properties and where members are', (ctx) => [
  Object.keys(ctx).sort(),
  Object.getOwnPropertyNames(Object.getPrototypeOf(ctx)).sort(),
  Object.prototype.toString.call(ctx),
  ctx.constructor.name,
  ['id', 'storage', 'props', 'exports', 'facets', 'container'].map((key) => [key, key in ctx, typeof ctx[key]]),
]);
alone('ctx: own properties after a look at each', (ctx) => {
  for (const key of ['id', 'storage', 'props', 'exports', 'facets', 'container']) void ctx[key];
  return ['id', 'storage', 'props', 'exports', 'facets', 'container'].map((key) => {
    const descriptor = Object.getOwnPropertyDescriptor(ctx, key);
    return descriptor && [key, 'value' in descriptor, descriptor.writable, descriptor.enumerable, descriptor.configurable];
  });
});
alone('ctx: members can be overwritten', (ctx) => {
  const out = [];
  for (const key of ['id', 'storage', 'props', 'exports', 'facets', 'waitUntil', 'blockConcurrencyWhile', 'abort', 'something']) {
    try {
      ctx[key] = `own ${key}`;
      out.push(ctx[key]);
    } catch (error) {
      out.push(told(error));
    }
  }
  return [out, Object.keys(ctx).includes('something'), delete ctx.something, 'something' in ctx];
});
alone('ctx: the same on every look', (ctx) => [ctx.id === ctx.id, ctx.storage === ctx.storage, ctx.storage.sql === ctx.storage.sql, ctx.storage.kv === ctx.storage.kv, ctx.exports === ctx.exports, ctx.props === ctx.props, ctx.facets === ctx.facets]);
alone('ctx: wrong receivers and wrong use', async (ctx) => {
  const proto = Object.getPrototypeOf(ctx);
  const names = ['waitUntil', 'abort', 'acceptWebSocket', 'getWebSockets', 'getTags', 'setWebSocketAutoResponse', 'getWebSocketAutoResponse'];
  return [
    outcomes(...names.map((name) => () => proto[name].call({}, () => {}))).map((text) => String(text).split(':')[0]),
    outcomes(() => new ctx.constructor()),
  ];
});
alone('ctx: props is an empty object', (ctx) => [ctx.props, Object.getPrototypeOf(ctx.props) === Object.prototype, Object.isFrozen(ctx.props)]);
alone('ctx: methods have names and lengths', (ctx) => ['waitUntil', 'blockConcurrencyWhile', 'abort', 'acceptWebSocket', 'getWebSockets', 'getTags'].map((name) => [ctx[name].name, ctx[name].length, Object.getOwnPropertyDescriptor(Object.getPrototypeOf(ctx), name)?.enumerable]));
alone('ctx: the id', (ctx) => [Object.keys(ctx.id), ctx.id.name, ctx.id.toString().length, ctx.id.equals(ctx.id), JSON.stringify(ctx.id), `${ctx.id}`.length, ctx.id.jurisdiction]);
alone('ctx: class DurableObject', function (ctx) {
  const base = Object.getPrototypeOf(this.constructor);
  return [base.name, base.length, Object.getOwnPropertyNames(base.prototype), Object.keys(this).slice(0, 2), this instanceof base, outcomes(() => new base(), () => new base({}, {})).map((text) => text.replace('DurableObjectBase', 'DurableObject'))];
});

// ---------------------------------------------------------------- classes of every shape
const answerOf = (stub) => outcome(() => stub.fetch('http://x/').then((r) => r.text()));
definitions['shape: a class that extends nothing'] = {
  main: async ({ env, name }) => {
    const stub = env.LEGACY.getByName(name);
    const out = [await (await stub.fetch('http://x/args')).json(), await outcome(stub.method()), await outcome(stub.missing()), await answerOf(stub)];
    await stub.fetch('http://x/arm');
    await until(async () => (await (await stub.fetch('http://x/')).json()).length > 0);
    return [out, await (await stub.fetch('http://x/')).json()];
  },
};
definitions['shape: no handlers'] = {
  main: async ({ env, name }) => {
    const stub = env.BARE.getByName(name);
    return [await answerOf(stub), await outcome(stub.arm()), await outcome(stub.alarm()), await outcome(stub.hello()), await outcome(stub.socket()), await outcome(stub.hello())];
  },
};
definitions['shape: handlers that are no functions'] = {
  main: async ({ env, name }) => {
    const stub = env.SHAPES_OBJECT.getByName(name);
    return [await answerOf(stub), await outcome(stub.arm()), await outcome(stub.alarm())];
  },
};
definitions['shape: inherited handlers'] = {
  main: async ({ env, name }) => {
    const stub = env.HEIR.getByName(name);
    await stub.arm();
    return [await answerOf(stub), await outcome(stub.method()), await until(() => stub.hasRung())];
  },
};
definitions['shape: handlers from getters and fields'] = {
  main: async ({ env, name }) => {
    const stub = env.GETTERS.getByName(name);
    await stub.arm();
    return [await answerOf(stub), await answerOf(stub), await until(() => stub.hasRung())];
  },
};
definitions['shape: a constructor that returns another object'] = {
  main: async ({ env, name }) => {
    const stub = env.RETURNS_OTHER.getByName(name);
    return [await answerOf(stub), await outcome(stub.method())];
  },
};
staged('shape: handlers that are put on the instance', async ({ object }) => {
  const stub = object();
  const before = await answerOf(stub);
  await stub.run('replace');
  return [before, await answerOf(stub), await outcome(stub.echo('over RPC'))];
}, {
  replace() {
    this.fetch = () => new Response('replaced');
    this.echo = () => 'own property';
  },
});
for (const [what, value] of Object.entries({ 'nothing': () => undefined, 'a text': () => 'text', 'an object': () => ({}), 'a Promise of nothing': async () => {}, 'a Request': () => new Request('http://x/') })) {
  staged(`shape: fetch returns ${what}`, ({ object }) => answerOf(object()), { fetch: value });
}
staged('shape: fetch returns a thenable', ({ object }) => answerOf(object()), { fetch: () => ({ then: (resolve) => resolve(new Response('from a thenable')) }) });
staged('shape: the fragment of a URL', ({ object }) => object().fetch('http://x/a?b#c').then((r) => r.text()), { fetch: (ctx, request) => new Response(request.url) });
staged('shape: arguments of fetch', ({ object }) => object().fetch('http://x/a?b', { method: 'PUT', body: 'x', headers: { a: 'b' } }).then((r) => r.json()), {
  async fetch(ctx, request, ...rest) {
    return Response.json([rest.length, request instanceof Request, request.url, request.method, request.redirect, request.headers.get('a'), await request.text(), request.signal === undefined]);
  },
});
for (const [what, make] of Object.entries({
  'a RangeError': () => new RangeError('one'),
  'an own class': () => new (class Mine extends TypeError {
    constructor() {
      super('two');
      this.code = 7;
    }
  })(),
  'a text': () => 'three',
  'an error that says retryable': () => Object.assign(new Error('seven'), { retryable: true, overloaded: true, remote: false }),
})) {
  staged(`shape: fetch throws ${what}`, ({ object }) => answerOf(object()), {
    fetch() {
      throw make();
    },
  });
}

export const lifeCases = definitions;
