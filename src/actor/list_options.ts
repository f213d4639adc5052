// The options of list(), for the asynchronous and the synchronous API (spec 4.2).

import type { ListArguments } from '../web/native.ts';
import { checkOptions } from './arguments.ts';

export interface ListOptions {
  start?: string;
  startAfter?: string;
  end?: string;
  prefix?: string;
  reverse?: boolean;
  limit?: number;
}

const kInt32Min = -2147483648;
const kInt32Max = 2147483647;

// Web IDL: null is a text like any other.
function text(value: unknown): string | undefined {
  return value === undefined ? undefined : `${value as string}`;
}

// Web IDL's `long`, as workerd reads it.
function limitOf(value: unknown): number {
  if (typeof value === 'bigint') throw new TypeError('Cannot convert a BigInt value to a number');
  const number = Number(value);
  if (!Number.isFinite(number)) return 0;
  const limit = Math.trunc(number);
  if (limit < kInt32Min || limit > kInt32Max) {
    throw new TypeError(`Value out of range. Must be between ${kInt32Min} and ${kInt32Max} (inclusive).`);
  }
  return limit;
}

// Throws TypeError.
export function listArguments(where: string, options: ListOptions | undefined | null): ListArguments {
  const args: ListArguments = {
    start: undefined, startAfter: undefined, end: undefined, prefix: undefined, reverse: false, limit: undefined, bytesMax: undefined,
  };
  if (options === undefined || options === null) return args;
  checkOptions(where, 'list', 1, 'ListOptions', options);
  args.start = text(options.start);
  args.startAfter = text(options.startAfter);
  args.end = text(options.end);
  args.prefix = text(options.prefix);
  args.reverse = Boolean(options.reverse);
  const limit = options.limit === undefined ? undefined : limitOf(options.limit);
  if (args.start !== undefined && args.startAfter !== undefined) {
    throw new TypeError('list() cannot be called with both start and startAfter values.');
  }
  if (limit !== undefined && limit <= 0) throw new TypeError('List limit must be positive.');
  args.limit = limit;
  return args;
}
