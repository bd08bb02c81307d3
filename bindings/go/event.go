package auditrail

import (
	"bytes"
	"encoding/json"
	"reflect"
)

// An Event is a change to a record. ID is given by the trail, and ignored when
// an event is appended.
type Event struct {
	ID            uint64 `json:"event_id,omitempty"`
	Timestamp     int64  `json:"timestamp,omitempty"` // Unix seconds; 0: now
	Domain        string `json:"domain"`
	Category      string `json:"category"`
	ModelName     string `json:"model_name"`
	Operation     string `json:"operation"`
	LogicalUserID string `json:"logical_user_id"`
	RequestID     string `json:"request_id,omitempty"` // "": none
	// Payload is a Payload, or anything else that json.Marshal makes an object
	// of; nil: none. In an event that was read it is a json.RawMessage. Texts in
	// it that are not valid UTF-8 are an error.
	Payload any `json:"payload,omitempty"`
}

// A Payload is the usual payload: the record before and after, or field by
// field. Each is left out where it is nil.
type Payload struct {
	Before any               `json:"before,omitempty"`
	After  any               `json:"after,omitempty"`
	Delta  map[string]Change `json:"delta,omitempty"`
}

// A Change is the value of one field before and after; nil where there was none.
type Change struct {
	Old any `json:"old"`
	New any `json:"new"`
}

// ParseEvent takes the line of an event apart.
func ParseEvent(line []byte) (Event, error) {
	var payload json.RawMessage
	event := Event{Payload: &payload}
	if err := json.Unmarshal(line, &event); err != nil {
		return Event{}, err
	}
	event.Payload = nil
	if payload != nil {
		event.Payload = payload
	}
	return event, nil
}

func (e Event) marshal() ([]byte, error) {
	for _, text := range [...]struct{ name, value string }{
		{"domain", e.Domain}, {"category", e.Category}, {"model_name", e.ModelName},
		{"operation", e.Operation}, {"logical_user_id", e.LogicalUserID},
		{"request_id", e.RequestID},
	} {
		if err := notUTF8(text.name, text.value); err != nil {
			return nil, err
		}
	}
	e.ID = 0
	text, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	// Only where this character is can json.Marshal have put it for something else.
	if bytes.Contains(text, []byte(`\ufffd`)) || bytes.Contains(text, []byte("\ufffd")) {
		if err := (search{}).in("payload", reflect.ValueOf(e.Payload)); err != nil {
			return nil, err
		}
	}
	return text, nil
}
