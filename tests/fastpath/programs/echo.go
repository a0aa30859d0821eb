// A server that gives back what it is sent, and a caller that checks it: echo serve PORT | call URL
package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
)

func serve(port string) error {
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("content-length", strconv.Itoa(len(body)))
		w.Write(body)
	}))
}

func call(url string) error {
	for round := 0; round < 20; round++ {
		for _, size := range []int{0, 1, 300, 16384, 1 << 20} {
			body := make([]byte, size)
			for i := range body {
				body[i] = byte(i ^ i>>8 ^ i>>16)
			}
			answer, err := http.Post(url, "application/octet-stream", bytes.NewReader(body))
			if err != nil {
				return err
			}
			back, err := io.ReadAll(answer.Body)
			answer.Body.Close()
			if err != nil {
				return err
			}
			if answer.StatusCode != 200 || !bytes.Equal(back, body) {
				return fmt.Errorf("%d bytes came back changed, status %d", size, answer.StatusCode)
			}
		}
	}
	return nil
}

func main() {
	run := call
	if os.Args[1] == "serve" {
		run = serve
	}
	if err := run(os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
