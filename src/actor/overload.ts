// An object that cannot keep up refuses calls instead of taking all memory: by their number, by the bytes they
// carry, and by how long they have waited for it. Cloudflare says the same texts, not its limits.

import { type ErrorData, errorToData, failure } from '../web/errors.ts';
import { NativeArrayBuffer, SafeSet, isView, objectKeys } from '../web/primordials.ts';
import { everySecond, second, startTicking } from './ticker.ts';

// Calls that have arrived and not begun.
export const kQueuedCallsMax = 16_384;
// Calls of one moment that wait for nothing but their turn are weighed only beyond so many.
export const kUnweighedCallsMax = 128;
const kQueuedBytesMax = 64 * 1024 * 1024;
const kQueuedSecondsMax = 30;
// So deep and no further is looked into arguments, so many of their parts at most.
const kDepthMax = 4;
const kPartsMax = 1000;

function overloaded(why: string): ErrorData {
  return errorToData(failure(`Durable Object is overloaded. ${why}`, { overloaded: true }));
}

export function tooManyCalls(): ErrorData {
  return overloaded('Too many requests queued.');
}

// About the bytes of a value, from below.
export function weigh(value: unknown): number {
  let parts = 0;
  const look = (part: unknown, depth: number): number => {
    if (typeof part === 'string') return part.length;
    if (typeof part !== 'object' || part === null || ++parts > kPartsMax) return 8;
    if (isView(part) || part instanceof NativeArrayBuffer) return (part as ArrayBuffer).byteLength;
    let bytes = 16;
    if (depth === kDepthMax) return bytes;
    const keys = objectKeys(part);
    for (let i = 0; i < keys.length && parts < kPartsMax; i++) {
      bytes += look((part as Record<string, unknown>)[keys[i]!], depth + 1);
    }
    return bytes;
  };
  return look(value, 0);
}

interface Waiting {
  readonly since: number;
  readonly bytes: number;
  fail(error: ErrorData): void;
}

const lines = new SafeSet<WaitingLine>();

function expire(): void {
  lines.forEach((line) => line.expire());
  if (lines.size === 0) everySecond.delete(expire);
}

// The calls of one object that wait, oldest first; most of them because its gate is locked.
export class WaitingLine {
  readonly #waiting = new SafeSet<Waiting>();
  #bytes = 0;

  // undefined: it waits, until `leave` or `fail`. Otherwise why it may not.
  enter(bytes: number, fail: (error: ErrorData) => void): Waiting | ErrorData {
    if (this.#bytes > 0 && this.#bytes + bytes > kQueuedBytesMax) return overloaded('Too much data queued.');
    const waiting = { since: second, bytes, fail };
    this.#bytes += bytes;
    this.#waiting.add(waiting);
    if (this.#waiting.size === 1) {
      lines.add(this);
      everySecond.add(expire);
      startTicking();
    }
    return waiting;
  }

  leave(waiting: Waiting): void {
    if (!this.#waiting.delete(waiting)) return;
    this.#bytes -= waiting.bytes;
    if (this.#waiting.size === 0) lines.delete(this);
  }

  // The object is gone.
  end(): void {
    this.#waiting.clear();
    lines.delete(this);
  }

  expire(): void {
    this.#waiting.forEach((waiting) => {
      if (second - waiting.since < kQueuedSecondsMax) return;
      this.leave(waiting);
      waiting.fail(overloaded('Requests queued for too long.'));
    });
  }
}

export function isRefusal(entered: Waiting | ErrorData): entered is ErrorData {
  return !('since' in entered);
}
