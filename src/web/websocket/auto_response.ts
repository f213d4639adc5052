// WebSocketRequestResponsePair: a text message that is answered without waking the object (spec 7.3).

import { encodeUtf8, makeEnumerable, setTag } from '../primordials.ts';

const kPairBytesMax = 2048;

function checkedPairText(value: unknown, what: 'Request' | 'Response'): string {
  const text = `${value as string}`;
  const bytes = encodeUtf8(text).byteLength;
  if (bytes > kPairBytesMax) {
    throw new RangeError(
      `${what} cannot be larger than ${kPairBytesMax} bytes. A ${what.toLowerCase()} of size ${bytes} was provided.`,
    );
  }
  return text;
}

export class WebSocketRequestResponsePair {
  readonly #request: string;
  readonly #response: string;

  constructor(request: string, response: string) {
    if (arguments.length < 2) {
      throw new TypeError(
        `Failed to construct 'WebSocketRequestResponsePair': constructor parameter ${arguments.length + 1} is not of type 'string'.`,
      );
    }
    this.#request = `${request}`;
    this.#response = `${response}`;
  }

  get request(): string {
    return this.#request;
  }

  get response(): string {
    return this.#response;
  }
}
setTag(WebSocketRequestResponsePair.prototype, 'WebSocketRequestResponsePair');
makeEnumerable(WebSocketRequestResponsePair.prototype, ['request', 'response']);

export function isAutoResponsePair(value: unknown): value is WebSocketRequestResponsePair {
  return value instanceof WebSocketRequestResponsePair;
}

// The limits are those of setWebSocketAutoResponse, not of the pair.
export function checkAutoResponse(pair: WebSocketRequestResponsePair): void {
  checkedPairText(pair.request, 'Request');
  checkedPairText(pair.response, 'Response');
}
