// A server that gives back what it is sent, and a caller that checks it: java Echo.java serve PORT | call URL
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Arrays;
import java.util.concurrent.Executors;

public class Echo {
    public static void main(String[] arguments) throws Exception {
        if (arguments[0].equals("serve")) serve(Integer.parseInt(arguments[1]));
        else call(URI.create(arguments[1]));
    }

    static void serve(int port) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress("0.0.0.0", port), 4096);
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/", exchange -> {
            byte[] body = exchange.getRequestBody().readAllBytes();
            // For this server, 0 means chunked and -1 nothing.
            exchange.sendResponseHeaders(200, body.length == 0 ? -1 : body.length);
            if (body.length > 0) exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.start();
        System.out.println("ready");
    }

    static void call(URI uri) throws Exception {
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        for (int round = 0; round < 20; round++) {
            for (int size : new int[] {0, 1, 300, 16384, 1 << 20}) {
                byte[] body = new byte[size];
                for (int i = 0; i < size; i++) body[i] = (byte) (i ^ i >> 8 ^ i >> 16);
                HttpRequest request = HttpRequest.newBuilder(uri).POST(HttpRequest.BodyPublishers.ofByteArray(body)).build();
                HttpResponse<byte[]> answer = client.send(request, HttpResponse.BodyHandlers.ofByteArray());
                if (answer.statusCode() != 200 || !Arrays.equals(answer.body(), body)) {
                    throw new Exception(size + " bytes came back changed, status " + answer.statusCode());
                }
            }
        }
    }
}
