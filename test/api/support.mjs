// A project folder for wrangler, and wrangler itself run in it against a server.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

export class Project {
  static async create(server) {
    const self = new Project();
    self.server = server;
    self.dir = await mkdtemp(join(tmpdir(), 'holdfast-project-'));
    return self;
  }

  /** Writes index.js and wrangler.json; the name is "app" unless the configuration has another. */
  async write(source, config = {}) {
    await writeFile(join(this.dir, 'index.js'), source);
    await writeFile(join(this.dir, 'wrangler.json'), JSON.stringify({ name: 'app', main: 'index.js', compatibility_date: '2026-01-01', ...config }));
  }

  /** Resolves with {code, out}: standard output and error together. */
  wrangler(args, { input = '', env = {} } = {}) {
    return new Promise((resolve) => {
      const child = execFile(
        process.execPath,
        [join(root, 'node_modules/wrangler/bin/wrangler.js'), ...args],
        { cwd: this.dir, timeout: 120_000, env: { ...process.env, ...this.server.clientEnv, XDG_CONFIG_HOME: this.dir, ...env } },
        (error, stdout, stderr) => resolve({ code: error ? (error.code ?? 1) : 0, out: stdout + stderr }),
      );
      child.stdin.end(input);
    });
  }

  /** The same, and throws unless it ends well. Returns what was printed. */
  async run(...args) {
    const options = typeof args.at(-1) === 'object' ? args.pop() : {};
    const { code, out } = await this.wrangler(args, options);
    if (code !== 0) throw new Error(`wrangler ${args.join(' ')} ended with ${code}:\n${out}\n--- server:\n${this.server.log}`);
    return out;
  }

  async [Symbol.asyncDispose]() {
    await rm(this.dir, { recursive: true, force: true });
  }
}

/** "METHOD /path status" of the API requests in a server's debug log from a position on. */
export function requestsIn(log, from = 0) {
  return [...log.slice(from).matchAll(/ api method=(\S+) target="?\/client\/v4(?:\/accounts\/[^/\s?"]+)?([^\s?"]*)\S* status=(\d+)/g)].map(([, method, path, status]) => `${method} ${path} ${status}`);
}
