// The Cache API without a cache: it never holds anything, so match() always misses. Workers must treat it so anyway.

import { type Request, isRequest, parseUrl, requestState } from './request.ts';
import { type Response, isResponse, responseState } from './response.ts';
import { takeSource } from './body.ts';
import { NativePromise, SafeMap, promiseReject, promiseResolve, setTag } from './primordials.ts';

function checkKey(method: string, input: unknown): { url: string; method: string } {
  if (isRequest(input)) return requestState(input);
  if (input === undefined) {
    throw new TypeError(`Failed to execute '${method}' on 'Cache': parameter 1 is not of type 'Request or string'.`);
  }
  return { url: parseUrl(`${input as string}`), method: 'GET' };
}

export class Cache {
  match(request: Request | string | URL, _options?: unknown): Promise<Response | undefined> {
    try {
      checkKey('match', request);
      return promiseResolve(undefined);
    } catch (error) {
      return promiseReject(error);
    }
  }

  async put(request: Request | string | URL, response: Response): Promise<void> {
    const key = checkKey('put', request);
    if (!isResponse(response)) {
      throw new TypeError("Failed to execute 'put' on 'Cache': parameter 2 is not of type 'Response'.");
    }
    if (key.method !== 'GET') throw new TypeError('Cannot cache response to non-GET request.');
    if (responseState(response).status === 206) throw new TypeError('Cannot cache response to a range request (206 Partial Content).');
    const source = takeSource(response);
    if (source === null) return;
    while ((await source.read()) !== null);
  }

  delete(request: Request | string | URL, _options?: unknown): Promise<boolean> {
    try {
      checkKey('delete', request);
      return promiseResolve(false);
    } catch (error) {
      return promiseReject(error);
    }
  }

  add(): never {
    throw notImplemented('add', 'Cache');
  }
  addAll(): never {
    throw notImplemented('addAll', 'Cache');
  }
  keys(): never {
    throw notImplemented('keys', 'Cache');
  }
  matchAll(): never {
    throw notImplemented('matchAll', 'Cache');
  }
}
setTag(Cache.prototype, 'Cache');

function notImplemented(method: string, type: string): Error {
  return new Error(`Failed to execute '${method}' on '${type}': the method is not implemented.`);
}

export class CacheStorage {
  readonly #default = new Cache();
  readonly #open = new SafeMap<string, Cache>();

  get default(): Cache {
    return this.#default;
  }

  open(name: string): Promise<Cache> {
    const key = `${name}`;
    let cache = this.#open.get(key);
    if (cache === undefined) {
      cache = new Cache();
      this.#open.set(key, cache);
    }
    return NativePromise.resolve(cache);
  }

  delete(): never {
    throw notImplemented('delete', 'CacheStorage');
  }
  has(): never {
    throw notImplemented('has', 'CacheStorage');
  }
  keys(): never {
    throw notImplemented('keys', 'CacheStorage');
  }
  match(): never {
    throw notImplemented('match', 'CacheStorage');
  }
}
setTag(CacheStorage.prototype, 'CacheStorage');
