// Writes down what it is asked: node origin.js PORT
const http = require('http');

const server = http.createServer((request, response) => {
  request.on('error', () => {});
  request.on('end', () => {
    console.log(`${request.headers['x-request-id'] ?? ''}|${request.method} ${request.url} HTTP/${request.httpVersion}|200`);
    response.end('ok');
  });
  request.resume();
});
server.on('clientError', (error, socket) => {
  // A request that broke off says so as ECONNRESET; everything else is a request that is none, and answered as it is by
  // servers without this function.
  if (error.code === 'ECONNRESET' || error.code === 'HPE_INVALID_EOF_STATE' || !socket.writable) return socket.destroy();
  const packet = error.rawPacket?.toString('latin1') ?? '';
  const [, line, id] = /([^\r\n]+)\r\n(?:[^\r\n]+\r\n)*?x-request-id: ([^\r\n]+)/.exec(packet) ?? [null, error.code, ''];
  console.log(`${id}|${line}|400`);
  socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
});
server.keepAliveTimeout = 600000;
server.listen(Number(process.argv[2]), '127.0.0.1');
