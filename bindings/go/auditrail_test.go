package auditrail

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var _ io.Closer = (*Trail)(nil)
var _ io.Closer = (*Reader)(nil)

func sample() Event {
	return Event{Domain: "v2", Category: "image", ModelName: "m", Operation: "create",
		LogicalUserID: "u", Timestamp: 5}
}

func open(t *testing.T, root string, options ...Option) *Trail {
	t.Helper()
	trail, err := Open(root, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { trail.Close() })
	return trail
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func TestAWaitForALockHasAnEnd(t *testing.T) {
	if _, err := Open(t.TempDir(), WithLockTimeout(-1)); !errors.Is(err, ErrInvalidArgument) {
		t.Error(err)
	}
	root := t.TempDir()
	trail := open(t, root, WithShared(), WithLockTimeout(20*time.Millisecond))
	lock := must(os.Open(filepath.Join(root, ".auditrail", "commit-lock")))
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	_, err := trail.Append(sample())
	if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Error(err)
	}
	lock.Close()
	if id := must(trail.Append(sample())); id != 1 {
		t.Error(id)
	}
}

// What every language writes, for the trees to be compared by the caller.
func TestSame(t *testing.T) {
	corpus, root := os.Getenv("AUDITRAIL_CORPUS"), os.Getenv("AUDITRAIL_SAME")
	if corpus == "" {
		t.Skip("AUDITRAIL_CORPUS is not set")
	}
	var lines [][]byte
	scanner := bufio.NewScanner(bytes.NewReader(must(os.ReadFile(corpus))))
	for scanner.Scan() {
		lines = append(lines, append([]byte(nil), scanner.Bytes()...))
	}
	native := func(line []byte) Event {
		event := must(ParseEvent(line))
		if raw, ok := event.Payload.(json.RawMessage); ok {
			var payload map[string]any
			if err := json.Unmarshal(raw, &payload); err != nil {
				t.Fatal(err)
			}
			event.Payload = payload
		}
		return event
	}
	trail := open(t, root, WithMaxSegmentBytes(2048))
	for at := 0; at < len(lines); at += 5 {
		id := must(trail.Append(native(lines[at])))
		if id != uint64(at+1) {
			t.Fatalf("event %d got id %d", at+1, id)
		}
		must(trail.AppendJSON(lines[at+1]))
		returned := must(trail.AppendReturning(native(lines[at+2])))
		if returned.ID != uint64(at+3) || returned.Domain != native(lines[at+2]).Domain {
			t.Fatalf("event %d came back as %v", at+3, returned)
		}
		first := must(trail.AppendBatch([]Event{native(lines[at+3]), native(lines[at+4])}))
		if first != uint64(at+4) {
			t.Fatalf("the batch of event %d got id %d", at+4, first)
		}
	}
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestErrors(t *testing.T) {
	root := t.TempDir()
	trail := open(t, root)
	text := `{"domain":"v9","category":"image","model_name":"m","operation":"create","logical_user_id":"u"}`
	_, err := trail.AppendJSON([]byte(text))
	var details *Error
	if !errors.As(err, &details) || !errors.Is(err, ErrInvalidEvent) || errors.Is(err, ErrBusy) {
		t.Fatalf("%#v", err)
	}
	if details.Offset != 10 || details.Errno != 0 || !strings.Contains(details.Message, "domain") {
		t.Errorf("%#v", details)
	}
	if details.Status.Error() != "AUDITRAIL_ERR_INVALID_EVENT" {
		t.Error(details.Status)
	}
	if _, err := Open(root); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Error(err)
	}
	_, err = Open("/proc/nothing/here")
	if !errors.Is(err, ErrIO) || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%#v", err)
	}
	if _, err := OpenReader(filepath.Join(root, "none"), Filter{}); !errors.Is(err, fs.ErrNotExist) ||
		!errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	for what, event := range map[string]Event{
		"logical_user_id": {Domain: "v2", Category: "c", Operation: "create", LogicalUserID: "\xff"},
		"operation":       {Domain: "v2", Category: "c"},
		"category":        {Domain: "v2", Category: "../c", Operation: "create"},
		"payload":         {Domain: "v2", Category: "c", Operation: "create", Payload: []int{1}},
	} {
		if _, err := trail.Append(event); !errors.Is(err, ErrInvalidEvent) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := trail.Append(Event{Payload: func() {}}); err == nil {
		t.Error("a function has no JSON")
	}
	for _, bad := range [][]byte{nil, {}, []byte("{"), []byte("\xff")} {
		if _, err := trail.AppendJSON(bad); !errors.Is(err, ErrInvalidEvent) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := trail.AppendBatch([]Event{sample(), {}, sample()}); !errors.Is(err, ErrInvalidEvent) {
		t.Error(err)
	}
	if _, err := Open("a\x00b"); !errors.Is(err, ErrInvalidArgument) {
		t.Error(err)
	}
	if id := must(trail.Append(sample())); id != 1 {
		t.Error("something that was refused has left a trace")
	}
}

func TestOptions(t *testing.T) {
	root := t.TempDir()
	var told []Warning
	options := []Option{WithDurability(Synced), WithMaxSegmentBytes(300), WithMaxEventBytes(400),
		WithMaxOpenFiles(1), WithDomains("a", "b"), WithOperations(),
		WithWarnings(func(warning Warning) { told = append(told, warning) })}
	trail := open(t, root, options...)
	event := sample()
	if _, err := trail.Append(event); !errors.Is(err, ErrInvalidEvent) {
		t.Error(err)
	}
	event.Domain, event.Operation = "a", "rename"
	must(trail.Append(event))
	event.ModelName = strings.Repeat("m", 400)
	if _, err := trail.Append(event); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	if stats := must(trail.Stats()); stats.SyncedID != 1 || stats.Events != 1 {
		t.Error(stats)
	}
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}
	file := must(os.OpenFile(filepath.Join(root, "a/image/audit-000001.jsonl"), os.O_APPEND|os.O_WRONLY, 0))
	must(file.WriteString(`{"event_id":2,"torn`))
	file.Close()
	trail = open(t, root, options...)
	event.ModelName = "m"
	if id := must(trail.Append(event)); id != 2 {
		t.Error(id)
	}
	if len(told) != 1 || !strings.Contains(told[0].Message, "torn") {
		t.Error(told)
	}
	for _, bad := range []Option{WithMaxSegmentBytes(0), WithDurability(9), WithDomains("../x")} {
		if _, err := Open(t.TempDir(), bad); !errors.Is(err, ErrInvalidArgument) {
			t.Error(err)
		}
	}
}

