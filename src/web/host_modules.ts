// Modules of Node that the runtime uses and that cost something to load: loaded on first use, their methods captured
// before user code can have patched them (globals.ts makes user code's own first look go through here).

import { nodeRequire } from './host.ts';
import { uncurryThis } from './primordials.ts';

type WebStreams = typeof import('node:stream/web');

export interface CapturedStreams {
  readonly module: WebStreams;
  readonly ReadableStream: typeof globalThis.ReadableStream;
  readonly WritableStream: typeof globalThis.WritableStream;
  readonly TransformStream: typeof globalThis.TransformStream;
  from(iterable: unknown): ReadableStream;
  getReader(stream: ReadableStream): ReadableStreamDefaultReader;
  read(reader: ReadableStreamDefaultReader): Promise<ReadableStreamReadResult<unknown>>;
  cancelReader(reader: ReadableStreamDefaultReader, reason: unknown): Promise<void>;
  tee(stream: ReadableStream): [ReadableStream, ReadableStream];
  getWriter(stream: WritableStream): WritableStreamDefaultWriter;
  write(writer: WritableStreamDefaultWriter, chunk: unknown): Promise<void>;
  closeWriter(writer: WritableStreamDefaultWriter): Promise<void>;
  abortWriter(writer: WritableStreamDefaultWriter, reason: unknown): Promise<void>;
  isDisturbed(stream: ReadableStream): boolean;
}

let streams: CapturedStreams | undefined;

function captureStreams(): CapturedStreams {
  const module = nodeRequire('node:stream/web') as WebStreams;
  const { isDisturbed } = nodeRequire('node:stream') as { isDisturbed: (stream: ReadableStream) => boolean };
  const { ReadableStream, WritableStream, TransformStream } = module as unknown as typeof globalThis;
  const reader = module.ReadableStreamDefaultReader.prototype;
  const writer = module.WritableStreamDefaultWriter.prototype;
  return {
    module,
    ReadableStream,
    WritableStream,
    TransformStream,
    from: (ReadableStream as any).from.bind(ReadableStream),
    getReader: uncurryThis(ReadableStream.prototype.getReader as any) as any,
    read: uncurryThis(reader.read as any) as any,
    cancelReader: uncurryThis(reader.cancel as any) as any,
    tee: uncurryThis(ReadableStream.prototype.tee as any) as any,
    getWriter: uncurryThis(WritableStream.prototype.getWriter as any) as any,
    write: uncurryThis(writer.write as any) as any,
    closeWriter: uncurryThis(writer.close as any) as any,
    abortWriter: uncurryThis(writer.abort as any) as any,
    isDisturbed,
  };
}

export function webStreams(): CapturedStreams {
  return (streams ??= captureStreams());
}

export interface CapturedBlob {
  readonly Blob: typeof globalThis.Blob;
  readonly File: typeof globalThis.File;
  stream(blob: Blob): ReadableStream;
  arrayBuffer(blob: Blob): Promise<ArrayBuffer>;
}

let blob: CapturedBlob | undefined;

export function nodeBlob(): CapturedBlob {
  if (blob !== undefined) return blob;
  const { Blob, File } = nodeRequire('node:buffer') as typeof globalThis;
  blob = {
    Blob,
    File,
    stream: uncurryThis(Blob.prototype.stream as any) as any,
    arrayBuffer: uncurryThis(Blob.prototype.arrayBuffer as any) as any,
  };
  return blob;
}

// Node's fetch, which loads its HTTP client on the first call.
export const hostFetch: (url: string, init: object) => Promise<globalThis.Response> = globalThis.fetch as never;

type NodeHttp = typeof import('node:http');
// The modules that make requests, for handshakes of outgoing sockets.
export function nodeHttp(): NodeHttp {
  return nodeRequire('node:http') as NodeHttp;
}
export function nodeHttps(): Pick<NodeHttp, 'request'> {
  return nodeRequire('node:https') as Pick<NodeHttp, 'request'>;
}

export function nodeStream(): typeof import('node:stream') {
  return nodeRequire('node:stream') as typeof import('node:stream');
}

type NodeZlib = typeof import('node:zlib');
let zlib: Pick<NodeZlib, 'inflateRawSync' | 'deflateRawSync' | 'constants'> | undefined;
export function nodeZlib(): NonNullable<typeof zlib> {
  if (zlib === undefined) {
    const { inflateRawSync, deflateRawSync, constants } = nodeRequire('node:zlib') as NodeZlib;
    zlib = { inflateRawSync, deflateRawSync, constants };
  }
  return zlib;
}

const { hrtime } = nodeRequire('node:process') as NodeJS.Process;
// Milliseconds of a clock that only goes forward. (`performance` costs a millisecond to load.)
export function monotonicMs(): number {
  const time = hrtime();
  return time[0] * 1000 + time[1] / 1e6;
}

type NodeCrypto = typeof import('node:crypto');
let crypto: NodeCrypto | undefined;
export function nodeCrypto(): NodeCrypto {
  return (crypto ??= nodeRequire('node:crypto') as NodeCrypto);
}
