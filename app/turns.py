"""Whose turn it is: tasks that wait, by tenant; what is on its way of each subject; and what is known to be done.

All of it is in the queue's server and none of it is a record: wiped, it is made again out of the store. Each operation
is one script, so it happens whole or not at all.

    turns                      tenants that have tasks waiting, by the worker seconds that each has had
    waiting:LANE:TENANT        tasks, the oldest first, each with when it came
    flight:TENANT:SUBJECT      task → `w` while it waits, or until when its worker is believed to be at it
    done:TENANT:SUBJECT        parts that are stored, as far as they were told (`app.jobs.state`)
    pace:NAME                  seconds that workers took for how much of what goes by this name, the last most
    figures                    what workers count, for Prometheus (`app.figures`)

A worker takes the task of the tenant that has had least; who comes with his first task has had as much as the one
served last, so nobody saves turns up and nobody waits behind another's backlog.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

CHARGE_S = 1.0
"""What a task is taken to cost until it has ended; so of several workers not all take the same tenant's."""

TOLD_S = 7 * 86_400
"""How long what is told of a subject is kept after the last change."""

WORKER_S = 600
"""A worker that has taken nothing for so long is not counted any more."""

KEPT = 0.8
"""What is left, each time, of what was noted of a pace before: the last five or so decide."""

_PREFIX = "facsimile:"

_PUT = """
local flight, field = P .. 'flight:' .. ARGV[1] .. ':' .. ARGV[2], ARGV[3]
local now = tonumber(redis.call('TIME')[1])
local state = redis.call('HGET', flight, field)
if state and (state == 'w' or tonumber(state) > now) then return 0 end
redis.call('HSET', flight, field, 'w')
redis.call('EXPIRE', flight, TOLD)
local clock = redis.call('TIME')
local came = string.sub(ARGV[5], 1, -2) .. ',' .. clock[1] .. '.' .. string.format('%06d', clock[2]) .. ']'
redis.call('RPUSH', P .. 'waiting:' .. ARGV[4] .. ':' .. ARGV[1], came)
redis.call('HINCRBY', P .. 'depth', ARGV[4], 1)
if not redis.call('ZSCORE', P .. 'turns', ARGV[1]) then
  local had = tonumber(redis.call('HGET', P .. 'had', ARGV[1]) or 0)
  local score = math.max(had, tonumber(redis.call('GET', P .. 'served') or 0))
  redis.call('HSET', P .. 'had', ARGV[1], score)
  redis.call('ZADD', P .. 'turns', score, ARGV[1])
end
return 1
"""

_TAKE = """
local ticket = P .. 'ticket:' .. ARGV[1]
local mine = redis.call('GET', ticket)
if mine then return mine end
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', P .. 'workers', now + tonumber(ARGV[4]), ARGV[3])
local previews = ARGV[5] == '1'
if previews and tonumber(redis.call('HGET', P .. 'depth', 'previews') or 0) <= 0 then return false end
for _, tenant in ipairs(redis.call('ZRANGE', P .. 'turns', 0, -1)) do
  local lanes = {'previews'}
  if not previews then
    local turn = redis.call('HINCRBY', P .. 'parity', tenant, 1)
    lanes = turn % 2 == 1 and {'previews', 'control', 'shards'} or {'control', 'shards', 'previews'}
  end
  for _, lane in ipairs(lanes) do
    local entry = redis.call('LPOP', P .. 'waiting:' .. lane .. ':' .. tenant)
    if entry then
      redis.call('HINCRBY', P .. 'depth', lane, -1)
      local task = cjson.decode(entry)
      if task[8] then
        local clock = redis.call('TIME')
        local waited = math.max(0, clock[1] + clock[2] / 1000000 - task[8])
        entry = string.sub(entry, 1, -2) .. ',' .. string.format('%.6f', waited) .. ']'
      end
      redis.call('HSET', P .. 'flight:' .. tenant .. ':' .. task[3], task[1] .. '|' .. task[4], now + tonumber(ARGV[2]))
      redis.call('SET', P .. 'served', redis.call('ZSCORE', P .. 'turns', tenant))
      redis.call('HINCRBYFLOAT', P .. 'had', tenant, CHARGE)
      local left = 0
      for _, other in ipairs({'previews', 'control', 'shards'}) do
        left = left + redis.call('LLEN', P .. 'waiting:' .. other .. ':' .. tenant)
      end
      if left == 0 then redis.call('ZREM', P .. 'turns', tenant)
      else redis.call('ZINCRBY', P .. 'turns', CHARGE, tenant) end
      redis.call('SET', ticket, entry, 'EX', 86400)
      return entry
    end
  end
  if not previews then redis.call('ZREM', P .. 'turns', tenant) end
end
return false
"""

