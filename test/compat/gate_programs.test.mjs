// Random programs of events, sections, transactions, timers and calls over four objects, on workerd and on Holdfast: the
// order in which everything ran, what each step gave, what was stored. HF_SEED=n repeats a run; HF_PROGRAMS=n runs more.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { Holdfast } from '../support/holdfast.mjs';
import { Workerd } from '../support/workerd.mjs';
import { minimise, random } from './random.mjs';

const seed = Number(process.env.HF_SEED ?? Math.floor(Math.random() * 2 ** 31));
const programs = Number(process.env.HF_PROGRAMS ?? 100);
const kPerRequest = 50;
const ways = ['rpc', 'fetch'];

// A program is a list of rounds: events that are sent at once, and awaited.
function generator(seed) {
  const { below, one, several } = random(seed);
  let events = 0;
  // workerd sends a fetch that is not awaited after sections that begin later.
  let leaves = true;
  // What a reset object has not awaited is cancelled at some time or other.
  let inReset = false;
  const event = (depth) => `e${events++}${'abc'[depth]}`;
  const key = () => one(['a', 'b', 'c', 'n']);
  const value = () => one([1, 'text', null, [1, 2], { x: 1 }, below(1000)]);
  const statement = () =>
    one([
      ['INSERT INTO t(x) VALUES (?) RETURNING id', below(100)],
      ['INSERT INTO t(id, x) VALUES (?, ?)', below(6), below(100)],
      ['UPDATE t SET x = x + 1 RETURNING id, x'],
      ['DELETE FROM t WHERE id = ?', below(6)],
      ['SELECT count(*), sum(x) FROM t'],
      ['SELECT * FROM nowhere'],
    ]);
  // Complete when it returns: no event comes in between. `level`: how many objects are still below.
  const quick = (sync = false) => {
    switch (below(sync ? 5 : 9)) {
      case 0:
        return ['kvput', key(), value()];
      case 1:
        return ['kvget', key()];
      case 2:
      case 3:
        return ['sql', ...statement()];
      case 4:
        return ['transactionSync', several(() => (below(4) === 0 ? ['kvput', key(), value()] : ['sql', ...statement()]), 3), one(['ok', 'ok', 'throw'])];
      case 5:
        return ['put', key(), value()];
      case 6:
        return one([['get', key()], ['list'], ['delete', key()]]);
      case 7:
        return one([['setAlarm', below(1000)], ['getAlarm'], ['deleteAlarm']]);
      default:
        return ['microtasks', below(5)];
    }
  };
  // In a section or a transaction.
  const inside = (depth, level) => {
    const kinds = 10 + (depth > 0 ? 4 : 0) + (level > 0 ? 5 : 0);
    const kind = below(kinds);
    if (kind < 5) return quick();
    if (kind < 10) return one([['pause', below(4)], ['scheduler', below(3)], ['timers', one([[40, 1, 20], [2, 2, 2], [2, 2]])], ['sync'], ['digest', `${below(100)}`], ['stream', 'bytes'.repeat(1 + below(50))]]);
    if (kind < 14 && depth > 0) {
      return one([
        () => ['section', bodies(depth - 1, level), below(100)],
        () => ['transaction', bodies(depth - 1, level), one(['ok', 'ok', 'throw', 'rollback'])],
        () => ['sections', several(() => bodies(depth - 1, level), 3)],
      ])();
    }
    return one([
      () => ['call', ...program(level - 1)],
      () => ['call', ...program(level - 1)],
      () => ['burst', 1 + below(5)],
      () => (leaves && !inReset ? ['leave', ...program(level - 1)] : ['burst', 2]),
      () => ['resetChild', event(level), bodies(0, 0), one(['throw', 'text', 'abort'])],
    ])();
  };
  const bodies = (depth, level) => several(() => inside(depth, level), 3);
  // An event of an object: [name, steps, how it ends].
  const program = (level) => {
    const outer = inReset;
    inReset = false;
    const made = ordinary(level);
    inReset = outer;
    return made;
  };
  const ordinary = (level) => {
    const name = event(level);
    const steps = several(() => top(level), 5);
    if (below(6) === 0) steps.push([one(['leaveSection', 'waitUntil']), bodies(0, level)]);
    const how = one([undefined, undefined, undefined, ['throw'], level > 0 ? ['await', one(['s', 't'])] : undefined]);
    return [name, steps, ...(how === undefined ? [] : [how])];
  };
  const top = (level) => {
    switch (below(level > 0 ? 10 : 8)) {
      case 5:
        return ['section', bodies(1, level), below(100)];
      case 6:
        return ['transaction', bodies(1, level), one(['ok', 'ok', 'throw', 'rollback'])];
      case 7:
        return ['sections', several(() => bodies(1, level), 3)];
      case 8:
        return leaves ? ['leave', ...program(level - 1)] : quick();
      case 9:
        if (!leaves) return quick();
        return ['keep', one(['s', 't']), ...program(level - 1)];
      default:
        return quick();
    }
  };
  const round = () => {
    const other = below(2) === 0 ? several(() => program(0), 3) : [];
    if (below(5) === 0) {
      inReset = true;
      const steps = bodies(1, 2);
      inReset = false;
      return { reset: [event(2), steps, one(['throw', 'text', 'abort'])], events: below(2) === 0 ? several(() => program(0), 3) : [], other };
    }
    return { events: several(() => program(2), 4), other };
  };
  return (way) => {
    leaves = way === 'rpc';
    return Array.from({ length: 1 + below(4) }, round);
  };
}

