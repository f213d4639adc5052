// console: to the log of the node, with the object that speaks.

import { native, nodeRequire } from './host.ts';
import { monotonicMs } from './host_modules.ts';
import type { LogLevel } from './native.ts';
import { currentWhere } from './io.ts';
import { SafeMap, defineProperty, noop } from './primordials.ts';

const { formatWithOptions, inspect } = nodeRequire('node:util') as typeof import('node:util');
const kFormat = { colors: false };

let indent = '';
const counts = new SafeMap<string, number>();
const times = new SafeMap<string, number>();

function write(level: LogLevel, text: string): void {
  const shown = indent === '' ? text : indent + text.replaceAll('\n', `\n${indent}`);
  native.log(level, shown, currentWhere());
}

function logger(level: LogLevel): (...args: unknown[]) => void {
  return (...args) => write(level, formatWithOptions(kFormat, ...args));
}

function labelOf(label: unknown): string {
  return label === undefined ? 'default' : `${label as string}`;
}

function elapsed(label: string): string {
  return `${label}: ${(monotonicMs() - times.get(label)!).toFixed(3)}ms`;
}

// Node draws tables; only its Console class has the code for it.
function tableText(data: unknown, columns: unknown): string {
  const { Console } = nodeRequire('node:console') as typeof import('node:console');
  let text = '';
  const sink = { write: (chunk: string) => (text += chunk), on: noop, once: noop, removeListener: noop };
  new Console({ stdout: sink as never, stderr: sink as never, ignoreErrors: false }).table(data, columns as never);
  return text.replace(/\n$/, '');
}

const methods: Record<string, (...args: any[]) => void> = {
  debug: logger('debug'),
  error: logger('error'),
  info: logger('info'),
  log: logger('log'),
  warn: logger('warn'),
  dir: (value: unknown, options?: object) => write('log', inspect(value, { customInspect: false, ...options, ...kFormat })),
  dirxml: logger('log'),
  table: (data: unknown, columns?: unknown) => {
    if (typeof data !== 'object' || data === null) return logger('log')(data);
    write('log', tableText(data, columns));
  },
  trace: (...args: unknown[]) => {
    const holder = { stack: '' };
    Error.captureStackTrace(holder, methods['trace']);
    const frameLines = holder.stack.split('\n').slice(1).join('\n');
    write('log', `Trace${args.length === 0 ? '' : `: ${formatWithOptions(kFormat, ...args)}`}\n${frameLines}`);
  },
  group: (...args: unknown[]) => {
    if (args.length > 0) write('log', formatWithOptions(kFormat, ...args));
    indent += '  ';
  },
  groupCollapsed: (...args: unknown[]) => methods['group']!(...args),
  groupEnd: () => {
    indent = indent.slice(2);
  },
  clear: noop,
  count: (label?: unknown) => {
    const name = labelOf(label);
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    write('log', `${name}: ${count}`);
  },
  countReset: (label?: unknown) => {
    counts.delete(labelOf(label));
  },
  assert: (condition?: unknown, ...args: unknown[]) => {
    if (condition) return;
    write('warn', args.length === 0 ? 'Assertion failed' : `Assertion failed: ${formatWithOptions(kFormat, ...args)}`);
  },
  profile: noop,
  profileEnd: noop,
  time: (label?: unknown) => {
    times.set(labelOf(label), monotonicMs());
  },
  timeLog: (label?: unknown, ...args: unknown[]) => {
    const name = labelOf(label);
    if (times.has(name)) write('log', formatWithOptions(kFormat, elapsed(name), ...args));
  },
  timeEnd: (label?: unknown) => {
    const name = labelOf(label);
    if (!times.has(name)) return;
    write('log', elapsed(name));
    times.delete(name);
  },
  timeStamp: noop,
  context: () => webConsole,
};

for (const name of Object.keys(methods)) defineProperty(methods[name]!, 'name', { value: name, configurable: true });

export const webConsole: Record<string, unknown> = Object.assign(Object.create({}), methods);
defineProperty(webConsole, Symbol.toStringTag, { value: 'console', configurable: true });
