package auditrail

// #include <stdint.h>
import "C"

import "runtime/cgo"

// In a goroutine of its own, so that a panic ends the program instead of leaving
// the library in the middle of its work, with its locks held, for a recover further
// up to go on from.
//
//export auditrailGoWarned
func auditrailGoWarned(handle C.uintptr_t, kind C.int32_t, message *C.char) {
	warned := cgo.Handle(handle).Value().(func(Warning))
	warning := Warning{Kind: int32(kind), Message: C.GoString(message)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		warned(warning)
	}()
	<-done
}
