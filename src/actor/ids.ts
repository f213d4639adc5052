// DurableObjectId (spec 1.2, 1.3).

import { kIllegalInvocation } from '../web/headers.ts';
import { native } from '../web/host.ts';
import { setTag, toLowerCase } from '../web/primordials.ts';

const kNameBytesMax = 1024;
const kInternal = Symbol('internal');
// What an id may be restricted to; C++ has the same list (base/object_id.h). All of it lies on this machine: what the
// jurisdiction decides here is the id.
const kJurisdictions = ['', 'eu', 'us', 'fedramp', 'fedramp-high'] as const;

let hexOf: (id: DurableObjectId) => string;
let jurisdictionOf: (id: DurableObjectId) => number;
let nsOf: (id: DurableObjectId) => string;
let isId: (value: unknown) => value is DurableObjectId;

export class DurableObjectId {
  readonly #hex: string;
  readonly #ns: string;
  readonly #jurisdiction: number;
  declare readonly name: string | undefined;
  declare readonly jurisdiction: string | undefined;

  static {
    hexOf = (id) => id.#hex;
    nsOf = (id) => id.#ns;
    jurisdictionOf = (id) => id.#jurisdiction;
    isId = (value): value is DurableObjectId => typeof value === 'object' && value !== null && #hex in value;
  }

  constructor(token: symbol, ns: string, hex: string, name: string | undefined, jurisdiction: number) {
    if (token !== kInternal) throw new TypeError('Illegal constructor');
    this.#hex = hex;
    this.#ns = ns;
    this.#jurisdiction = jurisdiction;
    this.jurisdiction = jurisdiction === 0 ? undefined : kJurisdictions[jurisdiction];
    this.name = name;
  }

  toString(): string {
    if (!(#hex in this)) throw new TypeError(kIllegalInvocation);
    return this.#hex;
  }

  equals(other: DurableObjectId): boolean {
    if (!isId(this)) throw new TypeError(kIllegalInvocation);
    if (!isId(other)) {
      throw new TypeError("Failed to execute 'equals' on 'DurableObjectId': parameter 1 is not of type 'DurableObjectId'.");
    }
    return this.#hex === other.#hex;
  }
}
setTag(DurableObjectId.prototype, 'DurableObjectId');

export function makeId(ns: string, hex: string, name: string | undefined, jurisdiction: number): DurableObjectId {
  return new DurableObjectId(kInternal, ns, hex, name, jurisdiction);
}

// Of digits that somebody gives us. Throws what spec 1.2 says.
export function parseId(ns: string, hex: string, name: string | undefined): DurableObjectId {
  const jurisdiction = native.idJurisdiction(ns, hex);
  return makeId(ns, toLowerCase(hex), name, jurisdiction);
}

// The index in kJurisdictions; throws when it is none of them.
export function jurisdictionIndex(name: unknown): number {
  for (let i = 1; i < kJurisdictions.length; i++) if (name === kJurisdictions[i]) return i;
  throw new TypeError(`Unknown jurisdiction: ${name}. It is one of eu, us, fedramp, fedramp-high.`);
}

export function idJurisdiction(id: DurableObjectId): number {
  return jurisdictionOf(id);
}

export function idHex(id: DurableObjectId): string {
  return hexOf(id);
}

export function idNamespace(id: DurableObjectId): string {
  return nsOf(id);
}

export function isDurableObjectId(value: unknown): value is DurableObjectId {
  return isId(value);
}

// The name that the object itself may see: too long ones are not kept.
export function keptName(name: string | undefined): string | undefined {
  if (name === undefined || name.length > kNameBytesMax) return undefined;
  if (name.length * 3 <= kNameBytesMax) return name;
  return utf8Length(name) <= kNameBytesMax ? name : undefined;
}

// Bytes of a text in UTF-8.
export function utf8Length(text: string): number {
  let bytes = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x80) bytes += 1;
    else if (code < 0x800) bytes += 2;
    else if (code >= 0xd800 && code < 0xdc00 && i + 1 < text.length && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      bytes += 4;
      i++;
    } else bytes += 3;
  }
  return bytes;
}
