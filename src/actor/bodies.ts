// Bodies that cross from one context to another: within this isolate, or to another one in messages.
//
// The producer lends a source; the consumer pulls. Each chunk is read in a turn of the producer, waits for its output
// gate, and arrives in a turn of the consumer. Between isolates the consumer grants bytes in advance (a window), so that
// a long body does not wait for a message's way on every chunk.
//
//   consumer ── kCredit(id, bytes) ─► producer       producer ── kChunk(id, bytes) / kEnd / kStreamError ─► consumer
//            ── kCancel(id) ────────►

import type { BodyData, ByteSource } from '../web/body.ts';
import { type ErrorData, errorFromData, errorToData, failure } from '../web/errors.ts';
import { native } from '../web/host.ts';
import { type ContextResource, type Frame, type IoContext, addResource, currentFrame, removeResource } from '../web/io.ts';
import { NativePromise, NativeUint8Array, SafeMap, promiseReject, promiseResolve, promiseThen } from '../web/primordials.ts';
import { Instance } from './instance.ts';
import { MessageKind } from './messages.ts';

const kWindowBytes = 256 * 1024;

export function connectionLost(): Error {
  return failure('Network connection lost.', { retryable: true });
}

// Runs `run` once everything that `context` has written so far is durable: at once when it is. In order.
export function afterOutput(context: IoContext, run: () => void, fail: (error: unknown) => void): void {
  if (context instanceof Instance) context.output.after(run, fail);
  else run();
}

export function outputIsOpen(context: IoContext): boolean {
  return !(context instanceof Instance) || context.output.isOpen;
}

// A source that somebody else reads: keeps its context alive until it has been read or dropped.
class Lent implements ContextResource {
  readonly source: ByteSource;
  readonly frame: Frame;
  // The context has ended in the middle.
  onLost: (() => void) | undefined = undefined;
  #open = true;

  constructor(source: ByteSource, frame: Frame) {
    this.source = source;
    this.frame = frame;
    frame.context.hold();
    addResource(frame.context, this);
  }

  get isOpen(): boolean {
    return this.#open;
  }

  // Why it cannot be read to its end any more, for its reader.
  lostError(): Error {
    const reset = this.frame.context.resetError;
    return reset === undefined ? connectionLost() : (errorFromData(reset, true) as Error);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    removeResource(this.frame.context, this);
    this.frame.context.release();
  }

