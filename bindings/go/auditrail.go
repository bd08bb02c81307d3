// Package auditrail appends to audit trails, and reads them, over the C library
// libauditrail.
//
//	trail, err := auditrail.Open("audit")
//	if err != nil { … }
//	defer trail.Close()
//	id, err := trail.Append(auditrail.Event{
//		Domain: "v2", Category: "users", ModelName: "ada",
//		Operation: "create", LogicalUserID: "admin-7",
//		Payload: auditrail.Payload{After: user},
//	})
//
// A Trail may be used by any number of goroutines; those that wait for the disk
// wait together. A Reader is for one goroutine at a time, but may be closed by
// another. Neither has a finalizer: what is opened must be closed.
//
// The package needs auditrail.h and the shared library where the compiler finds
// them; otherwise set CGO_CFLAGS=-I… and CGO_LDFLAGS=-L….
package auditrail

/*
#cgo LDFLAGS: -lauditrail
#include <stdlib.h>
#include <auditrail.h>
*/
import "C"

import (
	"fmt"
	"os"
	"runtime/cgo"
	"strings"
	"sync"
	"unsafe"
)

// Version is the version of the shared library.
func Version() string { return C.GoString(C.auditrail_version()) }

// A Trail is open for writing.
type Trail struct {
	root string
	// Closing waits for the calls that are under way, and keeps new ones out.
	using  sync.RWMutex
	handle *C.auditrail_writer
	warned cgo.Handle
}

// Open opens the trail in the folder root, which is made where it is missing.
func Open(root string, options ...Option) (*Trail, error) {
	set := C.auditrail_options_new()
	defer C.auditrail_options_free(set)
	call := take()
	defer call.giveBack()
	trail := &Trail{root: root}
	for _, option := range options {
		if err := option(trail, set, call); err != nil {
			trail.forgetWarned()
			return nil, err
		}
	}
	path, err := cString(root)
	if err != nil {
		trail.forgetWarned()
		return nil, err
	}
	defer C.free(unsafe.Pointer(path))
	if C.auditrail_writer_open(path, set, &trail.handle, &call.err) != C.AUDITRAIL_OK {
		trail.forgetWarned()
		return nil, call.failure()
	}
	return trail, nil
}

// Append appends an event and returns its id, when it is as safe as the
// durability promises. After an error nothing of the event is in the trail,
// unless the error is ErrFailed.
func (t *Trail) Append(event Event) (uint64, error) {
	text, err := event.marshal()
	if err != nil {
		return 0, err
	}
	return t.AppendJSON(text)
}

// AppendJSON appends an event that is already JSON text. The text is not
// copied before the library has read it, and not kept.
func (t *Trail) AppendJSON(event []byte) (uint64, error) {
	t.using.RLock()
	defer t.using.RUnlock()
	if t.handle == nil {
		return 0, closed("append")
	}
	call := take()
	defer call.giveBack()
	if C.auditrail_writer_append(t.handle, chars(event), C.size_t(len(event)), &call.number,
		&call.err) != C.AUDITRAIL_OK {
		return 0, call.failure()
	}
	return uint64(call.number), nil
}

// AppendReturning appends an event and returns it as it was persisted.
func (t *Trail) AppendReturning(event Event) (Event, error) {
	text, err := event.marshal()
	if err != nil {
		return Event{}, err
	}
	t.using.RLock()
	defer t.using.RUnlock()
	if t.handle == nil {
		return Event{}, closed("append")
	}
	call := take()
	defer call.giveBack()
	if C.auditrail_writer_append_returning(t.handle, chars(text), C.size_t(len(text)), &call.buffer,
		&call.err) != C.AUDITRAIL_OK {
		return Event{}, call.failure()
	}
	return ParseEvent(call.takeBuffer())
}

// AppendBatch appends events, all or none. Their ids are consecutive; it
// returns the first. Without an event it does nothing and returns 0.
func (t *Trail) AppendBatch(events []Event) (first uint64, err error) {
	if len(events) == 0 {
		return 0, nil
	}
	var lines []byte
	for index, event := range events {
		text, err := event.marshal()
		if err != nil {
			return 0, fmt.Errorf("event %d of the batch: %w", index, err)
		}
		lines = append(append(lines, text...), '\n')
	}
	first, _, err = t.AppendLines(lines)
	return first, err
}

// AppendLines appends events that are already lines of JSON, all or none, and
// returns the first of their ids and how many they are.
func (t *Trail) AppendLines(lines []byte) (first uint64, count int, err error) {
	t.using.RLock()
	defer t.using.RUnlock()
	if t.handle == nil {
		return 0, 0, closed("append")
	}
	call := take()
	defer call.giveBack()
	if C.auditrail_writer_append_batch(t.handle, chars(lines), C.size_t(len(lines)), &call.number,
		&call.count, &call.err) != C.AUDITRAIL_OK {
		return 0, 0, call.failure()
	}
	return uint64(call.number), int(call.count), nil
}

