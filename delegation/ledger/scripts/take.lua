-- take
-- take: one exchange, of all its rates together: where one is used up, nothing is counted.
-- KEYS: layout, this attempt, and a counter for each rate; ARGV from 5: of each amount and window
--
-- What is used up answers which one, by its place, and when to come again: where there are several,
-- when all have something left.

local problem = unwell()
if problem then return answer(problem) end

-- For how long the same attempt may come again because its reply was lost.
local REPEATED = 10000

local counters, now, at, place = {}, milliseconds(), 0, 0
if redis.call('EXISTS', KEYS[2]) == 1 then return answer('ok') end

for position = 1, #KEYS - 2 do
  local amount, window = tonumber(ARGV[3 + 2 * position]), tonumber(ARGV[4 + 2 * position])
  local counter = read_counter(KEYS[2 + position], window, now)
  local free = free_at(counter, amount)
  if free and free > at then at, place = free, position end
  counters[position] = counter
end
if place > 0 then return answer('used_up', place, at - now) end

for _, counter in ipairs(counters) do count(counter) end
redis.call('SET', KEYS[2], '', 'PX', REPEATED)
return answer('ok')
