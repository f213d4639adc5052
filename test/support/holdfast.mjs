// A real Holdfast for tests: its own directory, free ports, started and stopped as a user would.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
export const launcher = process.env.HOLDFAST_BIN ?? join(root, 'bin', 'holdfast');

export const types = {
  js: 'application/javascript+module',
  mjs: 'application/javascript+module',
  txt: 'text/plain',
  json: 'application/json',
  wasm: 'application/wasm',
  bin: 'application/octet-stream',
};

export class Holdfast {
  /** Starts a server and resolves when it has printed its ready line. */
  static async start({ dir, args = [], env = {}, ownDir = dir === undefined, openFilesMax } = {}) {
    const self = new Holdfast();
    self.dir = dir ?? (await mkdtemp(join(tmpdir(), 'holdfast-test-')));
    self.ownDir = ownDir;
    self.args = args;
    self.env = env;
    self.openFilesMax = openFilesMax; // as `ulimit -n` sets it
    await self.#spawn();
    return self;
  }

  async #spawn() {
    this.log = '';
    const limited = this.openFilesMax === undefined ? [launcher] : ['sh', '-c', `ulimit -n ${this.openFilesMax} && exec "$0" "$@"`, launcher];
    this.child = spawn(
      limited[0],
      [...limited.slice(1), 'serve', '--dir', this.dir, ...(this.args.includes('--listen') ? [] : ['--listen', '127.0.0.1:0']), '--api', '127.0.0.1:0', '--domain', 'test', ...this.args],
      { env: { ...process.env, ...this.env }, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.exited = once(this.child, 'exit').then(([code, signal]) => ({ code, signal }));
    this.child.stderr.setEncoding('utf8').on('data', (text) => {
      this.log += text;
      if (process.env.HF_TEST_LOG) process.stderr.write(text);
    });
    const lines = createInterface({ input: this.child.stdout });
    const ready = new Promise((resolve) => lines.on('line', (line) => line.includes(' ready: ') && resolve(line)));
    const line = await Promise.race([ready, this.exited.then(({ code, signal }) => Promise.reject(new Error(`holdfast ended (${code ?? signal}) before it was ready:\n${this.log}`)))]);
    const [, workers, api] = /workers http:\/\/(\S+) api http:\/\/(\S+?)\/client\/v4/.exec(line);
    this.workers = workers;
    this.port = Number(workers.split(':').at(-1));
    this.api = `http://${api}/client/v4`;
    const info = JSON.parse(await readFile(join(this.dir, 'node.json'), 'utf8'));
    this.token = info.token;
    this.account = info.account_id;
  }

  /** Environment for wrangler and the SDK. */
  get clientEnv() {
    return {
      CLOUDFLARE_API_BASE_URL: this.api,
      CLOUDFLARE_BASE_URL: this.api,
      CLOUDFLARE_API_TOKEN: this.token,
      CLOUDFLARE_ACCOUNT_ID: this.account,
      WRANGLER_SEND_METRICS: 'false',
      CI: 'true',
      NO_COLOR: '1',
    };
  }

  async call(method, path, { body, headers = {} } = {}) {
    const response = await fetch(`${this.api}/accounts/${this.account}${path}`, {
      method,
      headers: { authorization: `Bearer ${this.token}`, ...headers },
      body: body === undefined || body instanceof FormData ? body : JSON.stringify(body),
    });
    return { status: response.status, ...(await response.json()) };
  }

  /** Deploys modules ({name: text or bytes}) as wrangler does; throws with the API's errors. */
  async deploy(script, modules, { main = Object.keys(modules)[0], bindings = [], migrations, date = '2026-05-01', flags = [], ...metadata } = {}) {
    const form = new FormData();
    form.set('metadata', JSON.stringify({ main_module: main, bindings, migrations, compatibility_date: date, compatibility_flags: flags, ...metadata }));
    for (const [name, content] of Object.entries(modules)) {
      form.set(name, new Blob([content], { type: types[name.split('.').at(-1)] }), name);
    }
    const answer = await this.call('PUT', `/workers/scripts/${script}?excludeScript=true`, { body: form });
    if (!answer.success) throw Object.assign(new Error(`deploy failed: ${JSON.stringify(answer.errors)}`), { answer });
    return answer.result;
  }

  /** Requests a script by its host name. Returns {status, headers, body (Buffer), text, json()}. */
  fetch(script, path = '/', { method = 'GET', headers = {}, body, agent } = {}) {
    return new Promise((resolve, reject) => {
      const request = httpRequest({ host: '127.0.0.1', port: this.port, path, method, agent, headers: { host: `${script}.test:${this.port}`, ...headers } }, (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const bytes = Buffer.concat(chunks);
          resolve({ status: response.statusCode, headers: response.headers, body: bytes, text: bytes.toString(), json: () => JSON.parse(bytes) });
        });
      });
      request.on('error', reject);
      if (body !== undefined) request.write(body);
      request.end();
    });
  }

  /** Resolves when the server's log matches. */
  async logged(pattern) {
    while (!pattern.test(this.log)) await once(this.child.stderr, 'data');
  }

  /** kill -9. */
  async kill() {
    this.child.kill('SIGKILL');
    return await this.exited;
  }

  /** SIGTERM and the exit code. */
  async stop() {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGTERM');
    return await this.exited;
  }

  async restart() {
    await this.stop();
    await this.#spawn();
  }

  /** Starts again after kill(). */
  async startAgain() {
    await this.#spawn();
  }

  async [Symbol.asyncDispose]() {
    await this.stop();
    if (this.ownDir && basename(this.dir).startsWith('holdfast-test-')) await rm(this.dir, { recursive: true, force: true });
  }
}
