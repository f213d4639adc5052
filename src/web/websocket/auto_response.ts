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

function notText(parameter: number): TypeError {
  return new TypeError(
    `Failed to construct 'WebSocketRequestResponsePair': constructor parameter ${parameter} is not of type 'string'.`,
  );
}

let isPair: (value: unknown) => value is WebSocketRequestResponsePair;

export class WebSocketRequestResponsePair {
  readonly #request: string;
  readonly #response: string;

  static {
    isPair = (value): value is WebSocketRequestResponsePair => typeof value === 'object' && value !== null && #request in value;
  }

  constructor(request: string, response: string) {
    if (arguments.length < 2) throw notText(arguments.length + 1);
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

// The limits are those of setWebSocketAutoResponse, not of the pair.
export function checkAutoResponse(pair: unknown): asserts pair is WebSocketRequestResponsePair {
  if (!isPair(pair)) {
    throw new TypeError(
      "Failed to execute 'setWebSocketAutoResponse' on 'DurableObjectState': parameter 1 is not of type 'WebSocketRequestResponsePair'.",
    );
  }
  checkedPairText(pair.request, 'Request');
  checkedPairText(pair.response, 'Response');
}
