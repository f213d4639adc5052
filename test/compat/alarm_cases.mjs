// Cases about alarms: the API in every phase, what a run is told, and what comes after a run that fails. A failed run is
// tried again after some two seconds: cases that wait for it are few.
import { outcome, pause, table, told, until } from './stage.mjs';

const { definitions, staged, alone } = table();

const kHour = 3600_000;
// As far from now as it says, roughly.
const near = (time, at) => (time === null ? null : Math.abs(time - at) < 60_000 ? 'as set' : time - at);

// Arms an object and returns its journal when that has `count` lines.
async function rings(object, count, ms = 8000) {
  await object().run('arm');
  await until(async () => (await object().notes()).length >= count, ms);
  return object().notes();
}
const soon = ({ storage }) => storage.setAlarm(Date.now() + 5);

// ---------------------------------------------------------------- the API
alone('alarm: times of every kind', async ({ storage }) => {
  const out = [];
  for (const time of [undefined, null, '5', 'x', {}, [], true, NaN, Infinity, -Infinity, 0, -0, -1, 0.5, new Date(NaN), new Date(0), new Date(-5), 10n, Symbol('s'), () => 1, 9e15, 9_223_372_036_854, 9_223_372_036_855, 8.64e15, new Date(8.64e15)]) {
    out.push([typeof time === 'bigint' ? `${time}n` : String(time), await outcome(() => storage.setAlarm(time))]);
    await storage.deleteAlarm();
  }
  return out;
}, { alarm() {} });
alone('alarm: options of every kind', async ({ storage }) => {
  const at = Date.now() + kHour;
  const out = [];
  for (const options of [undefined, null, {}, { allowUnconfirmed: true }, { allowConcurrency: true }, { unknown: 1 }, 5, 'x']) {
    out.push(await outcome(() => storage.setAlarm(at, options)), near(await storage.getAlarm(), at), await outcome(() => storage.getAlarm(options).then((t) => near(t, at))), await outcome(() => storage.deleteAlarm(options)), await storage.getAlarm());
  }
  return out;
}, { alarm() {} });
alone('alarm: set again and again, the last counts', async ({ storage }) => {
  const now = Date.now();
  const out = [];
  for (const hours of [5, 1, 10, 2]) {
    storage.setAlarm(now + hours * kHour);
    out.push((await storage.getAlarm()) - now === hours * kHour);
  }
  await storage.deleteAlarm();
  await storage.deleteAlarm();
  return [out, await storage.getAlarm()];
}, { alarm() {} });
alone('alarm: fractions of milliseconds', async ({ storage }) => {
  const at = Math.floor(Date.now()) + kHour;
  await storage.setAlarm(at + 0.75);
  return (await storage.getAlarm()) - at;
}, { alarm() {} });
alone('alarm: a time in the past becomes now', async ({ storage }) => {
  let isNow;
  await storage.transaction(async (txn) => {
    txn.setAlarm(1);
    isNow = Math.abs((await txn.getAlarm()) - Date.now()) < 60_000;
    txn.rollback();
  });
  return [isNow, await storage.getAlarm()];
}, { alarm() {} });
alone('alarm: is no key', async ({ storage }) => {
  await storage.setAlarm(Date.now() + kHour);
  return [[...(await storage.list())], [...storage.kv.list()]];
}, { alarm() {} });
alone('alarm: in transactions', async ({ storage }) => {
  const now = Date.now();
  const out = [];
  await storage.setAlarm(now + kHour);
  await storage.transaction(async (txn) => {
    out.push(near(await txn.getAlarm(), now + kHour));
    await txn.setAlarm(now + 2 * kHour);
    out.push(near(await txn.getAlarm(), now + 2 * kHour), near(await storage.getAlarm(), now + 2 * kHour));
    await txn.deleteAlarm();
    out.push(await txn.getAlarm());
    await txn.setAlarm(now + 3 * kHour);
  });
  out.push(near(await storage.getAlarm(), now + 3 * kHour));
  await outcome(storage.transaction(async () => {
    await storage.deleteAlarm();
    throw new Error('rolled back');
  }));
  out.push(near(await storage.getAlarm(), now + 3 * kHour));
  try {
    storage.transactionSync(() => {
      storage.setAlarm(now + 4 * kHour);
      throw new Error('rolled back');
    });
  } catch {}
  out.push(near(await storage.getAlarm(), now + 3 * kHour));
  storage.transactionSync(() => storage.setAlarm(now + 5 * kHour));
  out.push(near(await storage.getAlarm(), now + 5 * kHour));
  return out;
}, { alarm() {} });
for (const [date, what] of [['2026-02-01', 'before 2026-02-24'], ['2026-05-01', 'after 2026-02-24']]) {
  alone(`alarm: deleteAll, ${what}`, async ({ storage }) => {
    const at = Date.now() + kHour;
    await storage.setAlarm(at);
    await storage.put('a', 1);
    await storage.deleteAll();
    const after = near(await storage.getAlarm(), at);
    await storage.setAlarm(at);
    await storage.deleteAll({});
    return [after, near(await storage.getAlarm(), at), (await storage.list()).size];
  }, { alarm() {} });
  if (date !== '2026-05-01') definitions[`alarm: deleteAll, ${what}`].date = date;
}
staged('alarm: is there after a reset', async ({ object }) => {
  const at = Date.now() + kHour;
  await object().run('arm', at);
  await outcome(object().run('end'));
  return near(await object().run('read'), at);
}, {
  arm: ({ storage }, at) => storage.setAlarm(at),
  end: (ctx) => ctx.abort(),
  read: ({ storage }) => storage.getAlarm(),
  alarm() {},
});
definitions['alarm: a class without a handler'] = {
  main: async ({ env, name }) => [await outcome(env.BARE.getByName(name).arm()), await outcome(env.SHAPES_OBJECT.getByName(name).arm())],
};

