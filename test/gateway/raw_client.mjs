// A client that sends exactly the bytes it is told to, and takes answers apart itself: what a library would correct or
// refuse to send has to reach the server.
import { once } from 'node:events';
import { connect } from 'node:net';

export class RawClient {
  #received = Buffer.alloc(0);
  #ended = false;
  #waiting;

  static async connect(port) {
    const self = new RawClient();
    self.socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    self.socket.on('data', (chunk) => {
      self.#received = Buffer.concat([self.#received, chunk]);
      self.#waiting?.();
    });
    const end = (error) => {
      self.error ??= error;
      self.#ended = true;
      self.#waiting?.();
    };
    self.socket.on('end', () => end());
    self.socket.on('error', end);
    self.socket.on('close', () => end());
    await once(self.socket, 'connect');
    return self;
  }

  send(data) {
    this.socket.write(data, 'latin1');
    return this;
  }

  async #until(found) {
    for (;;) {
      const at = found();
      if (at !== undefined && at !== false) return at;
      if (this.#ended) throw new Error(`the connection ended after ${JSON.stringify(this.#received.toString('latin1'))}`, { cause: this.error });
      await new Promise((resolve) => (this.#waiting = resolve));
    }
  }

  async #line() {
    const end = await this.#until(() => {
      const at = this.#received.indexOf('\r\n');
      return at < 0 ? undefined : at;
    });
    const line = this.#received.subarray(0, end).toString('latin1');
    this.#received = this.#received.subarray(end + 2);
    return line;
  }

  async take(bytes) {
    await this.#until(() => this.#received.length >= bytes);
    const taken = this.#received.subarray(0, bytes);
    this.#received = this.#received.subarray(bytes);
    return taken;
  }

  /** Takes everything up to the end of a text. */
  async until(text) {
    const end = await this.#until(() => this.#received.includes(text) && this.#received.indexOf(text) + text.length);
    return await this.take(end);
  }

  /** The next response: {status, headers, body}. `head`: the answer to a HEAD request. */
  async response({ head = false } = {}) {
    const status = Number((await this.#line()).split(' ')[1]);
    const headers = {};
    for (let line; (line = await this.#line()) !== ''; ) {
      const colon = line.indexOf(':');
      headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
    }
    const chunks = [];
    if (head || status < 200 || status === 204 || status === 304) return { status, headers, body: '' };
    if (headers['transfer-encoding'] === 'chunked') {
      for (;;) {
        const size = parseInt(await this.#line(), 16);
        chunks.push(await this.take(size));
        if ((await this.#line()) !== '') throw new Error('a chunk does not end with CR LF');
        if (size === 0) break;
      }
    } else if (headers['content-length'] !== undefined) {
      chunks.push(await this.take(Number(headers['content-length'])));
    } else {
      await this.closed();
      chunks.push(this.#received);
    }
    return { status, headers, body: Buffer.concat(chunks).toString() };
  }

  /** Resolves when the server has closed; bytes nobody took are the result. */
  async closed() {
    while (!this.#ended) await new Promise((resolve) => (this.#waiting = resolve));
    return this.#received;
  }

  destroy() {
    this.socket.destroy();
  }
}
