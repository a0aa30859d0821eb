// Servers and clients of Node's http and http2, and of ws: node peer.js serve CONTENT | node peer.js VERB HOW BASE CONTENT SIZES BACKENDS
//
// What is printed is as in ../go/main.go.
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const http2 = require('http2');
const https = require('https');
const path = require('path');
const { WebSocket, WebSocketServer } = require('ws');

const sum = (bytes) => crypto.createHash('sha256').update(bytes).digest('hex');

function whole(stream) {
  return new Promise((resolve, reject) => {
    const pieces = [];
    stream.on('data', (piece) => pieces.push(piece));
    stream.on('end', () => resolve(Buffer.concat(pieces)));
    stream.on('error', reject);
    stream.on('aborted', () => reject(new Error('cut off')));
  });
}

// The compatibility interface of http2 is that of http, so one function answers in both.
async function answer(content, request, response) {
  const route = `${request.method} ${request.url.replace(/\d+$/, '')}`;
  if (route === 'GET /bytes/') {
    const bytes = fs.readFileSync(path.join(content, path.basename(request.url)));
    response.writeHead(200, { 'content-length': bytes.length });
    response.end(bytes);
  } else if (request.method === 'PUT' && request.url === '/sha256') {
    const hash = crypto.createHash('sha256');
    for await (const piece of request) hash.update(piece);
    response.writeHead(200);
    response.end(hash.digest('hex'));
  } else if (request.method === 'PUT' && request.url === '/trailers') {
    const body = await whole(request);
    response.writeHead(200, { trailer: 'x-back' });
    response.write(body);
    response.addTrailers({ 'x-back': request.trailers['x-sent'] || '' });
    response.end();
  } else if (route.startsWith('GET /events/')) {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (let number = 0; number < 10; number++) {
      if (number === 1) await gate(path.basename(request.url)).opened;
      response.write(`id: ${number}\ndata: event ${number}\n\n`);
    }
    response.end();
  } else if (request.method === 'PUT' && request.url.startsWith('/release/')) {
    gate(path.basename(request.url)).open();
    response.writeHead(200);
    response.end();
  } else {
    response.writeHead(404);
    response.end();
  }
}

// What the second event of a stream waits for.
const gates = new Map();
function gate(name) {
  if (!gates.has(name)) {
    const made = {};
    made.opened = new Promise((open) => { made.open = open; });
    gates.set(name, made);
  }
  return gates.get(name);
}

async function serve(content) {
  const handler = (request, response) => answer(content, request, response).catch((error) => {
    console.error(error);
    response.destroy();
  });
  const listen = (server) => new Promise((resolve) => server.listen(0, () => resolve(server.address().port)));
  const first = http.createServer(handler);
  first.keepAliveTimeout = 600000;
  const giveBack = (socket) => {
    socket.on('message', (message, binary) => socket.send(message, { binary }));
    socket.on('error', (error) => console.error(error));
  };
  new WebSocketServer({ server: first, path: '/ws' }).on('connection', giveBack);
  const second = http2.createServer({ settings: { enableConnectProtocol: true } }, handler);
  second.on('connect', ({ headers, stream }) => {
    if (headers[':protocol'] !== 'websocket' || headers[':path'] !== '/ws') {
      stream.respond({ ':status': 404 }, { endStream: true });
      return;
    }
    stream.respond({ ':status': 200 });
    giveBack(speakOn(stream, true));
  });
  console.log(`ready http=${await listen(first)} http2=${await listen(second)}`);
}

function secrets(how, content) {
  if (!how.startsWith('tls-')) return {};
  const read = (name) => fs.readFileSync(path.join(content, name));
  return { ca: read('authority.pem'), cert: read('client.pem'), key: read('client.key') };
}

// That trailers will follow, and are welcome.
const announcement = (trailers) => ({ trailer: Object.keys(trailers).join(', '), te: 'trailers' });

