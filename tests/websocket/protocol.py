"""Speaks docs/monitor-protocol.md with a running balancer: `protocol.py ADMIN TRAFFIC`, both HOST:PORT."""

import asyncio
import json
import sys
import urllib.error
import urllib.request

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

ADMIN, TRAFFIC = sys.argv[1:3]
PATIENCE = 10


async def next_of(socket, kind, condition=lambda message: True):
    async with asyncio.timeout(PATIENCE):
        while True:
            message = json.loads(await socket.recv())
            assert message["v"] == 1, message
            if message["type"] == kind and condition(message):
                return message


def get(path):
    try:
        return urllib.request.urlopen(f"http://{TRAFFIC}{path}", timeout=PATIENCE).status
    except urllib.error.HTTPError as error:
        return error.code


async def say(socket, **message):
    await socket.send(json.dumps(message))


async def snapshot_and_ticks(socket):
    snapshot = await next_of(socket, "snapshot")
    for key in ("process", "config", "topology", "latency_bounds_us", "events", "totals", "nodes", "phase"):
        assert key in snapshot, key
    assert len(snapshot["latency_bounds_us"]) == 41
    assert snapshot["topology"]["routes"][0]["backend"] == "node"
    for _ in range(20):
        assert await asyncio.to_thread(get, "/plain") == 200
    tick = await next_of(socket, "tick", lambda tick: tick["totals"]["requests_total"] >= 20)
    assert tick["nodes"][0]["state"] == "serving" and tick["nodes"][0]["next"], tick
    assert tick["routes"][0]["phases"]["first_byte"]["p50_us"] > 0, tick
    assert tick["backends"][0]["states"] == {"serving": 1}, tick


async def log(socket):
    await say(socket, type="follow", filter="status>=500 path~fail")
    following = await next_of(socket, "following")
    assert following["filter"] == "status>=500 path~fail", following
    # A worker learns of the filter at its next request.
    await asyncio.to_thread(get, "/plain")
    assert await asyncio.to_thread(get, "/fail?<img%20onerror=x>") == 500
    lines = (await next_of(socket, "log", lambda log: log["lines"]))["lines"]
    assert [line["status"] for line in lines] == [500], lines
    assert lines[0]["target"].startswith("/fail"), lines
    await say(socket, type="unfollow")
    assert (await next_of(socket, "following"))["filter"] is None
    await say(socket, type="logs", id=4, filter="", limit=1000)
    logs = await next_of(socket, "logs")
    assert logs["id"] == 4 and any(line["status"] == 500 for line in logs["lines"]), logs
    assert any(line["status"] == 200 for line in logs["lines"]), "no line for a latency bucket is remembered"


async def history(socket):
    # A second is in the history once its tick has come.
    await next_of(socket, "tick", lambda tick: tick["totals"]["requests_total"] >= 22)
    for series in ("total", "route:/*", "backend:node"):
        await say(socket, type="history", id=3, series=series, steps=60)
        history = await next_of(socket, "history")
        columns = history["columns"]
        assert history["id"] == 3 and history["step_ms"] == 1000, history
        assert sum(columns["requests"]) >= 21 and sum(columns["5xx"]) == 1, (series, columns)
        assert len({len(column) for column in columns.values()} | {len(history["latency"])}) == 1
        assert sum(count for cells in history["latency"] for _, count in cells) == sum(columns["requests"])
    await say(socket, type="history", series="node:nobody")
    assert (await next_of(socket, "history"))["columns"]["requests"] == []
    await say(socket, type="history", series="total", step="1m")
    assert (await next_of(socket, "history"))["step_ms"] == 60000


async def mistakes(socket):
    for message, code in (
        ("hello", "bad_message"),
        ("[]", "bad_message"),
        ('{"type":"shutdown"}', "bad_message"),
        ('{"type":"follow","filter":"colour=red"}', "bad_filter"),
        ('{"type":"logs","id":9,"filter":"ms>fast"}', "bad_filter"),
        ('{"type":"history","series":"colour:red"}', "bad_series"),
    ):
        await socket.send(message)
        error = await next_of(socket, "error")
        assert error["code"] == code and error["message"] and error["hint"], (message, error)


async def pause(socket):
    await say(socket, type="pause")
    await say(socket, type="history", id=99, series="total")
    await next_of(socket, "history")
    try:
        async with asyncio.timeout(2.5):
            while True:
                message = json.loads(await socket.recv())
                assert message["type"] not in ("tick", "snapshot"), "a paused viewer got a tick"
    except TimeoutError:
        pass
    await say(socket, type="resume")
    await next_of(socket, "snapshot")
    await next_of(socket, "tick")


async def event(socket):
    request = urllib.request.Request(
        f"http://{ADMIN}/api/v1/nodes/nobody", b'{"state":"drain"}', {"content-type": "application/json"}, method="PATCH"
    )
    try:
        await asyncio.to_thread(urllib.request.urlopen, request)
    except urllib.error.HTTPError:
        pass
    event = await next_of(socket, "event", lambda event: event["kind"] == "audit")
    assert event["level"] == "warning" and "nobody" in event["text"], event


async def main():
    async with connect(f"ws://{ADMIN}/ws", origin=f"http://{ADMIN}", subprotocols=["plimsoll.v1"]) as socket:
        assert socket.subprotocol == "plimsoll.v1"
        for part in (snapshot_and_ticks, log, history, mistakes, pause, event):
            await part(socket)
    try:
        await connect(f"ws://{ADMIN}/ws", origin="http://evil.test")
        raise AssertionError("a foreign page got a websocket")
    except InvalidStatus as refused:
        assert refused.response.status_code == 403, refused
    async with connect(f"ws://{ADMIN}/ws") as socket:
        await socket.send("x" * 70_000)
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    await socket.recv()
        except ConnectionClosed as closed:
            assert closed.rcvd.code == 1009, closed
    print("all of the protocol")


asyncio.run(main())
