// Cases about gates and order: what may run between two lines of an object's code, and in which order things happen.
import { outcome, outcomes, pause, table, told, until } from './stage.mjs';

const { definitions, staged, alone } = table();

// ---------------------------------------------------------------- what lets other events in
// An event does one thing again and again until another event, sent right after it, has run.
const quick = {
  'a microtask': () => undefined,
  'queueMicrotask': () => new Promise((resolve) => queueMicrotask(resolve)),
  'storage.get': (self, { storage }) => storage.get('k'),
  'storage.put': (self, { storage }) => storage.put('k', 1),
  'storage.delete': (self, { storage }) => storage.delete('k'),
  'storage.list': (self, { storage }) => storage.list(),
  'storage.getAlarm': (self, { storage }) => storage.getAlarm(),
  'storage.sql': (self, { storage }) => storage.sql.exec('SELECT 1').toArray(),
  'storage.transactionSync': (self, { storage }) => storage.transactionSync(() => storage.kv.put('k', 1)),
};
const waits = {
  'storage.sync': (self, { storage }) => (storage.put('k', 1), storage.sync()),
  'setTimeout': () => pause(0),
  'setInterval': () => new Promise((resolve) => {
    const timer = setInterval(() => (clearInterval(timer), resolve()), 1);
  }),
  'scheduler.wait': () => scheduler.wait(1),
  'AbortSignal.timeout': () => new Promise((resolve) => AbortSignal.timeout(1).addEventListener('abort', resolve)),
  'a fetch of another object': (self) => self.env.STAGE.getByName('nobody').fetch('http://x/').then((r) => r.text()),
  'a call of another object': (self) => self.env.STAGE.getByName('nobody').echo(1),
  'a property of another object': (self) => outcome(self.env.STAGE.getByName('nobody').journal),
  'a fetch of the own Worker': (self) => self.env.SELF.fetch('http://x/none').then((r) => r.text()),
  'a call of an entrypoint': (self) => self.env.NAMED.greet('x'),
  'a streamed body': () => new Response(new ReadableStream({ async pull(c) {
    await pause(1);
    c.enqueue(new Uint8Array(1));
    c.close();
  } })).text(),
  'a message of a WebSocketPair': () => new Promise((resolve) => {
    const [a, b] = Object.values(new WebSocketPair());
    a.accept();
    b.accept();
    b.addEventListener('message', () => (a.close(), b.close(), resolve()));
    a.send('x');
  }),
};
for (const [what, wait] of Object.entries({ ...quick, ...waits })) {
  staged(`gate: others run during ${what}`, async ({ object }) => (await Promise.all([object().runAsync('waiter'), object().run('flag')]))[0], {
    async waiter(ctx) {
      const end = Date.now() + (what in waits ? 5000 : 0);
      for (let i = 0; (i < 400 || Date.now() < end) && this.flag !== true; i++) await wait(this, ctx);
      return this.flag === true ? 'yes' : 'no';
    },
    flag() {
      this.flag = true;
    },
  });
}

// ---------------------------------------------------------------- increments
for (const [what, between] of Object.entries({
  'nothing': () => undefined,
  'microtasks': async () => {
    for (let i = 0; i < 20; i++) await undefined;
  },
  'another get': (self, { storage }) => storage.get('other'),
  'a put of something else': (self, { storage }) => storage.put('other', 1),
})) {
  staged(`gate: 30 increments with ${what} between get and put`, async ({ object }) => {
    await Promise.all(Array.from({ length: 30 }, () => object().runAsync('increment')));
    return object().run('value');
  }, {
    async increment(ctx) {
      const n = (await ctx.storage.get('n')) ?? 0;
      await between(this, ctx);
      await ctx.storage.put('n', n + 1);
    },
    value: ({ storage }) => storage.get('n'),
  });
}
staged('gate: 5 increments that all meet at another object lose four', async ({ object }) => {
  const read = await Promise.all(Array.from({ length: 5 }, () => object().runAsync('increment')));
  return [read, await object().run('value')];
}, {
  async increment({ storage }) {
    const n = (await storage.get('n')) ?? 0;
    await this.env.STAGE.getByName('gate: meeting point 1').barrier(5);
    await storage.put('n', n + 1);
    return n;
  },
  value: ({ storage }) => storage.get('n'),
});
staged('gate: in a section nobody else is at the meeting point', async ({ object }) => {
  await Promise.all(Array.from({ length: 10 }, () => object().runAsync('increment')));
  return object().run('value');
}, {
  increment(ctx) {
    return ctx.blockConcurrencyWhile(async () => {
      const n = (await ctx.storage.get('n')) ?? 0;
      await this.env.STAGE.getByName('nobody').echo(1);
      await ctx.storage.put('n', n + 1);
    });
  },
  value: ({ storage }) => storage.get('n'),
});

