// What a value may refer to and cannot be copied by structured clone (spec 9.3): each kind knows how to become itself
// again in another context of this isolate, and how to cross to another isolate.
//
// A reference on its way owns what it stands for: it is either made into something, sent, or discarded.

import { type ErrorData, errorFromData } from '../web/errors.ts';
import { type Headers, flatHeaders, headersFromFlat } from '../web/headers.ts';
import { nodeBlob } from '../web/host_modules.ts';
import type { Frame } from '../web/io.ts';
import { NativeUint8Array, arrayPush, arraySlice } from '../web/primordials.ts';
import type { Channel } from './rpc_outgoing.ts';
import { type Group, makeRpcStub } from './rpc_stub.ts';
import { Exported, Imported, type Target, exportTo, relayFrame, unexport } from './rpc_target.ts';
import { cloneError } from './rpc_values.ts';

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

// An error is made bare; its own properties, which may refer to more, are filled in by Packed.
export class ErrorRef implements Ref {
  readonly data: ErrorData;
  // Where in the packed root.
  properties: number;

  constructor(data: ErrorData, properties: number) {
    this.data = data;
    this.properties = properties;
  }

  make(): Error {
    return errorFromData(this.data, false);
  }

  toWire(): WireRef {
    return [RefKind.error, this.data, this.properties];
  }

  discard(): void {}
}

// Node has no synchronous way to the bytes of a Blob but this one: a reader of its handle calls back at once for what is
// in memory.
function blobBytes(blob: Blob): Uint8Array {
  const symbols = Object.getOwnPropertySymbols(blob);
  let reader: { pull(got: (status: number, buffer: ArrayBuffer | undefined) => void): void } | undefined;
  for (let i = 0; i < symbols.length; i++) {
    if (symbols[i]!.description === 'kHandle') reader = (blob as any)[symbols[i]!].getReader();
  }
  const bytes = new NativeUint8Array(blob.size);
  let at = 0;
  for (let more = reader !== undefined; more; ) {
    more = false;
    reader!.pull((status, buffer) => {
      if (buffer !== undefined) {
        bytes.set(new NativeUint8Array(buffer), at);
        at += buffer.byteLength;
      }
      more = status > 0;
    });
  }
  if (at !== bytes.byteLength) throw cloneError('The bytes of this Blob are not in memory.');
  return bytes;
}

export class BlobRef implements Ref {
  readonly #blob: Blob; // immutable: within this isolate it is shared

  constructor(blob: Blob) {
    this.#blob = blob;
  }

  make(): unknown {
    const { Blob } = nodeBlob();
    return new Blob([this.#blob], { type: this.#blob.type });
  }

  toWire(): WireRef {
    return [RefKind.blob, blobBytes(this.#blob), this.#blob.type];
  }

  discard(): void {}
}

// ------------------------------------------------------------------------------------------------ from another isolate

// Set by rpc_streams.ts: what has a body.
export const streams: { fromWire: (wire: WireRef, from: number) => Ref; unsend: (wire: WireRef) => void } = {
  fromWire: () => undefined as never,
  unsend: () => {},
};

export function refFromWire(wire: WireRef, from: number): Ref {
  const [kind, first, second] = wire;
  switch (kind) {
    case RefKind.stub:
      return new StubRef(new Imported(from, first as number));
    case RefKind.channel:
      return new ChannelRef(channels.find(first as WireRef));
    case RefKind.headers:
      return new HeadersRef(first as string[]);
    case RefKind.blob: {
      const { Blob } = nodeBlob();
      return new BlobRef(new Blob([first as Uint8Array<ArrayBuffer>], { type: second as string }));
    }
    case RefKind.error:
      return new ErrorRef(first as ErrorData, second as number);
    default:
      return streams.fromWire(wire, from);
  }
}

// The message with this reference could not be sent.
export function unsend(wire: WireRef): void {
  switch (wire[0]) {
    case RefKind.stub:
      unexport(wire[1] as number);
      break;
    default:
      streams.unsend(wire);
  }
}