  // In a turn of the producer; `got` runs after the output gate.
  read(got: (chunk: Uint8Array | null) => void, failed: (error: unknown) => void): void {
    const { context, section } = this.frame;
    context.enter(section, () => {
      if (!this.#open) return;
      let reading: Promise<Uint8Array | null>;
      try {
        reading = this.source.read();
      } catch (error) {
        reading = promiseReject(error);
      }
      promiseThen(
        reading,
        (chunk) => {
          if (chunk === null) this.close();
          afterOutput(context, () => got(chunk), failed);
        },
        (error) => {
          this.close();
          afterOutput(context, () => failed(error), failed);
        },
      );
    });
  }

  cancel(reason: unknown): void {
    if (!this.#open) return;
    const { context, section } = this.frame;
    context.enter(section, () => {
      if (!this.#open) return;
      this.close();
      this.source.cancel(reason);
    });
  }

  stop(): void {
    this.#open = false;
    this.onLost?.();
  }
}

const dropped = new FinalizationRegistry<Lent>((lent) => lent.cancel(new Error('The stream was dropped by its reader.')));

// --- within this isolate

class LocalBody implements ByteSource {
  readonly length: number;
  readonly #lent: Lent;

  constructor(lent: Lent) {
    this.#lent = lent;
    this.length = lent.source.length;
    dropped.register(this, lent, lent);
  }

  read(): Promise<Uint8Array | null> {
    const lent = this.#lent;
    const { context, section } = currentFrame();
    if (!lent.isOpen) return promiseReject(lent.lostError());
    context.beginIo();
    return new NativePromise((resolve, reject) => {
      const back = (settle: () => void): void => {
        lent.onLost = undefined;
        context.enter(section, () => {
          context.endIo();
          settle();
        });
      };
      lent.onLost = () => back(() => reject(lent.lostError()));
      lent.read(
        (chunk) => back(() => resolve(chunk === null ? null : new NativeUint8Array(chunk))),
        (error) => back(() => reject(errorFromData(errorToData(error), true))),
      );
    });
  }

  cancel(reason: unknown): void {
    dropped.unregister(this.#lent);
    this.#lent.cancel(reason);
  }
}

// The body for a receiver in this isolate. Call it in the producer's turn.
export function localBody(data: BodyData | null, frame: Frame): BodyData | null {
  if (data === null || typeof data === 'string' || data instanceof NativeUint8Array) return data;
  return new LocalBody(new Lent(data, frame));
}

// --- to another isolate

// [] none, [data] whole, [id, length] a stream.
export type BodyMessage = [] | [string | Uint8Array] | [number, number];

class RemoteReader {
  readonly #lent: Lent;
  readonly #id: number;
  #credit = 0;
  #reading = false;
  address = 0; // of the consumer, known with its first credit

  constructor(lent: Lent, id: number) {
    this.#lent = lent;
    this.#id = id;
    lent.onLost = () => this.#fail(lent.lostError());
  }

  grant(address: number, bytes: number): void {
    this.address = address;
    this.#credit += bytes;
    this.#pull();
  }

  #pull(): void {
    if (this.#reading || this.#credit <= 0 || !lentBodies.has(this.#id)) return;
    this.#reading = true;
    this.#lent.read(
      (chunk) => {
        this.#reading = false;
        if (!lentBodies.has(this.#id)) return;
        if (chunk === null) {
          lentBodies.delete(this.#id);
          native.send(this.address, [MessageKind.end, this.#id]);
          return;
        }
        this.#credit -= chunk.byteLength;
        native.send(this.address, [MessageKind.chunk, this.#id, chunk]);
        this.#pull();
      },
      (error) => this.#fail(error),
    );
  }

  #fail(error: unknown): void {
    if (!lentBodies.delete(this.#id)) return;
    if (this.address !== 0) native.send(this.address, [MessageKind.streamError, this.#id, errorToData(error)]);
  }

  cancel(): void {
    lentBodies.delete(this.#id);
    this.#lent.cancel(new Error('The stream was cancelled by its reader.'));
  }
}

let nextBody = 1;
const lentBodies = new SafeMap<number, RemoteReader>();

export function lendBody(data: BodyData | null, frame: Frame): BodyMessage {
  if (data === null) return [];
  if (typeof data === 'string' || data instanceof NativeUint8Array) return [data];
  const id = nextBody++;
  lentBodies.set(id, new RemoteReader(new Lent(data, frame), id));
  return [id, data.length];
}

// The message with the body could not be sent.
export function unlendBody(body: BodyMessage): void {
  if (body.length === 2) lentBodies.get(body[0])?.cancel();
}

class BorrowedBody implements ByteSource {
  readonly length: number;
  readonly #stream: BorrowedStream;

  constructor(from: number, id: number, length: number) {
    this.length = length;
    this.#stream = new BorrowedStream(from, id);
    borrowed.set(`${from}:${id}`, this.#stream);
    unread.register(this, this.#stream, this.#stream);
  }

  read(): Promise<Uint8Array | null> {
    return this.#stream.read();
  }

  cancel(): void {
    unread.unregister(this.#stream);
    this.#stream.cancel();
  }
}

class BorrowedStream {
  readonly from: number;
  readonly #id: number;
  #chunks: Uint8Array[] = [];
  #end: { error: ErrorData | undefined } | undefined;
  #started = false;
  #waiter: { frame: Frame; resolve: (chunk: Uint8Array | null) => void; reject: (error: unknown) => void } | undefined;

  constructor(from: number, id: number) {
    this.from = from;
    this.#id = id;
  }

  read(): Promise<Uint8Array | null> {
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) {
      if (this.#end === undefined) native.send(this.from, [MessageKind.credit, this.#id, chunk.byteLength]);
      return promiseResolve(chunk);
    }
    if (this.#end !== undefined) {
      const { error } = this.#end;
      return error === undefined ? promiseResolve(null) : promiseReject(errorFromData(error, true));
    }
    const frame = currentFrame();
    frame.context.beginIo();
    if (!this.#started) {
      this.#started = true;
      native.send(this.from, [MessageKind.credit, this.#id, kWindowBytes]);
    }
    return new NativePromise((resolve, reject) => {
      this.#waiter = { frame, resolve, reject };
    });
  }

  arrived(chunk: Uint8Array | undefined, end: { error: ErrorData | undefined } | undefined): void {
    if (chunk !== undefined) this.#chunks.push(chunk);
    if (end !== undefined) {
      this.#end = end;
      borrowed.delete(`${this.from}:${this.#id}`);
    }
    const waiter = this.#waiter;
    if (waiter === undefined) return;
    this.#waiter = undefined;
    const { context, section } = waiter.frame;
    context.enter(section, () => {
      context.endIo();
      promiseThen(this.read(), waiter.resolve, waiter.reject);
    });
  }

  cancel(): void {
    if (this.#end !== undefined) return;
    this.#end = { error: undefined };
    borrowed.delete(`${this.from}:${this.#id}`);
    native.send(this.from, [MessageKind.cancel, this.#id]);
  }
}

const borrowed = new SafeMap<string, BorrowedStream>();
const unread = new FinalizationRegistry<BorrowedStream>((stream) => stream.cancel());

export function borrowBody(message: BodyMessage, from: number): BodyData | null {
  if (message.length === 0) return null;
  if (message.length === 1) return message[0];
  return new BorrowedBody(from, message[0], message[1]);
}

// A message about a stream. False: it is about something else.
export function bodyMessage(from: number, message: readonly unknown[]): boolean {
  const id = message[1] as number;
  switch (message[0]) {
    case MessageKind.credit: {
      const reader = lentBodies.get(id);
      if (reader !== undefined) reader.grant(from, message[2] as number);
      else native.send(from, [MessageKind.streamError, id, errorToData(connectionLost())]);
      return true;
    }
    case MessageKind.cancel:
      lentBodies.get(id)?.cancel();
      return true;
    case MessageKind.chunk:
      borrowed.get(`${from}:${id}`)?.arrived(message[2] as Uint8Array, undefined);
      return true;
    case MessageKind.end:
      borrowed.get(`${from}:${id}`)?.arrived(undefined, { error: undefined });
      return true;
    case MessageKind.streamError:
      borrowed.get(`${from}:${id}`)?.arrived(undefined, { error: message[2] as ErrorData });
      return true;
    default:
      return false;
  }
}

export function bodiesPeerGone(address: number): void {
  borrowed.forEach((stream) => {
    if (stream.from === address) stream.arrived(undefined, { error: errorToData(connectionLost()) });
  });
  lentBodies.forEach((reader) => {
    if (reader.address === address) reader.cancel();
  });
}
