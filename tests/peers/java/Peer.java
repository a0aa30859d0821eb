// A server and a client of the JDK: java Peer.java serve CONTENT | call HOW BASE CONTENT SIZES BACKENDS
//
// What is printed is as in ../go/main.go.
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayInputStream;
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
import java.util.concurrent.Executors;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

public class Peer {
    public static void main(String[] arguments) throws Exception {
        if (arguments[0].equals("serve")) serve(Path.of(arguments[1]));
        else call(arguments[1], arguments[2], Path.of(arguments[3]), arguments[4].split(","), arguments[5].split(","));
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
        server.start();
        System.out.println("ready http=" + server.getAddress().getPort());
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

    static void call(String how, String base, Path content, String[] sizes, String[] backends) throws Exception {
        HttpClient client = client(how, content);
        HttpClient.Version version = how.endsWith("h2") ? HttpClient.Version.HTTP_2 : HttpClient.Version.HTTP_1_1;
        for (String backend : backends) {
            for (String size : sizes) {
                byte[] body = Files.readAllBytes(content.resolve(size));
                byte[] sum = HexFormat.of().formatHex(sha256().digest(body)).getBytes();
                String url = base + "/" + backend;
                HttpRequest get = request(url + "/bytes/" + size).GET().build();
                attempt(client, version, backend, "get " + size, get, body);
                BodyPublisher counted = BodyPublishers.ofByteArray(body);
                attempt(client, version, backend, "put " + size, request(url + "/sha256").PUT(counted).build(), sum);
                BodyPublisher streamed = BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(body));
                attempt(client, version, backend, "stream " + size, request(url + "/sha256").PUT(streamed).build(), sum);
            }
        }
    }

    static HttpRequest.Builder request(String url) {
        return HttpRequest.newBuilder(URI.create(url)).timeout(Duration.ofMinutes(1));
    }

    static void attempt(
            HttpClient client, HttpClient.Version version, String backend, String what, HttpRequest request, byte[] want) {
        String result = "ok";
        try {
            HttpResponse<byte[]> answer = client.send(request, BodyHandlers.ofByteArray());
            if (answer.statusCode() != 200 || !Arrays.equals(answer.body(), want)) {
                result = answer.statusCode() + ", " + answer.body().length + " bytes";
            } else if (answer.version() != version) {
                result = "came as " + answer.version();
            }
        } catch (Exception error) {
            result = error.toString().replaceAll("\\s+", " ");
        }
        System.out.println(backend + "\t" + what + "\t" + result);
    }
}
