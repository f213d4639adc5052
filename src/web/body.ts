// Bodies of requests and responses.
//
// A body is kept in the form it came in (text, bytes, a source of chunks, a stream of user code) and becomes a
// ReadableStream only when somebody asks for `.body`. `takeBody` is how everything that sends a body gets at it.
//
// 1. A body is used once: `used` is set by whoever takes it, and its stream, if there is one, is locked then.
// 2. A materialised stream of ours reads from `data`; while it has not been disturbed, `data` is still whole.
// 3. `data` bytes belong to the body alone unless `shared`: then they are copied before they are given away.

import { giveAttributes, moveAttributes } from './attributes.ts';
import { flag } from './compat.ts';
import { encodeForm, parseForm } from './forms.ts';
import { awaitIo } from './io.ts';
import {
  NativeArrayBuffer,
  NativeUint8Array,
  SafeWeakMap,
  decodeUtf8,
  decodeUtf8KeepBom,
  encodeUtf8,
  ignoreRejection,
  isView,
  jsonParse,
  makeEnumerable,
  promiseReject,
  promiseResolve,
  promiseThen,
  setTag,
  split,
  toLowerCase,
  trim,
} from './primordials.ts';
import { kIllegalInvocation } from './headers.ts';
import { nodeBlob, webStreams } from './host_modules.ts';

export interface ByteSource {
  // Bytes in all; -1: unknown.
  readonly length: number;
  // One chunk, never empty; null: the end. Not called again before it has settled, nor after the end. Settles in a turn
  // of the context that called.
  read(): Promise<Uint8Array | null>;
  // The rest is not wanted.
  cancel(reason: unknown): void;
}

export type BodyData = string | Uint8Array | ByteSource;

export type BodyInit =
  | string
  | ArrayBuffer
  | ArrayBufferView
  | Blob
  | FormData
  | URLSearchParams
  | ReadableStream
  | AsyncIterable<Uint8Array>
  | Iterable<Uint8Array>;

const kUsed = 'Body has already been used. It can only be used once. Use tee() first if you need to read it twice.';
const kLocked = 'This ReadableStream is currently locked to a reader.';
const kNotBytes = 'This ReadableStream did not return bytes.';

const stripsBom = flag('strip_bom_in_read_all_text');
const takesIterables = flag('fetch_iterable_type_support');

export class BodyState {
  data: BodyData | undefined; // undefined: there is only the stream
  stream: ReadableStream | undefined;
  used: boolean;
  shared: boolean;

  constructor(data: BodyData | undefined, stream: ReadableStream | undefined) {
    this.data = data;
    this.stream = stream;
    this.used = false;
    this.shared = false;
  }
}

// Streams that we made, or that are the body of something: `new Response(r.body, r)` shares r's body.
const stateOfStream = new SafeWeakMap<ReadableStream, BodyState>();
// FixedLengthStream says how long its readable side will be.
export const streamLengths = new SafeWeakMap<ReadableStream, number>();

export function isUsed(state: BodyState): boolean {
  return state.used || (state.stream !== undefined && webStreams().isDisturbed(state.stream));
}

// ------------------------------------------------------------------------------------------------ sources and streams

function toBytes(chunk: unknown): Uint8Array {
  if (chunk instanceof NativeUint8Array) return chunk;
  if (isView(chunk)) return new NativeUint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  if (chunk instanceof NativeArrayBuffer) return new NativeUint8Array(chunk);
  throw new TypeError(kNotBytes);
}

// Chunks of a stream that user code, or Node, made.
class StreamSource implements ByteSource {
  readonly length: number;
  #reader: ReadableStreamDefaultReader;

  constructor(stream: ReadableStream) {
    this.length = streamLengths.get(stream) ?? -1;
    this.#reader = webStreams().getReader(stream);
  }

  read(): Promise<Uint8Array | null> {
    return promiseThen(webStreams().read(this.#reader), (result): Uint8Array | null | Promise<Uint8Array | null> => {
      if (result.done) return null;
      let chunk: Uint8Array;
      try {
        chunk = toBytes(result.value);
      } catch (error) {
        this.cancel(error);
        throw error;
      }
      return chunk.byteLength === 0 ? this.read() : chunk;
    });
  }

