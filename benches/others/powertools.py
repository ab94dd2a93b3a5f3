"""AWS Powertools for Python on Redis: microseconds for a first call and for a duplicate.

usage: powertools.py URL CALLS
"""

import json
import sys
import time
import uuid
import warnings

from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.idempotency.persistence.redis import RedisCachePersistenceLayer
from redis import Redis

# Outside of Lambda there is no remaining time to ask for.
warnings.simplefilter("ignore")
url, calls = sys.argv[1], int(sys.argv[2])
layer = RedisCachePersistenceLayer(client=Redis.from_url(url, decode_responses=True))
config = IdempotencyConfig(expires_after_seconds=86_400)


@idempotent_function(data_keyword_argument="order", persistence_store=layer, config=config)
def charge(order):
    return order["amount"] * 100


def microseconds(orders):
    began = time.perf_counter()
    for order in orders:
        charge(order=order)
    return (time.perf_counter() - began) / len(orders) * 1e6


orders = [{"order": str(uuid.uuid4()), "who": "anna", "amount": 12} for _ in range(calls)]
microseconds(orders[: calls // 10])
orders = orders[calls // 10 :]
print(json.dumps({"first": microseconds(orders), "duplicate": microseconds(orders)}))