// Sends {method, path, body, trailers, counted} and answers with {body, trailers}, after telling `seen` of each piece; one
// connection for all that is sent.
function first(how, base, content) {
  const module = how.startsWith('tls-') ? https : http;
  const agent = new module.Agent({ keepAlive: true, maxSockets: 1, ...secrets(how, content) });
  const send = ({ method, path, body, trailers, counted, seen }) => new Promise((resolve, reject) => {
    const headers = body && counted ? { 'content-length': body.length } : {};
    if (trailers) Object.assign(headers, announcement(trailers));
    const request = module.request(base + path, { method, agent, headers, timeout: 60000 }, (response) => {
      if (seen) response.on('data', seen);
      whole(response).then((bytes) => {
        if (response.statusCode !== 200) reject(new Error(`${response.statusCode}: ${bytes.subarray(0, 200)}`));
        else resolve({ body: bytes, trailers: response.trailers });
      }, reject);
    });
    request.on('error', reject);
    request.on('timeout', () => request.destroy(new Error('nothing for a minute')));
    if (body && !counted) request.write(body);
    if (trailers) request.addTrailers(trailers);
    request.end(body && counted ? body : undefined);
  });
  return { send, close: () => agent.destroy() };
}

async function second(how, base, content) {
  const session = http2.connect(base, secrets(how, content));
  await new Promise((resolve, reject) => { session.once('connect', resolve); session.once('error', reject); });
  const send = ({ method, path, body, trailers, counted, seen }) => new Promise((resolve, reject) => {
    const headers = { ':method': method, ':path': path };
    if (body && counted) headers['content-length'] = body.length;
    if (trailers) Object.assign(headers, announcement(trailers));
    const stream = session.request(headers, { endStream: !body, waitForTrailers: Boolean(trailers) });
    stream.setTimeout(60000, () => stream.destroy(new Error('nothing for a minute')));
    if (trailers) stream.on('wantTrailers', () => stream.sendTrailers(trailers));
    let status;
    let back = {};
    stream.on('response', (fields) => { status = fields[':status']; });
    stream.on('trailers', (fields) => { back = fields; });
    if (seen) stream.on('data', seen);
    whole(stream).then((bytes) => {
      if (status !== 200) reject(new Error(`${status}: ${bytes.subarray(0, 200)}`));
      else resolve({ body: bytes, trailers: back });
    }, reject);
    if (body) stream.end(body);
  });
  return { send, close: () => session.close() };
}

async function attempt(backend, what, work) {
  const failure = await work().then(() => 'ok', (error) => String(error.message || error).replace(/\s+/g, ' '));
  console.log(`${backend}\t${what}\t${failure}`);
}

function same(got, want) {
  if (got !== want) throw new Error(`other bytes came back: ${got.slice(0, 100)}`);
}

const connect = (how, base, content) => (how.endsWith('h2') ? second : first)(how, base, content);

async function call(how, base, content, sizes, backends) {
  const client = await connect(how, base, content);
  for (const backend of backends.split(',')) {
    for (const size of sizes.split(',')) {
      const body = fs.readFileSync(path.join(content, size));
      const upload = async (counted) => {
        const back = await client.send({ method: 'PUT', path: `/${backend}/sha256`, body, counted });
        same(back.body.toString(), sum(body));
      };
      await attempt(backend, `get ${size}`, async () => {
        const back = await client.send({ method: 'GET', path: `/${backend}/bytes/${size}` });
        same(sum(back.body), sum(body));
      });
      await attempt(backend, `put ${size}`, () => upload(true));
      await attempt(backend, `stream ${size}`, () => upload(false));
    }
  }
  client.close();
}

