// What a value may refer to and cannot be copied by structured clone (spec 9.3): each kind knows how to become itself
// again in another context of this isolate, and how to cross to another isolate.
//
// A reference on its way owns what it stands for: it is either made into something, sent, or discarded.

import { type BodyData, stateFromData, stateFromStream, takeBody, takeState } from '../web/body.ts';
import { type ErrorData, errorFromData } from '../web/errors.ts';
import { Headers, flatHeaders, headersFromFlat } from '../web/headers.ts';
import { nodeBlob, webStreams } from '../web/host_modules.ts';
import type { Frame } from '../web/io.ts';
import { NativeUint8Array, arrayPush, arraySlice, promiseThen } from '../web/primordials.ts';
import { type Request, makeIncomingRequest, requestFlatHeaders, requestState } from '../web/request.ts';
import { type Response, makeReceivedResponse, responseFlatHeaders, responseState } from '../web/response.ts';
import { bodyStream } from '../web/body.ts';
import { type BodyMessage, borrowBody, lendBody, localBody, unlendBody } from './bodies.ts';
import type { Channel } from './rpc_outgoing.ts';
import { type Group, type StubHandler, makeRpcStub } from './rpc_stub.ts';
import { Exported, Imported, type Target, exportTo, relayFrame, unexport } from './rpc_target.ts';
import { RpcTarget, cloneError } from './rpc_values.ts';
import { callPlainly } from './rpc_outgoing.ts';

// The kind first.
export const RefKind = { stub: 0, channel: 1, readable: 2, writable: 3, headers: 4, request: 5, response: 6, blob: 7, error: 8 } as const;
export type WireRef = [kind: number, ...more: unknown[]];

export interface Ref {
  // In a turn of `frame`. Stubs are added to `group`.
  make(frame: Frame, group: Group, holds: boolean): unknown;
  // `sent` collects the numbers of exports.
  toWire(address: number, sent: number[]): WireRef;
  discard(): void;
}

// ------------------------------------------------------------------------------------------------ stubs

// Stubs of another isolate are passed on: calls go through here.
export function passOn(target: Target): Target {
  if (!(target instanceof Imported)) return target;
  const { stub, handler } = makeRpcStub(target, relayFrame.context, false);
  const relay = new Exported(stub, relayFrame, { own: false, holds: false, dispose: undefined });
  relay.owns([handler]);
  return relay;
}

export class StubRef implements Ref {
  readonly target: Target;

  // Takes over one reference that is counted in `target`.
  constructor(target: Target) {
    this.target = target;
  }

  make(frame: Frame, group: Group, holds: boolean): unknown {
    const { stub, handler } = makeRpcStub(this.target, frame.context, holds);
    arrayPush(group, handler);
    return stub;
  }

  toWire(address: number, sent: number[]): WireRef {
    const id = exportTo(address, passOn(this.target));
    arrayPush(sent, id);
    return [RefKind.stub, id];
  }

  discard(): void {
    this.target.release();
  }
}

// --- objects and entrypoints: they have names that hold everywhere

// Set by stubs.ts and the room above.
export const channels: {
  of: (value: unknown) => Channel | undefined;
  // `ctx.exports.Name`, which cannot be passed on itself.
  isCallable: (value: object) => boolean;
  stub: (channel: Channel) => unknown;
  describe: (channel: Channel) => WireRef;
  find: (described: WireRef) => Channel;
} = {
  of: () => undefined,
  isCallable: () => false,
  stub: () => undefined,
  describe: () => [0],
  find: () => undefined as never,
};