func TestBuffered(t *testing.T) {
	root := t.TempDir()
	trail := open(t, root, WithDurability(Buffered), WithBuffer(1<<20, 0))
	must(trail.Append(sample()))
	if stats := must(trail.Stats()); stats.WrittenID != 0 {
		t.Error(stats)
	}
	if err := trail.Flush(); err != nil {
		t.Error(err)
	}
	if err := trail.Sync(); err != nil {
		t.Error(err)
	}
	if stats := must(trail.Stats()); stats.SyncedID != 1 {
		t.Error(stats)
	}
}

func TestClosed(t *testing.T) {
	trail := open(t, t.TempDir())
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}
	_, appended := trail.Append(sample())
	_, _, batch := trail.AppendLines([]byte("{}"))
	_, returned := trail.AppendReturning(sample())
	_, stats := trail.Stats()
	for _, err := range []error{appended, batch, returned, stats, trail.Flush(), trail.Sync(), trail.Close()} {
		if !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	}
}

func TestManyGoroutines(t *testing.T) {
	trail := open(t, t.TempDir(), WithDurability(Synced))
	workers := 8 * runtime.GOMAXPROCS(0)
	ids := make([][]uint64, workers)
	var all sync.WaitGroup
	for worker := 0; worker < workers; worker++ {
		all.Add(1)
		go func(worker int) {
			defer all.Done()
			event := sample()
			event.ModelName = fmt.Sprint(worker)
			for n := 0; n < 10; n++ {
				id, err := trail.Append(event)
				if err != nil {
					t.Error(err)
					return
				}
				ids[worker] = append(ids[worker], id)
				if n%4 == 0 {
					must(trail.Stats())
				}
			}
		}(worker)
	}
	all.Wait()
	var together []uint64
	for _, some := range ids {
		if !sort.SliceIsSorted(some, func(i, j int) bool { return some[i] < some[j] }) {
			t.Error("the ids of one goroutine do not rise")
		}
		together = append(together, some...)
	}
	sort.Slice(together, func(i, j int) bool { return together[i] < together[j] })
	for index, id := range together {
		if id != uint64(index+1) {
			t.Fatalf("id %d stands at place %d", id, index+1)
		}
	}
}

func TestClosingUnderFire(t *testing.T) {
	root := t.TempDir()
	total := uint64(0)
	for round := 0; round < 20; round++ {
		trail := open(t, root)
		var all sync.WaitGroup
		started := make(chan bool, 8)
		for worker := 0; worker < 8; worker++ {
			all.Add(1)
			go func() {
				defer all.Done()
				for first := true; ; first = false {
					if _, err := trail.Append(sample()); err != nil {
						if !errors.Is(err, os.ErrClosed) {
							t.Error(err)
						}
						return
					}
					if first {
						started <- true
					}
				}
			}()
		}
		<-started
		if err := trail.Close(); err != nil {
			t.Error(err)
		}
		all.Wait()
	}
	reader := must(OpenReader(root, Filter{Order: OldestFirst}))
	defer reader.Close()
	for reader.Next() {
		total++
		if reader.ID() != total {
			t.Fatalf("id %d stands at place %d", reader.ID(), total)
		}
	}
}

