// crypto: Node's WebCrypto, whose results come back into a turn, and what Workers add to it.

import { nodeCrypto, webStreams } from './host_modules.ts';
import { awaitIo, currentFrame } from './io.ts';
import {
  NativeArrayBuffer,
  NativeUint8Array,
  SafeMap,
  defineProperty,
  encodeUtf8,
  getPrototypeOf,
  ignoreRejection,
  isView,
  promiseReject,
  promiseResolve,
  reflectApply,
  setTag,
  startsWith,
  toUpperCase,
  withResolvers,
} from './primordials.ts';

const NativeDOMException = DOMException;
const kRandomBytesMax = 65_536;
// Below this a digest on the spot is cheaper than a thread's.
const kInlineDigestBytesMax = 65_536;
const kNoDigest = 'Unrecognized or unimplemented digest algorithm requested.';

const digestNames = new SafeMap<string, string>([
  ['SHA-1', 'sha1'],
  ['SHA-256', 'sha256'],
  ['SHA-384', 'sha384'],
  ['SHA-512', 'sha512'],
  ['MD5', 'md5'],
]);

function digestName(algorithm: unknown): string {
  const given =
    typeof algorithm === 'object' && algorithm !== null ? (algorithm as { name: unknown }).name : algorithm;
  const name = digestNames.get(toUpperCase(`${given as string}`));
  if (name === undefined) throw new NativeDOMException(kNoDigest, 'NotSupportedError');
  return name;
}

function viewOf(data: unknown, what: string): Uint8Array {
  if (isView(data)) return new NativeUint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (data instanceof NativeArrayBuffer) return new NativeUint8Array(data);
  throw new TypeError(`${what} is not of type 'ArrayBuffer or ArrayBufferView'.`);
}

function isIntegerView(view: unknown): view is Uint8Array {
  if (!isView(view)) return false;
  const tag = (view as Uint8Array)[Symbol.toStringTag] as string | undefined;
  return tag !== undefined && !startsWith(tag, 'Float');
}

function replace(target: object, name: string, value: Function): void {
  defineProperty(value, 'name', { value: name, configurable: true });
  defineProperty(target, name, { value, writable: true, enumerable: true, configurable: true });
}

function patchSubtle(prototype: Record<string, Function>): void {
  const wrapped = [
    'encrypt', 'decrypt', 'sign', 'verify', 'digest', 'generateKey', 'deriveKey', 'deriveBits', 'importKey', 'exportKey',
    'wrapKey', 'unwrapKey', 'getPublicKey', 'encapsulateBits', 'encapsulateKey', 'decapsulateBits', 'decapsulateKey',
  ];
  for (const name of wrapped) {
    const original = prototype[name]!;
    replace(prototype, name, function (this: unknown, ...args: unknown[]): Promise<unknown> {
      try {
        currentFrame();
        return awaitIo(reflectApply(original, this, args) as Promise<unknown>);
      } catch (error) {
        return promiseReject(error);
      }
    });
  }
  const slowDigest = prototype['digest']!;
  replace(prototype, 'digest', function (this: unknown, algorithm: unknown, data: unknown): Promise<unknown> {
    try {
      const name = digestName(algorithm);
      const bytes = viewOf(data, "Failed to execute 'digest' on 'SubtleCrypto': parameter 2");
      if (name !== 'md5' && bytes.byteLength > kInlineDigestBytesMax) {
        return reflectApply(slowDigest, this, [algorithm, data]) as Promise<unknown>;
      }
      const hashed = nodeCrypto().createHash(name).update(bytes).digest();
      return promiseResolve(new NativeUint8Array(hashed).buffer);
    } catch (error) {
      return promiseReject(error);
    }
  });
  replace(prototype, 'timingSafeEqual', function (a: unknown, b: unknown): boolean {
    const left = viewOf(a, "Failed to execute 'timingSafeEqual' on 'SubtleCrypto': parameter 1");
    const right = viewOf(b, "Failed to execute 'timingSafeEqual' on 'SubtleCrypto': parameter 2");
    if (left.byteLength !== right.byteLength) throw new TypeError('Input buffers must have the same byte length.');
    return nodeCrypto().timingSafeEqual(left, right);
  });
}

function makeDigestStream() {
  const { WritableStream } = webStreams();
  return class DigestStream extends WritableStream {
    readonly #digest = withResolvers<ArrayBuffer>();
    readonly #count: { bytes: bigint };

    constructor(algorithm: string | { name: string }) {
      const hash = nodeCrypto().createHash(digestName(algorithm));
      const count = { bytes: 0n };
      super({
        write(chunk: unknown): void {
          const bytes = typeof chunk === 'string' ? encodeUtf8(chunk) : isBytes(chunk);
          count.bytes += BigInt(bytes.byteLength);
          hash.update(bytes);
        },
        close: () => this.#digest.resolve(new NativeUint8Array(hash.digest()).buffer as ArrayBuffer),
        abort: (reason: unknown) => this.#digest.reject(reason),
      });
      this.#count = count;
      ignoreRejection(this.#digest.promise);
    }

    get digest(): Promise<ArrayBuffer> {
      return this.#digest.promise;
    }

    get bytesWritten(): bigint {
      return this.#count.bytes;
    }
  };
}

function isBytes(chunk: unknown): Uint8Array {
  if (isView(chunk)) return new NativeUint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  if (chunk instanceof NativeArrayBuffer) return new NativeUint8Array(chunk);
  throw new TypeError('DigestStream is a byte stream but received an object of non-ArrayBuffer/ArrayBufferView/string type on its writable side.');
}

export interface CryptoGlobals {
  crypto: Crypto;
  Crypto: Function;
  SubtleCrypto: Function;
}

let made: CryptoGlobals | undefined;

// Node's crypto with our methods. Loaded on first use.
export function cryptoGlobals(): CryptoGlobals {
  if (made !== undefined) return made;
  const webcrypto = nodeCrypto().webcrypto as unknown as Crypto;
  const prototype = getPrototypeOf(webcrypto);
  const { randomUUID, getRandomValues } = prototype;
  patchSubtle(getPrototypeOf(webcrypto.subtle));
  replace(prototype, 'getRandomValues', function <T>(array: T): T {
    if (!isIntegerView(array)) {
      throw new NativeDOMException(
        'ArrayBufferView argument to getRandomValues() must be an integer-typed view.',
        'TypeMismatchError',
      );
    }
    const size = (array as unknown as Uint8Array).byteLength;
    if (size > kRandomBytesMax) {
      throw new NativeDOMException(
        `getRandomValues() only accepts buffers of size <= 64K but provided ${size} bytes.`,
        'QuotaExceededError',
      );
    }
    currentFrame();
    return reflectApply(getRandomValues, webcrypto, [array]) as T;
  });
  replace(prototype, 'randomUUID', function (): string {
    currentFrame();
    return reflectApply(randomUUID, webcrypto, []) as string;
  });
  let DigestStream: ReturnType<typeof makeDigestStream> | undefined;
  defineProperty(prototype, 'DigestStream', {
    get: () => (DigestStream ??= makeDigestStream()),
    enumerable: true,
    configurable: true,
  });
  made = {
    crypto: webcrypto,
    Crypto: prototype.constructor,
    SubtleCrypto: getPrototypeOf(webcrypto.subtle).constructor,
  };
  setTag(prototype, 'Crypto');
  return made;
}
