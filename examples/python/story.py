#!/usr/bin/env python3
"""Who gave whom which role: a small program over auditrail.py.

    python3 story.py audit
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
        print(f"event {trail.append(**create('ada'))}: create ada")

        event = trail.append_event(
            domain="v2", category="users", model_name="ada", operation="update",
            logical_user_id="admin-7", request_id="req-1",
            payload=auditrail.AuditPayload.from_update({"role": "user"}, {"role": "owner"}),
        )
        print(f"event {event.event_id}: {event.operation} {event.model_name} by {event.logical_user_id}")

        ids = trail.append_batch([create("bob"), create("cyd")])
        print(f"events {ids[0]} to {ids[-1]} in one batch")

        try:
            trail.append_json('{"domain":"v2","category":"../etc","model_name":"x",'
                              '"operation":"create","logical_user_id":"u"}')
        except auditrail.InvalidEventError as error:
            print(f"refused: {error.name} at byte {error.offset}: {error}")

        for event in trail.read(categories="users", order=auditrail.Order.NEWEST_FIRST):
            print(event.event_id, event.operation, event.model_name)
        users = auditrail.replay(root, domain="v2", category="users").state
        print(f"ada is {users['ada']['role']}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
