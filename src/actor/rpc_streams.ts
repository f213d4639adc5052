// Streams, requests and responses that cross by RPC (spec 9.3): ownership moves, bytes are pulled by whoever reads them
// (bodies.ts), and what is written goes back to the sender's stream by calls.

import { type BodyData, type ByteSource, bodyStream, stateFromData, stateFromStream, takeBody, takeState } from '../web/body.ts';
import { failure } from '../web/errors.ts';
import { webStreams } from '../web/host_modules.ts';
import type { Frame } from '../web/io.ts';
import {
  NativeArrayBuffer,
  NativeUint8Array,
  arrayPush,
  arraySlice,
  encodeUtf8,
  ignoreRejection,
  isView,
  promiseThen,
} from '../web/primordials.ts';
import { type Request, makeIncomingRequest, requestFlatHeaders, requestState } from '../web/request.ts';
import { type Response, makeReceivedResponse, responseFlatHeaders, responseState } from '../web/response.ts';
import { type BodyMessage, borrowBody, lendBody, localBody, unlendBody } from './bodies.ts';
import { callPlainly } from './rpc_outgoing.ts';
import { type Ref, RefKind, type WireRef, passOn, streams } from './rpc_refs.ts';
import { type Group, type StubHandler, makeRpcStub } from './rpc_stub.ts';
import { Exported, Imported, type Target, exportTo, relayFrame, unexport } from './rpc_target.ts';
import { RpcTarget, cloneError } from './rpc_values.ts';

const kReaderLocked = 'The ReadableStream has been locked to a reader.';
const kWriterLocked = 'The WritableStream has been locked to a writer.';
const kPremature = 'ReadableStream received over RPC disconnected prematurely.';
const kWriterGone = 'WritableStream received over RPC was disconnected because the remote execution context has ended.';
const kNotBytes =
  'This TransformStream is being used as a byte stream, but received an object of non-ArrayBuffer/ArrayBufferView type on ' +
  'its writable side.';

// Texts count as UTF-8; undefined: it is nothing like bytes.
function bytesOf(chunk: unknown): Uint8Array | undefined {
  if (chunk instanceof NativeUint8Array) return chunk;
  if (typeof chunk === 'string') return encodeUtf8(chunk);
  if (isView(chunk)) return new NativeUint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  return chunk instanceof NativeArrayBuffer ? new NativeUint8Array(chunk) : undefined;
}

// ------------------------------------------------------------------------------------------------ to be read

// Chunks of a stream that user code made.
class UserStream implements ByteSource {
  readonly length = -1;
  readonly #reader: ReadableStreamDefaultReader;

  constructor(stream: ReadableStream) {
    this.#reader = webStreams().getReader(stream);
  }

  read(): Promise<Uint8Array | null> {
    return promiseThen(webStreams().read(this.#reader), (result): Uint8Array | null | Promise<Uint8Array | null> => {
      if (result.done) return null;
      const bytes = bytesOf(result.value);
      if (bytes === undefined) {
        this.cancel(new TypeError(kNotBytes));
        throw new TypeError(kNotBytes);
      }
      return bytes.byteLength === 0 ? this.read() : bytes;
    });
  }

