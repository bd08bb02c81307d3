package auditrail

// #include <stdint.h>
import "C"

import (
	"runtime/cgo"
	"unsafe"
)

//export auditrailGoWarned
func auditrailGoWarned(handle unsafe.Pointer, kind C.int32_t, message *C.char) {
	warned := cgo.Handle(uintptr(handle)).Value().(func(Warning))
	warned(Warning{Kind: int32(kind), Message: C.GoString(message)})
}
