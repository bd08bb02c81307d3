#!/usr/bin/env python3
"""Who gave whom which role: a small program over auditrail.py.

    PYTHONPATH=bindings/python python3 examples/python/story.py audit
"""

import sys

import auditrail


def create(who):
    return {
        "domain": "v2", "category": "users", "model_name": who, "operation": "create",
        "logical_user_id": "admin-7", "payload": auditrail.AuditPayload.from_create({"role": "user"}),
    }


def main(root="audit"):
    with auditrail.Trail(root) as trail:
        # A user is created: append gives the event's id.
        print(f"event {trail.append(**create('ada'))}: create ada")

        # She becomes an owner. Who did that, in this request?
        trail.append(
            domain="v2", category="users", model_name="ada", operation="update",
            logical_user_id="admin-7", request_id="req-1",
            payload=auditrail.AuditPayload.from_update({"role": "user"}, {"role": "owner"}),
        )
        for event in trail.read(request_id="req-1"):
            print(f"event {event.event_id}: {event.operation} {event.model_name} by {event.logical_user_id}")

        # Two more in one batch: all of it, or nothing.
        ids = trail.append_batch([create("bob"), create("cyd")])
        print(f"events {ids[0]} to {ids[-1]} in one batch")

        # An event that breaks a rule is refused; the error says why, and where.
        try:
            trail.append_json('{"domain":"v2","category":"../etc","model_name":"x",'
                              '"operation":"create","logical_user_id":"u"}')
        except auditrail.InvalidEventError as error:
            print(f"refused: {error.name} at byte {error.offset}: {error}")

        # All that is in the trail, the newest first.
        for event in trail.read(categories="users", order=auditrail.Order.NEWEST_FIRST):
            print(event.event_id, event.operation, event.model_name)

        # What the events make of each record.
        users = auditrail.replay(root, domain="v2", category="users").state
        print(f"ada is {users['ada']['role']}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
