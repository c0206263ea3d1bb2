// Reads archives as containerd does, with Go's archive/tar, for tar-go.test.ts. Standard input holds archives, each
// after its length in four bytes, big-endian; standard output gets one line of JSON for each.
package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
)

type entry struct {
	Type   string      `json:"type"`
	Name   string      `json:"name"`
	Link   string      `json:"link"`
	Mode   int64       `json:"mode"`
	UID    int         `json:"uid"`
	GID    int         `json:"gid"`
	Size   int64       `json:"size"`
	Mtime  [2]int64    `json:"mtime"`
	Atime  *[2]int64   `json:"atime"`
	Major  int64       `json:"major"`
	Minor  int64       `json:"minor"`
	Xattrs [][2]string `json:"xattrs"`
	Data   string      `json:"data"`
}

// One character for each byte, as the reader under test has it.
func text(s string) string {
	runes := make([]rune, 0, len(s))
	for i := 0; i < len(s); i++ {
		runes = append(runes, rune(s[i]))
	}
	return string(runes)
}

func read(archive []byte) ([]entry, error) {
	entries := []entry{}
	reader := tar.NewReader(bytes.NewReader(archive))
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return entries, err
		}
		hash := sha256.New()
		size, err := io.Copy(hash, reader)
		if err != nil {
			return entries, err
		}
		if header.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		e := entry{
			Type: text(string([]byte{header.Typeflag})), Name: text(header.Name), Link: text(header.Linkname),
			Mode: header.Mode, UID: header.Uid, GID: header.Gid, Size: size,
			Mtime: [2]int64{header.ModTime.Unix(), int64(header.ModTime.Nanosecond())},
			Major: header.Devmajor, Minor: header.Devminor, Xattrs: [][2]string{},
			Data: hex.EncodeToString(hash.Sum(nil)),
		}
		if !header.AccessTime.IsZero() {
			e.Atime = &[2]int64{header.AccessTime.Unix(), int64(header.AccessTime.Nanosecond())}
		}
		for key, value := range header.PAXRecords {
			if name, found := strings.CutPrefix(key, "SCHILY.xattr."); found {
				e.Xattrs = append(e.Xattrs, [2]string{text(name), text(value)})
			}
		}
		entries = append(entries, e)
	}
}

func main() {
	in := bufio.NewReader(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for {
		var length uint32
		if err := binary.Read(in, binary.BigEndian, &length); err != nil {
			return
		}
		archive := make([]byte, length)
		if _, err := io.ReadFull(in, archive); err != nil {
			panic(err)
		}
		entries, err := read(archive)
		answer := map[string]any{"entries": entries}
		if err != nil {
			answer = map[string]any{"error": err.Error()}
		}
		if err := out.Encode(answer); err != nil {
			panic(err)
		}
	}
}
