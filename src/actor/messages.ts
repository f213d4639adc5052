// What isolates say to each other: arrays, the kind first (native.ts: send, sendToActor).
//
//   to an object      [call, channel, id, path, args | undefined, refs?]      args undefined: a property is read
//                     [fetch, channel, id, request]
//                     [pipeActor, channel, id, base, path, args, refs?]       on the result of the unanswered call `base`
//   to a script       [serviceCall, id, target, path, args, refs?]   [serviceFetch, id, target, request]
//   to an export      [stubCall, id, export, path, args, refs?]   [release, export]
//   on a result       [pipe, id, base, path, args, refs?]
//   back              [result, id, value, refs?]   [response, id, response]   [error, id, ErrorData, remote]
//                     [opened, channel]     [broken, channel, ErrorData]
//                     [piped, id, found]    an answer to pipe: false, `base` had been answered already
//                     [exportBroken, export, ErrorData]
//   from the caller   [close, channel]
//   bodies            see bodies.ts
//
// `refs` are what values refer to: see rpc_wire.ts.

import type { BodyMessage } from './bodies.ts';

export const MessageKind = {
  call: 1,
  fetch: 2,
  serviceCall: 3,
  serviceFetch: 4,
  stubCall: 5,
  pipe: 6,
  pipeActor: 7,
  result: 10,
  response: 11,
  error: 12,
  opened: 13,
  broken: 14,
  close: 15,
  release: 16,
  piped: 17,
  exportBroken: 18,
  credit: 20,
  chunk: 21,
  end: 22,
  streamError: 23,
  cancel: 24,
} as const;

export type RequestMessage = [method: string, url: string, flat: string[], cf: unknown, body: BodyMessage];
export type ResponseMessage = [
  status: number, statusText: string, flat: string[], socketEnd: number, cf: unknown, manualEncoding: boolean, body: BodyMessage,
];
