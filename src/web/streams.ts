// Streams that Workers add (IdentityTransformStream, FixedLengthStream) and those whose work Node does on other threads
// (CompressionStream, DecompressionStream). All are made on first use: Node's streams are costly to load.

import { type ByteSource, ioStreamSource, streamLengths, streamOfSource } from './body.ts';
import { nodeRequire } from './host.ts';
import { webStreams } from './host_modules.ts';
import { awaitIo } from './io.ts';
import {
  NativeArrayBuffer,
  NativeUint8Array,
  encodeUtf8,
  ignoreRejection,
  isView,
  promiseResolve,
  setTag,
  withResolvers,
} from './primordials.ts';

function chunkBytes(chunk: unknown, copy: boolean): Uint8Array {
  if (typeof chunk === 'string') return encodeUtf8(chunk);
  let bytes: Uint8Array;
  if (isView(chunk)) bytes = new NativeUint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  else if (chunk instanceof NativeArrayBuffer) bytes = new NativeUint8Array(chunk);
  else throw new TypeError('This TransformStream is being used as a byte stream, but received an object of non-ArrayBuffer/ArrayBufferView type on its writable side.');
  return copy ? new NativeUint8Array(bytes) : bytes;
}

// One chunk at a time from a writer to a reader: a write resolves when its chunk has been taken.
class Handover implements ByteSource {
  readonly length: number;
  #chunk: Uint8Array | null = null;
  #taken: PromiseWithResolvers<void> | undefined; // the writer waits
  #wanted: PromiseWithResolvers<Uint8Array | null> | undefined; // the reader waits
  #ended = false;
  #error: { reason: unknown } | undefined;
  #cancelled: { reason: unknown } | undefined;

  constructor(length: number) {
    this.length = length;
  }

