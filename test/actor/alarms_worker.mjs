// What alarms.test.mjs runs on workerd and on Holdfast. Each case is a class of its own behaviour in one Durable Object;
// `script` names what the handler does, `log` (in memory and in storage) says what was seen.
import { DurableObject } from 'cloudflare:workers';

const say = (e) => (e instanceof Error ? `${e.name}: ${e.message}` : String(e));
const wait = (ms) => new Promise((r) => setTimeout(r, ms));
async function attempt(f) {
  try {
    return await f();
  } catch (e) {
    return say(e);
  }
}
// Relative to a time that was set, so that both runtimes say the same.
const near = (value, base) => (value === null ? null : Math.round((value - base) / 1000));

export class Alarmed extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.events = ['constructed'];
    this.constructedName = ctx.id.name ?? null;
    ctx.blockConcurrencyWhile(async () => {
      this.script = await ctx.storage.get('script');
      if (this.script === 'bad constructor') {
        const tries = ((await ctx.storage.get('tries')) ?? 0) + 1;
        await ctx.storage.put('tries', tries);
        if (tries === 2) throw new Error('not this time');
      }
    });
  }

  async note(what) {
    const log = (await this.ctx.storage.get('log')) ?? [];
    log.push(what);
    await this.ctx.storage.put('log', log);
  }

  async set(script, ms = 20) {
    this.script = script;
    await this.ctx.storage.put('script', script);
    await this.ctx.storage.setAlarm(Date.now() + ms);
  }
  async log() {
    return (await this.ctx.storage.get('log')) ?? [];
  }
  async pending() {
    return await this.ctx.storage.getAlarm();
  }
  // Ends the instance, so that the alarm has to construct.
  reset() {
    this.ctx.abort('reset');
  }

  async alarm(info) {
    const { storage } = this.ctx;
    const s = this.script;
    await this.note([s, info.retryCount, info.isRetry, typeof info.scheduledTime, info.scheduledTime <= Date.now(), Object.keys(info).sort(), await storage.getAlarm(), this.ctx.id.name ?? null, this.events.length]);
    switch (s) {
      case 'set again':
        await storage.setAlarm(Date.now() + 3600e3);
        await this.note(near(await storage.getAlarm(), Date.now()));
        return;
      case 'set and delete':
        await storage.setAlarm(Date.now() + 3600e3);
        await storage.deleteAlarm();
        await this.note(await storage.getAlarm());
        return;
      case 'set and throw':
        if (info.retryCount === 0 && !(await storage.get('thrown'))) {
          await storage.put('thrown', true);
          await storage.setAlarm(Date.now() + 100);
          throw new Error('after set');
        }
        return;
      case 'set in a transaction that is rolled back':
        await storage.transaction(async (txn) => {
          await txn.setAlarm(Date.now() + 3600e3);
          await this.ctx.storage.getAlarm();
          txn.rollback();
        });
        await this.note(near(await storage.getAlarm(), Date.now()));
        return;
      case 'set in a transactionSync that throws':
        await attempt(() =>
          storage.transactionSync(() => {
            void storage.setAlarm(Date.now() + 3600e3);
            throw new Error('no');
          }),
        );
        await this.note(near(await storage.getAlarm(), Date.now()));
        return;
      case 'delete all':
        await storage.deleteAll();
        await this.note(['left', await storage.getAlarm()]);
        return;
      case 'delete all and throw':
        if (!(await storage.get('once'))) {
          await storage.deleteAll();
          await storage.put('once', true);
          throw new Error('after deleteAll');
        }
        return;
      case 'throw once':
        if (info.retryCount === 0) throw new Error('first');
        return;
      case 'delete and throw':
        await storage.deleteAlarm();
        throw new Error('after delete');
      case 'abort':
        if (!(await storage.get('aborted'))) {
          await storage.put('aborted', true);
          await storage.sync();
          this.ctx.abort('from the alarm');
        }
        return;
      case 'abort without retry':
        await storage.sync();
        this.ctx.abort('for good', { retryAlarm: false });
        return;
      case 'set and abort':
        if (!(await storage.get('aborted'))) {
          await storage.put('aborted', true);
          await storage.sync();
          void storage.setAlarm(Date.now() + 3600e3);
          this.ctx.abort('set is lost');
        }
        return;
      case 'slow':
        this.running = (this.running ?? 0) + 1;
        await wait(150);
        await this.note(['at once', this.running, await storage.getAlarm()]);
        this.running--;
        return;
    }
  }

  // ---- cases that need no run
  async arguments() {
    const { storage } = this.ctx;
    const out = [];
    for (const value of [0, -1, NaN, Infinity, -Infinity, new Date(NaN), new Date(0), new Date(-5), undefined, null, '1', 'x', {}, [], 5n, true, 1e20, 9223372036854, 9223372036855, 0.5, () => 1]) {
      out.push(await attempt(async () => (await storage.setAlarm(value), 'set')));
    }
    out.push(await attempt(() => storage.setAlarm()));
    out.push(await attempt(async () => (await storage.setAlarm(Date.now() + 1e6, 5), 'set')));
    out.push(await attempt(async () => (await storage.setAlarm(Date.now() + 1e6, null), 'set')));
    out.push(await attempt(async () => (await storage.setAlarm(Date.now() + 1e6, { allowUnconfirmed: true, allowConcurrency: true, noCache: true }), 'set')));
    out.push(await attempt(() => storage.getAlarm(5)));
    out.push(await attempt(() => storage.deleteAlarm('x')));
    const whole = Date.now() + 1_000_000;
    await storage.setAlarm(whole + 0.75);
    out.push((await storage.getAlarm()) - whole);
    await storage.setAlarm(new Date(whole + 5));
    out.push((await storage.getAlarm()) - whole);
    out.push(await storage.deleteAlarm(), await storage.getAlarm(), await storage.deleteAlarm());
    return out;
  }
  async past() {
    const before = Date.now();
    await this.ctx.storage.setAlarm(1000);
    const at = await this.ctx.storage.getAlarm();
    return at === null || at >= before;
  }
  async transactions() {
    const { storage } = this.ctx;
    const base = Date.now();
    const out = [];
    await storage.setAlarm(base + 1000e3);
    await storage.transaction(async (txn) => {
      await txn.setAlarm(base + 2000e3);
      out.push(near(await txn.getAlarm(), base), near(await storage.getAlarm(), base));
      txn.rollback();
    });
    out.push(near(await storage.getAlarm(), base));
    await attempt(() => storage.transaction(async (txn) => {
      await txn.deleteAlarm();
      out.push(await txn.getAlarm());
      throw new Error('no');
    }));
    out.push(near(await storage.getAlarm(), base));
    await storage.transaction(async (txn) => {
      await txn.setAlarm(base + 3000e3);
    });
    out.push(near(await storage.getAlarm(), base));
    storage.transactionSync(() => void storage.setAlarm(base + 4000e3));
    out.push(near(await storage.getAlarm(), base));
    await attempt(() => storage.transactionSync(() => {
      void storage.deleteAlarm();
      throw new Error('no');
    }));
    out.push(near(await storage.getAlarm(), base));
    await storage.deleteAll();
    out.push(near(await storage.getAlarm(), base));
    return out;
  }
  async setThenAbort() {
    void this.ctx.storage.setAlarm(Date.now() + 3600e3);
    this.ctx.abort('lost');
  }
  async firesNotBefore() {
    await this.ctx.storage.setAlarm(Date.now() + 200);
  }
}

