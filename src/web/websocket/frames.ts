// WebSocket frames as a client reads and writes them (RFC 6455 section 5, RFC 7692 without context takeover). The
// server's side is C++ (net/websocket_frame.h); a client's connection is Node's, with its TLS, so its bytes are here.

import { nodeCrypto, nodeZlib } from '../host_modules.ts';
import { NativeArrayBuffer, NativeUint8Array, arrayPush, encodeUtf8, uncurryThis } from '../primordials.ts';

export const kMessageBytesMax = 32 * 1024 * 1024;
export const kNoStatus = 1005;
// Shorter messages are not worth deflating.
const kDeflateBytesMin = 1024;

const kContinuation = 0;
const kText = 1;
const kBinary = 2;
const kClose = 8;
const kPing = 9;
const kPong = 10;
const kDeflated = 0x40; // RSV1

type Bytes = Uint8Array<ArrayBuffer>;

const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const decodeStrict = uncurryThis(TextDecoder.prototype.decode as any) as (decoder: TextDecoder, bytes: Uint8Array) => string;
const setBytes = uncurryThis(Uint8Array.prototype.set as any) as (to: Uint8Array, from: Uint8Array, at: number) => void;
const part = uncurryThis(Uint8Array.prototype.subarray as any) as (of: Uint8Array, from: number, to?: number) => Bytes;

// What the peer did against the protocol; `code` goes out in our Close frame.
export class ProtocolError extends Error {
  readonly code: number;
  readonly description: string;
  constructor(code: number, description: string) {
    super(`WebSocket protocol error; protocolError.statusCode = ${code}; protocolError.description = ${description}`);
    this.code = code;
    this.description = description;
  }
}
Object.defineProperty(ProtocolError.prototype, 'name', { value: 'Error' });

export interface FrameEvents {
  message(data: string | ArrayBuffer): void;
  close(code: number, reason: string): void;
  ping(payload: Uint8Array): void;
}

function isCloseCode(code: number): boolean {
  return (code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006) || (code >= 3000 && code <= 4999);
}

function textOf(bytes: Uint8Array): string {
  try {
    return decodeStrict(strictDecoder, bytes);
  } catch {
    throw new ProtocolError(1007, 'Received text that is not valid UTF-8');
  }
}

function join(parts: Uint8Array[], bytes: number): Bytes {
  const whole = new NativeUint8Array(bytes);
  for (let i = 0, at = 0; i < parts.length; i++) {
    setBytes(whole, parts[i]!, at);
    at += parts[i]!.byteLength;
  }
  return whole;
}

// Bytes from the server into events. `read` throws ProtocolError; nothing may be read after that, or after a close.
export class FrameReader {
  readonly #events: FrameEvents;
  readonly #inflates: boolean;
  #head: Uint8Array = new NativeUint8Array(0); // less than a frame's header, or than a control frame
  #opcode = kContinuation; // of the message under way; kContinuation: none
  #isDeflated = false;
  #isFinal = false;
  #left = 0; // of the payload of the frame under way
  #inFrame = false;
  #whole: Bytes | undefined; // of a message in one frame, which is filled as it comes
  #parts: Uint8Array[] = []; // of a message in several
  #bytes = 0;
  #closed = false;

  constructor(events: FrameEvents, inflates: boolean) {
    this.#events = events;
    this.#inflates = inflates;
  }

