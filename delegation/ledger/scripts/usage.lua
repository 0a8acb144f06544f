-- usage
-- usage: how much is used of each rate, and when nothing of that counts any more; 0 where nothing is.
-- KEYS: layout, and a counter for each rate; ARGV from 5: the window of each

local problem = unwell()
if problem then return answer(problem) end

local found, now = {}, milliseconds()
for position = 1, #KEYS - 1 do
  local counter = read_counter(KEYS[1 + position], tonumber(ARGV[4 + position]), now)
  found[position] = {counter.used, reset_at(counter) or 0}
end
return answer('ok', unpack(found))
