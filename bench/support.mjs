// What the benches share: both runtimes with the same Worker, the load generator, what a process holds.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, readdir } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import { Holdfast } from '../test/support/holdfast.mjs';
import { Workerd } from '../test/support/workerd.mjs';

const run = promisify(execFile);
const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const benchWorker = await readFile(here('./worker.mjs'), 'utf8');

export const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];

/** Kilobytes. */
export async function rssOf(pid) {
  // With children: the launcher may be a parent of the server.
  let total = 0;
  for (const id of [String(pid), ...(await readdir('/proc')).filter((n) => /^\d+$/.test(n))]) {
    try {
      const status = await readFile(`/proc/${id}/status`, 'utf8');
      const parent = /PPid:\s+(\d+)/.exec(status)[1];
      if (id === String(pid) ? total === 0 : parent === String(pid)) total += Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0);
    } catch {
      // The process has ended meanwhile.
    }
  }
  return total;
}

const sourceClasses = (source) => Array.from(source.matchAll(/^export class (\w+) extends DurableObject/gm), ([, name]) => name);

/** Starts a runtime with a Worker of one module. Each class of objects in it is bound under its name in capitals. */
export const runtimes = {
  async holdfast(source = benchWorker, classes = sourceClasses(source)) {
    const begin = performance.now();
    const server = await Holdfast.start({ args: ['--log-level', 'error'] });
    const ready = performance.now() - begin;
    await server.deploy('bench', { 'worker.mjs': source }, {
      bindings: classes.map((name) => ({ type: 'durable_object_namespace', name: name.toUpperCase(), class_name: name })),
      migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: classes }] },
    });
    return { server, port: server.port, host: `bench.test:${server.port}`, pid: server.child.pid, ready };
  },
  async workerd(source = benchWorker, classes = sourceClasses(source)) {
    const begin = performance.now();
    const server = await Workerd.start({ modules: { 'worker.mjs': source }, classes: Object.fromEntries(classes.map((name) => [name, { binding: name.toUpperCase() }])) });
    const ready = performance.now() - begin;
    return { server, port: server.port, host: `127.0.0.1:${server.port}`, pid: server.child.pid, ready };
  },
};

/** load.lua says what the parts mean. Throws if a request fails. */
export async function wrk(target, { what, objects = 1, connections, count = 0, seconds = 3 }) {
  const { stdout } = await run('wrk', ['-t1', `-c${connections}`, `-d${count > 0 ? 120 : seconds}s`, '--timeout', '30s', '-s', here('./load.lua'), `http://127.0.0.1:${target.port}`], {
    env: { ...process.env, HF_WHAT: what, HF_OBJECTS: String(objects), HF_COUNT: String(count), HF_HOST: target.host, HF_RUN: `r${Date.now()}x` },
  });
  const result = JSON.parse(/RESULT (.*)/.exec(stdout)[1]);
  if (result.errors + result.non2xx > 0) throw new Error(`${what}: ${JSON.stringify(result)}`);
  return { ...result, rate: (count > 0 ? count : result.requests) / result.seconds };
}

const sockets = fileURLToPath(new URL('../build/release/bench/sockets/bench_sockets', import.meta.url));
const socketArguments = (target, mode, { what = mode, connections, ...more }) => [
  mode, '--port', target.port, '--host', target.host, '--path', `/${what}/o`, '--connections', connections,
  ...Object.entries(more).flatMap(([name, value]) => [`--${name}`, value]),
].map(String);

/** sockets/sockets.cc says what the parts mean. Throws if a message is lost or out of order. */
export async function socketLoad(target, mode, options) {
  const { stdout } = await run(sockets, socketArguments(target, mode, options));
  const result = JSON.parse(/RESULT (.*)/.exec(stdout)[1]);
  return { ...result, rate: result.messages / result.seconds };
}

/** Opens sockets and keeps them; each has got a message back. `speak` sends one more to each; `close` ends all. */
export async function heldSockets(target, options) {
  const child = spawn(sockets, socketArguments(target, 'hold', options), { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'exit').then(([code]) => code);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const expect = async (text) => {
    const { value } = await lines.next();
    if (value !== text) throw new Error(`bench_sockets ended with ${await ended} instead of ${text}`);
  };
  await expect('READY');
  return {
    async speak() {
      child.stdin.write('speak\n');
      await expect('SPOKEN');
    },
    async close() {
      child.stdin.end();
      if ((await ended) !== 0) throw new Error(`bench_sockets ended with ${await ended}`);
    },
  };
}