  read(chunk: Uint8Array): void {
    let input = chunk;
    if (this.#head.byteLength > 0) {
      input = join([this.#head, chunk], this.#head.byteLength + chunk.byteLength);
      this.#head = new NativeUint8Array(0);
    }
    while (!this.#closed && input.byteLength > 0) {
      if (this.#inFrame) {
        const count = Math.min(this.#left, input.byteLength);
        const bytes = part(input, 0, count);
        if (this.#whole !== undefined) setBytes(this.#whole, bytes, this.#bytes - this.#left);
        else arrayPush(this.#parts, new NativeUint8Array(bytes)); // a copy: it may be a slice of a much larger buffer
        this.#left -= count;
        input = part(input, count);
        if (this.#left === 0) this.#endFrame();
        continue;
      }
      const used = this.#beginFrame(input);
      if (used === 0) {
        this.#head = new NativeUint8Array(input);
        return;
      }
      input = part(input, used);
    }
  }

  // How many bytes the header (of a control frame: the frame) took; 0: there are not enough yet.
  #beginFrame(input: Uint8Array): number {
    if (input.byteLength < 2) return 0;
    const first = input[0]!;
    const second = input[1]!;
    const opcode = first & 0x0f;
    const isFinal = (first & 0x80) !== 0;
    const isDeflated = (first & kDeflated) !== 0;
    if ((first & 0x30) !== 0) throw new ProtocolError(1002, 'Received frame had RSV bits 2 or 3 set');
    if (isDeflated && !this.#inflates) throw new ProtocolError(1002, 'Received frame had RSV bit 1 set without compression');
    if ((second & 0x80) !== 0) throw new ProtocolError(1002, 'Received frame was masked');
    let length = second & 0x7f;
    if (opcode >= kClose) return this.#control(input, opcode, length, isFinal && !isDeflated);
    if (opcode > kBinary) throw new ProtocolError(1002, `Unknown opcode ${opcode}`);
    let header = 2;
    if (length === 126) {
      if (input.byteLength < 4) return 0;
      length = input[2]! * 256 + input[3]!;
      header = 4;
    } else if (length === 127) {
      if (input.byteLength < 10) return 0;
      length = 0;
      for (let i = 2; i < 10; i++) length = length * 256 + input[i]!;
      header = 10;
    }
    if ((opcode === kContinuation) !== (this.#opcode !== kContinuation)) {
      throw new ProtocolError(1002, opcode === kContinuation ? 'Unexpected continuation frame' : 'Missing continuation frame');
    }
    if (this.#bytes + length > kMessageBytesMax) throw new ProtocolError(1009, 'Message is too large');
    if (opcode !== kContinuation) {
      this.#opcode = opcode;
      this.#isDeflated = isDeflated;
    } else if (isDeflated) {
      throw new ProtocolError(1002, 'Received continuation frame had RSV bit 1 set');
    }
    this.#isFinal = isFinal;
    this.#bytes += length;
    this.#left = length;
    this.#inFrame = true;
    if (isFinal && opcode !== kContinuation) this.#whole = new NativeUint8Array(length);
    if (length === 0) this.#endFrame();
    return header;
  }

  #endFrame(): void {
    this.#inFrame = false;
    if (!this.#isFinal) return;
    let bytes = this.#whole ?? join(this.#parts, this.#bytes);
    this.#whole = undefined;
    const isText = this.#opcode === kText;
    const isDeflated = this.#isDeflated;
    this.#parts = [];
    this.#bytes = 0;
    this.#opcode = kContinuation;
    if (isDeflated) bytes = inflate(bytes);
    this.#events.message(isText ? textOf(bytes) : (bytes.buffer as ArrayBuffer));
  }

  #control(input: Uint8Array, opcode: number, length: number, isValid: boolean): number {
    if (opcode > kPong) throw new ProtocolError(1002, `Unknown opcode ${opcode}`);
    if (!isValid) throw new ProtocolError(1002, 'Received fragmented control frame');
    if (length > 125) throw new ProtocolError(1002, 'Received control frame with too long a payload');
    if (input.byteLength < 2 + length) return 0;
    const payload = part(input, 2, 2 + length);
    if (opcode === kPing) this.#events.ping(payload);
    else if (opcode === kClose) this.#close(payload);
    return 2 + length;
  }

  #close(payload: Uint8Array): void {
    if (payload.byteLength === 1) throw new ProtocolError(1002, 'Received close frame with half a status code');
    let code = kNoStatus;
    if (payload.byteLength >= 2) {
      code = payload[0]! * 256 + payload[1]!;
      if (!isCloseCode(code)) throw new ProtocolError(1002, `Received close frame with invalid status code ${code}`);
    }
    const reason = payload.byteLength > 2 ? textOf(part(payload, 2)) : '';
    this.#closed = true;
    this.#events.close(code, reason);
  }
}

const kTail = new NativeUint8Array([0, 0, 0xff, 0xff]);

function inflate(bytes: Uint8Array): Bytes {
  const { inflateRawSync, constants } = nodeZlib();
  const input = join([bytes, kTail], bytes.byteLength + kTail.byteLength);
  try {
    const out = inflateRawSync(input, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: kMessageBytesMax });
    if (out.byteLength === out.buffer.byteLength) return out as unknown as Bytes;
    return new NativeUint8Array(out); // a buffer of its own, not a slice of Node's
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE') throw new ProtocolError(1009, 'Message is too large');
    throw new ProtocolError(1007, 'Received compressed data that is not valid');
  }
}

function deflate(bytes: Uint8Array): Uint8Array {
  const { deflateRawSync, constants } = nodeZlib();
  // It ends with an empty block, 00 00 ff ff, which is not sent.
  const out = deflateRawSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH });
  return part(out, 0, out.byteLength - kTail.byteLength);
}

function frame(firstByte: number, payload: Uint8Array): Uint8Array {
  const length = payload.byteLength;
  const header = length <= 125 ? 6 : length <= 0xffff ? 8 : 14;
  const out = new NativeUint8Array(header + length);
  out[0] = firstByte;
  if (length <= 125) {
    out[1] = 0x80 | length;
  } else if (length <= 0xffff) {
    out[1] = 0xfe;
    out[2] = length >>> 8;
    out[3] = length & 0xff;
  } else {
    out[1] = 0xff;
    for (let i = 0, rest = length; i < 8; i++, rest = Math.floor(rest / 256)) out[9 - i] = rest % 256;
  }
  const mask = nodeCrypto().randomBytes(4);
  setBytes(out, mask, header - 4);
  const [a, b, c, d] = mask as unknown as [number, number, number, number];
  let i = 0;
  let at = header;
  for (; i + 4 <= length; i += 4, at += 4) {
    out[at] = payload[i]! ^ a;
    out[at + 1] = payload[i + 1]! ^ b;
    out[at + 2] = payload[i + 2]! ^ c;
    out[at + 3] = payload[i + 3]! ^ d;
  }
  for (; i < length; i++, at++) out[at] = payload[i]! ^ mask[i % 4]!;
  return out;
}

export function messageFrame(data: string | ArrayBuffer | Uint8Array, deflates: boolean): Uint8Array {
  const opcode = typeof data === 'string' ? kText : kBinary;
  const payload = typeof data === 'string' ? encodeUtf8(data) : data instanceof NativeArrayBuffer ? new NativeUint8Array(data) : data;
  if (deflates && payload.byteLength >= kDeflateBytesMin) return frame(0x80 | kDeflated | opcode, deflate(payload));
  return frame(0x80 | opcode, payload);
}

export function closeFrame(code: number, reason: string): Uint8Array {
  if (!isCloseCode(code)) return frame(0x80 | kClose, new NativeUint8Array(0)); // 1005 has no form on the wire
  const text = encodeUtf8(reason);
  // Not in the middle of a character.
  let length = Math.min(text.byteLength, 123);
  while (length > 0 && length < text.byteLength && (text[length]! & 0xc0) === 0x80) length--;
  const payload = new NativeUint8Array(2 + length);
  payload[0] = code >>> 8;
  payload[1] = code & 0xff;
  setBytes(payload, part(text, 0, length), 2);
  return frame(0x80 | kClose, payload);
}

export function pongFrame(payload: Uint8Array): Uint8Array {
  return frame(0x80 | kPong, payload);
}
