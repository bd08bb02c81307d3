package auditrail

/*
#include <stdlib.h>
#include <auditrail.h>
*/
import "C"

import (
	"context"
	"encoding/json"
	"math"
	"sync"
	"time"
	"unsafe"
)

// An Order is the order in which a Reader gives events.
type Order int32

const (
	// StreamOrder: domain after domain, category after category.
	StreamOrder = Order(C.AUDITRAIL_ORDER_STREAM)
	// OldestFirst: by rising id, over all streams.
	OldestFirst = Order(C.AUDITRAIL_ORDER_OLDEST_FIRST)
	// NewestFirst: by falling id, over all streams.
	NewestFirst = Order(C.AUDITRAIL_ORDER_NEWEST_FIRST)
)

// A Filter says which events to read. What is left at zero lets everything
// through; all limits are inclusive. Of the texts of a list an event must have
// one: a list that is not nil but empty lets nothing through.
type Filter struct {
	Domains, Categories, ModelNames, Operations, Users []string
	RequestID                                          string // "": any, or none
	MinID, MaxID                                       uint64
	MinTimestamp, MaxTimestamp                         int64
	Order                                              Order
	Limit                                              uint64 // 0: no limit
}

// matchesNothing tells whether a list is there, but empty.
func (f Filter) matchesNothing() bool {
	for _, list := range [...][]string{f.Domains, f.Categories, f.ModelNames, f.Operations, f.Users} {
		if list != nil && len(list) == 0 {
			return true
		}
	}
	return false
}

// build makes the library's filter, which must be freed.
func (f Filter) build(call *call) (*C.auditrail_filter, error) {
	filter := C.auditrail_filter_new()
	ok := func(status C.auditrail_status) bool { return status == C.AUDITRAIL_OK }
	good := true
	for _, text := range f.Domains {
		b := []byte(text)
		good = good && ok(C.auditrail_filter_add_domain(filter, chars(b), C.size_t(len(b)), &call.err))
	}
	for _, text := range f.Categories {
		b := []byte(text)
		good = good && ok(C.auditrail_filter_add_category(filter, chars(b), C.size_t(len(b)), &call.err))
	}
	for _, text := range f.ModelNames {
		b := []byte(text)
		good = good && ok(C.auditrail_filter_add_model_name(filter, chars(b), C.size_t(len(b)), &call.err))
	}
	for _, text := range f.Operations {
		b := []byte(text)
		good = good && ok(C.auditrail_filter_add_operation(filter, chars(b), C.size_t(len(b)), &call.err))
	}
	for _, text := range f.Users {
		b := []byte(text)
		good = good && ok(C.auditrail_filter_add_user(filter, chars(b), C.size_t(len(b)), &call.err))
	}
	if f.RequestID != "" {
		b := []byte(f.RequestID)
		good = good && ok(C.auditrail_filter_set_request_id(filter, chars(b), C.size_t(len(b)), &call.err))
	}
	if f.MinID != 0 || f.MaxID != 0 {
		max := f.MaxID
		if max == 0 {
			max = math.MaxUint64
		}
		good = good && ok(C.auditrail_filter_set_event_ids(filter, C.uint64_t(f.MinID),
			C.uint64_t(max), &call.err))
	}
	if f.MinTimestamp != 0 || f.MaxTimestamp != 0 {
		min, max := f.MinTimestamp, f.MaxTimestamp
		if min == 0 {
			min = math.MinInt64
		}
		if max == 0 {
			max = math.MaxInt64
		}
		good = good && ok(C.auditrail_filter_set_timestamps(filter, C.int64_t(min), C.int64_t(max),
			&call.err))
	}
	if f.matchesNothing() { // ids begin at 1
		good = good && ok(C.auditrail_filter_set_event_ids(filter, 0, 0, &call.err))
	}
	good = good && ok(C.auditrail_filter_set_order(filter, C.auditrail_order(f.Order), &call.err))
	if f.Limit != 0 {
		good = good && ok(C.auditrail_filter_set_limit(filter, C.uint64_t(f.Limit), &call.err))
	}
	if !good {
		C.auditrail_filter_free(filter)
		return nil, call.failure()
	}
	return filter, nil
}

