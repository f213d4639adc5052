// multipart/form-data: written by us, read by Node's parser.

import { type ByteSource, ioStreamSource } from './body.ts';
import { hostFetch, nodeBlob, nodeCrypto } from './host_modules.ts';
import { awaitIo, frameIfAny, runAsHost } from './io.ts';
import { arrayPush, encodeUtf8, promiseResolve, promiseThen } from './primordials.ts';

export interface EncodedForm {
  source: ByteSource;
  contentType: string;
}

function escapeName(name: string): string {
  return name.replace(/\r\n|\r|\n/g, '%0D%0A').replace(/"/g, '%22');
}

// The pieces of a form one after the other; files are read when their turn comes.
class FormSource implements ByteSource {
  readonly length: number;
  readonly #parts: (Uint8Array | Blob)[];
  #index = 0;
  #file: ByteSource | undefined;

  constructor(parts: (Uint8Array | Blob)[], length: number) {
    this.#parts = parts;
    this.length = length;
  }

  read(): Promise<Uint8Array | null> {
    if (this.#file !== undefined) {
      return promiseThen(this.#file.read(), (chunk) => {
        if (chunk !== null) return chunk;
        this.#file = undefined;
        return this.read();
      });
    }
    if (this.#index === this.#parts.length) return promiseResolve(null);
    const part = this.#parts[this.#index++]!;
    if (!(part instanceof nodeBlob().Blob)) return promiseResolve(part);
    this.#file = ioStreamSource(nodeBlob().stream(part), part.size);
    return this.read();
  }

  cancel(reason: unknown): void {
    this.#file?.cancel(reason);
    this.#file = undefined;
    this.#index = this.#parts.length;
  }
}

export function encodeForm(form: FormData): EncodedForm {
  const boundary = `----holdfast${nodeCrypto().randomBytes(16).toString('hex')}`;
  const parts: (Uint8Array | Blob)[] = [];
  let length = 0;
  const text = (value: string): void => {
    const bytes = encodeUtf8(value);
    length += bytes.byteLength;
    arrayPush<Uint8Array | Blob>(parts, bytes);
  };
  form.forEach((value: string | File, name: string) => {
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="${escapeName(name)}"`;
    if (typeof value === 'string') {
      text(`${head}\r\n\r\n${value.replace(/\r\n|\r|\n/g, '\r\n')}\r\n`);
      return;
    }
    const type = value.type === '' ? 'application/octet-stream' : value.type;
    text(`${head}; filename="${escapeName(value.name)}"\r\nContent-Type: ${type}\r\n\r\n`);
    length += value.size;
    arrayPush<Uint8Array | Blob>(parts, value);
    text('\r\n');
  });
  text(`--${boundary}--\r\n`);
  return { source: new FormSource(parts, length), contentType: `multipart/form-data; boundary=${boundary}` };
}

// Node's Response class has the parser. It is found on a response, because its global has been replaced by ours.
let nodeResponse: Promise<typeof globalThis.Response> | undefined;

async function parse(bytes: Uint8Array, contentType: string): Promise<FormData> {
  nodeResponse ??= promiseThen(
    runAsHost(() => hostFetch('data:,', {})),
    (response) => response.constructor as typeof globalThis.Response,
  );
  const NodeResponse = await nodeResponse;
  return new NodeResponse(bytes as Uint8Array<ArrayBuffer>, { headers: { 'content-type': contentType } }).formData();
}

export function parseForm(bytes: Uint8Array, contentType: string): Promise<FormData> {
  const parsed = parse(bytes, contentType);
  return frameIfAny() === undefined ? parsed : awaitIo(parsed);
}
