package auditrail

/*
#include <auditrail.h>

extern void auditrailGoWarned(uintptr_t handle, int32_t kind, char *message);

// A handle is a small number, which Go must not meet in the place of a pointer.
static void go_warned(void *handle, auditrail_warning kind, const char *message) {
    auditrailGoWarned((uintptr_t)handle, kind, (char *)message);
}

static auditrail_status set_go_warned(auditrail_options *options, uintptr_t handle,
                                      auditrail_error *error) {
    return auditrail_options_set_warning_callback(options, go_warned, (void *)handle, error);
}
*/
import "C"

import (
	"fmt"
	"runtime/cgo"
	"time"
)

// An Option says how a trail is opened.
type Option func(*Trail, *C.auditrail_options, *call) error

// A Durability is what an append waits for.
type Durability int32

const (
	// Buffered: the event is in memory, and flushed soon.
	Buffered = Durability(C.AUDITRAIL_DURABILITY_BUFFERED)
	// Written: the event is in its file; only a loss of power can lose it.
	Written = Durability(C.AUDITRAIL_DURABILITY_WRITTEN)
	// Synced: the event is on disk; nothing loses it.
	Synced = Durability(C.AUDITRAIL_DURABILITY_SYNCED)
	// Mapped: the event is in a mapped file, and flushed soon; only a loss of power can
	// lose it.
	Mapped = Durability(C.AUDITRAIL_DURABILITY_MAPPED)
)

// A Warning is something worth telling that is no error: what recovery found,
// or that a flush failed. Kind is one of AUDITRAIL_WARNING_….
type Warning struct {
	Kind    int32
	Message string
}

func option(set func(*C.auditrail_options, *call) C.auditrail_status) Option {
	return func(_ *Trail, options *C.auditrail_options, call *call) error {
		if set(options, call) != C.AUDITRAIL_OK {
			return call.failure()
		}
		return nil
	}
}

// WithDurability sets what an append waits for; the default is Written.
func WithDurability(durability Durability) Option {
	return option(func(o *C.auditrail_options, c *call) C.auditrail_status {
		return C.auditrail_options_set_durability(o, C.auditrail_durability(durability), &c.err)
	})
}

// WithShared lets many processes write to the trail, if all of them say so.
func WithShared() Option {
	return option(func(o *C.auditrail_options, c *call) C.auditrail_status {
		return C.auditrail_options_set_shared(o, 1, &c.err)
	})
}

// WithMaxSegmentBytes sets the size at which a segment is full.
func WithMaxSegmentBytes(bytes uint64) Option {
	return option(func(o *C.auditrail_options, c *call) C.auditrail_status {
		return C.auditrail_options_set_max_segment_bytes(o, C.uint64_t(bytes), &c.err)
	})
}

// WithMaxEventBytes sets the size of the largest event.
func WithMaxEventBytes(bytes uint64) Option {
	return option(func(o *C.auditrail_options, c *call) C.auditrail_status {
		return C.auditrail_options_set_max_event_bytes(o, C.uint64_t(bytes), &c.err)
	})
}

// WithMaxOpenFiles sets how many segments are held open at most.
func WithMaxOpenFiles(files uint64) Option {
	return option(func(o *C.auditrail_options, c *call) C.auditrail_status {
		return C.auditrail_options_set_max_open_files(o, C.uint64_t(files), &c.err)
	})
}

// WithLockTimeout sets how long a call waits for a lock of the trail that another
// process holds; then it gives ErrBusy. 0, as without this option: no limit. Others
// are rounded up to milliseconds.
func WithLockTimeout(timeout time.Duration) Option {
	milliseconds, err := wholeMilliseconds("timeout", timeout)
	if err != nil {
		return failing(err)
	}
	return option(func(o *C.auditrail_options, c *call) C.auditrail_status {
		return C.auditrail_options_set_lock_timeout_ms(o, milliseconds, &c.err)
	})
}

// WithBuffer sets how much is held, and how long, by a trail that is Buffered or Mapped. An
// interval of 0: no flush by time; others are rounded up to milliseconds.
func WithBuffer(bytes uint64, interval time.Duration) Option {
	milliseconds, err := wholeMilliseconds("interval", interval)
	if err != nil {
		return failing(err)
	}
	return option(func(o *C.auditrail_options, c *call) C.auditrail_status {
		if status := C.auditrail_options_set_buffer_bytes(o, C.uint64_t(bytes), &c.err); status != 0 {
			return status
		}
		return C.auditrail_options_set_flush_interval_ms(o, milliseconds, &c.err)
	})
}

// wholeMilliseconds rounds up, so that what is not 0, which means something else,
// does not become it.
func wholeMilliseconds(name string, duration time.Duration) (C.uint64_t, error) {
	if duration < 0 {
		return 0, &Error{Status: ErrInvalidArgument, Offset: -1,
			Message: fmt.Sprintf("the %s %v is negative", name, duration)}
	}
	milliseconds := duration / time.Millisecond
	if duration%time.Millisecond > 0 {
		milliseconds++
	}
	return C.uint64_t(milliseconds), nil
}

// failing is an option that cannot be set.
func failing(err error) Option {
	return func(*Trail, *C.auditrail_options, *call) error { return err }
}

// WithDomains allows only events of these domains, instead of legacy and v2;
// without any, all are allowed.
func WithDomains(domains ...string) Option {
	return option(func(o *C.auditrail_options, c *call) C.auditrail_status {
		if len(domains) == 0 {
			return C.auditrail_options_set_any_domain(o, &c.err)
		}
		for _, name := range domains {
			text := []byte(name)
			if status := C.auditrail_options_add_domain(o, chars(text), C.size_t(len(text)),
				&c.err); status != 0 {
				return status
			}
		}
		return C.AUDITRAIL_OK
	})
}

// WithOperations allows only events with these operations, instead of create,
// update and delete; without any, all are allowed.
func WithOperations(operations ...string) Option {
	return option(func(o *C.auditrail_options, c *call) C.auditrail_status {
		if len(operations) == 0 {
			return C.auditrail_options_set_any_operation(o, &c.err)
		}
		for _, name := range operations {
			text := []byte(name)
			if status := C.auditrail_options_add_operation(o, chars(text), C.size_t(len(text)),
				&c.err); status != 0 {
				return status
			}
		}
		return C.AUDITRAIL_OK
	})
}

// WithWarnings has warned called for each warning, in a goroutine of its own,
// until the trail is closed; the library waits for it. It must not use the trail.
// If it panics, the program ends, for Go cannot unwind what has called it. nil:
// nobody is told.
func WithWarnings(warned func(Warning)) Option {
	return func(trail *Trail, options *C.auditrail_options, call *call) error {
		trail.forgetWarned()
		if warned == nil {
			C.auditrail_options_set_warning_callback(options, nil, nil, &call.err)
			return nil
		}
		trail.warned = cgo.NewHandle(warned)
		if C.set_go_warned(options, C.uintptr_t(trail.warned), &call.err) != C.AUDITRAIL_OK {
			return call.failure()
		}
		return nil
	}
}

func (t *Trail) forgetWarned() {
	if t.warned != 0 {
		t.warned.Delete()
		t.warned = 0
	}
}
