package auditrail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func ids(t *testing.T, root string, filter Filter) string {
	t.Helper()
	reader := must(OpenReader(root, filter))
	defer reader.Close()
	found := []uint64{}
	for reader.Next() {
		found = append(found, reader.ID())
	}
	if err := reader.Err(); err != nil {
		t.Error(err)
	}
	return fmt.Sprint(found)
}

func TestAFilterNeverFailsOpen(t *testing.T) {
	root := t.TempDir()
	trail := open(t, root)
	for _, timestamp := range []int64{-5, 5} {
		event := sample()
		event.Timestamp = timestamp
		must(trail.Append(event))
	}
	none := []string{}
	for _, one := range []struct {
		filter   Filter
		expected string
	}{
		{Filter{Domains: none}, "[]"},
		{Filter{Categories: none}, "[]"},
		{Filter{ModelNames: none}, "[]"},
		{Filter{Operations: none}, "[]"},
		{Filter{Users: none, MaxID: math.MaxUint64}, "[]"},
		{Filter{Users: none, Order: NewestFirst}, "[]"},
		{Filter{Domains: []string{"v2"}, Users: nil}, "[1 2]"},
		{Filter{MaxTimestamp: 4}, "[1]"},
		{Filter{MaxTimestamp: -5}, "[1]"},
		{Filter{MinTimestamp: -4}, "[2]"},
	} {
		if found := ids(t, root, one.filter); found != one.expected {
			t.Errorf("%+v: %s instead of %s", one.filter, found, one.expected)
		}
	}
	records := map[string]any{}
	if replayed := must(Replay(root, "v2", "image", Filter{Users: none}, &records)); replayed != (Replayed{}) {
		t.Error(replayed)
	}
	for _, bad := range []Filter{{Domains: []string{"v2\x00"}}, {Users: []string{"\xff"}}, {Order: 7}} {
		if _, err := OpenReader(root, bad); !errors.Is(err, ErrInvalidArgument) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if _, err := Open(t.TempDir(), WithBuffer(1<<20, -1)); !errors.Is(err, ErrInvalidArgument) {
		t.Error(err)
	}
}

func TestAShortIntervalIsNotNone(t *testing.T) {
	trail := open(t, t.TempDir(), WithDurability(Buffered), WithBuffer(1<<20, time.Microsecond))
	must(trail.Append(sample()))
	for deadline := time.Now().Add(30 * time.Second); must(trail.Stats()).WrittenID == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the event was not flushed")
		}
		time.Sleep(time.Millisecond)
	}
}

type spelled struct{ text string }

func (s spelled) MarshalText() ([]byte, error) { return []byte(s.text), nil }

// A ring would never end, were it not for its MarshalJSON.
type ring struct {
	Name string
	Next *ring
}

func (r *ring) MarshalJSON() ([]byte, error) { return json.Marshal(r.Name) }

type tagged struct {
	Kept    string `json:"kept,omitempty"`
	Dropped string `json:"-"`
	hidden  string
	embedded
}

type embedded struct{ Inner []any }

func TestAPayloadIsNotReplaced(t *testing.T) {
	trail := open(t, t.TempDir())
	circle := &ring{Name: "a\xff"}
	circle.Next = circle
	for _, one := range []struct {
		payload any
		says    string
		offset  int64
	}{
		{map[string]any{"name": "ab\xff"}, "payload.name:", 2},
		{map[string]string{"\xff": "x"}, "a key of payload:", 0},
		{Payload{After: map[string]any{"list": []any{1, &[]string{"\xed\xa0\x80"}[0]}}}, "payload.after.list[1]:", 0},
		{Payload{Delta: map[string]Change{"f": {Old: "x", New: "\u00e9\xc3"}}}, "payload.delta.f.new:", 2},
		{&tagged{Kept: "\xff"}, "payload.kept:", 0},
		{tagged{embedded: embedded{Inner: []any{nil, "\x80"}}}, "payload.embedded.Inner[1]:", 0},
		{map[spelled]int{{"\xff"}: 1}, "a key of payload:", 0},
		{map[string]any{"s": spelled{"b\xff"}}, "payload.s:", 1},
		{map[string]any{"ring": circle}, "payload.ring.Name:", 1},
	} {
		event := sample()
		event.Payload = one.payload
		_, appended := trail.Append(event)
		_, returned := trail.AppendReturning(event)
		_, batch := trail.AppendBatch([]Event{event})
		for _, err := range []error{appended, returned, batch} {
			var details *Error
			if !errors.As(err, &details) || details.Status != ErrInvalidEvent ||
				!strings.Contains(details.Message, one.says) || details.Offset != one.offset {
				t.Errorf("%q: %#v", one.payload, err)
			}
		}
	}
	event := sample()
	event.Payload = json.RawMessage("{\"a\":\"\xff\"}")
	if _, err := trail.Append(event); !errors.Is(err, ErrInvalidEvent) {
		t.Error(err)
	}
	// The character that stands for such bytes is a character like others.
	for _, payload := range []any{
		map[string]any{"a": "\ufffd"}, json.RawMessage(`{"a":"\ufffd"}`), json.RawMessage("{\"a\":\"\ufffd\"}"),
		tagged{Kept: "\ufffd", Dropped: "\xff", hidden: "\xff"}, map[string]any{"b": []byte("\xff"), "a": "\ufffd"},
	} {
		event.Payload = payload
		line := must(trail.AppendReturning(event)).Payload.(json.RawMessage)
		if !strings.Contains(string(line), `"\ufffd"`) {
			t.Errorf("%q became %s", payload, line)
		}
	}
}