// ---------------------------------------------------------------- order of calls
staged('order: calls of one stub arrive in order', async ({ object }) => {
  const stub = object();
  await Promise.all(Array.from({ length: 40 }, (_, i) => stub.push(i)));
  return stub.logged();
});
staged('order: calls and fetches of one stub arrive in order', async ({ object }) => {
  const stub = object();
  await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? stub.push(i) : stub.fetch(`http://x/${i}`))));
  return stub.logged();
}, {
  fetch(ctx, request) {
    this.log.push(new URL(request.url).pathname);
    return new Response(null);
  },
});
staged('order: of objects calling one another', async ({ object }) => {
  const stub = object();
  await Promise.all([stub.runAsync('relay', 'a'), stub.runAsync('relay', 'b'), stub.runAsync('relay', 'c')]);
  return object('far').logged();
}, {
  relay(ctx, tag) {
    const far = (this.far ??= this.env.STAGE.getByName(ctx.id.name.replace('#', '#far')));
    return Promise.all([far.push(`${tag}1`), far.push(`${tag}2`)]);
  },
});
staged('order: an answer does not wait for an earlier call', async ({ object }) => {
  const stub = object();
  const log = [];
  await Promise.all([stub.runAsync('slow').then(() => log.push('slow')), stub.echo(1).then(() => stub.run('open')).then(() => log.push('open'))]);
  return log.includes('slow') && log.includes('open');
}, {
  slow() {
    return new Promise((resolve) => (this.open = resolve));
  },
  open() {
    this.open();
  },
});
alone('order: timers fire by time, then by creation', async function () {
  const log = [];
  setTimeout(() => log.push('20a'), 20);
  setTimeout(() => log.push('0'), 0);
  setTimeout(() => log.push('20b'), 20);
  setTimeout(() => log.push('10'), 10);
  setTimeout(() => log.push('1'), 1);
  await pause(40);
  return log;
});
alone('order: timers of 2, 1 and 0 ms, and one after work', async function () {
  const log = [];
  setTimeout(() => log.push('2'), 2);
  setTimeout(() => log.push('1'), 1);
  setTimeout(() => log.push('0'), 0);
  setTimeout(() => log.push('5'), 5);
  for (let i = 0, x = 0; i < 3e7; i++) x += i;
  setTimeout(() => log.push('3 after work'), 3);
  await pause(30);
  return log;
});
alone('order: microtasks of a timer run before the next timer', async function () {
  const log = [];
  for (const n of [1, 2, 3]) {
    setTimeout(() => {
      log.push(`t${n}`);
      Promise.resolve().then(() => log.push(`m${n}`)).then(() => log.push(`mm${n}`));
      queueMicrotask(() => log.push(`q${n}`));
    }, 5);
  }
  await pause(20);
  return log;
});
alone('order: timers in timers', async function () {
  const log = [];
  setTimeout(() => {
    log.push('outer');
    setTimeout(() => log.push('inner 0'), 0);
    setTimeout(() => log.push('inner 15'), 15);
  }, 1);
  setTimeout(() => log.push('second'), 1);
  await until(() => log.length === 4);
  return log;
});
alone('order: a negative, absent or strange delay is 0', async function () {
  const log = [];
  setTimeout(() => log.push('-5'), -5);
  setTimeout(() => log.push('none'));
  setTimeout(() => log.push('NaN'), NaN);
  setTimeout(() => log.push('text'), '0');
  setTimeout(() => log.push('0.9'), 0.9);
  setTimeout(() => log.push('null'), null);
  await pause(20);
  return log;
});
alone('order: a timer that is cleared by an earlier one of the same time', async function () {
  const log = [];
  let second;
  setTimeout(() => {
    log.push('first');
    clearTimeout(second);
  }, 5);
  second = setTimeout(() => log.push('second'), 5);
  setTimeout(() => log.push('third'), 5);
  await pause(20);
  clearTimeout(undefined);
  clearTimeout(123456);
  clearInterval(second);
  return log;
});
alone('order: an interval that clears itself, arguments of timers', async function () {
  const log = [];
  await new Promise((resolve) => {
    let n = 0;
    const timer = setInterval((a, b) => {
      log.push([a, b, ++n]);
      if (n === 3) {
        clearInterval(timer);
        resolve();
      }
    }, 2, 'a', 'b');
  });
  await pause(10);
  setTimeout((...args) => log.push(args), 0, 1, 2, 3);
  await pause(5);
  return log;
});
alone('order: what timers return and take', async () =>
  outcomes(
    () => typeof setTimeout(() => {}, 0),
    () => typeof setInterval(() => {}, 1e6),
    () => setTimeout('1 + 1', 0) && 'taken',
    () => setTimeout() && 'taken',
    () => clearTimeout({}),
    () => clearTimeout('x'),
    () => queueMicrotask(),
    () => queueMicrotask(5),
  ),
);
alone('order: promises of storage before later microtasks', async function ({ storage }) {
  const log = [];
  const done = [
    storage.put('a', 1).then(() => log.push('put')),
    storage.get('a').then(() => log.push('get')),
    storage.delete('a').then(() => log.push('delete')),
  ];
  await Promise.all(done);
  log.push('all');
  return log;
});
alone('order: scheduler.wait and setTimeout of the same time', async function () {
  const log = [];
  await Promise.all([
    scheduler.wait(5).then(() => log.push('wait')),
    new Promise((resolve) => setTimeout(() => (log.push('timeout'), resolve()), 5)),
    scheduler.wait(5).then(() => log.push('wait 2')),
  ]);
  return log;
});
alone('order: scheduler.wait that is aborted', async function () {
  const controller = new AbortController();
  const waiting = outcome(scheduler.wait(1e6, { signal: controller.signal }));
  controller.abort(new RangeError('enough'));
  return [await waiting, await outcome(scheduler.wait(1, { signal: controller.signal })), await outcome(scheduler.wait(1, {})), await outcome(() => scheduler.wait())];
});

