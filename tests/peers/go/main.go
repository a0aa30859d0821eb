// Servers and clients of net/http, WebSockets and grpc-go: peer serve CONTENT | peer VERB HOW BASE CONTENT SIZES BACKENDS
//
// Servers print "ready", then the names and ports they listen on. Clients print a line for each thing they have tried:
// the backend, what it was, and "ok" or what went wrong, with tabs between.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	var err error
	if os.Args[1] == "serve" {
		err = serve(os.Args[2])
	} else {
		how, base, content, sizes, backends := os.Args[2], os.Args[3], os.Args[4], os.Args[5], os.Args[6]
		switch os.Args[1] {
		case "call":
			err = call(how, base, content, sizes, backends)
		case "trailers":
			err = trailers(how, base, content, backends)
		case "events":
			err = listen(how, base, content, backends)
		case "websocket":
			err = converse(how, base, content, backends)
		case "grpc":
			err = rpc(how, base, content, backends)
		case "interop":
			err = interoperate(how, base, content, backends)
		default:
			err = fmt.Errorf("no such verb: %s", os.Args[1])
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// HTTP/1.1 and HTTP/2 with prior knowledge on one port.
func serve(content string) error {
	routes := http.NewServeMux()
	routes.HandleFunc("GET /bytes/{size}", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(content, r.PathValue("size")))
	})
	routes.HandleFunc("PUT /sha256", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		if _, err := io.Copy(sum, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
		io.WriteString(w, hex.EncodeToString(sum.Sum(nil)))
	})
	// The trailer of the request comes back as one of the response.
	routes.HandleFunc("PUT /trailers", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Back")
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Write(body)
		w.Header().Set("X-Back", r.Trailer.Get("X-Sent"))
	})
	events := &events{waiting: map[string]chan struct{}{}}
	routes.HandleFunc("GET /events/{name}", events.stream)
	routes.HandleFunc("PUT /release/{name}", events.release)
	routes.HandleFunc("GET /ws", giveBack)
	// What a page has to say; whoever started the browser waits for the file.
	routes.HandleFunc("PUT /report", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		unfinished := filepath.Join(content, "report.unfinished")
		if err == nil {
			err = os.WriteFile(unfinished, body, 0o600)
		}
		if err == nil {
			err = os.Rename(unfinished, filepath.Join(content, "report"))
		}
		if err != nil {
			http.Error(w, err.Error(), 500)
		}
	})
	// Calls of gRPC, which is served through net/http too, for servers that pass on to this one.
	routes.Handle("POST /", rpcServer())
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	rpc, err := net.Listen("tcp", ":0")
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", ":0")
	if err != nil {
		return err
	}
	port := func(listener net.Listener) int { return listener.Addr().(*net.TCPAddr).Port }
	fmt.Printf("ready http=%d grpc=%d\n", port(listener), port(rpc))
	go func() {
		fmt.Fprintln(os.Stderr, rpcServer().Serve(rpc))
		os.Exit(1)
	}()
	return (&http.Server{Handler: routes, Protocols: protocols}).Serve(listener)
}

// One of h1, h2, tls-h1, tls-h2, with the authority and the client's certificate that stand beside the content.
func client(how, content string) (*http.Client, error) {
	protocols := new(http.Protocols)
	switch how {
	case "h1", "tls-h1":
		protocols.SetHTTP1(true)
	case "h2":
		protocols.SetUnencryptedHTTP2(true)
	case "tls-h2":
		protocols.SetHTTP2(true)
	default:
		return nil, fmt.Errorf("no such way: %s", how)
	}
	transport := &http.Transport{Protocols: protocols, DisableCompression: true}
	if strings.HasPrefix(how, "tls-") {
		config, err := secrets(content)
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig = config
	}
	return &http.Client{Transport: transport, Timeout: 60 * time.Second}, nil
}

// What stands beside the content: an authority to trust, and a certificate of one's own.
func secrets(content string) (*tls.Config, error) {
	authority, err := os.ReadFile(filepath.Join(content, "authority.pem"))
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(content, "client.pem"), filepath.Join(content, "client.key"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}, nil
}

func say(backend, what string, err error) {
	result := "ok"
	if err != nil {
		result = strings.Join(strings.Fields(err.Error()), " ")
	}
	fmt.Printf("%s\t%s\t%s\n", backend, what, result)
}

// The body of the answer, once it is known to be whole, to be a 200, and to have come as it should.
func exchange(client *http.Client, how string, request *http.Request) (*http.Response, []byte, error) {
	response, err := client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, nil, err
	}
	if response.StatusCode != 200 {
		return nil, nil, fmt.Errorf("%s: %.200s", response.Status, body)
	}
	if want := map[bool]int{true: 2, false: 1}[strings.HasSuffix(how, "h2")]; response.ProtoMajor != want {
		return nil, nil, fmt.Errorf("came as %s", response.Proto)
	}
	return response, body, nil
}

func call(how, base, content, sizes, backends string) error {
	client, err := client(how, content)
	if err != nil {
		return err
	}
	for _, backend := range strings.Split(backends, ",") {
		for _, size := range strings.Split(sizes, ",") {
			sent, err := os.ReadFile(filepath.Join(content, size))
			if err != nil {
				return err
			}
			url := base + "/" + backend
			say(backend, "get "+size, get(client, how, url+"/bytes/"+size, sent))
			say(backend, "put "+size, put(client, how, url+"/sha256", sent, int64(len(sent))))
			// A length of -1 is one that is not known: chunked in HTTP/1.1.
			say(backend, "stream "+size, put(client, how, url+"/sha256", sent, -1))
		}
	}
	return nil
}

func get(client *http.Client, how, url string, want []byte) error {
	request, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return err
	}
	_, got, err := exchange(client, how, request)
	if err == nil && sha256.Sum256(got) != sha256.Sum256(want) {
		err = fmt.Errorf("%d other bytes", len(got))
	}
	return err
}

func put(client *http.Client, how, url string, sent []byte, length int64) error {
	request, err := http.NewRequest("PUT", url, io.NopCloser(bytes.NewReader(sent)))
	if err != nil {
		return err
	}
	request.ContentLength = length
	_, got, err := exchange(client, how, request)
	if sum := sha256.Sum256(sent); err == nil && string(got) != hex.EncodeToString(sum[:]) {
		err = fmt.Errorf("another sum came back: %.100q", got)
	}
	return err
}

func trailers(how, base, content, backends string) error {
	client, err := client(how, content)
	if err != nil {
		return err
	}
	for _, backend := range strings.Split(backends, ",") {
		say(backend, "trailers", trailer(client, how, base+"/"+backend+"/trailers"))
	}
	return nil
}

func trailer(client *http.Client, how, url string) error {
	body := strings.Repeat("trailers ", 10_000)
	context, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(context, "PUT", url, io.NopCloser(strings.NewReader(body)))
	if err != nil {
		return err
	}
	request.ContentLength = -1
	// Without this, HTTP/1.1 has no trailers for the client.
	request.Header.Set("TE", "trailers")
	request.Trailer = http.Header{"X-Sent": {"there and back"}}
	response, got, err := exchange(client, how, request)
	if err != nil {
		return err
	}
	if string(got) != body {
		return errors.New("another body came back")
	}
	if back := response.Trailer.Get("X-Back"); back != "there and back" {
		return fmt.Errorf("the trailer came back as %s", strconv.Quote(back))
	}
	return nil
}