func TestAPayloadStaysOne(t *testing.T) {
	root := t.TempDir()
	trail := open(t, root)
	event := sample()
	for _, forged := range []string{`{},"request_id":"forged"`, "{}}\n{\"domain\":\"v2\"", "{}}\n{}\n{\"payload\":{}", "{\"a\":\"\n\"}", ""} {
		event.Payload = json.RawMessage(forged)
		if _, err := trail.Append(event); err == nil {
			t.Errorf("%q", forged)
		}
		if _, err := trail.AppendBatch([]Event{event}); err == nil {
			t.Errorf("%q", forged)
		}
	}
	event.Payload = json.RawMessage("\r\n{\r\n\"a\":\t\"}\u2028\",\"b\":[\r{}\n]}\n")
	if first := must(trail.AppendBatch([]Event{event, event})); first != 1 || ids(t, root, Filter{}) != "[1 2]" {
		t.Error(first, ids(t, root, Filter{}))
	}
}

func TestAClosedReaderSaysSo(t *testing.T) {
	root := t.TempDir()
	trail := open(t, root)
	must(trail.Append(sample()))
	for _, move := range []func(*Reader) bool{
		(*Reader).Next,
		func(r *Reader) bool { return r.Follow(context.Background()) },
		func(r *Reader) (any bool) {
			r.All()(func(_ Event, err error) bool { any = err == nil; return true })
			return
		},
	} {
		reader := must(OpenReader(root, Filter{}))
		if !reader.Next() || reader.Close() != nil || reader.ID() != 0 || reader.Line() != nil || reader.Err() != nil {
			t.Error(reader.ID(), reader.Err())
		}
		if move(reader) || !errors.Is(reader.Err(), os.ErrClosed) {
			t.Error(reader.Err())
		}
	}
}

func TestClosingAReaderThatFollows(t *testing.T) {
	root := t.TempDir()
	trail := open(t, root)
	must(trail.Append(sample()))
	for round := 0; round < 20; round++ {
		reader := must(OpenReader(root, Filter{}))
		var all sync.WaitGroup
		for worker := 0; worker < 4; worker++ {
			all.Add(1)
			go func() {
				defer all.Done()
				for reader.Follow(context.Background()) {
					reader.Line()
				}
			}()
		}
		time.Sleep(time.Duration(round) * time.Millisecond)
		reader.Close()
		all.Wait()
		if err := reader.Err(); !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	}
}

func TestFollowingEndsWithTheLimit(t *testing.T) {
	root := t.TempDir()
	trail := open(t, root)
	must(trail.Append(sample()))
	reader := must(OpenReader(root, Filter{Limit: 1}))
	defer reader.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if !reader.Follow(ctx) || reader.Follow(ctx) || reader.Err() != nil {
		t.Error(reader.Err())
	}
}

// A handler that panics ends the program, and does not leave the trail half open
// behind a recover.
func TestAHandlerThatPanics(t *testing.T) {
	if root := os.Getenv("AUDITRAIL_PANIC"); root != "" {
		func() {
			defer func() { recover() }()
			trail := must(Open(root, WithWarnings(func(Warning) { panic("the handler's") })))
			trail.Append(sample())
		}()
		os.Exit(0)
	}
	root := t.TempDir()
	trail := open(t, root, WithWarnings(nil))
	must(trail.Append(sample()))
	trail.Close()
	path := filepath.Join(root, "v2/image/audit-000001.jsonl")
	file := must(os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0))
	must(file.WriteString(`{"torn`))
	file.Close()
	child := exec.Command(os.Args[0], "-test.run=^TestAHandlerThatPanics$")
	child.Env = append(os.Environ(), "AUDITRAIL_PANIC="+root)
	output, err := child.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(string(output), "panic: the handler's") {
		t.Errorf("%v: %s", err, output)
	}
	trail = open(t, root, WithWarnings(nil))
	must(trail.Append(sample()))
}