async function trailers(how, base, content, _sizes, backends) {
  const client = await connect(how, base, content);
  const body = Buffer.from('trailers '.repeat(10000));
  for (const backend of backends.split(',')) {
    await attempt(backend, 'trailers', async () => {
      const sent = { 'x-sent': 'there and back' };
      const back = await client.send({ method: 'PUT', path: `/${backend}/trailers`, body, trailers: sent });
      same(back.body.toString(), body.toString());
      same(back.trailers['x-back'] || '', 'there and back');
    });
  }
  client.close();
}

// The second event is sent when the first has come.
async function events(how, base, content, _sizes, backends) {
  const listener = await connect(how, base, content);
  const other = await connect(how, base, content);
  const all = [...Array(10).keys()].map((number) => `id: ${number}\ndata: event ${number}\n\n`);
  for (const backend of backends.split(',')) {
    await attempt(backend, 'events', async () => {
      const name = `node-${crypto.randomUUID()}`;
      let got = '';
      let released;
      const seen = (piece) => {
        got += piece;
        if (got === all[0]) {
          released = other.send({ method: 'PUT', path: `/${backend}/release/${name}`, body: Buffer.from('x'), counted: true });
          released.catch(() => {});
        }
      };
      const back = await listener.send({ method: 'GET', path: `/${backend}/events/${name}`, seen });
      await released;
      same(back.body.toString(), all.join(''));
    });
  }
  listener.close();
  other.close();
}

// A WebSocket on a stream of HTTP/2 (RFC 8441), once both sides have agreed to it.
function speakOn(stream, isServer) {
  const socket = new WebSocket(null, undefined, { closeTimeout: 30000 });
  socket._isServer = isServer;
  socket.setSocket(stream, Buffer.alloc(0), { maxPayload: 0, skipUTF8Validation: false });
  return socket;
}

// Asks for one.
async function onStream(how, base, path, content) {
  const session = http2.connect(base, secrets(how, content));
  const settings = await new Promise((resolve, reject) => {
    session.once('remoteSettings', resolve);
    session.once('error', reject);
  });
  if (!settings.enableConnectProtocol) throw new Error('no extended CONNECT');
  const stream = session.request({
    ':method': 'CONNECT', ':protocol': 'websocket', ':path': path, 'sec-websocket-version': '13',
  });
  const fields = await new Promise((resolve, reject) => {
    stream.once('response', resolve);
    stream.once('error', reject);
  });
  if (fields[':status'] !== 200) throw new Error(`${fields[':status']} for a CONNECT`);
  const socket = speakOn(stream, false);
  socket.once('close', () => session.close());
  return socket;
}

async function websocket(how, base, content, _sizes, backends) {
  for (const backend of backends.split(',')) {
    await attempt(backend, 'websocket', async () => {
      const socket = how.endsWith('h2')
        ? await onStream(how, base, `/${backend}/ws`, content)
        : new WebSocket(`${base.replace(/^http/, 'ws')}/${backend}/ws`, secrets(how, content));
      const pending = [];
      const next = (event) => new Promise((resolve, reject) => {
        pending.push(reject);
        socket.once(event, (...values) => resolve(values));
      });
      socket.on('error', (error) => pending.forEach((reject) => reject(error)));
      socket.on('close', () => pending.forEach((reject) => reject(new Error('closed before'))));
      const patience = setTimeout(() => socket.terminate(), 60000);
      if (socket.readyState !== WebSocket.OPEN) await next('open');
      for (const size of [0, 1, 125, 126, 65535, 65536, 1 << 20]) {
        const sent = crypto.randomBytes(size);
        const message = next('message');
        socket.send(sent);
        const [got, binary] = await message;
        if (!binary || !sent.equals(got)) throw new Error(`${size} bytes came back changed`);
      }
      const end = new Promise((resolve) => socket.once('close', resolve));
      socket.close(1000, 'done');
      same(String(await end), '1000');
      clearTimeout(patience);
    });
  }
}

const [verb, ...rest] = process.argv.slice(2);
({ serve, call, trailers, events, websocket })[verb](...rest).catch((error) => { console.error(error); process.exit(1); });
