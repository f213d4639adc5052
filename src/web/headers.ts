// Headers: a flat list in the order and the case it was made, looked at through lower-cased names.
//
// A list that came from the network or goes to it is never turned into a map: requests carry about ten headers, and
// most handlers read one or two.

import { flag } from './compat.ts';
import { showAs } from './inspect.ts';
import {
  arrayJoin,
  arrayPush,
  arraySlice,
  arraySort,
  arraySplice,
  NativeUint8Array,
  charCodeAt,
  decodeUtf8,
  encodeUtf8,
  getPrototypeOf,
  makeEnumerable,
  objectCreate,
  objectKeys,
  regExpTest,
  setTag,
  slice,
  toLowerCase,
} from './primordials.ts';

export const kIllegalInvocation =
  'Illegal invocation: function called with incorrect `this` reference. See ' +
  'https://developers.cloudflare.com/workers/observability/errors/#illegal-invocation-errors for details.';

export type HeadersInit = Headers | Iterable<Iterable<string>> | Record<string, string>;

const kToken = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]*$/;
const kBadValue = /[\0\r\n]/;
const listsSetCookie = flag('http_headers_getsetcookie');

function checkedName(name: string): string {
  if (!regExpTest(kToken, name)) throw new TypeError('Invalid header name.');
  return name;
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === 0x0a || code === 0x0d;
}

function checkedValue(value: string): string {
  let start = 0;
  let end = value.length;
  while (start < end && isSpace(charCodeAt(value, start))) start++;
  while (end > start && isSpace(charCodeAt(value, end - 1))) end--;
  const trimmed = start === 0 && end === value.length ? value : slice(value, start, end);
  if (regExpTest(kBadValue, trimmed)) throw new TypeError('Invalid header value.');
  return trimmed;
}

let flatOf: (headers: Headers) => string[];
let make: (flat: string[], immutable: boolean) => Headers;
const kInternal = Symbol('internal');

export class Headers {
  #flat: string[]; // name, value, name, value ...
  #lower: string[] | undefined; // the names in lower case, made on first look
  #immutable = false;

  static {
    flatOf = (headers) => headers.#flat;
    make = (flat, immutable) => {
      const headers = new Headers(kInternal as never);
      headers.#flat = flat;
      headers.#immutable = immutable;
      return headers;
    };
  }

  constructor(init: HeadersInit | undefined = undefined) {
    this.#flat = [];
    this.#lower = undefined;
    if (init === undefined || (init as unknown) === kInternal) return;
    if (init === null || (typeof init !== 'object' && typeof init !== 'function')) {
      throw new TypeError(
        "Failed to construct 'Headers': constructor parameter 1 is not of type 'Headers or Sequence or object'.",
      );
    }
    if (#flat in init) {
      this.#flat = arraySlice((init as Headers).#flat);
      return;
    }
    if (typeof (init as any)[Symbol.iterator] === 'function') {
      for (const pair of init as Iterable<Iterable<string>>) {
        const entry = typeof pair === 'object' && pair !== null ? [...pair] : [];
        if (entry.length !== 2) {
          throw new TypeError(
            'To initialize a Headers object from a sequence, each inner sequence must have exactly two elements.',
          );
        }
        arrayPush(this.#flat, checkedName(`${entry[0]}`), checkedValue(`${entry[1]}`));
      }
      return;
    }
    const keys = objectKeys(init);
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i]!;
      arrayPush(this.#flat, checkedName(key), checkedValue(`${(init as Record<string, string>)[key]}`));
    }
  }

