// DurableObjectId (spec 1.2, 1.3).

import { setTag } from '../web/primordials.ts';

const kNameBytesMax = 1024;
const kInternal = Symbol('internal');

let hexOf: (id: DurableObjectId) => string;
let nsOf: (id: DurableObjectId) => string;
let isId: (value: unknown) => value is DurableObjectId;

export class DurableObjectId {
  readonly #hex: string;
  readonly #ns: string;
  declare readonly name: string | undefined;
  declare readonly jurisdiction: string | undefined;

  static {
    hexOf = (id) => id.#hex;
    nsOf = (id) => id.#ns;
    isId = (value): value is DurableObjectId => typeof value === 'object' && value !== null && #hex in value;
  }

  constructor(token: symbol, ns: string, hex: string, name: string | undefined) {
    if (token !== kInternal) throw new TypeError('Illegal constructor');
    this.#hex = hex;
    this.#ns = ns;
    this.jurisdiction = undefined;
    this.name = name;
  }

  toString(): string {
    return this.#hex;
  }

  equals(other: DurableObjectId): boolean {
    if (!isId(other)) {
      throw new TypeError("Failed to execute 'equals' on 'DurableObjectId': parameter 1 is not of type 'DurableObjectId'.");
    }
    return this.#hex === other.#hex;
  }
}
setTag(DurableObjectId.prototype, 'DurableObjectId');

export function makeId(ns: string, hex: string, name: string | undefined): DurableObjectId {
  return new DurableObjectId(kInternal, ns, hex, name);
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
  let bytes = 0;
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    if (code < 0x80) bytes += 1;
    else if (code < 0x800) bytes += 2;
    else if (code >= 0xd800 && code < 0xdc00 && i + 1 < name.length && (name.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      bytes += 4;
      i++;
    } else bytes += 3;
  }
  return bytes <= kNameBytesMax ? name : undefined;
}
