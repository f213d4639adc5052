// The output gate (spec 3.3): what an object says waits until the confirmed writes made so far are durable.
//
// Writes come as commit numbers of the object's database (native.ts: kvPut returns the commit that a write will be part
// of); Runtime.durable says how far the ledger has come. An unconfirmed write does not move `#confirmed`.
//
// An object and its facets are committed together and know of each other's writes before these are durable: their gates
// open together. Each has a line of its own; the root's gate has the numbers.

import { NativePromise, SafeSet, promiseReject } from '../web/primordials.ts';

interface Waiter {
  commit: number;
  run: () => void;
  fail: (error: unknown) => void;
}

export class OutputGate {
  readonly #root: OutputGate;
  // Of a root: the gates of its facets.
  #facets: Set<OutputGate> | undefined;
  #confirmed = 0;
  #durable = 0;
  #broken: { error: unknown } | undefined;
  // `commit` grows along the line.
  #line: Waiter[] = [];
  // Wait for a commit of their own choice (sync).
  #syncs: Waiter[] | undefined;

  // `parent`: of the object whose facet this is.
  constructor(parent: OutputGate | undefined) {
    this.#root = parent === undefined ? this : parent.#root;
    if (parent !== undefined) (this.#root.#facets ??= new SafeSet<OutputGate>()).add(this);
  }

  get isOpen(): boolean {
    const root = this.#root;
    return root.#confirmed <= root.#durable && this.#broken === undefined;
  }

  // A confirmed write belongs to `commit`; 0: nothing was written.
  confirm(commit: number): void {
    const root = this.#root;
    if (commit > root.#confirmed) root.#confirmed = commit;
  }

  // Runs `run` as soon as everything confirmed so far is durable: at once when it is. In the order of the calls.
  after(run: () => void, fail: (error: unknown) => void): void {
    if (this.#broken !== undefined) return fail(this.#broken.error);
    const root = this.#root;
    if (root.#confirmed <= root.#durable) return run();
    this.#line.push({ commit: root.#confirmed, run, fail });
  }

  wait(): Promise<void> | undefined {
    if (this.#broken !== undefined) return promiseReject(this.#broken.error);
    const root = this.#root;
    if (root.#confirmed <= root.#durable) return undefined;
    return new NativePromise<void>((run, fail) => this.#line.push({ commit: root.#confirmed, run, fail }));
  }

  // Unconfirmed writes count too.
  afterCommit(commit: number, run: () => void, fail: (error: unknown) => void): void {
    if (this.#broken !== undefined) return fail(this.#broken.error);
    if (commit <= this.#root.#durable) return run();
    (this.#syncs ??= []).push({ commit, run, fail });
  }

  // Told to the root.
  onDurable(commit: number): void {
    if (commit <= this.#durable || this.#broken !== undefined) return;
    this.#durable = commit;
    this.#release(commit);
    this.#facets?.forEach((facet) => facet.#release(commit));
  }

  #release(commit: number): void {
    const line = this.#line;
    let open = 0;
    while (open < line.length && line[open]!.commit <= commit) open++;
    if (open > 0) {
      this.#line = line.slice(open);
      for (let i = 0; i < open; i++) line[i]!.run();
    }
    const syncs = this.#syncs;
    if (syncs === undefined) return;
    this.#syncs = undefined;
    for (let i = 0; i < syncs.length; i++) {
      if (syncs[i]!.commit <= commit) syncs[i]!.run();
      else (this.#syncs ??= []).push(syncs[i]!);
    }
  }

  break(error: unknown): void {
    if (this.#broken !== undefined) return;
    this.#broken = { error };
    this.#root.#facets?.delete(this);
    const line = this.#line;
    const syncs = this.#syncs ?? [];
    this.#line = [];
    this.#syncs = undefined;
    for (let i = 0; i < line.length; i++) line[i]!.fail(error);
    for (let i = 0; i < syncs.length; i++) syncs[i]!.fail(error);
  }
}
