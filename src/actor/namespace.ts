// DurableObjectNamespace: what a binding is (spec 1.1).

import { kIllegalInvocation } from '../web/headers.ts';
import { native } from '../web/host.ts';
import { setTag } from '../web/primordials.ts';
import { ObjectChannel } from './channel.ts';
import type { ActorClass } from './container.ts';
import {
  type DurableObjectId,
  idHex,
  idJurisdiction,
  idNamespace,
  isDurableObjectId,
  jurisdictionIndex,
  keptName,
  makeId,
  parseId,
} from './ids.ts';
import { type DurableObjectStub, makeStub } from './stubs.ts';

const kInternal = Symbol('internal');

export interface GetOptions {
  locationHint?: string;
  routingMode?: string;
}

function wrongArgument(method: string, type: string, position: number = 1): TypeError {
  return new TypeError(`Failed to execute '${method}' on 'DurableObjectNamespace': parameter ${position} is not of type '${type}'.`);
}

function isDictionary(value: unknown): boolean {
  return value === undefined || value === null || typeof value === 'object' || typeof value === 'function';
}

function wrongJurisdiction(method: string, what: string): TypeError {
  return new TypeError(`${method} called on jurisdictional subnamespace with ${what}`);
}

export class DurableObjectNamespace {
  readonly #ns: string;
  readonly #class: ActorClass | undefined;
  // Ids of this one only; 0: those of every one.
  readonly #jurisdiction: number;

  // `actorClass`: when the class is of this script.
  constructor(token: symbol, ns: string, actorClass: ActorClass | undefined, jurisdiction: number) {
    if (token !== kInternal) throw new TypeError('Illegal constructor');
    this.#ns = ns;
    this.#class = actorClass;
    this.#jurisdiction = jurisdiction;
  }

  newUniqueId(options: { jurisdiction?: string | null } | undefined = undefined): DurableObjectId {
    if (!(#ns in this)) throw new TypeError(kIllegalInvocation);
    if (!isDictionary(options)) throw wrongArgument('newUniqueId', 'NewUniqueIdOptions');
    let jurisdiction = this.#jurisdiction;
    const asked = options?.jurisdiction;
    if (asked !== undefined && asked !== null) {
      const index = jurisdictionIndex(asked);
      if (jurisdiction !== 0 && index !== jurisdiction) throw wrongJurisdiction('newUniqueId', 'another jurisdiction');
      jurisdiction = index;
    }
    return makeId(this.#ns, native.idRandom(this.#ns, jurisdiction), undefined, jurisdiction);
  }

  idFromName(name: string): DurableObjectId {
    if (!(#ns in this)) throw new TypeError(kIllegalInvocation);
    if (arguments.length === 0) throw wrongArgument('idFromName', 'string');
    const text = `${name}`;
    const jurisdiction = this.#jurisdiction;
    return makeId(this.#ns, native.idFromName(this.#ns, text, jurisdiction), text, jurisdiction);
  }

  idFromString(hex: string): DurableObjectId {
    if (!(#ns in this)) throw new TypeError(kIllegalInvocation);
    if (arguments.length === 0) throw wrongArgument('idFromString', 'string');
    const id = parseId(this.#ns, `${hex}`, undefined);
    if (!this.#accepts(id)) throw wrongJurisdiction('idFromString', 'an ID from a different jurisdiction');
    return id;
  }

  #accepts(id: DurableObjectId): boolean {
    return this.#jurisdiction === 0 || this.#jurisdiction === idJurisdiction(id);
  }

  get(id: DurableObjectId, options: GetOptions | undefined = undefined): DurableObjectStub {
    if (!(#ns in this)) throw new TypeError(kIllegalInvocation);
    if (!isDurableObjectId(id)) throw wrongArgument('get', 'DurableObjectId');
    if (!isDictionary(options)) throw wrongArgument('get', 'GetDurableObjectOptions', 2);
    if (!this.#accepts(id)) throw wrongJurisdiction('get', 'an ID from a different jurisdiction');
    const routingMode = options?.routingMode;
    if (routingMode !== undefined && routingMode !== null && routingMode !== 'primary-only') {
      throw new RangeError(`unknown routingMode: ${routingMode}`);
    }
    if (idNamespace(id) !== this.#ns) throw new TypeError('Durable Object ID is not valid for this namespace.');
    return makeStub(new ObjectChannel(this.#ns, idHex(id), keptName(id.name), this.#class), id);
  }

  getByName(name: string, options: GetOptions | undefined = undefined): DurableObjectStub {
    if (!(#ns in this)) throw new TypeError(kIllegalInvocation);
    if (arguments.length === 0) throw wrongArgument('getByName', 'string');
    return this.get(this.idFromName(name), options);
  }

  jurisdiction(jurisdiction: string | null | undefined = undefined): DurableObjectNamespace {
    const none = jurisdiction === undefined || jurisdiction === null;
    return new DurableObjectNamespace(kInternal, this.#ns, this.#class, none ? 0 : jurisdictionIndex(jurisdiction));
  }
}
setTag(DurableObjectNamespace.prototype, 'DurableObjectNamespace');

export function makeNamespace(ns: string, actorClass: ActorClass | undefined): DurableObjectNamespace {
  return new DurableObjectNamespace(kInternal, ns, actorClass, 0);
}
