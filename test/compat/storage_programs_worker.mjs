// Runs a program of storage operations inside an object and tells what each gave or threw (storage_programs.test.mjs).
import { DurableObject } from 'cloudflare:workers';
import { show } from './storage_cases.mjs';

class Machine {
  constructor(ctx) {
    this.storage = ctx.storage;
    this.log = [];
    this.cursors = new Map();
    this.list = undefined;
  }

  note(f) {
    try {
      this.log.push(show(f()));
    } catch (error) {
      this.log.push(`!${error.message}`);
    }
  }

  // A key that is written while workerd's list stands on it is given a second time.
  beforePut(keys) {
    if (this.at === undefined || keys.includes(this.at)) this.endList();
  }

  // After an error workerd's cursors go on with rows that are none.
  read(slot, f) {
    this.note(() => {
      const cursor = this.cursors.get(slot);
      try {
        return cursor && f(cursor);
      } catch (error) {
        this.cursors.delete(slot);
        throw error;
      }
    });
  }

  // In workerd a list holds its table while it is read: schemas cannot change, and what a rollback makes of it is nobody's
  // business.
  endList() {
    while (this.list !== undefined && !this.list.next().done);
    this.list = undefined;
  }

  // What needs no waiting: in transactionSync() too.
  now([op, ...args]) {
    const { storage } = this;
    switch (op) {
      case 'kvput':
        this.beforePut([args[0]]);
        return this.note(() => storage.kv.put(...args));
      case 'kvget':
        return this.note(() => storage.kv.get(...args));
      case 'kvdelete':
        return this.note(() => storage.kv.delete(...args));
      case 'kvlist':
        this.list = undefined;
        return this.note(() => [...storage.kv.list(...args)]);
      case 'kvopen':
        this.at = undefined;
        return this.note(() => void (this.list = storage.kv.list(...args)));
      case 'kvnext':
        return this.note(() => {
          const entry = this.list?.next();
          this.at = entry?.value?.[0];
          return entry;
        });
      case 'sql':
        if (/^(CREATE|DROP|ALTER)/.test(args[0])) this.endList();
        return this.note(() => storage.sql.exec(...args).raw().toArray());
      case 'open':
        return this.note(() => void this.cursors.set(args[0], storage.sql.exec(...args.slice(1))));
      case 'next':
        return this.read(args[0], (cursor) => cursor.next());
      case 'rest':
        return this.read(args[0], (cursor) => cursor.toArray());
      case 'size':
        return this.note(() => storage.sql.databaseSize);
      case 'transactionSync':
        this.endList();
        return this.note(() =>
          storage.transactionSync(() => {
            for (const inner of args[0]) this.now(inner);
            this.endList();
            if (args[1] === 'throw') throw new Error('thrown');
            return args[1];
          }),
        );
      default:
        return undefined;
    }
  }

  async run(program, txn = this.storage) {
    for (const [op, ...args] of program) {
      if (/^(kv|sql|open|next|rest|size|transactionSync)/.test(op)) {
        this.now([op, ...args]);
        continue;
      }
      try {
        this.log.push(show(await this.step(op, args, txn)));
      } catch (error) {
        this.log.push(`!${error.message}`);
      }
    }
  }

  async step(op, args, txn) {
    const { storage } = this;
    switch (op) {
      case 'pause':
        return await new Promise((resolve) => setTimeout(resolve, 1));
      case 'list':
        this.list = undefined; // in workerd it would end
        return await txn.list(...args);
      case 'put':
        this.beforePut(typeof args[0] === 'string' ? [args[0]] : Object.keys(args[0]));
        return await txn.put(...args);
      case 'deleteAll':
        this.list = undefined;
        return await storage.deleteAll();
      case 'sync':
        return await storage.sync();
      case 'getAlarm': {
        const at = await txn.getAlarm();
        return at === null ? null : at - Math.trunc(at / 1000) * 1000;
      }
      case 'transaction':
        this.endList();
        return await storage.transaction(async (inner) => {
          await this.run(args[0], inner);
          this.endList();
          if (args[1] === 'throw') throw new Error('thrown');
          if (args[1] === 'rollback') inner.rollback();
          return args[1];
        });
      default:
        return await txn[op](...args);
    }
  }
}

export class Subject extends DurableObject {
  alarm() {}
  async run(program) {
    const machine = new Machine(this.ctx);
    await machine.run(program);
    return machine.log;
  }
  async state() {
    const { storage } = this.ctx;
    const tables = {};
    for (const { name } of storage.sql.exec("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB '_cf_*' ORDER BY name")) {
      tables[name] = storage.sql.exec(`SELECT * FROM ${name}`).raw().toArray();
    }
    return show([await storage.list(), tables, await storage.getAlarm(), storage.sql.exec('PRAGMA quick_check').raw().toArray()]);
  }
  end() {
    this.ctx.abort('ended');
  }
}

export default {
  async fetch(request, env) {
    const out = [];
    for (const [name, program] of Object.entries(await request.json())) {
      const get = () => env.SUBJECT.getByName(name);
      const log = await get().run(program).catch((error) => `! ${error.message}`);
      // What is stored, by this instance and by the next.
      const before = await get().state();
      await get().end().catch(() => {});
      out.push({ name, log, before, after: await get().state() });
    }
    return Response.json(out);
  },
};