func TestReading(t *testing.T) {
	root := t.TempDir()
	trail := open(t, root)
	for n := int64(1); n <= 10; n++ {
		event := sample()
		event.Domain = []string{"legacy", "v2"}[n%2]
		event.LogicalUserID = fmt.Sprint("u", n%3)
		event.RequestID = fmt.Sprint("r", n)
		event.Timestamp = 1000 + n
		event.Payload = Payload{After: map[string]any{"n": n}}
		must(trail.Append(event))
	}
	for _, one := range []struct {
		filter   Filter
		expected string
	}{
		{Filter{}, "[2 4 6 8 10 1 3 5 7 9]"},
		{Filter{Order: NewestFirst, Limit: 3}, "[10 9 8]"},
		{Filter{Domains: []string{"v2"}, MinID: 3, MaxID: 7}, "[3 5 7]"},
		{Filter{Users: []string{"u1", "u2"}, MinTimestamp: 1008, Order: OldestFirst}, "[8 10]"},
		{Filter{MaxTimestamp: 1002, Order: OldestFirst}, "[1 2]"},
		{Filter{RequestID: "r7", Categories: []string{"image"}, ModelNames: []string{"m"}, Operations: []string{"create"}}, "[7]"},
		{Filter{Operations: []string{"delete"}}, "[]"},
	} {
		reader := must(OpenReader(root, one.filter))
		ids := []uint64{}
		reader.All()(func(event Event, err error) bool {
			if err != nil || event.Timestamp != 1000+int64(event.ID) ||
				string(event.Payload.(json.RawMessage)) != fmt.Sprintf(`{"after":{"n":%d}}`, event.ID) {
				t.Error(event, err)
			}
			ids = append(ids, event.ID)
			return true
		})
		if fmt.Sprint(ids) != one.expected {
			t.Errorf("%+v: %v instead of %s", one.filter, ids, one.expected)
		}
		if reader.Next() || reader.Err() != nil || reader.Line() != nil && len(reader.Line()) > 0 {
			t.Error("something stands behind the end")
		}
		reader.Close()
		reader.Close()
		if reader.Next() {
			t.Error("a closed reader goes on")
		}
	}
	records := map[string]map[string]int{}
	replayed := must(Replay(root, "v2", "image", Filter{MaxID: 7}, &records))
	if replayed != (Replayed{7, 4}) || records["m"]["n"] != 7 {
		t.Error(replayed, records)
	}
	nothing := map[string]any{}
	if replayed := must(Replay(root, "v2", "none", Filter{}, &nothing)); replayed != (Replayed{}) {
		t.Error(replayed)
	}
	entries := must(History(root, "v2", "image", "m", Filter{MaxID: 3}))
	if len(entries) != 2 || entries[1].EventID != 3 || entries[1].Changes["n"] != (Change{nil, 3.0}) {
		t.Error(entries)
	}
	var report map[string]any
	if err := json.Unmarshal(must(Check(root)), &report); err != nil || report["events"] != 10.0 {
		t.Error(report, err)
	}
	if err := json.Unmarshal(must(CheckPruned(root, 9)), &report); err != nil || report["pruned_events"] != 0.0 {
		t.Error(report, err)
	}
	follower := must(OpenReader(root, Filter{MinID: 10}))
	defer follower.Close()
	ctx, cancel := context.WithCancel(context.Background())
	if !follower.Follow(ctx) || follower.ID() != 10 {
		t.Error(follower.ID(), follower.Err())
	}
	appended := make(chan error)
	go func() {
		_, err := trail.Append(sample())
		appended <- err
	}()
	if !follower.Follow(ctx) || follower.ID() != 11 || <-appended != nil {
		t.Error(follower.ID(), follower.Err())
	}
	cancel()
	if follower.Follow(ctx) || !errors.Is(follower.Err(), context.Canceled) {
		t.Error(follower.Err())
	}
	path := filepath.Join(root, "v2/image/audit-000001.jsonl")
	size := must(os.Stat(path)).Size()
	file := must(os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0))
	must(file.WriteString("no event\n"))
	file.Close()
	damaged := must(OpenReader(root, Filter{}))
	defer damaged.Close()
	for damaged.Next() {
	}
	if damage := damaged.Damage(); len(damage) != 1 || damage[0].Path != path || damage[0].Offset != uint64(size) {
		t.Error(damage)
	}
	if _, err := OpenReader(root, Filter{MinID: 2, MaxID: 1}); !errors.Is(err, ErrInvalidArgument) {
		t.Error(err)
	}
}
