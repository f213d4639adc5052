// What a case with a `client` talks through: a WebSocket client of the network, and requests, to one of the two servers.
// Only the runner has it; the case's object is on the other side.
import { request as httpRequest } from 'node:http';
import { WebSocket } from 'ws';
import { pause, until } from './stage.mjs';

function text(data, isBinary) {
  if (isBinary) return data.length > 20 ? `binary <${data.length} bytes>` : `binary ${[...data]}`;
  return data.length > 200 ? `text <${data.length} chars>` : `text ${data}`;
}

// A client and what it saw.
class Client {
  events = [];

  constructor(url, { protocols = [], host, headers = {}, ...options }) {
    this.ws = new WebSocket(url, protocols, { headers: { host, ...headers }, perMessageDeflate: false, ...options });
    this.ws.on('upgrade', (response) => (this.response = response));
    this.ws.on('open', () => this.#note('open'));
    this.ws.on('message', (data, isBinary) => this.#note(text(data, isBinary)));
    this.ws.on('ping', (data) => this.#note(`ping ${data}`));
    this.ws.on('pong', (data) => this.#note(`pong ${data}`));
    this.ws.on('close', (code, reason) => this.#note(`close ${code} ${reason}`));
    this.ws.on('error', (error) => this.#note(`error ${error.message}`));
    this.ws.on('unexpected-response', (request, response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => this.#note(`response ${response.statusCode} ${Buffer.concat(chunks)}`));
    });
  }

  #note(entry) {
    this.events.push(entry);
  }

  // Resolves when there are that many events (false: too late).
  until(count, ms = 4000) {
    return until(() => this.events.length >= count, ms);
  }

  closed(ms = 4000) {
    return until(() => this.events.some((event) => /^(close|response)/.test(event)), ms);
  }

  // Bytes as they are, past the client's own framing.
  raw(bytes) {
    this.ws._socket.write(Buffer.from(bytes));
  }

  // A masked frame (the mask is 0): the first byte with FIN and opcode, and the payload.
  frame(first, payload = []) {
    const bytes = Buffer.from(payload);
    const length = bytes.length < 126 ? [0x80 | bytes.length] : [0x80 | 126, bytes.length >> 8, bytes.length & 255];
    this.raw([first, ...length, 0, 0, 0, 0, ...bytes]);
  }

  header(name) {
    return this.response?.headers[name];
  }
}

// Runs a case's client against the server at `port`, whose Worker is called `host`.
export async function runClient(test, name, port, host) {
  const path = (object, query) => `/${encodeURIComponent(name)}?${encodeURIComponent(object)}${query}`;
  const open = new Set();
  const connect = (object = '', { query = '', ...options } = {}) => {
    const client = new Client(`ws://127.0.0.1:${port}${path(object, query)}`, { host, ...options });
    open.add(client);
    return client;
  };
  // {status, text, headers} of a request; an upgraded connection counts as a response without a body.
  const fetch = (object = '', { query = '', method = 'GET', headers = {}, body } = {}) =>
    new Promise((resolve, reject) => {
      const request = httpRequest({ host: '127.0.0.1', port, path: path(object, query), method, headers: { host, ...headers } });
      request.on('response', (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, text: Buffer.concat(chunks).toString() }));
      });
      request.on('upgrade', (response, socket) => {
        socket.destroy();
        resolve({ status: response.statusCode, headers: response.headers, text: '' });
      });
      request.on('error', reject);
      request.end(body);
    });
  // The object's notes.
  const notes = async (object = '') => JSON.parse((await fetch(object, { query: '/notes' })).text);
  try {
    return { value: structuredClone(await test.client({ connect, fetch, notes, pause, until })) };
  } catch (error) {
    return { error: `${error.name}: ${error.message}` };
  } finally {
    for (const { ws } of open) ws.terminate();
  }
}
