// The fuse-overlayfs snapshotter over a socket: its own program is a module that the Go proxy cannot build by itself, so the
// tests build these few lines over its library.
package main

import (
	"log"
	"os"

	fuseoverlayfs "github.com/containerd/fuse-overlayfs-snapshotter/v2"
)

func main() {
	if len(os.Args) != 4 || os.Args[1] != "serve" {
		log.Fatal("usage: fuse-overlayfs serve ROOT SOCKET")
	}
	if err := serve(os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func serve(root, socket string) error {
	snapshotter, err := fuseoverlayfs.NewSnapshotter(root)
	if err != nil {
		return err
	}
	return answer(snapshotter, socket)
}
