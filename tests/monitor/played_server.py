#!/usr/bin/env python3
"""Plays a balancer to the monitor page, for those who work on its looks: files are read anew at every load.

    python3 tests/monitor/played_server.py [PORT]      then open http://127.0.0.1:9901/

It speaks docs/monitor-protocol.md with made-up load: a wave, a slow node, a node that is ejected, a fleet that scales, and
names that try to be markup. Writes are answered and change what is played. It is no test and no reference: the tests in this
folder drive the real binary.
"""
import asyncio, base64, hashlib, json, math, pathlib, random, re, sys, time, urllib.parse

PAGE = pathlib.Path(__file__).resolve().parents[2] / "src/telemetry/page"
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
POLICY = ("default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
          "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
HOSTILE = "<img src=x onerror=alert(1)>"
BOUNDS = [round(50 * 2 ** (i / 2)) for i in range(41)]
START = int(time.time() * 1000) - 3_720_000


class Node:
    def __init__(self, backend, address, weight=1, origin="static", state="serving", reason="Answers its probe.", slow=1.0, container=None):
        self.backend, self.address, self.weight, self.origin, self.container = backend, address, weight, origin, container
        self.id, self.slow, self.rps, self.total, self.errors = f"{backend}/{address}", slow, 0.0, 0, 0
        self.become(state, reason)

    def become(self, state, reason):
        self.state, self.reason, self.since = state, reason, int(time.time() * 1000)

    def next(self):
        return {"serving": "Takes requests.", "ejected": "Is tried again in 21 s.", "draining": "Stays out until it is made ready.",
                "down": "Stays out until it is made ready.", "unhealthy": "Serves again after two good probes.",
                "starting": "Takes requests once its probe succeeds.", "warming": "Reaches its full share in 7 s."}[self.state]


class World:
    def __init__(self):
        self.nodes = [Node("api", f"10.0.0.{i}:8080", 2 if i == 1 else 1, slow=4 if i == 3 else 1) for i in (1, 2, 3)]
        self.nodes.append(Node("api", "10.0.0.4:8080", state="ejected", reason="Five requests in a row failed with 502."))
        self.nodes += [Node("web", f"127.0.0.1:{32768 + i}", origin="docker", container=f"web-{i}") for i in (1, 2)]
        self.nodes.append(Node("web", "127.0.0.1:32771", origin="docker", container="web-3", state="warming", reason="Started 3 s ago, slow start."))
        self.nodes.append(Node("static", "10.0.1.1:80", origin="dns", reason=HOSTILE))
        self.paused, self.wanted, self.events, self.ids = False, 3, [], 0
        self.reload = {"at_ms": START + 3_000_000, "ok": True, "text": "reloaded: 1 backend changed",
                       "diff": ["backend api: strategy round_robin -> least_connections", "backend api: node 10.0.0.4:8080 added", f"route {HOSTILE}: unchanged"]}
        now = int(time.time() * 1000)
        for back, kind, level, text, rule, inputs in [
            (800, "process", "info", "Started with io_uring, 2 workers.", None, {}),
            (700, "scale", "info", "web 1 -> 2 nodes: 31 requests in flight a node, 20 wanted", "in_flight", {"from": 1, "to": 2, "in_flight": 31}),
            (420, "scale", "info", "web 2 -> 1 nodes: 4 requests in flight a node for 60 s", "in_flight", {"from": 2, "to": 1, "in_flight": 4}),
            (200, "scale", "info", "web 1 -> 2 nodes: cpu at 83 %, 70 % wanted", "cpu", {"from": 1, "to": 2, "cpu": 83}),
            (90, "node", "warning", "api/10.0.0.4:8080 is ejected for 30 s: five requests in a row failed", None, {}),
            (40, "audit", "info", f"127.0.0.1 set the weight of api/10.0.0.1:8080 to 2 {HOSTILE}", None, {}),
            (12, "scale", "info", "web 2 -> 3 nodes: 44 requests in flight a node, 20 wanted", "in_flight", {"from": 2, "to": 3, "in_flight": 44}),
            (10, "fleet", "error", "docker: image web:latest was pulled again: the registry was slow (9.1 s)", None, {})]:
            self.event(kind, level, text, rule=rule, inputs=inputs, backend={"scale": "web", "node": "api"}.get(kind), at=now - back * 1000)

    def event(self, kind, level, text, rule=None, inputs=None, backend=None, node=None, at=None):
        self.ids += 1
        event = {"id": self.ids, "at_ms": at or int(time.time() * 1000), "kind": kind, "level": level, "backend": backend, "node": node,
                 "rule": rule, "text": text, "inputs": inputs or {}}
        self.events = (self.events + [event])[-200:]
        return event

    def second(self, at):
        """The load of a second: the same whenever it is asked for."""
        draw = random.Random(at)
        wave = 1200 + 700 * math.sin(at / 140) + 250 * math.sin(at / 23) + draw.gauss(0, 40)
        burst = 1 if 300 < at % 900 < 345 else 0
        fives = int(max(0, draw.gauss(3, 2)) + burst * 90)
        fours = int(max(0, draw.gauss(15, 5)))
        centre, counts = 380 + 900 * burst, {}
        for _ in range(160):
            us = draw.lognormvariate(math.log(centre), 0.45) if draw.random() > 0.06 else draw.lognormvariate(math.log(centre * 9), 0.6)
            bucket = next((i for i, bound in enumerate(BOUNDS) if us <= bound), 41)
            counts[bucket] = counts.get(bucket, 0) + wave / 160
        p50 = centre * draw.uniform(0.93, 1.07)
        return {"rps": max(0.0, wave), "classes": {"none": draw.randint(0, 2), "1xx": 0, "2xx": int(wave - fours - fives), "3xx": 0, "4xx": fours, "5xx": fives},
                "p50_us": round(p50), "p99_us": round(p50 * draw.uniform(5, 7)), "p999_us": round(p50 * draw.uniform(14, 24)),
                "in_flight": int(wave / 100 + burst * 60), "queued": burst * draw.randint(3, 30), "latency": sorted([b, round(c)] for b, c in counts.items())}

    def tick(self):
        at = int(time.time())
        now = self.second(at)
        takers = {b: [n for n in self.nodes if n.backend == b and n.state in ("serving", "warming")] for b in ("api", "web", "static")}
        parts = {"api": 0.6, "web": 0.3, "static": 0.1}
        for node in self.nodes:
            mine = takers[node.backend]
            power = sum(n.weight * (0.3 if n.state == "warming" else 1) for n in mine)
            node.rps = now["rps"] * parts[node.backend] * node.weight * (0.3 if node.state == "warming" else 1) / power if node in mine else 0.0
            node.total += int(node.rps)
        nodes = [{"id": n.id, "backend": n.backend, "address": n.address, "origin": n.origin, "state": n.state, "reason": n.reason, "next": n.next(),
                  "since_ms": n.since, "weight": n.weight, "in_flight": int(n.rps / 90 * n.slow), "queued": 0, "rps": n.rps, "share": None,
                  "errors_per_s": now["classes"]["5xx"] * (n.slow > 1), "requests_total": n.total, "errors_total": 3,
                  "p50_us": round(390 * n.slow) if n.rps else None, "p99_us": round(1900 * n.slow) if n.rps else None, "p999_us": None, "phases": {},
                  "cpu_percent": 12 + n.rps / 12 if n.container else None, "container": n.container} for n in self.nodes]
        backends = [{"name": b, "rps": now["rps"] * parts[b], "errors_per_s": 0.0, "in_flight": 3, "queued": now["queued"] if b == "api" else 0,
                     "serving": sum(n.state == "serving" for n in self.nodes if n.backend == b), "nodes": sum(n.backend == b for n in self.nodes),
                     "p50_us": 400, "p99_us": 2000, "p999_us": 7900, "phases": {}, "states": {},
                     "scaling": {"wanted": self.wanted, "running": sum(n.backend == "web" for n in self.nodes), "min": 1, "max": 8, "paused": self.paused, "held": 0} if b == "web" else None}
                    for b in parts]
        routes = [("/api/*", "api"), ("/*", "web"), (HOSTILE, "static")]
        return {"at_ms": int(time.time() * 1000), "phase": "running", "uptime_ms": int(time.time() * 1000) - START, "viewers": 1,
                "totals": {**{k: now[k] for k in ("rps", "classes", "p50_us", "p99_us", "p999_us", "in_flight", "queued")}, "connections": 128,
                           "connections_by_worker": [66, 62], "connects_per_s": 3.0, "bytes_in_per_s": 110_000, "bytes_out_per_s": 9_200_000, "retries_per_s": 0.2,
                           "requests_total": 4_812_333, "errors_total": 1204, "retries_total": 31, "hedges_total": 57, "hedges_won_total": 41, "bytes_in_total": 1, "bytes_out_total": 1,
                           "dropped": {"log_lines": 0, "reports": 0, "events": 0, "tap_lines": 412, "frames": 0}},
                "latency": now["latency"], "listeners": [{"name": "web", "rps": now["rps"], "connections": 128, "accepted_per_s": 3.0}],
                "routes": [{"name": r, "backend": b, "rps": now["rps"] * parts[b]} for r, b in routes],
                "flows": [{"listener": "web", "route": r, "backend": b, "rps": now["rps"] * parts[b], "errors_per_s": now["classes"]["5xx"] * (b == "api")} for r, b in routes],
                "backends": backends, "nodes": nodes}

    def snapshot(self):
        names = [("/api/*", "api"), ("/*", "web"), (HOSTILE, "static")]
        return {**self.tick(), "process": {"version": "0.1.0", "driver": "io_uring", "driver_reason": "DEFER_TASKRUN", "workers": 2, "started_ms": START, "writable": True},
                "config": {"hash": hashlib.sha256(b"x").hexdigest(), "text_path": "/etc/plimsoll/plimsoll.yaml", "last_reload": self.reload},
                "topology": {"listeners": [{"name": "web", "protocol": "http", "addresses": ["127.0.0.1:8080"]}, {"name": "internal", "protocol": "http", "addresses": ["127.0.0.1:8081"]}],
                             "routes": [{"name": r, "host": "*", "path": r, "methods": [], "listeners": None, "action": "forward", "backend": b} for r, b in names],
                             "backends": [{"name": "api", "strategy": "least_connections", "fleet": None, "min": None, "max": None},
                                          {"name": "web", "strategy": "peak_ewma", "fleet": "docker", "min": 1, "max": 8},
                                          {"name": "static", "strategy": "round_robin", "fleet": None, "min": None, "max": None}]},
                "latency_bounds_us": BOUNDS, "events": self.events}

    def history(self, request):
        last = int(time.time())
        steps = min(900, request.get("steps", 900))
        rows = [self.second(last - steps + 1 + i) for i in range(steps)]
        columns = {"requests": [r["rps"] for r in rows], **{c: [r["classes"][c] for r in rows] for c in ("none", "1xx", "2xx", "3xx", "4xx", "5xx")},
                   **{k: [r[k] for r in rows] for k in ("p50_us", "p99_us", "p999_us", "in_flight", "queued")}}
        return {"type": "history", "id": request.get("id"), "series": "total", "step_ms": 1000, "from_ms": (last - steps) * 1000, "columns": columns, "latency": [r["latency"] for r in rows]}

    def line(self, over=0, upto=None):
        us = random.uniform(over, upto) if upto else random.lognormvariate(math.log(420), 0.9)
        node = random.choice([n for n in self.nodes if n.rps] or self.nodes)
        status = random.choices([200, 204, 304, 404, 429, 502, 0], [80, 4, 5, 6, 1, 3, 1])[0]
        target = random.choice(["/api/users?page=2", "/api/orders/7731", "/", "/assets/app.css", f"/search?q={HOSTILE}", "/api/login", "/api/it's"])
        return {"time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + ".045Z", "client": "192.0.2.7", "method": random.choice(["GET", "GET", "POST"]), "host": "example.com", "target": target,
                "protocol": "HTTP/1.1", "status": status, "bytes_in": 0, "bytes_out": 128, "listener": "web", "route": "/api/*", "backend": node.backend, "node": node.id, "retries": 0, "hedge": "",
                "queue_us": 0, "connect_us": 210, "first_byte_us": int(us * 0.9), "total_us": int(us), "end": "complete", "reason": "", "request_id": "0193-af", "traceparent": "", "user_agent": HOSTILE, "referer": ""}

    def write(self, method, path, body):
        match = re.fullmatch(r"/api/v1/nodes/([^/]+)", path)
        node = match and next((n for n in self.nodes if n.id == urllib.parse.unquote(match[1])), None)
        if node and method == "PATCH":
            if "weight" in body:
                node.weight = body["weight"]
            if "state" in body:
                state = {"ready": "serving", "drain": "draining", "down": "down"}[body["state"]]
                node.become(state, "An operator asked for it.")
            return 200, f"{node.id}: {body}", self.event("audit", "info", f"127.0.0.1: PATCH {node.id} {body}")
        if path == "/api/v1/reload":
            return 422, "plimsoll.yaml:7: backends.api.strategie: there is no such key; did you mean strategy?", None
        if path == "/api/v1/backends/web/scale":
            self.paused, self.wanted = body.get("paused", self.paused), body.get("replicas", self.wanted)
            return 200, f"web: {body}", self.event("scale", "info", f"web: {body} by hand", rule="manual", backend="web")
        return 409, "Not for this backend.", None


WORLD, VIEWERS = World(), set()


class Viewer:
    def __init__(self, writer):
        self.writer, self.follows, self.paused = writer, None, False

    def send(self, message):
        body = json.dumps({"v": 1, **message}).encode()
        size = bytes([len(body)]) if len(body) < 126 else b"\x7e" + len(body).to_bytes(2, "big") if len(body) < 65536 else b"\x7f" + len(body).to_bytes(8, "big")
        self.writer.write(b"\x81" + size + body)

    def hear(self, message):
        kind = message.get("type")
        if kind == "history":
            self.send(WORLD.history(message))
        elif kind == "follow":
            if "=" not in message["filter"] and message["filter"].startswith("!"):
                return self.send({"type": "error", "id": None, "code": "bad_filter", "message": "A term cannot begin with !.", "hint": "Write status!=200.", "at": 0})
            self.follows = message["filter"]
            self.send({"type": "following", "filter": self.follows})
        elif kind == "unfollow":
            self.follows = None
        elif kind == "logs":
            low, high = (re.search(r"us>(\d+)", message["filter"]), re.search(r"us<=(\d+)", message["filter"]))
            lines = [WORLD.line(int(low[1]) if low else 0, int(high[1]) if high else 2e6) for _ in range(5)]
            self.send({"type": "logs", "id": message["id"], "filter": message["filter"], "lines": lines, "more": False})
        elif kind in ("pause", "resume"):
            self.paused = kind == "pause"
            if not self.paused:
                self.send({"type": "snapshot", **WORLD.snapshot()})


async def tell():
    while True:
        await asyncio.sleep(1)
        tick = WORLD.tick()
        for viewer in list(VIEWERS):
            if not viewer.paused:
                viewer.send({"type": "tick", **tick})
                if viewer.follows is not None:
                    lines = [WORLD.line() for _ in range(8)]
                    errors = "500" in viewer.follows
                    viewer.send({"type": "log", "lines": [line for line in lines if not errors or line["status"] >= 500], "left_out": 0})


async def frames(reader):
    while True:
        head = await reader.readexactly(2)
        size = head[1] & 127
        size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big") if size > 125 else size
        key, body = await reader.readexactly(4), await reader.readexactly(size)
        if head[0] & 15 == 8:
            return
        if head[0] & 15 == 1:
            yield json.loads(bytes(b ^ key[i % 4] for i, b in enumerate(body)))


async def serve(reader, writer):
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, path = head.split()[:2]
        key = re.search(r"sec-websocket-key: (\S+)", head, re.I)
        if key:
            accept = base64.b64encode(hashlib.sha1((key[1] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
            writer.write(f"HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {accept}\r\nsec-websocket-protocol: plimsoll.v1\r\n\r\n".encode())
            viewer = Viewer(writer)
            VIEWERS.add(viewer)
            viewer.send({"type": "snapshot", **WORLD.snapshot()})
            try:
                async for message in frames(reader):
                    viewer.hear(message)
            finally:
                VIEWERS.discard(viewer)
        elif method == "GET":
            file = PAGE / (path.removeprefix("/page/") if path != "/" else "page.html")
            found = file.suffix in TYPES and file.parent == PAGE and file.exists()
            answer(writer, 200 if found else 404, file.read_bytes() if found else b"", TYPES.get(file.suffix, "text/plain"))
        else:
            length = re.search(r"content-length: (\d+)", head, re.I)
            body = json.loads(await reader.readexactly(int(length[1])) or b"{}") if length else {}
            status, text, event = WORLD.write(method, path, body)
            said = {"ok": True, "text": text} if status < 300 else {"error": {"code": "refused", "message": text, "hint": "Nothing was changed."}}
            answer(writer, status, json.dumps(said).encode(), "application/json")
            for viewer in VIEWERS if event else ():
                viewer.send({"type": "event", **event})
        await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def answer(writer, status, body, kind):
    writer.write(f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\ncontent-security-policy: {POLICY}\r\nconnection: close\r\n\r\n".encode() + body)


async def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9901
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    print(f"http://127.0.0.1:{port}/")
    await asyncio.gather(server.serve_forever(), tell())


asyncio.run(main())
