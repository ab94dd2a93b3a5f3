"""A service in Python that charges each order once, through an idempotent device.

    idem serve                                                  # in another terminal
    IDEM_STORE=http://127.0.0.1:4336 python3 service.py 8001
    curl localhost:8001 -d '{"order": 7, "cents": 1250}'        # and again, or through service.mjs
"""
import json, os, sys, time, urllib.error, urllib.request, uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DEVICE, KEY = os.environ["IDEM_STORE"], os.environ.get("IDEM_DEVICE_KEY")


def charge(order, cents):  # what must not happen twice
    print(f"charged {order}\n", end="", flush=True)  # one write: others are charged at the same time
    return f"receipt for order {order}: {cents}"


def ask(path, **body):
    """One request to the device. If its answer is lost, the same attempt may ask again."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {KEY}"} if KEY else {})
    request = urllib.request.Request(DEVICE + path, json.dumps(body).encode(), headers)
    for pause in (0.1, 1, 3, None):
        try:
            return json.load(urllib.request.urlopen(request, timeout=30))
        except urllib.error.HTTPError as error:
            if error.code != 503 or pause is None:
                return json.load(error)  # a problem document (RFC 9457) that has an outcome, too
        except OSError:
            if pause is None:
                raise
        time.sleep(pause)


def once(function, body, *arguments):
    """What the first call with these arguments has returned, in whichever language it was."""
    call = {"function": function, "attempt": str(uuid.uuid4())}
    # Nobody renews the lease: it is longer than the body takes.
    claim = ask("/v1/claim", **call, arguments=arguments, lease_ms=60_000, wait_ms=15_000)
    if claim["outcome"] == "done" and "result" in claim:
        return claim["result"]
    if claim["outcome"] != "claimed":
        raise RuntimeError(claim.get("message") or claim.get("detail") or claim["title"])
    record = f"/v1/records/{claim['token']}"
    try:
        result = body(*arguments)
    except BaseException:
        ask(f"{record}/interrupt", attempt=call["attempt"])  # nobody knows what it did
        raise
    ask(f"{record}/complete", **call, fence=claim["fence"], generation=claim["generation"], result=result)
    return result


class Service(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            status, answer = 200, once("orders.charge", charge, asked["order"], asked["cents"])
        except RuntimeError as refused:
            status, answer = 409, str(refused)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Service)
print(f"listens on {server.server_port}", flush=True)
server.serve_forever()
