// What isolates say to each other: arrays, the kind first (native.ts: send, sendToActor).
//
//   to an object      [call, channel, id, path, args | undefined]      args undefined: a property is read
//                     [fetch, channel, id, request]
//   to a script       [serviceCall, id, target, path, args]   [serviceFetch, id, target, request]
//   back              [result, id, value]   [response, id, response]   [error, id, ErrorData, remote]
//                     [opened, channel]     [broken, channel, ErrorData]
//   from the caller   [close, channel]
//   bodies            see bodies.ts

import type { BodyMessage } from './bodies.ts';

export const MessageKind = {
  call: 1,
  fetch: 2,
  serviceCall: 3,
  serviceFetch: 4,
  result: 10,
  response: 11,
  error: 12,
  opened: 13,
  broken: 14,
  close: 15,
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
