-- rate
-- How much of a rate is used. A window is counted in twentieths: the one that now is, and the twenty
-- before it, of which the oldest may reach out of the window. So there are never more than the amount
-- in any window, and what was used comes back after a window and a twentieth at most.
--
-- A counter holds the number of the latest twentieth and the counts of all, oldest first.

local PARTS = 20

local function read_counter(key, window, now)
  local part, packed = window / PARTS, redis.call('GET', key)
  local latest, counts = 0, {}
  if packed then latest, counts = unpack(cmsgpack.unpack(packed)) end
  -- Were the clock set back, it would count on where it was: nothing is forgotten early.
  local current = math.max(math.floor(now / part), latest)
  local counter = {key = key, part = part, current = current, counts = {}, used = 0}
  for number = current - PARTS, current do
    local count = counts[number - latest + PARTS + 1] or 0
    counter.counts[#counter.counts + 1] = count
    counter.used = counter.used + count
  end
  return counter
end

-- When the oldest twentieths, *many* of them, no longer count.
local function over(counter, many)
  return (counter.current + many) * counter.part
end

-- When something is left of *amount* again; nil where something is.
local function free_at(counter, amount)
  local used, many = counter.used, 0
  while used >= amount do
    many = many + 1
    used = used - counter.counts[many]
  end
  return many > 0 and over(counter, many) or nil
end

-- When nothing counts any more of what is used; nil where nothing is.
local function reset_at(counter)
  return free_at(counter, 1)
end

local function count(counter)
  local counts = counter.counts
  counts[#counts] = counts[#counts] + 1
  redis.call('SET', counter.key, cmsgpack.pack({counter.current, counts}),
    'PXAT', string.format('%d', over(counter, #counts)))
end
