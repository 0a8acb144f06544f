-- claim: take a one-time id, once. The same nonce again gets the same answer: its reply was lost.
-- KEYS: layout, claim; ARGV from 5: nonce, issued at, expires at, the worker's clock

local problem = unwell()
if problem then return answer(problem) end

local now = milliseconds()
if clocks_differ(now, ARGV[8]) then return answer('clocks_differ') end

-- What was claimed before this store began is not known: it counts as claimed.
if tonumber(ARGV[6]) < tonumber(layout[6]) then return answer('already_used') end

-- Held until it is over for the slowest clock there may be. What is over already could not be held.
local over = tonumber(ARGV[7]) + TOLERANCE
if over <= now then return answer('already_used') end

local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[5] then return answer('already_used') end
local at = string.format('%d', over)
if holder then
  -- One request has shown two JWTs with one id: it is held for as long as the longer one lasts.
  redis.call('PEXPIREAT', KEYS[2], at, 'GT')
else
  redis.call('SET', KEYS[2], ARGV[5], 'PXAT', at)
end
return answer('ok')
