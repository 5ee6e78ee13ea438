// The peers of bench:gateway: a gRPC echo server, grpc-gateway in front of it, and load generators that cost little.
//
//	peer serve    -listen 127.0.0.1:0
//	peer gateway  -listen 127.0.0.1:0 -upstream host:port
//	peer http     -target host:port -callers 64 -seconds 5
//	peer grpc     -target host:port -callers 64 -seconds 5
//
// Servers print their address, generators one line of JSON. All end when standard input does.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"bench/echo"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const body = `{"id":"6f0dbb8e","nama":"Siti Nurhaliza","alamat":"Jl. Merdeka 1","nomor":"3201010101900001","aktif":true}`

func main() {
	flags := flag.NewFlagSet("peer", flag.ExitOnError)
	listen := flags.String("listen", "127.0.0.1:0", "address to serve")
	upstream := flags.String("upstream", "", "gRPC server behind the gateway")
	target := flags.String("target", "", "server to load")
	token := flags.String("token", "", "access token to send, by HTTP")
	callers := flags.Int("callers", 64, "callers at a time, each with one call")
	seconds := flags.Float64("seconds", 5, "time to measure, after a fifth of it to warm up")
	if len(os.Args) < 2 {
		flags.Usage()
		os.Exit(2)
	}
	if err := flags.Parse(os.Args[2:]); err != nil {
		panic(err)
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	switch os.Args[1] {
	case "serve":
		serve(*listen)
	case "gateway":
		gateway(*listen, *upstream)
	case "http":
		load(*callers, *seconds, httpCaller(*target, *token))
	case "grpc":
		load(*callers, *seconds, grpcCaller(*target))
	default:
		flags.Usage()
		os.Exit(2)
	}
}

type server struct {
	echo.UnimplementedEchoServiceServer
}

func (server) Echo(_ context.Context, request *echo.EchoMessage) (*echo.EchoMessage, error) {
	return request, nil
}

func (server) Download(request *echo.DownloadRequest, stream grpc.ServerStreamingServer[echo.Batch]) error {
	for sent := 0; sent < int(request.Jumlah); {
		batch := &echo.Batch{}
		for ; len(batch.Pesan) < 500 && sent < int(request.Jumlah); sent++ {
			batch.Pesan = append(batch.Pesan, &echo.EchoMessage{Id: strconv.Itoa(sent), Nama: "Siti Nurhaliza", Alamat: "Jl. Merdeka 1", Nomor: int64(sent)})
		}
		if err := stream.Send(batch); err != nil {
			return err
		}
	}
	return nil
}

func serve(address string) {
	listener := must(net.Listen("tcp", address))
	fmt.Println(listener.Addr())
	grpcServer := grpc.NewServer()
	echo.RegisterEchoServiceServer(grpcServer, server{})
	panic(grpcServer.Serve(listener))
}

func gateway(address, upstream string) {
	mux := runtime.NewServeMux()
	credentials := grpc.WithTransportCredentials(insecure.NewCredentials())
	if err := echo.RegisterEchoServiceHandlerFromEndpoint(context.Background(), mux, upstream, []grpc.DialOption{credentials}); err != nil {
		panic(err)
	}
	listener := must(net.Listen("tcp", address))
	fmt.Println(listener.Addr())
	panic(http.Serve(listener, mux))
}

// A caller makes one call after the other; each caller has its own.
type caller func() (call func() error)

func httpCaller(target, token string) caller {
	authorization := ""
	if token != "" {
		authorization = "Authorization: Bearer " + token + "\r\n"
	}
	request := []byte("POST /v1/echo HTTP/1.1\r\nHost: " + target + "\r\n" + authorization + "Content-Type: application/json\r\nContent-Length: " +
		strconv.Itoa(len(body)) + "\r\n\r\n" + body)
	return func() func() error {
		connection := must(net.Dial("tcp", target))
		reader := bufio.NewReader(connection)
		return func() error {
			if _, err := connection.Write(request); err != nil {
				return err
			}
			return readAnswer(reader)
		}
	}
}

// readAnswer is a small part of HTTP/1.1, enough for what the gateways answer: net/http's client would take more of the
// machine than what is measured.
func readAnswer(reader *bufio.Reader) error {
	length := -1
	for first := true; ; first = false {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && !strings.HasPrefix(string(line), "HTTP/1.1 200") {
			return fmt.Errorf("answered %s", line)
		}
		if len(line) <= 2 {
			break
		}
		if name, value, found := strings.Cut(string(line), ":"); found && strings.EqualFold(name, "content-length") {
			length = must(strconv.Atoi(strings.TrimSpace(value)))
		}
	}
	if length <= 0 {
		return fmt.Errorf("no Content-Length")
	}
	_, err := reader.Discard(length)
	return err
}

func grpcCaller(target string) caller {
	connection := must(grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials())))
	client := echo.NewEchoServiceClient(connection)
	request := &echo.EchoMessage{Id: "6f0dbb8e", Nama: "Siti Nurhaliza", Alamat: "Jl. Merdeka 1", Nomor: 3201010101900001, Aktif: true}
	return func() func() error {
		return func() error {
			_, err := client.Echo(context.Background(), request)
			return err
		}
	}
}

func load(callers int, seconds float64, newCaller caller) {
	measured := time.Duration(seconds * float64(time.Second))
	from := time.Now().Add(measured / 5)
	until := from.Add(measured)
	latencies := make([][]time.Duration, callers)
	failures := make([]int, callers)
	var first sync.Once
	var group sync.WaitGroup
	for i := range callers {
		call := newCaller()
		group.Go(func() {
			for start := time.Now(); start.Before(until); {
				err := call()
				end := time.Now()
				if err != nil {
					first.Do(func() { fmt.Fprintln(os.Stderr, err) })
					failures[i]++
					if failures[i] > 10 {
						return
					}
				} else if start.After(from) {
					latencies[i] = append(latencies[i], end.Sub(start))
				}
				start = end
			}
		})
	}
	group.Wait()
	var all []time.Duration
	failed := 0
	for i := range callers {
		all = append(all, latencies[i]...)
		failed += failures[i]
	}
	sort.Slice(all, func(a, b int) bool { return all[a] < all[b] })
	at := func(share float64) float64 {
		if len(all) == 0 {
			return 0
		}
		return float64(all[int(share*float64(len(all)-1))].Microseconds()) / 1000
	}
	_ = json.NewEncoder(os.Stdout).Encode(map[string]any{
		"rps": float64(len(all)) / seconds, "p50_ms": at(0.5), "p95_ms": at(0.95), "failed": failed,
	})
	os.Exit(0)
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
