// `process` as user code sees it: a facade that knows nothing of the process that serves many scripts.

import { flag } from './compat.ts';
import { config, nodeRequire } from './host.ts';
import { monotonicMs } from './host_modules.ts';
import { defineProperty, freeze, noop, reflectApply } from './primordials.ts';
import { webConsole } from './console.ts';

const realProcess = nodeRequire('node:process') as NodeJS.Process;
const nextTick = realProcess.nextTick.bind(realProcess);
const hrtime = realProcess.hrtime.bind(realProcess);
const hrtimeBigint = realProcess.hrtime.bigint.bind(realProcess.hrtime);
const emitWarning = (...args: unknown[]): void => (webConsole['warn'] as (...args: unknown[]) => void)(...args);
const { EventEmitter } = nodeRequire('node:events') as typeof import('node:events');
// What user code finds as process.version; packages compare it.
const kVersion = realProcess.version;
const startedAt = monotonicMs();

// Text and secret bindings, and JSON ones as text.
function environmentOf(): Record<string, string> {
  const env: Record<string, string> = {};
  if (!flag('nodejs_compat_populate_process_env')) return env;
  for (const binding of config.bindings) {
    if (binding.kind === 'plain_text' || binding.kind === 'secret_text') env[binding.name] = binding.text;
    else if (binding.kind === 'json') env[binding.name] = binding.json;
  }
  return env;
}

function refuse(name: string): never {
  throw new Error(`process.${name} is not available in Workers.`);
}

function writer(level: 'log' | 'error', fd: number): object {
  return {
    fd,
    isTTY: false,
    writable: true,
    columns: 80,
    write(chunk: unknown): boolean {
      (webConsole[level] as (text: string) => void)(`${chunk as string}`.replace(/\n$/, ''));
      return true;
    },
    end: noop,
    on() {
      return this;
    },
    once() {
      return this;
    },
    off() {
      return this;
    },
  };
}

function makeProcess(): Record<string, unknown> {
  const facade = new EventEmitter() as unknown as Record<string, unknown>;
  const hrtimeHere = Object.assign((previous?: [number, number]) => hrtime(previous), { bigint: () => hrtimeBigint() });
  Object.assign(facade, {
    title: 'holdfast',
    version: kVersion,
    versions: freeze({ ...realProcess.versions }),
    arch: realProcess.arch,
    platform: realProcess.platform,
    release: freeze({ name: 'node', lts: true }),
    features: freeze({ inspector: false, debug: false, ipv6: true, tls: true, typescript: false, require_module: false }),
    config: freeze({ target_defaults: {}, variables: {} }),
    pid: 1,
    ppid: 0,
    argv: ['holdfast'],
    argv0: 'holdfast',
    execArgv: [],
    execPath: '',
    exitCode: undefined,
    env: environmentOf(),
    cwd: () => '/',
    chdir: () => refuse('chdir'),
    umask: () => 0o22,
    uptime: () => (monotonicMs() - startedAt) / 1000,
    hrtime: hrtimeHere,
    nextTick: (callback: (...args: unknown[]) => void, ...args: unknown[]) => {
      reflectApply(nextTick, undefined, [callback, ...args]);
    },
    emitWarning,
    memoryUsage: Object.assign(() => ({ rss: 0, heapTotal: 0, heapUsed: 0, external: 0, arrayBuffers: 0 }), { rss: () => 0 }),
    cpuUsage: () => ({ user: 0, system: 0 }),
    resourceUsage: () => ({}),
    getBuiltinModule: (specifier: string) => lookUpModule(specifier),
    exit: (code?: number) => {
      throw new Error(`The Node.js process.exit(${code ?? ''}) API was called. Canceling the request.`);
    },
    abort: () => refuse('abort'),
    kill: () => refuse('kill'),
    binding: () => refuse('binding'),
    dlopen: () => refuse('dlopen'),
    ref: noop,
    unref: noop,
    getuid: () => 0,
    geteuid: () => 0,
    getgid: () => 0,
    getegid: () => 0,
    getgroups: () => [0],
    stdin: { fd: 0, isTTY: false, on() { return this; }, once() { return this; }, read: () => null },
    stdout: writer('log', 1),
    stderr: writer('error', 2),
  });
  defineProperty(facade, Symbol.toStringTag, { value: 'process', configurable: true });
  return facade;
}

let lookUpModule: (specifier: string) => unknown = () => undefined;
// node_modules.ts, which needs this module, says how.
export function setModuleLookup(lookUp: (specifier: string) => unknown): void {
  lookUpModule = lookUp;
}

export const webProcess: Record<string, unknown> = makeProcess();
// The real one, for globals.ts.
export { realProcess };
