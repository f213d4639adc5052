// Objects under stress: 2,000 of them on 4 shards, with random calls, RPC between them, alarms and WebSockets, while they
// are evicted, aborted, given new code, and while the whole server is killed. What must hold:
//
//  1. One live instance: an answer never comes from an older instance than an answer that came before the request, and
//     an instance that runs is the last that was made (worker.mjs: `#alone`).
//  2. No lost update: what was acknowledged is there at the end, once; nothing is there that was not tried; no two
//     increments saw the same count.
//  3. Nothing is said before it is durable: an acknowledgement survives a kill, and so does what another object was told.
//  4. Alarms fire at least once, and not before their time.
//  5. Messages of a WebSocket arrive in order, all of them, while it is connected; it is cut only when something has
//     happened to its object.
//  6. Calls through one stub run in the order they were made. No error but those that the stress explains.
//
//   node test/soak/soak.mjs [--seconds 600] [--objects 2000] [--sockets 100] [--clients 32] [--shards 4]
// HF_SEED replays the choices (not the timing).
import { Agent } from 'node:http';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';
import { Holdfast } from '../support/holdfast.mjs';

const source = await readFile(fileURLToPath(new URL('./worker.mjs', import.meta.url)), 'utf8');

// Mistakes in the Worker that the checks must see (soak.test.mjs): what is replaced by what.
export const sabotages = {
  'lost update': ['storage.put(\'count\', count);', 'await scheduler.wait(1); storage.put(\'count\', count);'],
  'lost write': ['sql.exec(\'INSERT INTO adds VALUES (?, ?)\', op, this.incarnation);\n    ws', 'ws'],
  'early answer': ['await this.env.SOAK.getByName(to).credit(op, from);', 'this.env.SOAK.getByName(to).credit(op, from).catch(() => {}); if (op % 50 === 0) this.ctx.abort("the soak aborts an object");'],
  'order': ['ws.send(`${number} ${this.incarnation}`);', 'setTimeout(() => ws.send(`${number} ${this.incarnation}`), 20 * Math.random());'],
  'old instance': ['(kv.get(\'incarnation\') ?? 0) + 1', '1 + Math.floor(100 * Math.random())'],
};