// Flush gives all events that were accepted to the operating system.
func (t *Trail) Flush() error {
	return t.do("flush", func(call *call) C.auditrail_status {
		return C.auditrail_writer_flush(t.handle, &call.err)
	})
}

// Sync brings all events that were accepted to disk.
func (t *Trail) Sync() error {
	return t.do("sync", func(call *call) C.auditrail_status {
		return C.auditrail_writer_sync(t.handle, &call.err)
	})
}

// Stats tells what the trail's writer has done and where it is.
func (t *Trail) Stats() (Stats, error) {
	var stats Stats
	err := t.do("stats", func(call *call) C.auditrail_status {
		raw := C.auditrail_stats{}
		raw.size = C.size_t(unsafe.Sizeof(raw))
		status := C.auditrail_writer_stats(t.handle, &raw, &call.err)
		stats = Stats{
			Events: uint64(raw.events), Bytes: uint64(raw.bytes), Batches: uint64(raw.batches),
			Rotations: uint64(raw.rotations), Syncs: uint64(raw.syncs),
			LastID: uint64(raw.last_id), WrittenID: uint64(raw.written_id),
			SyncedID: uint64(raw.synced_id), TornTails: uint64(raw.torn_tails),
			TornBytes: uint64(raw.torn_bytes), MissingIDs: uint64(raw.missing_ids),
			Waiting: uint64(raw.waiting), Streams: uint64(raw.streams),
			OpenFiles: uint64(raw.open_files), FlushFailures: uint64(raw.flush_failures),
		}
		return status
	})
	return stats, err
}

// Close flushes, syncs, and lets the trail go, whatever it returns. Calls that
// are under way end first. A second call returns an error that is os.ErrClosed.
func (t *Trail) Close() error {
	t.using.Lock()
	defer t.using.Unlock()
	if t.handle == nil {
		return closed("close")
	}
	call := take()
	defer call.giveBack()
	status := C.auditrail_writer_close(t.handle, &call.err)
	t.handle = nil
	t.forgetWarned()
	if status != C.AUDITRAIL_OK {
		return call.failure()
	}
	return nil
}

// Stats are the figures of a writer; auditrail.h explains each.
type Stats struct {
	Events, Bytes, Batches, Rotations, Syncs uint64
	LastID, WrittenID, SyncedID              uint64
	TornTails, TornBytes, MissingIDs         uint64
	Waiting, Streams, OpenFiles              uint64
	FlushFailures                            uint64
}

func (t *Trail) do(what string, work func(*call) C.auditrail_status) error {
	t.using.RLock()
	defer t.using.RUnlock()
	if t.handle == nil {
		return closed(what)
	}
	call := take()
	defer call.giveBack()
	if work(call) != C.AUDITRAIL_OK {
		return call.failure()
	}
	return nil
}

func closed(what string) error { return fmt.Errorf("auditrail: %s: %w", what, os.ErrClosed) }

// A call is what the library writes its results to. C may write to memory of
// Go while a call lasts; what escapes to it comes from the heap, so it is used
// again.
type call struct {
	err    C.auditrail_error
	number C.uint64_t
	count  C.size_t
	offset C.uint64_t
	text   *C.char
	buffer *C.auditrail_buffer
}

var calls = sync.Pool{New: func() any { return new(call) }}

func take() *call { return calls.Get().(*call) }

func (c *call) giveBack() { calls.Put(c) }

func (c *call) takeBuffer() []byte {
	defer C.auditrail_buffer_free(c.buffer)
	return goBytes(C.auditrail_buffer_data(c.buffer), C.auditrail_buffer_length(c.buffer))
}

// goBytes copies bytes of C, of which there may be more than C.GoBytes can count.
func goBytes(from *C.char, length C.size_t) []byte {
	if length == 0 {
		return nil
	}
	return append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(from)), int(length))...)
}

// cString is a text for C, to be freed.
func cString(text string) (*C.char, error) {
	if strings.IndexByte(text, 0) >= 0 {
		return nil, &Error{Status: ErrInvalidArgument, Offset: -1,
			Message: fmt.Sprintf("%q has a NUL in it", text)}
	}
	return C.CString(text), nil
}

// chars is where bytes begin, for C to read while a call lasts.
func chars(bytes []byte) *C.char {
	if len(bytes) == 0 {
		return nil
	}
	return (*C.char)(unsafe.Pointer(&bytes[0]))
}
