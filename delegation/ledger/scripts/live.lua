-- live: exchanges whose records have not expired, soonest first, a page at a time.
-- KEYS: layout, live; ARGV from 5: expiry to begin at, how many of that expiry are known, count

local problem = unwell()
if problem then return answer(problem) end

local from = math.max(tonumber(ARGV[5]), milliseconds())
local known = from == tonumber(ARGV[5]) and ARGV[6] or '0'
local page = redis.call('ZRANGEBYSCORE', KEYS[2], string.format('%d', from), '+inf',
  'WITHSCORES', 'LIMIT', known, ARGV[7])
return answer('ok', string.format('%d', from), known, page)