// mulberry32: small, and the same everywhere.
function generator(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// What a call may fail with, and what must have happened shortly before.
const kExpected = [
  [/^the soak aborts an object$/, ['abort']],
  [/^Durable Object reset because its code was updated\.$/, ['deploy']],
  [/code has been updated, this version can no longer access storage/, ['deploy']],
  [/^Network connection lost\.$/, ['deploy', 'abort', 'kill']],
  [/^(socket hang up|read ECONNRESET|write ECONNRESET|write EPIPE|connect ECONNREFUSED .*)$/, ['kill']],
];
// How long after the event: a call may have waited for its turn.
const kAftermathMs = 10_000;
// An object is in use for so long of a cycle; the rest of it lies idle for longer than the ten seconds until eviction.
const kActivePart = 0.25;
const kCycleSeconds = 28;
const kAlarmLateMs = 30_000;

export class Soak {
  #options;
  #source = source;
  #random;
  #server;
  #objects;
  #agent = new Agent({ keepAlive: true, maxSockets: 64 });
  #nextOp = 1;
  #running = true;
  #begin = performance.now();
  #last = { kill: -Infinity, deploy: -Infinity }; // when it was
  #restarted = Promise.resolve();
  #deployment = 0;
  #failures = [];
  stats = { calls: 0, unknown: 0, messages: 0, sockets: 0, cut: 0, kills: 0, deploys: 0, aborts: 0, alarms: 0, errors: {} };

  constructor(options) {
    this.#options = options;
    if (options.sabotage !== undefined) {
      const [from, to] = sabotages[options.sabotage];
      if (!source.includes(from)) throw new Error(`the Worker has no ${from}`);
      this.#source = source.replace(from, to);
    }
    this.#random = generator(options.seed);
    this.#objects = Array.from({ length: options.objects }, () => ({
      incarnation: 0, // of the latest answer
      aborted: -Infinity,
      tried: new Set(),
      acknowledged: new Set(),
      counts: new Set(),
      transfers: [], // acknowledged: {op, to}
      armed: new Set(),
    }));
  }

  /** Runs everything; resolves with the failures: texts, none when all holds. */
  async run() {
    const { seconds, clients, sockets, shards } = this.#options;
    this.#server = await Holdfast.start({ args: ['--shards', String(shards), '--log-level', 'error'] });
    try {
      await this.#deploy();
      const work = [
        ...Array.from({ length: clients }, () => this.#client()),
        ...Array.from({ length: sockets }, () => this.#socketClient()),
        this.#disturb(),
      ];
      const end = this.#begin + seconds * 1000;
      while (performance.now() < end && this.#failures.length === 0) await sleep(Math.min(250, Math.max(1, end - performance.now())));
      this.#running = false;
      await Promise.all(work);
      await this.#kill();
      await this.#check();
      if (/BROKEN|AddressSanitizer|runtime error:/.test(this.#server.log)) this.#fail(`the server's log: ${this.#server.log.match(/.*(BROKEN|AddressSanitizer|runtime error:).*/)[0]}`);
    } catch (error) {
      this.#fail(`${error.stack}\n${this.#server.log.slice(-4000)}`);
    } finally {
      this.#running = false;
      this.#agent.destroy();
      await this.#server[Symbol.asyncDispose]();
    }
    return this.#failures;
  }

  #fail(text) {
    if (this.#failures.length < 20) this.#failures.push(text);
    this.#running = false;
  }

  #below(n) {
    return Math.floor(this.#random() * n);
  }

  // One of those whose time it is: the others are left alone until they are evicted.
  #pick() {
    const { length } = this.#objects;
    const start = Math.floor((((performance.now() - this.#begin) / 1000 / kCycleSeconds) % 1) * length);
    return (start + this.#below(Math.ceil(length * kActivePart))) % length;
  }

  // --- calls

  async #client() {
    while (this.#running) {
      const number = this.#pick();
      const chance = this.#random();
      if (chance < 0.6) await this.#add(number);
      else if (chance < 0.7) await this.#burst(number);
      else if (chance < 0.86) await this.#transfer(number, this.#pick());
      else if (chance < 0.93) await this.#arm(number);
      else if (chance < 0.998) await this.#linger(number);
      else await this.#abort(number);
    }
  }

  // The answer, or undefined when the outcome is unknown.
  async #call(number, path, other = number) {
    const object = this.#objects[number];
    const before = object.incarnation;
    const begun = performance.now();
    await this.#restarted;
    this.stats.calls++;
    let text;
    try {
      const response = await this.#server.fetch('soak', path, { agent: this.#agent });
      if (response.status === 200) {
        const answer = response.json();
        for (const { incarnation } of [answer].flat()) this.#heardFrom(number, before, incarnation);
        return answer;
      }
      text = response.headers['content-type'] === 'application/json' ? response.json().error : `${response.status} ${response.text}`;
    } catch (error) {
      text = error.message;
    }
    this.stats.unknown++;
    this.#explain([number, other], text, begun, path);
    return undefined;
  }

  #heardFrom(number, before, incarnation) {
    if (incarnation < before) this.#fail(`object ${number}: instance ${incarnation} answers after instance ${before}`);
    const object = this.#objects[number];
    object.incarnation = Math.max(object.incarnation, incarnation);
  }

  // Fails unless something has happened to one of these objects that explains the error.
  #explain(numbers, text, begun, path) {
    const known = text.replace(/\d+\.\d+\.\d+\.\d+:\d+/, '…');
    this.stats.errors[known] = (this.stats.errors[known] ?? 0) + 1;
    const reasons = kExpected.find(([pattern]) => pattern.test(text))?.[1] ?? [];
    const last = (reason) => (reason === 'abort' ? Math.max(...numbers.map((number) => this.#objects[number].aborted)) : this.#last[reason]);
    if (!reasons.some((reason) => last(reason) >= begun - kAftermathMs)) this.#fail(`object ${numbers[0]}, ${path}: "${text}", and nothing explains it`);
  }

  async #add(number) {
    const object = this.#objects[number];
    const op = this.#nextOp++;
    object.tried.add(op);
    const answer = await this.#call(number, `/add/o${number}/${op}`);
    if (answer !== undefined) this.#added(number, op, answer.count);
  }

  #added(number, op, count) {
    const object = this.#objects[number];
    object.acknowledged.add(op);
    if (object.counts.has(count)) this.#fail(`object ${number}: two increments made it ${count}`);
    object.counts.add(count);
  }

  async #burst(number) {
    const op = this.#nextOp;
    this.#nextOp += 4;
    for (let i = 0; i < 4; i++) this.#objects[number].tried.add(op + i);
    const answers = await this.#call(number, `/burst/o${number}/${op}`);
    answers?.forEach(({ count }, i) => {
      this.#added(number, op + i, count);
      if (i > 0 && count <= answers[i - 1].count) this.#fail(`object ${number}: calls through one stub ran as ${answers.map((answer) => answer.count)}`);
    });
  }

  async #transfer(number, to) {
    if (number === to) return;
    const op = this.#nextOp++;
    this.#objects[number].tried.add(op);
    this.#objects[to].tried.add(op);
    if ((await this.#call(number, `/transfer/o${number}/${op}/o${number}/o${to}`, to)) !== undefined) this.#objects[number].transfers.push({ op, to });
  }

  async #arm(number) {
    const op = this.#nextOp++;
    this.#objects[number].tried.add(op);
    const answer = await this.#call(number, `/arm/o${number}/${op}/${Date.now() + this.#below(3_000)}`);
    if (answer === undefined) return;
    this.#objects[number].armed.add(op);
    this.stats.alarms++;
  }

  // Adds something later, or not.
  async #linger(number) {
    const op = this.#nextOp++;
    this.#objects[number].tried.add(op);
    await this.#call(number, `/linger/o${number}/${op}`);
  }

  async #abort(number) {
    this.stats.aborts++;
    this.#objects[number].aborted = performance.now();
    await this.#call(number, `/die/o${number}`);
    this.#objects[number].aborted = performance.now();
  }

  // --- WebSockets

  async #socketClient() {
    while (this.#running) {
      const number = this.#below(this.#objects.length);
      await this.#restarted;
      const begun = performance.now();
      const socket = new WebSocket(`ws://127.0.0.1:${this.#server.port}/socket/o${number}`, { headers: { host: `soak.test:${this.#server.port}` }, perMessageDeflate: false });
      const problem = await this.#converse(number, socket);
      socket.terminate();
      if (problem === undefined) continue;
      this.stats.cut++;
      this.#explainCut(number, problem, begun);
      await sleep(50);
    }
  }

  #explainCut(number, problem, begun) {
    const since = Math.max(performance.now() - kAftermathMs, begun - kAftermathMs);
    const explained = [this.#objects[number].aborted, this.#last.kill, this.#last.deploy].some((at) => at >= since);
    if (!explained) this.#fail(`object ${number}: its WebSocket ended without a cause: ${problem}`);
  }

  // Sends, and waits for the answers, now and then; between them the object may hibernate. Undefined: ended by us.
  async #converse(number, socket) {
    const object = this.#objects[number];
    const asked = []; // ops under way, the oldest first
    let [answered, sent, lastTotal, ended, notify] = [0, 0, 0, undefined, undefined];
    socket.on('error', (error) => (ended ??= error.message));
    socket.on('close', (code) => {
      ended ??= `close ${code}`;
      notify?.();
    });
    socket.on('open', () => notify?.());
    let opened = false;
    socket.on('open', () => (opened = true));
    socket.on('message', (data) => {
      const [first, second] = data.toString().split(' ');
      if (first === 'all') {
        // Counts are of the object, so they rise for each of its sockets.
        if (Number(second) <= lastTotal) this.#fail(`object ${number}: broadcast ${second} after ${lastTotal}`);
        lastTotal = Number(second);
        return;
      }
      if (Number(first) !== answered + 1) this.#fail(`object ${number}: answer ${first} after answer ${answered}`);
      answered++;
      const { op, before } = asked.shift();
      object.acknowledged.add(op);
      this.#heardFrom(number, before, Number(second));
      this.stats.messages++;
      notify?.();
    });
    // Until `done`, or the socket has ended, or it takes too long.
    const until = async (done, limitMs, what) => {
      const begin = performance.now();
      while (!done() && ended === undefined) {
        if (performance.now() - begin > limitMs) {
          this.#fail(`object ${number}: a WebSocket waited ${limitMs / 1000} s for ${what}`);
          return;
        }
        await Promise.race([new Promise((resolve) => (notify = resolve)), sleep(500)]);
      }
    };
    await until(() => opened, 60_000, 'its handshake');
    if (opened) this.stats.sockets++;
    for (let rounds = 1 + this.#below(5); rounds > 0 && ended === undefined && this.#running; rounds--) {
      for (let i = 1 + this.#below(15); i > 0; i--) {
        const op = this.#nextOp++;
        object.tried.add(op);
        asked.push({ op, before: object.incarnation });
        socket.send(`${++sent} ${op}`);
      }
      await until(() => asked.length === 0, 60_000, 'an answer');
      const pause = performance.now() + (this.#random() < 0.4 ? 12_000 + this.#below(4_000) : this.#below(1_500));
      while (performance.now() < pause && ended === undefined && this.#running) await sleep(200);
    }
    return ended;
  }

  // --- what disturbs

  async #disturb() {
    const { seconds } = this.#options;
    // The first 45 % of each minute (of the whole, when that is shorter) only what time brings: eviction, hibernation.
    const period = Math.min(60, seconds) * 1000;
    const within = (low, high) => performance.now() + low + this.#below(high - low);
    let [deployAt, killAt] = [0, within(0, 0.2 * period)];
    while (this.#running) {
      await sleep(100);
      const now = performance.now();
      if ((now - this.#begin) % period < 0.45 * period) continue;
      if (now >= killAt) {
        await this.#kill();
        killAt = within(1_000, 9_000);
      } else if (now >= deployAt) {
        await this.#deploy();
        deployAt = within(200, 4_000);
      }
    }
  }

  async #deploy() {
    this.#last.deploy = performance.now();
    const first = this.#deployment === 0;
    await this.#server.deploy('soak', { 'worker.mjs': `${this.#source}\n// deployment ${this.#deployment++}` }, {
      bindings: [{ type: 'durable_object_namespace', name: 'SOAK', class_name: 'Soak' }],
      ...(first ? { migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Soak'] }] } } : {}),
    });
    this.stats.deploys++;
    this.#last.deploy = performance.now();
  }

  async #kill() {
    let done;
    this.#restarted = new Promise((resolve) => (done = resolve));
    this.#last.kill = performance.now();
    await this.#server.kill();
    await this.#server.startAgain();
    this.stats.kills++;
    this.#last.kill = performance.now();
    done();
  }

  // --- the end

  async #check() {
    this.stats.incarnations = 0;
    const states = [];
    let next = 0;
    const read = async (number) => {
      const { status, text } = await this.#server.fetch('soak', `/state/o${number}`, { agent: this.#agent });
      if (status !== 200) throw new Error(`object ${number} cannot be read: ${text}`);
      return JSON.parse(text);
    };
    await Promise.all(Array.from({ length: 16 }, async () => {
      while (next < this.#objects.length) {
        const number = next++;
        states[number] = await read(number);
      }
    }));
    states.forEach((state, number) => this.#checkObject(number, state, states));
    // Alarms that are due fire soon.
    const deadline = performance.now() + kAlarmLateMs;
    for (let number = 0; number < states.length; number++) {
      let { waiting } = states[number];
      while (waiting.length > 0 && performance.now() < deadline) {
        await sleep(100);
        ({ waiting } = await read(number));
      }
      if (waiting.length > 0) this.#fail(`object ${number}: ${waiting.length} alarms have not fired ${kAlarmLateMs / 1000} s after all were due`);
    }
  }

  #checkObject(number, state, states) {
    const object = this.#objects[number];
    const sayWhen = (set, wrong, what) => {
      const found = set.filter(wrong);
      if (found.length > 0) this.#fail(`object ${number}: ${found.length} ${what}, such as ${JSON.stringify(found[0])}`);
    };
    this.stats.incarnations += state.incarnation;
    const adds = new Set(state.adds);
    if (state.count !== adds.size) this.#fail(`object ${number}: its count is ${state.count}, its increments are ${adds.size}`);
    if (state.incarnation < object.incarnation) this.#fail(`object ${number}: instance ${object.incarnation} is forgotten, this is ${state.incarnation}`);
    const armed = new Set(state.armed);
    const credits = (who) => (states[who].creditOps ??= new Set(states[who].credits.map(({ op }) => op)));
    sayWhen([...object.acknowledged], (op) => !adds.has(op), 'acknowledged increments are lost');
    sayWhen([...state.adds, ...state.debits, ...state.armed, ...credits(number)], (op) => !object.tried.has(op), 'changes that nobody asked for');
    sayWhen([...object.armed], (op) => !armed.has(op), 'acknowledged alarms are lost');
    const debits = (who) => (states[who].debitOps ??= new Set(states[who].debits));
    sayWhen(object.transfers, ({ op, to }) => !debits(number).has(op) || !credits(to).has(op), 'acknowledged transfers are lost');
    sayWhen(state.credits, ({ op, source: from }) => !debits(Number(from.slice(1))).has(op), 'transfers that the source has forgotten');
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: Object.fromEntries(Object.entries({ seconds: '600', objects: '2000', sockets: '100', clients: '32', shards: '4' }).map(([name, value]) => [name, { type: 'string', default: value }])),
  });
  const seed = Number(process.env.HF_SEED ?? Math.floor(Math.random() * 2 ** 31));
  const soak = new Soak({ ...Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Number(value)])), seed });
  console.log(`HF_SEED=${seed}`);
  const failures = await soak.run();
  console.log(JSON.stringify(soak.stats, null, 1));
  for (const failure of failures) console.log(`FAILED: ${failure}`);
  process.exit(failures.length > 0 ? 1 : 0);
}
