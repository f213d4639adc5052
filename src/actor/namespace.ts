// DurableObjectNamespace: what a binding is (spec 1.1).

import { native } from '../web/host.ts';
import { setTag } from '../web/primordials.ts';
import { ObjectChannel } from './channel.ts';
import type { ActorClass } from './container.ts';
import { type DurableObjectId, idHex, idNamespace, isDurableObjectId, keptName, makeId } from './ids.ts';
import { type DurableObjectStub, makeStub } from './stubs.ts';

const kInternal = Symbol('internal');
const kNoJurisdictions = 'Jurisdiction restrictions are not implemented in Holdfast yet.';

export interface GetOptions {
  locationHint?: string;
  routingMode?: string;
}

function wrongArgument(method: string, type: string): TypeError {
  return new TypeError(`Failed to execute '${method}' on 'DurableObjectNamespace': parameter 1 is not of type '${type}'.`);
}

export class DurableObjectNamespace {
  readonly #ns: string;
  readonly #class: ActorClass | undefined;

  // `actorClass`: when the class is of this script.
  constructor(token: symbol, ns: string, actorClass: ActorClass | undefined) {
    if (token !== kInternal) throw new TypeError('Illegal constructor');
    this.#ns = ns;
    this.#class = actorClass;
  }

  newUniqueId(options: { jurisdiction?: string | null } | undefined = undefined): DurableObjectId {
    if (options?.jurisdiction !== undefined && options.jurisdiction !== null) throw new Error(kNoJurisdictions);
    return makeId(this.#ns, native.idRandom(this.#ns), undefined);
  }

  idFromName(name: string): DurableObjectId {
    if (name === undefined) throw wrongArgument('idFromName', 'string');
    const text = `${name}`;
    return makeId(this.#ns, native.idFromName(this.#ns, text), text);
  }

  idFromString(hex: string): DurableObjectId {
    if (hex === undefined) throw wrongArgument('idFromString', 'string');
    return makeId(this.#ns, native.idParse(this.#ns, `${hex}`), undefined);
  }

  get(id: DurableObjectId, options: GetOptions | undefined = undefined): DurableObjectStub {
    if (!isDurableObjectId(id)) throw wrongArgument('get', 'DurableObjectId');
    const routingMode = options?.routingMode;
    if (routingMode !== undefined && routingMode !== null && routingMode !== 'primary-only') {
      throw new RangeError(`unknown routingMode: ${routingMode}`);
    }
    if (idNamespace(id) !== this.#ns) throw new TypeError('Durable Object ID is not valid for this namespace.');
    return makeStub(new ObjectChannel(this.#ns, idHex(id), keptName(id.name), this.#class), id);
  }

  getByName(name: string, options: GetOptions | undefined = undefined): DurableObjectStub {
    if (name === undefined) throw wrongArgument('getByName', 'string');
    return this.get(this.idFromName(name), options);
  }

  jurisdiction(jurisdiction: string | null | undefined = undefined): DurableObjectNamespace {
    if (jurisdiction === undefined || jurisdiction === null) return this;
    throw new Error(kNoJurisdictions);
  }
}
setTag(DurableObjectNamespace.prototype, 'DurableObjectNamespace');

export function makeNamespace(ns: string, actorClass: ActorClass | undefined): DurableObjectNamespace {
  return new DurableObjectNamespace(kInternal, ns, actorClass);
}
