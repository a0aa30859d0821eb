// A server that gives back what it is sent, and a caller that checks it: node echo.js serve PORT | call URL
const http = require('http');
const [what, where] = process.argv.slice(2);

function whole(stream) {
  return new Promise((resolve, reject) => {
    const pieces = [];
    stream.on('data', (piece) => pieces.push(piece));
    stream.on('end', () => resolve(Buffer.concat(pieces)));
    stream.on('error', reject);
    stream.on('aborted', () => reject(new Error('aborted')));
  });
}

function call(agent, size) {
  const body = Buffer.alloc(size);
  for (let i = 0; i < size; i++) body[i] = (i ^ (i >> 8) ^ (i >> 16)) & 255;
  return new Promise((resolve, reject) => {
    const request = http.request(where, { method: 'POST', agent, headers: { 'content-length': size } }, async (response) => {
      try {
        const answer = await whole(response);
        if (response.statusCode !== 200 || !answer.equals(body)) throw new Error(`${size} bytes came back changed`);
        resolve();
      } catch (error) { reject(error); }
    });
    request.on('error', reject);
    request.end(body);
  });
}

async function main() {
  if (what === 'serve') {
    const server = http.createServer(async (request, response) => {
      const body = await whole(request);
      response.writeHead(200, { 'content-length': body.length });
      response.end(body);
    });
    server.keepAliveTimeout = 600000;
    server.listen(Number(where), '0.0.0.0', () => console.log('ready'));
  } else {
    const agent = new http.Agent({ keepAlive: true });
    for (let round = 0; round < 20; round++) {
      await Promise.all([0, 1, 300, 16384, 1 << 20].map((size) => call(agent, size)));
    }
    agent.destroy();
  }
}

main().catch((error) => { console.error(error); process.exit(1); });