// ---------------------------------------------------------------- a run
staged('alarm: what the handler is told and sees', ({ object }) => rings(object, 1), {
  arm: soon,
  async alarm(ctx, info) {
    const { storage } = ctx;
    this.journal.push([Object.keys(info).sort(), info.retryCount, info.isRetry, Math.abs(info.scheduledTime - Date.now()) < 60_000, typeof info.scheduledTime, ctx.id.name, await storage.getAlarm()]);
  },
});
staged('alarm: setAlarm and deleteAlarm in the handler', ({ object }) => rings(object, 1), {
  arm: soon,
  async alarm({ storage }) {
    const at = Date.now() + kHour;
    const out = [await storage.getAlarm()];
    await storage.setAlarm(at);
    out.push(near(await storage.getAlarm(), at));
    await storage.deleteAlarm();
    out.push(await storage.getAlarm());
    await storage.setAlarm(at);
    out.push(near(await storage.getAlarm(), at));
    await pause(5);
    out.push(near(await storage.getAlarm(), at));
    this.journal.push(out);
  },
});
staged('alarm: gone after it has run', async ({ object }) => {
  const first = await rings(object, 1);
  const gone = await until(async () => (await object().run('read')) === null);
  return [first, gone];
}, {
  arm: soon,
  alarm() {
    this.journal.push('rang');
  },
  read: ({ storage }) => storage.getAlarm(),
});
staged('alarm: what others see while it runs', async ({ object }) => {
  await object().run('arm');
  await until(async () => (await object().notes()).length > 0);
  const during = await object().run('read');
  const at = Date.now() + kHour;
  await object().run('set', at);
  const set = near(await object().run('read'), at);
  await object().run('go');
  await until(async () => (await object().notes()).length > 1);
  await pause(20);
  return [during, set, near(await object().run('read'), at), await object().notes()];
}, {
  arm: soon,
  async alarm() {
    this.journal.push('begins');
    await new Promise((resolve) => (this.go = resolve));
    this.journal.push('ends');
  },
  go() {
    this.go();
  },
  read: ({ storage }) => storage.getAlarm(),
  set: ({ storage }, at) => storage.setAlarm(at),
});
staged('alarm: one run at a time, others come in between', async ({ object }) => {
  await object().run('arm');
  await until(async () => (await object().notes()).includes('begins 1'));
  await object().run('arm');
  await pause(60);
  const during = await object().notes();
  await object().run('go');
  await until(async () => (await object().notes()).includes('ends 2'));
  return [during, await object().notes()];
}, {
  arm: soon,
  async alarm() {
    this.n = (this.n ?? 0) + 1;
    const n = this.n;
    this.journal.push(`begins ${n}`);
    if (n === 1) await new Promise((resolve) => (this.go = resolve));
    this.journal.push(`ends ${n}`);
  },
  go() {
    this.go();
  },
});
staged('alarm: a chain of alarms', ({ object }) => rings(object, 5), {
  arm: soon,
  async alarm({ storage }, info) {
    this.journal.push([this.journal.length, info.retryCount, info.isRetry]);
    if (this.journal.length < 5) await storage.setAlarm(Date.now() + 2);
  },
});
staged('alarm: in a chain without await', ({ object }) => rings(object, 3), {
  arm: soon,
  alarm({ storage }) {
    this.journal.push(this.journal.length);
    if (this.journal.length < 3) storage.setAlarm(Date.now() + 2);
  },
});
staged('alarm: deleted before it is due', async ({ object }) => {
  await object().run('arm');
  await pause(40);
  return object().notes();
}, {
  async arm({ storage }) {
    await storage.setAlarm(Date.now() + 15);
    await storage.deleteAlarm();
  },
  alarm() {
    this.journal.push('rang');
  },
});
staged('alarm: moved before it is due', async ({ object }) => {
  await object().run('arm');
  await pause(60);
  return [await object().notes(), near(await object().run('read'), Date.now() + kHour)];
}, {
  async arm({ storage }) {
    await storage.setAlarm(Date.now() + 15);
    await pause(2);
    await storage.setAlarm(Date.now() + kHour);
  },
  alarm() {
    this.journal.push('rang');
  },
  read: ({ storage }) => storage.getAlarm(),
});
staged('alarm: moved to an earlier time', ({ object }) => rings(object, 1), {
  async arm({ storage }) {
    await storage.setAlarm(Date.now() + kHour);
    await pause(2);
    await storage.setAlarm(Date.now() + 5);
  },
  alarm() {
    this.journal.push('rang');
  },
});
staged('alarm: deleteAll before it is due', async ({ object }) => {
  await object().run('arm');
  await pause(40);
  return object().notes();
}, {
  async arm({ storage }) {
    await storage.setAlarm(Date.now() + 15);
    await storage.deleteAll();
  },
  alarm() {
    this.journal.push('rang');
  },
});
staged('alarm: deleteAll in the handler', async ({ object }) => {
  const first = await rings(object, 1);
  await pause(20);
  return [first, await object().run('read')];
}, {
  arm: soon,
  async alarm({ storage }) {
    await storage.put('a', 1);
    await storage.deleteAll();
    await storage.put('b', 1);
    this.journal.push('rang');
  },
  read: async ({ storage }) => [[...(await storage.list())], await storage.getAlarm()],
});
staged('alarm: constructs the object first', async ({ object }) => {
  await object().run('arm');
  await outcome(object().run('end'));
  await pause(200);
  await until(async () => (await object().notes()).includes('rang'));
  return object().notes();
}, {
  construct(ctx) {
    this.journal.push('constructed');
    ctx.blockConcurrencyWhile(async () => {
      await pause(2);
      this.journal.push('section');
    });
  },
  arm: ({ storage }) => storage.setAlarm(Date.now() + 100),
  end: (ctx) => ctx.abort(),
  alarm() {
    this.journal.push('rang');
  },
});
staged('alarm: waits for a section', async ({ object }) => {
  await object().runAsync('block');
  await until(async () => (await object().logged()).length > 2);
  return object().logged();
}, {
  async block(ctx) {
    await ctx.blockConcurrencyWhile(async () => {
      await ctx.storage.setAlarm(Date.now() + 1);
      this.log.push('in');
      await pause(50);
      this.log.push('out');
    });
  },
  alarm() {
    this.log.push('rang');
  },
});
staged('alarm: not before its time', ({ object }) => rings(object, 1), {
  arm({ storage }) {
    this.at = Date.now() + 150;
    return storage.setAlarm(this.at);
  },
  alarm() {
    this.journal.push(Date.now() >= this.at);
  },
});
staged('alarm: twenty objects, each its own', async ({ object }) => {
  const all = Array.from({ length: 20 }, (_, i) => `n${i}`);
  await Promise.all(all.map((suffix) => object(suffix).run('arm')));
  await until(async () => (await Promise.all(all.map((suffix) => object(suffix).notes()))).every((notes) => notes.length === 1));
  return Promise.all(all.map((suffix) => object(suffix).notes()));
}, {
  arm: soon,
  alarm(ctx) {
    this.journal.push(ctx.id.name.split('#')[1]);
  },
});

