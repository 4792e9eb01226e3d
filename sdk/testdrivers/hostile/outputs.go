package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"
)

// outputs misbehave on stdout and stderr while they serve.
func outputs() map[string]behaviour {
	blob := bytes.Repeat([]byte("x"), 1<<16)
	lines := bytes.Repeat([]byte("a line that nobody wants to read\n"), 1<<11)
	entries := bytes.Repeat([]byte(`{"@level":"error","@message":"m","a":{"b":[1,2,{"c":null}]}}`+"\n"), 1<<10)
	deep := []byte(strings.Repeat(`{"a":`, 12000) + "\n")
	return map[string]behaviour{
		"output-stdout-lines":   func(d *driver) { d.floodOn(os.Stdout, lines) },
		"output-stdout-endless": func(d *driver) { d.floodOn(os.Stdout, blob) },
		"output-stderr-lines":   func(d *driver) { d.floodOn(os.Stderr, lines) },
		"output-stderr-endless": func(d *driver) { d.floodOn(os.Stderr, blob) },
		"output-stderr-entries": func(d *driver) { d.floodOn(os.Stderr, entries) },
		"output-stderr-deep":    func(d *driver) { d.floodOn(os.Stderr, deep) },
		// go-plugin's host panics on each of these.
		"output-stderr-types": func(*driver) {
			fmt.Fprintln(os.Stderr, `{"@message":1}`+"\n"+`{"@message":"m","@level":2}`+"\n"+`{"@message":"m","@timestamp":[]}`)
		},
		"output-stdio": func(d *driver) { d.methods[methodStdio] = floodStdio },
	}
}

// floodOn starts to flood once the handshake line is out: Open follows it.
func (d *driver) floodOn(w io.Writer, p []byte) {
	h := d.methods[methodHealth]
	var started counter
	d.methods[methodHealth] = func(s grpc.ServerStream) error {
		if started.next() == 1 {
			go flood(w, p)
		}
		return h(s)
	}
}

func flood(w io.Writer, p []byte) {
	for {
		if _, err := w.Write(p); err != nil {
			os.Exit(1)
		}
	}
}

// floodStdio floods where go-plugin's server sends what a driver prints.
func floodStdio(s grpc.ServerStream) error {
	if err := s.RecvMsg(&emptypb.Empty{}); err != nil {
		return err
	}
	for i := 0; ; i++ {
		m := protowire.AppendTag(nil, 1, protowire.VarintType)
		m = protowire.AppendVarint(m, uint64(i%4)) // neither stdout nor stderr now and then
		m = protowire.AppendTag(m, 2, protowire.BytesType)
		m = protowire.AppendBytes(m, bytes.Repeat([]byte("a line of stdio\n"), 1<<12))
		if err := s.SendMsg(raw(m)); err != nil {
			return err
		}
	}
}
