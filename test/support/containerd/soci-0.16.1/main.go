// The soci snapshotter over a socket, and the maker of its indexes: soci-snapshotter's own programs are a module that the
// Go proxy cannot build by itself, so the tests build these few lines over its libraries.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strconv"

	"github.com/awslabs/soci-snapshotter/config"
	socifs "github.com/awslabs/soci-snapshotter/fs"
	"github.com/awslabs/soci-snapshotter/metadata"
	"github.com/awslabs/soci-snapshotter/service"
	"github.com/awslabs/soci-snapshotter/soci"
	"github.com/awslabs/soci-snapshotter/soci/store"
	"github.com/awslabs/soci-snapshotter/ztoc"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/plugins/content/local"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	bolt "go.etcd.io/bbolt"
)

func main() {
	if len(os.Args) < 4 {
		log.Fatal("usage: soci serve ROOT SOCKET CONFIG | soci convert LAYOUT DESCRIPTOR SIZE")
	}
	run := convert
	if os.Args[1] == "serve" {
		run = serve
	}
	if err := run(os.Args[2:]...); err != nil {
		log.Fatal(err)
	}
}

func serve(args ...string) error {
	root, socket := args[0], args[1]
	cfg, err := config.NewConfigFromToml(args[2])
	if err != nil {
		return err
	}
	db, err := bolt.Open(filepath.Join(root, "metadata.db"), 0o600, nil)
	if err != nil {
		return err
	}
	reader := func(blob *io.SectionReader, toc ztoc.TOC, options ...metadata.Option) (metadata.Reader, error) {
		return metadata.NewReader(db, blob, toc, options...)
	}
	snapshotter, err := service.NewSociSnapshotterService(context.Background(), root, &cfg.ServiceConfig,
		service.WithFilesystemOptions(socifs.WithMetadataStore(reader)))
	if err != nil {
		return err
	}
	return answer(snapshotter, socket)
}

// convert adds a SOCI index, of the layers from a size on, to the image that the descriptor names, in an OCI layout, and
// prints the new image's descriptor.
func convert(args ...string) error {
	layout := args[0]
	var target ocispec.Descriptor
	if err := json.Unmarshal([]byte(args[1]), &target); err != nil {
		return err
	}
	least, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		return err
	}
	content, err := local.NewStore(layout)
	if err != nil {
		return err
	}
	blobs, err := store.NewSociStore(layout)
	if err != nil {
		return err
	}
	artifacts, err := soci.NewDB(filepath.Join(layout, "artifacts.db"))
	if err != nil {
		return err
	}
	builder, err := soci.NewIndexBuilder(content, blobs, soci.WithArtifactsDb(artifacts), soci.WithMinLayerSize(least))
	if err != nil {
		return err
	}
	image, err := builder.Convert(context.Background(), images.Image{Name: "image", Target: target})
	if err != nil {
		return err
	}
	out, err := json.Marshal(image)
	if err != nil {
		return err
	}
	fmt.Println(string(out))
	return nil
}