_WORKING = """
redis.call('HSET', P .. 'flight:' .. ARGV[1] .. ':' .. ARGV[2], ARGV[3], tonumber(redis.call('TIME')[1]) + ARGV[4])
"""

_END = """
redis.call('HDEL', P .. 'flight:' .. ARGV[1] .. ':' .. ARGV[2], ARGV[3])
local more = tonumber(ARGV[4])
redis.call('HINCRBYFLOAT', P .. 'had', ARGV[1], more)
if redis.call('ZSCORE', P .. 'turns', ARGV[1]) then redis.call('ZINCRBY', P .. 'turns', more, ARGV[1]) end
"""

_WAITS = """
local found = {}
for _, tenant in ipairs(redis.call('ZRANGE', P .. 'turns', 0, tonumber(ARGV[1]) - 1)) do
  for _, lane in ipairs({'previews', 'control', 'shards'}) do
    local list = P .. 'waiting:' .. lane .. ':' .. tenant
    local first = redis.call('LINDEX', list, 0)
    if first then
      local clock, since = redis.call('TIME'), cjson.decode(first)[8]
      local age = since and math.max(0, clock[1] + clock[2] / 1000000 - since) or 0
      table.insert(found, {tenant, lane, redis.call('LLEN', list), string.format('%.3f', age)})
    end
  end
end
return found
"""

_TAKE_BACK = """
local list = P .. 'waiting:' .. ARGV[4] .. ':' .. ARGV[1]
for _, entry in ipairs(redis.call('LRANGE', list, 0, -1)) do
  local task = cjson.decode(entry)
  if task[3] == ARGV[2] and task[1] .. '|' .. task[4] == ARGV[3] then
    redis.call('LREM', list, 1, entry)
    redis.call('HINCRBY', P .. 'depth', ARGV[4], -1)
    redis.call('HDEL', P .. 'flight:' .. ARGV[1] .. ':' .. ARGV[2], ARGV[3])
    return 1
  end
end
return 0
"""

_LIVE = """
local flight = P .. 'flight:' .. ARGV[1] .. ':' .. ARGV[2]
local now, live, all = tonumber(redis.call('TIME')[1]), 0, redis.call('HGETALL', flight)
for at = 1, #all, 2 do
  if all[at + 1] == 'w' or tonumber(all[at + 1]) > now then live = live + 1 else redis.call('HDEL', flight, all[at]) end
end
return live
"""

_PACE = """
local pace = P .. 'pace:' .. ARGV[1]
for at, field in ipairs({'amount', 'seconds'}) do
  local before = tonumber(redis.call('HGET', pace, field) or 0)
  redis.call('HSET', pace, field, tostring(KEPT * before + tonumber(ARGV[at + 1])))
end
redis.call('EXPIRE', pace, TOLD)
"""


