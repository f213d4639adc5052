// The options of list(), for the asynchronous and the synchronous API (spec 4.2).

import type { ListArguments } from '../web/native.ts';

export interface ListOptions {
  start?: string;
  startAfter?: string;
  end?: string;
  prefix?: string;
  reverse?: boolean;
  limit?: number;
}

function text(value: unknown): string | undefined {
  return value === undefined || value === null ? undefined : `${value as string}`;
}

// Throws TypeError.
export function listArguments(where: string, options: ListOptions | undefined | null): ListArguments {
  const none: ListArguments = {
    start: undefined, startAfter: undefined, end: undefined, prefix: undefined, reverse: false, limit: undefined,
  };
  if (options === undefined || options === null) return none;
  if (typeof options !== 'object' && typeof options !== 'function') {
    throw new TypeError(`Failed to execute 'list' on '${where}': parameter 1 is not of type '${where === 'SyncKvStorage' ? 'SyncKvListOptions' : 'ListOptions'}'.`);
  }
  const args = {
    ...none,
    start: text(options.start),
    startAfter: text(options.startAfter),
    end: text(options.end),
    prefix: text(options.prefix),
    reverse: Boolean(options.reverse),
  };
  if (args.start !== undefined && args.startAfter !== undefined) {
    throw new TypeError('list() cannot be called with both start and startAfter values.');
  }
  if (options.limit !== undefined && options.limit !== null) {
    const limit = Math.trunc(Number(options.limit));
    if (!(limit > 0)) throw new TypeError('List limit must be positive.');
    args.limit = limit;
  }
  return args;
}
