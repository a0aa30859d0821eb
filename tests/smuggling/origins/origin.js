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
  // A request that broke off says so as ECONNRESET; everything else is a request that is none.
  if (error.code !== 'ECONNRESET' && error.code !== 'HPE_INVALID_EOF_STATE') console.log(`|${error.code}|400`);
  socket.destroy();
});
server.keepAliveTimeout = 600000;
server.listen(Number(process.argv[2]), '127.0.0.1');
