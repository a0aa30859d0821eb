// Peers written in Go: net/http and grpc-go.
module node-gateway.example/tests/peers

go 1.26.0
