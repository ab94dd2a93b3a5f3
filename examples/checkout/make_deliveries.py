#!/usr/bin/env python3
"""Makes `deliveries.jsonl`: what a shop's webhook is sent, one delivery a line.

    python3 make_deliveries.py            writes the file
    python3 make_deliveries.py --check    fails if the file is not what would be written

Of the 5,000 deliveries 3,500 are the first of their event. The other 1,500 are repetitions:

      600  at the same moment as the first one, beside it in the file
      550  later, as senders do that got no answer
      150  later, with the same event id and another amount: somebody's mistake, or worse
      200  later, because the one before failed: 150 events fail once, 25 twice

"Later" is at least 150 lines later, so that a program which has at most 64 deliveries in hand has finished
with the one before. That is why the counts are exact: handled once, the file gives 3,500 executed, 1,150
replayed, 150 refused and 200 failed; handled again, 4,850 replayed and 150 refused.

Only `Random.random` is used, which gives the same numbers in every version of Python.
"""

import datetime
import json
import pathlib
import random
import sys

FILE = pathlib.Path(__file__).with_name("deliveries.jsonl")

EVENTS = 3500
AT_ONCE = 600
LATER = 550
OTHER_AMOUNT = 150
FAIL_ONCE = 150
FAIL_TWICE = 25

APART = 150  # events between a delivery and its repetition
BEGIN = datetime.datetime(2026, 3, 2, 8, 0, tzinfo=datetime.timezone.utc)
DAY = 86_400


def deliveries():
    dice = random.Random(20260302)

    def below(limit):
        return int(dice.random() * limit)

    def identifier(length):
        return "".join("0123456789abcdefghjkmnpqrstvwxyz"[below(32)] for _ in range(length))

    def draw(pool, count):
        return [pool.pop(below(len(pool))) for _ in range(count)]

    events = [
        {
            "event": f"evt_{identifier(16)}",
            "order": f"ord_{100_000 + number}",
            "amount_cents": 100 * (1 + below(400)) + (0, 49, 90, 95, 99)[below(5)],
            "busy": 0,
        }
        for number in range(EVENTS)
    ]
    assert len({event["event"] for event in events}) == EVENTS

    # What is repeated later must have room for it before the end of the day.
    early = list(range(EVENTS - 3 * APART))
    fail_twice = draw(early, FAIL_TWICE)
    fail_once = draw(early, FAIL_ONCE)
    other_amount = draw(early, OTHER_AMOUNT)
    later = draw(early, LATER)
    # These are drawn from all, so that some of what fails is delivered twice at that moment, too.
    at_once = draw([number for number in range(EVENTS) if number not in set(other_amount)], AT_ONCE)

    for number in fail_once:
        events[number]["busy"] = 1
    for number in fail_twice:
        events[number]["busy"] = 2

    # (when, as the number of the event that comes at that time; what tells equal times apart; the event)
    line = [(number, 0, event) for number, event in enumerate(events)]

    def repeat(number, after, event, tie=1):
        line.append((number + after, tie, event))

    def some_time_after(number, share):
        room = EVENTS - 1 - number - APART
        return APART + below(max(1, int(room * share)))

    for number in at_once:
        repeat(number, 0, events[number])
    for number in later:
        repeat(number, some_time_after(number, 1.0), events[number], 2)
    for number in other_amount:
        event = dict(events[number])
        event["amount_cents"] += (100, -50, 900, 10_000)[below(4)]
        repeat(number, some_time_after(number, 1.0), event, 3)
    for number in fail_once:
        repeat(number, some_time_after(number, 0.2), events[number], 4)
    for number in fail_twice:
        first = some_time_after(number, 0.2)
        repeat(number, first, events[number], 4)
        repeat(number, first + APART, events[number], 5)

    line.sort(key=lambda entry: entry[:2])
    for number, (when, _, event) in enumerate(line, start=1):
        at = BEGIN + datetime.timedelta(milliseconds=when * DAY * 1000 // EVENTS)
        yield {"delivery": number, "at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"), **event}


def check(made):
    """What the head of this file says, counted."""
    seen = {}
    executed = replayed = refused = failed = 0
    for delivery in made:
        number, event = delivery["delivery"], delivery["event"]
        first = seen.setdefault(event, {**delivery, "tries": 0})
        apart = number - first["delivery"]
        assert apart == 0 or (apart >= 64) == (delivery["at"] != first["at"]), delivery
        if delivery["amount_cents"] != first["amount_cents"]:
            assert delivery["busy"] == 0 and apart > 64, delivery
            refused += 1
        elif first["tries"] < delivery["busy"]:
            first["tries"] += 1
            failed += 1
        elif first["tries"] == delivery["busy"]:
            first["tries"] += 1
            executed += 1
        else:
            replayed += 1
    assert (executed, replayed, refused, failed) == (3500, 1150, 150, 200)
    assert all(first["tries"] == first["busy"] + 1 for first in seen.values())


def main():
    made = list(deliveries())
    check(made)
    text = "".join(json.dumps(delivery, separators=(",", ":")) + "\n" for delivery in made).encode()
    if "--check" in sys.argv[1:]:
        if FILE.read_bytes() != text:
            sys.exit(f"{FILE} is not what this script makes; run it without --check")
        print(f"{FILE.name}: {len(made)} deliveries, as made")
    else:
        FILE.write_bytes(text)
        print(f"{FILE.name}: {len(made)} deliveries")


if __name__ == "__main__":
    main()
