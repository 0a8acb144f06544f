-- What may be forgotten: an end that nothing alive is older than, and what the book says of it.
--
-- Every lock and every lift looks at a few others, so that neither the locks nor the book grow without
-- end, and nobody waits for a sweep. All reading is done before the first write.

local SAMPLE = 8

local function over(ended, keep, now)
  return not ended or ended + keep < now
end

-- Whether the book has done with a lock. It has whatever has ended for as long as that matters, and a
-- day at least: but not a cut-off of our own tokens alone, for every client may ask for many.
local function is_forgotten(lock, now, keep)
  local longest = keep.issued
  if lock.p or lock.x or (lock.e and lock.e > lock.b) then longest = keep.parents end
  if lock.l then longest = keep.logins end
  return lock.e and over(math.max(lock.e, lock.b), longest, now)
end

-- The targets, among a few but not *own*, of which nothing needs to be remembered.
local function stale_targets(locks, own, now, keep)
  local stale = {}
  for _, target in ipairs(redis.call('HRANDFIELD', locks, SAMPLE)) do
    local entry = read_entry(locks, target)
    settle_entry(entry, now)
    local forgotten = over(entry.i, keep.issued, now) and over(entry.p, keep.parents, now)
      and over(entry.l, keep.logins, now)
    if target ~= own and not next(entry.standing) and forgotten then stale[#stale + 1] = target end
  end
  return stale
end

-- The locks, among a few but not *own*, that are forgotten already and only have not been dropped yet.
local function stale_locks(book, own, now, keep)
  local stale = {}
  for _, id in ipairs(redis.call('HRANDFIELD', book, SAMPLE)) do
    local lock = cmsgpack.unpack(redis.call('HGET', book, id))
    if id ~= own and is_forgotten(lock, now, keep) then
      stale[#stale + 1] = id
    end
  end
  return stale
end

local function forget(key, stale)
  if #stale > 0 then redis.call('HDEL', key, unpack(stale)) end
end

-- From ARGV[start]: for how long the ends of what we issued, of parents and of logins are kept.
local function kept(start)
  return {
    issued = tonumber(ARGV[start]), parents = tonumber(ARGV[start + 1]),
    logins = tonumber(ARGV[start + 2]),
  }
end
