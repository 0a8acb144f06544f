-- presence: what workers say of themselves; who was silent for too long is forgotten.
-- KEYS: layout, workers; ARGV from 5: for how long silence is no absence, id or empty, report

local problem = unwell()
if problem then return answer(problem) end

local now, patience, found = milliseconds(), tonumber(ARGV[5]), {}
local said, stale = redis.call('HGETALL', KEYS[2]), {}
for at = 1, #said, 2 do
  local seen, report = string.match(said[at + 1], '^(%d+):(.*)$')
  if tonumber(seen) + patience < now then
    stale[#stale + 1] = said[at]
  else
    found[#found + 1] = {said[at], tonumber(seen), report}
  end
end
if ARGV[6] ~= '' then
  if #stale > 0 then redis.call('HDEL', KEYS[2], unpack(stale)) end
  redis.call('HSET', KEYS[2], ARGV[6], string.format('%d:%s', now, ARGV[7]))
  redis.call('PEXPIRE', KEYS[2], patience * 10)
end
return answer('ok', found)
