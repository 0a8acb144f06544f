-- What locks mean: the implementation of delegation.domain.locks.dead, with *now* as an argument.
--
-- The hash of locks holds an entry for each target: `standing` by id, each with its beginning `b`, its
-- end `e` (nil: none), whether it reaches `p`arents and `l`ogins; and of those that have ended, the
-- latest ends: `i` for what we issued, `p` for foreign parents, `l` for foreign logins.
--
-- A link of a lineage is {t = its targets, 16 bytes each; a = issued at; f = foreign; l = logged in at}.

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
  if not link.f then return issued and link.a <= issued end
  return (parents and link.a <= parents) or (logins and link.l <= logins)
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

-- nil while the lineage is alive at *now*. A standing lock is the answer before one that has ended.
local function dead(lineage, locks, now)
  local fields, owners = {}, {}
  for _, link in ipairs(lineage) do
    for start = 1, #link.t, TARGET do
      fields[#fields + 1] = string.sub(link.t, start, start + TARGET - 1)
      owners[#fields] = link
    end
  end
  local entries, verdict = redis.call('HMGET', locks, unpack(fields)), nil
  for position, link in ipairs(owners) do
    local packed = entries[position]
    local why = packed and killed(link, cmsgpack.unpack(packed), now)
    if why == 'locked' then return why end
    verdict = why or verdict
  end
  return verdict
end
