// Who gave whom which role: a small program over the package auditrail.
//
//	(cd examples/go && go build -o ../../build/story) && build/story audit
package main

import (
	"errors"
	"fmt"
	"log"
	"os"

	"example.org/auditrail"
)

type user struct {
	Role string `json:"role"`
}

func create(who string) auditrail.Event {
	return auditrail.Event{
		Domain: "v2", Category: "users", ModelName: who, Operation: "create",
		LogicalUserID: "admin-7", Payload: auditrail.Payload{After: user{"user"}},
	}
}

func main() {
	log.SetFlags(0)
	root := "audit"
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	if err := story(root); err != nil {
		log.Fatal(err)
	}
}

func story(root string) (err error) {
	trail, err := auditrail.Open(root)
	if err != nil {
		return err
	}
	defer func() {
		if closing := trail.Close(); err == nil {
			err = closing
		}
	}()

	// A user is created: append gives the event's id.
	id, err := trail.Append(create("ada"))
	if err != nil {
		return err
	}
	fmt.Printf("event %d: create ada\n", id)

	// She becomes an owner. Who did that, in this request?
	if _, err := trail.Append(auditrail.Event{
		Domain: "v2", Category: "users", ModelName: "ada", Operation: "update",
		LogicalUserID: "admin-7", RequestID: "req-1",
		Payload: auditrail.Payload{Delta: map[string]auditrail.Change{
			"role": {Old: "user", New: "owner"},
		}},
	}); err != nil {
		return err
	}
	if err := read(root, auditrail.Filter{RequestID: "req-1"}, func(event auditrail.Event) {
		fmt.Printf("event %d: %s %s by %s\n", event.ID, event.Operation, event.ModelName, event.LogicalUserID)
	}); err != nil {
		return err
	}

	// Two more in one batch: all of it, or nothing.
	others := []auditrail.Event{create("bob"), create("cyd")}
	first, err := trail.AppendBatch(others)
	if err != nil {
		return err
	}
	fmt.Printf("events %d to %d in one batch\n", first, first+uint64(len(others))-1)

	// An event that breaks a rule is refused; the error says why, and where.
	_, err = trail.AppendJSON([]byte(`{"domain":"v2","category":"../etc","model_name":"x",` +
		`"operation":"create","logical_user_id":"u"}`))
	var refused *auditrail.Error
	if errors.As(err, &refused) && errors.Is(err, auditrail.ErrInvalidEvent) {
		fmt.Printf("refused: %v at byte %d: %s\n", refused.Status, refused.Offset, refused.Message)
	}

	// All that is in the trail, the newest first.
	newest := auditrail.Filter{Categories: []string{"users"}, Order: auditrail.NewestFirst}
	if err := read(root, newest, func(event auditrail.Event) {
		fmt.Println(event.ID, event.Operation, event.ModelName)
	}); err != nil {
		return err
	}

	// What the events make of each record.
	users := map[string]user{}
	if _, err := auditrail.Replay(root, "v2", "users", auditrail.Filter{}, &users); err != nil {
		return err
	}
	fmt.Printf("ada is %s\n", users["ada"].Role)
	return nil
}

func read(root string, filter auditrail.Filter, show func(auditrail.Event)) error {
	reader, err := auditrail.OpenReader(root, filter)
	if err != nil {
		return err
	}
	defer reader.Close()
	for reader.Next() {
		event, err := reader.Event()
		if err != nil {
			return err
		}
		show(event)
	}
	return reader.Err()
}
