"""A workflow of one step with DBOS (https://docs.dbos.dev), called for the first time and again with the same id.

    python dbos_calls.py postgres://user@host/database

Prints seconds per call, as the median: `first S`, then `duplicate S`.
"""

import statistics
import sys
import time

from dbos import DBOS, DBOSConfig, SetWorkflowID

CALLS = 300

url = sys.argv[1].replace("postgres://", "postgresql+psycopg://", 1)
DBOS(config=DBOSConfig(name="calls", system_database_url=url, log_level="ERROR", run_admin_server=False))


@DBOS.step()
def receipt(order: int, who: str) -> int:
    return order * 7 + len(who)


@DBOS.workflow()
def charge(order: int, who: str) -> int:
    return receipt(order, who)


DBOS.launch()


def calls(first: int, count: int) -> float:
    took = []
    for order in range(first, first + count):
        began = time.perf_counter()
        with SetWorkflowID(f"order-{order}"):
            charge(order, "anna")
        took.append(time.perf_counter() - began)
    return statistics.median(took)


calls(0, 50)
print("first", calls(1_000, CALLS), flush=True)
print("duplicate", calls(1_000, CALLS), flush=True)
DBOS.destroy()
