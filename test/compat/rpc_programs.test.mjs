// Random programs of RPC operations over three objects, an entrypoint and the handler, on workerd and on Holdfast: what each
// party saw, and which targets were let go. HF_SEED=n repeats a run; HF_PROGRAMS=n runs more.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { Holdfast } from '../support/holdfast.mjs';
import { Workerd } from '../support/workerd.mjs';
import { minimise, random } from './random.mjs';

// Always the same programs: others can meet, once in some hundred, the wanted difference that a returned stub is taken at the
// end of the method here and some microtasks later in workerd (rpc_differences.mjs); HF_SEED=606893477 does.
const seed = Number(process.env.HF_SEED ?? 1);
const programs = Number(process.env.HF_PROGRAMS ?? 150);
const programsWithAborts = Math.ceil(programs / 10);
const kPerRequest = 25;
const kSettleMs = 400; // for targets to hear that they are let go

function generator(seed, abortsOneIn) {
  const { below, one, several } = random(seed);
  const slot = () => `s${below(3)}`;
  const slotOrArg = (inside) => (inside && below(2) === 0 ? 'arg' : slot());
  const party = () => one(['A', 'A', 'B', 'B', 'C', 'W']);
  const kind = () => one(['target', 'target', 'function', 'async', 'plain', 'stub', 'throwing']);
  const shape = () => one(['bare', 'bare', 'list', 'object', 'map', 'set', 'deep', 'twice']);
  const how = () => one(['call', 'add', 'add', 'value', 'self', 'selfPipelined', 'child', 'childPipelined', 'children', 'give', 'inner', 'fail', 'twice', 'missing', 'f']);
  const value = () => one([1, -5, 1.5, 'text', null, true, [1, [2]], { x: { y: 1 } }, 'x'.repeat(below(5000))]);
  const step = (depth, inside) => {
    switch (below(depth > 0 ? 22 : 13)) {
      case 0:
      case 1:
        return ['make', slot(), kind(), below(100)];
      case 2:
      case 3:
      case 4:
      case 5:
        return ['poke', slotOrArg(inside), how(), below(100)];
      case 6:
      case 7:
        return ['dup', slotOrArg(inside), slot()];
      case 8:
        return ['dispose', slotOrArg(inside)];
      case 9:
        return ['letGo', slot()];
      case 10:
        return one([['burst', party(), 2 + below(5)], ['callback', party(), below(100)]]);
      case 11:
        return one([['echo', party(), shape(), value()], ['fails', party(), one(['TypeError', 'RangeError', 'EvalError', 'Error']), `failed ${below(100)}`]]);
      case 12:
        return ['pipeline', party(), kind(), how(), below(100)];
      case 13:
      case 14:
      case 15:
      case 16:
      case 17:
        return ['pass', slotOrArg(inside), party(), shape(), steps(depth - 1), ...(below(2) === 0 ? [slot()] : [])];
      default:
        return ['ask', party(), shape(), steps(depth - 1, false), slot()];
    }
  };
  // Steps for another party to do, with what was passed to it as `arg`.
  const steps = (depth, inside = true) => {
    const list = several(() => step(depth, inside), 4);
    if (!inside || below(3) === 0) list.push(['return', slotOrArg(inside), below(2) === 0]);
    if (below(8) === 0) list.push(['throw', `thrown ${below(100)}`]);
    return list;
  };
  const top = () => (abortsOneIn && below(abortsOneIn) === 0 ? ['abort', one(['A', 'B', 'C'])] : step(2, false));
  // Each party has something from the beginning.
  const make = (slot) => ['make', slot, kind(), below(100)];
  const begin = () => [make('s0'), ['make', 's1', 'target', below(100)], ...['A', 'B', 'C'].map((name) => ['ask', name, 'bare', [make('s0'), ['make', 's1', 'target', below(100)], make('s2'), ['return', 's1', false]], 's2'])];
  return () => [...begin(), ...Array.from({ length: 8 + below(25) }, top)];
}

