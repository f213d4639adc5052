// A wall clock that a test can set, for a server of its own (crash/preload/clock_preload.c).
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const library = fileURLToPath(new URL('../../build/release/clock_preload.so', import.meta.url));

export class Clock {
  #ahead = 0;

  static async make() {
    if (!existsSync(library)) throw new Error(`${library} is not built: tools/build release clock_preload`);
    const self = new Clock();
    self.dir = await mkdtemp(join(tmpdir(), 'holdfast-clock-'));
    self.file = join(self.dir, 'ahead');
    await self.#write('w');
    return self;
  }

  async #write(flag) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(this.#ahead));
    await writeFile(this.file, bytes, { flag });
  }

  /** For the server. */
  get env() {
    return { LD_PRELOAD: library, HF_CLOCK_FILE: this.file };
  }

  /** Sets the server's clock so many milliseconds forward (or back) of what it is now. */
  async forward(ms) {
    this.#ahead += ms;
    await this.#write('r+');
  }

  /** What the server's clock shows. */
  now() {
    return Date.now() + this.#ahead;
  }

  async [Symbol.asyncDispose]() {
    await rm(this.dir, { recursive: true });
  }
}
