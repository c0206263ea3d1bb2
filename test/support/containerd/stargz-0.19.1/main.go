// The stargz snapshotter over a socket, and the maker of its layers: stargz-snapshotter's own programs are modules that
// the Go proxy cannot build by themselves, so the tests build these few lines over its libraries.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/containerd/stargz-snapshotter/service"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: stargz serve ROOT SOCKET | stargz convert TAR LAYER")
	}
	run := convert
	if os.Args[1] == "serve" {
		run = serve
	}
	if err := run(os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func serve(root, socket string) error {
	snapshotter, err := service.NewStargzSnapshotterService(context.Background(), root, &service.Config{})
	if err != nil {
		return err
	}
	return answer(snapshotter, socket)
}

// convert writes a tar as an eStargz layer and prints the digests that an image names it by.
func convert(tar, layer string) error {
	in, err := os.Open(tar)
	if err != nil {
		return err
	}
	info, err := in.Stat()
	if err != nil {
		return err
	}
	blob, err := estargz.Build(io.NewSectionReader(in, 0, info.Size()))
	if err != nil {
		return err
	}
	defer blob.Close()
	out, err := os.Create(layer)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, blob); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	digests, err := json.Marshal(map[string]string{"diffID": blob.DiffID().String(), "toc": blob.TOCDigest().String()})
	if err != nil {
		return err
	}
	fmt.Println(string(digests))
	return nil
}