describe(`programs of HF_SEED=${seed}`, () => {
  let workerd;
  let holdfast;
  const modules = { 'rpc_programs_worker.mjs': readFileSync(new URL('./rpc_programs_worker.mjs', import.meta.url), 'utf8') };
  const startReference = async () => void (workerd = await Workerd.start({ modules, classes: { Thing: { binding: 'THING' } } }));
  before(async () => {
    await startReference();
    holdfast = await Holdfast.start({ args: ['--shards', '2'] });
    await holdfast.deploy('programs', modules, {
      bindings: [{ type: 'durable_object_namespace', name: 'THING', class_name: 'Thing' }],
      migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Thing'] }] },
    });
  });
  after(async () => {
    await workerd?.[Symbol.asyncDispose]();
    await holdfast?.[Symbol.asyncDispose]();
  });

  // An object that passes on a stub of another shard says of its error that it comes from there; in workerd all objects are
  // in one isolate, and the caller talks to the stub's host itself.
  const plain = (text) => text.replaceAll('is no longer running. (remote)', 'is no longer running.');

  // What both gave. An abort of an object that others still call can end workerd: then there is nothing to compare.
  const both = async (batch) => {
    const body = JSON.stringify({ programs: batch, settleMs: kSettleMs });
    const [expected, ours] = await Promise.all([
      workerd.fetch('/', { method: 'POST', body }).then((response) => response.json(), () => undefined),
      holdfast.fetch('programs', '/', { method: 'POST', body }).then((response) => JSON.parse(plain(response.text))),
    ]);
    if (expected !== undefined) return [expected, ours];
    await workerd[Symbol.asyncDispose]();
    await startReference();
    return undefined;
  };

  let tries = 0;
  const differs = async (program) => {
    const answers = await both({ [`try ${tries++}`]: program });
    return answers !== undefined && !isDeepStrictEqual(answers[0], answers[1]);
  };

  const compare = async (t, batch) => {
    const answers = await both(batch);
    if (answers === undefined) return false;
    const [expected, ours] = answers;
    for (const [i, given] of expected.entries()) {
      if (isDeepStrictEqual(ours[i], given)) continue;
      const program = batch[given.program];
      // A stub that is lost without disposing it is let go when its isolate collects: not twice at the same moment.
      if (!(await differs(program)) && !(await differs(program))) {
        t.diagnostic(`HF_SEED=${seed} ${given.program} parted once in three times`);
        continue;
      }
      const smallest = await minimise(program, differs);
      const [[smallExpected], [smallOurs]] = (await both({ smallest })) ?? [[], []];
      assert.deepEqual(smallOurs, smallExpected, `HF_SEED=${seed} ${given.program}, at its smallest: ${JSON.stringify(smallest)}`);
      assert.deepEqual(ours[i], given, `HF_SEED=${seed} ${given.program}, which its smaller parts do not show: ${JSON.stringify(program)}`);
    }
    return true;
  };

  test(`${programs} programs give the same on both`, { timeout: 600_000 }, async (t) => {
    const make = generator(seed);
    for (let from = 0; from < programs; from += kPerRequest) {
      const batch = Object.fromEntries(Array.from({ length: kPerRequest }, (_, i) => [`program ${from + i}`, make()]));
      assert.ok(await compare(t, batch), `HF_SEED=${seed}: workerd has ended`);
    }
  });

  test(`${programsWithAborts} programs in which objects are aborted`, { timeout: 600_000 }, async (t) => {
    const make = generator(seed, 10);
    let compared = 0;
    for (let i = 0; i < programsWithAborts; i++) compared += await compare(t, { [`aborting ${i}`]: make() });
    assert.ok(compared > programsWithAborts / 2, `only ${compared} of ${programsWithAborts} could be compared`);
  });
});