  write(chunk: Uint8Array): Promise<void> {
    if (this.#cancelled !== undefined) return Promise.reject(this.#cancelled.reason as Error);
    if (chunk.byteLength === 0) return promiseResolve(undefined);
    if (this.#wanted !== undefined) {
      this.#wanted.resolve(chunk);
      this.#wanted = undefined;
      return promiseResolve(undefined);
    }
    this.#chunk = chunk;
    this.#taken = withResolvers<void>();
    return this.#taken.promise;
  }

  end(): void {
    this.#ended = true;
    this.#wanted?.resolve(null);
    this.#wanted = undefined;
  }

  fail(reason: unknown): void {
    this.#error = { reason };
    this.#wanted?.reject(reason);
    this.#wanted = undefined;
    this.#taken?.reject(reason);
    this.#taken = undefined;
  }

  read(): Promise<Uint8Array | null> {
    if (this.#error !== undefined) return Promise.reject(this.#error.reason as Error);
    if (this.#chunk !== null) {
      const chunk = this.#chunk;
      this.#chunk = null;
      this.#taken?.resolve();
      this.#taken = undefined;
      return promiseResolve(chunk);
    }
    if (this.#ended) return promiseResolve(null);
    this.#wanted = withResolvers<Uint8Array | null>();
    return this.#wanted.promise;
  }

  cancel(reason: unknown): void {
    this.#cancelled = { reason };
    this.#chunk = null;
    this.#taken?.reject(reason);
    this.#taken = undefined;
  }
}

interface Pair {
  readable: ReadableStream;
  writable: WritableStream;
}

function identityPair(length: number): Pair {
  const { WritableStream } = webStreams();
  const handover = new Handover(length);
  let rest = length;
  const writable = new WritableStream(
    {
      write(chunk: unknown, controller: WritableStreamDefaultController): Promise<void> | void {
        const bytes = chunkBytes(chunk, true);
        if (length >= 0) {
          if (bytes.byteLength > rest) {
            const error = new TypeError('Attempt to write too many bytes through a FixedLengthStream.');
            handover.fail(error);
            controller.error(error);
            return;
          }
          rest -= bytes.byteLength;
        }
        return handover.write(bytes);
      },
      close(): void {
        if (length >= 0 && rest > 0) {
          const error = new TypeError('FixedLengthStream did not see all expected bytes before close().');
          handover.fail(error);
          throw error;
        }
        handover.end();
      },
      abort(reason: unknown): void {
        handover.fail(reason);
      },
    },
    { highWaterMark: 1 },
  );
  const readable = streamOfSource(handover);
  if (length >= 0) streamLengths.set(readable, length);
  return { readable, writable };
}

// Node's transform, each chunk of which comes back into a turn.
function ioPair(inner: Pair): Pair {
  const { WritableStream, getWriter, write, closeWriter, abortWriter } = webStreams();
  const writer = getWriter(inner.writable);
  ignoreRejection(writer.closed as Promise<unknown>);
  return {
    readable: streamOfSource(ioStreamSource(inner.readable, -1)),
    writable: new WritableStream({
      write(chunk: unknown): Promise<void> {
        return awaitIo(write(writer, chunkBytes(chunk, true)));
      },
      close(): Promise<void> {
        return awaitIo(closeWriter(writer));
      },
      abort(reason: unknown): Promise<void> {
        return awaitIo(abortWriter(writer, reason));
      },
    }),
  };
}

function makeClasses() {
  const { TransformStream, module } = webStreams();

  class IdentityTransformStream extends TransformStream {
    #pair: Pair | undefined; // made on first look: FixedLengthStream has its own

    constructor(_options: { highWaterMark?: number } | undefined = undefined) {
      super();
    }

    override get readable(): ReadableStream {
      return (this.#pair ??= identityPair(-1)).readable;
    }

    override get writable(): WritableStream {
      return (this.#pair ??= identityPair(-1)).writable;
    }
  }
  setTag(IdentityTransformStream.prototype, 'IdentityTransformStream');

  class FixedLengthStream extends IdentityTransformStream {
    readonly #pair: Pair;

    constructor(length: number | bigint) {
      const bytes = Number(length);
      if (!Number.isSafeInteger(bytes) || bytes < 0) {
        throw new TypeError('FixedLengthStream requires an integer expected length less than 2^53.');
      }
      super();
      this.#pair = identityPair(bytes);
    }

    override get readable(): ReadableStream {
      return this.#pair.readable;
    }

    override get writable(): WritableStream {
      return this.#pair.writable;
    }
  }
  setTag(FixedLengthStream.prototype, 'FixedLengthStream');

  const checkFormat = (what: string, format: unknown): string => {
    const name = `${format as string}`;
    if (name !== 'deflate' && name !== 'deflate-raw' && name !== 'gzip') {
      throw new TypeError(`The ${what} format must be either 'deflate', 'deflate-raw' or 'gzip'.`);
    }
    return name;
  };

  class CompressionStream extends TransformStream {
    readonly #pair: Pair;

    constructor(format: string) {
      const name = checkFormat('compression', format);
      super();
      this.#pair = ioPair(new module.CompressionStream(name as 'gzip') as unknown as Pair);
    }

    override get readable(): ReadableStream {
      return this.#pair.readable;
    }

    override get writable(): WritableStream {
      return this.#pair.writable;
    }
  }
  setTag(CompressionStream.prototype, 'CompressionStream');

  class DecompressionStream extends TransformStream {
    readonly #pair: Pair;

    constructor(format: string) {
      const name = checkFormat('compression', format);
      super();
      this.#pair = ioPair(new module.DecompressionStream(name as 'gzip') as unknown as Pair);
    }

    override get readable(): ReadableStream {
      return this.#pair.readable;
    }

    override get writable(): WritableStream {
      return this.#pair.writable;
    }
  }
  setTag(DecompressionStream.prototype, 'DecompressionStream');

  return { IdentityTransformStream, FixedLengthStream, CompressionStream, DecompressionStream };
}

let classes: ReturnType<typeof makeClasses> | undefined;

export function streamClasses(): ReturnType<typeof makeClasses> {
  return (classes ??= makeClasses());
}

// node:stream/web as user code may see it.
export function webStreamsModule(): Record<string, unknown> {
  const { CompressionStream, DecompressionStream } = streamClasses();
  return { ...(nodeRequire('node:stream/web') as object), CompressionStream, DecompressionStream };
}
