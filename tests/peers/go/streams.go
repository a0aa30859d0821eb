// Answers that come event by event, and WebSockets.

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// Sends its first event at once, and the others when somebody has put to /release/NAME.
type events struct {
	mutex   sync.Mutex
	waiting map[string]chan struct{}
}

func (e *events) gate(name string) chan struct{} {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if e.waiting[name] == nil {
		e.waiting[name] = make(chan struct{}, 1)
	}
	return e.waiting[name]
}

func (e *events) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for number := range 10 {
		if number == 1 {
			select {
			case <-e.gate(r.PathValue("name")):
			case <-r.Context().Done():
				return
			}
		}
		fmt.Fprintf(w, "id: %d\ndata: event %d\n\n", number, number)
		w.(http.Flusher).Flush()
	}
}

func (e *events) release(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	e.gate(r.PathValue("name")) <- struct{}{}
}

func listen(how, base, content, backends string) error {
	client, err := client(how, content)
	if err != nil {
		return err
	}
	for _, backend := range strings.Split(backends, ",") {
		say(backend, "events", listenTo(client, how, base+"/"+backend))
	}
	return nil
}

func listenTo(client *http.Client, how, url string) error {
	name := "go-" + rand.Text()
	response, err := client.Get(url + "/events/" + name)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	reader := bufio.NewReader(response.Body)
	for number := range 10 {
		for _, want := range []string{fmt.Sprintf("id: %d\n", number), fmt.Sprintf("data: event %d\n", number), "\n"} {
			if got, err := reader.ReadString('\n'); got != want {
				return fmt.Errorf("%q instead of %q: %v", got, want, err)
			}
		}
		if number == 0 {
			request, err := http.NewRequest("PUT", url+"/release/"+name, nil)
			if err != nil {
				return err
			}
			if _, _, err := exchange(client, how, request); err != nil {
				return err
			}
		}
	}
	if rest, err := io.ReadAll(reader); len(rest) > 0 || err != nil {
		return fmt.Errorf("%q after the end: %v", rest, err)
	}
	return nil
}

// Gives back every message, and closes when the client does.
func giveBack(w http.ResponseWriter, r *http.Request) {
	socket, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer socket.CloseNow()
	socket.SetReadLimit(2 << 20)
	for {
		kind, message, err := socket.Read(r.Context())
		if err != nil || socket.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}

func converse(how, base, content, backends string) error {
	client, err := client(how, content)
	if err != nil {
		return err
	}
	client.Timeout = 0
	for _, backend := range strings.Split(backends, ",") {
		say(backend, "websocket", converseWith(client, base+"/"+backend+"/ws"))
	}
	return nil
}

func converseWith(client *http.Client, url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	socket, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		return err
	}
	defer socket.CloseNow()
	socket.SetReadLimit(2 << 20)
	for _, size := range []int{0, 1, 125, 126, 65535, 65536, 1 << 20} {
		sent := make([]byte, size)
		rand.Read(sent)
		if err := socket.Write(ctx, websocket.MessageBinary, sent); err != nil {
			return err
		}
		if _, got, err := socket.Read(ctx); err != nil {
			return err
		} else if !bytes.Equal(got, sent) {
			return fmt.Errorf("%d bytes came back changed", size)
		}
	}
	return socket.Close(websocket.StatusNormalClosure, "done")
}
