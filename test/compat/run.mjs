// Both runtimes, the same module, the same cases. Prints one line per case; `--only TEXT` runs the cases that contain it;
// `--reference` shows workerd's answers alone.
import { readFile } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { Workerd } from '../support/workerd.mjs';
import { cases } from './cases.mjs';
import { differences } from './differences.mjs';

export const classes = {
  Subject: { binding: 'SUBJECT' },
  Plain: { binding: 'PLAIN' },
  Fragile: { binding: 'FRAGILE' },
  Other: { binding: 'OTHER' },
};
export const services = { SELF: '', NAMED: 'Named' };

export async function modules() {
  const read = (name) => readFile(new URL(name, import.meta.url), 'utf8');
  const names = ['worker.mjs', 'cases.mjs', 'storage_cases.mjs'];
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await read(`./${name}`)])));
}

export async function deployTo(holdfast) {
  await holdfast.deploy('compat', await modules(), {
    main: 'worker.mjs',
    flags: ['enable_ctx_exports'],
    bindings: [
      ...Object.entries(classes).map(([class_name, { binding }]) => ({ type: 'durable_object_namespace', name: binding, class_name })),
      ...Object.entries(services).map(([name, entrypoint]) => ({ type: 'service', name, service: 'compat', ...(entrypoint ? { entrypoint } : {}) })),
    ],
    migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: Object.keys(classes) }] },
  });
}

export async function startReference() {
  return await Workerd.start({ modules: await modules(), classes, services });
}

// Ids differ between the two, because namespaces do: only their shape is compared.
export function normalise(text) {
  return JSON.parse(text.replaceAll(/\b[0-9a-f]{64}\b/g, '<id>'));
}

export function verdict(name, reference, ours) {
  const same = isDeepStrictEqual(reference, ours);
  const wanted = differences[name];
  if (wanted === undefined) return same ? 'same' : 'DIFFERENT';
  if (same) return 'NO LONGER DIFFERENT';
  return isDeepStrictEqual(ours, wanted[1]) ? 'wanted difference' : 'DIFFERENT';
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const only = process.argv.includes('--only') ? process.argv[process.argv.indexOf('--only') + 1] : '';
  const referenceOnly = process.argv.includes('--reference');
  const { Holdfast } = referenceOnly ? {} : await import('../support/holdfast.mjs');
  await using reference = await startReference();
  await using holdfast = referenceOnly ? undefined : await Holdfast.start();
  if (holdfast) await deployTo(holdfast);
  let bad = 0;
  let count = 0;
  for (const name of Object.keys(cases)) {
    if (!name.includes(only)) continue;
    count++;
    const path = `/${encodeURIComponent(name)}`;
    const expected = normalise(await (await reference.fetch(path)).text());
    if (referenceOnly) {
      console.log(`${name}: ${JSON.stringify(expected)}`);
      continue;
    }
    const answer = await holdfast.fetch('compat', path);
    let ours;
    try {
      ours = normalise(answer.text);
    } catch {
      ours = { status: answer.status, text: answer.text };
    }
    const result = verdict(name, expected, ours);
    if (result === 'DIFFERENT' || result === 'NO LONGER DIFFERENT') {
      bad++;
      console.log(`${result}: ${name}\n  workerd:  ${JSON.stringify(expected)}\n  holdfast: ${JSON.stringify(ours)}`);
    } else {
      console.log(`${result}: ${name}`);
    }
  }
  console.log(`${count - bad} passed, ${bad} failed`);
  process.exitCode = bad === 0 ? 0 : 1;
}