// ---------------------------------------------------------------- blockConcurrencyWhile
staged('section: queued events wait, the continuation goes first', async ({ object }) => {
  const stub = object();
  await Promise.all([stub.runAsync('block', 'a'), stub.push('b'), stub.push('c'), stub.runAsync('block', 'd'), stub.push('e')]);
  return stub.logged();
}, {
  async block(ctx, tag) {
    this.log.push(`${tag} before`);
    const value = await ctx.blockConcurrencyWhile(async () => {
      this.log.push(`${tag} in`);
      await pause(10);
      this.log.push(`${tag} out`);
      return `${tag} value`;
    });
    this.log.push(value);
    await undefined;
    this.log.push(`${tag} microtask`);
    await ctx.storage.get('x');
    this.log.push(`${tag} storage`);
  },
});
staged('section: two in one event, the second begins before queued events', async ({ object }) => {
  const stub = object();
  await Promise.all([stub.runAsync('two'), stub.push('queued')]);
  return stub.logged();
}, {
  async two(ctx) {
    const one = ctx.blockConcurrencyWhile(async () => {
      this.log.push('1 in');
      await pause(5);
      this.log.push('1 out');
    }).then(() => this.log.push('1 then'));
    const other = ctx.blockConcurrencyWhile(async () => {
      this.log.push('2 in');
      await pause(5);
      this.log.push('2 out');
    }).then(() => this.log.push('2 then'));
    this.log.push('started');
    await Promise.all([one, other]);
  },
});
staged('section: when the callback begins', async ({ object }) => object().runAsync('start'), {
  async start(ctx) {
    const log = [];
    const done = ctx.blockConcurrencyWhile(() => {
      log.push('callback');
    });
    log.push('after the call');
    queueMicrotask(() => log.push('microtask'));
    await done;
    log.push('done');
    return log;
  },
});
alone('section: nested, values come out', (ctx) =>
  ctx.blockConcurrencyWhile(async () => {
    const inner = await ctx.blockConcurrencyWhile(async () => {
      await pause(2);
      return [await ctx.blockConcurrencyWhile(() => 3), 2];
    });
    return [...inner, 1];
  }),
);
for (const depth of [63, 64, 65]) {
  staged(`section: nested ${depth} deep`, async ({ object }) => [await outcome(() => object().run('deep')), await outcome(() => object().run('alive'))], {
    deep(ctx) {
      const level = (n) => (n === 0 ? 'reached' : ctx.blockConcurrencyWhile(() => level(n - 1)));
      return level(depth);
    },
    alive: () => 'alive',
  });
}
alone('section: too deep is thrown at once', async (ctx) => {
  const level = async (n) =>
    n > 0
      ? ctx.blockConcurrencyWhile(() => level(n - 1))
      : [...outcomes(() => ctx.blockConcurrencyWhile(() => {})), await outcome(() => ctx.blockConcurrencyWhile(() => {}))];
  return level(64);
});
alone('section: many one after another', async (ctx) => {
  let n = 0;
  for (let i = 0; i < 200; i++) n += await ctx.blockConcurrencyWhile(async () => 1);
  return n;
});
alone('section: wrong arguments', async (ctx) => {
  const calls = [() => ctx.blockConcurrencyWhile(), () => ctx.blockConcurrencyWhile(1), () => ctx.blockConcurrencyWhile({}), () => ctx.blockConcurrencyWhile(Promise.resolve())];
  return [outcomes(...calls), await Promise.all(calls.map(outcome)), outcomes(() => ctx.waitUntil(), () => ctx.waitUntil(undefined), () => ctx.waitUntil(5), () => ctx.waitUntil(null), () => ctx.waitUntil({ then: (f) => f() }))];
});
alone('section: returns a promise, and a thenable is awaited', async (ctx) => {
  const promise = ctx.blockConcurrencyWhile(() => 1);
  return [promise instanceof Promise, await promise, await ctx.blockConcurrencyWhile(() => ({ then: (resolve) => resolve('thenable') })), await outcome(ctx.blockConcurrencyWhile(() => undefined))];
});
for (const [what, body] of Object.entries({
  'rejects': async () => {
    throw new RangeError('from the section');
  },
  'throws at once': () => {
    throw new RangeError('from the section');
  },
  'throws a text': () => {
    throw 'just text';
  },
  'throws null': () => {
    throw null;
  },
  'throws an own class': () => {
    throw new (class Own extends Error {
      extra = 5;
    })('own');
  },
  'rejects later': async () => {
    await pause(10);
    throw new TypeError('late');
  },
})) {
  staged(`section: it ${what}, all callers are told`, async ({ object }) => {
    const stub = object();
    const running = outcome(stub.runAsync('hang'));
    await stub.echo(1);
    const blocking = outcome(stub.runAsync('block'));
    const queued = outcome(stub.push('queued'));
    const fetched = outcome(stub.fetch('http://x/'));
    const first = await Promise.all([running, blocking, queued, fetched]);
    return [first, await outcome(stub.echo('the old stub')), await outcome(object().logged())];
  }, {
    hang() {
    return this.never();
  },
    async block(ctx) {
      try {
        await ctx.blockConcurrencyWhile(body);
      } catch (error) {
        this.journal.push(told(error)); // never
      }
      return 'went on';
    },
  });
}
staged('section: a nested one rejects and is caught outside', async ({ object }) => [await outcome(object().runAsync('block')), await object().notes()], {
  async block(ctx) {
    await ctx.blockConcurrencyWhile(async () => {
      try {
        await ctx.blockConcurrencyWhile(async () => {
          throw new Error('inner');
        });
      } catch {
        this.journal.push('caught');
      }
    });
    return 'went on';
  },
});
staged('section: caught inside, nothing is reset', async ({ object }) => [await outcome(object().runAsync('block')), await object().logged()], {
  async block(ctx) {
    this.log.push('here');
    return ctx.blockConcurrencyWhile(async () => {
      try {
        throw new Error('inner');
      } catch (error) {
        return error.message;
      }
    });
  },
});
staged('section: writes before it rejects', async ({ object }) => {
  const first = await outcome(object().runAsync('block'));
  return [first, await object().run('read')];
}, {
  async block(ctx) {
    await ctx.storage.put('before', 1);
    await ctx.blockConcurrencyWhile(async () => {
      await ctx.storage.put('in', 2);
      await pause(5); // committed
      throw new Error('no');
    });
  },
  read: async ({ storage }) => [...(await storage.list())],
});
staged('section: a call of itself that is not awaited', async ({ object }) => {
  const stub = object();
  await stub.runAsync('block');
  await until(async () => (await stub.logged()).length >= 3);
  return stub.logged();
}, {
  async block(ctx) {
    await ctx.blockConcurrencyWhile(async () => {
      this.env.STAGE.getByName(ctx.id.name).push('self');
      await pause(10);
      this.log.push('section ends');
    });
    this.log.push('continuation');
  },
});
staged('section: what runs inside', async ({ object }) => {
  const stub = object();
  const done = stub.runAsync('block');
  await stub.push('queued');
  await done;
  return stub.logged();
}, {
  async block(ctx) {
    await ctx.blockConcurrencyWhile(async () => {
      const other = this.env.STAGE.getByName('nobody');
      await pause(2);
      this.log.push('timer');
      this.log.push(await (await other.fetch('http://x/')).text());
      this.log.push(await other.echo('call'));
      this.log.push((await crypto.subtle.digest('SHA-1', new Uint8Array(1))).byteLength);
      await scheduler.wait(1);
      this.log.push('scheduler');
      await ctx.storage.put('k', 'v');
      this.log.push(await ctx.storage.get('k'));
      await ctx.storage.sync();
      this.log.push('sync');
      this.log.push(await ctx.storage.transaction(async (txn) => (await txn.list()).size));
      this.log.push(await new Response(new ReadableStream({ start(c) {
        c.enqueue(new TextEncoder().encode('stream'));
        c.close();
      } })).text());
      this.log.push(await new Response(new Blob(['zip']).stream().pipeThrough(new CompressionStream('gzip')).pipeThrough(new DecompressionStream('gzip'))).text());
    });
  },
});
staged('section: a timer from outside waits for the end', async ({ object }) => object().runAsync('block'), {
  async block(ctx) {
    const outside = new Promise((resolve) => setTimeout(() => (this.log.push('outside'), resolve()), 1));
    const inside = ctx.blockConcurrencyWhile(async () => {
      this.log.push('begins');
      await pause(20);
      this.log.push('ends');
    }).then(() => this.log.push('then'));
    await Promise.all([outside, inside]);
    return this.log;
  },
});
staged('section: a call from outside waits for the end', async ({ object }) => object().runAsync('block'), {
  async block(ctx) {
    const outside = this.env.STAGE.getByName('nobody').echo('outside').then((v) => this.log.push(v));
    const inside = ctx.blockConcurrencyWhile(async () => {
      this.log.push('begins');
      for (let i = 0; i < 5; i++) await this.env.STAGE.getByName('nobody').echo(i);
      this.log.push('ends');
    }).then(() => this.log.push('then'));
    await Promise.all([outside, inside]);
    return this.log;
  },
});
staged('section: timers that it leaves behind run later', async ({ object }) => {
  await object().runAsync('block');
  await until(async () => (await object().logged()).length >= 4);
  return object().logged();
}, {
  async block(ctx) {
    await ctx.blockConcurrencyWhile(async () => {
      setTimeout(() => this.log.push('left behind'), 15);
      this.env.STAGE.getByName('nobody').echo('answer').then((v) => this.log.push(v));
      this.log.push('section');
    });
    this.log.push('continuation');
  },
});
staged('section: with a transaction inside, and the other way round', async ({ object }) => object().runAsync('block'), {
  async block(ctx) {
    const log = [];
    await ctx.blockConcurrencyWhile(async () => {
      await ctx.storage.transaction(async (txn) => {
        await txn.put('a', 1);
        await pause(2);
        log.push('transaction in section');
      });
      log.push(await ctx.storage.get('a'));
    });
    await ctx.storage.transaction(async (txn) => {
      await ctx.blockConcurrencyWhile(async () => {
        await txn.put('b', 2);
        await pause(2);
        log.push('section in transaction');
      });
      txn.rollback();
    });
    log.push(await ctx.storage.get('b'));
    return log;
  },
});
staged('section: waitUntil inside one', async ({ object }) => {
  await object().runAsync('block');
  await until(async () => (await object().logged()).length >= 3);
  return object().logged();
}, {
  async block(ctx) {
    await ctx.blockConcurrencyWhile(async () => {
      ctx.waitUntil(pause(10).then(() => this.log.push('waited')));
      this.log.push('section');
    });
    this.log.push('continuation');
  },
});
staged('section: in the constructor, before the first event', async ({ object }) => {
  const stub = object();
  await Promise.all([stub.push('first'), stub.push('second')]);
  return stub.logged();
}, {
  construct(ctx) {
    ctx.blockConcurrencyWhile(async () => {
      this.log.push('in');
      await pause(10);
      this.log.push('out');
    }).then(() => this.log.push('then'));
    this.log.push('constructor ends');
  },
});
staged('section: several in the constructor', async ({ object }) => {
  const stub = object();
  await stub.push('first');
  return stub.logged();
}, {
  construct(ctx) {
    for (const n of [1, 2, 3]) {
      ctx.blockConcurrencyWhile(async () => {
        this.log.push(`${n} in`);
        await pause(4 - n);
        this.log.push(`${n} out`);
      });
    }
  },
});
staged('section: a timer in the constructor does not hold the first event', async ({ object }) => {
  const stub = object();
  await stub.push('first');
  await until(async () => (await stub.logged()).length >= 3);
  return stub.logged();
}, {
  construct() {
    setTimeout(() => this.log.push('timer'), 10);
    Promise.resolve().then(() => this.log.push('microtask'));
  },
});
staged('section: storage in the constructor holds the first event', async ({ object }) => {
  const stub = object();
  await stub.push('first');
  return stub.logged();
}, {
  construct({ storage }) {
    (async () => {
      await storage.put('a', 1);
      this.log.push(await storage.get('a'));
    })();
  },
});
staged('section: 30 s are the limit', async ({ object }) => {
  const stub = object();
  return [await Promise.all([outcome(stub.runAsync('block')), outcome(stub.echo('queued'))]), await outcome(object().echo('next'))];
}, {
  block: (ctx) => ctx.blockConcurrencyWhile(() => pause(1e6)),
});
definitions['section: 30 s are the limit'].limitMs = 60_000;

