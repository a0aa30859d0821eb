// Writes down what it is asked: origin PORT
package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
)

// Connections that write down what net/http refuses by itself, which no handler hears of.
type listener struct{ net.Listener }

type connection struct {
	net.Conn
	read []byte // what came last
}

var head = regexp.MustCompile(`([^\r\n]+)\r\n(?:[^\r\n]+\r\n)*?x-request-id: ([^\r\n]+)`)

func (l listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &connection{Conn: conn}, nil
}

func (c *connection) Read(buffer []byte) (int, error) {
	n, err := c.Conn.Read(buffer)
	// The last byte of a body is read on its own, while nothing comes.
	if n > 1 {
		c.read = append(c.read[:0], buffer[:n]...)
	}
	return n, err
}

func (c *connection) Write(answer []byte) (int, error) {
	if status, found := bytes.CutPrefix(answer, []byte("HTTP/1.1 ")); found && status[0] >= '4' {
		line, id := []byte(""), []byte("")
		if found := head.FindSubmatch(c.read); found != nil {
			line, id = found[1], found[2]
		}
		fmt.Printf("%s|%s|%s\n", id, line, status[:3])
	}
	return c.Conn.Write(answer)
}

func main() {
	answer := func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
		fmt.Printf("%s|%s %s %s|200\n", r.Header.Get("x-request-id"), r.Method, r.RequestURI, r.Proto)
		fmt.Fprint(w, "ok")
	}
	bound, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err == nil {
		err = http.Serve(listener{bound}, http.HandlerFunc(answer))
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