describe(`programs of HF_SEED=${seed}`, () => {
  let workerd;
  let holdfast;
  before(async () => {
    const read = (name) => readFileSync(new URL(`./${name}`, import.meta.url), 'utf8');
    const modules = Object.fromEntries(['gate_programs_worker.mjs', 'stage.mjs', 'storage_cases.mjs'].map((name) => [name, read(name)]));
    workerd = await Workerd.start({ modules, classes: { Player: { binding: 'PLAYER' } } });
    holdfast = await Holdfast.start({ args: ['--shards', '2'] });
    await holdfast.deploy('programs', modules, {
      bindings: [{ type: 'durable_object_namespace', name: 'PLAYER', class_name: 'Player' }],
      migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Player'] }] },
    });
  });
  after(async () => {
    await workerd?.[Symbol.asyncDispose]();
    await holdfast?.[Symbol.asyncDispose]();
  });

  const both = async (batch) => {
    const body = JSON.stringify(batch);
    return await Promise.all([
      workerd.fetch('/', { method: 'POST', body }).then((response) => response.json()),
      holdfast.fetch('programs', '/', { method: 'POST', body }).then((response) => response.json()),
    ]);
  };
  let tries = 0;
  let way; // of the program that is made smaller
  const differs = async (program) => {
    const [[expected], [ours]] = await both({ [`${way} try ${tries++}`]: program });
    return !isDeepStrictEqual({ ...ours, name: '' }, { ...expected, name: '' });
  };
  // The rounds, and then the events of each round, one after the other.
  const smallest = async (program) => {
    let small = await minimise(program, differs);
    for (const at of small.keys()) {
      const withEvents = (events) => small.with(at, { ...small[at], events });
      const events = await minimise(small[at].events, (fewer) => differs(withEvents(fewer)));
      small = withEvents(events);
      for (const i of events.keys()) {
        const withSteps = (steps) => withEvents(small[at].events.with(i, small[at].events[i].with(1, steps)));
        small = withSteps(await minimise(small[at].events[i][1], (fewer) => differs(withSteps(fewer))));
      }
    }
    return small;
  };

  test(`${programs} programs give the same on both`, { timeout: 900_000 }, async () => {
    const make = generator(seed);
    for (let from = 0; from < programs; from += kPerRequest) {
      const batch = Object.fromEntries(Array.from({ length: kPerRequest }, (_, i) => [`${ways[i % 2]} program ${from + i}`, make(ways[i % 2])]));
      const [expected, ours] = await both(batch);
      for (const [i, given] of expected.entries()) {
        if (isDeepStrictEqual(ours[i], given)) continue;
        const program = batch[given.name];
        way = given.name.split(' ')[0];
        if (await differs(program)) {
          const small = await smallest(program);
          const [[smallExpected], [smallOurs]] = await both({ [`${way} smallest`]: small });
          assert.deepEqual(smallOurs, smallExpected, `HF_SEED=${seed} ${given.name}, at its smallest: ${JSON.stringify(small)}`);
        }
        assert.deepEqual(ours[i], given, `HF_SEED=${seed} ${given.name}, which its parts do not show: ${JSON.stringify(program)}`);
      }
    }
  });
});
