// Who gave whom which role: a small program over the package auditrail.
//
//	go run ./story audit
package main

import (
	"errors"
	"fmt"
	"log"
	"os"

	"example/auditrail"
)

type user struct {
	Role string `json:"role"`
}

func main() {
	log.SetFlags(0)
	root := "audit"
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	if err := run(root); err != nil {
		log.Fatal(err)
	}
}

func create(name string) auditrail.Event {
	return auditrail.Event{
		Domain: "v2", Category: "users", ModelName: name, Operation: "create",
		LogicalUserID: "admin-7", Payload: auditrail.Payload{After: user{"user"}},
	}
}

func run(root string) (err error) {
	trail, err := auditrail.Open(root)
	if err != nil {
		return err
	}
	defer func() {
		if closing := trail.Close(); err == nil {
			err = closing
		}
	}()

	id, err := trail.Append(create("ada"))
	if err != nil {
		return err
	}
	fmt.Printf("event %d: create ada\n", id)

	event, err := trail.AppendReturning(auditrail.Event{
		Domain: "v2", Category: "users", ModelName: "ada", Operation: "update",
		LogicalUserID: "admin-7", RequestID: "req-1",
		Payload: auditrail.Payload{Delta: map[string]auditrail.Change{
			"role": {Old: "user", New: "owner"},
		}},
	})
	if err != nil {
		return err
	}
	fmt.Printf("event %d: %s %s by %s\n", event.ID, event.Operation, event.ModelName, event.LogicalUserID)

	others := []auditrail.Event{create("bob"), create("cyd")}
	first, err := trail.AppendBatch(others)
	if err != nil {
		return err
	}
	fmt.Printf("events %d to %d in one batch\n", first, first+uint64(len(others))-1)

	_, err = trail.AppendJSON([]byte(`{"domain":"v2","category":"../etc","model_name":"x",` +
		`"operation":"create","logical_user_id":"u"}`))
	var refused *auditrail.Error
	if errors.As(err, &refused) && errors.Is(err, auditrail.ErrInvalidEvent) {
		fmt.Printf("refused: %v at byte %d: %s\n", refused.Status, refused.Offset, refused.Message)
	}

	reader, err := auditrail.OpenReader(root, auditrail.Filter{
		Categories: []string{"users"}, Order: auditrail.NewestFirst,
	})
	if err != nil {
		return err
	}
	defer reader.Close()
	for reader.Next() {
		event, err := reader.Event()
		if err != nil {
			return err
		}
		fmt.Println(event.ID, event.Operation, event.ModelName)
	}
	if err := reader.Err(); err != nil {
		return err
	}

	users := map[string]user{}
	if _, err := auditrail.Replay(root, "v2", "users", auditrail.Filter{}, &users); err != nil {
		return err
	}
	fmt.Printf("ada is %s\n", users["ada"].Role)
	return nil
}