  cancel(reason: unknown): void {
    ignoreRejection(webStreams().cancelReader(this.#reader, reason));
  }
}

// A stream of Node's own I/O: each chunk comes back into a turn.
class IoStreamSource implements ByteSource {
  readonly length: number;
  #reader: ReadableStreamDefaultReader;

  constructor(stream: ReadableStream, length: number) {
    this.length = length;
    this.#reader = webStreams().getReader(stream);
  }

  read(): Promise<Uint8Array | null> {
    return promiseThen(awaitIo(webStreams().read(this.#reader)), (result) => {
      if (result.done) return null;
      const chunk = toBytes(result.value);
      return chunk.byteLength === 0 ? this.read() : chunk;
    });
  }

  cancel(reason: unknown): void {
    ignoreRejection(webStreams().cancelReader(this.#reader, reason));
  }
}

export function ioStreamSource(stream: ReadableStream, length: number): ByteSource {
  return new IoStreamSource(stream, length);
}

// Bytes that are at hand, as a source.
export function bytesSource(bytes: Uint8Array): ByteSource {
  let rest: Uint8Array | null = bytes.byteLength === 0 ? null : bytes;
  return {
    length: bytes.byteLength,
    read(): Promise<Uint8Array | null> {
      const chunk = rest;
      rest = null;
      return promiseResolve(chunk);
    },
    cancel(): void {
      rest = null;
    },
  };
}

function ownBytes(state: BodyState): Uint8Array {
  const data = state.data;
  if (typeof data === 'string') return encodeUtf8(data);
  return state.shared ? new NativeUint8Array(data as Uint8Array) : (data as Uint8Array);
}

// A byte stream over a source. It reads nothing before it is read from.
export function streamOfSource(source: ByteSource): ReadableStream {
  const { ReadableStream } = webStreams();
  return new ReadableStream(
    {
      type: 'bytes',
      pull(controller: ReadableByteStreamController): Promise<void> {
        return promiseThen(source.read(), (chunk) => {
          if (chunk === null) {
            controller.close();
            // A BYOB read that waits learns of the end only so.
            controller.byobRequest?.respond(0);
            return;
          }
          // The stream takes the buffer over: it must not be a piece of a larger one.
          const whole = chunk.byteLength === chunk.buffer.byteLength;
          controller.enqueue((whole ? chunk : new NativeUint8Array(chunk)) as Uint8Array<ArrayBuffer>);
        });
      },
      cancel(reason: unknown): void {
        source.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

export function bodyStream(state: BodyState): ReadableStream {
  if (state.stream !== undefined) return state.stream;
  const data = state.data!;
  let stream: ReadableStream;
  if (state.used) {
    // Somebody has taken the body: what is left to see is a locked, finished stream.
    stream = streamOfSource(bytesSource(new NativeUint8Array(0)));
    webStreams().getReader(stream);
  } else if (typeof data === 'string' || data instanceof NativeUint8Array) {
    let source: ByteSource | undefined;
    const length = typeof data === 'string' ? -1 : data.byteLength;
    stream = streamOfSource({
      length,
      read: () => (source ??= bytesSource(ownBytes(state))).read(),
      cancel: () => {},
    });
  } else {
    stream = streamOfSource(data);
  }
  state.stream = stream;
  stateOfStream.set(stream, state);
  return stream;
}

// Takes the whole body: it is used afterwards. Throws TypeError when it is used or locked.
export function takeState(state: BodyState): BodyData {
  const stream = state.stream;
  if (state.used || (stream !== undefined && webStreams().isDisturbed(stream))) throw new TypeError(kUsed);
  if (stream === undefined) {
    state.used = true;
    return state.data!;
  }
  if (stream.locked) throw new TypeError(kLocked);
  state.used = true;
  if (state.data === undefined) return new StreamSource(stream);
  webStreams().getReader(stream); // locks it
  return state.data;
}

export function cloneState(state: BodyState): BodyState {
  if (isUsed(state) || state.stream?.locked === true) {
    throw new TypeError('This ReadableStream is currently locked to a reader,');
  }
  const data = state.data;
  if (typeof data === 'string') return new BodyState(data, undefined);
  if (data instanceof NativeUint8Array) {
    state.shared = true;
    const copy = new BodyState(data, undefined);
    copy.shared = true;
    return copy;
  }
  const stream = bodyStream(state);
  const length = data === undefined ? streamLengths.get(stream) : data.length;
  const [mine, theirs] = webStreams().tee(stream);
  state.stream = mine;
  state.data = undefined;
  stateOfStream.set(mine, state);
  const copy = new BodyState(undefined, theirs);
  stateOfStream.set(theirs, copy);
  if (length !== undefined && length >= 0) {
    streamLengths.set(mine, length);
    streamLengths.set(theirs, length);
  }
  return copy;
}

// ------------------------------------------------------------------------------------------------ making bodies

export interface Extracted {
  state: BodyState;
  contentType: string | null;
}

export function stateFromStream(stream: ReadableStream): BodyState {
  const known = stateOfStream.get(stream);
  if (known !== undefined) return known;
  const state = new BodyState(undefined, stream);
  stateOfStream.set(stream, state);
  return state;
}

// Body and content type of a `BodyInit` that is neither null nor undefined.
export function extractBody(init: unknown): Extracted {
  if (typeof init === 'string') return { state: new BodyState(init, undefined), contentType: 'text/plain;charset=UTF-8' };
  if (typeof init !== 'object') return extractBody(`${init as string}`);
  if (isView(init) || init instanceof NativeArrayBuffer) {
    // A copy: user code may go on writing.
    return { state: new BodyState(new NativeUint8Array(toBytes(init)), undefined), contentType: null };
  }
  const { ReadableStream } = webStreams();
  if (init instanceof ReadableStream) {
    const state = stateFromStream(init);
    if (isUsed(state)) throw new TypeError(kUsed);
    if (init.locked) throw new TypeError(kLocked);
    return { state, contentType: null };
  }
  if (init instanceof URLSearchParams) {
    const text = URLSearchParams.prototype.toString.call(init);
    return { state: new BodyState(text, undefined), contentType: 'application/x-www-form-urlencoded;charset=UTF-8' };
  }
  if (init instanceof nodeBlob().Blob) {
    const source = ioStreamSource(nodeBlob().stream(init), init.size);
    return { state: new BodyState(source, undefined), contentType: init.type === '' ? null : init.type };
  }
  if ((init as any)[Symbol.toStringTag] === 'FormData') {
    const { source, contentType } = encodeForm(init as FormData);
    return { state: new BodyState(source, undefined), contentType };
  }
  if (takesIterables && !(init instanceof String)) {
    const iterable = init as any;
    if (typeof iterable[Symbol.asyncIterator] === 'function' || typeof iterable[Symbol.iterator] === 'function') {
      return { state: stateFromStream(webStreams().from(iterable)), contentType: null };
    }
  }
  return extractBody(`${init as unknown as string}`);
}

// ------------------------------------------------------------------------------------------------ reading bodies

async function collect(source: ByteSource): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const chunk = await source.read();
    if (chunk === null) break;
    chunks[chunks.length] = chunk;
    length += chunk.byteLength;
  }
  if (chunks.length === 1 && chunks[0]!.byteLength === chunks[0]!.buffer.byteLength) return chunks[0]!;
  const all = new NativeUint8Array(length);
  let at = 0;
  for (let i = 0; i < chunks.length; i++) {
    all.set(chunks[i]!, at);
    at += chunks[i]!.byteLength;
  }
  return all;
}

function decodeText(bytes: Uint8Array): string {
  return stripsBom ? decodeUtf8(bytes) : decodeUtf8KeepBom(bytes);
}

function readText(state: BodyState | null): Promise<string> {
  if (state === null) return promiseResolve('');
  const data = takeState(state);
  if (typeof data === 'string') return promiseResolve(data);
  if (data instanceof NativeUint8Array) return promiseResolve(decodeText(data));
  return promiseThen(collect(data), decodeText);
}

function readBytes(state: BodyState | null): Promise<Uint8Array> {
  if (state === null) return promiseResolve(new NativeUint8Array(0));
  const data = takeState(state);
  if (typeof data === 'string') return promiseResolve(encodeUtf8(data));
  if (data instanceof NativeUint8Array) return promiseResolve(ownBytes(state));
  return collect(data);
}

const kMultipart = 'multipart/form-data';
const kUrlEncoded = 'application/x-www-form-urlencoded';

// Request and Response say how to find their content type.
export const kContentType: unique symbol = Symbol('contentType');

let stateOf: (body: Body) => BodyState | null;
let replaceState: (body: Body, state: BodyState | null) => void;
let hasState: (value: object) => value is Body;
const kInternal = Symbol('internal');

export abstract class Body {
  #state: BodyState | null;

  static {
    stateOf = (body) => body.#state;
    replaceState = (body, state) => {
      body.#state = state;
    };
    hasState = (value): value is Body => #state in value;
  }

  constructor(token: symbol) {
    if (token !== kInternal) throw new TypeError('Illegal constructor');
    this.#state = null;
    if (giveAttributes !== undefined) giveAttributes(this);
  }

  abstract [kContentType](): string | undefined;

  get body(): ReadableStream | null {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    return this.#state === null ? null : bodyStream(this.#state);
  }

  get bodyUsed(): boolean {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    return this.#state !== null && isUsed(this.#state);
  }

  text(): Promise<string> {
    try {
      if (!(#state in this)) throw new TypeError(kIllegalInvocation);
      return readText(this.#state);
    } catch (error) {
      return promiseReject(error);
    }
  }

  json(): Promise<unknown> {
    try {
      if (!(#state in this)) throw new TypeError(kIllegalInvocation);
      return promiseThen(readText(this.#state), (text) => jsonParse(text) as unknown);
    } catch (error) {
      return promiseReject(error);
    }
  }

  bytes(): Promise<Uint8Array> {
    try {
      if (!(#state in this)) throw new TypeError(kIllegalInvocation);
      return readBytes(this.#state);
    } catch (error) {
      return promiseReject(error);
    }
  }

  arrayBuffer(): Promise<ArrayBuffer> {
    try {
      if (!(#state in this)) throw new TypeError(kIllegalInvocation);
      return promiseThen(readBytes(this.#state), (bytes) => {
        const buffer = bytes.buffer as ArrayBuffer;
        return bytes.byteLength === buffer.byteLength ? buffer : (new NativeUint8Array(bytes).buffer as ArrayBuffer);
      });
    } catch (error) {
      return promiseReject(error);
    }
  }

  blob(): Promise<Blob> {
    try {
      if (!(#state in this)) throw new TypeError(kIllegalInvocation);
      const type = this[kContentType]() ?? '';
      const { Blob } = nodeBlob();
      return promiseThen(readBytes(this.#state), (bytes) => new Blob([bytes as Uint8Array<ArrayBuffer>], { type }));
    } catch (error) {
      return promiseReject(error);
    }
  }

  formData(): Promise<FormData> {
    try {
      if (!(#state in this)) throw new TypeError(kIllegalInvocation);
      const type = this[kContentType]();
      if (type === undefined) throw new TypeError('Parsing a Body as FormData requires a Content-Type header.');
      const essence = toLowerCase(trim(split(type, ';', 1)[0]!));
      if (essence !== kMultipart && essence !== kUrlEncoded) {
        throw new TypeError(
          'Unrecognized Content-Type header value. FormData can only parse the following MIME types: ' +
            `${kMultipart}, ${kUrlEncoded}`,
        );
      }
      return promiseThen(readBytes(this.#state), (bytes) => parseForm(bytes, type));
    } catch (error) {
      return promiseReject(error);
    }
  }
}

setTag(Body.prototype, 'Body');
makeEnumerable(Body.prototype, ['body', 'bodyUsed', 'arrayBuffer', 'bytes', 'text', 'json', 'formData', 'blob']);
moveAttributes(Body.prototype, ['body', 'bodyUsed']);

export const kBodyToken: symbol = kInternal;

export function bodyState(body: Body): BodyState | null {
  return stateOf(body);
}

export function setBodyState(body: Body, state: BodyState | null): void {
  replaceState(body, state);
}

export function isBody(value: object): value is Body {
  return hasState(value);
}

// Takes the body of a request or response over, in the form it has; null: there is none. The receiver owns the bytes,
// unless the body was cloned: never write to them. Throws TypeError when the body is used or locked.
export function takeBody(body: Body): BodyData | null {
  const state = stateOf(body);
  return state === null ? null : takeState(state);
}

// The same as a source of chunks, whatever form it has.
export function takeSource(body: Body): ByteSource | null {
  const data = takeBody(body);
  if (data === null) return null;
  if (typeof data === 'string') return bytesSource(encodeUtf8(data));
  return data instanceof NativeUint8Array ? bytesSource(data) : data;
}

export function stateFromData(data: BodyData | null): BodyState | null {
  return data === null ? null : new BodyState(data, undefined);
}

