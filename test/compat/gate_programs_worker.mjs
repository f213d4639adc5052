// Runs programs of storage, sections, timers and calls in several objects at once (gate_programs.test.mjs).
//
// Every object is called by one party only: A and D by the handler, B by A, C by B. Their calls arrive in the order in which
// they were made, and an event waits for something outside of its object in a section or transaction only, or as the last
// thing it does. So the gates alone say in which order everything runs, and traces can be compared. Calls and fetches that
// are made through one stub without waiting overtake each other in workerd: a program uses one of the two (its name says which).

import { DurableObject } from 'cloudflare:workers';
import { pause, told } from './stage.mjs';
import { show } from './storage_cases.mjs';

// What happened in an object, over all its instances.
const traces = new Map();

export class Player extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    const { name } = ctx.id;
    if (!traces.has(name)) traces.set(name, []);
    this.trace = traces.get(name);
    this.left = []; // calls that nobody has waited for
    this.kept = new Map(); // calls by slot, for a later event to wait for
    setTimeout(() => {}, 120_000); // a loaded machine may leave it idle for so long that it would be evicted
    this.trace.push('constructor');
    ctx.blockConcurrencyWhile(async () => {
      ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, x)');
      await pause(1);
      this.trace.push(`constructed with ${(await ctx.storage.list()).size} keys`);
    });
  }

  get child() {
    const [program, letter] = this.ctx.id.name.split('/');
    const next = { A: 'B', B: 'C' }[letter];
    return next && (this.stub ??= this.env.PLAYER.getByName(`${program}/${next}`));
  }

  // An event of the object below.
  ask(program) {
    return play(this.child, this.ctx.id.name.split(' ')[0], program);
  }

  note(event, ...entry) {
    this.trace.push([event, ...entry]);
  }

  // --- what others ask for

  async play(event, steps, how) {
    this.note(event, 'begins');
    await this.steps(event, steps);
    this.note(event, 'ends');
    switch (how?.[0]) {
      case 'throw':
        throw new RangeError(`thrown by ${event}`);
      case 'await':
        return (await this.kept.get(how[1])) ?? 'nothing kept';
      default:
        return { event, keys: (await this.ctx.storage.list()).size };
    }
  }

  async fetch(request) {
    // In a header: a body would arrive later, as an event of its own.
    const [event, steps, how] = JSON.parse(decodeURIComponent(request.headers.get('x-program')));
    return Response.json(await this.play(event, steps, how));
  }

  mark(n) {
    this.note('mark', n);
    return n * 2;
  }

  // When all that this object has called, and not waited for, has answered.
  async settle() {
    await Promise.allSettled(this.left);
    this.left = [];
  }

  // In a section of its own: nothing else is under way then.
  async reset(event, steps, how) {
    this.note(event, 'begins');
    await this.ctx.blockConcurrencyWhile(async () => {
      await this.steps(event, steps);
      await this.ctx.storage.sync();
      this.note(event, 'resets');
      if (how === 'abort') this.ctx.abort(`aborted by ${event}`);
      throw how === 'text' ? 'a text' : new TypeError(`section of ${event}`);
    });
    this.note(event, 'never');
  }

  async report() {
    await this.settle();
    const { storage } = this.ctx;
    return [this.trace, show(await storage.list()), storage.sql.exec('SELECT * FROM t ORDER BY id').raw().toArray(), (await storage.getAlarm()) === null];
  }

  alarm() {}

  // --- steps

  async steps(event, steps) {
    for (const [op, ...args] of steps) {
      try {
        this.note(event, op, show(await this.step(event, op, args)));
      } catch (error) {
        this.note(event, op, told(error));
      }
    }
  }

  // Within transactionSync().
  now(event, steps) {
    for (const [op, ...args] of steps) {
      try {
        this.note(event, op, show(this.step(event, op, args)));
      } catch (error) {
        this.note(event, op, told(error));
      }
    }
  }

  section(event, steps, value) {
    return this.ctx.blockConcurrencyWhile(async () => {
      this.note(event, 'in');
      await this.steps(event, steps);
      this.note(event, 'out');
      return value;
    });
  }

  leave(promise) {
    promise.catch(() => {});
    this.left.push(promise);
    return promise;
  }

  step(event, op, args) {
    const { storage } = this.ctx;
    switch (op) {
      case 'put':
      case 'get':
      case 'delete':
      case 'list':
        return storage[op](...args);
      case 'kvput':
        return storage.kv.put(...args);
      case 'kvget':
        return storage.kv.get(...args);
      case 'sql':
        return storage.sql.exec(...args).raw().toArray();
      case 'setAlarm':
        return storage.setAlarm(4_000_000_000_000 + args[0]);
      case 'getAlarm':
        return storage.getAlarm();
      case 'deleteAlarm':
        return storage.deleteAlarm();
      case 'transactionSync':
        return storage.transactionSync(() => {
          this.now(event, args[0]);
          if (args[1] === 'throw') throw new RangeError('rolled back');
          return args[1];
        });
      case 'microtasks':
        return this.microtasks(args[0]);
      case 'leave':
        return this.child && void this.leave(this.ask(args));
      case 'keep':
        return this.child && void this.kept.set(args[0], this.leave(this.ask(args.slice(1))));
      case 'leaveSection':
        return void this.section(event, args[0]);
      case 'waitUntil':
        return this.ctx.waitUntil(this.section(event, args[0]));
      default:
        return this.slow(event, op, args);
    }
  }

  async microtasks(n) {
    for (let i = 0; i < n; i++) await undefined;
  }

  // What waits: in sections only.
  async slow(event, op, args) {
    const { storage } = this.ctx;
    switch (op) {
      case 'section':
        return await this.section(event, args[0], args[1]);
      case 'sections':
        return await Promise.all(args[0].map((steps, i) => this.section(`${event}.${i}`, steps, i)));
      case 'transaction':
        return await storage.transaction(async (txn) => {
          this.note(event, 'in');
          await this.steps(event, args[0]);
          this.note(event, 'out');
          if (args[1] === 'throw') throw new RangeError('rolled back');
          if (args[1] === 'rollback') txn.rollback();
          return args[1];
        });
      case 'sync':
        return await storage.sync();
      case 'pause':
        return await pause(args[0]);
      case 'scheduler':
        return await scheduler.wait(args[0]);
      case 'timers': {
        const order = [];
        await Promise.all(args[0].map((delay, i) => new Promise((resolve) => setTimeout(() => (order.push(i), resolve()), delay))));
        return order;
      }
      case 'digest':
        return new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(args[0])))[0];
      case 'stream':
        return await new Response(new Blob([args[0]]).stream().pipeThrough(new CompressionStream('gzip')).pipeThrough(new DecompressionStream('gzip'))).text();
      case 'call':
        return this.child && (await this.ask(args));
      case 'burst':
        return this.child && (await Promise.all(Array.from({ length: args[0] }, (_, i) => this.child.mark(i))));
      case 'resetChild':
        return await this.resetChild(...args);
      default:
        throw new Error(`no such step: ${op}`);
    }
  }

  async resetChild(event, steps, how) {
    const { child } = this;
    if (child === undefined) return 'no child';
    await child.settle();
    const answers = await Promise.allSettled([child.reset(event, steps, how), child.mark(event)]);
    this.stub = undefined; // it stays broken
    return answers.map(({ reason, value }) => (reason === undefined ? value : told(reason)));
  }
}