@dataclasses.dataclass(frozen=True)
class Waiting:
    """A task as it waits."""

    kind: str
    lane: str
    tenant: str
    subject: str
    part: str
    request: str = dataclasses.field(default="", compare=False)
    """The request that it comes of."""
    traceparent: str = dataclasses.field(default="", compare=False)
    """The span that it comes of."""
    waited_s: float = dataclasses.field(default=0.0, compare=False)
    """How long it waited until it was taken."""

    @property
    def field(self) -> str:
        """What it is called among those on their way of its subject."""
        return f"{self.kind}|{self.part}"

    def entry(self) -> str:
        """As it is put into the list; when it came is added there, and how long it waited when it is taken."""
        return json.dumps([self.kind, self.tenant, self.subject, self.part, self.lane, self.request, self.traceparent])

    @classmethod
    def of(cls, entry: bytes) -> "Waiting":
        """Read what `entry` wrote, and a version before it, which knew neither where a task came from nor when."""
        kind, tenant, subject, part, lane, *more = json.loads(entry)
        request, traceparent, _, waited_s = more if len(more) == 4 else ("", "", 0.0, 0.0)
        return cls(kind, lane, tenant, subject, part, request, traceparent, float(waited_s))


class Waits(NamedTuple):
    """What waits of one tenant in one lane."""

    tenant: str
    lane: str
    tasks: int
    oldest_s: float
    """How long the one that came first has waited."""


