// What the programs of the modules beside it share; each has a link to this file.
package main

import (
	"log"
	"net"
	"os"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/v2/contrib/snapshotservice"
	"github.com/containerd/containerd/v2/core/snapshots"
	"google.golang.org/grpc"
)

// answer serves a snapshotter over a socket, as a proxy plugin of containerd's, until the process ends.
func answer(snapshotter snapshots.Snapshotter, socket string) error {
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