export class Handlerless extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    ctx.blockConcurrencyWhile(async () => {
      this.inConstructor = await attempt(async () => (await ctx.storage.setAlarm(Date.now() + 30), 'set'));
    });
  }
  async later() {
    return [this.inConstructor, await attempt(() => this.ctx.storage.setAlarm(Date.now() + 1000))];
  }
  pending() {
    return this.ctx.storage.getAlarm();
  }
}

const object = (env, name) => env.ALARMED.getByName(name);
async function until(f) {
  for (let i = 0; i < 400; i++) {
    const value = await attempt(f);
    if (value !== undefined && value !== false && !(typeof value === 'string')) return value;
    await wait(25);
  }
  return 'never';
}
const runs = async (env, name, count) => until(async () => {
  const log = await object(env, name).log();
  return log.length >= count && (await object(env, name).pending()) === null ? log : undefined;
});

export const cases = {
  arguments: (env) => object(env, 'arguments').arguments(),
  past: async (env) => [await object(env, 'past').past(), await runs(env, 'past', 1)],
  transactions: (env) => object(env, 'transactions').transactions(),
  'set, then abort': async (env) => {
    await attempt(() => object(env, 'sa').setThenAbort());
    return await object(env, 'sa').pending();
  },
  'no handler': async (env) => {
    const out = await env.HANDLERLESS.getByName('h').later();
    return [out, await until(async () => (await env.HANDLERLESS.getByName('h').pending()) === null)];
  },
  ...Object.fromEntries(
    [['plain', 1], ['set and delete', 2], ['set in a transaction that is rolled back', 2], ['set in a transactionSync that throws', 2], ['delete all', 1], ['slow', 2], ['throw once', 2], ['set and throw', 2], ['abort', 2], ['abort without retry', 1], ['set and abort', 2], ['delete all and throw', 0]].map(([script, count]) => [
      script,
      async (env) => {
        await object(env, script).set(script);
        return await runs(env, script, count);
      },
    ]),
  ),
  'set again': async (env) => {
    await object(env, 'set again').set('set again');
    const log = await until(async () => {
      const seen = await object(env, 'set again').log();
      return seen.length >= 2 ? seen : undefined;
    });
    return [log, near(await object(env, 'set again').pending(), Date.now())];
  },
  'delete and throw': async (env) => {
    await object(env, 'delete and throw').set('delete and throw');
    await runs(env, 'delete and throw', 1);
    await wait(3500);
    return await object(env, 'delete and throw').log();
  },
  'a constructor that throws': async (env) => {
    await object(env, 'bad').set('bad constructor', 400);
    await attempt(() => object(env, 'bad').reset());
    return await runs(env, 'bad', 1);
  },
  'the name and a new instance': async (env) => {
    const name = 'a name ✓';
    await object(env, name).set('plain', 300);
    await attempt(() => object(env, name).reset());
    return await runs(env, name, 1);
  },
  'requests go on during a run; getAlarm is null for them too': async (env) => {
    await object(env, 'busy').set('slow', 0);
    await wait(80);
    const during = await object(env, 'busy').pending();
    return [during, await runs(env, 'busy', 2)];
  },
};

export default {
  async fetch(request, env) {
    const name = decodeURIComponent(new URL(request.url).pathname.slice(1));
    if (name === '') return Response.json(Object.keys(cases));
    return Response.json({ value: await attempt(() => cases[name](env)) });
  },
};
