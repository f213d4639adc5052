// The input gate and its critical sections (spec 3.1, 3.2).
//
// Every event of an object enters through a gate: it waits in the gate's line and runs in a turn of its own. Storage
// operations are complete when they return, so a turn is exclusive by itself. A gate is *locked* only for what outlives
// a turn: a section (blockConcurrencyWhile, transaction), or a hold (sync).
//
//   root gate ◄─ child ── section ◄─ child ── section ...     only the innermost one is unlocked
//
// 1. Events of one gate run in the order they entered, also when some were queued before a section began: a queued turn
//    takes the first of the line, whichever it is (`#asked` counts such turns).
// 2. A section that waits to begin goes before all events that wait.
// 3. A finished section stands for its parent: what it has left behind enters there.

import { type Frame, type IoContext, type Section, enqueueTurn } from '../web/io.ts';

export interface GateOwner extends IoContext {
  // No turn runs any more.
  readonly ended: boolean;
}

const kDepthMax = 64;

export class Gate implements Section {
  readonly depth: number;
  readonly frame: Frame;
  readonly #owner: GateOwner;
  #parent: Gate | null;
  #begin: (() => void) | undefined; // a section's body, until it has begun
  #child: Gate | null = null;
  #holds = 0;
  #asked = 0;
  #finished = false;
  #line: (() => void)[] = [];
  #head = 0;
  #sections: Gate[] | undefined; // want to begin
  readonly #pump: () => void;

  constructor(owner: GateOwner, parent: Gate | null, begin: (() => void) | undefined) {
    this.#owner = owner;
    this.#parent = parent;
    this.#begin = begin;
    this.depth = parent === null ? 0 : parent.depth + 1;
    this.frame = { context: owner, section: parent === null ? null : this };
    this.#pump = () => this.#runNext();
  }

  get locked(): boolean {
    return this.#child !== null || this.#holds > 0;
  }

  get finished(): boolean {
    return this.#finished;
  }

  // The gate that stands for this one now.
  current(): Gate {
    if (!this.#finished) return this;
    let gate = this.#parent!;
    while (gate.#finished) gate = gate.#parent!;
    this.#parent = gate;
    return gate;
  }

  enter(run: () => void): void {
    this.#line.push(run);
    if (!this.locked) this.#ask();
  }

  #ask(): void {
    this.#asked++;
    enqueueTurn(this.frame, this.#pump);
  }

  #runNext(): void {
    this.#asked--;
    if (this.#owner.ended || this.locked) return;
    const run = this.#line[this.#head];
    if (run === undefined) return;
    this.#line[this.#head++] = undefined as never;
    if (this.#head === this.#line.length) {
      this.#line.length = 0;
      this.#head = 0;
    } else if (this.#head > 1024) {
      this.#line = this.#line.slice(this.#head);
      this.#head = 0;
    }
    run();
  }

  // A nested gate; `begin` runs under it, in a turn of its own, as soon as this gate is unlocked.
  startSection(begin: () => void): Gate {
    if (this.depth >= kDepthMax) throw new Error('blockConcurrencyWhile() calls are nested too deeply.');
    const section = new Gate(this.#owner, this, begin);
    if (this.locked) {
      (this.#sections ??= []).push(section);
    } else {
      this.#child = section;
      section.#start();
    }
    return section;
  }

  #start(): void {
    const begin = this.#begin!;
    this.#begin = undefined;
    enqueueTurn(this.frame, () => {
      if (!this.#owner.ended) begin();
    });
  }

  // This section has ended well: its parent is free again, after the current turn. What waits here moves there.
  finish(): void {
    const parent = this.#parent!;
    this.#finished = true;
    for (let i = this.#head; i < this.#line.length; i++) parent.#line.push(this.#line[i]!);
    this.#line.length = 0;
    this.#head = 0;
    const sections = this.#sections;
    if (sections !== undefined) {
      for (let i = 0; i < sections.length; i++) {
        sections[i]!.#parent = parent;
        (parent.#sections ??= []).push(sections[i]!);
      }
      this.#sections = undefined;
    }
    // A section that this one started and did not wait for goes on under the parent.
    if (this.#child !== null) this.#child.#parent = parent;
    parent.#child = this.#child;
    this.#child = null;
    parent.#holds += this.#holds;
    this.#holds = 0;
    parent.#unlocked();
  }

  // Keeps the gate locked until `release`, which runs `resume` first, in a turn of its own.
  hold(): void {
    this.#holds++;
  }

  release(resume: () => void): void {
    enqueueTurn(this.current().frame, () => {
      const gate = this.current();
      gate.#holds--;
      if (this.#owner.ended) return;
      resume();
      gate.#unlocked();
    });
  }

  #unlocked(): void {
    if (this.locked) return;
    const next = this.#sections?.shift();
    if (next !== undefined) {
      this.#child = next;
      next.#start();
      return;
    }
    for (const waiting = this.#line.length - this.#head; this.#asked < waiting; ) this.#ask();
  }
}
