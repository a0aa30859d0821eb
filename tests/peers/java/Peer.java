// A server and a client of the JDK: java Peer serve CONTENT | java Peer VERB HOW BASE CONTENT SIZES BACKENDS
//
// What is printed is as in ../go/main.go.
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.net.http.WebSocket;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.time.Duration;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

public class Peer {
    public static void main(String[] arguments) throws Exception {
        if (arguments[0].equals("serve")) serve(Path.of(arguments[1]));
        else new Peer(arguments).run(arguments[0]);
        // The client's threads would keep the program for a while.
        if (!arguments[0].equals("serve")) System.exit(0);
    }

    static void serve(Path content) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress("0.0.0.0", 0), 1024);
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/bytes/", exchange -> {
            String size = Path.of(exchange.getRequestURI().getPath()).getFileName().toString();
            answer(exchange, Files.readAllBytes(content.resolve(size)));
        });
        server.createContext("/sha256", exchange -> {
            MessageDigest digest = sha256();
            byte[] piece = new byte[65536];
            InputStream body = exchange.getRequestBody();
            for (int length; (length = body.read(piece)) >= 0; ) digest.update(piece, 0, length);
            answer(exchange, HexFormat.of().formatHex(digest.digest()).getBytes());
        });
        ConcurrentHashMap<String, Semaphore> gates = new ConcurrentHashMap<>();
        server.createContext("/events/", exchange -> {
            String name = Path.of(exchange.getRequestURI().getPath()).getFileName().toString();
            exchange.getResponseHeaders().add("content-type", "text/event-stream");
            exchange.sendResponseHeaders(200, 0);
            for (int number = 0; number < 10; number++) {
                if (number == 1) gates.computeIfAbsent(name, key -> new Semaphore(0)).acquireUninterruptibly();
                exchange.getResponseBody().write(event(number).getBytes());
                exchange.getResponseBody().flush();
            }
            exchange.close();
        });
        server.createContext("/release/", exchange -> {
            String name = Path.of(exchange.getRequestURI().getPath()).getFileName().toString();
            gates.computeIfAbsent(name, key -> new Semaphore(0)).release();
            exchange.getRequestBody().readAllBytes();
            exchange.sendResponseHeaders(200, -1);
            exchange.close();
        });
        server.start();
        System.out.println("ready http=" + server.getAddress().getPort());
    }

    static String event(int number) {
        return "id: " + number + "\ndata: event " + number + "\n\n";
    }

    static void answer(HttpExchange exchange, byte[] body) throws IOException {
        exchange.sendResponseHeaders(200, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }

    static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (Exception impossible) {
            throw new AssertionError(impossible);
        }
    }

    // One of h1, upgrade (asks for h2c and is not given it), tls-h1, tls-h2.
    static HttpClient client(String how, Path content) throws Exception {
        HttpClient.Builder builder = HttpClient.newBuilder().connectTimeout(Duration.ofMinutes(1));
        builder.version(how.endsWith("h1") ? HttpClient.Version.HTTP_1_1 : HttpClient.Version.HTTP_2);
        if (how.startsWith("tls-")) builder.sslContext(trust(content));
        return builder.build();
    }

    static SSLContext trust(Path content) throws Exception {
        CertificateFactory certificates = CertificateFactory.getInstance("X.509");
        Certificate authority = certificates.generateCertificate(Files.newInputStream(content.resolve("authority.pem")));
        Certificate own = certificates.generateCertificate(Files.newInputStream(content.resolve("client.pem")));
        String pem = Files.readString(content.resolve("client.key")).replaceAll("-----.*-----|\\s", "");
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        store.setCertificateEntry("authority", authority);
        PKCS8EncodedKeySpec key = new PKCS8EncodedKeySpec(Base64.getDecoder().decode(pem));
        store.setKeyEntry("own", KeyFactory.getInstance("EC").generatePrivate(key), new char[0], new Certificate[] {own});
        TrustManagerFactory trusted = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trusted.init(store);
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(store, new char[0]);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trusted.getTrustManagers(), null);
        return context;
    }

    final HttpClient client;
    final HttpClient.Version version;
    final String base;
    final Path content;
    final String[] sizes;
    final String[] backends;

    Peer(String[] arguments) throws Exception {
        String how = arguments[1];
        base = arguments[2];
        content = Path.of(arguments[3]);
        sizes = arguments[4].split(",");
        backends = arguments[5].split(",");
        client = client(how, content);
        version = how.endsWith("h2") ? HttpClient.Version.HTTP_2 : HttpClient.Version.HTTP_1_1;
    }

    interface Work {
        void run() throws Exception;
    }

    void attempt(String backend, String what, Work work) {
        String result = "ok";
        try {
            work.run();
        } catch (Exception error) {
            result = error.toString().replaceAll("\\s+", " ");
        }
        System.out.println(backend + "\t" + what + "\t" + result);
    }

    static void check(boolean holds, String otherwise) throws Exception {
        if (!holds) throw new Exception(otherwise);
    }

    void run(String verb) throws Exception {
        for (String backend : backends) {
            String url = base + "/" + backend;
            if (verb.equals("call")) call(backend, url);
            else if (verb.equals("events")) attempt(backend, "events", () -> listen(url));
            else attempt(backend, "websocket", () -> converse(url));
        }
    }

    HttpRequest.Builder request(String url) {
        return HttpRequest.newBuilder(URI.create(url)).timeout(Duration.ofMinutes(1));
    }

    void call(String backend, String url) throws Exception {
        for (String size : sizes) {
            byte[] body = Files.readAllBytes(content.resolve(size));
            byte[] sum = HexFormat.of().formatHex(sha256().digest(body)).getBytes();
            BodyPublisher counted = BodyPublishers.ofByteArray(body);
            BodyPublisher streamed = BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(body));
            attempt(backend, "get " + size, () -> expect(request(url + "/bytes/" + size).GET(), body));
            attempt(backend, "put " + size, () -> expect(request(url + "/sha256").PUT(counted), sum));
            attempt(backend, "stream " + size, () -> expect(request(url + "/sha256").PUT(streamed), sum));
        }
    }

    void expect(HttpRequest.Builder request, byte[] want) throws Exception {
        HttpResponse<byte[]> answer = client.send(request.build(), BodyHandlers.ofByteArray());
        check(answer.statusCode() == 200, "status " + answer.statusCode());
        check(Arrays.equals(answer.body(), want), answer.body().length + " other bytes");
        check(answer.version() == version, "came as " + answer.version());
    }

    // The second event is sent when the first has come.
    void listen(String url) throws Exception {
        String name = "java-" + UUID.randomUUID();
        HttpRequest request = request(url + "/events/" + name).build();
        try (InputStream body = client.send(request, BodyHandlers.ofInputStream()).body()) {
            for (int number = 0; number < 10; number++) {
                String got = new String(body.readNBytes(event(number).length()));
                check(got.equals(event(number)), "another event: " + got);
                BodyPublisher nothing = BodyPublishers.noBody();
                if (number == 0) expect(request(url + "/release/" + name).PUT(nothing), new byte[0]);
            }
            check(body.read() < 0, "no end");
        }
    }

    void converse(String url) throws Exception {
        LinkedBlockingQueue<byte[]> got = new LinkedBlockingQueue<>();
        CompletableFuture<Integer> end = new CompletableFuture<>();
        WebSocket socket = client.newWebSocketBuilder().buildAsync(URI.create(url.replaceFirst("http", "ws") + "/ws"),
                new WebSocket.Listener() {
                    final ByteArrayOutputStream message = new ByteArrayOutputStream();

                    public CompletionStage<?> onBinary(WebSocket socket, ByteBuffer data, boolean last) {
                        byte[] piece = new byte[data.remaining()];
                        data.get(piece);
                        message.writeBytes(piece);
                        if (last) {
                            got.add(message.toByteArray());
                            message.reset();
                        }
                        socket.request(1);
                        return null;
                    }

                    public CompletionStage<?> onClose(WebSocket socket, int code, String reason) {
                        end.complete(code);
                        return null;
                    }

                    public void onError(WebSocket socket, Throwable error) {
                        end.completeExceptionally(error);
                    }
                }).get(1, TimeUnit.MINUTES);
        Random random = new Random(1);
        for (int size : new int[] {0, 1, 125, 126, 65535, 65536, 1 << 20}) {
            byte[] sent = new byte[size];
            random.nextBytes(sent);
            socket.sendBinary(ByteBuffer.wrap(sent), true).get(1, TimeUnit.MINUTES);
            check(Arrays.equals(got.poll(1, TimeUnit.MINUTES), sent), size + " bytes came back changed");
        }
        socket.sendClose(WebSocket.NORMAL_CLOSURE, "done").get(1, TimeUnit.MINUTES);
        check(end.get(1, TimeUnit.MINUTES) == WebSocket.NORMAL_CLOSURE, "closed otherwise");
    }
}
