// Verifies an auditrail trail with Go's own transparency-log packages and
// nothing of ours: golang.org/x/mod/sumdb/note and .../sumdb/tlog.
//
// Usage: verify FOLDER, where FOLDER holds what proof/interop_tests.rs leaves there:
// trail/, log.vkey, old-checkpoint, consistency, proofs/.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func check(err error, what string) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "FAILED: %s: %v\n", what, err)
		os.Exit(1)
	}
}

func fail(format string, arguments ...interface{}) {
	check(fmt.Errorf(format, arguments...), "check")
}

func read(path string) []byte {
	data, err := os.ReadFile(path)
	check(err, "read")
	return data
}

// The tree of a checkpoint, after its signature was verified.
func open(text []byte, verifiers note.Verifiers, origin string) tlog.Tree {
	opened, err := note.Open(text, verifiers)
	check(err, "signature")
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != origin {
		fail("unexpected checkpoint %q", opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err, "size")
	root, err := tlog.ParseHash(lines[2])
	check(err, "root")
	return tlog.Tree{N: size, Hash: root}
}

// All lines of the trail, by id.
func entries(root string, size int64) [][]byte {
	lines := make([][]byte, size)
	paths, err := filepath.Glob(filepath.Join(root, "*", "*", "audit-*.jsonl"))
	check(err, "glob")
	for _, path := range paths {
		file, err := os.Open(path)
		check(err, "open")
		scanner := bufio.NewScanner(file)
		scanner.Buffer(make([]byte, 1<<20), 1<<24)
		for scanner.Scan() {
			var event struct {
				EventID int64 `json:"event_id"`
			}
			check(json.Unmarshal(scanner.Bytes(), &event), "JSON")
			if event.EventID < 1 || event.EventID > size || lines[event.EventID-1] != nil {
				fail("unexpected event %d", event.EventID)
			}
			lines[event.EventID-1] = append([]byte(nil), scanner.Bytes()...)
		}
		check(scanner.Err(), "scan")
		file.Close()
	}
	for i, line := range lines {
		if line == nil {
			fail("event %d is missing", i+1)
		}
	}
	return lines
}

// Reads tiles at the C2SP paths, which lack the height that Go's have.
type tiles string

func (root tiles) Height() int { return 8 }

func (root tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, tile := range wanted {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := os.ReadFile(filepath.Join(string(root), path))
		if err != nil {
			return nil, err
		}
		out = append(out, data)
	}
	return out, nil
}

func (root tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func hashes(lines []string) []tlog.Hash {
	var out []tlog.Hash
	for _, line := range lines {
		hash, err := tlog.ParseHash(line)
		check(err, "hash")
		out = append(out, hash)
	}
	return out
}

// The lines before the first empty one, and what follows it.
func split(text []byte) ([]string, []byte) {
	parts := bytes.SplitN(text, []byte("\n\n"), 2)
	if len(parts) != 2 {
		fail("no empty line in %q", text)
	}
	return strings.Split(string(parts[0]), "\n"), parts[1]
}

func main() {
	folder := os.Args[1]
	root := filepath.Join(folder, "trail")
	verifier, err := note.NewVerifier(string(read(filepath.Join(folder, "log.vkey"))))
	check(err, "public key")
	verifiers := note.VerifierList(verifier)
	text := read(filepath.Join(root, ".auditrail", "tlog", "checkpoint"))
	tree := open(text, verifiers, verifier.Name())
	old := open(read(filepath.Join(folder, "old-checkpoint")), verifiers, verifier.Name())

	// The root, from the lines alone.
	lines := entries(root, tree.N)
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, index := range indexes {
			out = append(out, stored[index])
		}
		return out, nil
	})
	for i, line := range lines {
		more, err := tlog.StoredHashes(int64(i), line, reader)
		check(err, "hashes")
		stored = append(stored, more...)
	}
	if tree.N > 0 {
		computed, err := tlog.TreeHash(tree.N, reader)
		check(err, "root")
		if computed != tree.Hash {
			fail("root %v of the lines, %v is signed", computed, tree.Hash)
		}
	} else if tree.Hash.String() != "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" {
		// tlog knows no empty tree; this is the SHA-256 of nothing.
		fail("root %v of the empty tree", tree.Hash)
	}

	// Proofs that Go makes from our tiles, which it authenticates on the way.
	fromTiles := tlog.TileHashReader(tree, tiles(filepath.Join(root, ".auditrail", "tlog")))
	made := 0
	step := tree.N/200 + 1
	for i := int64(0); i < tree.N; i += step {
		proof, err := tlog.ProveRecord(tree.N, i, fromTiles)
		check(err, "inclusion from tiles")
		check(tlog.CheckRecord(proof, tree.N, tree.Hash, i, tlog.RecordHash(lines[i])), "inclusion")
		made++
	}
	if old.N > 0 {
		proof, err := tlog.ProveTree(tree.N, old.N, fromTiles)
		check(err, "consistency from tiles")
		check(tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash), "consistency")
	}

	// Proofs that we made.
	paths, err := filepath.Glob(filepath.Join(folder, "proofs", "*.tlog-proof"))
	check(err, "glob")
	for _, path := range paths {
		head, checkpoint := split(read(path))
		if head[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(head[1], "index ") {
			fail("%s: unexpected head %q", path, head[:2])
		}
		index, err := strconv.ParseInt(head[1][len("index "):], 10, 64)
		check(err, "index")
		under := open(checkpoint, verifiers, verifier.Name())
		proof := tlog.RecordProof(hashes(head[2:]))
		leaf := tlog.RecordHash(lines[index])
		check(tlog.CheckRecord(proof, under.N, under.Hash, index, leaf), path)
		if tlog.CheckRecord(proof, under.N, under.Hash, index, tlog.RecordHash([]byte("x"))) == nil {
			fail("%s holds for another line", path)
		}
	}
	head, checkpoint := split(read(filepath.Join(folder, "consistency")))
	under := open(checkpoint, verifiers, verifier.Name())
	if head[0] != fmt.Sprintf("old %d", old.N) {
		fail("unexpected head %q", head[0])
	}
	if old.N > 0 {
		proof := tlog.TreeProof(hashes(head[1:]))
		check(tlog.CheckTree(proof, under.N, under.Hash, old.N, old.Hash), "our consistency proof")
	}
	fmt.Printf("go: %d events: signature, root, %d inclusion proofs of its own and %d of ours, "+
		"consistency with %d events\n", tree.N, made, len(paths), old.N)
}
