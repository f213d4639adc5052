// run.mjs [serve options]: starts Holdfast in the foreground, deploys examples/counter with wrangler when it is ready,
// and says what to try. Ctrl-C drains the server and ends with its exit code; a second Ctrl-C ends it at once.
import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

const { values, tokens } = parseArgs({ options: { dir: { type: 'string' } }, strict: false, tokens: true });
const dir = resolve(values.dir ?? process.env.HOLDFAST_DIR ?? './holdfast-data');
const options = [...process.argv.slice(2), ...(tokens.some((token) => token.name === 'dir') ? [] : ['--dir', dir])];

// A process group of its own: the terminal sends Ctrl-C to the whole group, and the server must get it once, from us.
const server = spawn('bin/holdfast', ['serve', ...options], { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
let stopping = false;
let failed = false;
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(name, () => {
    stopping = true;
    server.kill(name === 'SIGHUP' ? 'SIGTERM' : name);
  });
}
server.on('error', (error) => {
  console.error(`run: bin/holdfast: ${error.message}`);
  process.exit(1);
});
server.on('exit', (code, signal) => {
  if (signal) console.error(`run: the server was ended by ${signal}`);
  process.exit(failed ? 1 : (code ?? 1));
});

// Runs a program to its end; its standard output, or null when it failed. `show` lets it through to the terminal too.
function output(program, args, { show = false, ...rest } = {}) {
  return new Promise((done) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], ...rest });
    let text = '';
    child.stdout.on('data', (chunk) => {
      text += chunk;
      if (show) process.stdout.write(chunk);
    });
    child.on('error', (error) => {
      console.error(`run: ${program}: ${error.message}`);
      done(null);
    });
    child.on('close', (code) => done(code === 0 ? text : null));
  });
}

async function deploy(workers) {
  const exports = await output('bin/holdfast', ['env', '--dir', dir]);
  if (exports === null) return false;
  const env = { ...process.env, WRANGLER_SEND_METRICS: 'false' };
  for (const [, name, quoted] of exports.matchAll(/^export (\w+)=(.*)$/gm)) {
    env[name] = quoted.replace(/^(['"])(.*)\1$/, '$2');
  }
  const wrangler = new URL('../node_modules/wrangler/bin/wrangler.js', import.meta.url).pathname;
  const deployed = await output(process.execPath, [wrangler, 'deploy'], { cwd: 'examples/counter', env, show: true });
  if (deployed === null) return false;

  const url = new URL(workers);
  url.hostname = 'counter.localhost';
  console.log(`
examples/counter is deployed: one Durable Object per name. Each request adds one:

  curl ${url.origin}/kv/alice
  curl ${url.origin}/sql/bob

Your own Worker, from its folder:

  eval "$(${process.cwd()}/bin/holdfast env --dir ${dir})"
  npx wrangler deploy

Kill it as hard as you like: what was acknowledged is in ${dir}. Ctrl-C stops it.
`);
  return true;
}

for await (const line of createInterface({ input: server.stdout })) {
  console.log(line);
  const ready = / ready: workers (http:\/\/\S+)/.exec(line);
  if (!ready || stopping) continue;
  // Not awaited: the server's output goes on meanwhile.
  void deploy(ready[1]).then((done) => {
    if (done || stopping) return;
    console.error('run: the example was not deployed; stopping');
    failed = true;
    server.kill('SIGTERM');
  });
}
