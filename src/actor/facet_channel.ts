// The way from a stub to a facet, which is always in this isolate.

import { errorToData, failure } from '../web/errors.ts';
import type { Channel, Outgoing } from './rpc_outgoing.ts';
import type { Facet, Facets } from './facets.ts';
import { type Instance, kStorageGone } from './instance.ts';

export class FacetChannel implements Channel {
  lastName: string | undefined = undefined;
  lastProperty: unknown = undefined;
  // The parent: it is committed together with the facet.
  readonly within: Instance;
  readonly #facets: Facets;
  readonly #name: string;
  readonly #callback: () => unknown;
  #facet: Facet | undefined = undefined;

  constructor(facets: Facets, name: string, callback: () => unknown) {
    this.within = facets.instance;
    this.#facets = facets;
    this.#name = name;
    this.#callback = callback;
  }

  dispatch(call: Outgoing): void {
    call.isWithin = call.frame.context === this.within;
    if (this.#facet === undefined) {
      const { broken } = this.within.container;
      if (this.within.ended) return call.error(broken ?? errorToData(failure(kStorageGone, { retryable: true })), false);
      this.#facet = this.#facets.find(this.#name, this.#callback, call);
    }
    this.#facet.dispatch(call);
  }
}