// ---------------------------------------------------------------- a run that fails
const notesNow = (notes) => (Array.isArray(notes) ? notes.length : 0);
const failing = (name, parts, { count = 2, after, quiet = 0 } = {}) => {
  staged(name, async ({ object }) => {
    await outcome(object().run('arm'));
    await pause(quiet);
    // An object may be reset while it is asked.
    await until(async () => notesNow(await outcome(object().notes())) >= count, 6000);
    await pause(50);
    return [await object().notes(), after ? await after(object) : null];
  }, { arm: ({ storage }) => storage.setAlarm(Date.now() + 50), read: async ({ storage }) => [[...(await storage.list())], (await storage.getAlarm()) === null ? null : 'set'], ...parts });
};
failing('alarm failure: throws once, is tried again', {
  async alarm({ storage }, info) {
    this.scheduled ??= info.scheduledTime;
    this.journal.push([info.retryCount, info.isRetry, info.scheduledTime === this.scheduled, await storage.getAlarm()]);
    if (info.retryCount === 0) throw new Error('the first run fails');
  },
}, { after: (object) => object().run('read') });
failing('alarm failure: throws at once, not async', {
  alarm(ctx, info) {
    this.journal.push([info.retryCount, info.isRetry]);
    if (info.retryCount === 0) throw 'no error at all';
  },
});
failing('alarm failure: what is stored between two runs', {
  async alarm({ storage }, info) {
    this.journal.push([info.retryCount, [...(await storage.list())]]);
    await storage.put(`run ${info.retryCount}`, 1);
    if (info.retryCount === 0) throw new Error('after a put');
  },
}, { after: (object) => object().run('read') });
failing('alarm failure: setAlarm in a run that fails', {
  async alarm({ storage }, info) {
    this.journal.push([info.retryCount, info.isRetry]);
    if (this.journal.length === 1) {
      await storage.setAlarm(Date.now() + 10);
      throw new Error('after setAlarm');
    }
  },
}, { after: (object) => object().run('read') });
failing('alarm failure: setAlarm for much later in a run that fails', {
  async alarm({ storage }, info) {
    this.journal.push([info.retryCount, info.isRetry]);
    if (this.journal.length === 1) {
      await storage.setAlarm(Date.now() + kHour);
      throw new Error('after setAlarm');
    }
  },
}, { count: 1, after: async (object) => (await pause(3500), [await object().notes(), await object().run('read')]) });
failing('alarm failure: deleteAlarm in a run that fails', {
  async alarm({ storage }, info) {
    this.journal.push([info.retryCount, info.isRetry]);
    await storage.deleteAlarm();
    throw new Error('after deleteAlarm');
  },
}, { count: 1, after: async (object) => (await pause(3500), [await object().notes(), await object().run('read')]) });
failing('alarm failure: abort', {
  async alarm(ctx, info) {
    this.journal.push([info.retryCount, info.isRetry]);
    await ctx.storage.put('dropped', 1);
    if (this.journal.length === 1) ctx.abort('in the alarm');
  },
}, { after: (object) => object().run('read') });
failing('alarm failure: abort after a pause', {
  async alarm(ctx, info) {
    this.journal.push([info.retryCount, info.isRetry]);
    await ctx.storage.put('kept', 1);
    await pause(10);
    if (this.journal.length === 1) ctx.abort('in the alarm');
  },
}, { after: (object) => object().run('read') });
failing('alarm failure: abort that is not tried again', {
  alarm(ctx, info) {
    this.journal.push([info.retryCount, info.isRetry]);
    ctx.abort('in the alarm', { retryAlarm: false });
  },
}, { count: 1, after: async (object) => (await pause(3500), [await object().notes(), await object().run('read')]) });
failing('alarm failure: abort with retryAlarm: true', {
  alarm(ctx, info) {
    this.journal.push([info.retryCount, info.isRetry]);
    if (this.journal.length === 1) ctx.abort('in the alarm', { retryAlarm: true });
  },
});
failing('alarm failure: a section in it rejects', {
  async alarm(ctx, info) {
    this.journal.push([info.retryCount, info.isRetry]);
    if (this.journal.length === 1) {
      await ctx.blockConcurrencyWhile(async () => {
        throw new Error('in a section');
      });
    }
  },
});
failing('alarm failure: the object is reset by another event', {
  async alarm(ctx, info) {
    this.journal.push([info.retryCount, info.isRetry]);
    if (this.journal.length === 1) {
      setTimeout(() => ctx.abort('by a timer'), 10);
      await new Promise(() => {});
    }
  },
});
failing('alarm failure: the constructor throws', {
  construct() {
    this.journal.push('constructed');
    if (this.journal.length === 2) throw new Error('the constructor throws');
  },
  arm: (ctx) => {
    ctx.storage.setAlarm(Date.now() + 60);
    setTimeout(() => ctx.abort('so that the alarm constructs'), 20);
  },
  alarm(ctx, info) {
    this.journal.push([info.retryCount, info.isRetry]);
  },
}, { count: 4, quiet: 3500 });
failing('alarm failure: a section in the constructor rejects', {
  construct(ctx) {
    this.journal.push('constructed');
    ctx.blockConcurrencyWhile(async () => {
      await pause(1);
      if (this.journal.length === 2) throw new Error('the section rejects');
    });
  },
  arm: (ctx) => {
    ctx.storage.setAlarm(Date.now() + 60);
    setTimeout(() => ctx.abort('so that the alarm constructs'), 20);
  },
  alarm(ctx, info) {
    this.journal.push([info.retryCount, info.isRetry]);
  },
}, { count: 4, quiet: 3500 });
failing('alarm failure: a commit of the run fails', {
  construct({ storage }) {
    storage.sql.exec('CREATE TABLE IF NOT EXISTS p(id INTEGER PRIMARY KEY); CREATE TABLE IF NOT EXISTS k(p REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED)');
  },
  async alarm({ storage }, info) {
    this.journal.push([info.retryCount, info.isRetry]);
    if (this.journal.length === 1) storage.sql.exec('INSERT INTO k VALUES (9)');
  },
}, { after: (object) => object().run('read') });

export const alarmCases = definitions;
