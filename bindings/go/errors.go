package auditrail

// #include <auditrail.h>
import "C"

import (
	"io/fs"
	"syscall"
)

// A Status is a number by which the library says why it failed. It is an error,
// for errors.Is to compare with:
//
//	if errors.Is(err, auditrail.ErrBusy) { … }
type Status int32

// The statuses; auditrail.h explains each.
const (
	ErrInvalidArgument = Status(C.AUDITRAIL_ERR_INVALID_ARGUMENT)
	ErrInvalidEvent    = Status(C.AUDITRAIL_ERR_INVALID_EVENT)
	ErrTooLarge        = Status(C.AUDITRAIL_ERR_TOO_LARGE)
	ErrUnsupported     = Status(C.AUDITRAIL_ERR_UNSUPPORTED)
	ErrIO              = Status(C.AUDITRAIL_ERR_IO)
	ErrNoSpace         = Status(C.AUDITRAIL_ERR_NO_SPACE)
	ErrBusy            = Status(C.AUDITRAIL_ERR_BUSY)
	ErrFailed          = Status(C.AUDITRAIL_ERR_FAILED)
	ErrBufferFull      = Status(C.AUDITRAIL_ERR_BUFFER_FULL)
	ErrNotFound        = Status(C.AUDITRAIL_ERR_NOT_FOUND)
	ErrCorrupt         = Status(C.AUDITRAIL_ERR_CORRUPT)
	ErrTampered        = Status(C.AUDITRAIL_ERR_TAMPERED)
	ErrForked          = Status(C.AUDITRAIL_ERR_FORKED)
	ErrPanic           = Status(C.AUDITRAIL_ERR_PANIC)
)

// Error returns the status's name, such as AUDITRAIL_ERR_BUSY.
func (s Status) Error() string { return C.GoString(C.auditrail_status_name(C.auditrail_status(s))) }

// An Error is what the library says when it fails, for errors.As. It is its
// Status, its Errno and, where there is no trail, fs.ErrNotExist.
type Error struct {
	Status  Status
	Errno   syscall.Errno // the operating system's reason; 0: none
	Offset  int64         // the byte in the JSON text or file; -1: none
	Message string        // for people; it names the key or the path
}

func (e *Error) Error() string { return "auditrail: " + e.Message }

// Is tells whether the error has the status target.
func (e *Error) Is(target error) bool {
	return target == error(e.Status) || e.Status == ErrNotFound && target == fs.ErrNotExist
}

// Unwrap returns the operating system's reason, if there is one.
func (e *Error) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}

func (c *call) failure() error {
	return &Error{
		Status:  Status(c.err.status),
		Errno:   syscall.Errno(c.err.os_errno),
		Offset:  int64(c.err.offset),
		Message: C.GoString(&c.err.message[0]),
	}
}
