-- What locks mean: the implementation of delegation.domain.locks.dead, with *now* as an argument.
--
-- The hash of locks holds an entry for each target: `standing` by id, each with its beginning `b`, its
-- end `e` (nil: none), whether it reaches `p`arents and `l`ogins; and of those that have ended, the
-- latest ends: `i` for what we issued, `p` for foreign parents, `l` for foreign logins.
--
-- A lineage is {targets = those of all its links, each of them once, places = where each of these is,
-- links = its own and what it grew from}. A link is {which of the targets, a byte each; issued at; and
-- where it is foreign, logged in at}.

local TARGET = 16

local function later(a, b)
  if a and b then return math.max(a, b) end
  return a or b
end

-- Fold a lock that ended at *ended* into the entry's latest ends.
local function fold(entry, lock, ended)
  entry.i = later(entry.i, ended)
  if lock.p then entry.p = later(entry.p, ended) end
  if lock.l then entry.l = later(entry.l, ended) end
end

-- Fold what has ended by now.
local function settle_entry(entry, now)
  for id, standing in pairs(entry.standing) do
    if standing.e and standing.e <= now then
      entry.standing[id] = nil
      fold(entry, standing, standing.e)
    end
  end
end

-- The entry of a target; an empty one where there is none.
local function read_entry(locks, target)
  local packed = redis.call('HGET', locks, target)
  return packed and cmsgpack.unpack(packed) or {standing = {}}
end

-- Put a lock into the entry of its target.
local function enter(entry, id, lock, now)
  entry.standing[id] = lock
  settle_entry(entry, now)
end

local function reaches(link, issued, parents, logins)
  local issued_at, logged_in_at = link[2], link[3]
  if not logged_in_at then return issued and issued_at <= issued end
  return (parents and issued_at <= parents) or (logins and logged_in_at <= logins)
end

-- 'locked' where a lock stands on the link, 'lineage_dead' where one that has ended reaches it.
local function killed(link, entry, now)
  local verdict = nil
  if reaches(link, entry.i, entry.p, entry.l) then verdict = 'lineage_dead' end
  for _, lock in pairs(entry.standing) do
    if lock.e and lock.e <= now then
      if reaches(link, lock.e, lock.p and lock.e, lock.l and lock.e) then verdict = 'lineage_dead' end
    elseif lock.b <= now then
      return 'locked'
    end
  end
  return verdict
end

-- The place of a target in a lineage, which gets it if it does not have it yet.
local function place_in(lineage, target)
  local place = lineage.places[target]
  if not place then
    place = #lineage.targets + 1
    lineage.targets[place], lineage.places[target] = target, place
  end
  return place
end

-- A lineage of these *targets*, 16 bytes each, and *links*.
local function lineage_of(targets, links)
  local lineage = {targets = {}, places = {}, links = links}
  for start = 1, #targets, TARGET do
    place_in(lineage, string.sub(targets, start, start + TARGET - 1))
  end
  return lineage
end

-- A link with these *targets*, for a lineage, which gets them. There are no more of them than a byte can
-- tell: where there were, this would fail.
local function link_in(lineage, targets, issued_at, logged_in_at)
  local which = {}
  for start = 1, #targets, TARGET do
    which[#which + 1] = place_in(lineage, string.sub(targets, start, start + TARGET - 1))
  end
  return {string.char(unpack(which)), issued_at, logged_in_at}
end

-- nil while the lineage is alive at *now*. A standing lock is the answer before one that has ended.
local function dead(lineage, locks, now)
  local entries, verdict, has_any = redis.call('HMGET', locks, unpack(lineage.targets)), nil, false
  for _, packed in ipairs(entries) do has_any = has_any or packed end
  if not has_any then return nil end  -- nearly always
  for _, link in ipairs(lineage.links) do
    for _, place in ipairs({string.byte(link[1], 1, -1)}) do
      local packed = entries[place]
      local why = packed and killed(link, cmsgpack.unpack(packed), now)
      if why == 'locked' then return why end
      verdict = why or verdict
    end
  end
  return verdict
end