// ---------------------------------------------------------------- transactions as sections
staged('section: transaction() keeps events out, the continuation goes first', async ({ object }) => {
  const stub = object();
  await Promise.all([stub.runAsync('txn'), stub.push('queued')]);
  return stub.logged();
}, {
  async txn({ storage }) {
    const value = await storage.transaction(async (txn) => {
      this.log.push('in');
      await pause(10);
      await txn.put('a', 1);
      this.log.push('out');
      return 'value';
    });
    this.log.push(value);
    await undefined;
    this.log.push('microtask');
  },
});
staged('section: transaction() that throws resets nothing', async ({ object }) => {
  const stub = object();
  const all = await Promise.all([outcome(stub.runAsync('txn')), stub.push('queued')]);
  return [all, await stub.logged()];
}, {
  async txn({ storage }) {
    this.log.push('before');
    try {
      await storage.transaction(async () => {
        await pause(5);
        throw new RangeError('no');
      });
    } catch (error) {
      this.log.push(told(error));
      throw error;
    }
  },
});
staged('section: two transactions at once run one after another', async ({ object }) => object().runAsync('txn'), {
  async txn({ storage }) {
    const one = async (tag) =>
      storage.transaction(async (txn) => {
        this.log.push(`${tag} in`);
        const n = (await txn.get('n')) ?? 0;
        await pause(3);
        await txn.put('n', n + 1);
        this.log.push(`${tag} out`);
      });
    await Promise.all([one('a'), one('b'), one('c')]);
    return [this.log, await storage.get('n')];
  },
});