  #names(): string[] {
    if (!(#flat in this)) throw new TypeError(kIllegalInvocation);
    if (this.#lower !== undefined) return this.#lower;
    const flat = this.#flat;
    const names: string[] = [];
    for (let i = 0; i < flat.length; i += 2) names[i >> 1] = toLowerCase(flat[i]!);
    this.#lower = names;
    return names;
  }

  #writable(): string[] {
    const names = this.#names();
    if (this.#immutable) throw new TypeError("Can't modify immutable headers.");
    return names;
  }

  #removeAt(index: number): void {
    arraySplice(this.#flat, index * 2, 2);
    arraySplice(this.#lower!, index, 1);
  }

  get(name: string): string | null {
    if (!(#flat in this)) throw new TypeError(kIllegalInvocation);
    const names = this.#names();
    const wanted = toLowerCase(checkedName(`${name}`));
    let found: string | null = null;
    for (let i = 0; i < names.length; i++) {
      if (names[i] === wanted) found = found === null ? this.#flat[2 * i + 1]! : `${found}, ${this.#flat[2 * i + 1]}`;
    }
    return found;
  }

  getAll(name: string): string[] {
    if (toLowerCase(`${name}`) !== 'set-cookie') {
      throw new TypeError('getAll() can only be used with the header name "Set-Cookie".');
    }
    return this.getSetCookie();
  }

  getSetCookie(): string[] {
    if (!(#flat in this)) throw new TypeError(kIllegalInvocation);
    const names = this.#names();
    const cookies: string[] = [];
    for (let i = 0; i < names.length; i++) {
      if (names[i] === 'set-cookie') arrayPush(cookies, this.#flat[2 * i + 1]!);
    }
    return cookies;
  }

  has(name: string): boolean {
    if (!(#flat in this)) throw new TypeError(kIllegalInvocation);
    const names = this.#names();
    const wanted = toLowerCase(checkedName(`${name}`));
    for (let i = 0; i < names.length; i++) if (names[i] === wanted) return true;
    return false;
  }

  set(name: string, value: string): void {
    if (!(#flat in this)) throw new TypeError(kIllegalInvocation);
    const names = this.#writable();
    const display = checkedName(`${name}`);
    const wanted = toLowerCase(display);
    const text = checkedValue(`${value}`);
    let first = -1;
    for (let i = names.length - 1; i >= 0; i--) {
      if (names[i] !== wanted) continue;
      if (first !== -1) this.#removeAt(first);
      first = i;
    }
    if (first === -1) {
      arrayPush(names, wanted);
      arrayPush(this.#flat, display, text);
    } else {
      this.#flat[2 * first] = display;
      this.#flat[2 * first + 1] = text;
    }
  }

  append(name: string, value: string): void {
    if (!(#flat in this)) throw new TypeError(kIllegalInvocation);
    const names = this.#writable();
    const display = checkedName(`${name}`);
    const text = checkedValue(`${value}`);
    arrayPush(names, toLowerCase(display));
    arrayPush(this.#flat, display, text);
  }

  delete(name: string): void {
    if (!(#flat in this)) throw new TypeError(kIllegalInvocation);
    const names = this.#writable();
    const wanted = toLowerCase(checkedName(`${name}`));
    for (let i = names.length - 1; i >= 0; i--) if (names[i] === wanted) this.#removeAt(i);
  }

  forEach(callback: (value: string, name: string, headers: Headers) => void, thisArg?: unknown): void {
    if (typeof callback !== 'function') {
      throw new TypeError("Failed to execute 'forEach' on 'Headers': parameter 1 is not of type 'Function'.");
    }
    const entries = this.#sorted();
    for (let i = 0; i < entries.length; i++) callback.call(thisArg, entries[i]![1], entries[i]![0], this);
  }

  // Sorted by name, values of one name joined; set-cookie stays one entry per value.
  #sorted(): [string, string][] {
    if (!(#flat in this)) throw new TypeError(kIllegalInvocation);
    const names = this.#names();
    const order: number[] = [];
    for (let i = 0; i < names.length; i++) order[i] = i;
    arraySort(order, (a, b) => (names[a]! < names[b]! ? -1 : names[a]! > names[b]! ? 1 : a - b));
    const entries: [string, string][] = [];
    for (let i = 0; i < order.length; i++) {
      const name = names[order[i]!]!;
      const value = this.#flat[2 * order[i]! + 1]!;
      const last = entries[entries.length - 1];
      if (last !== undefined && last[0] === name && !(name === 'set-cookie' && listsSetCookie)) {
        last[1] = `${last[1]}, ${value}`;
      } else {
        arrayPush(entries, [name, value]);
      }
    }
    return entries;
  }

  entries(): IterableIterator<[string, string]> {
    return iterate(this.#sorted(), (entry) => entry, 'EntryIterator');
  }

  keys(): IterableIterator<string> {
    return iterate(this.#sorted(), (entry) => entry[0], 'KeyIterator');
  }

  values(): IterableIterator<string> {
    return iterate(this.#sorted(), (entry) => entry[1], 'ValueIterator');
  }

  declare [Symbol.iterator]: () => IterableIterator<[string, string]>;
}

const iteratorPrototype = getPrototypeOf(getPrototypeOf([][Symbol.iterator]()));

function iterate<T>(
  entries: [string, string][],
  pick: (entry: [string, string]) => T,
  tag: string,
): IterableIterator<T> {
  let index = 0;
  const iterator = objectCreate(iteratorPrototype) as IterableIterator<T>;
  iterator.next = () => {
    const entry = entries[index];
    if (entry === undefined) return { done: true, value: undefined };
    index++;
    return { done: false, value: pick(entry) };
  };
  setTag(iterator, tag);
  return iterator;
}

Object.defineProperty(Headers.prototype, Symbol.iterator, {
  value: Headers.prototype.entries,
  writable: true,
  configurable: true,
});
setTag(Headers.prototype, 'Headers');
showAs(Headers.prototype, (self: Headers) => {
  const entries = [...self];
  const shown: Record<string, string> = {};
  for (const [name, value] of entries) shown[name] = name in shown ? `${shown[name]}, ${value}` : value;
  return [`Headers(${entries.length})`, shown];
});
makeEnumerable(Headers.prototype, [
  'get', 'getAll', 'getSetCookie', 'has', 'set', 'append', 'delete', 'forEach', 'entries', 'keys', 'values',
]);
if (!listsSetCookie) Reflect.deleteProperty(Headers.prototype, 'getSetCookie');

// The list itself, not a copy: name, value, name, value ... Read it, do not keep it.
export function flatHeaders(headers: Headers): string[] {
  return flatOf(headers);
}

// Takes the list over; it must hold valid names and values.
export function headersFromFlat(flat: string[], immutable: boolean): Headers {
  return make(flat, immutable);
}

const { fromCharCode } = String;
const kNotAscii = /[^\0-\x7f]/;

// Header values are UTF-8 on the wire; C++ and Node take and give them as one code unit a byte.
// (A code unit above 255 must not get there: cut to a byte it could become a line break.)
export function wireText(text: string): string {
  if (!regExpTest(kNotAscii, text)) return text;
  const bytes = encodeUtf8(text);
  let wire = '';
  for (let i = 0; i < bytes.length; i++) wire += fromCharCode(bytes[i]!);
  return wire;
}

export function textOfWire(wire: string): string {
  if (!regExpTest(kNotAscii, wire)) return wire;
  const bytes = new NativeUint8Array(wire.length);
  for (let i = 0; i < wire.length; i++) bytes[i] = charCodeAt(wire, i);
  return decodeUtf8(bytes);
}

// Values of one name (lower case) in a flat list, joined; undefined: there is none.
export function findHeader(flat: readonly string[], lowerName: string): string | undefined {
  let found: string | undefined;
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i]!;
    if (name.length === lowerName.length && toLowerCase(name) === lowerName) {
      found = found === undefined ? flat[i + 1]! : arrayJoin([found, flat[i + 1]], ', ');
    }
  }
  return found;
}
