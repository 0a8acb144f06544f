-- claim: take a one-time id, once. The same nonce again gets the same answer: its reply was lost.
-- KEYS: layout, claim; ARGV from 5: nonce, issued at, expires at

local problem = unwell()
if problem then return answer(problem) end

-- What was claimed before this store began is not known: it counts as claimed.
if tonumber(ARGV[6]) < tonumber(layout[6]) then return answer('already_used') end

local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[5] then return answer('already_used') end
if not holder then redis.call('SET', KEYS[2], ARGV[5], 'PXAT', ARGV[7]) end
return answer('ok')