export class ChannelRef implements Ref {
  readonly #channel: Channel;

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  make(): unknown {
    return channels.stub(this.#channel);
  }

  toWire(): WireRef {
    return [RefKind.channel, channels.describe(this.#channel)];
  }

  discard(): void {}
}

// ------------------------------------------------------------------------------------------------ streams

export function takeReadable(stream: ReadableStream, frame: Frame): BodyRef {
  if (stream.locked) throw new TypeError('The ReadableStream has been locked to a reader.');
  return new BodyRef(takeState(stateFromStream(stream)), frame);
}

// A body that belongs to `frame` until it is made or sent; without one it has come from another isolate.
export class BodyRef implements Ref {
  readonly #data: BodyData | null;
  readonly #frame: Frame | undefined;

  constructor(data: BodyData | null, frame: Frame | undefined) {
    this.#data = data;
    this.#frame = frame;
  }

  data(): BodyData | null {
    return this.#frame === undefined ? this.#data : localBody(this.#data, this.#frame);
  }

  make(): unknown {
    return bodyStream(stateFromData(this.data())!);
  }

  message(): BodyMessage {
    return lendBody(this.#data, this.#frame ?? relayFrame);
  }

  toWire(): WireRef {
    return [RefKind.readable, this.message()];
  }

  discard(): void {
    const data = this.#data;
    if (data !== null && typeof data === 'object' && 'cancel' in data) {
      data.cancel(new Error('ReadableStream received over RPC disconnected prematurely.'));
    }
  }
}

const kWriterGone = 'WritableStream received over RPC was disconnected because the remote execution context has ended.';

// The sender's side of a WritableStream: the receiver calls it.
class WriterTarget extends RpcTarget {
  readonly #writer: WritableStreamDefaultWriter;
  #ended = false;

  constructor(stream: WritableStream) {
    super();
    this.#writer = webStreams().getWriter(stream);
  }

  write(chunk: Uint8Array): Promise<void> {
    return webStreams().write(this.#writer, chunk);
  }

  close(): Promise<void> {
    this.#ended = true;
    return webStreams().closeWriter(this.#writer);
  }

  abort(reason: unknown): Promise<void> {
    this.#ended = true;
    return webStreams().abortWriter(this.#writer, reason);
  }

  [Symbol.dispose](): Promise<void> | undefined {
    return this.#ended ? undefined : this.abort(new Error(kWriterGone));
  }
}

const disposeWriter = WriterTarget.prototype[Symbol.dispose];

export function takeWritable(stream: WritableStream, frame: Frame): WritableRef {
  if (stream.locked) throw new TypeError('The WritableStream has been locked to a writer.');
  const target = new WriterTarget(stream);
  return new WritableRef(new Exported(target, frame, { own: false, holds: true, dispose: disposeWriter }));
}

function writableOver(handler: StubHandler): WritableStream {
  const { WritableStream } = webStreams();
  const done = <T>(result: Promise<T>): Promise<T> =>
    promiseThen(
      result,
      (value) => {
        handler.dispose();
        return value;
      },
      (error) => {
        handler.dispose();
        throw error;
      },
    );
  return new WritableStream({
    write(chunk: unknown): Promise<void> {
      if (!(chunk instanceof NativeUint8Array) && !ArrayBuffer.isView(chunk) && !(chunk instanceof ArrayBuffer)) {
        throw new TypeError('This WritableStream only supports writing byte types.');
      }
      const bytes = ArrayBuffer.isView(chunk)
        ? new NativeUint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)
        : new NativeUint8Array(chunk);
      return callPlainly(handler, ['write'], [bytes]) as Promise<void>;
    },
    close: () => done(callPlainly(handler, ['close'], []) as Promise<void>),
    abort: (reason: unknown) => done(callPlainly(handler, ['abort'], [reason]) as Promise<void>),
  });
}

export class WritableRef implements Ref {
  readonly #target: Target;

  constructor(target: Target) {
    this.#target = target;
  }

  // Not in the group: a stream is closed, not disposed. It ends with its context.
  make(frame: Frame, _group: Group, holds: boolean): unknown {
    return writableOver(makeRpcStub(this.#target, frame.context, holds).handler);
  }

  toWire(address: number, sent: number[]): WireRef {
    const id = exportTo(address, passOn(this.#target));
    arrayPush(sent, id);
    return [RefKind.writable, id];
  }

  discard(): void {
    this.#target.release();
  }
}

// ------------------------------------------------------------------------------------------------ the rest

export class HeadersRef implements Ref {
  readonly #flat: string[];

  constructor(flat: string[]) {
    this.#flat = flat;
  }

  static of(headers: Headers): HeadersRef {
    return new HeadersRef(arraySlice(flatHeaders(headers)));
  }

  make(): unknown {
    return headersFromFlat(this.#flat, false);
  }

  toWire(): WireRef {
    return [RefKind.headers, this.#flat];
  }

  discard(): void {}
}

type RequestHead = [method: string, url: string, flat: string[], cf: unknown, redirect: 'follow' | 'manual'];

export class RequestRef implements Ref {
  readonly #head: RequestHead;
  readonly #body: BodyRef;

  constructor(head: RequestHead, body: BodyRef) {
    this.#head = head;
    this.#body = body;
  }

  static of(request: Request, frame: Frame): RequestRef {
    const { method, url, cf, redirect } = requestState(request);
    const head: RequestHead = [method, url, arraySlice(requestFlatHeaders(request)), cf, redirect];
    return new RequestRef(head, new BodyRef(takeBody(request), frame));
  }

  make(): unknown {
    const [method, url, flat, cf, redirect] = this.#head;
    const body = stateFromData(this.#body.data());
    return makeIncomingRequest({ method, url, flat, body, cf, redirect, abortable: false });
  }

  toWire(): WireRef {
    return [RefKind.request, this.#head, this.#body.message()];
  }

  discard(): void {
    this.#body.discard();
  }
}

type ResponseHead = [
  status: number, statusText: string, flat: string[], url: string, redirected: boolean, cf: unknown, manualEncoding: boolean,
];

export class ResponseRef implements Ref {
  readonly #head: ResponseHead;
  readonly #body: BodyRef;

  constructor(head: ResponseHead, body: BodyRef) {
    this.#head = head;
    this.#body = body;
  }

  static of(response: Response, frame: Frame): ResponseRef {
    const state = responseState(response);
    if (state.webSocket !== null) {
      throw cloneError('Could not serialize object of type "WebSocket". This type does not support serialization.');
    }
    const flat = arraySlice(responseFlatHeaders(response));
    const { status, statusText, url, redirected, cf, manualEncoding } = state;
    return new ResponseRef([status, statusText, flat, url, redirected, cf, manualEncoding], new BodyRef(takeBody(response), frame));
  }

  make(): unknown {
    const [status, statusText, flat, url, redirected, cf, manualEncoding] = this.#head;
    const body = stateFromData(this.#body.data());
    const response = makeReceivedResponse({ status, statusText, flat, body, url, redirected, webSocket: null, cf });
    responseState(response).manualEncoding = manualEncoding;
    return response;
  }

  toWire(): WireRef {
    return [RefKind.response, this.#head, this.#body.message()];
  }

  discard(): void {
    this.#body.discard();
  }
}

export class ErrorRef implements Ref {
  readonly #data: ErrorData;

  constructor(data: ErrorData) {
    this.#data = data;
  }

  make(): unknown {
    return errorFromData(this.#data, false);
  }

  toWire(): WireRef {
    return [RefKind.error, this.#data];
  }

  discard(): void {}
}

// Immutable: within this isolate it is shared.
export class BlobRef implements Ref {
  readonly #blob: Blob;

  constructor(blob: Blob) {
    this.#blob = blob;
  }

  make(): unknown {
    const { Blob } = nodeBlob();
    return new Blob([this.#blob], { type: this.#blob.type });
  }

  toWire(): WireRef {
    throw cloneError('Could not serialize object of type "Blob". This type does not support serialization.');
  }

  discard(): void {}
}

// ------------------------------------------------------------------------------------------------ from another isolate

export function refFromWire(wire: WireRef, from: number): Ref {
  const [kind, first, second] = wire;
  switch (kind) {
    case RefKind.stub:
      return new StubRef(new Imported(from, first as number));
    case RefKind.channel:
      return new ChannelRef(channels.find(first as WireRef));
    case RefKind.readable:
      return new BodyRef(borrowBody(first as BodyMessage, from), undefined);
    case RefKind.writable:
      return new WritableRef(new Imported(from, first as number));
    case RefKind.headers:
      return new HeadersRef(first as string[]);
    case RefKind.request:
      return new RequestRef(first as RequestHead, new BodyRef(borrowBody(second as BodyMessage, from), undefined));
    case RefKind.response:
      return new ResponseRef(first as ResponseHead, new BodyRef(borrowBody(second as BodyMessage, from), undefined));
    default:
      return new ErrorRef(first as ErrorData);
  }
}

// The message with this reference could not be sent.
export function unsend(wire: WireRef): void {
  switch (wire[0]) {
    case RefKind.stub:
    case RefKind.writable:
      unexport(wire[1] as number);
      break;
    case RefKind.readable:
      unlendBody(wire[1] as BodyMessage);
      break;
    case RefKind.request:
    case RefKind.response:
      unlendBody(wire[2] as BodyMessage);
      break;
  }
}