class Turns:
    """The turns on a Redis-protocol server; raises its client's errors."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

        def script(body: str) -> Any:
            head = f"local P, TOLD, CHARGE = '{_PREFIX}', {TOLD_S}, {CHARGE_S}\nlocal KEPT = {KEPT}\n"
            return redis.register_script(head + body)

        self._put, self._take, self._working = script(_PUT), script(_TAKE), script(_WORKING)
        self._end, self._live, self._pace = script(_END), script(_LIVE), script(_PACE)
        self._waits, self._take_back = script(_WAITS), script(_TAKE_BACK)

    def put(self, task: Waiting) -> bool:
        """Let a task wait, unless it is on its way already."""
        return bool(self._put(args=[task.tenant, task.subject, task.field, task.lane, task.entry()]))

    def take(self, ticket: str, worker: str, hold_s: float, *, previews_only: bool = False) -> Waiting | None:
        """The task whose turn it is; the same ticket gets the same task again until `end`.

        Its worker is believed to be at it for `hold_s`, unless `working` says more.
        """
        entry = self._take(args=[ticket, int(hold_s), worker, WORKER_S, int(previews_only)])
        return Waiting.of(entry) if entry else None

    def working(self, task: Waiting, hold_s: float) -> None:
        """Say that a worker is at it, and for how long that is to be believed."""
        self._working(args=[task.tenant, task.subject, task.field, int(hold_s)])

    def end(self, task: Waiting, seconds: float) -> None:
        """A task has ended, after so many seconds of a worker."""
        self._end(args=[task.tenant, task.subject, task.field, seconds - CHARGE_S if seconds else 0.0])

    def take_back(self, task: Waiting) -> bool:
        """Take a task back that waits; false if it does not, or a worker has it."""
        return bool(self._take_back(args=[task.tenant, task.subject, task.field, task.lane]))

    def give_back(self, ticket: str) -> None:
        """A ticket has been used."""
        self._redis.delete(f"{_PREFIX}ticket:{ticket}")

    def live(self, subjects: Iterable[tuple[str, str]]) -> list[int]:
        """How many tasks of each (tenant, subject) wait or are worked on; in one round trip."""
        pipe = self._redis.pipeline(transaction=False)
        for tenant, subject in subjects:
            self._live(args=[tenant, subject], client=pipe)
        return [int(count) for count in pipe.execute()]

    def at_work(self, tenant: str, subject: str) -> int:
        """How many tasks of a subject a worker is believed to be at."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.hvals(f"{_PREFIX}flight:{tenant}:{subject}")
            (now, _), states = pipe.execute()
        return sum(state != b"w" and float(state) > now for state in states)

    def flights(self) -> dict[str, tuple[int, int]]:
        """Kind of task to how many of all tenants' wait, and how many a worker is believed to be at."""
        now = self._redis.time()[0]
        found: dict[str, tuple[int, int]] = {}
        names = list(self._redis.scan_iter(match=f"{_PREFIX}flight:*", count=1000))
        for start in range(0, len(names), 500):
            with self._redis.pipeline(transaction=False) as pipe:
                for name in names[start : start + 500]:
                    pipe.hgetall(name)
                flights = pipe.execute()
            for task, state in (item for flight in flights for item in flight.items()):
                kind = task.decode().partition("|")[0]
                waiting, at_work = found.get(kind, (0, 0))
                waits = state == b"w"
                found[kind] = (waiting + waits, at_work + (not waits and float(state) > now))
        return found

    def note_pace(self, name: str, amount: float, seconds: float) -> None:
        """Note that a worker took so many seconds for so much of what goes by this name."""
        self._pace(args=[name, amount, seconds])

    def paces(self, names: Iterable[str]) -> list[float | None]:
        """Seconds that one of each takes, by those noted last; None where none was."""
        with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hmget(f"{_PREFIX}pace:{name}", "seconds", "amount")
            found = pipe.execute()
        return [float(seconds) / float(amount) if seconds and amount else None for seconds, amount in found]

    def waiting(self, lane: str, tenant: str) -> int:
        """How many tasks of a tenant wait in a lane."""
        return int(self._redis.llen(f"{_PREFIX}waiting:{lane}:{tenant}"))

    def depth(self) -> dict[str, int]:
        """How many tasks wait in each lane."""
        return {lane.decode(): int(count) for lane, count in self._redis.hgetall(f"{_PREFIX}depth").items()}

    def waits(self, most: int) -> list[Waits]:
        """What waits, of so many tenants at the most: those whose turn comes first."""
        return [
            Waits(tenant.decode(), lane.decode(), int(tasks), float(age))
            for tenant, lane, tasks, age in self._waits(args=[most])
        ]

    def note(self, figures: Mapping[str, float]) -> None:
        """Add to what workers have counted."""
        pipe = self._redis.pipeline(transaction=False)
        for name, value in figures.items():
            pipe.hincrbyfloat(f"{_PREFIX}figures", name, value)
        pipe.execute()

    def figures(self) -> dict[str, float]:
        """What workers have counted, since the server was last empty."""
        return {name.decode(): float(value) for name, value in self._redis.hgetall(f"{_PREFIX}figures").items()}

    def workers(self) -> int:
        """How many worker processes have taken something of late."""
        now = self._redis.time()[0]
        self._redis.zremrangebyscore(f"{_PREFIX}workers", 0, now)
        return int(self._redis.zcard(f"{_PREFIX}workers"))

    def told(self, tenant: str, subject: str) -> dict[str, set[str]] | None:
        """What is known to be done of a subject: kind of task to parts; None where nothing is known."""
        found = self._redis.smembers(f"{_PREFIX}done:{tenant}:{subject}")
        if not found:
            return None
        done: dict[str, set[str]] = {}
        for member in found:
            kind, _, part = member.decode().partition("|")
            if kind:
                done.setdefault(kind, set()).add(part)
        return done

    def tell(self, tenant: str, subject: str, done: Iterable[tuple[str, str]], *, all_of_it: bool) -> None:
        """Add what is done; unless it is `all_of_it`, only where something is known: else it would pass for all."""
        key = f"{_PREFIX}done:{tenant}:{subject}"
        if not all_of_it and not self._redis.exists(key):
            return
        with self._redis.pipeline() as pipe:
            # The first member says that there is a record, however little it holds.
            pipe.sadd(key, "|", *(f"{kind}|{part}" for kind, part in done))
            pipe.expire(key, TOLD_S)
            pipe.execute()

    def forget(self, tenant: str, subject: str) -> None:
        """Forget what is known to be done."""
        self._redis.delete(f"{_PREFIX}done:{tenant}:{subject}")
