// The reference: the open-source workerd binary from npm, with the same modules, on a free port and its own disk.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

// The binary itself: the package's own bin is a script that starts it and keeps file descriptors from it.
const binary = fileURLToPath(new URL('../../node_modules/@cloudflare/workerd-linux-64/bin/workerd', import.meta.url));

export class Workerd {
  /**
   * modules: {name: text}; the first is the main one. classes: {ClassName: {binding, sqlite}}.
   * services: {binding: entrypoint or '' or [entrypoint, props]} to this same Worker.
   * texts: {binding: text}.
   */
  static async start({ modules, classes = {}, services = {}, texts = {}, date = '2026-05-01', flags = [] }) {
    const self = new Workerd();
    self.dir = await mkdtemp(join(tmpdir(), 'workerd-test-'));
    await mkdir(join(self.dir, 'do'));
    for (const [name, text] of Object.entries(modules)) await writeFile(join(self.dir, name), text);
    const quote = JSON.stringify;
    const config = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "do", disk = (path = ${quote(join(self.dir, 'do'))}, writable = true)),
    (name = "internet", network = (allow = ["public", "private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [${Object.keys(modules)
    .map((name) => `(name = ${quote(name)}, esModule = embed ${quote(name)})`)
    .join(', ')}],
  compatibilityDate = ${quote(date)},
  compatibilityFlags = [${flags.map(quote).join(', ')}],
  durableObjectNamespaces = [${Object.entries(classes)
    .map(([name, { sqlite = true }]) => `(className = ${quote(name)}, uniqueKey = ${quote('key-' + name)}, enableSql = ${sqlite})`)
    .join(', ')}],
  durableObjectStorage = (localDisk = "do"),
  bindings = [${[
    ...Object.entries(classes).map(([name, { binding }]) => `(name = ${quote(binding)}, durableObjectNamespace = ${quote(name)})`),
    ...Object.entries(texts).map(([name, text]) => `(name = ${quote(name)}, text = ${quote(text)})`),
    ...Object.entries(services).map(([name, target]) => {
      const [entrypoint, props] = [target].flat();
      const more = `${entrypoint ? `, entrypoint = ${quote(entrypoint)}` : ''}${props ? `, props = (json = ${quote(quote(props))})` : ''}`;
      return `(name = ${quote(name)}, service = (name = "main"${more}))`;
    }),
  ].join(', ')}],
);
`;
    await writeFile(join(self.dir, 'config.capnp'), config);
    self.child = spawn(binary, ['serve', 'config.capnp', '--control-fd=3', '--experimental'], { cwd: self.dir, stdio: ['ignore', 'pipe', 'pipe', 'pipe'] });
    self.log = '';
    for (const stream of [self.child.stdout, self.child.stderr]) stream.setEncoding('utf8').on('data', (text) => (self.log += text));
    self.exited = once(self.child, 'exit');
    const lines = createInterface({ input: self.child.stdio[3] });
    const listening = new Promise((resolve) => lines.on('line', (line) => {
      const message = JSON.parse(line);
      if (message.event === 'listen' && message.socket === 'http') resolve(message.port);
    }));
    self.port = await Promise.race([listening, self.exited.then(() => Promise.reject(new Error(`workerd ended:\n${self.log}`)))]);
    return self;
  }

  fetch(path, init) {
    return fetch(`http://127.0.0.1:${this.port}${path}`, init);
  }

  async [Symbol.asyncDispose]() {
    this.child.kill('SIGKILL');
    await this.exited;
    await rm(this.dir, { recursive: true, force: true });
  }
}
