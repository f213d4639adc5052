// The output gate (spec 3.3): what an object says waits until the confirmed writes made so far are durable.
//
// Writes come as commit numbers of the object's database (native.ts: kvPut returns the commit that a write will be part
// of); Runtime.durable says how far the ledger has come. An unconfirmed write does not move `#confirmed`.

import { NativePromise, promiseReject } from '../web/primordials.ts';

interface Waiter {
  commit: number;
  run: () => void;
  fail: (error: unknown) => void;
}

export class OutputGate {
  #confirmed = 0;
  #durable = 0;
  #broken: { error: unknown } | undefined;
  // `commit` grows along the line.
  #line: Waiter[] = [];
  // Wait for a commit of their own choice (sync).
  #syncs: Waiter[] | undefined;

  get isOpen(): boolean {
    return this.#confirmed <= this.#durable && this.#broken === undefined;
  }

  // A confirmed write belongs to `commit`; 0: nothing was written.
  confirm(commit: number): void {
    if (commit > this.#confirmed) this.#confirmed = commit;
  }

  // Runs `run` as soon as everything confirmed so far is durable: at once when it is. In the order of the calls.
  after(run: () => void, fail: (error: unknown) => void): void {
    if (this.#broken !== undefined) return fail(this.#broken.error);
    if (this.#confirmed <= this.#durable) return run();
    this.#line.push({ commit: this.#confirmed, run, fail });
  }

  wait(): Promise<void> | undefined {
    if (this.#broken !== undefined) return promiseReject(this.#broken.error);
    if (this.#confirmed <= this.#durable) return undefined;
    return new NativePromise<void>((run, fail) => this.#line.push({ commit: this.#confirmed, run, fail }));
  }

  // Unconfirmed writes count too.
  afterCommit(commit: number, run: () => void, fail: (error: unknown) => void): void {
    if (this.#broken !== undefined) return fail(this.#broken.error);
    if (commit <= this.#durable) return run();
    (this.#syncs ??= []).push({ commit, run, fail });
  }

  onDurable(commit: number): void {
    if (commit <= this.#durable || this.#broken !== undefined) return;
    this.#durable = commit;
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
    const line = this.#line;
    const syncs = this.#syncs ?? [];
    this.#line = [];
    this.#syncs = undefined;
    for (let i = 0; i < line.length; i++) line[i]!.fail(error);
    for (let i = 0; i < syncs.length; i++) syncs[i]!.fail(error);
  }
}
