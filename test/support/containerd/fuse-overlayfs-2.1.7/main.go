// The fuse-overlayfs snapshotter over a socket: its own program is a module that the Go proxy cannot build by itself, so the
// tests build these few lines over its library.
package main

import (
	"log"
	"net"
	"os"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/v2/contrib/snapshotservice"
	fuseoverlayfs "github.com/containerd/fuse-overlayfs-snapshotter/v2"
	"google.golang.org/grpc"
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
	server := grpc.NewServer()
	snapshotsapi.RegisterSnapshotsServer(server, snapshotservice.FromSnapshotter(snapshotter))
	if err := os.RemoveAll(socket); err != nil {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	log.Print("listening")
	return server.Serve(listener)
}