async function play(stub, how, program) {
  if (how === 'rpc') return await stub.play(...program);
  return await (await stub.fetch('http://x/', { headers: { 'x-program': encodeURIComponent(JSON.stringify(program)) } })).json();
}

const outcomeOf = (promise) => promise.then((value) => value, told);

async function run(env, name, rounds) {
  const stubs = {};
  const player = (letter) => (stubs[letter] ??= env.PLAYER.getByName(`${name}/${letter}`));
  const out = [];
  const how = name.split(' ')[0];
  for (const { events, reset, other } of rounds) {
    const stub = player('A');
    let first = [];
    if (reset !== undefined) {
      await stub.settle();
      first = [outcomeOf(stub.reset(...reset))];
      delete stubs.A;
    }
    out.push(await Promise.all([...first, ...events.map((program) => outcomeOf(play(stub, reset === undefined ? how : 'rpc', program))), ...other.map((program) => outcomeOf(play(player('D'), 'rpc', program)))]));
  }
  const objects = ['A', 'B', 'C', 'D'];
  const reports = {};
  for (const letter of objects) reports[letter] = await env.PLAYER.getByName(`${name}/${letter}`).report();
  return { name, out: show(out), reports };
}

export default {
  async fetch(request, env) {
    const programs = await request.json();
    return Response.json(await Promise.all(Object.entries(programs).map(([name, rounds]) => run(env, name, rounds))));
  },
};
