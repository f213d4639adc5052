// Both runtimes, the same module, the same cases. Prints one line per case; `--only TEXT` runs the cases that contain it;
// `--reference` shows workerd's answers alone; `--quiet` prints only what is wrong; `--serial` runs one case at a time;
// `--pending` shows what the pending cases lack.
import { readdir, readFile } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { Workerd } from '../support/workerd.mjs';
import { cases } from './cases.mjs';
import { runClient } from './clients.mjs';
import { differences } from './differences.mjs';
import { pending } from './pending.mjs';
import { stageClasses } from './stage.mjs';

export const classes = {
  Subject: { binding: 'SUBJECT' },
  Plain: { binding: 'PLAIN' },
  Fragile: { binding: 'FRAGILE' },
  Other: { binding: 'OTHER' },
  RpcObject: { binding: 'RPC' },
  ShapedObject: { binding: 'SHAPED' },
  ...stageClasses,
};

// Bindings to this same Worker: the entrypoint's name, or [name, props].
export const services = {
  SELF: '',
  NAMED: 'Named',
  CALLS: 'Calls',
  SHAPES: 'ShapedEntrypoint',
  WITH_PROPS: ['Calls', { color: 'red', nested: { list: [1, 2] } }],
  HANDLERS: 'handlers',
};

const kUsualDate = '2026-05-01';

// The cases at work at a time: most of them wait for timers of their own.
export const kAtOnce = 8;
const kLimitMs = 30_000;

export async function modules() {
  const names = (await readdir(new URL('.', import.meta.url))).filter((name) => /_cases\.mjs$/.test(name));
  names.unshift('worker.mjs', 'rpc_worker.mjs', 'gate_worker.mjs', 'show.mjs', 'stage.mjs', 'cases.mjs');
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await readFile(new URL(`./${name}`, import.meta.url), 'utf8')])));
}

// A case may name the compatibility date and flags it runs with: each such set is a deployment of its own, on both sides.
function deploymentOf({ date = kUsualDate, flags = [] }) {
  const usual = date === kUsualDate && flags.length === 0;
  return { date, flags, script: usual ? 'compat' : ['compat', date, ...flags].join('-').replaceAll('_', '-') };
}

export function deploymentsOf(names) {
  return new Map(names.map((name) => deploymentOf(cases[name])).map((deployment) => [deployment.script, deployment]));
}

export async function deployTo(holdfast, names = Object.keys(cases)) {
  const files = await modules();
  for (const { script, date, flags } of deploymentsOf(names).values()) {
    await holdfast.deploy(script, files, {
      main: 'worker.mjs',
      date,
      flags,
      bindings: [
        ...Object.entries(classes).map(([class_name, { binding }]) => ({ type: 'durable_object_namespace', name: binding, class_name })),
        ...Object.entries(services).map(([name, target]) => {
          const [entrypoint, props] = [target].flat();
          return { type: 'service', name, service: script, ...(entrypoint ? { entrypoint } : {}), ...(props ? { props } : {}) };
        }),
      ],
      migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: Object.keys(classes) }] },
    });
  }
}

// One workerd for each deployment, with the `fetch(case name)` of all.
export async function startReference(names = Object.keys(cases)) {
  const files = await modules();
  const started = await Promise.all(
    [...deploymentsOf(names)].map(async ([script, { date, flags }]) => [script, await Workerd.start({ modules: files, classes, services, date, flags })]),
  );
  const byScript = new Map(started);
  return {
    port: (name) => byScript.get(deploymentOf(cases[name]).script).port,
    fetch: (name) => byScript.get(deploymentOf(cases[name]).script).fetch(`/${encodeURIComponent(name)}`),
    [Symbol.asyncDispose]: async () => void (await Promise.all(started.map(([, workerd]) => workerd[Symbol.asyncDispose]()))),
  };
}

// Ids differ between the two, because namespaces do: only their shape is compared. So do references to a log, and what a
// message adds to the size of a value.
export function normalise(text) {
  return JSON.parse(
    text
      .replaceAll(/\b[0-9a-f]{64}\b/g, '<id>')
      .replaceAll(/internal error; reference = \w+/g, 'internal error; reference = <reference>')
      .replaceAll(/was: (\d+) bytes/g, (_, bytes) => `was: ${Math.round(bytes / 65536)} * 64 KiB`),
  );
}

async function answerOf(response) {
  const text = await response.text();
  try {
    return normalise(text);
  } catch {
    return { status: response.status, text };
  }
}

