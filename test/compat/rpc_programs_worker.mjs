// Runs a program of RPC operations over several objects, an entrypoint and the handler itself (rpc_programs.test.mjs).
//
// A party has slots for functions, targets and stubs, and a trace of what it saw. Control goes from one party to the next
// and back, one step at a time: so the traces do not depend on timing.
import { DurableObject, RpcStub, RpcTarget, WorkerEntrypoint } from 'cloudflare:workers';

class Counter extends RpcTarget {
  #value;
  #party;
  #number;
  constructor(party, value) {
    super();
    this.#party = party;
    this.#value = value;
    this.#number = party.created++;
  }
  add(n) {
    this.#party.note(`add ${n}`);
    return (this.#value += n);
  }
  get value() {
    return this.#value;
  }
  self() {
    return this;
  }
  child(n) {
    return new Counter(this.#party, n);
  }
  children(n) {
    return { list: [this.child(n), this.child(n + 1)], text: 'children' };
  }
  async give(f, n) {
    return ['given', await f(n)];
  }
  fail(text) {
    throw Object.assign(new RangeError(text), { code: this.#value });
  }
  [Symbol.dispose]() {
    this.#party.disposed.add(this.#number);
  }
}

const shapes = {
  bare: [(x) => x, (x) => x],
  list: [(x) => [x], (x) => x[0]],
  object: [(x) => ({ a: 1, x }), ({ x }) => x],
  map: [(x) => new Map([['k', x]]), (x) => x.get('k')],
  set: [(x) => new Set([x]), (x) => [...x][0]],
  deep: [(x) => ({ list: [{ map: new Map([[1, [x]]]) }] }), (x) => x.list[0].map.get(1)[0]],
  twice: [(x) => [x, { x }], ([x, again]) => (x === again.x ? x : 'two of them')],
};

function text(value) {
  if (value === undefined) return 'undefined';
  if (typeof value === 'function') return `<${Object.getPrototypeOf(value).constructor.name}>`;
  if (value instanceof RpcTarget) return '<target>';
  return JSON.stringify(value, (key, v) => (typeof v === 'function' ? '<stub>' : typeof v === 'bigint' ? `${v}n` : v instanceof Map ? ['map', ...v] : v instanceof Set ? ['set', ...v] : v));
}

const told = (error) => `!${error?.name}: ${error?.message}${error?.remote ? ' (remote)' : ''}${error?.code === undefined ? '' : ` code ${error.code}`}`;

class Party {
  trace = [];
  disposed = new Set();
  created = 0;
  slots = new Map();
  given = new WeakSet(); // stubs that were let go or given away: dup() of them is an internal error in workerd

  // `reach(name)` is the other party of that name.
  constructor(reach) {
    this.reach = reach;
  }

  note(entry) {
    this.trace.push(entry);
  }

  make(kind, n) {
    let count = n;
    const add = (by) => {
      this.note(`add ${by} to ${kind}`);
      return (count += by);
    };
    switch (kind) {
      case 'target':
        return new Counter(this, n);
      case 'function':
        return Object.assign(
          (x) => {
            this.note(`called with ${text(x)}`);
            return ['f', n, x];
          },
          { add, value: n },
        );
      case 'async':
        return Object.assign(
          async (x) => {
            await null;
            return ['async', n, x];
          },
          { add, value: n },
        );
      case 'plain':
        return new RpcStub({ add, value: n, f: (x) => ['plain', n, x], inner: { list: [n], add } });
      case 'stub':
        return new RpcStub(new Counter(this, n));
      default:
        return (x) => {
          throw new TypeError(`thrown ${n} ${text(x)}`);
        };
    }
  }

  // A slot's new content; what was there is let go.
  set(slot, thing) {
    this.letGo(slot);
    if (typeof thing === 'function' || thing instanceof RpcTarget) this.slots.set(slot, thing);
  }

  letGo(slot) {
    const old = this.slots.get(slot);
    if (old instanceof RpcStub) old[Symbol.dispose]();
    this.slots.delete(slot);
  }

  async run(steps, arg) {
    let result;
    for (const step of steps) {
      try {
        const value = await this.step(step, arg);
        if (step[0] === 'return') this.returned = result = value;
        else this.note(`${step[0]} ${text(value)}`);
      } catch (error) {
        if (step[0] === 'throw') throw error;
        this.note(`${step[0]} ${told(error)}`);
      }
    }
    return result;
  }

  async step([op, ...args], arg) {
    const thing = op === 'make' ? undefined : args[0] === 'arg' ? arg : this.slots.get(args[0]);
    const needsThing = ['poke', 'dup', 'dispose', 'pass', 'return', 'use'].includes(op);
    if (needsThing && thing === undefined) return 'nothing there';
    // workerd passes such a stub on and fails when it is used; we refuse it at once.
    if ((op === 'pass' || op === 'return') && this.given.has(thing)) return undefined;
    switch (op) {
      case 'make':
        return this.set(args[0], this.make(args[1], args[2]));
      case 'poke':
        return await this.poke(thing, args[1], args[2]);
      case 'dup':
        if (!(thing instanceof RpcStub) || this.given.has(thing)) return 'not dup()ed';
        return this.set(args[1], thing.dup());
      case 'dispose':
        if (!(thing instanceof RpcStub)) return 'not disposed';
        this.given.add(thing);
        return thing[Symbol.dispose]();
      case 'letGo':
        return this.letGo(args[0]);
      case 'pass': {
        const [, other, shape, steps] = args;
        return await this.keepResult(await this.reach(other).receive(shape, shapes[shape][0](thing), steps), args[4]);
      }
      case 'ask': {
        const [other, shape, steps, slot] = args;
        const given = await this.reach(other).give(shape, steps);
        return this.keepResult(given === null ? undefined : shapes[shape][1](given), slot);
      }
      case 'pipeline': {
        const [other, kind, how, n] = args;
        using made = this.reach(other).fresh(kind, n);
        return await this.poke(made, how, n);
      }
      case 'burst': {
        const [other, count] = args;
        const stub = this.reach(other);
        return await Promise.all(Array.from({ length: count }, (_, i) => stub.mark(i)));
      }
      case 'echo':
        return text(await this.reach(args[0]).echo(shapes[args[1]][0](args[2])));
      case 'fails':
        return await this.reach(args[0]).fails(args[1], args[2]);
      case 'callback': {
        const [other, n] = args;
        return await this.reach(other).callBack((x) => {
          this.note(`called back with ${x}`);
          return x + 1;
        }, n);
      }
      case 'return':
        if (!(thing instanceof RpcStub)) return thing;
        if (args[1] && !this.given.has(thing)) return thing.dup();
        this.given.add(thing);
        return thing;
      case 'throw':
        throw Object.assign(new SyntaxError(args[0]), { code: args[0].length });
      default:
        throw new Error(`no such step: ${op}`);
    }
  }

  async keepResult(value, slot) {
    const shown = text(value);
    if (typeof value === 'function') {
      if (slot === undefined) value[Symbol.dispose]?.();
      else this.set(slot, value);
    }
    return shown;
  }

  async poke(thing, how, n) {
    switch (how) {
      case 'call':
        return await thing(n);
      case 'add':
        return await thing.add(n);
      case 'value':
        return await thing.value;
      case 'self': {
        using self = await thing.self();
        return await self.add(n);
      }
      case 'selfPipelined': {
        using self = thing.self();
        return await self.add(n);
      }
      case 'child': {
        using child = await thing.child(n);
        return [await child.add(1), await child.value];
      }
      case 'childPipelined': {
        using child = thing.child(n);
        return await Promise.all([child.add(1), child.value]);
      }
      case 'children': {
        using all = await thing.children(n);
        return [await all.list[0].add(5), await all.list[1].value, all.text];
      }
      case 'give':
        return await thing.give((x) => ['back', x], n);
      case 'inner':
        return [await thing.inner.list, await thing.inner.add(n)];
      case 'fail':
        return await thing.fail(`failed ${n}`);
      case 'twice':
        return await Promise.all([thing.add(n), thing.add(n)]);
      default:
        return await thing[how](n);
    }
  }

  // Which targets heard that they are let go. They may hear it more than once, from each stub: there is no event for the last.
  async settled(afterMs) {
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    return { trace: this.trace.splice(0), created: this.created, disposed: [...this.disposed].sort((a, b) => a - b) };
  }

  // Everything that is held is let go, except for what is being returned.
  end() {
    for (const [slot, thing] of [...this.slots]) {
      if (thing === this.returned) this.slots.delete(slot);
      this.letGo(slot);
    }
  }
}

const withParty = (Base) =>
  class extends Base {
    async receive(shape, value, steps) {
      return await this.within((party) => party.run(steps, shapes[shape][1](value)));
    }
    async give(shape, steps) {
      return await this.within(async (party) => {
        const thing = await party.run(steps);
        return thing === undefined ? null : shapes[shape][0](thing);
      });
    }
    async fresh(kind, n) {
      return await this.within((party) => party.make(kind, n));
    }
    async mark(i) {
      return await this.within((party) => {
        party.note(`mark ${i}`);
        return i;
      });
    }
    echo(value) {
      return value;
    }
    fails(kind, message) {
      throw new globalThis[kind](message);
    }
    async callBack(f, n) {
      return [await f(n), await f(n + 1)];
    }
  };

// Parties by name: the objects A, B and C, and W, which is an entrypoint. `forget` is for objects that were aborted.
function reaching({ exports }, program) {
  const stubs = new Map();
  const reach = (name) => {
    if (name === 'W') return exports.Passing({ props: { program } });
    if (!stubs.has(name)) stubs.set(name, exports.Thing.getByName(`${program} ${name}`));
    return stubs.get(name);
  };
  return Object.assign(reach, { forget: (name) => stubs.delete(name) });
}

export class Thing extends withParty(DurableObject) {
  #party = new Party(reaching(this.ctx, this.ctx.id.name.slice(0, -2)));
  within(f) {
    return f(this.#party);
  }
  // What there was to see since the last time.
  takeTrace() {
    return this.#party.trace.splice(0);
  }
  // Lets go of everything, when all parties have done so too: how many targets there were, and the values of those gone.
  end() {
    this.#party.end();
  }
  async targets(afterMs) {
    const { trace, ...party } = await this.#party.settled(afterMs);
    return [trace, party];
  }
  abortNow() {
    this.ctx.abort('aborted by the program');
  }
}

// A party for one call: its trace goes to the object T, which does nothing else.
export class Passing extends withParty(WorkerEntrypoint) {
  async within(f) {
    const { program } = this.ctx.props;
    const party = new Party(reaching(this.ctx, program));
    try {
      return await f(party);
    } finally {
      party.end();
      const tracer = this.ctx.exports.Thing.getByName(`${program} T`);
      for (const entry of party.trace.splice(0)) await tracer.mark(entry);
    }
  }
}

async function runProgram(ctx, program, steps, settleMs) {
  const party = new Party(reaching(ctx, program));
  const out = { program };
  for (const step of steps) {
    if (step[0] !== 'abort') {
      await party.run([step]);
      continue;
    }
    const stub = party.reach(step[1]);
    out[`${step[1]} before its abort`] = [...(out[`${step[1]} before its abort`] ?? []), await stub.takeTrace()];
    await stub.abortNow().catch((error) => party.note(`abort ${told(error)}`));
    party.reach.forget(step[1]);
  }
  party.end();
  for (const name of ['A', 'B', 'C']) {
    party.reach.forget(name);
    await party.reach(name).end();
  }
  const names = ['A', 'B', 'C', 'T'];
  const [{ trace, ...targets }, ...others] = await Promise.all([party.settled(settleMs), ...names.map((name) => party.reach(name).targets(settleMs))]);
  for (const [i, name] of names.entries()) out[name] = others[i];
  return { ...out, handler: [trace, targets] };
}

export default {
  async fetch(request, env, ctx) {
    const { programs, settleMs } = await request.json();
    return Response.json(await Promise.all(Object.entries(programs).map(([name, steps]) => runProgram(ctx, name, steps, settleMs))));
  },
};