// ---------------------------------------------------------------- output gate
staged('output: an exception after a put, the put stays', async ({ object }) => [await outcome(object().run('fail')), await object().run('read')], {
  fail({ storage }) {
    storage.put('a', 1);
    throw new RangeError('after put');
  },
  read: ({ storage }) => storage.get('a'),
});
staged('output: writes of one turn are one commit, abort drops them', async ({ object }) => {
  const first = await outcome(object().runAsync('write'));
  return [first, await object().run('read')];
}, {
  async write(ctx) {
    await ctx.storage.put('a', 1);
    await pause(5);
    await ctx.storage.put('b', 1);
    ctx.storage.sql.exec('CREATE TABLE t(x)');
    await ctx.storage.get('b');
    ctx.abort('gone');
  },
  read: async ({ storage }) => [[...(await storage.list())], storage.sql.exec("SELECT name FROM sqlite_schema WHERE name = 't'").toArray()],
});
staged('output: unconfirmed writes are written', async ({ object }) => {
  const stub = object();
  await stub.runAsync('write');
  await outcome(stub.run('die'));
  return object().run('read');
}, {
  async write({ storage }) {
    await storage.put('a', 1, { allowUnconfirmed: true });
    await storage.put('b', 2);
    await storage.delete('c', { allowUnconfirmed: true });
    await storage.sync();
  },
  die: (ctx) => ctx.abort(),
  read: async ({ storage }) => [...(await storage.list())],
});
staged('output: a deferred constraint that fails at the commit', async ({ object }) => {
  const stub = object();
  const running = [outcome(stub.runAsync('hang')), outcome(stub.fetch('http://x/'))];
  await stub.echo(1);
  const own = await outcome(stub.run('break'));
  return [own, await Promise.all(running), await outcome(stub.echo(1)), await outcome(stub.fetch('http://x/')), await outcome(object().run('read'))];
}, {
  construct({ storage }) {
    storage.sql.exec('CREATE TABLE IF NOT EXISTS p(id INTEGER PRIMARY KEY); CREATE TABLE IF NOT EXISTS k(p REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED)');
  },
  hang() {
    return this.never();
  },
  fetch() {
    return this.never();
  },
  break({ storage }) {
    storage.put('with it', 1);
    storage.sql.exec('INSERT INTO k VALUES (9)');
    return 'never seen';
  },
  read: async ({ storage }) => [[...(await storage.list())], storage.sql.exec('SELECT count(*) AS n FROM k').one().n],
});
staged('output: what is seen of a call whose commit fails', async ({ object }) => {
  const result = await outcome(object().runAsync('break'));
  return [result, await object('far').logged()];
}, {
  async break(ctx) {
    const { sql } = ctx.storage;
    sql.exec('CREATE TABLE IF NOT EXISTS p(id INTEGER PRIMARY KEY); CREATE TABLE IF NOT EXISTS k(p REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED)');
    await pause(5);
    sql.exec('INSERT INTO k VALUES (9)');
    await this.env.STAGE.getByName(ctx.id.name.replace('#', '#far')).push('never sent');
    return 'never answered';
  },
});

export const gateCases = definitions;
