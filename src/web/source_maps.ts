// Stacks as the user's sources have them: for the log, and for the text that a failing deploy shows.

import { errorForLog } from './errors.ts';
import { nodeRequire } from './host.ts';
import { SafeMap, arrayJoin, jsonParse, objectKeys, regExpExec, regExpTest, split } from './primordials.ts';

type SourceMap = import('node:module').SourceMap;

const texts = new SafeMap<string, string>();
const parsed = new SafeMap<string, SourceMap | null>();

// Module name -> text of its source map. Parsed when the first exception needs it.
export function setSourceMaps(maps: Record<string, string>): void {
  const names = objectKeys(maps);
  for (let i = 0; i < names.length; i++) {
    texts.set(names[i]!, maps[names[i]!]!);
    parsed.delete(names[i]!);
  }
}

function mapOf(module: string): SourceMap | null {
  const known = parsed.get(module);
  if (known !== undefined) return known;
  let map: SourceMap | null = null;
  const text = texts.get(module);
  if (text !== undefined) {
    try {
      const { SourceMap } = nodeRequire('node:module') as typeof import('node:module');
      map = new SourceMap(jsonParse(text));
    } catch {
      map = null; // a broken map must not hide the exception
    }
  }
  parsed.set(module, map);
  return map;
}

const kFrame = /^(\s+at )(?:(.*?) \()?((?:file:\/\/\/)?(.+?)):(\d+):(\d+)\)?$/;
// Frames of Node and of the runtime itself say nothing to whoever wrote the Worker.
const kForeign = /^\s+at (?:.*[( ])?(?:node:|holdfast:|native )/;

interface StackFrame {
  name: string;
  file: string;
  line: string;
  column: string;
}

function parseFrame(line: string): StackFrame | null {
  const match = regExpExec(kFrame, line);
  if (match === null) return null;
  let name = match[2] ?? '';
  let file = match[4]!;
  let row = match[5]!;
  let column = match[6]!;
  if (texts.size > 0) {
    const entry = mapOf(file)?.findEntry(+row - 1, +column - 1);
    if (entry !== undefined && 'originalSource' in entry) {
      file = entry.originalSource;
      row = `${entry.originalLine + 1}`;
      column = `${entry.originalColumn + 1}`;
      const original = (entry as { name?: unknown }).name;
      if (typeof original === 'string' && original !== '' && name !== '') name = original;
    }
  }
  return { name, file, line: row, column };
}

// A V8 stack with the positions of the original sources, and without foreign frames.
export function mappedStack(stack: string): string {
  if (stack === '') return stack;
  const all = split(stack, '\n');
  const lines: string[] = [];
  for (let i = 0; i < all.length; i++) {
    const line = all[i]!;
    if (regExpTest(kForeign, line)) continue;
    const frame = parseFrame(line);
    const at = frame === null ? '' : `${frame.file}:${frame.line}:${frame.column}`;
    lines[lines.length] = frame === null ? line : frame.name === '' ? `    at ${at}` : `    at ${frame.name} (${at})`;
  }
  return arrayJoin(lines, '\n');
}

// "Uncaught Error: x\n  at index.js:3:1 in f": what the control plane shows when a Worker does not start.
export function describeException(error: unknown): string {
  const { name, message, stack } = errorForLog(error);
  const isError = Error.isError(error);
  let text = isError ? `Uncaught ${message === '' ? name : `${name}: ${message}`}` : `Uncaught ${message}`;
  const lines = split(stack, '\n');
  for (let i = 0; i < lines.length; i++) {
    if (regExpTest(kForeign, lines[i]!)) continue;
    const frame = parseFrame(lines[i]!);
    if (frame === null) continue;
    text += `\n  at ${frame.file}:${frame.line}:${frame.column}${frame.name === '' ? '' : ` in ${frame.name}`}`;
  }
  return text;
}