  cancel(reason: unknown): void {
    ignoreRejection(webStreams().cancelReader(this.#reader, reason));
  }
}

// What the receiver learns of a failure: that there is no more.
class Received implements ByteSource {
  readonly length: number;
  readonly #source: ByteSource;

  constructor(source: ByteSource) {
    this.#source = source;
    this.length = source.length;
  }

  read(): Promise<Uint8Array | null> {
    return promiseThen(
      this.#source.read(),
      (chunk) => chunk,
      () => {
        throw new Error(kPremature);
      },
    );
  }

  cancel(reason: unknown): void {
    this.#source.cancel(reason);
  }
}

function isSource(data: BodyData | null): data is ByteSource {
  return data !== null && typeof data === 'object' && !(data instanceof NativeUint8Array);
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
    const data = this.#frame === undefined ? this.#data : localBody(this.#data, this.#frame);
    return isSource(data) ? new Received(data) : data;
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
    if (isSource(this.#data)) this.#data.cancel(new Error(kPremature));
  }
}

export function takeReadable(stream: ReadableStream, frame: Frame): BodyRef {
  const state = stateFromStream(stream);
  if (stream.locked || state.used) throw new TypeError(kReaderLocked);
  if (state.data !== undefined) return new BodyRef(takeState(state), frame);
  state.used = true;
  return new BodyRef(new UserStream(stream), frame);
}

function takeBodyOf(holder: Request | Response): BodyData | null {
  try {
    return takeBody(holder);
  } catch {
    throw new TypeError(kReaderLocked);
  }
}

// ------------------------------------------------------------------------------------------------ to be written

// The sender's side of a WritableStream: the receiver calls it.
class WriterTarget extends RpcTarget {
  readonly #writer: WritableStreamDefaultWriter;
  #ended = false;

  constructor(stream: WritableStream) {
    super();
    this.#writer = webStreams().getWriter(stream);
  }

  write(chunk: Uint8Array): Promise<void> {
    const whole = chunk.byteLength === chunk.buffer.byteLength;
    return webStreams().write(this.#writer, whole ? chunk.buffer : new NativeUint8Array(chunk).buffer);
  }

  close(): Promise<void> {
    this.#ended = true;
    return webStreams().closeWriter(this.#writer);
  }

  // Also without a word, when the receiver is gone.
  abort(): Promise<void> | undefined {
    if (this.#ended) return undefined;
    this.#ended = true;
    return webStreams().abortWriter(this.#writer, failure(kWriterGone, { retryable: true }));
  }
}

const abortWriter = WriterTarget.prototype.abort;

export function takeWritable(stream: WritableStream, frame: Frame): WritableRef {
  if (stream.locked) throw new TypeError(kWriterLocked);
  const target = new WriterTarget(stream);
  return new WritableRef(new Exported(target, frame, { own: false, holds: true, dispose: abortWriter }));
}

// How much may be on its way to the sender before a write waits.
const kWindowBytes = 64 * 1024;

class Sink implements UnderlyingSink {
  readonly #stub: StubHandler;
  #inFlight = 0;
  #room: PromiseWithResolvers<void> | undefined;
  #failure: { error: unknown } | undefined;

  constructor(stub: StubHandler) {
    this.#stub = stub;
  }

  write(chunk: unknown): Promise<void> | undefined {
    const bytes = bytesOf(chunk);
    if (bytes === undefined) throw new TypeError(kNotBytes);
    if (this.#failure !== undefined) throw this.#failure.error;
    if (bytes.byteLength === 0) return undefined;
    this.#inFlight += bytes.byteLength;
    const written = promiseThen(
      callPlainly(this.#stub, ['write'], [bytes]),
      () => {
        this.#inFlight -= bytes.byteLength;
        if (this.#inFlight >= kWindowBytes) return;
        this.#room?.resolve();
        this.#room = undefined;
      },
      (error) => {
        this.#failure = { error };
        this.#room?.reject(error);
        this.#room = undefined;
        throw error;
      },
    );
    ignoreRejection(written); // the next write or the end fails with it
    if (this.#inFlight < kWindowBytes) return undefined;
    return (this.#room ??= Promise.withResolvers<void>()).promise;
  }

  close(): Promise<void> {
    return this.#last(callPlainly(this.#stub, ['close'], []));
  }

  abort(): Promise<void> {
    return this.#last(callPlainly(this.#stub, ['abort'], []));
  }

  #last(call: Promise<unknown>): Promise<void> {
    return promiseThen(
      call,
      () => this.#stub.dispose(),
      (error) => {
        this.#stub.dispose();
        throw this.#failure?.error ?? error;
      },
    );
  }
}

export class WritableRef implements Ref {
  readonly #target: Target;

  constructor(target: Target) {
    this.#target = target;
  }

  // Not in the group: a stream is closed, not disposed. It ends with its context.
  make(frame: Frame, _group: Group, holds: boolean): unknown {
    const { WritableStream } = webStreams();
    return new WritableStream(new Sink(makeRpcStub(this.#target, frame.context, holds).handler));
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

// ------------------------------------------------------------------------------------------------ requests, responses

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
    return new RequestRef(head, new BodyRef(takeBodyOf(request), frame));
  }

  make(): unknown {
    const [method, url, flat, cf, redirect] = this.#head;
    const body = stateFromData(this.#body.data());
    const request = makeIncomingRequest({ method, url, flat, body, cf, redirect, abortable: false });
    requestState(request).immutable = false;
    return request;
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
    return new ResponseRef([status, statusText, flat, url, redirected, cf, manualEncoding], new BodyRef(takeBodyOf(response), frame));
  }

  make(): unknown {
    const [status, statusText, flat, url, redirected, cf, manualEncoding] = this.#head;
    const body = stateFromData(this.#body.data());
    const response = makeReceivedResponse({ status, statusText, flat, body, url, redirected, webSocket: null, cf });
    const state = responseState(response);
    state.manualEncoding = manualEncoding;
    state.immutable = false;
    return response;
  }

  toWire(): WireRef {
    return [RefKind.response, this.#head, this.#body.message()];
  }

  discard(): void {
    this.#body.discard();
  }
}

// ------------------------------------------------------------------------------------------------ from another isolate

streams.fromWire = ([kind, first, second], from) => {
  switch (kind) {
    case RefKind.readable:
      return new BodyRef(borrowBody(first as BodyMessage, from), undefined);
    case RefKind.writable:
      return new WritableRef(new Imported(from, first as number));
    case RefKind.request:
      return new RequestRef(first as RequestHead, new BodyRef(borrowBody(second as BodyMessage, from), undefined));
    default:
      return new ResponseRef(first as ResponseHead, new BodyRef(borrowBody(second as BodyMessage, from), undefined));
  }
};

streams.unsend = (wire) => {
  if (wire[0] === RefKind.writable) unexport(wire[1] as number);
  else if (wire[0] === RefKind.readable) unlendBody(wire[1] as BodyMessage);
  else if (wire[0] === RefKind.request || wire[0] === RefKind.response) unlendBody(wire[2] as BodyMessage);
};