// A Reader goes through the events of a trail:
//
//	reader, err := auditrail.OpenReader("audit", auditrail.Filter{})
//	if err != nil { … }
//	defer reader.Close()
//	for reader.Next() {
//		fmt.Printf("%d %s\n", reader.ID(), reader.Line())
//	}
//	if err := reader.Err(); err != nil { … }
type Reader struct {
	// One call at a time, for closing to wait for what is under way.
	using  sync.Mutex
	handle *C.auditrail_reader
	call   *call
	err    error
}

// OpenReader opens the trail in the folder root for reading.
func OpenReader(root string, filter Filter) (*Reader, error) {
	call := new(call)
	built, err := filter.build(call)
	if err != nil {
		return nil, err
	}
	defer C.auditrail_filter_free(built)
	path, err := cString(root)
	if err != nil {
		return nil, err
	}
	defer C.free(unsafe.Pointer(path))
	reader := &Reader{call: call}
	if C.auditrail_reader_open(path, built, &reader.handle, &call.err) != C.AUDITRAIL_OK {
		return nil, call.failure()
	}
	return reader, nil
}

// Next goes to the next event; false at the end, and when Err says why not.
func (r *Reader) Next() bool {
	r.using.Lock()
	defer r.using.Unlock()
	if !r.usable() {
		return false
	}
	return r.moved(C.auditrail_reader_next(r.handle, &r.call.text, &r.call.count, &r.call.number,
		&r.call.err))
}

// Follow is as Next, but at the end waits for an event that comes, until the
// context is done or the reader fails or is closed; Err then says which. Without
// an error it returns false where nothing more can pass the filter.
func (r *Reader) Follow(ctx context.Context) bool {
	for {
		if moved, more := r.followTurn(ctx); moved || !more {
			return moved
		}
	}
}

// followTurn waits for a short time, between which the context is looked at and
// the reader can be closed. It tells whether it went on, and if not, whether there
// can be more.
func (r *Reader) followTurn(ctx context.Context) (moved, more bool) {
	const turn = 100 * time.Millisecond
	r.using.Lock()
	defer r.using.Unlock()
	if !r.usable() {
		return false, false
	}
	if r.err = ctx.Err(); r.err != nil {
		return false, false
	}
	start := time.Now()
	moved = r.moved(C.auditrail_reader_follow(r.handle, C.uint64_t(turn.Milliseconds()), &r.call.text,
		&r.call.count, &r.call.number, &r.call.err))
	// The library comes back early only where nothing more can pass the filter.
	return moved, r.err == nil && time.Since(start) >= turn
}

// usable tells whether the reader can go on, and says so in err if it is closed.
func (r *Reader) usable() bool {
	if r.handle == nil && r.err == nil {
		r.err = closed("read")
	}
	return r.err == nil
}

func (r *Reader) moved(status C.auditrail_status) bool {
	switch status {
	case C.AUDITRAIL_OK:
		return true
	case C.AUDITRAIL_END:
	default:
		r.err = r.call.failure()
	}
	r.call.text, r.call.count, r.call.number = nil, 0, 0
	return false
}

// Damage are the lines met so far that are no events, the first thousand.
func (r *Reader) Damage() []Damage {
	r.using.Lock()
	defer r.using.Unlock()
	var found []Damage
	var path, reason *C.char
	for r.handle != nil && C.auditrail_reader_damage(r.handle, C.size_t(len(found)), &path,
		&r.call.offset, &reason, &r.call.err) == C.AUDITRAIL_OK {
		found = append(found, Damage{C.GoString(path), uint64(r.call.offset), C.GoString(reason)})
	}
	return found
}

// A Damage is a line that is no event of the stream in whose file it stands.
type Damage struct {
	Path   string
	Offset uint64 // the byte at which the line begins
	Reason string
}

// Err is why Next went no further; nil at the end. It is os.ErrClosed for a
// reader that was closed before.
func (r *Reader) Err() error {
	r.using.Lock()
	defer r.using.Unlock()
	return r.err
}

// ID is the id of the event.
func (r *Reader) ID() uint64 {
	r.using.Lock()
	defer r.using.Unlock()
	return uint64(r.call.number)
}

// Line is the event as JSON text, in memory of its own.
func (r *Reader) Line() []byte {
	r.using.Lock()
	defer r.using.Unlock()
	return goBytes(r.call.text, r.call.count)
}

