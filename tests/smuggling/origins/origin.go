// Writes down what it is asked: origin PORT
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	answer := func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
		fmt.Printf("%s|%s %s %s|200\n", r.Header.Get("x-request-id"), r.Method, r.RequestURI, r.Proto)
		fmt.Fprint(w, "ok")
	}
	fmt.Fprintln(os.Stderr, http.ListenAndServe("127.0.0.1:"+os.Args[1], http.HandlerFunc(answer)))
	os.Exit(1)
}