// A case that does not end fails alone; one that takes long by its nature says its `limitMs`.
async function within(limitMs, promise) {
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, limitMs, { hung: `no answer within ${limitMs} ms` })));
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function askReference(name, reference) {
  if (cases[name].client === undefined) return await answerOf(await reference.fetch(name));
  return await runClient(cases[name], name, reference.port(name), 'reference.test');
}

async function askHoldfast(name, holdfast) {
  const { script } = deploymentOf(cases[name]);
  if (cases[name].client !== undefined) return await runClient(cases[name], name, holdfast.port, `${script}.test:${holdfast.port}`);
  const { status, text } = await holdfast.fetch(script, `/${encodeURIComponent(name)}`);
  return await answerOf({ status, text: () => text });
}

// What a case gave: {name, result, expected, ours}; `result` is one of kBad, or a word for what is well.
export async function compare(name, reference, holdfast) {
  const { alone, limitMs = kLimitMs } = cases[name];
  const [expected, ours] = await Promise.all([
    alone === undefined ? within(limitMs, askReference(name, reference)) : { value: alone[1] },
    holdfast && within(limitMs, askHoldfast(name, holdfast)),
  ]);
  return { name, expected, ours, result: holdfast ? verdict(name, expected, ours) : 'workerd' };
}

export const kBad = new Set(['DIFFERENT', 'NO LONGER DIFFERENT', 'NO LONGER PENDING']);

export function verdict(name, reference, ours) {
  const same = isDeepStrictEqual(reference, ours);
  if (pending[name] !== undefined) return same ? 'NO LONGER PENDING' : 'pending';
  const wanted = differences[name];
  if (wanted === undefined) return same ? (cases[name].alone ? 'as wanted, alone' : 'same') : 'DIFFERENT';
  if (same) return 'NO LONGER DIFFERENT';
  return isDeepStrictEqual(ours, wanted[1]) ? 'wanted difference' : 'DIFFERENT';
}

// The places where two answers part: [path, workerd's, ours].
function partings(expected, ours, path = '') {
  if (isDeepStrictEqual(expected, ours)) return [];
  const isOpen = (value) => typeof value === 'object' && value !== null;
  if (!isOpen(expected) || !isOpen(ours) || Array.isArray(expected) !== Array.isArray(ours)) return [[path, expected, ours]];
  const keys = new Set([...Object.keys(expected), ...Object.keys(ours)]);
  return [...keys].flatMap((key) => partings(expected[key], ours[key], `${path}.${key}`));
}

function print({ name, result, expected, ours }, { quiet, showPending }) {
  if (result === 'workerd') console.log(`${name}: ${JSON.stringify(expected)}`);
  else if (kBad.has(result) || (showPending && result === 'pending')) {
    console.log(`${result}: ${name}`);
    for (const [path, theirs, mine] of partings(expected, ours)) console.log(`  ${path}\n    workerd:  ${JSON.stringify(theirs)}\n    holdfast: ${JSON.stringify(mine)}`);
  } else if (!quiet) console.log(`${result}: ${name}`);
}

async function main(args) {
  const only = args.includes('--only') ? args[args.indexOf('--only') + 1] : '';
  const referenceOnly = args.includes('--reference');
  const names = Object.keys(cases).filter((name) => name.includes(only) && !(referenceOnly && cases[name].alone));
  const { Holdfast } = referenceOnly ? {} : await import('../support/holdfast.mjs');
  await using reference = await startReference(names);
  await using holdfast = referenceOnly ? undefined : await Holdfast.start({ args: ['--shards', '2'] });
  if (holdfast) await deployTo(holdfast, names);
  const counts = new Map();
  const running = new Set();
  for (const name of names) {
    const run = compare(name, reference, holdfast).then((outcome) => {
      counts.set(outcome.result, (counts.get(outcome.result) ?? 0) + 1);
      print(outcome, { quiet: args.includes('--quiet'), showPending: args.includes('--pending') });
      running.delete(run);
    });
    running.add(run);
    if (running.size >= (args.includes('--serial') ? 1 : kAtOnce)) await Promise.race(running);
  }
  await Promise.all(running);
  const bad = [...counts].reduce((sum, [result, count]) => sum + (kBad.has(result) ? count : 0), 0);
  console.log(`${names.length} cases: ${[...counts].map(([result, count]) => `${count} ${result}`).join(', ')}`);
  process.exitCode = bad === 0 ? 0 : 1;
}

if (process.argv[1] === new URL(import.meta.url).pathname) await main(process.argv.slice(2));