// Event takes the event apart.
func (r *Reader) Event() (Event, error) { return ParseEvent(r.Line()) }

// All goes through the events that are left. From Go 1.23 on it can be ranged
// over: for event, err := range reader.All().
func (r *Reader) All() func(yield func(Event, error) bool) {
	return func(yield func(Event, error) bool) {
		for r.Next() {
			if event, err := r.Event(); !yield(event, err) {
				return
			}
		}
		if err := r.Err(); err != nil {
			yield(Event{}, err)
		}
	}
}

// Close lets the files go, when a call that is under way has ended. A second call
// does nothing.
func (r *Reader) Close() error {
	r.using.Lock()
	defer r.using.Unlock()
	C.auditrail_reader_close(r.handle)
	r.handle = nil
	r.call.text, r.call.count, r.call.number = nil, 0, 0
	return nil
}

// Replayed tells what Replay has applied.
type Replayed struct {
	LastEventID   uint64 // 0: no event
	AppliedEvents uint64
}

// Replay builds the records of a domain and category as their events leave
// them; with a largest id or timestamp, as they were then. They go into records,
// a pointer to a map from names to whatever a record is unmarshalled to.
func Replay(root, domain, category string, filter Filter, records any) (Replayed, error) {
	call := take()
	defer call.giveBack()
	built, err := filter.build(call)
	if err != nil {
		return Replayed{}, err
	}
	defer C.auditrail_filter_free(built)
	var texts [3]*C.char
	for index, text := range [...]string{root, domain, category} {
		if texts[index], err = cString(text); err != nil {
			return Replayed{}, err
		}
		defer C.free(unsafe.Pointer(texts[index]))
	}
	if C.auditrail_replay(texts[0], texts[1], texts[2], built, &call.buffer,
		&call.err) != C.AUDITRAIL_OK {
		return Replayed{}, call.failure()
	}
	result := struct {
		State         any     `json:"state"`
		LastEventID   *uint64 `json:"last_event_id"`
		AppliedEvents uint64  `json:"applied_events"`
	}{State: records}
	if err := json.Unmarshal(call.takeBuffer(), &result); err != nil {
		return Replayed{}, err
	}
	replayed := Replayed{AppliedEvents: result.AppliedEvents}
	if result.LastEventID != nil {
		replayed.LastEventID = *result.LastEventID
	}
	return replayed, nil
}

// An Entry is one event in the history of a record.
type Entry struct {
	EventID       uint64            `json:"event_id"`
	Timestamp     int64             `json:"timestamp"`
	Operation     string            `json:"operation"`
	LogicalUserID string            `json:"logical_user_id"`
	RequestID     string            `json:"request_id"`
	Changes       map[string]Change `json:"changes"`
}

// History tells what happened to one record, event by event.
func History(root, domain, category, modelName string, filter Filter) ([]Entry, error) {
	call := take()
	defer call.giveBack()
	built, err := filter.build(call)
	if err != nil {
		return nil, err
	}
	defer C.auditrail_filter_free(built)
	var texts [4]*C.char
	for index, text := range [...]string{root, domain, category, modelName} {
		if texts[index], err = cString(text); err != nil {
			return nil, err
		}
		defer C.free(unsafe.Pointer(texts[index]))
	}
	if C.auditrail_history(texts[0], texts[1], texts[2], texts[3], built, &call.buffer,
		&call.err) != C.AUDITRAIL_OK {
		return nil, call.failure()
	}
	var entries []Entry
	err = json.Unmarshal(call.takeBuffer(), &entries)
	return entries, err
}

// Check goes through a trail without changing it; the report is JSON text.
func Check(root string) (json.RawMessage, error) {
	return CheckPruned(root, 0)
}

// CheckPruned is Check for a trail whose old segments were deleted or moved away:
// events before prunedBefore may be missing.
func CheckPruned(root string, prunedBefore uint64) (json.RawMessage, error) {
	call := take()
	defer call.giveBack()
	path, err := cString(root)
	if err != nil {
		return nil, err
	}
	defer C.free(unsafe.Pointer(path))
	if C.auditrail_check_pruned(path, C.uint64_t(prunedBefore), &call.buffer, &call.err) != C.AUDITRAIL_OK {
		return nil, call.failure()
	}
	return call.takeBuffer(), nil
}
